"""What falls due when: one heap for all timers of a scheduler.

A timer is a reminder to look, not a promise that something happens.  A lease that is renewed or
finished leaves its timer where it is; whoever handles the timer looks at the lease and sets another
one if it is not due yet.  So renewing costs nothing here, and a heap that has collected too many
reminders of things long past is rebuilt from what is alive.  Looks for overruns, which every launch
may bring forward, are told apart from those that replaced them, so that nobody is woken in vain.
"""

from __future__ import annotations

import enum
from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class TimerKind(enum.IntEnum):
    """What to look at."""

    #: Item: (first lease id, number of leases).  Have they expired?  Each live lease is in one.
    LEASES = 0
    #: Item: a lease.  Has it run over its time limit?
    LIMIT = 1
    #: Item: (stage, task).  Has the task waited out its backoff?
    RETRY = 2
    #: Item: a worker.  Has it been silent for too long?
    WORKER = 3
    #: Item: a job.  Does it cost more than it is charged for?
    OVERRUN = 4
    #: Item: ``None``.  Which finished jobs are to be forgotten?
    RETENTION = 5


#: Looking up a member of an enum costs as much as two calls under Python 3.11.
_OVERRUN: Final = TimerKind.OVERRUN


class Timers:
    """A heap of (instant, serial, kind, item)."""

    __slots__ = ("_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[Any, int, TimerKind, Any]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, at: Any, kind: TimerKind, item: Any) -> None:
        """Look at ``item`` at the instant ``at``; at infinity there is nothing to see."""
        if at == inf:
            return
        self._serial += 1
        heappush(self._heap, (at, self._serial, kind, item))

    def due(self, now: Any) -> Iterator[tuple[TimerKind, Any]]:
        """Take out what is due by ``now``, earliest first; timers set meanwhile count."""
        while (at := self.next_at()) is not None and at <= now:
            _, _, kind, item = heappop(self._heap)
            yield kind, item

    def next_at(self) -> Any | None:
        """When something is due next; ``None``: never.  O(log n), amortised."""
        heap = self._heap
        while heap:
            at, _, kind, item = heap[0]
            if kind is not _OVERRUN or item.overrun_timer == at:
                return at
            # Another one has taken its place, or the job has ended.
            heappop(heap)
        return None

    def items(self, kind: TimerKind) -> Iterator[Any]:
        """What is to be looked at of one kind, in no order; for checks.  O(n)."""
        return (entry[3] for entry in self._heap if entry[2] is kind)

    def keep(self, alive: Callable[[TimerKind, Any], bool]) -> None:
        """Drop the timers whose item is not alive.  O(n)."""
        self._heap = [entry for entry in self._heap if alive(entry[2], entry[3])]
        heapify(self._heap)
