"""One job of the workload while it is played: what the core was told, and what is true.

Units: seconds; work in slot-seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from uwfq_service.core.commands import AddStages, StageSpec, SubmitJob
from uwfq_service.core.model import Lease
from uwfq_service.core.replies import JobReply
from uwfq_service.core.stage import Stage
from uwfq_service.simulator.alone import LoneStage, response_alone
from uwfq_service.simulator.cuts import cut_stage
from uwfq_service.simulator.estimates import Declaration
from uwfq_service.simulator.runs import FinishedJob, Options
from uwfq_service.simulator.workload import JobSpec


class JobPlay:
    """A job on its way through the world."""

    def __init__(
        self, index: int, spec: JobSpec, declaration: Declaration, options: Options, slots: int
    ) -> None:
        self.index = index
        self.spec = spec
        #: True work.
        self.work = spec.total_work
        self._declaration = declaration
        self._options = options
        self._slots = slots
        self._afters = spec.stage_afters()
        self._waits = [len(after) for after in self._afters]
        self._cuts = [
            cut_stage(
                stage,
                partitioning=options.partitioning,
                slots=slots,
                known=declaration.tasks,
                input_bytes=declaration.input_bytes,
                sizes_said=declaration.sizes_said,
            )
            for stage in spec.stages
        ]
        #: Whether stages are revealed one by one.
        self.open = any(self.delay(stage) for stage in range(len(spec.stages)))
        #: By the position in the workload: the core's stage, its true runtimes, tasks left to do.
        self._stages: dict[int, Stage] = {}
        self._runtimes: dict[int, Sequence[float]] = {}
        self._undone: dict[int, int] = {}
        #: The position in the workload of each of the core's stages.
        self._positions: list[int] = []
        self._submit = 0.0
        self._first_start: float | None = None
        self._virtual_deadline: float | None = None

    # -- what the core is told ------------------------------------------------------------------

    def delay(self, stage: int) -> float:
        """Seconds from the end of what a stage waits for until it is launchable."""
        return self.spec.stages[stage].delay + self._options.driver_gap

    def submission(self, pool: str, now: float) -> SubmitJob:
        """The job as it is submitted: whole, or open and without stages."""
        self._submit = now
        said = self._declaration
        stages = () if self.open else range(len(self.spec.stages))
        return SubmitJob(
            pool=pool,
            user=self.spec.user,
            job_id=self.spec.job,
            signature=said.signature,
            input_bytes=said.input_bytes,
            declared_work=said.job,
            advisory_task_runtime=self._options.atr,
            stages=tuple(self._stage_spec(stage, self._afters[stage]) for stage in stages),
            open=self.open,
        )

    def addition(self, stage: int) -> AddStages:
        """A stage of an open job that has become launchable; the last one closes the job."""
        last = len(self._positions) + 1 == len(self.spec.stages)
        return AddStages(job_id=self.spec.job, stages=(self._stage_spec(stage, ()),), close=last)

    def _stage_spec(self, stage: int, after: Sequence[int]) -> StageSpec:
        return StageSpec(
            stage=self.spec.stages[stage].stage,
            after=tuple(self.spec.stages[before].stage for before in after),
            cut=self._cuts[stage].cut,
            declared_work=self._declaration.stages[stage],
        )

    # -- what the core has decided --------------------------------------------------------------

    def admitted(self, reply: JobReply) -> None:
        """The job has its deadline, and its stages are cut, unless they are still to come."""
        self._virtual_deadline = reply.virtual_deadline
        for position, stage in enumerate(reply.stages):
            self.revealed(position, stage)

    def revealed(self, position: int, stage: Stage) -> None:
        """The core has cut a stage."""
        self._positions.append(position)
        self._stages[position] = stage
        self._runtimes[position] = self._cuts[position].runtimes(stage)
        self._undone[position] = stage.task_count

    def stage_of(self, lease: Lease) -> int:
        """The position in the workload of the stage that a lease is on."""
        return self._positions[lease.stage.index]

    def runtime(self, lease: Lease, now: float) -> float:
        """How long the task of a lease truly takes; it starts now."""
        if self._first_start is None:
            self._first_start = now
        return self._runtimes[self._positions[lease.stage.index]][lease.task]

    # -- what has happened ----------------------------------------------------------------------

    def first_stages(self) -> list[int]:
        """The stages of an open job that wait for none."""
        if not self.open:
            return []
        return [stage for stage, waits in enumerate(self._waits) if not waits]

    def may_reveal(self, lease: Lease) -> bool:
        """Whether the end of this task of an open job may make a stage launchable."""
        return self._undone[self._positions[lease.stage.index]] == 1

    def task_done(self, lease: Lease) -> list[int]:
        """A task of an open job is done; gives the stages that need not wait any longer."""
        done = self._positions[lease.stage.index]
        self._undone[done] -= 1
        if self._undone[done]:
            return []
        freed = []
        for stage, after in enumerate(self._afters):
            if done in after:
                self._waits[stage] -= 1
                if not self._waits[stage]:
                    freed.append(stage)
        return freed

    def finished(self, now: float) -> FinishedJob:
        """The job is over; when the fluid cluster finishes it is still to be found out."""
        assert self._first_start is not None, "a job that is over has started"
        return FinishedJob(
            job=self.spec.job,
            user=self.spec.user,
            submit=self._submit,
            first_start=self._first_start,
            finish=now,
            work=self.work,
            virtual_deadline=self._virtual_deadline,
            fluid_finish=math.nan,
            alone=self._alone(),
            delays=math.fsum(self.delay(stage) for stage in range(len(self.spec.stages))),
        )

    def _alone(self) -> float:
        overhead = self._options.task_overhead
        stages = []
        for position, after in enumerate(self._afters):
            stage, runtimes = self._stages[position], self._runtimes[position]
            if stage.launch_order is not None:
                runtimes = [runtimes[task] for task in stage.launch_order]
            durations = [runtime + overhead for runtime in runtimes] if overhead else runtimes
            stages.append(LoneStage(durations=durations, after=after, delay=self.delay(position)))
        return response_alone(stages, self._slots)
