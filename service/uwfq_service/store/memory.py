"""A journal for tests and for ``--data :memory:``: it keeps nothing, at the speed of memory.

It still answers like a disk does, a little later: an event is durable not when ``append`` returns
but in the next turn of the loop.  So code that forgets to wait fails here too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from uwfq_service.core.events import AnyEvent
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings
from uwfq_service.store.journal import Jitter, JournalStats, Recovery


class MemoryJournal:
    """A ``Journal`` without a memory: ``recover`` always returns a new scheduler."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.on_durable: Callable[[int], None] = lambda _sequence: None
        self.on_failure: Callable[[BaseException], None] = lambda _error: None
        self._loop = loop
        self._appended = 0
        self._durable = 0
        self._commits = 0
        self._closed = False

    @property
    def durable(self) -> int:
        """See ``Journal``."""
        return self._durable

    def recover(self, settings: Settings, jitter: Jitter) -> Recovery:
        """See ``Journal``."""
        return Recovery(scheduler=Scheduler(settings, jitter=jitter))

    def append(self, events: Sequence[AnyEvent]) -> int:
        """See ``Journal``."""
        assert not self._closed, "append after close"
        if events:
            if self._appended == self._durable:
                self._loop.call_soon(self._acknowledge)
            self._appended += len(events)
        return self._appended

    def stats(self) -> JournalStats:
        """See ``Journal``."""
        return JournalStats(appended=self._appended, durable=self._durable, commits=self._commits)

    def close(self, scheduler: Scheduler | None = None) -> None:
        """See ``Journal``."""
        if not self._closed:
            self._closed = True
            self._acknowledge()

    def _acknowledge(self) -> None:
        if self._durable < self._appended:
            self._durable = self._appended
            self._commits += 1
            self.on_durable(self._durable)
