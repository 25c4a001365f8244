"""Snapshots: the whole state of the scheduler in the database, so that a restart reads less.

A snapshot is a row in ``snapshots`` and its content in ``chunks``, both written piece by piece in
small transactions, so that the service's own commits slip in between.  It counts from the moment
its row is marked complete.  That comes last, after the content was read back and compared with
its checksum, so a crash at any step leaves at worst an incomplete snapshot, which is ignored and
removed.  One is removed by its row, at a stroke, which also stops whoever may still write it; the
chunks that are then without a row are deleted a few at a time.

None is begun that the disk may have no room for.  It would fill the disk, and the next event would
stop the service, which could not start again before somebody has made room.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import structlog

from uwfq_service.store.codec import STATE_VERSION, decode_state
from uwfq_service.store.errors import NoRoom
from uwfq_service.store.schema import Connection, transaction

#: Bytes per chunk.  A transaction that writes one holds the service's commits up for about a
#: millisecond, and for some more where the log is checkpointed by it.
CHUNK_BYTES: Final = 256 * 1024

#: Times its own size that a snapshot may take: in the write-ahead log and then in the database.
ROOM: Final = 2

log = structlog.get_logger(__name__)


class SnapshotDiscarded(Exception):
    """The snapshot was removed while it was being written: another service has taken over."""


class Snapshot(NamedTuple):
    """A row of ``snapshots``."""

    id: int
    #: Covers the events up to this number, the last of which happened at ``at`` (seconds).
    sequence: int
    at: float
    version: int
    bytes: int
    crc32: int


class LoadedSnapshot(NamedTuple):
    """The newest usable snapshot, decoded."""

    id: int
    sequence: int
    at: float
    bytes: int
    state: dict[str, Any]


def _nothing() -> None:
    """Stand in for a pause that is not needed."""


def write_snapshot(
    connection: Connection,
    sequence: int,
    at: float,
    content: bytes,
    *,
    pause: Callable[[], None] = _nothing,
    chunk_bytes: int = CHUNK_BYTES,
) -> int:
    """Store ``content`` as the snapshot that covers the events up to ``sequence``; return its id.

    ``pause`` is called between transactions: to let others write, or to give up by raising.
    Raises ``NoRoom`` before anything is written.
    """
    _refuse_without_room(connection, ROOM * len(content))
    crc32 = zlib.crc32(content)
    with transaction(connection):
        cursor = connection.execute(
            "INSERT INTO snapshots (seq, at, version, bytes, crc32) VALUES (?, ?, ?, ?, ?)",
            (sequence, at, STATE_VERSION, len(content), crc32),
        )
    assert cursor.lastrowid is not None, "an INSERT has a rowid"
    snapshot = Snapshot(cursor.lastrowid, sequence, at, STATE_VERSION, len(content), crc32)
    pause()
    view = memoryview(content)
    for begin in range(0, len(content), chunk_bytes):
        _write_chunk(connection, snapshot.id, view[begin : begin + chunk_bytes])
        pause()
    if read_content(connection, snapshot) is None:
        raise SnapshotDiscarded(f"snapshot {snapshot.id} did not read back as it was written")
    pause()
    # Whatever the connection's mode, this commit reaches the disk, and all before it in the log.
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    connection.execute("PRAGMA synchronous = FULL")
    with transaction(connection):
        _expect_one(
            connection.execute("UPDATE snapshots SET complete = 1 WHERE id = ?", (snapshot.id,))
        )
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return snapshot.id


def _refuse_without_room(connection: sqlite3.Connection, needed: int) -> None:
    """Raise ``NoRoom`` if the disk and the free pages of the database have less than ``needed``."""
    # As bytes, for a path need not be text.
    (path,) = connection.execute("SELECT CAST(file AS BLOB) FROM pragma_database_list").fetchone()
    disk = os.statvfs(path)
    if not disk.f_blocks:
        return  # A file system that does not tell.
    (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    free = disk.f_bavail * disk.f_frsize + pages * page_bytes
    if free < needed:
        raise NoRoom(needed, free)


def _write_chunk(connection: Connection, snapshot_id: int, content: memoryview) -> None:
    with transaction(connection):
        # The row may be gone: see SnapshotDiscarded.  Then its chunks must not come back.
        _expect_one(
            connection.execute(
                "UPDATE snapshots SET chunks = chunks + 1 WHERE id = ?", (snapshot_id,)
            )
        )
        connection.execute(
            "INSERT INTO chunks (snapshot, content) VALUES (?, ?)", (snapshot_id, content)
        )


def _expect_one(cursor: sqlite3.Cursor) -> None:
    if cursor.rowcount != 1:
        raise SnapshotDiscarded("the snapshot was removed while it was being written")


def read_content(connection: sqlite3.Connection, snapshot: Snapshot) -> bytes | None:
    """Return the content of a snapshot, or ``None`` if it is not what was written."""
    rows = connection.execute(
        "SELECT content FROM chunks WHERE snapshot = ? ORDER BY id", (snapshot.id,)
    )
    content = b"".join(chunk for (chunk,) in rows)
    if len(content) != snapshot.bytes or zlib.crc32(content) != snapshot.crc32:
        return None
    return content


def complete_snapshots(connection: sqlite3.Connection) -> list[Snapshot]:
    """Return the complete snapshots, newest first."""
    rows = connection.execute(
        "SELECT id, seq, at, version, bytes, crc32 FROM snapshots WHERE complete"
        " ORDER BY seq DESC, id DESC"
    )
    return [Snapshot(*row) for row in rows]


def load_newest(connection: sqlite3.Connection) -> LoadedSnapshot | None:
    """Return the newest complete snapshot that reads back well; ``None``: there is none.

    A damaged one is passed over in favour of the one before it.  Whether the events that are left
    reach back so far, and up to where the damaged one stood, is for the caller to check.
    """
    for snapshot in complete_snapshots(connection):
        content = read_content(connection, snapshot)
        if content is not None:
            state = decode_state(snapshot.version, content)
            return LoadedSnapshot(
                snapshot.id, snapshot.sequence, snapshot.at, snapshot.bytes, state
            )
        log.error("snapshot_damaged", sequence=snapshot.sequence)
    return None


def discard_others(connection: Connection, snapshot_id: int) -> None:
    """Forget all snapshots but the given one: older, damaged and unfinished ones.

    Their content is left for ``drop_chunks``.  Whoever still writes one will give up.
    """
    with transaction(connection):
        connection.execute("DELETE FROM snapshots WHERE id <> ?", (snapshot_id,))


def drop_chunks(connection: Connection, chunks: int) -> int:
    """Delete at most ``chunks`` chunks of forgotten snapshots; return how many.

    One small transaction.
    """
    with transaction(connection):
        return connection.execute(
            "DELETE FROM chunks WHERE id IN (SELECT id FROM chunks"
            " WHERE snapshot NOT IN (SELECT id FROM snapshots) LIMIT ?)",
            (chunks,),
        ).rowcount
