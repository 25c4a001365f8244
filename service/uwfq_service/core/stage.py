"""One stage of a job: which of its tasks wait, and in which order they are launched.

Waiting tasks have no objects of their own.  A stage launches its tasks in a fixed *launch order*
(largest estimated work first) and remembers how far it has come, so a uniform stage of a million
tasks costs what a stage of one task costs, and an uneven one two packed arrays:

    launch order   0 1 2 3 4 5 6 7 ...
                   done or leased | waiting ->
                                  ^ cursor          (+ a sorted list of those that came back)

Only an engine that places tasks itself claims places beyond the cursor; a bit set notes them.

Units: work in slot-seconds, instants in seconds of the service's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sortedcontainers import SortedList

from uwfq_service.core import splitting

if TYPE_CHECKING:
    from uwfq_service.core.events import AdmittedStage
    from uwfq_service.core.model import Job, Lease


class Stage(msgspec.Struct, eq=False):
    """Tasks of a job that may run side by side.  Made by ``Stage.of``."""

    job: Job
    index: int
    #: One number for (job, stage); a job has fewer than 65,536 stages.
    key: int
    #: How it was admitted: what never changes.
    spec: AdmittedStage
    name: str
    task_count: int
    slots_per_task: int
    #: Estimated work of all tasks, slot-seconds.
    work: Any
    #: Work of the stage's attempts that have ended.
    measured: Any = 0.0
    done: int = 0
    #: Tasks that a lease could be granted on, once the stage is ready.
    waiting: int = 0
    #: Place in the launch order up to which every task has been claimed; its own has not.
    cursor: int = 0
    #: Places before the cursor that wait again.
    returned: SortedList[int] | None = None
    #: Bit set of the places beyond the cursor that an engine has claimed out of order.
    claimed: bytearray | None = None
    #: Task -> attempts so far, for tasks whose first attempt did not do.  (Where an engine counts
    #: them: the highest number that has ended.)
    attempts: dict[int, int] | None = None
    #: Task -> how many of these were lost before they began: they do not use up its attempts.
    unbegun: dict[int, int] | None = None
    #: Task -> (instant, place in the launch order) of its retry.
    backing_off: dict[int, tuple[Any, int]] | None = None
    #: Only where an engine places the tasks, which may run several attempts of one task at once:
    #: (task, attempt) -> its lease; task -> number of live attempts; tasks that are done while
    #: another attempt still runs.
    placed: dict[tuple[int, int], Lease] | None = None
    live: dict[int, int] | None = None
    won: set[int] | None = None
    #: Estimated work of the tasks that the stage's engine will not run; ``None``: it runs them all.
    dropped_work: Any = None
    #: Nothing of it is to be waited for any more: every task is done, or was dropped.
    over: bool = False
    #: Number in the pool in which the stage became launchable (the n of Spark's ``TaskSet_<n>``).
    launch_serial: int = -1

    # Derived.
    #: Place -> task; ``None``: the identity.  An engine that places tasks itself has its own order.
    launch_order: memoryview | None = None
    #: Indices of the stages that wait for this one.
    dependents: list[int] | None = None
    #: Stages that are still to be done before this one.
    waits_for: int = 0
    ready: bool = False
    running: int = 0
    running_slots: int = 0
    #: Its live leases; ``None``: there are none.
    leases: dict[int, Lease] | None = None
    policy_state: Any = None

    @classmethod
    def of(cls, job: Job, index: int, spec: AdmittedStage) -> Stage:
        """The stage that was admitted as ``spec``."""
        stage = cls(
            job,
            index,
            job.number << 16 | index,
            spec,
            spec.stage,
            spec.task_count,
            spec.slots_per_task,
            spec.work,
            waiting=spec.task_count,
        )
        if spec.task_work and not job.engine_id:
            order = splitting.launch_order(spec.task_work)
            stage.launch_order = memoryview(order).cast("I") if order else None
        return stage

    @property
    def serial_name(self) -> str:
        """The name that Spark's FAIR scheduler would break ties by."""
        return f"TaskSet_{self.launch_serial}.0"

    def task_work(self, task: int) -> Any:
        """Estimated work of one task, slot-seconds."""
        if self.spec.task_work:
            return splitting.task_work(self.spec.task_work, task)
        return self.work / self.task_count

    def begun(self, task: int, attempt: int) -> int:
        """How many attempts at a task have begun, up to ``attempt``, which has begun, too."""
        return attempt - (self.unbegun or {}).get(task, 0)

    def task_range(self, task: int) -> tuple[int, int, int, int] | None:
        """The input range of one task: begin unit and offset, end unit and offset."""
        bounds = self.spec.bounds
        return splitting.task_range(bounds, task) if bounds else None

    def task_at(self, place: int) -> int:
        """The task at a place of the launch order."""
        return place if self.launch_order is None else self.launch_order[place]

    def next_tasks(self, count: int) -> tuple[int, ...]:
        """The tasks that are launched next, in order; at most ``count``.  Changes nothing."""
        if count == 1:
            return (self.task_at(self.returned[0] if self.returned else self.cursor),)
        if not self.returned and self.claimed is None and self.launch_order is None:
            return tuple(range(self.cursor, min(self.cursor + count, self.task_count)))
        places = self.returned[:count] if self.returned else []
        place = self.cursor
        while len(places) < count and place < self.task_count:
            if self.claimed is None:
                end = min(self.task_count, place + count - len(places))
                places.extend(range(place, end))
                break
            if not self.claimed[place >> 3] >> (place & 7) & 1:
                places.append(place)
            place += 1
        if self.launch_order is None:
            return tuple(places)
        return tuple(self.launch_order[place] for place in places)

    def claim_next(self) -> int:
        """Take the next place out of the waiting ones; there must be one.

        Not of a stage whose tasks an engine places.
        """
        if self.returned:
            place = self.returned[0]
            self.claim(place)
            return place
        place = self.cursor
        self.cursor = place + 1
        self.waiting -= 1
        return place

    def claim(self, place: int) -> None:
        """Take a place out of the waiting ones, in order or (an engine) out of it."""
        self.waiting -= 1
        returned = self.returned
        if returned and place in returned:
            returned.remove(place)
        elif place == self.cursor:
            self.cursor = place + 1
            if self.claimed is not None:
                self._skip_claimed()
        else:
            assert place > self.cursor, "only a waiting place can be claimed"
            if self.claimed is None:
                self.claimed = bytearray((self.task_count + 7) >> 3)
            self.claimed[place >> 3] |= 1 << (place & 7)

    def is_waiting(self, place: int) -> bool:
        """Whether a place has not been claimed, or has come back.  O(log(returned))."""
        if self.returned and place in self.returned:
            return True
        if place < self.cursor:
            return False
        return self.claimed is None or not self.claimed[place >> 3] >> (place & 7) & 1

    def give_back(self, place: int) -> None:
        """Let a claimed place wait again."""
        self.waiting += 1
        if self.returned is None:
            self.returned = SortedList()
        self.returned.add(place)

    def drop(self) -> Any:
        """Let no task wait any more; what they were estimated at, slot-seconds.  O(waiting)."""
        if self.spec.task_work:
            dropped = sum(self.task_work(task) for task in self.next_tasks(self.waiting))
        else:
            dropped = self.work * self.waiting / self.task_count
        self.waiting, self.cursor = 0, self.task_count
        self.returned = self.claimed = None
        return dropped

    def _skip_claimed(self) -> None:
        claimed = self.claimed
        assert claimed is not None, "called only with a bit set"
        while self.cursor < self.task_count:
            if not claimed[self.cursor >> 3] >> (self.cursor & 7) & 1:
                return
            self.cursor += 1
        self.claimed = None

    def __repr__(self) -> str:
        return f"Stage({self.job.job_id!r}, {self.name!r})"
