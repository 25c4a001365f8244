"""A write-ahead log that was cut anywhere: what had been acknowledged is there, the rest is gone.

A power cut can leave any part of what was written since the last sync. SQLite's checksums tell
where the log stops making sense; here we check that this never reaches behind an acknowledgement.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.example_events import numbered
from tests.store.harness import open_sqlite, reopened
from uwfq_service.store import StoreError
from uwfq_service.store.schema import DATABASE_NAME, connect_to_read

SIZES = (1, 3, 1, 200, 1, 1, 40, 7)


class Recorded:
    """A database with its log, and the length of the log at each acknowledgement."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        #: Bytes of the log -> events acknowledged by then.
        self.acknowledged: dict[int, int] = {0: 0}

    def cut(self, length: int, directory: Path, garbage: bytes = b"") -> None:
        """Copy the database into ``directory`` with ``length`` bytes of the log, then garbage."""
        shutil.copy(self.directory / DATABASE_NAME, directory)
        log = self.log.read_bytes()[:length]
        (directory / self.log.name).write_bytes(log + garbage)

    @property
    def log(self) -> Path:
        return self.directory / f"{DATABASE_NAME}-wal"

    def promised(self, length: int) -> int:
        """Return how many events had been acknowledged when the log was so long."""
        return max(count for bytes_, count in self.acknowledged.items() if bytes_ <= length)


@pytest.fixture
async def recorded(tmp_path: Path) -> Recorded:
    """Commit batches one by one; keep the files as they are with the service alive."""
    live = tmp_path / "live"
    recorded = Recorded(tmp_path / "copy")
    recorded.directory.mkdir()
    # A first life makes the tables and checkpoints them, so that the log below holds events only.
    open_sqlite(live).journal.close()
    watched = open_sqlite(live)
    last = 0
    for size in SIZES:
        last = watched.journal.append(numbered(last + 1, size))
        await watched.until_durable(last)
        length = (live / f"{DATABASE_NAME}-wal").stat().st_size
        recorded.acknowledged[length] = last
    for name in [DATABASE_NAME, f"{DATABASE_NAME}-wal"]:
        shutil.copy(live / name, recorded.directory)
    watched.journal.close()
    return recorded


async def test_a_cut_log_drops_only_what_was_not_acknowledged(recorded: Recorded) -> None:
    """Cut at every commit, a byte before, a byte after and in between."""
    ends = sorted(recorded.acknowledged)
    lengths = {length + offset for length in ends for offset in (-1, 0, 1, 2000)}
    for length in sorted(lengths):
        if 0 <= length <= ends[-1]:
            with tempfile.TemporaryDirectory() as directory:
                recorded.cut(length, Path(directory))
                recovered = reopened(Path(directory))
            assert recovered == numbered(1, len(recovered))
            assert len(recovered) == recorded.promised(length)


async def test_garbage_after_the_cut_changes_nothing(recorded: Recorded) -> None:
    """A sector that was never written may hold anything."""
    whole = recorded.log.read_bytes()
    for end, count in recorded.acknowledged.items():
        for garbage in [bytes(5000), b"\xff" * 5000, whole[32 : 32 + 4120]]:
            with tempfile.TemporaryDirectory() as directory:
                recorded.cut(end, Path(directory), garbage)
                assert reopened(Path(directory)) == numbered(1, count)


async def test_a_torn_log_can_be_written_on(recorded: Recorded) -> None:
    """The next life starts where the torn one ended, with the same numbers."""
    ends = sorted(recorded.acknowledged)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        recorded.cut(ends[4] + 100, directory)
        count = recorded.acknowledged[ends[4]]
        watched = open_sqlite(directory)
        assert watched.journal.append(numbered(count + 1, 10)) == count + 10
        watched.journal.close()
        assert reopened(directory) == numbered(1, count + 10)


def gone(database: Path) -> None:
    """Somebody has moved it away."""
    database.unlink()


def emptied(database: Path) -> None:
    """A copy that a full disk has cut short, say."""
    database.write_bytes(b"")


def restored(database: Path) -> None:
    """The backup that the README recommends, of a moment before."""
    with tempfile.TemporaryDirectory() as name:
        shutil.copy(database, name)
        with closing(sqlite3.connect(Path(name) / DATABASE_NAME)) as connection:
            connection.execute("VACUUM INTO ?", (f"{name}/backup",))
        shutil.copy(f"{name}/backup", database)


@pytest.mark.parametrize("happen", [gone, emptied, restored])
async def test_a_log_is_kept_for_its_database(
    recorded: Recorded, happen: Callable[[Path], None]
) -> None:
    """SQLite would delete it, or apply it to whatever has taken the database's place."""
    database = recorded.directory / DATABASE_NAME
    before, log = database.read_bytes(), recorded.log.read_bytes()
    happen(database)
    with pytest.raises(StoreError, match=r"-wal belongs to .* is gone"):
        open_sqlite(recorded.directory)
    if database.exists():
        with pytest.raises(StoreError, match=r"-wal belongs to .* is gone"):
            connect_to_read(recorded.directory)
    assert recorded.log.read_bytes() == log
    database.write_bytes(before)
    assert reopened(recorded.directory) == numbered(1, sum(SIZES))
