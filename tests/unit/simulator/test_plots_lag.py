"""The picture of lags: how late jobs are, and the bound that is drawn beside them."""

import msgspec
import pytest
from matplotlib.text import Text

from tests.unit.simulator.synthetic import finished, run_of
from uwfq_service.simulator.plots import lag, style
from uwfq_service.simulator.runs import Faults, Launch, Options, Partitioning
from uwfq_service.simulator.workload import JobSpec, StageSpec, Workload
from uwfq_service.simulator.world import simulate


def test_the_bound_is_that_of_the_longest_task_and_the_largest_job() -> None:
    """2 x 3 s, and 8 slot-seconds on 4 slots."""
    launches = [Launch(0.0, 3.0, 0, 0, 0, 0), Launch(0.0, 1.0, 1, 1, 0, 0)]
    run = run_of([finished("a", work=8.0), finished("b", work=1.0)], launches=launches)
    assert lag.bounds(run) == [8.0, 8.0]
    assert lag.bounds(run_of(run.jobs)) is None


def test_the_bound_of_a_job_of_several_stages_has_its_critical_path() -> None:
    """1 + 3 s, and a longest task more; the job of one stage keeps to 2 x 3 s and 8 / 4 s."""
    launches = [
        Launch(0.0, 1.0, 0, 0, 0, 0),
        Launch(1.0, 4.0, 0, 0, 1, 0),
        Launch(1.0, 2.0, 2, 0, 1, 1),
        Launch(0.0, 1.0, 1, 1, 0, 0),
    ]
    run = run_of([finished("a", work=8.0), finished("b", work=1.0)], launches=launches)
    assert lag.bounds(run) == [15.0, 8.0]
    with style.styled():
        figure = lag.lags([run], ["uwfq"], style.groups_of([run]))
    assert figure.axes[0].get_title(loc="left").endswith("0 of 2 above\nthe bound, 8 to 15 seconds")


def test_driver_latency_is_no_lateness_and_no_promise() -> None:
    """A job that waited for its driver for 60 s may be later by that; but nobody vouches for it."""
    stages = (
        StageSpec(stage="scan", tasks=(1.0,)),
        StageSpec(stage="sum", tasks=(2.0,), delay=60.0),
    )
    jobs = (
        JobSpec(job="a", user="alice", stages=stages),
        JobSpec(job="b", user="bob", stages=stages[:1]),
    )
    workload = Workload(version=1, name="idle", slots=4, jobs=jobs)
    run = simulate(workload, Options(), keep_launches=True)
    # 2 x 2 s and 3 / 4 s; the first one's path of 1 + 2 s, and a longest task more.
    assert lag.bounds(run) == [4.75 + 3.0 + 2.0 + 60.0, 4.75]
    with style.styled():
        figure = lag.lags([run], ["uwfq"], style.groups_of([run]))
    assert "uwfq: 0 of 2 above\nuwfq's bound, " in figure.axes[0].get_title(loc="left")


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (Options(), True),
        (Options(partitioning=Partitioning.RUNTIME), True),
        (Options(policy="ujf"), False),
        (Options(estimates="learned"), False),
        (Options(task_overhead=0.1), False),
        (Options(faults=Faults(stragglers=0.1)), False),
    ],
)
def test_the_bound_is_for_uwfq_with_exact_estimates_and_no_faults(
    options: Options, kept: bool
) -> None:
    """Elsewhere the picture calls it uwfq's: nothing is broken when a job is above it."""
    run = run_of([finished("a")], launches=[Launch(0.0, 1.0, 0, 0, 0, 0)])
    run = msgspec.structs.replace(run, options=options)
    assert lag.is_kept(run) == kept
    with style.styled():
        figure = lag.lags([run], ["it"], style.groups_of([run]))
    assert ("above\nthe bound" in figure.axes[0].get_title(loc="left")) == kept


def test_jobs_above_the_bound_are_counted() -> None:
    """The bound is 2 x 1 s + 1 / 4 s; one of three jobs is later than that, one exactly so late."""
    jobs = [
        finished("a", finish=1.0, fluid_finish=1.0),
        finished("b", finish=3.25, fluid_finish=1.0),
        finished("c", finish=4.0, fluid_finish=1.0),
    ]
    run = run_of(jobs, launches=[Launch(0.0, 1.0, 0, 0, 0, 0)])
    with style.styled():
        figure = lag.lags([run], ["fifo"], style.groups_of([run]))
    assert figure.axes[0].get_title(loc="left") == "fifo: 1 of 3 above\nthe bound, 2.25 seconds"


def test_titles_of_panels_do_not_run_into_each_other() -> None:
    """Three panels stand side by side, under policies with long names and with large figures."""
    jobs = [finished(f"j{index}", finish=9e6, work=1e7) for index in range(12_345)]
    launches = [Launch(0.0, 1e6 * (1 + index), index, index, index, 0) for index in range(3)]
    runs = [run_of(jobs, launches=launches, policy="uwfq_paper") for _ in range(3)]
    with style.styled():
        figure = lag.lags(runs, ["uwfq_paper"] * 3, style.groups_of(runs))
        figure.draw_without_rendering()
        extents = [
            next(
                text.get_window_extent()
                for text in axes.get_children()
                if isinstance(text, Text) and "above" in text.get_text()
            )
            for axes in figure.axes
        ]
    assert extents[0].x1 < extents[1].x0
    assert extents[1].x1 < extents[2].x0
