"""The journal: what was decided, in order, on disk before anyone hears of it.

Picture a book with one line per event.  The engine's loop thread writes lines with ``append`` and
goes on; another thread carries them to disk, as many at a time as have gathered.  When a line is
safe there, the loop hears ``on_durable(its number)`` and may let out what depends on it.  Numbers
start at 1 and have no gaps.

Now and then a *snapshot* of the whole scheduler replaces the lines up to some number.  A restart
is the newest snapshot plus the *tail*, the lines after it.

Two journals pass the same tests: ``SqliteJournal`` keeps state across restarts, ``MemoryJournal``
forgets it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from uwfq_service.core.commands import Record
from uwfq_service.core.events import AnyEvent
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings

#: Spreads retries; see ``Scheduler``.
Jitter = Callable[[], float]


class Recovery(Record, frozen=True, kw_only=True):
    """What a journal held when it was opened."""

    #: Stands where the last durable event left it; the caller goes on with ``recover(now)``.
    scheduler: Scheduler
    #: Number of the last event, 0: there was none.
    sequence: int = 0
    #: When the last event happened, seconds; the service's clock must not go back behind it.
    instant: float = 0.0
    #: Events up to here came out of a snapshot.
    snapshot_sequence: int = 0
    #: Events replayed after the snapshot.
    records: int = 0
    #: How long all of it took.
    seconds: float = 0.0


class JournalStats(Record, frozen=True, kw_only=True):
    """Numbers for metrics, counted since the journal was opened where not said otherwise."""

    #: Number of the last event appended, and of the last one known to be on disk.
    appended: int
    durable: int
    commits: int = 0
    #: Events and bytes after the newest snapshot, from before the start too.
    tail_records: int = 0
    tail_bytes: int = 0
    #: Size of the newest snapshot.
    snapshot_bytes: int = 0
    snapshots: int = 0
    #: Attempts at a snapshot, or at clearing what it covers, that failed and will be repeated.
    snapshot_failures: int = 0
    #: Events in the history table.
    history_records: int = 0


class Journal(Protocol):
    """Keeps events.  All methods and callbacks belong to the thread of the event loop.

    The order of calls: ``recover`` once, set the callbacks, ``append`` at will, ``close`` once.
    """

    #: Called with a number when the events up to it are on disk; once per commit.
    on_durable: Callable[[int], None]
    #: Called once, when events could not be written.  Nothing becomes durable after it; the
    #: service has to stop.
    on_failure: Callable[[BaseException], None]

    @property
    def durable(self) -> int:
        """The number that ``on_durable`` was called with last; before that, what was recovered."""

    def recover(self, settings: Settings, jitter: Jitter) -> Recovery:
        """Return the scheduler as of the last durable event.  Blocks for as long as that takes.

        Raises ``StoreError`` if what is stored cannot be read.
        """

    def append(self, events: Sequence[AnyEvent]) -> int:
        """Hand events over for writing and return the number of the last one.

        After a crash all events of one call are there or none: give it whatever one command
        decided, or several commands.
        Never blocks and never raises for the disk's sake: after a failure events go nowhere and
        the news comes by ``on_failure``.  With no events it returns the last number given out.
        Events wait in memory until they are written, so the caller must limit how far ``append``
        runs ahead of ``durable``.
        """

    def stats(self) -> JournalStats:
        """Return counters; cheap."""

    def close(self, scheduler: Scheduler | None = None) -> None:
        """Write what was appended, then a snapshot of ``scheduler`` if given, and let go.

        ``scheduler`` must stand at the last event appended.  Blocks; when it returns, every
        callback has been made.  A failure to write the snapshot is only logged: the events are
        enough.  Closing twice does nothing.
        """
