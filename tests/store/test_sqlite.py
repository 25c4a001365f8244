"""What the journal on disk does beyond the common suite: it remembers, and guards its directory."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.store.example_events import large, numbered
from tests.store.harness import Watched, open_sqlite, reopened
from tests.store.ledger import events_of
from uwfq_service.store import (
    DataDirectoryInUse,
    JournalDamaged,
    SqliteJournal,
    StoreError,
    StoreOptions,
    UnknownRecord,
    UnknownSchema,
    presence,
    schema,
)
from uwfq_service.store.errors import DatabaseLocked
from uwfq_service.store.lock import LOCK_NAME
from uwfq_service.store.schema import (
    DATABASE_NAME,
    SCHEMA_VERSION,
    Connection,
    connect,
    connect_to_read,
    prepare,
    schema_version,
    transaction,
)


async def fill(directory: Path, first: int, count: int) -> None:
    """Append ``count`` events in a service's life of its own, without a snapshot."""
    watched = open_sqlite(directory)
    watched.journal.append(numbered(first, count))
    watched.journal.close()


def edit(directory: Path, statement: str, *values: Any) -> None:
    """Change the database behind the journal's back."""
    with closing(sqlite3.connect(directory / DATABASE_NAME, isolation_level=None)) as connection:
        connection.execute(statement, values)


async def test_a_restart_recovers_every_event_in_order(tmp_path: Path) -> None:
    """What was appended in several lives comes back as one sequence."""
    await fill(tmp_path, 1, 10)
    await fill(tmp_path, 11, 2500)
    await fill(tmp_path, 2511, 1)
    assert reopened(tmp_path) == numbered(1, 2511)


async def test_recovery_reports_what_it_read(tmp_path: Path) -> None:
    """The caller logs the numbers, and sets its clock behind the last instant."""
    await fill(tmp_path, 1, 40)
    recovery = open_and_close(tmp_path).recovery
    assert recovery.sequence == recovery.records == 40
    assert recovery.snapshot_sequence == 0
    assert recovery.instant == 40.0
    assert recovery.seconds > 0


def open_and_close(directory: Path) -> Watched[SqliteJournal]:
    """Return a journal that did nothing but recover."""
    watched = open_sqlite(directory)
    watched.journal.close()
    return watched


async def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    """A number names one event for ever."""
    await fill(tmp_path, 1, 3)
    watched = open_sqlite(tmp_path)
    assert watched.journal.durable == 3
    assert watched.journal.append([]) == 3
    assert watched.journal.append(numbered(4, 1)) == 4
    watched.journal.close()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 31, 32, 33, 95, 97, 767, 769, 999, 1000, 1001])
async def test_a_batch_of_any_size_is_written_as_it_is(tmp_path: Path, count: int) -> None:
    """Statements are made for certain sizes; what they are padded with leaves no rows."""
    await fill(tmp_path, 1, count)
    assert reopened(tmp_path) == numbered(1, count)


async def test_a_commit_takes_what_has_gathered_up_to_the_cap(tmp_path: Path) -> None:
    """While one commit is under way the next one grows, but not beyond its cap."""
    watched = open_sqlite(tmp_path, StoreOptions(commit_records=100))
    with closing(connect(tmp_path, durable=True)) as other, transaction(other):
        # The first commit waits for this transaction, and the rest gathers behind it.
        for number in range(1, 1001):
            watched.journal.append(numbered(number, 1))
    await watched.until_durable(1000)
    assert 10 <= watched.journal.stats().commits <= 12
    ends = [0, *watched.durable]
    assert max(end - begin for begin, end in itertools.pairwise(ends)) <= 100
    watched.journal.close()


async def test_what_was_appended_together_is_committed_together(tmp_path: Path) -> None:
    """A crash never leaves half of what a command decided, however much that was."""
    watched = open_sqlite(tmp_path, StoreOptions(commit_records=100))
    ends = []
    with closing(connect(tmp_path, durable=True)) as other, transaction(other):
        # The first commit waits for this transaction, and the rest gathers behind it.
        last = 0
        for size in [1, 60, 60, 30, 10, 100, 101, 3, 1000, 3, 99]:
            last = watched.journal.append(numbered(last + 1, size))
            ends.append(last)
    await watched.until_durable(last)
    watched.journal.close()
    assert set(watched.durable) <= set(ends)
    assert reopened(tmp_path) == numbered(1, last)


async def test_a_large_batch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Not even the part that had been written before the disk broke."""
    watched = open_sqlite(tmp_path, StoreOptions(commit_records=100))
    writer = watched.journal._writer
    assert writer is not None
    writer._connection = FailingConnection(writer._connection, 2)  # type: ignore[assignment]
    watched.journal.append(numbered(1, 250))
    await watched.until(lambda: bool(watched.failures))
    watched.journal.close()
    assert watched.durable == []
    assert watched.journal.durable == 0
    assert reopened(tmp_path) == []


async def test_a_large_event_is_kept(tmp_path: Path) -> None:
    """Payloads may fill many pages."""
    watched = open_sqlite(tmp_path)
    watched.journal.append([large(1, 3_000_000)])
    watched.journal.close()
    assert reopened(tmp_path) == [large(1, 3_000_000)]


async def test_close_with_a_scheduler_writes_a_snapshot(tmp_path: Path) -> None:
    """A service that was stopped in peace starts without replaying anything."""
    watched = open_sqlite(tmp_path)
    scheduler = watched.recovery.scheduler
    for event in numbered(1, 100):
        scheduler.replay(event)
    watched.journal.append(numbered(1, 100))
    watched.journal.close(scheduler)
    recovery = open_and_close(tmp_path).recovery
    assert recovery.snapshot_sequence == recovery.sequence == 100
    assert recovery.records == 0
    assert recovery.instant == 100.0
    assert events_of(recovery.scheduler) == numbered(1, 100)


async def test_close_writes_no_second_snapshot_of_the_same_state(tmp_path: Path) -> None:
    """Starting and stopping an idle service costs nothing."""
    watched = open_sqlite(tmp_path)
    watched.recovery.scheduler.replay(*numbered(1, 1))
    watched.journal.append(numbered(1, 1))
    watched.journal.close(watched.recovery.scheduler)
    watched = open_sqlite(tmp_path)
    watched.journal.close(watched.recovery.scheduler)
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection:
        assert connection.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)


async def test_close_writes_no_snapshot_for_a_few_events(tmp_path: Path) -> None:
    """Each start of a service adds one or two; replaying them is less than writing all again."""
    watched = open_sqlite(tmp_path)
    for event in numbered(1, 1000):
        watched.recovery.scheduler.replay(event)
    watched.journal.append(numbered(1, 1000))
    watched.journal.close(watched.recovery.scheduler)
    watched = open_sqlite(tmp_path)
    watched.journal.append(numbered(1001, 2))
    for event in numbered(1001, 2):
        watched.recovery.scheduler.replay(event)
    watched.journal.close(watched.recovery.scheduler)
    recovery = open_and_close(tmp_path).recovery
    assert (recovery.snapshot_sequence, recovery.records) == (1000, 2)
    assert events_of(recovery.scheduler) == numbered(1, 1002)


async def test_a_second_service_is_turned_away(tmp_path: Path) -> None:
    """Two services on one directory would each undo what the other decided.

    It is told by whom, also where a service was before whose number was longer.
    """
    (tmp_path / LOCK_NAME).write_text(f"process {os.getpid()}000\n")
    watched = open_sqlite(tmp_path)
    with pytest.raises(DataDirectoryInUse, match=f"in use by process {os.getpid()}; stop that"):
        open_sqlite(tmp_path)
    watched.journal.close()
    open_and_close(tmp_path)


async def test_a_lock_file_without_a_holder_is_no_lock(tmp_path: Path) -> None:
    """After kill -9 the file is still there; the kernel has dropped the lock."""
    (tmp_path / LOCK_NAME).write_text("process 1\n")
    open_and_close(tmp_path)
    with (tmp_path / LOCK_NAME).open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """Payloads may be confidential."""
    directory = tmp_path / "a" / "b"
    watched = open_sqlite(directory)
    await watched.until_durable(watched.journal.append(numbered(1, 1)))
    assert directory.stat().st_mode & 0o777 == 0o700
    for path in directory.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    watched.journal.close()


async def test_directories_that_are_made_outlast_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is an entry in the one above it, and that has to be on disk."""
    synced: set[int] = set()
    fsync = os.fsync

    def watched_fsync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    open_and_close(tmp_path / "a" / "b" / "c")
    above = [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert synced == {directory.stat().st_ino for directory in above}


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The message says which path is wrong."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot make the data directory .*file"):
        open_sqlite(tmp_path / "file" / "data")
    with pytest.raises(StoreError, match=r"cannot .*file"):
        open_sqlite(tmp_path / "file")


async def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    """Someone else's ``uwfq.db`` is not ours to add tables to."""
    edit(tmp_path, "CREATE TABLE theirs (x)")
    theirs = (tmp_path / DATABASE_NAME).read_bytes()
    with pytest.raises(StoreError, match="not a UWFQ database"):
        open_sqlite(tmp_path)
    assert (tmp_path / DATABASE_NAME).read_bytes() == theirs
    # And the directory is free again.
    (tmp_path / DATABASE_NAME).unlink()
    open_and_close(tmp_path)


async def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    """The remedy is in the message."""
    (tmp_path / DATABASE_NAME).write_bytes(b"not SQLite at all" * 100)
    with pytest.raises(JournalDamaged, match="restore the data directory"):
        open_sqlite(tmp_path)


async def test_damage_that_sqlite_tells_in_garbled_words_is_damage(tmp_path: Path) -> None:
    """Its message quotes what stands in the file, which need not be UTF-8."""
    await fill(tmp_path, 1, 3)
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection, connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute(
            "UPDATE sqlite_schema SET name = CAST(x'ff' AS TEXT), sql = 'C' WHERE name = 'meta'"
        )
    with pytest.raises(JournalDamaged, match="restore the data directory"):
        open_sqlite(tmp_path)
    with pytest.raises(JournalDamaged, match="restore the data directory"):
        connect_to_read(tmp_path)


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A downgrade must not touch what it does not understand."""
    await fill(tmp_path, 1, 3)
    edit(tmp_path, "UPDATE meta SET value = 99 WHERE key = 'schema_version'")
    with pytest.raises(UnknownSchema, match=r"schema version 99, .* start the version of UWFQ"):
        open_sqlite(tmp_path)
    edit(tmp_path, "UPDATE meta SET value = ? WHERE key = 'schema_version'", SCHEMA_VERSION)
    assert reopened(tmp_path) == numbered(1, 3)


async def test_a_database_without_a_schema_version_is_damage(tmp_path: Path) -> None:
    """It is ours by its mark, but nobody can say what is in it."""
    open_and_close(tmp_path)
    edit(tmp_path, "DELETE FROM meta")
    with pytest.raises(JournalDamaged, match="does not say which schema version"):
        open_sqlite(tmp_path)


async def test_the_previous_schema_is_migrated(tmp_path: Path) -> None:
    """An invented version 0, whose history did not count its rows, becomes version 1."""
    await fill(tmp_path, 1, 5)
    edit(tmp_path, "UPDATE meta SET value = 0 WHERE key = 'schema_version'")
    edit(tmp_path, "DELETE FROM meta WHERE key = 'history_records'")

    def count_history(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta SELECT 'history_records', count(*) FROM history")

    connection = connect(tmp_path, durable=True)
    prepare(connection, current=1, migrations={0: count_history})
    assert schema_version(connection) == 1
    connection.close()
    assert reopened(tmp_path) == numbered(1, 5)


async def test_a_failed_migration_changes_nothing(tmp_path: Path) -> None:
    """All steps are one transaction."""
    await fill(tmp_path, 1, 5)

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE history")

    connection = connect(tmp_path, durable=True)
    with pytest.raises(UnknownSchema):
        prepare(connection, current=3, migrations={1: half})
    connection.close()
    assert reopened(tmp_path) == numbered(1, 5)


async def test_a_missing_event_is_damage(tmp_path: Path) -> None:
    """State with a hole in it is not state."""
    await fill(tmp_path, 1, 5)
    edit(tmp_path, "DELETE FROM events WHERE seq = 3")
    with pytest.raises(JournalDamaged, match="no record 3"):
        open_sqlite(tmp_path)


async def test_an_event_of_a_newer_service_stops_the_start(tmp_path: Path) -> None:
    """Rather than recover a state that lacks something."""
    await fill(tmp_path, 1, 5)
    edit(tmp_path, "UPDATE events SET kind = 999 WHERE seq = 4")
    with pytest.raises(UnknownRecord, match="record 4 is of the unknown kind 999"):
        open_sqlite(tmp_path)


class FailingConnection:
    """A connection whose disk breaks after so many good INSERTs."""

    def __init__(self, connection: Connection, good_inserts: int) -> None:
        self.turn = connection.turn
        self._connection = connection
        self._good_inserts = good_inserts

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        if statement.startswith("INSERT INTO events"):
            if self._good_inserts == 0:
                raise sqlite3.OperationalError("disk I/O error")
            self._good_inserts -= 1
        return self._connection.execute(statement, values)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction


async def test_a_failed_write_is_told_once_and_nothing_is_acknowledged_after_it(
    tmp_path: Path,
) -> None:
    """No reply runs ahead of the disk, whatever is appended later."""
    watched = open_sqlite(tmp_path)
    writer = watched.journal._writer
    assert writer is not None
    writer._connection = FailingConnection(writer._connection, 2)  # type: ignore[assignment]
    await watched.until_durable(watched.journal.append(numbered(1, 3)))
    await watched.until_durable(watched.journal.append(numbered(4, 3)))
    watched.journal.append(numbered(7, 3))
    await watched.until(lambda: bool(watched.failures))
    for number in range(10, 20):
        watched.journal.append(numbered(number, 1))
        await asyncio.sleep(0)
    watched.journal.close(watched.recovery.scheduler)
    assert [str(error) for error in watched.failures] == ["disk I/O error"]
    assert watched.durable == [3, 6]
    assert watched.journal.durable == 6
    assert watched.threads == {threading.get_ident()}
    assert reopened(tmp_path) == numbered(1, 6)


async def test_a_full_disk_is_a_failed_write(tmp_path: Path) -> None:
    """SQLite says so itself, and what was acknowledged is still there."""
    watched = open_sqlite(tmp_path)
    await watched.until_durable(watched.journal.append(numbered(1, 3)))
    writer = watched.journal._writer
    assert writer is not None
    (pages,) = writer._connection.execute("PRAGMA page_count").fetchone()
    writer._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    watched.journal.append([large(4, 100_000)])
    await watched.until(lambda: bool(watched.failures))
    assert [str(error) for error in watched.failures] == ["database or disk is full"]
    watched.journal.close()
    assert watched.durable == [3]
    assert reopened(tmp_path) == numbered(1, 3)


async def test_a_database_that_somebody_keeps_locked_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever it is has to be ended, and then a start finds what was acknowledged."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_SECONDS", 0.05)
    watched = open_sqlite(tmp_path)
    await watched.until_durable(watched.journal.append(numbered(1, 3)))
    with closing(connect(tmp_path, durable=True)) as other, transaction(other):
        watched.journal.append(numbered(4, 3))
        await watched.until(lambda: bool(watched.failures))
        watched.journal.close()
        with pytest.raises(DatabaseLocked, match="end that program"):
            open_sqlite(tmp_path)
    (failure,) = watched.failures
    assert isinstance(failure, DatabaseLocked)
    assert watched.durable == [3]
    assert reopened(tmp_path) == numbered(1, 3)


@pytest.mark.parametrize("gone", [DATABASE_NAME, f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm"])
@pytest.mark.parametrize("replaced", [False, True])
async def test_files_that_are_gone_are_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str, *, replaced: bool
) -> None:
    """SQLite goes on writing to what nobody will ever find again."""
    monkeypatch.setattr(presence, "LOOK_SECONDS", 0.0)
    watched = open_sqlite(tmp_path)
    await watched.until_durable(watched.journal.append(numbered(1, 1)))
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    if replaced:
        (tmp_path / gone).touch()
    watched.journal.append(numbered(2, 1))
    await watched.until(lambda: bool(watched.failures))
    assert watched.journal.durable == 1
    assert gone in str(watched.failures[0])
    watched.journal.close()


async def test_a_log_without_its_index_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in time, before another process has made an index of its own, nothing is lost."""
    monkeypatch.setattr(presence, "LOOK_SECONDS", 0.0)
    watched = open_sqlite(tmp_path)
    await watched.until_durable(watched.journal.append(numbered(1, 10)))
    (tmp_path / f"{DATABASE_NAME}-shm").unlink()
    watched.journal.append(numbered(11, 1))
    await watched.until(lambda: bool(watched.failures))
    assert "a start makes a new one" in str(watched.failures[0])
    watched.journal.close()
    assert reopened(tmp_path)[:10] == numbered(1, 10)


async def test_a_failure_that_the_loop_has_not_heard_of_is_told_by_close(tmp_path: Path) -> None:
    """Closing right after the last append is no way around bad news."""
    watched = open_sqlite(tmp_path)
    writer = watched.journal._writer
    assert writer is not None
    writer._connection = FailingConnection(writer._connection, 0)  # type: ignore[assignment]
    watched.journal.append(numbered(1, 1))
    watched.journal.close()
    assert len(watched.failures) == 1
    await asyncio.sleep(0)
    assert len(watched.failures) == 1
    assert watched.durable == []
