"""Results of an engine that come in one report are decided together, as they were one by one.

Exact numbers: whatever comes of a report, the account of a job does not depend on how its results
were packed.  Only how often the charge is corrected on the way does.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.driver import Driver
from uwfq_service.core import commands as cmd
from uwfq_service.core import events as ev
from uwfq_service.core.invariants import check
from uwfq_service.core.replies import AckStatus, NextTaskReply
from uwfq_service.core.settings import Settings

ENGINE = "spark-1"

stages = st.lists(
    st.tuples(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 2)),
    min_size=1,
    max_size=3,
)
outcomes = st.one_of(
    st.builds(
        cmd.TaskSuccess,
        runtime=st.sampled_from([0.25, 1.0, 7.0]),
        input_bytes=st.none() | st.integers(0, 9),
        rows=st.none() | st.integers(0, 9),
    ),
    st.builds(cmd.TaskFailure, message=st.just("oh"), runtime=st.sampled_from([0.25, 1.0])),
)


def refs(job: str) -> st.SearchStrategy[cmd.TaskRef]:
    """Attempts of a job, some of which it cannot have."""
    return st.builds(
        cmd.TaskRef,
        job_id=st.just(job),
        stage=st.sampled_from(["0", "1", "2"]),
        task_index=st.integers(0, 6),
        # Most are first ones.
        attempt=st.sampled_from([1, 1, 1, 1, 2]),
    )


jobs = st.sampled_from(["one", "one", "other"])
results = st.lists(jobs.flatmap(refs), max_size=25).flatmap(
    lambda tasks: st.tuples(
        *[st.builds(cmd.TaskResult, task=st.just(task), outcome=outcomes) for task in tasks]
    )
)
starts = st.lists(st.builds(cmd.TaskStart, task=jobs.flatmap(refs), running=st.just(0.5)))


def engine(
    cuts: list[tuple[list[int], int]], begun: list[cmd.TaskStart], threshold: float, cap: int
) -> Driver:
    """Two open jobs of two users, five seconds old, with some attempts that run."""
    core = Driver(
        settings=Settings(correction_threshold=threshold, prior_work=20.0), number=Fraction
    )
    core.apply(cmd.SetUser(pool="pool", user="ann", max_running_slots=cap))
    core.rank(ENGINE, slots=4)
    for user, job in (("ann", "one"), ("bob", "other")):
        core.submit(user, job, open=True, engine_id=ENGINE)
        for name, (sizes, slots) in enumerate(cuts):
            # Whole numbers: work spread by bytes is rounded, and the order of its sums would show.
            cut = cmd.TaskList(count=len(sizes), task_work=tuple(map(float, sizes)))
            spec = cmd.StageSpec(stage=str(name), cut=cut, slots_per_task=slots)
            core.apply(cmd.AddStages(job_id=job, stages=(spec,)))
    core.at(5)
    core.ask(ENGINE, slots=4, free_slots=0, ranking=True, started=tuple(begun))
    return core


def told(core: Driver, report: tuple[cmd.TaskResult, ...]) -> list[AckStatus]:
    """Report, and what was answered."""
    reply: NextTaskReply = core.ask(ENGINE, slots=4, free_slots=0, ranking=True, done=report)
    check(core.scheduler, core.now)
    return [ack.status for ack in reply.done_acks]


def accounts(core: Driver) -> list[Any]:
    """What has become of the jobs, apart from what they are charged."""
    found: list[Any] = []
    for job in core.scheduler.jobs():
        found.append((job.job_id, job.state, job.measured, job.wasted, job.failed_attempts))
        found.append((job.estimated_done, job.estimated_started, job.started_at, job.cause))
        found.append((job.user.service_ended, job.user.running_slots, job.user.launchable_tasks))
        for stage in job.stages:
            found.append((stage.done, stage.waiting, stage.running, stage.measured, stage.over))
            found.append((stage.attempts or {}, stage.won or set(), stage.live or {}))
            found.append([stage.is_waiting(place) for place in range(stage.task_count)])
    return found


@given(
    cuts=stages,
    begun=starts,
    report=results,
    threshold=st.sampled_from([0.0, 0.1]),
    cap=st.integers(0, 4),
)
def test_one_report_is_as_good_as_many(
    cuts: list[tuple[list[int], int]],
    begun: list[cmd.TaskStart],
    report: tuple[cmd.TaskResult, ...],
    threshold: float,
    cap: int,
) -> None:
    """The same acknowledgements, the same accounts, and at the end the same charge."""
    together = engine(cuts, begun, threshold, cap)
    apart = engine(cuts, begun, threshold, cap)
    answers = told(together, report)
    assert answers == [answer for result in report for answer in told(apart, (result,))]
    assert accounts(together) == accounts(apart)
    for core in (together, apart):
        for job in ("one", "other"):
            core.apply(cmd.CloseJob(job_id=job, finished=True))
        check(core.scheduler, core.now)
    assert accounts(together) == accounts(apart)
    for one, other in zip(together.scheduler.jobs(), apart.scheduler.jobs(), strict=True):
        assert one.work == other.work == one.measured
        assert one.user.charged == other.user.charged


@given(count=st.integers(1, 400))
def test_many_results_are_few_events(count: int) -> None:
    """What is told of a stage at once is one record and one correction, however much it is."""
    core = engine([([1] * count, 1)], [], 0.1, 0)
    before = len(core.events)
    report = tuple(
        cmd.TaskResult(
            task=cmd.TaskRef(job_id="one", stage="0", task_index=index, attempt=1),
            outcome=cmd.TaskSuccess(runtime=0.5),
        )
        for index in range(count)
    )
    assert told(core, report) == [AckStatus.ACCEPTED] * count
    (ran, *rest) = core.events[before:]
    assert isinstance(ran, ev.TasksRan)
    assert ran.tasks == tuple(range(count))
    assert all(isinstance(event, ev.JobReestimated) for event in rest)
    assert len(rest) <= 1
