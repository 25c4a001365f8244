"""One user's launchable jobs in the order of the user, for ``uwfq.py``.

Three heaps: jobs that the user's serial server has yet to finish, by their turns; those whose D is
fixed; and, behind both, those that have been *probed*: nothing is known of such a job but a guess,
its first task runs, and what that task takes will say what the others cost.

Entries that have become false stay until they surface.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Final

from uwfq_service.core.model import insert_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uwfq_service.core.model import Job
    from uwfq_service.core.stage import Stage
    from uwfq_service.core.user_clock import JobClock, JobKey, UserClock

#: A user's head in the order of the pool: whether it waits for its probe, slots that the user runs
#: on per unit of weight (0, unless the job is unseen), D, job number, queue.
Entry = tuple[bool, Any, Any, int, "UserQueue"]
HEAD_FIELDS: Final = 5


class UserQueue:
    """One user's clock and launchable jobs."""

    __slots__ = (
        "clock",
        "entry",
        "entry_unseen",
        "fixed",
        "head",
        "launchable",
        "narrow",
        "probed",
        "stale",
        "unseen",
        "unserved",
    )

    def __init__(self, clock: UserClock) -> None:
        self.clock = clock
        #: Launchable jobs that the serial server has yet to finish, by their turns.
        self.unserved: list[JobKey] = []
        #: Launchable jobs whose D is fixed, by (D, number).
        self.fixed: list[tuple[Any, int, JobClock]] = []
        #: Launchable jobs that wait for the result of their probe, by their numbers.
        self.probed: list[tuple[int, JobClock]] = []
        #: Number of launchable jobs; the heaps may hold more.
        self.launchable = 0
        #: How many of them are unseen.
        self.unseen = 0
        self.head: JobClock | None = None
        #: The head's valid entry in the pool's order.
        self.entry: Entry | None = None
        #: Whether that lies among the unseen ones.
        self.entry_unseen = False
        #: The same user's queues in narrow orders.
        self.narrow: list[NarrowQueue] = []
        #: Whether head and entry are to be found anew before anybody looks at them.
        self.stale = False

    @property
    def clock_of_head(self) -> JobClock:
        """The head, of a queue that has an entry."""
        assert self.head is not None, "an entry has a head"
        return self.head

    @property
    def first_stage(self) -> Stage:
        """Of the head, the stage that goes first."""
        job: Job = self.clock_of_head.job
        return job.stages[job.offered[0]]

    def push(self, job: JobClock) -> None:
        """Put a launchable job where it belongs."""
        if job.probed:
            heappush(self.probed, (job.number, job))
        elif job.chained:
            assert job.turn is not None, "a job in the chain has a turn"
            heappush(self.unserved, job.turn)
        else:
            heappush(self.fixed, (job.deadline, job.number, job))
        entries = len(self.unserved) + len(self.fixed) + len(self.probed)
        if entries > 2 * self.launchable + 64:
            self._compact()

    def take_displaced(self) -> None:
        """Put those where they belong that time or a correction has moved meanwhile."""
        displaced = self.clock.displaced
        while displaced:
            job = displaced.pop()
            if job.launchable:
                self.push(job)
                for queue in self.narrow:
                    if job.number in queue.offered:
                        queue.push(job)

    def best(self) -> tuple[Any, int, JobClock] | None:
        """The most urgent launchable job as (D, number, job)."""
        if self.clock.displaced:
            self.take_displaced()
        return self._first(self.unserved, self.fixed) or self._best_probed()

    def _first(
        self, unserved: list[JobKey], fixed: list[tuple[Any, int, JobClock]]
    ) -> tuple[Any, int, JobClock] | None:
        """The most urgent job of two heaps, which lose what has become false on top."""
        clock = self.clock
        while unserved and not self._is_unserved(unserved[0]):
            heappop(unserved)
        while fixed and not self._is_fixed(fixed[0]):
            heappop(fixed)
        best = None
        if fixed:
            deadline, number, job = fixed[0]
            if deadline < clock.debt_end:
                deadline = clock.debt_end
            best = (deadline, number, job)
        if unserved:
            job = unserved[0][2]
            candidate = (clock.deadline(job), job.number, job)
            if best is None or candidate < best:
                return candidate
        return best

    def _best_probed(self) -> tuple[Any, int, JobClock] | None:
        """Of the jobs that wait for their probes the one that came first."""
        probed = self.probed
        while probed and not self._is_probed(probed[0]):
            heappop(probed)
        if not probed:
            return None
        number, job = probed[0]
        return self._urgency(job), number, job

    def _urgency(self, job: JobClock) -> Any:
        """D of a job, or when the user's debt is worked off, whichever is later."""
        return max(self.clock.deadline(job), self.clock.debt_end)

    def in_any_order(self) -> list[JobClock]:
        """All launchable jobs.  O(n)."""
        self.take_displaced()
        jobs = {key[1]: key[2] for key in self.unserved}
        jobs.update((number, job) for _, number, job in self.fixed)
        jobs.update(self.probed)
        # The heaps hold others, too, and some twice.
        return [job for job in jobs.values() if job.launchable]

    def launchable_jobs(self) -> Iterator[tuple[Any, int, JobClock]]:
        """All launchable jobs as (D, number, job), most urgent first.

        O(n) for the first, and O(log n) for each that follows.  A job that is launched, or comes to
        another place, while they are told may be left out.
        """
        self.take_displaced()
        unserved, fixed = self.unserved.copy(), self.fixed.copy()
        told: set[int] = set()
        while (first := self._first(unserved, fixed)) is not None:
            _, number, job = first
            heappop(unserved if unserved and unserved[0][2] is job else fixed)
            if number not in told:
                told.add(number)
                yield first
        for number, job in sorted(entry for entry in self.probed if self._is_probed(entry)):
            if number not in told:
                told.add(number)
                yield self._urgency(job), number, job

    def _is_unserved(self, key: JobKey) -> bool:
        job = key[2]
        return job.turn is key and job.chained and job.launchable and not job.probed

    def _is_fixed(self, entry: tuple[Any, int, JobClock]) -> bool:
        job = entry[2]
        fixed = job.launchable and not job.chained and not job.probed
        return fixed and job.deadline == entry[0]

    def _is_probed(self, entry: tuple[int, JobClock]) -> bool:
        return entry[1].launchable and entry[1].probed

    def _compact(self) -> None:
        # Distinct jobs: one that was offered again may stand there twice.
        self.unserved = list({k[1]: k for k in self.unserved if self._is_unserved(k)}.values())
        self.fixed = list({e[1]: e for e in self.fixed if self._is_fixed(e)}.values())
        self.probed = list({e[0]: e for e in self.probed if self._is_probed(e)}.values())
        heapify(self.unserved)
        heapify(self.fixed)
        heapify(self.probed)


class NarrowQueue(UserQueue):
    """One user's launchable jobs in a narrow order: those with a stage that it holds."""

    __slots__ = ("_main", "offered")

    def __init__(self, main: UserQueue) -> None:
        """``main`` is the user's queue of all launchable jobs."""
        super().__init__(main.clock)
        self._main = main
        main.narrow.append(self)
        #: Job number -> indices of the job's stages, ascending.
        self.offered: dict[int, list[int]] = {}

    @property
    def first_stage(self) -> Stage:
        job: Job = self.clock_of_head.job
        return job.stages[self.offered[job.number][0]]

    def add(self, job: Job, index: int) -> bool:
        """A stage of ``job`` is offered; whether that may concern the head."""
        indices = self.offered.get(job.number)
        if indices is not None:
            insert_index(indices, index)
            return False
        self.offered[job.number] = [index]
        self.launchable += 1
        self.push(job.policy_state)
        return True

    def remove(self, job: Job, index: int) -> bool:
        """A stage of ``job`` is not offered any more; whether that concerns the head."""
        indices = self.offered[job.number]
        indices.remove(index)
        if indices:
            return False
        del self.offered[job.number]
        self.launchable -= 1
        return self.head is job.policy_state

    def close(self) -> None:
        """The narrow order is given up, or the user is forgotten."""
        self._main.narrow.remove(self)
        # Which names the queue.
        self.entry = None

    def take_displaced(self) -> None:
        self._main.take_displaced()

    def _is_unserved(self, key: JobKey) -> bool:
        return key[1] in self.offered and super()._is_unserved(key)

    def _is_fixed(self, entry: tuple[Any, int, JobClock]) -> bool:
        return entry[1] in self.offered and super()._is_fixed(entry)

    def _is_probed(self, entry: tuple[int, JobClock]) -> bool:
        return entry[0] in self.offered and super()._is_probed(entry)
