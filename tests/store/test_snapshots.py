"""Snapshots: there in full or not at all, whatever happens while one is written."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.store.example_events import numbered
from tests.store.harness import open_sqlite, reopened
from tests.store.ledger import Ledger, events_of
from uwfq_service.core.events import AnyEvent
from uwfq_service.core.settings import Settings
from uwfq_service.store import JournalDamaged
from uwfq_service.store.compaction import VERSION, OtherVersion, Report, Request, compact
from uwfq_service.store.errors import NoRoom
from uwfq_service.store.schema import Connection, connect, transaction
from uwfq_service.store.snapshot import (
    SnapshotDiscarded,
    complete_snapshots,
    discard_others,
    drop_chunks,
    load_newest,
    write_snapshot,
)

#: More than a chunk.
CONTENT = bytes(300_000)

LEDGER_NAME = f"{Ledger.__module__}:{Ledger.__qualname__}"


class Crash(BaseException):
    """The process dies here."""


def nothing() -> None:
    """Go on."""


class CrashAfter:
    """Dies at the given call."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self) -> None:
        if self.left == 0:
            raise Crash
        self.left -= 1


@contextmanager
def database(directory: Path) -> Iterator[Connection]:
    """Open the database as the compaction process does."""
    with closing(connect(directory, durable=False)) as connection:
        yield connection


async def fill(directory: Path, first: int, count: int) -> None:
    """Append events in a service's life of its own, without a snapshot."""
    watched = open_sqlite(directory)
    watched.journal.append(numbered(first, count))
    watched.journal.close()


async def tidied(directory: Path) -> list[AnyEvent]:
    """Return the events that a restart recovers, and let it clear away what it finds."""
    watched = open_sqlite(directory)
    housekeeper = watched.journal._housekeeper
    assert housekeeper is not None
    async with asyncio.timeout(60):
        while housekeeper._untidy:  # noqa: ASYNC110 - housekeeping has nobody to tell
            await asyncio.sleep(0.001)
    watched.journal.close()
    return events_of(watched.recovery.scheduler)


def compacted(directory: Path, through: int, crash: CrashAfter | None = None) -> Report:
    """Do what the compaction process does, in this one."""
    request = Request(through=through, settings=Settings(), scheduler=LEDGER_NAME, version=VERSION)
    pause = crash or nothing
    return compact(directory, request, check=pause, pause=pause)


async def test_a_snapshot_covers_the_events_up_to_its_number(tmp_path: Path) -> None:
    """A restart takes the rest from the tail."""
    await fill(tmp_path, 1, 5000)
    report = compacted(tmp_path, 3000)
    assert (report.sequence, report.records) == (3000, 3000)
    watched = open_sqlite(tmp_path)
    watched.journal.close()
    assert watched.recovery.snapshot_sequence == 3000
    assert watched.recovery.records == 2000
    assert events_of(watched.recovery.scheduler) == numbered(1, 5000)


async def test_the_next_snapshot_builds_on_the_one_before(tmp_path: Path) -> None:
    """Only the tail is replayed."""
    await fill(tmp_path, 1, 5000)
    compacted(tmp_path, 3000)
    assert compacted(tmp_path, 4000).records == 1000
    assert reopened(tmp_path) == numbered(1, 5000)


async def test_another_version_than_the_service_makes_no_snapshot(tmp_path: Path) -> None:
    """An upgrade under a running service takes effect at its restart, not in parts before."""
    await fill(tmp_path, 1, 10)
    request = Request(through=10, settings=Settings(), scheduler=LEDGER_NAME, version="0.0.1")
    with pytest.raises(OtherVersion, match=r"runs UWFQ 0\.0\.1, .* until it is restarted"):
        compact(tmp_path, request, check=nothing, pause=nothing)


async def test_a_crash_at_any_step_leaves_a_usable_database(tmp_path: Path) -> None:
    """Before its last transaction a snapshot counts for nothing, and it is removed later."""
    await fill(tmp_path, 1, 50_000)
    compacted(tmp_path, 20_000)
    steps = 0
    while True:
        try:
            compacted(tmp_path, 50_000, CrashAfter(steps))
        except Crash:
            steps += 1
        else:
            break
        with database(tmp_path) as connection:
            assert [snapshot.sequence for snapshot in complete_snapshots(connection)] == [20_000]
    assert steps > 20, "reading in batches, several chunks"
    assert await tidied(tmp_path) == numbered(1, 50_000)
    with database(tmp_path) as connection:
        (chunks,) = connection.execute(
            "SELECT count(*) FROM chunks WHERE snapshot NOT IN (SELECT id FROM snapshots)"
        ).fetchone()
        assert chunks == 0
        (incomplete,) = connection.execute(
            "SELECT count(*) FROM snapshots WHERE NOT complete"
        ).fetchone()
        assert incomplete == 0


async def test_an_incomplete_snapshot_is_removed_at_start(tmp_path: Path) -> None:
    """What a crash left does not take up room for ever."""
    await fill(tmp_path, 1, 50_000)
    with pytest.raises(Crash):
        compacted(tmp_path, 50_000, CrashAfter(28))
    with database(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM chunks").fetchone() > (0,)
    assert await tidied(tmp_path) == numbered(1, 50_000)
    with database(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM chunks").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM snapshots").fetchone() == (0,)


async def test_a_removed_snapshot_is_cleared_in_steps(tmp_path: Path) -> None:
    """Each is a transaction, and an event waits for no more than one."""
    await fill(tmp_path, 1, 10)
    with database(tmp_path) as connection:
        older = write_snapshot(connection, 8, 8.0, b"x" * 700, chunk_bytes=100)
        kept = write_snapshot(connection, 9, 9.0, b"x" * 300, chunk_bytes=100)
        with pytest.raises(Crash):
            write_snapshot(connection, 10, 10.0, b"x" * 900, pause=CrashAfter(5), chunk_bytes=100)
        assert older < kept
        discard_others(connection, kept)
        assert [snapshot.id for snapshot in complete_snapshots(connection)] == [kept]
        assert [drop_chunks(connection, 4) for _ in range(5)] == [4, 4, 4, 0, 0]
        chunks = connection.execute("SELECT DISTINCT snapshot, count(*) FROM chunks").fetchall()
        assert chunks == [(kept, 3)]


async def test_a_writer_whose_snapshot_was_removed_gives_up(tmp_path: Path) -> None:
    """An orphan of a killed service meets the next service, which has cleaned up."""
    await fill(tmp_path, 1, 10)
    with database(tmp_path) as orphan, database(tmp_path) as service:
        calls = 0

        def clean_up() -> None:
            nonlocal calls
            calls += 1
            if calls == 3:
                discard_others(service, 0)

        with pytest.raises(SnapshotDiscarded):
            write_snapshot(orphan, 10, 10.0, b"x" * 1000, pause=clean_up, chunk_bytes=100)
        assert calls == 3
        assert drop_chunks(service, 100) == 2, "what it had written, and no more since"
        assert service.execute("SELECT count(*) FROM chunks").fetchone() == (0,)
        assert complete_snapshots(service) == []


async def test_a_writer_whose_snapshot_was_removed_at_the_end_gives_up(tmp_path: Path) -> None:
    """Nothing is marked complete that is not there."""
    await fill(tmp_path, 1, 10)
    with database(tmp_path) as orphan, database(tmp_path) as service:
        calls = 0

        def clean_up() -> None:
            nonlocal calls
            calls += 1
            if calls == 12:  # The row, ten chunks, the check.
                discard_others(service, 0)

        with pytest.raises(SnapshotDiscarded):
            write_snapshot(orphan, 10, 10.0, b"x" * 1000, pause=clean_up, chunk_bytes=100)
        assert complete_snapshots(service) == []


async def test_a_damaged_snapshot_is_passed_over(tmp_path: Path) -> None:
    """While the one before and the events since are still there, nothing is lost."""
    await fill(tmp_path, 1, 5000)
    compacted(tmp_path, 3000)
    compacted(tmp_path, 4000)
    with database(tmp_path) as connection, transaction(connection):
        connection.execute(
            "UPDATE chunks SET content = zeroblob(length(content)) WHERE id ="
            " (SELECT max(id) FROM chunks)"
        )
    watched = open_sqlite(tmp_path)
    assert watched.recovery.snapshot_sequence == 3000
    assert events_of(watched.recovery.scheduler) == numbered(1, 5000)
    # Nothing may rely on the damaged one from now on.
    watched.journal.append(numbered(5001, 1))
    watched.journal.close()
    assert reopened(tmp_path) == numbered(1, 5001)
    with database(tmp_path) as connection:
        assert [snapshot.sequence for snapshot in complete_snapshots(connection)] == [3000]


@pytest.mark.parametrize("cleared", [1, 2500, 5000])
async def test_a_damaged_snapshot_that_nothing_makes_up_for_is_damage(
    tmp_path: Path, cleared: int
) -> None:
    """Even if every event that it covers is gone without a trace."""
    await fill(tmp_path, 1, 5000)
    compacted(tmp_path, 5000)
    with database(tmp_path) as connection, transaction(connection):
        connection.execute("UPDATE chunks SET content = substr(content, 2)")
        connection.execute("DELETE FROM events WHERE seq <= ?", (cleared,))
    with pytest.raises(JournalDamaged, match="restore the data directory"):
        open_sqlite(tmp_path)


async def test_an_empty_content_is_a_snapshot_too(tmp_path: Path) -> None:
    """No special case for a snapshot without chunks."""
    await fill(tmp_path, 1, 1)
    with database(tmp_path) as connection:
        write_snapshot(connection, 1, 1.0, b"\x80")
        loaded = load_newest(connection)
    assert loaded is not None
    assert (loaded.sequence, loaded.at, loaded.bytes, loaded.state) == (1, 1.0, 1, {})


class Disk:
    """A file system with so many bytes left."""

    f_blocks, f_frsize = 1_000, 1

    def __init__(self, free: int) -> None:
        self.f_bavail = free


async def test_a_snapshot_that_may_not_fit_the_disk_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take the room of the events, whose first failed write stops the service."""
    await fill(tmp_path, 1, 10)
    with database(tmp_path) as connection:
        monkeypatch.setattr("os.statvfs", lambda _: Disk(len(CONTENT) + 10_000))
        with pytest.raises(NoRoom, match="600,000 bytes"):
            write_snapshot(connection, 10, 1.0, CONTENT)
        for table in ("snapshots", "chunks"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        monkeypatch.setattr("os.statvfs", lambda _: Disk(2 * len(CONTENT)))
        first = write_snapshot(connection, 9, 1.0, CONTENT)
        second = write_snapshot(connection, 10, 1.0, CONTENT)
        # What earlier ones have left in the database is room, too.
        discard_others(connection, second)
        drop_chunks(connection, 100)
        monkeypatch.setattr("os.statvfs", lambda _: Disk(len(CONTENT) + 10_000))
        third = write_snapshot(connection, 10, 1.0, CONTENT)
        assert first < second < third


async def test_a_file_system_that_does_not_tell_what_is_free_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some have no size."""
    await fill(tmp_path, 1, 10)
    nowhere = Disk(0)
    nowhere.f_blocks = 0
    monkeypatch.setattr("os.statvfs", lambda _: nowhere)
    with database(tmp_path) as connection:
        assert write_snapshot(connection, 10, 1.0, CONTENT)


async def test_a_path_that_is_no_text_has_room_as_well(tmp_path: Path) -> None:
    """What it is called is nobody's business."""
    directory = tmp_path / os.fsdecode(b"d\xff")
    await fill(directory, 1, 10)
    with database(directory) as connection:
        assert write_snapshot(connection, 10, 1.0, CONTENT)


def failing_disk(_: object) -> Disk:
    """Say nothing of what is free."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize(
    ("name", "stand_in", "told"),
    [
        ("os.statvfs", lambda _: Disk(0), "make room"),
        ("os.statvfs", failing_disk, "Input/output error"),
        ("uwfq_service.store.snapshot.read_content", lambda *_: None, "did not read back"),
    ],
)
async def test_a_stop_without_a_last_snapshot_is_an_orderly_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, stand_in: object, told: str
) -> None:
    """The events are enough."""
    watched = open_sqlite(tmp_path)
    watched.journal.append(numbered(1, 10))
    with capture_logs() as lines, monkeypatch.context() as patched:
        patched.setattr(name, stand_in)
        watched.journal.close(watched.recovery.scheduler)
    assert [line["event"] for line in lines] == ["last_snapshot_failed"]
    assert told in lines[0]["error"]
    watched = open_sqlite(tmp_path)
    watched.journal.close()
    assert watched.recovery.sequence == 10
