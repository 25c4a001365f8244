"""The oracles as a scheduler that the world can drive."""

from __future__ import annotations

from fractions import Fraction

from tests.oracles.deadlines import DeadlineOracle, PaperChain, RemainingWorkChain, StageClock
from tests.oracles.fluid import ONE, ZERO
from tests.oracles.picker import LaunchableStage, PoolView
from tests.oracles.workloads import JobPlan, Workload
from tests.oracles.world import Launch


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
        self.chains.advance(now)
        for stage in self.pool.stages:
            stage.deadline = (
                self.clock.deadlines[stage.job, stage.number]
                if self.pool.policy == "cfq"
                else self.chains.virtual_deadline(stage.job)
            )
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
