"""Trying again, and only where it is safe.

A call is worth another try when the service could not be reached or went down meanwhile
(``UNAVAILABLE``, ``CANCELLED``), or when it says itself when to come back (``RESOURCE_EXHAUSTED``
with a ``RetryInfo``).  It is *safe* only when
asking twice is like asking once.  That holds for every method of the client: a submission carries a
``job_id`` or a ``request_id``, stages go by their names, the rest reads or sets a value.

Waits grow, are spread at random so that a thousand clients don't come back as one, and never
outlast the caller's time-out: a wait that would is not begun, and the last refusal is raised.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable
from typing import Final

from uwfq_client import checks
from uwfq_client.errors import Cancelled, ResourceExhausted, Unavailable, UwfqError


@dataclasses.dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast to try again; ``RetryPolicy(max_attempts=1)``: never.

    >>> backoff = Backoff(RetryPolicy(), spread=lambda: 1.0)
    >>> [backoff.next_wait() for _ in range(4)]
    [0.1, 0.2, 0.4, 0.8]
    """

    #: Tries in all.  The call's time-out usually ends it first.
    max_attempts: int = 20
    #: The n-th wait lies between half of and all of ``initial x multiplier^(n-1)``, up to ``max``.
    initial_backoff_seconds: float = 0.1
    multiplier: float = 2.0
    max_backoff_seconds: float = 5.0

    def __post_init__(self) -> None:
        if not self.max_attempts >= 1:
            raise ValueError(f"max_attempts is {self.max_attempts!r}, and must be at least 1")
        if not self.multiplier >= 1:
            raise ValueError(f"multiplier is {self.multiplier!r}, and must be at least 1")
        for name in ("initial_backoff_seconds", "max_backoff_seconds"):
            checks.duration(name, getattr(self, name))


#: Where none was given: a call ends its tries by its time-out, a worker never does.
TIRELESS: Final = RetryPolicy(max_attempts=2**63)


#: How gRPC puts it that the client does not trust the service's certificate, or that the service
#: speaks no TLS: no connection can be made for as long as both sides are as they are.
_DISTRUST: Final = re.compile(
    "CERTIFICATE_VERIFY_FAILED|Hostname Verification Check failed|is not in peer certificate"
    "|WRONG_VERSION_NUMBER"
)


def is_transient(error: UwfqError) -> bool:
    """Whether the same call may succeed later."""
    # A server that ends cancels what it had begun.  Our own cancelling never comes as an error.
    if isinstance(error, Unavailable | Cancelled):
        return not _DISTRUST.search(error.message)
    # Without a hint it is a size that will not shrink, e.g. of a message.
    return isinstance(error, ResourceExhausted) and error.retry_after_seconds is not None


class Backoff:
    """The waits between the tries of one call."""

    def __init__(self, policy: RetryPolicy, *, spread: Callable[[], float] = random.random) -> None:
        self._policy = policy
        self._spread = spread
        self._tries = 0

    def reset(self) -> None:
        """A try has succeeded: the next trouble starts with a short wait again."""
        self._tries = 0

    def next_wait(self, error: UwfqError | None = None) -> float | None:
        """Seconds to wait before the next try; ``None``: give up.

        The service's own hint is a floor: coming earlier would be refused again.
        """
        policy = self._policy
        self._tries += 1
        if self._tries >= policy.max_attempts:
            return None
        # Beyond 2^60 the cap has long won, and a float would overflow.
        longest = min(
            policy.initial_backoff_seconds * policy.multiplier ** min(self._tries - 1, 60),
            policy.max_backoff_seconds,
        )
        wait = longest * (0.5 + 0.5 * self._spread())
        hint = error.retry_after_seconds if error is not None else None
        # The hint is the same for everyone, so the spread goes on top of it.
        return wait if hint is None else hint + wait
