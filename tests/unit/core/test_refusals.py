"""Commands that are refused: each names the field as the API does, and changes nothing."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
import pytest

from tests.oracles.driver import POOL, Driver, ref, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core.errors import (
    BacklogFull,
    InvalidField,
    JobConflict,
    JobNotOpen,
    NoRanking,
    SchedulerError,
    UnknownJob,
    UnknownPool,
    UsersFull,
)
from uwfq_service.core.settings import Limits, Settings

NAN, INF = math.nan, math.inf
HUGE: Final = 1e300
#: What no amount of work or time may be.
BAD_AMOUNTS: Final = (0.0, -1.0, NAN, INF, -INF, HUGE)
#: What no weight may be: it is kept in millionths.
BAD_WEIGHTS: Final = (*BAD_AMOUNTS, 1e-9, 2e6)
#: What no duration may be; 0 is fine.
BAD_DURATIONS: Final = (-1.0, NAN, INF, -INF, HUGE)
BAD_COUNTS: Final = (0, -1, 1 << 70)
BAD_AMOUNTS_OR_NONE: Final = (-1, 1 << 70)


@pytest.fixture
def core() -> Driver:
    """A pool with a job, one of whose tasks is leased."""
    driver = Driver()
    driver.submit("u", "j", stage("s", 1.0, 1.0), open=True)
    driver.poll()
    return driver


def refused(core: Driver, command: cmd.Command) -> SchedulerError:
    """Why ``command`` is refused; it leaves no trace."""
    before = msgspec.msgpack.encode(core.scheduler.dump())
    with pytest.raises(SchedulerError) as refusal:
        core.scheduler.apply(command, core.now)
    assert msgspec.msgpack.encode(core.scheduler.dump()) == before
    return refusal.value


def assert_names(core: Driver, command: cmd.Command, field: str) -> None:
    """``command`` is refused for ``field``, in words that say so."""
    error = refused(core, command)
    assert isinstance(error, InvalidField), error
    assert error.field == field
    assert str(error).startswith(f"{field}: ")


def submission(**fields: Any) -> cmd.SubmitJob:
    """A valid submission, changed by ``fields``."""
    valid: dict[str, Any] = {"pool": POOL, "user": "u", "stages": (stage("s", 1.0),)}
    return cmd.SubmitJob(**{**valid, **fields})


def with_stage(**fields: Any) -> cmd.SubmitJob:
    """A submission of one stage, changed by ``fields``."""
    return submission(stages=(cmd.StageSpec(**{"stage": "s", "declared_work": 1.0, **fields}),))


@pytest.mark.parametrize(
    ("field", "api_name", "values"),
    [
        ("job_weight", "job_weight", BAD_WEIGHTS),
        ("declared_work", "estimated_work_slot_seconds", BAD_AMOUNTS),
        ("advisory_task_runtime", "advisory_task_runtime_seconds", BAD_AMOUNTS),
        ("input_bytes", "input_bytes", BAD_AMOUNTS_OR_NONE),
    ],
)
def test_a_bad_number_of_a_job_is_named(
    core: Driver, field: str, api_name: str, values: tuple[float, ...]
) -> None:
    """0, NaN, negative, infinite and huge values of a submission."""
    for value in values:
        assert_names(core, submission(**{field: value}), api_name)


@pytest.mark.parametrize(
    ("field", "api_name", "values"),
    [
        ("declared_work", "estimated_work_slot_seconds", BAD_AMOUNTS),
        ("advisory_task_runtime", "advisory_task_runtime_seconds", BAD_AMOUNTS),
        ("task_timeout", "task_timeout_seconds", BAD_AMOUNTS),
        ("slots_per_task", "slots_per_task", BAD_COUNTS),
        ("min_tasks", "min_tasks", BAD_COUNTS),
        ("max_tasks", "max_tasks", BAD_COUNTS),
        ("max_attempts", "max_attempts", BAD_COUNTS),
        ("signature", "signature", ("x" * 257, "ä" * 129)),
    ],
)
def test_a_bad_value_of_a_stage_is_named_wherever_it_comes(
    core: Driver, field: str, api_name: str, values: tuple[float | str, ...]
) -> None:
    """The same of a stage, in a submission, in AddStages and in SplitStage."""
    for value in values:
        command = with_stage(**{field: value})
        assert_names(core, command, f"stages[0].{api_name}")
        added = cmd.AddStages(job_id="j", stages=(stage("t", 1.0), *command.stages[:1]))
        assert_names(core, added, f"stages[1].{api_name}")
        question = cmd.SplitStage(pool=POOL, user="u", stage=command.stages[0])
        with pytest.raises(InvalidField) as caught:
            core.scheduler.split_stage(question)
        assert caught.value.field == f"stage.{api_name}"


@pytest.mark.parametrize(
    ("cut", "field"),
    [
        *[(cmd.TaskList(count=count), "tasks.count") for count in BAD_COUNTS],
        *[
            (cmd.TaskList(count=2, task_work=(1.0, bad)), "tasks.task_work_slot_seconds[1]")
            for bad in BAD_DURATIONS
        ],
        (cmd.TaskList(count=2, task_work=(0.0, 0.0)), "tasks.task_work_slot_seconds (sum)"),
        (cmd.TaskList(count=2, task_work=(1.0,)), "tasks.task_work_slot_seconds"),
        (cmd.TaskList(count=2, task_work=(9e11, 9e11)), "tasks.task_work_slot_seconds (sum)"),
        (cmd.TaskList(count=2, task_bytes=(1,)), "tasks.task_bytes"),
        *[
            (cmd.TaskList(count=1, task_bytes=(bad,)), "tasks.task_bytes[0]")
            for bad in BAD_AMOUNTS_OR_NONE
        ],
        (cmd.InputDescriptor(unit_sizes=()), "input.unit_sizes"),
        (cmd.InputDescriptor(unit_sizes=(0, 0)), "input.unit_sizes"),
        (cmd.InputDescriptor(unit_sizes=(1, -1, 5)), "input.unit_sizes[1]"),
        (cmd.InputDescriptor(unit_sizes=(1 << 62, 1 << 62)), "input.unit_sizes"),
        (cmd.InputDescriptor(unit_sizes=(1,), unit_costs=(1.0, 1.0)), "input.unit_costs"),
        *[
            (cmd.InputDescriptor(unit_sizes=(1,), unit_costs=(bad,)), "input.unit_costs[0]")
            for bad in BAD_AMOUNTS
        ],
        (
            cmd.InputDescriptor(unit_sizes=(1,), splittable=(True, False)),
            "input.splittable_units",
        ),
    ],
)
def test_a_bad_number_of_a_cut_is_named_with_its_place(
    core: Driver, cut: cmd.TaskList | cmd.InputDescriptor, field: str
) -> None:
    """Lists have the length they must have, and no bad item anywhere in them."""
    assert_names(core, with_stage(cut=cut), f"stages[0].{field}")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        *[({"slots": bad}, "slots") for bad in BAD_COUNTS],
        ({"free_slots": -1}, "free_slots"),
        ({"free_slots": 3}, "free_slots"),
        *[({"prefetch": bad}, "prefetch") for bad in BAD_AMOUNTS_OR_NONE],
        *[({"max_tasks": bad}, "max_tasks") for bad in BAD_AMOUNTS_OR_NONE],
        *[({"wait": bad}, "wait_seconds") for bad in BAD_DURATIONS],
        *[({"poll_id": bad}, "poll_id") for bad in BAD_AMOUNTS_OR_NONE],
        *[({"max_stages": bad}, "ranking.max_stages") for bad in BAD_AMOUNTS_OR_NONE],
        ({"worker_id": ""}, "worker_id"),
        ({"worker_id": "w" * 129}, "worker_id"),
        ({"pool": ""}, "pool"),
    ],
)
def test_a_bad_number_of_a_poll_is_named(core: Driver, fields: dict[str, Any], field: str) -> None:
    """A refused poll has not even introduced its worker."""
    valid: dict[str, Any] = {"pool": POOL, "worker_id": "new", "slots": 2, "free_slots": 1}
    assert_names(core, cmd.NextTask(**{**valid, **fields}), field)


@pytest.mark.parametrize("bad", BAD_DURATIONS)
def test_one_bad_time_refuses_the_whole_message(core: Driver, bad: float) -> None:
    """One bad item refuses the whole message, wherever it rides."""
    (lease,) = core.scheduler.state.leases.values()
    good = cmd.TaskResult(task=ref(lease), outcome=cmd.TaskSuccess(runtime=1.0))
    success = cmd.TaskResult(task=ref(lease), outcome=cmd.TaskSuccess(runtime=bad))
    failure = cmd.TaskResult(task=ref(lease), outcome=cmd.TaskFailure(message="", runtime=bad))
    start = cmd.TaskStart(task=ref(lease), running=bad)
    poll = cmd.NextTask(pool=POOL, worker_id="w", slots=1, free_slots=0)
    replace = msgspec.structs.replace
    commands: list[tuple[cmd.Command, str]] = [
        (
            cmd.TaskDone(worker_id="w", results=(good, success)),
            "results[1].success.runtime_seconds",
        ),
        (cmd.TaskDone(worker_id="w", results=(failure,)), "results[0].failure.runtime_seconds"),
        (replace(poll, done=(good, failure)), "done[1].failure.runtime_seconds"),
        (replace(poll, started=(start,)), "started[0].running_seconds"),
        (cmd.RenewLeases(worker_id="w", started=(start,)), "started[0].running_seconds"),
    ]
    for command, field in commands:
        assert_names(core, command, field)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        *[({"weight": bad}, "weight") for bad in BAD_WEIGHTS],
        *[({"max_running_slots": bad}, "max_running_slots") for bad in BAD_AMOUNTS_OR_NONE],
        *[({"max_waiting_jobs": bad}, "max_waiting_jobs") for bad in BAD_AMOUNTS_OR_NONE],
        ({"user": ""}, "user"),
    ],
)
def test_a_bad_setting_of_a_user_is_named(core: Driver, fields: dict[str, Any], field: str) -> None:
    """A weight of 0 or of 1e300 would stop the others' clocks or the user's."""
    assert_names(core, cmd.SetUser(**{"pool": POOL, "user": "u", **fields}), field)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        *[({"fixed_slots": bad}, "fixed_slots") for bad in BAD_COUNTS],
        *[({"advisory_task_runtime": bad}, "advisory_task_runtime") for bad in BAD_AMOUNTS],
        ({"policy": "lottery"}, "policy"),
        ({"pool": ""}, "pool"),
    ],
)
def test_a_bad_setting_of_a_pool_is_named(core: Driver, fields: dict[str, Any], field: str) -> None:
    """Operators are checked, too."""
    assert_names(core, cmd.ConfigurePool(**{"pool": POOL, **fields}), field)


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (submission(user=""), "user"),
        (submission(user="ü" * 65), "user"),
        (submission(job_id="x" * 129), "job_id"),
        (submission(request_id="x" * 129), "request_id"),
        (submission(kind="x" * 129), "kind"),
        (submission(signature="x" * 257), "signature"),
        (submission(engine_id="x" * 129), "engine_id"),
        (submission(labels={str(n): "" for n in range(33)}), "labels"),
        (submission(labels={"a": "x" * 5000}), "labels"),
        (submission(stages=()), "stages"),
        (submission(stages=(stage("s", 1.0), stage("s", 1.0))), "stages[1].stage"),
        (submission(stages=(stage("", 1.0),)), "stages[0].stage"),
        (submission(stages=(stage("s", 1.0, after="ghost"),)), "stages[0].after[0]"),
        (submission(stages=(stage("s", 1.0, after="s"),)), "stages[0].after"),
        (
            submission(stages=(stage("a", 1.0, after="b"), stage("b", 1.0, after="a"))),
            "stages[0].after",
        ),
        (with_stage(payload=b"x" * (64 * 1024 + 1)), "stages[0].payload"),
        (with_stage(min_tasks=5, max_tasks=4), "stages[0].max_tasks"),
        (cmd.AddStages(job_id="j", stages=()), "stages"),
        (cmd.TaskDone(worker_id="w", results=()), "results"),
        (cmd.RenewLeases(worker_id="", lease_ids=(1,)), "worker_id"),
    ],
)
def test_bad_names_sizes_and_dependencies_are_named(
    core: Driver, command: cmd.Command, field: str
) -> None:
    """Texts are bounded in bytes; a stage may wait for what exists, and never for itself."""
    assert_names(core, command, field)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (submission(pool="ghost"), UnknownPool),
        (cmd.NextTask(pool="ghost", worker_id="w", slots=1, free_slots=1), UnknownPool),
        (cmd.SetUser(pool="ghost", user="u"), UnknownPool),
        (cmd.AddStages(job_id="ghost", stages=(stage("t", 1.0),)), UnknownJob),
        (cmd.CloseJob(job_id="ghost"), UnknownJob),
        (cmd.CancelJob(job_id="ghost"), UnknownJob),
        (submission(job_id="j"), JobConflict),
        (cmd.AddStages(job_id="j", stages=(stage("s", 2.0),)), JobConflict),
    ],
)
def test_what_depends_on_the_state(
    core: Driver, command: cmd.Command, error: type[SchedulerError]
) -> None:
    """Unknown names and conflicting content."""
    assert isinstance(refused(core, command), error)


def test_a_closed_job_takes_no_stages(core: Driver) -> None:
    """Nor does one that is over."""
    core.apply(cmd.CloseJob(job_id="j"))
    more = cmd.AddStages(job_id="j", stages=(stage("t", 1.0),))
    assert isinstance(refused(core, more), JobNotOpen)
    core.cancel("j")
    assert isinstance(refused(core, more), JobNotOpen)


@pytest.mark.parametrize("policy", ["fifo", "fair", "ujf"])
def test_a_ranking_needs_deadlines(policy: str) -> None:
    """An order that changes with every launch cannot be handed out."""
    poll = cmd.NextTask(pool=POOL, worker_id="e", slots=1, free_slots=1, ranking=True)
    assert isinstance(refused(Driver(policy), poll), NoRanking)


def test_backlogs_are_bounded() -> None:
    """Of a user, of a user with a cap, of a pool; workers are counted, too."""
    limits = Limits(max_jobs_per_user=2, max_jobs_per_pool=4, max_workers_per_pool=1)
    core = Driver(settings=Settings(limits=limits))
    core.apply(cmd.SetUser(pool=POOL, user="capped", max_waiting_jobs=1))
    core.submit("capped", "c1", stage("s", 1.0))
    core.submit("a", "a1", stage("s", 1.0))
    core.submit("a", "a2", stage("s", 1.0))
    for user, scope in [("capped", "user"), ("a", "user")]:
        error = refused(core, submission(user=user))
        assert isinstance(error, BacklogFull)
        assert (error.scope, error.name) == (scope, user)
    core.submit("b", "b1", stage("s", 1.0))
    assert isinstance(refused(core, submission(user="b")), BacklogFull)
    core.poll("w1")
    second = cmd.NextTask(pool=POOL, worker_id="w2", slots=1, free_slots=1)
    assert isinstance(refused(core, second), BacklogFull)


def test_users_are_bounded() -> None:
    """By a refusal of its own, since nobody need ever leave: one has settings, one a job."""
    core = Driver(settings=Settings(limits=Limits(max_users_per_pool=2)))
    core.submit("a", "a1", stage("s", 1.0))
    core.cancel("a1")
    core.apply(cmd.SetUser(pool=POOL, user="b", weight=2.0))
    for command in (submission(user="c"), cmd.SetUser(pool=POOL, user="c", weight=2.0)):
        error = refused(core, command)
        assert isinstance(error, UsersFull)
        assert "limits.max_users_per_pool" in str(error)
    core.submit("b", "b1", stage("s", 1.0))


def test_an_input_has_no_more_units_than_can_be_cut_in_passing() -> None:
    """All others wait while one submission is cut."""
    core = Driver(slots=1)
    for units in (50_001, 1_000_000):
        cut = cmd.InputDescriptor(unit_sizes=(1,) * units)
        refusal = refused(core, submission(stages=(cmd.StageSpec(stage="s", cut=cut),)))
        assert isinstance(refusal, InvalidField)
        assert refusal.field == "stages[0].input.unit_sizes"
    most = cmd.InputDescriptor(unit_sizes=(1,) * 50_000)
    core.submit("a", "most", cmd.StageSpec(stage="s", cut=most))


def test_the_extremes_that_are_allowed_are_survived() -> None:
    """The smallest and the largest of everything side by side."""
    core = Driver(slots=1_000_000)
    core.apply(cmd.SetUser(pool=POOL, user="light", weight=0.001))
    core.apply(cmd.SetUser(pool=POOL, user="heavy", weight=1e6))
    core.submit("light", "least", stage("s", 1e-9), job_weight=0.001)
    core.submit("heavy", "most", stage("s", 1e12), job_weight=1e6)
    core.submit("light", "more", stage("s", 1e12))
    leases = core.poll(slots=1_000_000)
    core.at(5.0)
    assert len(leases) == 3
    for lease in leases:
        core.done(lease, 5.0)
    assert all(job.ended for job in core.scheduler.jobs())
