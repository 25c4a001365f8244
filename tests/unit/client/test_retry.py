"""When to try again, and after how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwfq_client.errors import (
    Cancelled,
    DeadlineExceeded,
    InternalError,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
    UwfqError,
)
from uwfq_client.retry import TIRELESS, Backoff, RetryPolicy, is_transient


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (Unavailable("down"), True),
        (Unavailable("Tls handshake failed: SSL_ERROR_SSL: CERTIFICATE_VERIFY_FAILED"), False),
        (Unavailable("Peer name uwfq.example is not in peer certificate"), False),
        (Cancelled("going down"), True),
        (ResourceExhausted("full", retry_after_seconds=1.0), True),
        (ResourceExhausted("message too large"), False),
        (DeadlineExceeded("late"), False),
        (InternalError("broken"), False),
        (InvalidArgument("wrong"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: UwfqError, transient: bool) -> None:
    """An unreachable service, or one that says when to come back."""
    assert is_transient(error) is transient


def test_waits_grow_up_to_a_limit() -> None:
    """Doubling from the first to the longest."""
    policy = RetryPolicy(max_attempts=8, initial_backoff_seconds=0.1, max_backoff_seconds=1.0)
    backoff = Backoff(policy, spread=lambda: 1.0)
    waits = [backoff.next_wait() for _ in range(8)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, None])


def test_success_makes_waits_short_again() -> None:
    """The next trouble is a new one."""
    backoff = Backoff(RetryPolicy(), spread=lambda: 1.0)
    assert [backoff.next_wait(), backoff.next_wait()] == [0.1, 0.2]
    backoff.reset()
    assert backoff.next_wait() == 0.1


def test_the_services_hint_is_a_floor() -> None:
    """Coming earlier would be refused again, coming all at once would be no better."""
    backoff = Backoff(RetryPolicy(), spread=lambda: 0.0)
    wait = backoff.next_wait(ResourceExhausted("full", retry_after_seconds=3.0))
    assert wait == pytest.approx(3.05)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_waits_stay_within_their_bounds(spreads: list[float]) -> None:
    """However long the trouble lasts, a tireless worker waits between half and all of the limit."""
    draws = iter(spreads)
    backoff = Backoff(TIRELESS, spread=lambda: next(draws))
    for number in range(len(spreads)):
        wait = backoff.next_wait()
        longest = min(0.1 * 2**number, 5.0)
        assert wait is not None
        assert 0.5 * longest <= wait <= longest
