"""A journal with what it said, and ways to wait for it without a clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from tests.store.ledger import LEDGER, events_of
from uwfq_service.core.events import AnyEvent
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings
from uwfq_service.store import MemoryJournal, Recovery, SqliteJournal, StoreOptions

J = TypeVar("J", MemoryJournal, SqliteJournal)

#: Only asked for snapshots are made.
NO_SNAPSHOTS = StoreOptions(snapshot_records=10**9, snapshot_bytes=10**12)


def no_jitter() -> float:
    """Leave backoffs as they are."""
    return 1.0


class Watched(Generic[J]):
    """A journal that was recovered, and the calls it made."""

    def __init__(self, journal: J, settings: Settings | None = None) -> None:
        self.journal: J = journal
        self.durable: list[int] = []
        self.failures: list[BaseException] = []
        self.threads: set[int] = set()
        self._news = asyncio.Event()
        journal.on_durable = self._on_durable
        journal.on_failure = self._on_failure
        self.recovery: Recovery = journal.recover(settings or Settings(), no_jitter)

    def _on_durable(self, sequence: int) -> None:
        self.threads.add(threading.get_ident())
        self.durable.append(sequence)
        self._news.set()

    def _on_failure(self, error: BaseException) -> None:
        self.threads.add(threading.get_ident())
        self.failures.append(error)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a call after which ``condition`` holds."""
        while not condition():
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), timeout=60)

    async def until_durable(self, sequence: int) -> None:
        """Wait until the journal says that ``sequence`` is durable."""
        await self.until(lambda: self.journal.durable >= sequence)


def open_memory() -> Watched[MemoryJournal]:
    """Return a recovered ``MemoryJournal``."""
    return Watched(MemoryJournal(asyncio.get_running_loop()))


def open_sqlite(
    directory: Path,
    options: StoreOptions = NO_SNAPSHOTS,
    scheduler_type: type[Scheduler] = LEDGER,
) -> Watched[SqliteJournal]:
    """Return a recovered ``SqliteJournal``."""
    loop = asyncio.get_running_loop()
    journal = SqliteJournal(directory, loop, options=options, scheduler_type=scheduler_type)
    try:
        return Watched(journal)
    except BaseException:
        journal.close()
        raise


def reopened(directory: Path) -> list[AnyEvent]:
    """Return the events that a restart recovers from ``directory``."""
    watched = open_sqlite(directory)
    watched.journal.close()
    assert len(events_of(watched.recovery.scheduler)) == watched.recovery.sequence
    return events_of(watched.recovery.scheduler)
