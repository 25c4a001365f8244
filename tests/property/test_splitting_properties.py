"""What every cut must keep, whatever the input, checked byte by byte and in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwfq_service.core.commands import InputDescriptor, TaskList
from uwfq_service.core.splitting import (
    Reason,
    Split,
    launch_order,
    split,
    task_range,
    task_work,
)

Flags = bool | tuple[bool, ...]


def cut_into(cut: InputDescriptor | TaskList | None, count: int, work: float = 60.0) -> Split:
    """A split of which nothing but the wish for ``count`` tasks decides the number."""
    return split(
        cut,
        work=work,
        slots_per_task=1,
        advisory_task_runtime=work / count,
        task_overhead=0.0,
        overhead_budget=0.05,
        min_tasks=None,
        max_tasks=1_000_000,
    )


@st.composite
def inputs(draw: st.DrawFn, max_size: int = 40, *, costs: bool = True) -> InputDescriptor:
    """Inputs of up to 30 units: empty ones, huge ones, any mixture of splittable ones."""
    sizes = draw(
        st.lists(
            st.integers(0, max_size) | st.sampled_from([0, 1, max_size]), min_size=1, max_size=30
        )
    )
    n = len(sizes)
    flags: Flags = draw(st.booleans() | st.lists(st.booleans(), min_size=n, max_size=n).map(tuple))
    unit_costs = (
        draw(st.just([]) | st.lists(st.floats(0.01, 100), min_size=n, max_size=n)) if costs else []
    )
    return InputDescriptor(unit_sizes=tuple(sizes), splittable=flags, unit_costs=tuple(unit_costs))


def is_splittable(cut: InputDescriptor, unit: int) -> bool:
    """Whether one unit may be cut inside."""
    return cut.splittable if isinstance(cut.splittable, bool) else cut.splittable[unit]


def cost_per_byte(cut: InputDescriptor, unit: int) -> Fraction:
    """Relative cost of a byte of one unit, exactly."""
    return Fraction(cut.unit_costs[unit]) if cut.unit_costs else Fraction(1)


def pieces_of(cut: InputDescriptor) -> list[tuple[int, int, Fraction]]:
    """Oracle: all that cannot be divided, one by one: (unit, offset, cost)."""
    if not any(cut.unit_sizes):
        return [(unit, 0, cost_per_byte(cut, unit)) for unit in range(len(cut.unit_sizes))]
    pieces = []
    for unit, size in enumerate(cut.unit_sizes):
        if is_splittable(cut, unit):
            pieces += [(unit, offset, cost_per_byte(cut, unit)) for offset in range(size)]
        elif size:
            pieces.append((unit, 0, size * cost_per_byte(cut, unit)))
    return pieces


def ranges_of(split_: Split) -> list[tuple[int, int, int, int]]:
    """The range of every task."""
    return [task_range(split_.bounds, task) for task in range(split_.task_count)]


def costs_of(cut: InputDescriptor, split_: Split) -> list[Fraction]:
    """Oracle: what each range costs, by looking at every piece."""
    return [
        sum(
            (cost for unit, offset, cost in pieces_of(cut) if begin <= (unit, offset) < end),
            Fraction(0),
        )
        for begin, end in ((r[:2], r[2:]) for r in ranges_of(split_))
    ]


@given(cut=inputs(), count=st.integers(1, 100))
def test_ranges_cover_the_input_exactly_once(cut: InputDescriptor, count: int) -> None:
    """Each range begins where the one before ends; the first at the front, the last at the end."""
    ranges = ranges_of(cut_into(cut, count))
    assert ranges[0][:2] == (0, 0)
    assert ranges[-1][2:] == (len(cut.unit_sizes), 0)
    for one, other in pairwise(ranges):
        assert one[2:] == other[:2]
        assert one[:2] < one[2:]


@given(cut=inputs(), count=st.integers(1, 100))
def test_cuts_are_made_only_where_a_unit_may_be_cut(cut: InputDescriptor, count: int) -> None:
    """An offset inside a unit is inside a splittable one, behind its first byte."""
    for _, _, unit, offset in ranges_of(cut_into(cut, count)):
        if offset:
            assert is_splittable(cut, unit)
            assert offset < cut.unit_sizes[unit]


@given(cut=inputs(), count=st.integers(1, 100))
def test_there_are_as_many_tasks_as_asked_for_or_as_there_are_pieces(
    cut: InputDescriptor, count: int
) -> None:
    """Every task has something to do: no more tasks than pieces, and no range without one."""
    split_ = cut_into(cut, count)
    pieces = len(pieces_of(cut))
    assert split_.task_count == min(count, pieces)
    assert (split_.reason == Reason.INPUT_UNITS) == (count > pieces)
    assert all(costs_of(cut, split_))


@given(cut=inputs(), count=st.integers(1, 100))
def test_the_largest_range_exceeds_the_mean_by_at_most_the_largest_piece(
    cut: InputDescriptor, count: int
) -> None:
    """Near-equal estimated runtime, as near as the indivisible allows."""
    costs = costs_of(cut, cut_into(cut, count))
    largest_piece = max(cost for _, _, cost in pieces_of(cut))
    limit = sum(costs) / len(costs) + largest_piece
    # Costs are taken to be multiples of 2^-52 of the highest; without costs nothing is rounded.
    assert max(costs) <= limit * (1 + (Fraction(1, 10**10) if cut.unit_costs else 0))


@given(
    sizes=st.lists(st.integers(1, 2**50), min_size=1, max_size=20),
    count=st.integers(1, 500),
)
def test_a_splittable_input_is_cut_evenly_to_the_byte(sizes: list[int], count: int) -> None:
    """Where every unit may be cut, no two tasks differ by more than a byte or two."""
    cut = InputDescriptor(unit_sizes=tuple(sizes), splittable=True)
    split_ = cut_into(cut, count)
    starts = [sum(sizes[:unit]) for unit in range(len(sizes) + 1)]
    lengths = [starts[u] + o - starts[unit] - offset for unit, offset, u, o in ranges_of(split_)]
    assert sum(lengths) == sum(sizes)
    assert max(lengths) - min(lengths) <= 2


@given(cut=inputs(), count=st.integers(1, 100), work=st.floats(1e-6, 1e12))
def test_work_goes_with_the_estimated_runtime_and_adds_up(
    cut: InputDescriptor, count: int, work: float
) -> None:
    """A task's work is its part of the stage's; no work is lost or made."""
    split_ = cut_into(cut, count, work)
    costs = costs_of(cut, split_)
    if not split_.task_work:
        assert all(cost == pytest.approx(costs[0], rel=1e-9) for cost in costs)
        return
    works = [task_work(split_.task_work, task) for task in range(split_.task_count)]
    assert math.fsum(works) == pytest.approx(work, rel=1e-9)
    total = sum(costs)
    assert works == pytest.approx([float(cost / total) * work for cost in costs], rel=1e-6)


@given(works=st.lists(st.floats(0, 1e12) | st.sampled_from([0.0, 1.0, 2.0]), max_size=50))
def test_the_largest_tasks_launch_first(works: list[float]) -> None:
    """Descending work; tasks of equal work in the order of their index."""
    split_ = cut_into(TaskList(count=max(1, len(works)), task_work=tuple(works)), 1)
    order = memoryview(launch_order(split_.task_work)).cast("I").tolist()
    if split_.task_work:
        assert order == sorted(range(len(works)), key=lambda task: (-works[task], task))
    else:
        assert order == []
        assert len(set(works)) <= 1


@given(
    work=st.floats(1e-9, 1e12),
    slots=st.integers(1, 64),
    runtime=st.floats(1e-3, 1e6),
    overhead=st.floats(0, 1e3),
    min_tasks=st.none() | st.integers(1, 1000),
    max_tasks=st.integers(1, 100_000),
)
def test_the_count_follows_the_runtime_and_the_clamps(
    work: float,
    slots: int,
    runtime: float,
    overhead: float,
    min_tasks: int | None,
    max_tasks: int,
) -> None:
    """Tasks run for at most the advisory runtime unless a clamp says otherwise, and says that."""
    split_ = split(
        None,
        work=work,
        slots_per_task=slots,
        advisory_task_runtime=runtime,
        task_overhead=overhead,
        overhead_budget=0.05,
        min_tasks=min_tasks,
        max_tasks=max_tasks,
    )
    used = split_.advisory_task_runtime
    assert used == max(runtime, overhead / 0.05)
    assert 1 <= split_.task_count <= max_tasks
    assert split_.task_count >= min(min_tasks or 1, max_tasks)
    exact = Fraction(work) / (slots * Fraction(used))
    if split_.reason in {Reason.ADVISORY_RUNTIME, Reason.OVERHEAD}:
        assert split_.task_count == pytest.approx(max(1, math.ceil(exact)), abs=1, rel=1e-8)
        assert exact / split_.task_count <= 1 + Fraction(1, 10**8)
    elif split_.reason == Reason.MIN_TASKS:
        assert exact <= split_.task_count == min_tasks
    else:
        assert split_.reason == Reason.MAX_TASKS
        assert split_.task_count == max_tasks
        assert exact > max_tasks * (1 - Fraction(1, 10**8)) or (min_tasks or 0) > max_tasks
    if split_.reason == Reason.OVERHEAD:
        assert used > runtime
