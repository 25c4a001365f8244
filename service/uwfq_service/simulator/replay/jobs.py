"""One job of a replay: what the service is told of it, how long its tasks take, how far it is.

A stage with a *delay* must not be launchable before that is over, and the service knows no delays.
So a job with one is submitted *open* and without stages, and each stage is added when it is due, as
an engine does that reveals its stages one by one, and as the simulator does.

Units: seconds and slot-seconds of the workload; divided by ``speed`` in what the service is told.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

from uwfq_client import AddedStages, Input, Stage, StageSplit, SubmittedJob
from uwfq_service.core.commands import InputDescriptor, TaskList
from uwfq_service.core.splitting import launch_order
from uwfq_service.simulator.alone import LoneStage, response_alone
from uwfq_service.simulator.cuts import cut_stage
from uwfq_service.simulator.estimates import LEAST_WORK, Declaration
from uwfq_service.simulator.runs import Options
from uwfq_service.simulator.workload import JobSpec

#: What a service takes as an id, bytes.
_MAX_ID_BYTES: Final = 128


class ReplayedJob:
    """A job on its way through a live service."""

    def __init__(
        self,
        index: int,
        spec: JobSpec,
        declaration: Declaration,
        options: Options,
        *,
        slots: int,
        speed: float,
        run_id: str,
    ) -> None:
        self.index = index
        self.spec = spec
        #: Its id at the service: new for each run, and its own even if the name is cut short.
        name = f"{run_id}/{index}/{spec.job}"
        self.job_id = name.encode()[:_MAX_ID_BYTES].decode(errors="ignore")
        self.virtual_deadline: float | None = None
        #: Set when all its tasks are done.
        self.complete = asyncio.Event()
        #: Whoever adds stages holds it, for the last addition closes the job.
        self.adding = asyncio.Lock()
        self._run_id = run_id
        self._declaration = declaration
        self._options = options
        self._slots = slots
        self._speed = speed
        self._afters = spec.stage_afters()
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
        self._positions = {stage.stage: index for index, stage in enumerate(spec.stages)}
        #: Whether stages are added one by one; those that are due, and how many were added.
        self._open = any(self.delay(position) for position in range(len(self._afters)))
        self._due: set[int] = set()
        self._revealed = 0
        #: By position: how the service has cut it, and when that is known; its tasks that are done.
        self._stages: dict[int, _Cut] = {}
        self._runtimes: dict[int, Sequence[float]] = {}
        self._known = [asyncio.Event() for _ in spec.stages]
        self._done: list[set[int]] = [set() for _ in spec.stages]

    # -- what the service is told -----------------------------------------------------------------

    def submission(self) -> dict[str, Any]:
        """The arguments of ``Client.submit``."""
        said = self._declaration
        stages = () if self._open else range(len(self._afters))
        return {
            "user": self.spec.user,
            "job_id": self.job_id,
            "kind": self._run_id,
            "signature": said.signature,
            "input_bytes": said.input_bytes,
            "estimated_work_slot_seconds": self._real_work(said.job),
            "advisory_task_runtime_seconds": self._options.atr / self._speed,
            "stages": [self._stage(position) for position in stages],
            "open": self._open,
        }

    def addition(self, position: int) -> tuple[Stage, bool]:
        """A stage that is due, and whether it is the last one."""
        self._revealed += 1
        return self._stage(position), self._revealed == len(self._afters)

    def delay(self, position: int) -> float:
        """Seconds from the end of what a stage waits for until it is launchable."""
        return self.spec.stages[position].delay + self._options.driver_gap

    def _stage(self, position: int) -> Stage:
        cut = self._cuts[position].cut
        name = self.spec.stages[position].stage
        after = [self.spec.stages[before].stage for before in self._afters[position]]
        work = self._real_work(self._declaration.stages[position])
        match cut:
            case TaskList():
                return Stage(
                    name,
                    after=after,
                    tasks=cut.count,
                    task_bytes=cut.task_bytes,
                    task_work_slot_seconds=[each / self._speed for each in cut.task_work],
                    estimated_work_slot_seconds=work,
                )
            case InputDescriptor():
                read = Input(cut.unit_sizes, splittable=True)
                return Stage(name, after=after, input=read, estimated_work_slot_seconds=work)
        return Stage(name, after=after, estimated_work_slot_seconds=work)

    def _real_work(self, work: float | None) -> float | None:
        return None if work is None else max(work, LEAST_WORK) / self._speed

    # -- what the service answers -----------------------------------------------------------------

    def admitted(self, answer: SubmittedJob) -> None:
        """It has its deadline, and the stages that were told are cut."""
        self.virtual_deadline = answer.virtual_deadline
        self._take_in(answer.splits)

    def added(self, answer: AddedStages) -> None:
        """Stages that were added are cut."""
        self._take_in(answer.splits)

    def _take_in(self, splits: Iterable[StageSplit]) -> None:
        for split in splits:
            position = self._positions[split.stage]
            self._stages[position] = cut = _Cut(split)
            self._runtimes[position] = self._cuts[position].runtimes(cut)
            self._known[position].set()

    # -- tasks ------------------------------------------------------------------------------------

    def position(self, stage: str) -> int:
        """Where the stage stands in the workload."""
        return self._positions[stage]

    async def runtime(self, position: int, task: int) -> float:
        """How long a task truly takes.

        Waits until it is known how the stage was cut: a lease may overtake the answer to the
        submission.
        """
        await self._known[position].wait()
        return self._runtimes[position][task]

    def task_done(self, position: int, task: int) -> list[int]:
        """A task is done, perhaps again; gives the stages whose delay begins."""
        self._done[position].add(task)
        if not self._is_done(position):
            return []
        if all(map(self._is_done, range(len(self._afters)))):
            self.complete.set()
        return self.newly_due()

    def newly_due(self) -> list[int]:
        """Stages of an open job that wait for nothing but their delay; each once."""
        if not self._open:
            return []
        found = [
            position
            for position, after in enumerate(self._afters)
            if position not in self._due and all(map(self._is_done, after))
        ]
        self._due |= set(found)
        return found

    def _is_done(self, position: int) -> bool:
        cut = self._stages.get(position)
        return cut is not None and len(self._done[position]) == cut.task_count

    # -- in the end -------------------------------------------------------------------------------

    def alone(self) -> float:
        """Its response alone on the idle pool, cut as it was."""
        stages = []
        for position, after in enumerate(self._afters):
            runtimes = self._runtimes[position]
            order = self._stages[position].launch_order(self._cuts[position].cut)
            durations = [runtimes[task] for task in order]
            stages.append(LoneStage(durations=durations, after=after, delay=self.delay(position)))
        return response_alone(stages, self._slots)


class _Cut:
    """How the service has cut a stage."""

    def __init__(self, split: StageSplit) -> None:
        self.task_count = split.task_count
        self._ranges = split.ranges

    def task_range(self, task: int) -> tuple[int, int, int, int] | None:
        """Where the task's input begins and ends."""
        if not self._ranges:
            return None
        part = self._ranges[task]
        return part.begin_unit, part.begin_offset, part.end_unit, part.end_offset

    def launch_order(self, cut: TaskList | InputDescriptor | None) -> Sequence[int]:
        """The tasks in the order in which a service launches them: largest estimate first."""
        lengths: Sequence[float] = ()
        if isinstance(cut, TaskList):
            lengths = cut.task_work
        elif cut is not None:
            begins = list(accumulate(cut.unit_sizes, initial=0))
            marks = [begins[part.begin_unit] + part.begin_offset for part in self._ranges]
            lengths = [end - begin for begin, end in pairwise((*marks, begins[-1]))]
        if not lengths:
            return range(self.task_count)
        return memoryview(launch_order(struct.pack(f"<{len(lengths)}d", *lengths))).cast("I")
