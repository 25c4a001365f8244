"""The service's clock: unix seconds that only ever move forward, at the pace of a steady clock.

The wall clock is read once, at start; from then on time is that reading plus what the monotonic
clock has counted.  A step of the wall clock (NTP, a leap second, an operator) thus neither expires
leases nor freezes virtual time.  After a restart the clock starts no earlier than the last instant
in the journal, even if the wall clock now reads less.

Timers belong to the clock too, so that a test with a clock of its own decides when they fire.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that has been arranged for later."""

    def cancel(self) -> None:
        """Forget the call.  Harmless when it has been made already."""


class Clock(Protocol):
    """Tells the time and calls back when it has come."""

    def now(self) -> float:
        """The instant, unix seconds; never less than the last answer."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` on the event loop once the clock shows ``when``, or soon if it does."""


class SystemClock:
    """The real one.  Make it on the event loop's thread, for timers are the running loop's."""

    def __init__(self, *, not_before: float = 0.0) -> None:
        self._offset = max(time.time(), not_before) - time.monotonic()
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        """The instant, unix seconds."""
        return self._offset + time.monotonic()

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """See ``Clock``.  The loop counts by the same monotonic clock."""
        return self._loop.call_at(when - self._offset, callback)
