"""The splitter, case by case."""

from __future__ import annotations

from array import array

import pytest

from uwfq_service.core.commands import InputDescriptor, TaskList
from uwfq_service.core.splitting import (
    Reason,
    Split,
    launch_order,
    split,
    task_range,
    task_work,
)


def cut(
    what: TaskList | InputDescriptor | None = None,
    *,
    work: float = 7.5,
    slots_per_task: int = 1,
    advisory_task_runtime: float = 0.75,
    task_overhead: float = 0.0,
    overhead_budget: float = 0.05,
    min_tasks: int | None = None,
    max_tasks: int = 100_000,
    guess_tasks: int = 0,
    known: bool = True,
) -> Split:
    """A split with the service's defaults."""
    return split(
        what,
        work=work,
        slots_per_task=slots_per_task,
        advisory_task_runtime=advisory_task_runtime,
        task_overhead=task_overhead,
        overhead_budget=overhead_budget,
        min_tasks=min_tasks,
        max_tasks=max_tasks,
        guess_tasks=guess_tasks,
        known=known,
    )


def works(split_: Split) -> list[float]:
    """Work per task, as it is packed."""
    return array("d", split_.task_work).tolist()


def ranges(split_: Split) -> list[tuple[int, int, int, int]]:
    """The range of every task."""
    return [task_range(split_.bounds, task) for task in range(split_.task_count)]


class TestHowMany:
    def test_work_is_divided_by_the_advisory_runtime_and_rounded_up(self) -> None:
        """No task is meant to run for longer than advised."""
        assert cut(work=7.5).task_count == 10
        assert cut(work=7.6).task_count == 11
        assert cut(work=7.5).reason == Reason.ADVISORY_RUNTIME

    def test_a_task_that_needs_more_slots_does_more_work_in_its_time(self) -> None:
        """Work is slots times runtime."""
        assert cut(work=7.5, slots_per_task=2).task_count == 5

    def test_work_below_the_advisory_runtime_is_one_task(self) -> None:
        """There is always a task."""
        assert cut(work=1e-9) == Split(
            task_count=1, work=1e-9, advisory_task_runtime=0.75, reason=Reason.ADVISORY_RUNTIME
        )

    def test_float_noise_does_not_make_a_task_more(self) -> None:
        """Three tenths are three times a tenth, whatever the floats say."""
        assert 0.1 * 3 / 0.1 > 3
        assert cut(work=0.1 * 3, advisory_task_runtime=0.1).task_count == 3

    def test_min_tasks_asks_for_more(self) -> None:
        """A caller who knows of skew may want more tasks than the estimate does."""
        assert cut(work=1.0, min_tasks=8).task_count == 8
        assert cut(work=1.0, min_tasks=8).reason == Reason.MIN_TASKS
        assert cut(work=7.5, min_tasks=8).reason == Reason.ADVISORY_RUNTIME

    def test_max_tasks_allows_no_more(self) -> None:
        """However large the work; also where it is too large to count."""
        assert cut(work=7.5, max_tasks=4).task_count == 4
        assert cut(work=7.5, max_tasks=4).reason == Reason.MAX_TASKS
        assert cut(work=7.5, max_tasks=10).reason == Reason.ADVISORY_RUNTIME
        assert cut(work=1e300, advisory_task_runtime=1e-300, max_tasks=4).task_count == 4

    def test_max_tasks_wins_over_min_tasks(self) -> None:
        """The limit protects the service; the wish is only a wish."""
        assert cut(min_tasks=20, max_tasks=4).task_count == 4
        assert cut(min_tasks=20, max_tasks=4).reason == Reason.MAX_TASKS

    def test_overhead_raises_the_runtime_up_to_its_budget(self) -> None:
        """0.1 s of overhead may be 5 % of a task, so a task runs for 2 s."""
        split_ = cut(work=7.5, task_overhead=0.1)
        assert split_.advisory_task_runtime == pytest.approx(2.0)
        assert split_.task_count == 4
        assert split_.reason == Reason.OVERHEAD

    def test_overhead_within_its_budget_changes_nothing(self) -> None:
        """A runtime that is long enough stays."""
        assert cut(task_overhead=0.01) == cut()

    def test_overhead_is_not_blamed_where_it_changes_nothing(self) -> None:
        """One task is one task; the runtime that was used is still told."""
        split_ = cut(work=0.5, task_overhead=0.1)
        assert split_.reason == Reason.ADVISORY_RUNTIME
        assert split_.advisory_task_runtime == pytest.approx(2.0)

    @pytest.mark.parametrize("known", [True, False])
    def test_a_guess_asks_for_a_task_a_slot_unless_a_clamp_does_not(self, known: bool) -> None:
        """The reason is what has decided in the end, not what was asked for before."""

        def decided(least: int | None, most: int) -> tuple[int, Reason]:
            split_ = cut(work=3.0, guess_tasks=8, known=known, min_tasks=least, max_tasks=most)
            return split_.task_count, split_.reason

        assert decided(None, 100) == (8, Reason.GUESS)
        assert decided(5, 8) == (8, Reason.GUESS)
        assert decided(9, 100) == (9, Reason.MIN_TASKS)
        assert decided(None, 3) == (3, Reason.MAX_TASKS)
        assert decided(9, 6) == (6, Reason.MAX_TASKS)

    def test_an_even_stage_of_a_million_tasks_takes_no_room(self) -> None:
        """Its count says it all."""
        split_ = cut(work=750_000.0, max_tasks=10_000_000)
        assert split_.task_count == 1_000_000
        assert split_.task_work == split_.bounds == b""


class TestTheCallersTasks:
    def test_their_number_stays(self) -> None:
        """Neither the runtime nor a clamp touches what the caller has cut."""
        split_ = cut(TaskList(count=3), max_tasks=2, min_tasks=5, task_overhead=1.0)
        assert split_ == Split(
            task_count=3, work=7.5, advisory_task_runtime=0.75, reason=Reason.CALLER
        )

    def test_work_is_spread_by_size(self) -> None:
        """Without better knowledge a task takes as long as it has bytes."""
        assert works(cut(TaskList(count=3, task_bytes=(10, 0, 30)), work=8.0)) == [2.0, 0.0, 6.0]

    def test_the_callers_work_wins(self) -> None:
        """Over sizes, and over the estimate of the stage."""
        split_ = cut(TaskList(count=2, task_bytes=(1, 9), task_work=(3.0, 1.0)), work=100.0)
        assert works(split_) == [3.0, 1.0]
        assert split_.work == 4.0

    def test_equal_tasks_are_not_listed(self) -> None:
        """Equal sizes, or equal work, need no list; the sum is kept."""
        assert cut(TaskList(count=4, task_bytes=(5,) * 4)).task_work == b""
        split_ = cut(TaskList(count=4, task_work=(0.5,) * 4))
        assert split_.task_work == b""
        assert split_.work == 2.0

    def test_zeros_alone_say_nothing(self) -> None:
        """All sizes 0, or all work 0: the estimate, spread evenly."""
        for list_ in (
            TaskList(count=2, task_bytes=(0, 0)),
            TaskList(count=2, task_work=(0.0, 0.0)),
        ):
            assert cut(list_).task_work == b""
            assert cut(list_).work == 7.5


class TestTheInput:
    def test_units_are_grouped_near_equal(self) -> None:
        """Whole files, in order, three of about ten each."""
        split_ = cut(
            InputDescriptor(unit_sizes=(4, 5, 6, 5, 5, 5)), work=3.0, advisory_task_runtime=1
        )
        assert ranges(split_) == [(0, 0, 2, 0), (2, 0, 4, 0), (4, 0, 6, 0)]
        assert works(split_) == pytest.approx([0.9, 1.1, 1.0])

    def test_a_unit_is_cut_inside_only_if_it_may_be(self) -> None:
        """The first unit may, the second not."""
        input_ = InputDescriptor(unit_sizes=(6, 6), splittable=(True, False))
        split_ = cut(input_, work=4.0, advisory_task_runtime=1)
        assert ranges(split_) == [(0, 0, 0, 3), (0, 3, 0, 5), (0, 5, 1, 0), (1, 0, 2, 0)]

    def test_there_are_no_more_tasks_than_units(self) -> None:
        """Five tasks of two files would leave three without any."""
        split_ = cut(InputDescriptor(unit_sizes=(3, 4)), work=5.0, advisory_task_runtime=1)
        assert split_.task_count == 2
        assert split_.reason == Reason.INPUT_UNITS
        assert cut(InputDescriptor(unit_sizes=(3, 4)), min_tasks=3).task_count == 2

    def test_a_giant_leaves_the_rest_evenly_cut(self) -> None:
        """What one huge file takes is not taken from the tasks behind it."""
        input_ = InputDescriptor(unit_sizes=(1000,) + (1,) * 90)
        split_ = cut(input_, work=10.0, advisory_task_runtime=1)
        assert [end - begin for begin, _, end, _ in ranges(split_)] == [1] + [10] * 9

    def test_small_shortfalls_do_not_add_up(self) -> None:
        """Ranges a little short, one after another, would leave 9 for one: above 4 + 34 / 7."""
        sizes = (3, 4, 4, 4, 4, 1, 3, 2, 4, 1, 3, 1)
        split_ = cut(InputDescriptor(unit_sizes=sizes), work=7.0, advisory_task_runtime=1)
        assert max(works(split_)) * sum(sizes) / 7.0 <= 4 + 34 / 7

    def test_empty_units_go_with_a_neighbour(self) -> None:
        """An empty file is read by someone, but is nobody's only file."""
        input_ = InputDescriptor(unit_sizes=(0, 5, 0, 0, 5, 0))
        split_ = cut(input_, work=9.0, advisory_task_runtime=1)
        assert ranges(split_) == [(0, 0, 4, 0), (4, 0, 6, 0)]

    def test_units_of_unknown_size_count_the_same(self) -> None:
        """All sizes 0: nothing is known, so every unit is worth one."""
        input_ = InputDescriptor(unit_sizes=(0,) * 6, splittable=True)
        split_ = cut(input_, work=3.0, advisory_task_runtime=1)
        assert ranges(split_) == [(0, 0, 2, 0), (2, 0, 4, 0), (4, 0, 6, 0)]
        assert split_.task_work == b""

    def test_no_units_are_one_task(self) -> None:
        """It reads nothing, but it runs."""
        split_ = cut(InputDescriptor(unit_sizes=()))
        assert split_.task_count == 1
        assert ranges(split_) == [(0, 0, 0, 0)]

    def test_dear_bytes_make_short_ranges(self) -> None:
        """Ranges are near-equal in runtime, not in bytes."""
        input_ = InputDescriptor(unit_sizes=(30, 30), splittable=True, unit_costs=(2.0, 1.0))
        split_ = cut(input_, work=3.0, advisory_task_runtime=1)
        assert ranges(split_) == [(0, 0, 0, 15), (0, 15, 1, 0), (1, 0, 2, 0)]
        assert split_.task_work == b""

    def test_bounds_and_work_are_little_endian(self) -> None:
        """They are stored: another machine must read the same."""
        split_ = cut(InputDescriptor(unit_sizes=(1, 3)), work=4.0, advisory_task_runtime=2)
        assert split_.bounds[16:32] == (1).to_bytes(8, "little") + bytes(8)
        assert [task_work(split_.task_work, task) for task in (0, 1)] == [1.0, 3.0]
        assert memoryview(launch_order(split_.task_work)).cast("I").tolist() == [1, 0]


def test_reasons_are_lower_case_names() -> None:
    """They are stored and shown as they are."""
    assert set(Reason) == {
        "advisory_runtime",
        "min_tasks",
        "max_tasks",
        "input_units",
        "caller",
        "overhead",
        "guess",
    }
