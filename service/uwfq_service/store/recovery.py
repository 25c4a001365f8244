"""From what is stored back to a scheduler: the newest snapshot, then the tail.

The service does this at start, and the compaction process does it to make the next snapshot.
Events are read in batches that each see the database as of one moment.  Between batches nothing
is held, so the write-ahead log can be recycled meanwhile; what lies between a snapshot and the
end of the journal never changes.
"""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings
from uwfq_service.store.codec import CODEC
from uwfq_service.store.errors import JournalDamaged
from uwfq_service.store.journal import Jitter
from uwfq_service.store.snapshot import complete_snapshots, load_newest

BATCH_RECORDS: Final = 2_000


class Restored(NamedTuple):
    """A scheduler and how far it got."""

    scheduler: Scheduler
    #: Number and instant (seconds) of the last event in it.
    sequence: int
    at: float
    #: The snapshot it began with: its id, the events it covers and its size.  0: none.
    snapshot_id: int
    snapshot_sequence: int
    snapshot_bytes: int
    #: What was replayed after that.
    records: int
    record_bytes: int


def _nothing() -> None:
    """Stand in for a pause that is not needed."""


def restore(
    connection: sqlite3.Connection,
    settings: Settings,
    jitter: Jitter,
    *,
    scheduler_type: type[Scheduler] = Scheduler,
    through: int | None = None,
    pause: Callable[[], None] = _nothing,
) -> Restored:
    """Return the scheduler as of the event numbered ``through``; ``None``: as of the last one.

    ``pause`` is called now and then and may give up by raising.  Raises ``StoreError`` if what is
    stored cannot be read or has a gap.
    """
    newest = max((snapshot.sequence for snapshot in complete_snapshots(connection)), default=0)
    snapshot = load_newest(connection)
    pause()
    sequence = begin = snapshot.sequence if snapshot else 0
    at = snapshot.at if snapshot else 0.0
    if snapshot:
        scheduler = scheduler_type.load(snapshot.state, settings, jitter=jitter)
    else:
        scheduler = scheduler_type(settings, jitter=jitter)
    record_bytes = 0
    # Looked up once: this loop runs for every event since the snapshot.
    replay, decode = scheduler.replay, CODEC.decode
    for rows in _batches(connection, sequence, through):
        pause()
        for number, kind, version, record in rows:
            sequence += 1
            if number != sequence:
                raise JournalDamaged(f"the journal has no record {sequence}")
            event = decode(number, kind, version, record)
            replay(event)
            record_bytes += len(record)
            at = event.at
    if sequence < newest:
        # The newest snapshot is damaged and the events that would make up for it are gone.
        raise JournalDamaged(f"the snapshot of record {newest} cannot be read")
    return Restored(
        scheduler=scheduler,
        sequence=sequence,
        at=at,
        snapshot_id=snapshot.id if snapshot else 0,
        snapshot_sequence=begin,
        snapshot_bytes=snapshot.bytes if snapshot else 0,
        records=sequence - begin,
        record_bytes=record_bytes,
    )


def _batches(
    connection: sqlite3.Connection, after: int, through: int | None
) -> Iterator[list[tuple[int, int, int, bytes]]]:
    """Yield the events after one number and up to another, in lists."""
    last = 2**63 - 1 if through is None else through
    while True:
        rows = connection.execute(
            "SELECT seq, kind, version, record FROM events"
            " WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            (after, last, BATCH_RECORDS),
        ).fetchall()
        if not rows:
            return
        yield rows
        after = rows[-1][0]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Run the body without the garbage collector, then put what it made out of its sight.

    Recovery makes millions of objects and no garbage to speak of, and so does a last snapshot.
    Left alone, the collector would walk all of them many times now (that doubles the time), and
    stop the service for seconds now and then later.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
