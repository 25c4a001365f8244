"""The users' heads in the order of a pool, for ``uwfq.py``.

A user's head is the first launchable job of the user's queue.  Known heads wait in one heap, those
of unseen jobs and those that wait for their probes in another, and a rule says which of the two
tops goes first.  A *narrow order* does the same for those launchable jobs alone that have a stage
whose tasks need no more than so many slots.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.policy.base import NarrowOrder
from uwfq_service.core.policy.user_queue import Entry, NarrowQueue, UserQueue

if TYPE_CHECKING:
    from uwfq_service.core.model import Job, User
    from uwfq_service.core.stage import Stage
    from uwfq_service.core.user_clock import JobClock
    from uwfq_service.core.virtual_time import FluidClock

Q = TypeVar("Q", bound=UserQueue)


class HeadOrder(Generic[Q]):
    """Finds the stage that goes first: of the head that does."""

    def __init__(self, clock: FluidClock, *, trusts_estimates: bool) -> None:
        self._clock = clock
        self._trusts_estimates = trusts_estimates
        self._queues: dict[int, Q] = {}
        #: Heaps of the users' heads, those of unseen jobs apart; an entry is valid if it is the
        #: queue's ``entry``.
        self._heads: list[Entry] = []
        self._unseen: list[Entry] = []
        self._stale: list[Q] = []

    def forget_user(self, user: User) -> None:
        """``user``, of whom nothing is launchable, is not remembered any more."""
        self._queues.pop(user.number, None)

    def _is_unseen(self, job: Job) -> bool:
        """Whether a job's deadline is no more than a guess; the paper trusts its estimates."""
        if not job.guessed or self._trusts_estimates:
            return False
        probed: bool = job.policy_state.probed
        return probed or job.unseen

    def _ratio(self, job: Job) -> Any:
        """Slots that the user runs on per unit of weight, which counts for an unseen job alone."""
        if not job.unseen or self._trusts_estimates:
            return 0
        return job.user.running_slots * WEIGHT_SCALE / job.user.weight

    def first(self) -> Stage | None:
        """The stage that goes first; ``None``: there is none."""
        if self._stale:
            self._refresh()
        entry = _top(self._heads)
        if self._unseen and (unseen := _top(self._unseen)) is not None:
            user = unseen[4].clock_of_head.job.user
            if entry is None or not self._goes_first(entry, unseen, user):
                entry = unseen
        return None if entry is None else entry[4].first_stage

    def _goes_first(self, known: tuple[Any, ...], unseen: tuple[Any, ...], user: User) -> bool:
        """Whether a known head goes before an unseen one of ``user``.

        It does if it is more urgent, if the user has its share of the slots, or if the unseen one
        waits for its probe.
        """
        if unseen[0]:
            return True
        clock = self._clock
        # In whole numbers, for at equality rounding would decide.
        if user.running_slots * clock.active_weight >= clock.slots * user.weight:
            return True
        return known[2:4] < unseen[2:4]

    def _mark(self, queue: Q) -> None:
        """Something has changed that may concern the user's head."""
        if not queue.stale:
            queue.stale = True
            self._stale.append(queue)

    def _refresh(self) -> None:
        """Find the heads anew of those users for whom something has changed."""
        for queue in self._stale:
            queue.stale = False
            self._rekey(queue)
        self._stale.clear()

    def _rekey(self, queue: UserQueue) -> None:
        """Find the user's head and give it its place in the pool's order.

        A paused user has none.
        """
        best = queue.best()
        if best is None or best[2].job.user.paused:
            queue.head = queue.entry = None
            return
        deadline, number, clock = best
        entry, ratio, unseen = queue.entry, self._ratio(clock.job), self._is_unseen(clock.job)
        if (
            entry is not None
            and queue.head is clock
            and entry[:3] == (clock.probed, ratio, deadline)
            and queue.entry_unseen == unseen
        ):
            return
        queue.head = clock
        queue.entry_unseen = unseen
        queue.entry = (clock.probed, ratio, deadline, number, queue)
        heap = self._unseen if unseen else self._heads
        heappush(heap, queue.entry)
        if len(heap) > 2 * len(self._queues) + 64:
            heap[:] = [e for e in heap if e[4].entry is e]
            heapify(heap)


class NarrowHeads(HeadOrder[NarrowQueue], NarrowOrder):
    """The heads of what some narrow order holds."""

    def add(self, stage: Stage) -> None:
        user = stage.job.user
        queue = self._queues.get(user.number)
        if queue is None:
            queue = self._queues[user.number] = NarrowQueue(user.policy_state)
        if queue.add(stage.job, stage.index):
            self._mark(queue)

    def remove(self, stage: Stage) -> None:
        queue = self._queues[stage.job.user.number]
        if queue.remove(stage.job, stage.index):
            self._mark(queue)

    def holds(self, user: User) -> bool:
        queue = self._queues.get(user.number)
        return queue is not None and bool(queue.offered)

    def pause_changed(self, user: User) -> None:
        self.user_changed(user.number, None)

    def forget_user(self, user: User) -> None:
        queue = self._queues.pop(user.number, None)
        if queue is not None:
            queue.close()

    def user_changed(self, user: int, job: JobClock | None) -> None:
        """Something has changed that may concern the user's head; ``job`` has another place."""
        queue = self._queues.get(user)
        if queue is not None:
            if job is not None and job.number in queue.offered:
                queue.push(job)
            self._mark(queue)

    def close(self) -> None:
        for queue in self._queues.values():
            queue.close()


def _top(heap: list[Entry]) -> Entry | None:
    """The first valid entry of a heap of heads."""
    while heap:
        entry = heap[0]
        if entry[4].entry is entry:
            return entry
        heappop(heap)
    return None
