"""What a workload comes to."""

import math

import msgspec
import pytest
from hypothesis import given

from tests.unit.simulator.documents import workloads
from uwfq_service.simulator.outline import Outline, outline, recut_tasks
from uwfq_service.simulator.runs import Options, Partitioning
from uwfq_service.simulator.workload import JobSpec, StageSpec, Workload
from uwfq_service.simulator.world import simulate


def job(name: str, submit: float, *stages: StageSpec, after: str | None = None) -> JobSpec:
    """A job of the user whose name its own begins with."""
    return JobSpec(job=name, user=name[0], submit=submit, after=after, stages=stages)


def test_the_numbers_are_those_of_the_workload() -> None:
    """A stage with a total counts as a task for every slot; load is work over slots and time."""
    tasks = StageSpec(stage="t", tasks=(1.0, 2.0, 3.0))
    whole = StageSpec(stage="w", work=6.0)
    jobs = (job("a1", 2.0, tasks, whole), job("b1", 5.0, tasks), job("a2", 4.0, whole))
    workload = Workload(version=1, name="n", slots=4, jobs=jobs)
    assert outline(workload) == Outline(
        jobs=3, tasks=14, users=2, work=24.0, span=3.0, load=2.0, closed=False
    )


def test_who_waits_for_a_result_submits_at_the_earliest_when_it_can_be_there() -> None:
    """As if every job had all slots; then the load can only be lower."""
    whole = StageSpec(stage="w", work=8.0)
    jobs = (
        job("a3", 1.0, whole, after="a2"),
        job("a1", 1.0, whole),
        job("a2", 0.5, whole, after="a1"),
    )
    numbers = outline(Workload(version=1, name="n", slots=4, jobs=jobs))
    # At 1, 1 + 2 + 0.5, and 3.5 + 2 + 1.
    assert (numbers.span, numbers.closed) == (5.5, True)
    assert numbers.load == pytest.approx(24 / (4 * 5.5))


def test_all_at_once_is_an_infinite_load() -> None:
    """There is no time that it could be spread over."""
    stage = StageSpec(stage="w", work=1.0)
    numbers = outline(Workload(version=1, name="n", slots=1, jobs=(job("a", 3.0, stage),)))
    assert (numbers.span, numbers.load) == (0.0, math.inf)


def test_a_long_chain_is_no_deep_recursion() -> None:
    """Told from its end, which is the worst order."""
    stage = StageSpec(stage="w", work=1.0)
    length = 20_000
    chain = [
        job(f"a{number}", 0.0, stage, after=f"a{number - 1}" if number else None)
        for number in range(length)
    ]
    numbers = outline(Workload(version=1, name="n", slots=1, jobs=tuple(reversed(chain))))
    assert numbers.span == length - 1


@given(workload=workloads())
def test_any_workload_has_an_outline(workload: Workload) -> None:
    """Nothing is negative, and only nobody's waiting makes the span exact."""
    numbers = outline(workload)
    assert numbers.jobs == len(workload.jobs)
    assert numbers.tasks >= numbers.jobs
    assert numbers.span >= 0
    assert numbers.load >= 0
    if not numbers.closed:
        submits = [job.submit for job in workload.jobs]
        assert numbers.span == max(submits) - min(submits)


@pytest.mark.parametrize(
    ("estimates", "tasks"),
    [("exact", 6 + 80 + 1), ("scaled:0.1", 1 + 8 + 1)],
)
def test_runtime_partitioning_makes_as_many_tasks_as_the_work_has_runtimes(
    estimates: str, tasks: int
) -> None:
    """At least one a stage, and no more than a service cuts one into."""
    stages = (
        StageSpec(stage="a", tasks=(1.0, 2.0)),
        StageSpec(stage="b", work=40.0),
        StageSpec(stage="c", tasks=(0.0,)),
    )
    workload = Workload(version=1, name="n", slots=4, jobs=(job("a", 0.0, *stages),))
    options = Options(partitioning=Partitioning.RUNTIME, atr=0.5, estimates=estimates)
    assert recut_tasks(workload, options) == tasks
    run = simulate(workload, options, keep_launches=True)
    assert len(run.launches) == tasks
    assert recut_tasks(workload, msgspec.structs.replace(options, atr=1e-300)) == 300_000
