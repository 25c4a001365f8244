"""How a stage is cut, and what each of its tasks then really takes.

The core is told what an engine would tell it (a task list, or an input that it may cut); the true
runtimes stay here.  Picture a stage's true work as a ruler on which the original tasks lie end to
end.  A task of another cut covers a part of the ruler and takes as long as that part is.

Marks are rounded to a grid on which sums and differences are exact, so however a stage is cut its
tasks add up to its work to the last bit.

Units: seconds, slot-seconds.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Final, Protocol

from uwfq_service.core.commands import InputDescriptor, TaskList
from uwfq_service.simulator.runs import Partitioning
from uwfq_service.simulator.workload import StageSpec

#: Bits of the length of the ruler that is shown to the splitter: fine enough for a million tasks of
#: one second.
RULER_BITS: Final = 40

Cut = TaskList | InputDescriptor | None


class CutStage(Protocol):
    """A stage as it was cut: the core's own, or what a live service said of it."""

    @property
    def task_count(self) -> int:
        """How many tasks it has."""

    def task_range(self, task: int) -> tuple[int, int, int, int] | None:
        """Where a task's input begins and ends: unit, offset, unit, offset."""


#: Gives the true runtimes of the tasks that a stage was cut into.
Runtimes = Callable[[CutStage], Sequence[float]]


class StageCut:
    """What the core is told of one stage, and what becomes of it."""

    def __init__(self, cut: Cut, runtimes: Runtimes) -> None:
        self.cut = cut
        self.runtimes = runtimes


def cut_stage(
    spec: StageSpec,
    *,
    partitioning: Partitioning,
    slots: int,
    known: bool,
    input_bytes: int | None = None,
    sizes_said: bool = False,
) -> StageCut:
    """Describe ``spec`` to the core.

    ``known``: estimates are exact, so every task's work is known, and a cut follows the runtimes;
    otherwise all original tasks look alike, and it follows them.  ``input_bytes``: what the stage
    reads, if that is known.  ``sizes_said``: whether it is known of other jobs.
    """
    if spec.tasks is None:
        total = spec.total_work
        if partitioning is Partitioning.RUNTIME:
            return StageCut(None, lambda stage: even_parts(total, stage.task_count))
        return StageCut(TaskList(count=slots), lambda _: even_parts(total, slots))
    tasks = spec.tasks
    if partitioning is Partitioning.RUNTIME:
        if sizes_said and not known and input_bytes is None:
            # The ruler's length would be taken for bytes, beside those that others read.
            return StageCut(None, lambda stage: _even_ranges(tasks, stage.task_count))
        sizes = _sizes_by_runtime(tasks) if known else _equal_sizes(len(tasks), input_bytes)
        ruler = _Ruler(tasks, sizes)
        return StageCut(InputDescriptor(unit_sizes=sizes, splittable=True), ruler.parts)
    task_work = tasks if known and any(tasks) else ()
    task_bytes = () if known or input_bytes is None else _equal_sizes(len(tasks), input_bytes)
    cut = TaskList(count=len(tasks), task_work=task_work, task_bytes=task_bytes)
    return StageCut(cut, lambda _: tasks)


def even_parts(total: float, count: int) -> Sequence[float]:
    """``total`` in ``count`` parts that differ by rounding alone and add up to it exactly."""
    return _between(total, [total * (number / count) for number in range(count)])


def _even_ranges(tasks: Sequence[float], count: int) -> Sequence[float]:
    """The true runtimes of ``count`` ranges that cover as much of the list of tasks each."""
    begins = list(accumulate(tasks, initial=0.0))
    total = math.fsum(tasks)
    marks = []
    for number in range(count):
        unit, part = divmod(number * len(tasks), count)
        marks.append(min(begins[unit] + tasks[unit] * (part / count), total))
    return _between(total, marks) if total else [0.0] * count


def _between(total: float, marks: Sequence[float]) -> array[float]:
    """The distances between ascending marks and the last one, ``total``."""
    # Multiples of the last bit of the total: no difference of two of them needs more bits than a
    # float has, and so no sum of differences does.
    grain = math.ulp(total)
    whole = [round(mark / grain) for mark in marks]
    whole.append(round(total / grain))
    return array("d", [(end - begin) * grain for begin, end in pairwise(whole)])


def _sizes_by_runtime(tasks: Sequence[float]) -> tuple[int, ...]:
    total = math.fsum(tasks)
    if not total:
        return _equal_sizes(len(tasks), None)
    # By a power of two, so that marks on round numbers of seconds stay where they are.
    shift = RULER_BITS - math.frexp(total)[1]
    return tuple(round(math.ldexp(task, shift)) for task in tasks)


def _equal_sizes(count: int, input_bytes: int | None) -> tuple[int, ...]:
    """Sizes for tasks that look alike; their sum says no more than is known of the input."""
    length = 1 << RULER_BITS if input_bytes is None else input_bytes
    return (max(1, length // count),) * count


class _Ruler:
    """The original tasks end to end, cut by their sizes."""

    def __init__(self, tasks: Sequence[float], sizes: Sequence[int]) -> None:
        self._tasks = tasks
        self._sizes = sizes
        #: Where each original task begins.
        self._begins = list(accumulate(tasks, initial=0.0))
        self._total = math.fsum(tasks)

    def parts(self, stage: CutStage) -> Sequence[float]:
        """The true runtimes of the tasks that ``stage`` was cut into."""
        marks = []
        for task in range(stage.task_count):
            place = stage.task_range(task)
            assert place is not None, "a stage with an input is cut into ranges"
            marks.append(min(self._mark(place[0], place[1]), self._total))
        return _between(self._total, marks) if self._total else [0.0] * len(marks)

    def _mark(self, unit: int, offset: int) -> float:
        begin = self._begins[unit]
        return begin + self._tasks[unit] * (offset / self._sizes[unit]) if offset else begin
