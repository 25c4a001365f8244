"""Folds the events of a history into jobs: what was submitted, and what was measured of it.

The oldest events of a history may belong to jobs whose beginning is gone, and events of other pools
lie in between: whatever names a job or a lease that was not seen to begin is passed over.

Units: instants in seconds of the service's clock, runtimes in seconds.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from uwfq_service.core import events as ev
from uwfq_service.core.events import AdmittedStage, AnyEvent, JobAdmitted

#: Stands for a task that has not finished: no runtime is negative.
UNFINISHED: Final = -1.0


@dataclasses.dataclass(slots=True)
class RecordedStage:
    """One stage as it was cut, and how long its tasks ran."""

    spec: AdmittedStage
    #: Indices of the stages that it waited for.
    after: tuple[int, ...]
    #: Seconds from the end of those to its addition.
    delay: float
    runtimes: array[float]
    #: Tasks that have not finished, and when the last one did.
    left: int
    done_at: float | None = None

    @property
    def has_work(self) -> bool:
        """Whether any task has finished."""
        return self.left < self.spec.task_count

    @property
    def finished(self) -> list[float]:
        """The runtimes of the tasks that have finished, in the order of the tasks."""
        return [runtime for runtime in self.runtimes if runtime >= 0]


@dataclasses.dataclass(slots=True)
class RecordedJob:
    """One job of the pool."""

    admitted: JobAdmitted
    stages: list[RecordedStage] = dataclasses.field(default_factory=list)
    #: (stage, task, attempt) -> the lease that runs it; leases are told apart by the task alone.
    live: dict[tuple[int, int, int], int] = dataclasses.field(default_factory=dict)

    @property
    def has_work(self) -> bool:
        """Whether any task has finished."""
        return any(stage.has_work for stage in self.stages)


class Recorder:
    """Feed it a history, oldest event first; then read ``ended`` and the rest off it."""

    def __init__(self, pool: str) -> None:
        self.pool = pool
        #: By number: jobs that have not ended.
        self.unfinished: dict[int, RecordedJob] = {}
        self.ended: list[RecordedJob] = []
        #: Ends of jobs that were not seen to begin.
        self.cut_off = 0
        #: Number of the first job that was seen to begin, in any pool.
        self._first: int | None = None
        #: Lease -> the attempt that it is for.
        self._attempts: dict[int, tuple[RecordedJob, tuple[int, int, int]]] = {}
        self._occupied = 0
        self._peak = 0
        #: (instant, worker, slots from then on).
        self._workers: list[tuple[float, str, int]] = []
        self._end = 0.0
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.WorkerJoined: self._worker_joined,
            ev.WorkerLost: self._worker_gone,
            ev.WorkerLeft: self._worker_gone,
            ev.JobAdmitted: self._job_admitted,
            ev.StagesAdded: self._stages_added,
            ev.StagesDropped: self._stages_dropped,
            ev.TasksLeased: self._tasks_leased,
            ev.TaskPlaced: self._task_placed,
            ev.TasksFinished: self._tasks_finished,
            ev.TasksRan: self._tasks_ran,
            ev.TaskFailed: self._task_failed,
            ev.JobEnded: self._job_ended,
        }

    def note(self, event: AnyEvent) -> None:
        """Take in the next event."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    # -- jobs -----------------------------------------------------------------------------------

    def _job_admitted(self, event: JobAdmitted) -> None:
        if self._first is None:
            self._first = event.job
        if event.pool == self.pool:
            job = self.unfinished[event.job] = RecordedJob(event)
            job.stages += [_stage(spec, spec.after, 0.0) for spec in event.stages]

    def _stages_added(self, event: ev.StagesAdded) -> None:
        job = self.unfinished.get(event.job)
        if job is None:
            return
        known = job.stages[:]
        for spec in event.stages:
            after = spec.after
            if not after and all(stage.done_at is not None for stage in known):
                after = _last_of(known)
            job.stages.append(_stage(spec, after, _delay(job, known, after, event.at)))

    def _stages_dropped(self, event: ev.StagesDropped) -> None:
        if (job := self.unfinished.get(event.job)) is not None:
            for index in event.stages:
                # Nobody waits for it any longer; what ran of it is what there is.
                stage = job.stages[index]
                stage.done_at = event.at if stage.done_at is None else stage.done_at

    def _job_ended(self, event: ev.JobEnded) -> None:
        if self._first is None or event.job < self._first:
            self.cut_off += 1
        job = self.unfinished.pop(event.job, None)
        if job is None:
            return
        for lease in list(job.live.values()):
            self._release(lease)
        self.ended.append(job)
        self._end = event.at

    # -- tasks ----------------------------------------------------------------------------------

    def _tasks_leased(self, event: ev.TasksLeased) -> None:
        if (job := self.unfinished.get(event.job)) is not None:
            for lease, task in enumerate(event.tasks, start=event.lease_id):
                self._hold(lease, job, (event.stage, task, 0))

    def _task_placed(self, event: ev.TaskPlaced) -> None:
        if (job := self.unfinished.get(event.job)) is not None:
            self._hold(event.lease_id, job, (event.stage, event.task, event.attempt))

    def _hold(self, lease: int, job: RecordedJob, attempt: tuple[int, int, int]) -> None:
        if (before := job.live.get(attempt)) is not None:
            # It expired, which a history does not tell.
            self._release(before)
        job.live[attempt] = lease
        self._attempts[lease] = (job, attempt)
        self._occupied += job.stages[attempt[0]].spec.slots_per_task
        self._peak = max(self._peak, self._occupied)

    def _release(self, lease: int) -> tuple[RecordedStage, int] | None:
        """The stage and the task of a lease that has ended; ``None``: it is not known."""
        held = self._attempts.pop(lease, None)
        if held is None:
            return None
        job, attempt = held
        del job.live[attempt]
        stage = job.stages[attempt[0]]
        self._occupied -= stage.spec.slots_per_task
        return stage, attempt[1]

    def _tasks_finished(self, event: ev.TasksFinished) -> None:
        for lease, runtime in zip(event.leases, event.runtimes, strict=True):
            released = self._release(lease)
            if released is None:
                continue
            stage, task = released
            _note_runtime(stage, task, runtime, event.at)

    def _tasks_ran(self, event: ev.TasksRan) -> None:
        if (job := self.unfinished.get(event.job)) is not None:
            for task, runtime in zip(event.tasks, event.runtimes, strict=True):
                _note_runtime(job.stages[event.stage], task, runtime, event.at)

    def _task_failed(self, event: ev.TaskFailed) -> None:
        self._release(event.lease)

    # -- slots ----------------------------------------------------------------------------------

    def _worker_joined(self, event: ev.WorkerJoined) -> None:
        if event.pool == self.pool:
            self._workers.append((event.at, event.worker, event.slots))

    def _worker_gone(self, event: ev.WorkerLost | ev.WorkerLeft) -> None:
        if event.pool == self.pool:
            self._workers.append((event.at, event.worker, 0))

    def usual_slots(self, workers_now: Mapping[str, int]) -> int:
        """How many slots the pool had for half of its time with any, or longer.

        Counts from the first submission to the last end of a job.  Of a worker that came before the
        history begins, only that it is still there (``workers_now``) tells its slots.  If nothing
        does: the most that leases ever occupied.
        """
        begin = min((job.admitted.at for job in self.ended), default=0.0)
        slots = dict(workers_now)
        for _, worker, _ in self._workers:
            slots.pop(worker, None)
        # How long there were how many.
        lasted: dict[int, float] = {}
        since = begin
        for at, worker, count in (*self._workers, (self._end, "", 0)):
            until = min(max(at, since), self._end)
            total = sum(slots.values())
            lasted[total] = lasted.get(total, 0.0) + until - since
            since = until
            slots[worker] = count
        lasted.pop(0, None)
        return _weighted_median(lasted.items()) or max(self._peak, 1)


def _stage(spec: AdmittedStage, after: tuple[int, ...], delay: float) -> RecordedStage:
    runtimes = array("d", [UNFINISHED]) * spec.task_count
    return RecordedStage(spec, after, delay, runtimes, spec.task_count)


def _note_runtime(stage: RecordedStage, task: int, runtime: float, at: float) -> None:
    """What a task took, unless another attempt had finished it before."""
    if stage.runtimes[task] == UNFINISHED:
        stage.runtimes[task] = max(runtime, 0.0)
        stage.left -= 1
        if not stage.left:
            stage.done_at = at


def _last_of(stages: list[RecordedStage]) -> tuple[int, ...]:
    """The stages that none of the others waits for."""
    waited_for = {index for stage in stages for index in stage.after}
    return tuple(index for index in range(len(stages)) if index not in waited_for)


def _delay(
    job: RecordedJob, known: list[RecordedStage], after: tuple[int, ...], added_at: float
) -> float:
    """What passed between the moment that a stage waited for and its addition."""
    ready_at = job.admitted.at
    for index in after:
        # A stage that was added together with this one cannot be done.
        done_at = known[index].done_at if index < len(known) else None
        if done_at is None:
            return 0.0
        ready_at = max(ready_at, done_at)
    return max(0.0, added_at - ready_at)


def _weighted_median(lasted: Iterable[tuple[int, float]]) -> int | None:
    """The value that at least half of the weight does not exceed; ``None``: there is no weight."""
    ordered = sorted(lasted)
    half = sum(weight for _, weight in ordered) / 2
    if not half:
        return None
    passed = 0.0
    for value, weight in ordered:
        passed += weight
        if passed >= half:
            return value
    return ordered[-1][0]
