"""An observer of the core: what its events and its state, read plainly, say must come next.

``Ledger`` follows the events and knows which leases live, which tasks are done and how jobs ended.
``pool_view`` describes a pool in the words of the picker oracle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from tests.oracles.picker import LaunchableStage, PoolView
from uwfq_service.core import events as ev
from uwfq_service.core.commands import TaskRef
from uwfq_service.core.model import WEIGHT_SCALE, Job, Pool
from uwfq_service.core.replies import AckStatus
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.stage import Stage

Task = tuple[int, int, int]


@dataclass(slots=True)
class Grant:
    """One attempt that was granted or placed."""

    task: Task
    worker: str
    attempt: int
    live: bool = True


@dataclass(slots=True)
class Ledger:
    """What the events have said so far; asserts that they make sense together."""

    grants: dict[int, Grant] = field(default_factory=dict)
    done: set[Task] = field(default_factory=set)
    attempts: dict[Task, int] = field(default_factory=dict)
    #: Job number -> the state it ended in.
    ended: dict[int, str] = field(default_factory=dict)
    #: Jobs whose engine places the tasks.
    placed: set[int] = field(default_factory=set)

    def note(self, event: ev.AnyEvent) -> None:
        """Take one event in."""
        self._note_begin(event)
        self._note_end(event)

    def _note_begin(self, event: ev.AnyEvent) -> None:
        match event:
            case ev.JobAdmitted() if event.engine_id:
                self.placed.add(event.job)
            case ev.TasksLeased():
                for offset, index in enumerate(event.tasks):
                    task = (event.job, event.stage, index)
                    attempt = self.attempts.get(task, 0) + 1
                    self._grant(event.lease_id + offset, task, event.worker, attempt)
                    assert task not in self.done, f"{task} is done and leased again"
            case ev.TaskPlaced():
                task = (event.job, event.stage, event.task)
                self._grant(event.lease_id, task, event.engine, event.attempt)
            case _:
                pass

    def _note_end(self, event: ev.AnyEvent) -> None:
        match event:
            case ev.TasksRan():
                for index in event.tasks:
                    task = (event.job, event.stage, index)
                    assert task not in self.done, f"{task} ends twice"
                    self.done.add(task)
            case ev.TasksFinished():
                for lease in event.leases:
                    task = self._over(lease)
                    assert task not in self.done, f"{task} ends twice"
                    self.done.add(task)
            case ev.TaskFailed() | ev.AttemptSuperseded():
                self._over(event.lease)
            case ev.LeasesExpired():
                for lease in event.leases:
                    task = self._over(lease)
                    if event.unstarted:
                        self.attempts[task] = self.grants[lease].attempt - 1
            case ev.JobEnded():
                self._end(event)
            case _:
                pass

    def expected(self, worker: str, ref: TaskRef) -> set[AckStatus]:
        """What a report of a leased attempt may be answered."""
        grant = self.grants.get(ref.lease_id)
        if grant is None:
            return {AckStatus.UNKNOWN}
        if not grant.live:
            if self.ended.get(grant.task[0], "succeeded") != "succeeded":
                # Which of the two matters no longer.
                return {AckStatus.STALE, AckStatus.SUPERSEDED}
            return {AckStatus.SUPERSEDED if grant.task in self.done else AckStatus.STALE}
        if grant.worker != worker:
            return {AckStatus.UNKNOWN}
        return {AckStatus.ACCEPTED if grant.attempt == ref.attempt else AckStatus.STALE}

    def _grant(self, lease_id: int, task: Task, worker: str, attempt: int) -> None:
        assert lease_id not in self.grants, f"lease {lease_id} is granted twice"
        assert task[0] not in self.ended, f"{task}: its job is over"
        if task[0] not in self.placed:
            rivals = [g for g in self.grants.values() if g.live and g.task == task]
            assert not rivals, f"{task} has another live lease"
        self.grants[lease_id] = Grant(task, worker, attempt)
        self.attempts[task] = max(attempt, self.attempts.get(task, 0))

    def _over(self, lease_id: int) -> Task:
        grant = self.grants[lease_id]
        assert grant.live, f"lease {lease_id} ends twice"
        grant.live = False
        return grant.task

    def _end(self, event: ev.JobEnded) -> None:
        assert event.job not in self.ended, f"job {event.job} ends twice"
        self.ended[event.job] = event.state
        for grant in self.grants.values():
            if grant.task[0] == event.job:
                grant.live = False


def pool_view(scheduler: Scheduler, pool: Pool) -> PoolView:
    """The ready stages of ``pool``, as the picker oracle wants them described."""
    stages = [
        stage
        for job in scheduler.jobs()
        if job.pool is pool and not job.ended
        for stage in job.stages
        if stage.ready and (stage.waiting or stage.running)
    ]
    return PoolView(
        pool.policy.name,
        [_describe(stage) for stage in stages],
        weights={u.name: Fraction(u.weight, WEIGHT_SCALE) for u in pool.users.values()},
        caps={u.name: u.max_running_slots for u in pool.users.values() if u.max_running_slots},
        debt_ends={
            user.name: Fraction(user.policy_state.clock.debt_end)
            for user in pool.users.values()
            if pool.policy.corrects_estimates and user.policy_state is not None
        },
        share=Fraction(pool.slots * WEIGHT_SCALE, max(pool.policy.active_weight(), 1)),
    )


def _describe(stage: Stage) -> LaunchableStage:
    job = stage.job
    tasks = [stage.task_at(place) for place in range(stage.task_count) if stage.is_waiting(place)]
    assert len(tasks) == stage.waiting, f"{stage!r}: waiting tasks are counted"
    deadline = job.pool.policy.stage_deadline(stage)
    return LaunchableStage(
        job=job.job_id,
        user=job.user.name,
        job_number=job.number,
        number=stage.index,
        waiting={task: Fraction(stage.task_work(task)) for task in tasks},
        width=stage.slots_per_task,
        launch_number=stage.launch_serial,
        running_slots=stage.running_slots,
        job_weight=Fraction(job.weight, WEIGHT_SCALE),
        deadline=Fraction(0 if deadline is None else deadline),
        placed_by=job.engine_id,
        unseen=job.unseen,
        probed=_is_probed(job),
        awaits_probe=_awaits_probe(job),
    )


def _is_probed(job: Job) -> bool:
    return _awaits_probe(job) and any(stage.running for stage in job.stages)


def _awaits_probe(job: Job) -> bool:
    done = any(stage.done for stage in job.stages)
    return job.guessed and not done and job.pool.policy.corrects_estimates
