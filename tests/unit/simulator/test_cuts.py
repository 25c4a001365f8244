"""How stages are cut, and that a cut neither makes nor loses work."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.simulator.documents import amounts, positive
from uwfq_service.core.commands import InputDescriptor, TaskList
from uwfq_service.core.splitting import Split, split, task_range
from uwfq_service.simulator.cuts import StageCut, cut_stage, even_parts
from uwfq_service.simulator.runs import Partitioning
from uwfq_service.simulator.workload import StageSpec

#: Runtimes of all sizes, and many that are nothing.
task_lists = st.lists(st.just(0.0) | amounts | st.floats(0, 1e-6), min_size=1, max_size=40).map(
    tuple
)


class Cut:
    """A stage as the core's splitter cut it."""

    def __init__(self, made: Split) -> None:
        self.task_count = made.task_count
        self._bounds = made.bounds

    def task_range(self, task: int) -> tuple[int, int, int, int] | None:
        """Where a task's input begins and ends."""
        return task_range(self._bounds, task) if self._bounds else None


def described(
    spec: StageSpec,
    partitioning: Partitioning = Partitioning.RUNTIME,
    *,
    slots: int = 4,
    known: bool = True,
    input_bytes: int | None = None,
    sizes_said: bool = False,
) -> StageCut:
    """What the core is told of a stage."""
    return cut_stage(
        spec,
        partitioning=partitioning,
        slots=slots,
        known=known,
        input_bytes=input_bytes,
        sizes_said=sizes_said,
    )


def parts(stage: StageCut, tasks: int) -> list[float]:
    """The true runtimes when the splitter cuts the stage into ``tasks`` tasks, if it can."""
    made = split(
        stage.cut,
        work=1.0,
        slots_per_task=1,
        advisory_task_runtime=1.0,
        task_overhead=0.0,
        overhead_budget=0.05,
        min_tasks=tasks,
        max_tasks=tasks,
    )
    runtimes = stage.runtimes(Cut(made))
    assert len(runtimes) == made.task_count
    return list(runtimes)


def exact_sum(values: list[float]) -> Fraction:
    """Without any rounding."""
    return sum(map(Fraction, values), Fraction(0))


# ------------------------------------------------------------------- conservation


@given(
    task_lists,
    st.integers(1, 200),
    st.booleans(),
    st.none() | st.integers(0, (1 << 63) - 1),
    st.booleans(),
)
@example((0.1, 0.2, 0.3), 7, True, None, False)
@example((0.1, 0.2, 0.3), 7, False, None, True)
@example((5e-324,), 3, True, None, False)
@example((1e9, 1e-9), 150, True, None, False)
@example((1e9, 1e-9), 150, False, None, True)
def test_work_is_conserved_to_the_last_bit(
    tasks: tuple[float, ...], count: int, known: bool, input_bytes: int | None, sizes_said: bool
) -> None:
    """Any original tasks, cut into any number: the parts add up to the very same work."""
    spec = StageSpec(stage="s", tasks=tasks)
    stage = described(spec, known=known, input_bytes=input_bytes, sizes_said=sizes_said)
    found = parts(stage, count)
    assert min(found) >= 0
    assert math.fsum(found) == math.fsum(tasks)
    # Not even the sum's rounding is needed: the parts add up to the rounded work exactly.
    assert exact_sum(found) == Fraction(math.fsum(tasks))


@given(positive | st.floats(0, 1e12, exclude_min=True), st.integers(1, 2000))
@example(5e-324, 3)
@example(0.1, 3)
def test_an_even_cut_conserves_work_to_the_last_bit(total: float, count: int) -> None:
    """And its parts differ by rounding alone."""
    found = list(even_parts(total, count))
    assert len(found) == count
    assert exact_sum(found) == Fraction(total)
    assert min(found) >= 0
    assert max(found) - min(found) <= 4 * math.ulp(total)


# ------------------------------------------------------------------------ runtimes


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=40).map(tuple), st.integers(1, 300))
def test_a_cut_of_known_runtimes_is_nearly_equal(tasks: tuple[float, ...], count: int) -> None:
    """However skewed the original tasks are: the ruler is cut at even marks."""
    found = parts(described(StageSpec(stage="s", tasks=tasks)), count)
    mean = math.fsum(tasks) / count
    assert max(found) <= mean * (1 + 1e-6)
    assert min(found) >= mean * (1 - 1e-6)


def test_a_cut_at_round_numbers_is_exact() -> None:
    """No ruler of ours makes 0.4375 s of it that are not quite."""
    assert parts(described(StageSpec(stage="s", tasks=(0.5, 0.5, 0.75))), 4) == [0.4375] * 4


@pytest.mark.parametrize("sizes_said", [False, True])
def test_a_cut_of_unknown_runtimes_follows_the_original_tasks(sizes_said: bool) -> None:
    """Without estimates all of them look alike, so the skew stays; whatever others say."""
    spec = StageSpec(stage="s", tasks=(1.0, 1.0, 6.0, 2.0))
    stage = described(spec, known=False, sizes_said=sizes_said)
    assert (stage.cut is None) is sizes_said
    assert parts(stage, 1) == [10.0]
    assert parts(stage, 2) == [2.0, 8.0]
    assert parts(stage, 4) == [1.0, 1.0, 6.0, 2.0]
    assert parts(stage, 8) == [0.5, 0.5, 0.5, 0.5, 3.0, 3.0, 1.0, 1.0]


def test_each_part_is_what_it_covers_of_the_original_tasks() -> None:
    """Three marks through four tasks, known and worked out by hand."""
    spec = StageSpec(stage="s", tasks=(1.0, 2.0, 4.0, 1.0))
    assert parts(described(spec), 4) == pytest.approx([2.0] * 4, rel=1e-9)
    # Equal sizes: a third of the four is one and a third of them.
    found = parts(described(spec, known=False), 3)
    assert found == pytest.approx([1 + 2 / 3, 4 / 3 + 8 / 3, 4 / 3 + 1], rel=1e-9)


def test_an_input_of_few_bytes_is_cut_into_no_more_tasks_than_it_can_be() -> None:
    """Ten bytes for four tasks are two each; no task reads less than a byte."""
    spec = StageSpec(stage="s", tasks=(1.0, 1.0, 6.0, 2.0))
    stage = described(spec, known=False, input_bytes=10)
    assert isinstance(stage.cut, InputDescriptor)
    assert stage.cut.unit_sizes == (2, 2, 2, 2)
    assert parts(stage, 100) == [0.5, 0.5, 0.5, 0.5, 3.0, 3.0, 1.0, 1.0]


def test_tasks_that_take_no_time_are_cut_like_any_others() -> None:
    """Some of them, or all."""
    assert parts(described(StageSpec(stage="s", tasks=(0.0, 4.0, 0.0))), 2) == [2.0, 2.0]
    assert parts(described(StageSpec(stage="s", tasks=(0.0, 0.0))), 1) == [0.0]
    assert sum(parts(described(StageSpec(stage="s", tasks=(0.0, 0.0))), 5)) == 0.0


# --------------------------------------------------------------- what the core is told


def test_without_partitioning_the_core_is_told_the_tasks() -> None:
    """Their works too, if estimates are exact; else their sizes, if there are any."""
    spec = StageSpec(stage="s", tasks=(0.5, 0.25, 0.5))
    none = Partitioning.NONE
    assert described(spec, none).cut == TaskList(count=3, task_work=(0.5, 0.25, 0.5))
    assert described(spec, none, known=False).cut == TaskList(count=3)
    told = described(spec, none, known=False, input_bytes=100).cut
    assert told == TaskList(count=3, task_bytes=(33, 33, 33))
    idle = StageSpec(stage="s", tasks=(0.0, 0.0))
    assert described(idle, none).cut == TaskList(count=2)


def test_without_partitioning_tasks_take_what_the_file_says() -> None:
    """In the order of the file, whatever is known of them."""
    spec = StageSpec(stage="s", tasks=(0.5, 0.25, 0.5))
    for known in (True, False):
        assert parts(described(spec, Partitioning.NONE, known=known), 3) == [0.5, 0.25, 0.5]


def test_a_stage_with_a_total_is_cut_by_the_slots_or_by_the_splitter() -> None:
    """Evenly either way."""
    spec = StageSpec(stage="s", work=6.0)
    engine = described(spec, Partitioning.NONE, slots=4)
    assert engine.cut == TaskList(count=4)
    assert parts(engine, 4) == [1.5] * 4
    splitter = described(spec)
    assert splitter.cut is None
    assert parts(splitter, 3) == [2.0] * 3
