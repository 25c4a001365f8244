"""Fakes for the seams of the service: a clock that stands still, a disk that syncs when told to."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence

from uwfq_service.core.events import AnyEvent
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings
from uwfq_service.store.journal import Jitter, JournalStats, Recovery


class FakeTimer:
    """A call that a ``FakeClock`` will make."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """See ``Timer``."""
        self.callback = None


class FakeClock:
    """Stands still until a test moves it; timers fire on the way."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._now = start
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._serial = itertools.count()

    def now(self) -> float:
        """See ``Clock``."""
        return self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> FakeTimer:
        """See ``Clock``."""
        timer = FakeTimer(callback)
        heapq.heappush(self._timers, (when, next(self._serial), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            if timer.callback is not None:
                timer.callback()
        self._now = end

    def stall(self, seconds: float, *, fire: bool = True) -> None:
        """Let time pass while the process stands still: what fires late, fires at the end.

        Or later, without ``fire``: what was about to happen happens before.
        """
        self._now += seconds
        if fire:
            self.advance(0)

    @property
    def pending(self) -> int:
        """Timers that would still fire."""
        return sum(timer.callback is not None for _, _, timer in self._timers)


class ManualJournal:
    """A journal whose disk syncs, or breaks, when the test says so.

    With ``held`` unset it keeps up by itself, which is how a service gets through its start.
    """

    def __init__(self, *, held: bool = True) -> None:
        self.held = held
        self.on_durable: Callable[[int], None] = lambda _sequence: None
        self.on_failure: Callable[[BaseException], None] = lambda _error: None
        self.events: list[AnyEvent] = []
        self.batches: list[int] = []
        self.closed_with: list[Scheduler | None] = []
        self._durable = 0

    @property
    def durable(self) -> int:
        """See ``Journal``."""
        return self._durable

    def recover(self, settings: Settings, jitter: Jitter) -> Recovery:
        """See ``Journal``."""
        return Recovery(scheduler=Scheduler(settings, jitter=jitter))

    def append(self, events: Sequence[AnyEvent]) -> int:
        """See ``Journal``."""
        self.events += events
        self.batches.append(len(events))
        if not self.held:
            asyncio.get_running_loop().call_soon(self.sync)
        return len(self.events)

    def stats(self) -> JournalStats:
        """See ``Journal``."""
        return JournalStats(appended=len(self.events), durable=self._durable)

    def close(self, scheduler: Scheduler | None = None) -> None:
        """See ``Journal``."""
        self.closed_with.append(scheduler)
        self.sync()

    def sync(self, upto: int | None = None) -> None:
        """The disk has everything, or the events up to a number."""
        self._durable = len(self.events) if upto is None else upto
        self.on_durable(self._durable)

    def fail(self, error: BaseException) -> None:
        """The disk is broken."""
        self.on_failure(error)
