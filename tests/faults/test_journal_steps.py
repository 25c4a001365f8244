"""kill -9 before every statement of a snapshot and of the clearing after it, one by one.

What a killed process leaves is what stands in its files at that moment.  So they are copied before
each statement, in the midst of transactions too, and a service is started on the copy.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from structlog.testing import capture_logs

from tests.store.example_events import numbered
from tests.store.harness import no_jitter, open_sqlite, reopened
from tests.store.ledger import LEDGER, Ledger
from uwfq_service.core.events import JobEnded
from uwfq_service.core.settings import Settings
from uwfq_service.store import StoreOptions, read_history
from uwfq_service.store.codec import encode_state
from uwfq_service.store.compaction import Report, Request
from uwfq_service.store.housekeeping import Housekeeper
from uwfq_service.store.recovery import restore
from uwfq_service.store.schema import DATABASE_NAME, Connection, connect
from uwfq_service.store.snapshot import write_snapshot

#: Events of the first snapshot, and all that there are.
FIRST, LAST = 20, 40
#: Of the 20 that it could have.
KEPT_IN_HISTORY = 5


class Killed:
    """A connection whose process might have been killed before any of its statements."""

    def __init__(self, connection: Connection, killed: Callable[[], None]) -> None:
        self.turn = connection.turn
        self._connection = connection
        self._killed = killed

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        self._killed()
        return self._connection.execute(statement, values)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def close(self) -> None:
        self._connection.close()


def unasked(through: int) -> Request:
    """Stand in for a request of the housekeeper, which has no reason for one here."""
    raise AssertionError(f"asked for a snapshot as of {through}")


def snapshot(connection: Connection, last: int) -> Report:
    """Do what the compaction process does, in several chunks."""
    ledger = Ledger(Settings(), jitter=no_jitter)
    ledger.events = numbered(1, last)
    content = encode_state(ledger.dump())
    number = write_snapshot(
        connection, last, float(last), content, chunk_bytes=len(content) // 3 + 1
    )
    return Report(sequence=last, snapshot_id=number, records=0, bytes=len(content), seconds=0.0)


async def test_whatever_a_kill_interrupts_a_start_finds_all(tmp_path: Path) -> None:
    """And history, while it is brought up to date, lacks nothing but its beginning."""
    watched = open_sqlite(tmp_path)
    watched.journal.append(numbered(1, LAST))
    watched.journal.close()
    in_history = [event for event in numbered(1, LAST) if isinstance(event, JobEnded)]
    started_with = []

    def killed() -> None:
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name)
            for file in (DATABASE_NAME, f"{DATABASE_NAME}-wal"):
                shutil.copy(tmp_path / file, copy)
            with capture_logs() as told:
                watched = open_sqlite(copy)
            watched.journal.close()
            assert told == [], "nothing that was interrupted is taken for damage"
            started_with.append(watched.recovery.snapshot_sequence)
            history = list(read_history(copy))
            assert history == in_history[-len(history) :]
            assert len(history) >= KEPT_IN_HISTORY
            assert reopened(copy) == numbered(1, LAST)

    with (
        closing(connect(tmp_path, durable=False)) as compaction,
        closing(connect(tmp_path, durable=True)) as service,
    ):
        snapshot(compaction, FIRST)
        restored = restore(service, Settings(), no_jitter, scheduler_type=LEDGER)
        options = StoreOptions(history_records=KEPT_IN_HISTORY)
        housekeeper = Housekeeper(tmp_path, options, restored, unasked, lambda: None)
        housekeeper._rows = 7  # Several steps of each kind.
        housekeeper._connection = cast("Any", Killed(housekeeper._connection, killed))
        report = snapshot(cast("Connection", Killed(compaction, killed)), LAST)
        housekeeper._compaction.outcome = report
        while housekeeper.step():
            pass
        housekeeper.close()
        assert housekeeper.failures == 0
        for table, rows in {
            "events": 0,
            "history": KEPT_IN_HISTORY,
            "snapshots": 1,
            "chunks": 3,
        }.items():
            assert service.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,)
    assert started_with == sorted(started_with)
    assert set(started_with) == {FIRST, LAST}
