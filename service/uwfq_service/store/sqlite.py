"""The journal on disk: one SQLite file in the data directory, written by a thread of its own.

On the loop's thread an event is only encoded and queued (under a microsecond for a small one).
``writer.py`` commits, ``housekeeping.py`` keeps the file small, ``recovery.py`` reads it back;
here they are put together, and what the threads say is brought back to the loop's thread.

SQLite is what makes a torn write harmless: after a crash a commit is there in full or not at all,
and commits disappear only from the end, where nothing had been acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from uwfq_service.core.events import AnyEvent
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings
from uwfq_service.store.codec import CODEC, encode_state
from uwfq_service.store.compaction import VERSION, Request
from uwfq_service.store.errors import DatabaseLocked, StoreError
from uwfq_service.store.housekeeping import Housekeeper
from uwfq_service.store.journal import Jitter, JournalStats, Recovery
from uwfq_service.store.lock import DirectoryLock
from uwfq_service.store.options import StoreOptions
from uwfq_service.store.presence import Presence
from uwfq_service.store.recovery import collector_paused, restore
from uwfq_service.store.schema import (
    DATABASE_NAME,
    connect,
    is_locked,
    prepare,
    reading_errors,
    refuse_orphaned_log,
)
from uwfq_service.store.snapshot import SnapshotDiscarded, discard_others, write_snapshot
from uwfq_service.store.writer import Writer

log = structlog.get_logger(__name__)


class SqliteJournal:
    """A ``Journal`` in ``directory``, which is made if it is missing.

    Construction takes the directory's lock and brings the tables up to date; it raises
    ``StoreError`` if the directory is in use or cannot be used.  Call ``close`` in any case after
    it has succeeded.
    """

    def __init__(
        self,
        directory: Path,
        loop: asyncio.AbstractEventLoop,
        *,
        options: StoreOptions | None = None,
        scheduler_type: type[Scheduler] = Scheduler,
    ) -> None:
        self.on_durable: Callable[[int], None] = lambda _sequence: None
        self.on_failure: Callable[[BaseException], None] = lambda _error: None

        self._directory = directory
        self._loop = loop
        self._options = options or StoreOptions()
        self._scheduler_type = scheduler_type
        self._settings = Settings()
        self._writer: Writer | None = None
        self._housekeeper: Housekeeper | None = None
        #: Number and instant of the last event appended; number of the last acknowledged.
        self._appended = 0
        self._instant = 0.0
        self._durable = 0
        self._failure_told = False
        self._closed = False

        _make_directory(directory)
        self._lock = DirectoryLock(directory)
        try:
            with reading_errors(directory):
                refuse_orphaned_log(directory)
                # SQLite gives its other files the mode of this one.
                (directory / DATABASE_NAME).touch(mode=0o600)
                self._connection = connect(directory, durable=True)
                prepare(self._connection)
        except BaseException:
            self._lock.release()
            raise

    @property
    def durable(self) -> int:
        """See ``Journal``."""
        return self._durable

    def recover(self, settings: Settings, jitter: Jitter) -> Recovery:
        """See ``Journal``."""
        assert self._writer is None, "recover once"
        began = time.perf_counter()
        self._settings = settings
        with reading_errors(self._directory), collector_paused():
            restored = restore(
                self._connection, settings, jitter, scheduler_type=self._scheduler_type
            )
            discard_others(self._connection, restored.snapshot_id)
            self._housekeeper = Housekeeper(
                self._directory, self._options, restored, self._compaction_request, self._poke
            )
        self._appended = self._durable = restored.sequence
        self._instant = restored.at
        self._writer = Writer(
            self._connection,
            self._housekeeper,
            sequence=restored.sequence,
            commit_records=self._options.commit_records,
            check=Presence(self._directory).check,
            written=self._written,
            failed=self._failed,
        )
        self._writer.start()
        return Recovery(
            scheduler=restored.scheduler,
            sequence=restored.sequence,
            instant=restored.at,
            snapshot_sequence=restored.snapshot_sequence,
            records=restored.records,
            seconds=time.perf_counter() - began,
        )

    def append(self, events: Sequence[AnyEvent]) -> int:
        """See ``Journal``."""
        if events:
            assert self._writer is not None, "recover before append"
            assert not self._closed, "append after close"
            values: list[Any] = []
            formats, encode = CODEC.formats, CODEC.encode
            for event in events:
                kind, version = formats[type(event)]
                values += (kind, version, event.at, encode(event))
            self._writer.put(values)
            self._appended += len(events)
            self._instant = events[-1].at
        return self._appended

    def stats(self) -> JournalStats:
        """See ``Journal``."""
        assert self._writer is not None, "recover before stats"
        assert self._housekeeper is not None, "made with the writer"
        housekeeper = self._housekeeper
        return JournalStats(
            appended=self._appended,
            durable=self._durable,
            commits=self._writer.commits,
            tail_records=housekeeper.tail_records,
            tail_bytes=housekeeper.tail_bytes,
            snapshot_bytes=housekeeper.snapshot_bytes,
            snapshots=housekeeper.snapshots,
            snapshot_failures=housekeeper.failures,
            history_records=housekeeper.history_records,
        )

    def close(self, scheduler: Scheduler | None = None) -> None:
        """See ``Journal``."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._writer is not None and self._housekeeper is not None:
                self._writer.stop()
                self._housekeeper.close()
                self._acknowledge(self._writer.sequence)
                if self._writer.error is not None:
                    self._tell_failure(self._writer.error)
                elif scheduler is not None and self._housekeeper.worth_a_last_snapshot:
                    self._write_last_snapshot(scheduler)
        finally:
            with contextlib.suppress(sqlite3.Error):  # Nothing is left to lose.
                self._connection.close()
            self._lock.release()

    def _write_last_snapshot(self, scheduler: Scheduler) -> None:
        began = time.perf_counter()
        with collector_paused():
            content = encode_state(scheduler.dump())
        try:
            with contextlib.closing(connect(self._directory, durable=False)) as connection:
                write_snapshot(connection, self._appended, self._instant, content)
        except (sqlite3.Error, StoreError, SnapshotDiscarded, OSError) as error:
            log.warning("last_snapshot_failed", error=str(error))
            return
        log.info(
            "snapshot_written",
            sequence=self._appended,
            bytes=len(content),
            seconds=round(time.perf_counter() - began, 3),
        )

    def _compaction_request(self, through: int) -> Request:
        scheduler_type = self._scheduler_type
        return Request(
            through=through,
            settings=self._settings,
            scheduler=f"{scheduler_type.__module__}:{scheduler_type.__qualname__}",
            version=VERSION,
        )

    def _poke(self) -> None:
        if self._writer is not None:
            self._writer.poke()

    # On the writer's thread.

    def _written(self, sequence: int) -> None:
        self._call_on_loop(self._acknowledge, sequence)

    def _failed(self, error: BaseException) -> None:
        self._call_on_loop(self._tell_failure, error)

    def _call_on_loop(self, function: Callable[..., None], argument: object) -> None:
        # A loop that is closed has nobody left to tell; `close` tells what it finds.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, argument)

    # Back on the loop's thread.

    def _acknowledge(self, sequence: int) -> None:
        # `close` may have been here first.
        if sequence > self._durable:
            self._durable = sequence
            self.on_durable(sequence)

    def _tell_failure(self, error: BaseException) -> None:
        if not self._failure_told:
            self._failure_told = True
            if is_locked(error):
                locked = DatabaseLocked(self._directory / DATABASE_NAME)
                locked.__cause__ = error
                error = locked
            self.on_failure(error)


def _make_directory(directory: Path) -> None:
    """Make ``directory`` and see that it is still there after a power cut."""
    missing = [path for path in (directory, *directory.parents) if not path.is_dir()]
    if not missing:
        return
    try:
        directory.mkdir(mode=0o700, parents=True)
        for made in missing:
            parent = os.open(made.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(parent)
            finally:
                os.close(parent)
    except OSError as error:
        raise StoreError(f"cannot make the data directory {directory}: {error.strerror}") from error
