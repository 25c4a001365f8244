"""Cuts a stage into tasks that run for about the advisory task runtime.

Picture the input as a ruler: its units (files, row groups, shuffle blocks) lie end to end, each as
long as its estimated runtime.  Cutting the ruler at n - 1 marks gives n contiguous ranges that
cover everything exactly once.  A mark may lie between two units, and between two bytes of a unit
that may be cut inside.  What no mark can divide is a *piece*: a whole unit, or one byte.

Each mark is put at the border of pieces nearest to an even share of what is left of the ruler, but
never more than half the largest piece short of an even share of the whole.  Hence

    longest range <= mean + largest piece,

and every task gets at least one piece that takes time, so there are never more tasks than pieces.
All of it is whole-number arithmetic: nothing is lost to rounding.

How many tasks: work / (slots per task x advisory task runtime), rounded up, then clamped.  An even
stage without an input is described by its task count alone; an uneven one costs 8 bytes per task
(its work), one with an input 16 more (where the task begins).

Units: work in slot-seconds, runtimes in seconds, sizes in bytes.

Source: runtime partitioning of UWFQ (arXiv:2510.15485, section 4); tiny tasks (Ousterhout et al.
2013).  The overhead budget and unequal costs per unit are ours.
"""

from __future__ import annotations

import enum
import math
import sys
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import mul
from struct import Struct
from typing import Final

import msgspec

from uwfq_service.core.commands import InputDescriptor, TaskList


class Reason(enum.StrEnum):
    """What decided the number of tasks."""

    #: The work divided by the advisory task runtime.
    ADVISORY_RUNTIME = enum.auto()
    #: ``min_tasks`` asked for more.
    MIN_TASKS = enum.auto()
    #: ``max_tasks`` allowed no more.
    MAX_TASKS = enum.auto()
    #: The input has no more pieces.
    INPUT_UNITS = enum.auto()
    #: The caller had cut the stage.
    CALLER = enum.auto()
    #: The overhead per task asked for longer tasks.
    OVERHEAD = enum.auto()
    #: The work is a guess: as many as the pool has slots.
    GUESS = enum.auto()


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """How a stage was cut."""

    task_count: int
    #: Work of the whole stage, slot-seconds: what was passed in, or the sum of the caller's own
    #: numbers per task.
    work: float
    #: Packed little-endian float64 work per task; empty: all equal.
    task_work: bytes = b""
    #: Packed little-endian uint64 pairs (unit, offset), ``task_count + 1`` of them: task i reads
    #: from pair i up to pair i + 1.  Empty: no input.
    bounds: bytes = b""
    #: The advisory task runtime that was used, seconds.
    advisory_task_runtime: float
    reason: Reason


def split(
    cut: TaskList | InputDescriptor | None,
    *,
    work: float,
    slots_per_task: int,
    advisory_task_runtime: float,
    task_overhead: float,
    overhead_budget: float,
    min_tasks: int | None,
    max_tasks: int,
    guess_tasks: int = 0,
    known: bool = True,
    ranges: bool = True,
) -> Split:
    """Cut a stage of ``work`` slot-seconds; at least one task, however little work.

    A task's runtime is raised where ``task_overhead`` (seconds) would otherwise exceed
    ``overhead_budget`` (a fraction) of it.  Where clamps contradict each other, ``max_tasks`` wins
    over ``min_tasks``, and what the input can be cut into over both.  A ``TaskList`` stays as it
    is.

    ``guess_tasks`` is a second ``min_tasks``, for ``work`` that is a guess and may be far too low;
    with nothing ``known`` at all it is what decides.

    O(tasks x log(units) + units); without ``ranges``, when only the number of tasks is wanted,
    O(units).
    """
    assert work > 0, "no estimate is zero"
    assert max_tasks >= 1, "a stage has a task"
    if isinstance(cut, TaskList):
        return as_the_caller_cut(cut, work, advisory_task_runtime)
    runtime = max(advisory_task_runtime, task_overhead / overhead_budget)
    count, reason = _wanted(work / slots_per_task, advisory_task_runtime, runtime, max_tasks)
    if guess_tasks and (not known or count < guess_tasks):
        count, reason = guess_tasks, Reason.GUESS
    if min_tasks is not None and count < min_tasks:
        count, reason = min_tasks, Reason.MIN_TASKS
    if count > max_tasks:
        count, reason = max_tasks, Reason.MAX_TASKS
    if cut is None:
        return Split(task_count=count, work=work, advisory_task_runtime=runtime, reason=reason)
    ruler = _Ruler(cut)
    if count > max(ruler.pieces[-1], 1):
        count, reason = max(ruler.pieces[-1], 1), Reason.INPUT_UNITS
    if not ranges:
        return Split(task_count=count, work=work, advisory_task_runtime=runtime, reason=reason)
    bounds, lengths = ruler.cut(count)
    return Split(
        task_count=count,
        work=work,
        task_work=_spread(work, lengths),
        bounds=bounds,
        advisory_task_runtime=runtime,
        reason=reason,
    )


_RANGE: Final = Struct("<4Q")
_FLOAT: Final = Struct("<d")


def task_range(bounds: bytes, task: int) -> tuple[int, int, int, int]:
    """Where a task's range begins and ends: (unit, offset, unit, offset), the end excluded."""
    begin_unit, begin_offset, end_unit, end_offset = _RANGE.unpack_from(bounds, 16 * task)
    return begin_unit, begin_offset, end_unit, end_offset


def task_work(packed: bytes, task: int) -> float:
    """Work of one task of an uneven stage, slot-seconds."""
    work: float = _FLOAT.unpack_from(packed, 8 * task)[0]
    return work


def launch_order(task_work: bytes) -> bytes:
    """The tasks of an uneven stage, largest work first, ties by index; O(n log n).

    Packed uint32 in the machine's own byte order, for ``memoryview(...).cast("I")``: this is
    derived, and never stored.  Empty stays empty: an even stage launches in the order of the index.
    """
    works = _unpack(task_work)
    # `reverse` keeps equals in their order.
    return array("I", sorted(range(len(works)), key=works.__getitem__, reverse=True)).tobytes()


# ---------------------------------------------------------------------- how many


def _wanted(runtime_alone: float, asked: float, used: float, max_tasks: int) -> tuple[int, Reason]:
    """How many tasks the work asks for, and why; ``runtime_alone`` is that of a single task."""
    count = _parts(runtime_alone, used, max_tasks)
    if used > asked and count < _parts(runtime_alone, asked, max_tasks):
        return count, Reason.OVERHEAD
    return count, Reason.ADVISORY_RUNTIME


def _parts(whole: float, part: float, at_most: int) -> int:
    """``whole / part`` rounded up, from 1 to one more than ``at_most``."""
    if whole > part * at_most:
        return at_most + 1  # Perhaps too many for an integer, even.
    # 3 x 0.1 / 0.1 is a little above 3: not a reason for a fourth task.
    return max(1, math.ceil(whole / part * (1 - 1e-9)))


# ---------------------------------------------------------------------- the caller's tasks


#: Looking up a member of an enum costs as much as two calls under Python 3.11.
_CALLER: Final = Reason.CALLER


def as_the_caller_cut(
    cut: TaskList, work: float, advisory_task_runtime: float, calibration: float = 1.0
) -> Split:
    """The tasks as they are, with the caller's work per task, or ``work`` spread by size.

    ``calibration`` is what the caller's numbers are multiplied by; in ``work`` it is already.
    """
    task_work = b""
    if cut.task_work and any(cut.task_work):
        works = cut.task_work
        if calibration != 1:
            works = tuple(each * calibration for each in works)
        work = math.fsum(works)
        if not _all_equal(works):
            task_work = _pack(array("d", works))
    elif cut.task_bytes and any(cut.task_bytes):
        task_work = _spread(work, cut.task_bytes)
    return Split(
        task_count=cut.count,
        work=work,
        task_work=task_work,
        advisory_task_runtime=advisory_task_runtime,
        reason=_CALLER,
    )


def _spread(work: float, sizes: Sequence[int]) -> bytes:
    """``work`` in proportion to ``sizes``, packed; empty if they are all equal."""
    if _all_equal(sizes):
        return b""
    total = sum(sizes)
    return _pack(array("d", [work * (size / total) for size in sizes]))


def _all_equal(values: Sequence[float]) -> bool:
    return values.count(values[0]) == len(values)


# ---------------------------------------------------------------------- the input


#: Relative costs become whole numbers, the largest this one: as fine as a float is.
_COST_SCALE: Final = 1 << 52


class _Ruler:
    """The input laid out by estimated runtime, in whole numbers of an arbitrary scale."""

    def __init__(self, cut: InputDescriptor) -> None:
        sizes, splittable = cut.unit_sizes, cut.splittable
        if not any(sizes):
            # Nothing is known of the sizes: all units count the same, and have no inside.
            sizes, splittable = (1,) * len(sizes), False
        lengths: Sequence[int] = sizes
        if cut.unit_costs:
            highest = max(cut.unit_costs)
            costs = [max(1, round(cost / highest * _COST_SCALE)) for cost in cut.unit_costs]
            lengths = list(map(mul, sizes, costs))
        #: Where each unit begins, and the end of the last.
        self.starts: list[int] = list(accumulate(lengths, initial=0))
        counts = _piece_counts(sizes, splittable)
        #: Number of pieces before each unit, and of all.
        self.pieces: list[int] = (
            self.starts if counts is lengths else list(accumulate(counts, initial=0))
        )
        #: Length of the largest piece.
        self.largest = max(
            (length // count for length, count in zip(lengths, counts, strict=True) if count),
            default=0,
        )

    def _piece_length(self, unit: int) -> int:
        """Length of the pieces of a unit."""
        count = self.pieces[unit + 1] - self.pieces[unit]
        return (self.starts[unit + 1] - self.starts[unit]) // count

    def cut(self, count: int) -> tuple[bytes, list[int]]:
        """Bounds and lengths of ``count`` ranges; there must be as many pieces."""
        pieces = self.pieces
        bounds = array("Q", (0, 0))
        marks = [0]
        unit = piece = 0
        for left in range(count, 1, -1):
            # A piece for this range, and one for each that is still to come.
            soonest, latest = piece + 1, pieces[-1] - left + 1
            piece = min(max(self._best_mark(marks[-1], unit, left, count), soonest), latest)
            if not pieces[unit] <= piece < pieces[unit + 1]:
                unit = bisect_right(pieces, piece) - 1
            offset = piece - pieces[unit]
            bounds.extend((unit, offset))
            marks.append(self.starts[unit] + offset * self._piece_length(unit))
        bounds.extend((len(self.starts) - 1, 0))
        marks.append(self.starts[-1])
        return _pack(bounds), [end - begin for begin, end in pairwise(marks)]

    def _best_mark(self, mark: int, unit: int, left: int, count: int) -> int:
        """How many pieces lie before the next mark, when ``left`` ranges remain behind ``mark``.

        ``unit`` is the one that ``mark`` is in.
        """
        total = self.starts[-1]
        # An even share of what is left ends at target + rest / left.
        share, rest = divmod(total - mark, left)
        target = mark + share
        unit = bisect_right(self.starts, target, unit) - 1
        length = self._piece_length(unit)
        whole, part = divmod(target - self.starts[unit], length)
        nearer_above = 2 * (part * left + rest) >= length * left
        # Shortfalls must not add up until one range gets them all: this keeps the bound.
        short = 2 * total * (count - left + 1) - 2 * (target - part) * count > self.largest * count
        return self.pieces[unit] + whole + (nearer_above or short)


def _piece_counts(sizes: Sequence[int], splittable: bool | tuple[bool, ...]) -> Sequence[int]:
    """Pieces of each unit; one without a size has none, and goes with a neighbour."""
    if isinstance(splittable, bool):
        return sizes if splittable else list(map(bool, sizes))
    return [size if flag else bool(size) for size, flag in zip(sizes, splittable, strict=True)]


# ---------------------------------------------------------------------- packing


def _pack(values: array[int] | array[float]) -> bytes:
    """The array's bytes, little-endian on any machine; the array may be changed."""
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _unpack(packed: bytes) -> array[float]:
    values = array("d", packed)
    if sys.byteorder == "big":
        values.byteswap()
    return values
