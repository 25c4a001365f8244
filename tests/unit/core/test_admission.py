"""What a submission becomes: estimates, cuts and dependencies, through the scheduler."""

from __future__ import annotations

import pytest

from uwfq_service.core.commands import (
    AddStages,
    CloseJob,
    ConfigurePool,
    InputDescriptor,
    StageSpec,
    SubmitJob,
    TaskList,
)
from uwfq_service.core.errors import InvalidField, JobConflict, JobNotOpen
from uwfq_service.core.replies import JobReply
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Limits, Settings


def scheduler(**pool: float) -> Scheduler:
    """A scheduler with one pool of four slots."""
    made = Scheduler()
    made.apply(ConfigurePool(pool="default", fixed_slots=4, **pool), 0.0)  # type: ignore[arg-type]
    return made


def submit(made: Scheduler, *stages: StageSpec, **job: object) -> JobReply:
    """Submit a job of ``stages`` at once."""
    reply = made.apply(SubmitJob(user="ada", stages=stages, **job), 0.0).reply  # type: ignore[arg-type]
    assert isinstance(reply, JobReply)
    return reply


@pytest.mark.parametrize(
    ("pool", "job", "stage", "tasks"),
    [
        (None, None, None, 8),
        (0.5, None, None, 12),
        (0.5, 1.0, None, 6),
        (0.5, 1.0, 2.0, 3),
    ],
)
def test_the_nearest_advisory_runtime_counts(
    pool: float | None, job: float | None, stage: float | None, tasks: int
) -> None:
    """The stage's runtime cuts six slot-seconds, else the job's, the pool's, the service's."""
    made = scheduler(**({} if pool is None else {"advisory_task_runtime": pool}))
    spec = StageSpec(stage="only", declared_work=6.0, advisory_task_runtime=stage)
    reply = submit(made, spec, advisory_task_runtime=job)
    assert reply.stages[0].task_count == tasks


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("declared", [0.9, 3.3, 7.4])
def test_an_only_stage_is_all_that_its_job_declares(declared: float, is_open: bool) -> None:
    """To the last bit, whatever is predicted of it: nothing is left to share."""
    reply = submit(scheduler(), StageSpec(stage="only"), declared_work=declared, open=is_open)
    assert reply.stages[0].work == reply.work == declared


@pytest.mark.parametrize(("after", "field"), [("none", "after[0]"), ("new", "after")])
def test_a_stage_is_refused_by_its_place_in_the_call(after: str, field: str) -> None:
    """Those that the job has already, which an engine says once more, are counted as well."""
    made = scheduler()
    known, new = StageSpec(stage="known"), StageSpec(stage="new", after=(after,))
    submit(made, known, job_id="j", open=True)
    with pytest.raises(InvalidField) as refusal:
        made.apply(AddStages(job_id="j", stages=(known, new)), 0.0)
    assert refusal.value.field == f"stages[1].{field}"


def test_inputs_of_one_call_are_cut_into_so_many_ranges_at_most() -> None:
    """A short message may describe more of them than a minute, or the journal, has room for."""
    made = Scheduler(Settings(limits=Limits(max_ranges=10)))
    made.apply(ConfigurePool(pool="default", fixed_slots=4), 0.0)
    units = InputDescriptor(unit_sizes=(100,), splittable=True)
    one, other = (
        StageSpec(stage=name, cut=units, declared_work=6.0, advisory_task_runtime=1.0)
        for name in ("one", "other")
    )
    with pytest.raises(InvalidField, match="stages: would be cut into more than 10 ranges"):
        submit(made, one, other)
    assert not made.state.jobs
    submit(made, one, job_id="j", open=True)
    assert made.apply(AddStages(job_id="j", stages=(other,)), 0.0).events
    even = [StageSpec(stage=str(n), declared_work=6.0) for n in range(5)]
    assert sum(stage.task_count for stage in submit(made, *even).stages) > 10


def test_one_call_lists_so_many_tasks_and_units_at_most() -> None:
    """To put them in order takes its time, and everybody else waits for that."""
    made = Scheduler(Settings(limits=Limits(max_listed_tasks=3)))
    made.apply(ConfigurePool(pool="default", fixed_slots=4), 0.0)
    sizes = StageSpec(stage="one", cut=TaskList(count=2, task_bytes=(1, 2)))
    works = StageSpec(stage="other", cut=TaskList(count=2, task_work=(1.0, 2.0)))
    units = StageSpec(stage="input", cut=InputDescriptor(unit_sizes=(1, 2)))
    more_units = StageSpec(stage="more input", cut=units.cut)
    for pair in ((sizes, works), (sizes, units), (units, more_units)):
        with pytest.raises(InvalidField, match="stages: list sizes or works of more than 3 tasks"):
            submit(made, *pair)
    assert not made.state.jobs
    submit(made, sizes, job_id="j", open=True)
    assert made.apply(AddStages(job_id="j", stages=(works,)), 0.0).events
    assert made.apply(AddStages(job_id="j", stages=(units,)), 0.0).events
    submit(made, StageSpec(stage="even", cut=TaskList(count=100)))


def test_one_call_names_so_many_dependencies_at_most() -> None:
    """To look them up takes its time, and everybody else waits for that."""
    made = Scheduler(Settings(limits=Limits(max_dependencies=3)))
    made.apply(ConfigurePool(pool="default", fixed_slots=4), 0.0)
    first, second = StageSpec(stage="first"), StageSpec(stage="second", after=("first",))
    third = StageSpec(stage="third", after=("first", "second"))
    fourth = StageSpec(stage="fourth", after=("third",))
    # However often it is the same one, and before the names are looked at.
    for stages in ((first, second, third, fourth), (StageSpec(stage="x", after=("",) * 4),)):
        with pytest.raises(InvalidField, match="stages: name more than 3 dependencies"):
            submit(made, *stages)
    assert not made.state.jobs
    submit(made, first, second, third, job_id="j", open=True)
    assert made.apply(AddStages(job_id="j", stages=(fourth,)), 0.0).events


def test_what_the_job_declares_is_shared_among_stages_that_declare_nothing() -> None:
    """A job of 10 with a stage of 4 leaves 6 to the other two, which look alike."""
    reply = submit(
        scheduler(),
        StageSpec(stage="told", declared_work=4.0),
        StageSpec(stage="left"),
        StageSpec(stage="right"),
        declared_work=10.0,
    )
    assert [stage.work for stage in reply.stages] == [4.0, 3.0, 3.0]
    assert reply.work == 10.0


def test_a_stage_may_name_one_that_stands_behind_it() -> None:
    """The order of the request does not matter, only that the names lead nowhere in a circle."""
    reply = submit(
        scheduler(),
        StageSpec(stage="merge", after=("scan",), cut=TaskList(count=1)),
        StageSpec(stage="scan", cut=TaskList(count=2)),
    )
    assert [stage.ready for stage in reply.stages] == [False, True]


def test_a_circle_of_stages_is_refused() -> None:
    """Nothing of it could ever start."""
    with pytest.raises(InvalidField, match=r"stages\[0\]\.after.*waits for itself"):
        submit(
            scheduler(),
            StageSpec(stage="hen", after=("egg",)),
            StageSpec(stage="egg", after=("hen",)),
        )


def test_of_stages_behind_a_circle_none_is_said_to_be_in_it() -> None:
    """The one that is named is the first of those that wait for each other."""
    with pytest.raises(InvalidField) as refusal:
        submit(
            scheduler(),
            StageSpec(stage="omelette", after=("egg",)),
            StageSpec(stage="hen", after=("egg",)),
            StageSpec(stage="egg", after=("hen",)),
        )
    assert str(refusal.value).startswith("stages[1].after: stage 'hen' waits for itself")


def test_an_open_job_takes_each_stage_once() -> None:
    """The same stage again changes nothing; other content under its name is a conflict."""
    made = scheduler()
    submit(made, job_id="j", open=True)
    scan = StageSpec(stage="scan", cut=InputDescriptor(unit_sizes=(5, 5)))
    first = made.apply(AddStages(job_id="j", stages=(scan,)), 1.0)
    again = made.apply(AddStages(job_id="j", stages=(scan,)), 2.0)
    assert isinstance(again.reply, JobReply)
    assert (len(first.events), again.events, again.reply.duplicate) == (1, [], True)
    with pytest.raises(JobConflict):
        made.apply(AddStages(job_id="j", stages=(StageSpec(stage="scan"),)), 3.0)


def test_a_closed_job_takes_no_more_stages() -> None:
    """Neither one that never was open nor one that was closed."""
    made = scheduler()
    submit(made, StageSpec(stage="only"), job_id="never")
    submit(made, StageSpec(stage="only"), job_id="once", open=True)
    made.apply(CloseJob(job_id="once"), 1.0)
    for job in ("never", "once"):
        with pytest.raises(JobNotOpen):
            made.apply(AddStages(job_id=job, stages=(StageSpec(stage="more"),)), 2.0)
