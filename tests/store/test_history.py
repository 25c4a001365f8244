"""History: what reports read, across compactions and beside a running service."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from tests.store.example_events import EVENT_TYPES, numbered
from tests.store.harness import open_sqlite
from uwfq_service.core import events
from uwfq_service.core.events import AnyEvent
from uwfq_service.store import StoreError, read_history
from uwfq_service.store.codec import KINDS
from uwfq_service.store.history import HISTORY_KINDS, history_count, move_covered, trim
from uwfq_service.store.lock import LOCK_NAME
from uwfq_service.store.schema import DATABASE_NAME, Connection, connect, connect_to_read
from uwfq_service.store.turn import TURN_NAME


def kept(of: list[AnyEvent]) -> list[AnyEvent]:
    """Return the events that history keeps."""
    kinds = tuple(KINDS[kind] for kind in HISTORY_KINDS)
    return [event for event in of if isinstance(event, kinds)]


async def fill(directory: Path, first: int, count: int) -> None:
    """Append events in a service's life of its own, without a snapshot."""
    watched = open_sqlite(directory)
    watched.journal.append(numbered(first, count))
    watched.journal.close()


def test_history_tells_who_submitted_what_and_when_it_ran_and_on_how_many_slots() -> None:
    """Renewals, wake-ups and the like are of no use afterwards."""
    assert {KINDS[kind] for kind in HISTORY_KINDS} == {
        events.PoolConfigured,
        events.UserSet,
        events.WorkerJoined,
        events.WorkerLost,
        events.WorkerLeft,
        events.JobAdmitted,
        events.StagesAdded,
        events.StagesDropped,
        events.TasksLeased,
        events.TasksStarted,
        events.TaskPlaced,
        events.TasksFinished,
        events.TasksRan,
        events.TaskFailed,
        events.JobEnded,
    }
    assert {KINDS[kind] for kind in HISTORY_KINDS} < set(EVENT_TYPES)


@pytest.mark.parametrize("rows", [1, 7, 1000])
async def test_history_and_journal_read_as_one_sequence(tmp_path: Path, rows: int) -> None:
    """However far the move has got, each event is seen once and in order."""
    await fill(tmp_path, 1, 60)
    with closing(connect(tmp_path, durable=False)) as connection:
        moved = 0
        while step := move_covered(connection, 50, rows):
            moved += step
            assert list(read_history(tmp_path)) == kept(numbered(1, 60))
        assert moved == 50
        assert history_count(connection) == 25
        assert connection.execute("SELECT min(seq) FROM events").fetchone() == (51,)


async def test_history_is_read_while_it_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that is slow, next to a service that is not, misses nothing."""
    monkeypatch.setattr("uwfq_service.store.history.READ_BATCH_RECORDS", 3)
    watched = open_sqlite(tmp_path)
    await watched.until_durable(watched.journal.append(numbered(1, 60)))
    seen = []
    with closing(connect(tmp_path, durable=False)) as connection:
        for event in read_history(tmp_path):
            seen.append(event)
            move_covered(connection, 60, 4)
            if len(seen) == 20:
                await watched.until_durable(watched.journal.append(numbered(61, 20)))
    watched.journal.close()
    assert seen == kept(numbered(1, 80))


async def test_history_is_limited_in_number(tmp_path: Path) -> None:
    """The oldest go first, in small transactions."""
    await fill(tmp_path, 1, 60)
    with closing(connect(tmp_path, durable=False)) as connection:
        move_covered(connection, 60, 100)
        assert trim(connection, 4, keep_records=20, oldest=0.0) == 4
        while trim(connection, 4, keep_records=20, oldest=0.0):
            pass
        assert history_count(connection) == 20
    assert list(read_history(tmp_path)) == kept(numbered(1, 60))[-20:]


async def test_history_is_limited_in_age(tmp_path: Path) -> None:
    """Whichever limit is reached first counts."""
    await fill(tmp_path, 1, 60)
    with closing(connect(tmp_path, durable=False)) as connection:
        move_covered(connection, 60, 100)
        while trim(connection, 4, keep_records=1000, oldest=41.0):
            pass
        assert history_count(connection) == 10
    assert list(read_history(tmp_path)) == [
        event for event in kept(numbered(1, 60)) if event.at >= 41.0
    ]


async def test_trimming_takes_all_if_told_to(tmp_path: Path) -> None:
    """Keeping no history is a setting like any other."""
    await fill(tmp_path, 1, 60)
    with closing(connect(tmp_path, durable=False)) as connection:
        move_covered(connection, 60, 100)
        assert trim(connection, 1000, keep_records=0, oldest=0.0) == 30
        assert history_count(connection) == 0
        assert trim(connection, 1000, keep_records=0, oldest=0.0) == 0


class Overtaken:
    """A connection that is always second: another one commits before each of its transactions."""

    def __init__(self, connection: Connection, other: Connection) -> None:
        self.turn = connection.turn
        self._connection = connection
        self._other = other

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        if statement == "BEGIN IMMEDIATE":
            self._other.execute("INSERT INTO chunks (snapshot, content) VALUES (1, x'')")
        return self._connection.execute(statement, values)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction


async def test_trimming_goes_on_beside_a_compaction(tmp_path: Path) -> None:
    """It looks and then deletes, and between the two the next snapshot may have grown."""
    await fill(tmp_path, 1, 60)
    with (
        closing(connect(tmp_path, durable=False)) as connection,
        closing(connect(tmp_path, durable=False)) as compaction,
    ):
        move_covered(connection, 60, 100)
        overtaken = cast("Connection", Overtaken(connection, compaction))
        assert trim(overtaken, 100, keep_records=20, oldest=0.0) == 10
        assert history_count(connection) == 20


async def test_reading_leaves_no_trace(tmp_path: Path) -> None:
    """A report may read a copy that belongs to someone else."""
    await fill(tmp_path, 1, 10)
    before = (tmp_path / DATABASE_NAME).read_bytes()
    assert len(list(read_history(tmp_path))) == 5
    assert (tmp_path / DATABASE_NAME).read_bytes() == before
    # And the next service starts as ever.
    open_sqlite(tmp_path).journal.close()


def files_in(directory: Path) -> set[str]:
    """Return the names."""
    return {path.name for path in directory.iterdir()}


async def test_a_copy_is_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a medium that is read-only, say: SQLite wants to make a log, which a copy can do without.

    One that has a log is another matter: somebody may be writing it.
    """
    await fill(tmp_path, 1, 10)
    monkeypatch.setattr("os.access", lambda _path, mode: mode != os.W_OK)
    with closing(connect_to_read(tmp_path)) as reader:
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (10,)
        assert files_in(tmp_path) == {DATABASE_NAME, LOCK_NAME, TURN_NAME}
    watched = open_sqlite(tmp_path)
    await watched.until_durable(watched.journal.append(numbered(11, 10)))
    assert list(read_history(tmp_path)) == kept(numbered(1, 20))
    watched.journal.close()


def test_a_directory_without_a_database_is_named(tmp_path: Path) -> None:
    """The usual mistake is a wrong path."""
    with pytest.raises(StoreError, match=r"holds no uwfq\.db; is this the data directory"):
        next(read_history(tmp_path))
    assert list(tmp_path.iterdir()) == []


async def test_a_database_that_may_not_be_opened_is_named(tmp_path: Path) -> None:
    """That of another user, say; here one whose path is longer than SQLite takes."""
    await fill(tmp_path, 1, 1)
    far = tmp_path.joinpath(*["d" * 200] * 3)
    far.mkdir(parents=True)
    (tmp_path / DATABASE_NAME).rename(far / DATABASE_NAME)
    with pytest.raises(StoreError, match=r"cannot open .*uwfq\.db: .*; check"):
        next(read_history(far))
