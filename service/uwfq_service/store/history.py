"""History: events that the scheduler no longer needs and that reports still want.

When a snapshot covers an event, the event leaves ``events``.  Kinds that tell who submitted what,
when it ran and on how many slots move to ``history``, where they stay for a configured time and
number; the rest is deleted.  ``read_history`` yields what was kept and then what is still in the
journal, as one sequence.  ``uwfq simulate --from-journal`` replays it under other policies.

The oldest events go first, whatever they belong to.  So the first jobs in the history may lack
their beginning; a reader skips events of jobs and leases that it has not seen begin.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from uwfq_service.core import events
from uwfq_service.core.events import AnyEvent
from uwfq_service.store.codec import CODEC
from uwfq_service.store.schema import Connection, connect_to_read, reading_errors, transaction

HISTORY_KINDS: Final = tuple(
    CODEC.formats[event_type][0]
    for event_type in (
        events.PoolConfigured,
        events.UserSet,
        # How many slots there were.  A history may be older than the habit of keeping these three.
        events.WorkerJoined,
        events.WorkerLost,
        events.WorkerLeft,
        events.JobAdmitted,
        events.StagesAdded,
        events.StagesDropped,
        events.TasksLeased,
        events.TaskPlaced,
        events.TasksStarted,
        events.TasksFinished,
        events.TasksRan,
        events.TaskFailed,
        events.JobEnded,
    )
)
_IS_HISTORY: Final = f"kind IN ({', '.join(map(str, HISTORY_KINDS))})"

_READ: Final = (
    "SELECT seq, kind, version, record FROM history"  # noqa: S608 - holds numbers of ours only
    " WHERE seq > :after UNION ALL SELECT seq, kind, version, record FROM events"
    f" WHERE seq > :after AND {_IS_HISTORY} "
    "ORDER BY seq LIMIT :rows"
)
_KEEP: Final = f"INSERT INTO history SELECT * FROM events WHERE seq <= ? AND {_IS_HISTORY}"  # noqa: S608 - as above

READ_BATCH_RECORDS: Final = 2_000


def read_history(directory: Path) -> Iterator[AnyEvent]:
    """Yield the events that ``directory`` still has of the history's kinds, oldest first.

    Reads only, and may run beside a service: it then ends with an event that was on disk when it
    got there.  Raises ``StoreError``, at the first step, if the database cannot be read.
    """
    connection = connect_to_read(directory)
    try:
        after = 0
        # One statement sees both tables as of one moment, so an event on its way from one to the
        # other is seen once.
        while rows := _next_rows(connection, directory, after):
            for sequence, kind, version, record in rows:
                yield CODEC.decode(sequence, kind, version, record)
            after = rows[-1][0]
    finally:
        connection.close()


def _next_rows(
    connection: sqlite3.Connection, directory: Path, after: int
) -> list[tuple[int, int, int, bytes]]:
    with reading_errors(directory):
        return connection.execute(_READ, {"after": after, "rows": READ_BATCH_RECORDS}).fetchall()


def history_count(connection: sqlite3.Connection) -> int:
    """Return the number of events in ``history``; cheap, it is kept in ``meta``."""
    (count,) = connection.execute("SELECT value FROM meta WHERE key = 'history_records'").fetchone()
    return int(count)


def move_covered(connection: Connection, covered: int, rows: int) -> int:
    """Take the oldest events, at most ``rows`` and none after ``covered``, out of the journal.

    Returns how many left it.  One small transaction.
    """
    (first,) = connection.execute("SELECT min(seq) FROM events").fetchone()
    if first is None or first > covered:
        return 0
    last = min(covered, first + rows - 1)
    with transaction(connection):
        kept = connection.execute(_KEEP, (last,)).rowcount
        _add_to_count(connection, kept)
        return connection.execute("DELETE FROM events WHERE seq <= ?", (last,)).rowcount


def trim(connection: Connection, rows: int, *, keep_records: int, oldest: float) -> int:
    """Delete the oldest of history, at most ``rows``; return how many.  One small transaction.

    Those go that are more than ``keep_records`` or happened before the instant ``oldest``.
    """
    surplus = history_count(connection) - keep_records
    last = None
    front = connection.execute("SELECT seq, at FROM history ORDER BY seq LIMIT ?", (rows,))
    # Left open, it would hold on to a past that no transaction may begin with once others have
    # written.
    with closing(front):
        for position, (sequence, at) in enumerate(front):
            if position >= surplus and at >= oldest:
                break
            last = sequence
    if last is None:
        return 0
    with transaction(connection):
        gone = connection.execute("DELETE FROM history WHERE seq <= ?", (last,)).rowcount
        _add_to_count(connection, -gone)
    return gone


def _add_to_count(connection: sqlite3.Connection, change: int) -> None:
    connection.execute("UPDATE meta SET value = value + ? WHERE key = 'history_records'", (change,))
