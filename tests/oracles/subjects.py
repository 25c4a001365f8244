"""Who can schedule in the world: the oracles, and the core."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from tests.oracles.deadlines import DeadlineOracle, PaperChain, RemainingWorkChain, StageClock
from tests.oracles.fluid import ONE, ZERO
from tests.oracles.picker import DEADLINE_POLICIES, LaunchableStage, PoolView
from tests.oracles.workloads import JobPlan, Workload
from tests.oracles.world import Launch
from uwfq_service.core.commands import (
    Command,
    ConfigurePool,
    NextTask,
    SetUser,
    StageSpec,
    SubmitJob,
    TaskDone,
    TaskList,
    TaskRef,
    TaskResult,
    TaskSuccess,
    Tick,
)
from uwfq_service.core.events import AnyEvent
from uwfq_service.core.invariants import check
from uwfq_service.core.replies import AckStatus, NextTaskReply, Reply, TaskDoneReply
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings

POOL: Final = "pool"
#: No lease expires, no worker is given up or held for a wide task, nothing is forgotten.
PATIENT: Final = Settings(
    lease_seconds=1e8,
    worker_timeout=1e8,
    engine_timeout=1e8,
    hold_after=1e8,
    retention_seconds=1e8,
)


class OracleSubject:
    """Any policy, with exact estimates: picks by brute force, by deadlines of the oracles."""

    def __init__(self, workload: Workload, policy: str) -> None:
        self.pool = PoolView(policy, weights=workload.weights)
        self.chains: DeadlineOracle = (
            PaperChain(workload.slots)
            if policy == "uwfq_paper"
            else RemainingWorkChain(workload.slots)
        )
        self.clock = StageClock(workload.slots)
        self.plans: dict[str, JobPlan] = {}
        self.undone: dict[tuple[str, int], int] = {}
        self.launched = 0
        for user in workload.users:
            self.chains.set_weight(ZERO, user, workload.weights.get(user, ONE))

    def submit(self, job: JobPlan, now: Fraction) -> None:
        """Give the job its deadline; its first stages can run."""
        self.chains.arrive(now, job.name, job.user, job.work, job.job_weight)
        self.plans[job.name] = job
        for number, stage in enumerate(job.stages):
            self.undone[job.name, number] = len(stage.tasks)
        for number, stage in enumerate(job.stages):
            if not stage.after:
                self._launchable(job, number, now)

    def next(self, free_slots: int, now: Fraction) -> Launch | None:
        """What the picker picks, with the deadlines of this instant."""
        if self.pool.policy in DEADLINE_POLICIES:
            self._set_deadlines(now)
        picked = self.pool.pick(free_slots)
        if picked is None:
            return None
        stage, task = picked
        del stage.waiting[task]
        stage.running_slots += stage.width
        return Launch(stage.job, stage.number, task)

    def done(self, launch: Launch, runtime: Fraction, now: Fraction) -> None:
        """Free the slots; a stage that is done may make others launchable."""
        stage = next(
            stage
            for stage in self.pool.stages
            if (stage.job, stage.number) == (launch.job, launch.stage)
        )
        stage.running_slots -= stage.width
        self.undone[launch.job, launch.stage] -= 1
        if self.undone[launch.job, launch.stage]:
            return
        self.pool.stages.remove(stage)
        plan = self.plans[launch.job]
        for number, later in enumerate(plan.stages):
            open_after = [index for index in later.after if self.undone[launch.job, index]]
            if launch.stage in later.after and not open_after:
                self._launchable(plan, number, now)

    def wakeup(self, now: Fraction) -> Fraction | None:
        """Never: nothing happens to an oracle between two events."""
        return None

    def wake(self, now: Fraction) -> None:
        """Never called."""

    def _set_deadlines(self, now: Fraction) -> None:
        if self.pool.policy == "cfq":
            for stage in self.pool.stages:
                stage.deadline = self.clock.deadlines[stage.job, stage.number]
            return
        self.chains.advance(now)
        deadlines = self.chains.virtual_deadlines()
        for stage in self.pool.stages:
            stage.deadline = deadlines[stage.job]

    def _launchable(self, job: JobPlan, number: int, now: Fraction) -> None:
        stage = job.stages[number]
        self.clock.launchable(now, job.name, number, stage.work)
        self.pool.stages.append(
            LaunchableStage(
                job=job.name,
                user=job.user,
                job_number=self.chains.jobs[job.name].number,
                number=number,
                waiting={index: stage.width * task for index, task in enumerate(stage.tasks)},
                width=stage.width,
                launch_number=self.launched,
                job_weight=job.job_weight,
            )
        )
        self.launched += 1


class CoreSubject:
    """The core, with one worker that has all slots of the pool."""

    WORKER = "worker"

    def __init__(
        self,
        workload: Workload,
        policy: str,
        *,
        number: Callable[[Any], Any] = Fraction,
        settings: Settings = PATIENT,
        checked: bool = False,
    ) -> None:
        self.number = number
        self.checked = checked
        self.slots = workload.slots
        self.scheduler = Scheduler(settings, number=number)
        self.events: list[AnyEvent] = []
        pool = ConfigurePool(pool=POOL, policy=policy, fixed_slots=workload.slots)
        self.apply(pool, ZERO)
        for user in workload.users:
            weight = float(workload.weights.get(user, ONE))
            self.apply(SetUser(pool=POOL, user=user, weight=weight), ZERO)

    def apply(self, command: Command, now: Fraction) -> Reply:
        """Apply one command at ``now``."""
        outcome = self.scheduler.apply(command, self.number(now))
        self.events += outcome.events
        if self.checked:
            check(self.scheduler, self.number(now))
        return outcome.reply

    def submit(self, job: JobPlan, now: Fraction) -> None:
        """SubmitJob, with the stages cut as the plan says."""
        stages = tuple(
            StageSpec(
                stage=f"s{number}",
                after=tuple(f"s{before}" for before in stage.after),
                cut=TaskList(
                    count=len(stage.tasks),
                    task_work=()
                    if job.declared is not None
                    else tuple(float(stage.width * task) for task in stage.tasks),
                ),
                slots_per_task=stage.width,
            )
            for number, stage in enumerate(job.stages)
        )
        self.apply(
            SubmitJob(
                pool=POOL,
                user=job.user,
                job_id=job.name,
                job_weight=float(job.job_weight),
                declared_work=None if job.declared is None else float(job.declared),
                stages=stages,
            ),
            now,
        )

    def next(self, free_slots: int, now: Fraction) -> Launch | None:
        """NextTask for one task."""
        poll = NextTask(
            pool=POOL,
            worker_id=self.WORKER,
            slots=self.slots,
            free_slots=free_slots,
            max_tasks=1,
        )
        reply = self.apply(poll, now)
        assert isinstance(reply, NextTaskReply)
        for lease in reply.leases:
            return Launch(lease.stage.job.job_id, lease.stage.index, lease.task, lease.lease_id)
        return None

    def done(self, launch: Launch, runtime: Fraction, now: Fraction) -> None:
        """TaskDone, with the true runtime."""
        result = TaskResult(
            task=TaskRef(lease_id=launch.tag, attempt=1),
            outcome=TaskSuccess(runtime=float(runtime)),
        )
        reply = self.apply(TaskDone(worker_id=self.WORKER, results=(result,)), now)
        assert isinstance(reply, TaskDoneReply)
        assert [ack.status for ack in reply.acks] == [AckStatus.ACCEPTED]

    def wakeup(self, now: Fraction) -> Fraction | None:
        """When the core wants a Tick."""
        due = self.scheduler.next_wakeup()
        return None if due is None else max(now, Fraction(due))

    def wake(self, now: Fraction) -> None:
        """Tick."""
        self.apply(Tick(), now)
