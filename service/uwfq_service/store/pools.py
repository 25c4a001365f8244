"""The pools of a data directory as they stand: their slots, and their users' weights.

A report wants no more than that, so the scheduler is not brought back to life: the newest snapshot
tells how the pools stood, and the few events since then that are about pools tell the rest.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from uwfq_service.core import events
from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.store.codec import CODEC
from uwfq_service.store.errors import JournalDamaged
from uwfq_service.store.schema import connect_to_read, reading_errors
from uwfq_service.store.snapshot import complete_snapshots, load_newest

_KINDS: Final = tuple(
    CODEC.formats[event_type][0]
    for event_type in (
        events.PoolConfigured,
        events.UserSet,
        events.WorkerJoined,
        events.WorkerLost,
        events.WorkerLeft,
    )
)
_SINCE: Final = (
    "SELECT seq, kind, version, record FROM events"  # noqa: S608 - holds numbers of ours only
    f" WHERE seq > ? AND kind IN ({', '.join(map(str, _KINDS))}) ORDER BY seq"
)


class PoolRecord(msgspec.Struct, kw_only=True):
    """One pool as of the last event on disk."""

    #: ``None``: as many as its workers announce.
    fixed_slots: int | None = None
    #: Slots of each live worker.
    workers: dict[str, int] = {}
    #: Of the users whose weight is known; all others have weight 1.
    weights: dict[str, float] = {}


def read_pools(directory: Path) -> dict[str, PoolRecord]:
    """The pools of ``directory`` by name.

    Reads only, and may run beside a service.  Raises ``StoreError`` if the database cannot be read
    or has a gap.  O(snapshot + tail).
    """
    with closing(connect_to_read(directory)) as connection, reading_errors(directory):
        # One moment for both: a compaction must not clear away what leads on from the snapshot.
        connection.execute("BEGIN")
        snapshot = load_newest(connection)
        covered = snapshot.sequence if snapshot else 0
        _refuse_a_gap(connection, covered)
        pools = _pools_in(snapshot.state) if snapshot else {}
        for row in _since(connection, covered):
            _evolve(pools, CODEC.decode(*row))
        return pools


def _refuse_a_gap(connection: sqlite3.Connection, covered: int) -> None:
    """Raise ``JournalDamaged`` if the events do not lead on from ``covered``, past all damage."""
    newest = max((snapshot.sequence for snapshot in complete_snapshots(connection)), default=0)
    first, last = connection.execute(
        "SELECT min(seq), max(seq) FROM events WHERE seq > ?", (covered,)
    ).fetchone()
    if first not in {None, covered + 1} or (last or covered) < newest:
        raise JournalDamaged(
            f"the snapshot of record {newest} cannot be read"
            if covered < newest
            else f"the journal has no record {covered + 1}"
        )


def _since(connection: sqlite3.Connection, sequence: int) -> list[tuple[int, int, int, bytes]]:
    return connection.execute(_SINCE, (sequence,)).fetchall()


def _pools_in(state: dict[str, Any]) -> dict[str, PoolRecord]:
    """The pools of a dumped state; ``core/image.py`` says how they lie there."""
    return {
        pool["name"]: PoolRecord(
            fixed_slots=pool["fixed_slots"],
            workers={name: slots for name, slots, *_ in pool["workers"]},
            weights={name: weight / WEIGHT_SCALE for _, name, weight, *_ in pool["users"]},
        )
        for pool in state["pools"]
    }


def _evolve(pools: dict[str, PoolRecord], event: events.AnyEvent) -> None:
    match event:
        case events.PoolConfigured():
            pools.setdefault(event.pool, PoolRecord()).fixed_slots = event.fixed_slots
        case events.UserSet():
            pools[event.pool].weights[event.user] = event.weight
        case events.WorkerJoined():
            pools[event.pool].workers[event.worker] = event.slots
        case events.WorkerLost() | events.WorkerLeft():
            pools[event.pool].workers.pop(event.worker, None)
