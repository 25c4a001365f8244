"""A command with a value out of its range is refused by the field's name, and leaves no trace.

The tables say for each field of each command which values are refused.  A field is named as the
API names it.  The core is small here: its limits are lowered, so that nothing has to be big.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import pytest

from uwfq_service.core import commands as cmd
from uwfq_service.core.errors import (
    BacklogFull,
    InvalidField,
    JobConflict,
    JobNotOpen,
    NoRanking,
    NotFound,
    SchedulerError,
    UnknownJob,
    UnknownPool,
    UsersFull,
)
from uwfq_service.core.invariants import check
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Limits, Settings

LIMITS: Final = Limits(
    max_id_bytes=8,
    max_signature_bytes=10,
    max_payload_bytes=16,
    max_labels=2,
    max_labels_bytes=20,
    max_stages_per_job=3,
    max_tasks_per_stage=100,
    max_input_units=4,
    max_batch=3,
    max_jobs_per_user=4,
    max_jobs_per_pool=5,
    max_users_per_pool=2,
    max_workers_per_pool=2,
)

# -- what no field takes ---------------------------------------------------------------------------

NAN, INF = math.nan, math.inf
#: More than any journal can hold.
HUGE: Final = 1 << 64
#: A text of nine bytes in seven characters, and one of nine bytes that is not short at all.
LONG: Final = ("éétoile", "ninebytes", "x" * 10_000)
NAMES: Final = ("", *LONG)
NOT_POSITIVE: Final = (0.0, -0.0, -1.0, NAN, INF, -INF, 1e300)
NOT_SECONDS: Final = (-1e-9, -1.0, NAN, INF, -INF, 1e300)
NOT_WEIGHTS: Final = (0.0, -1.0, 0.0009, 1_000_001.0, NAN, INF, -INF)
NOT_COUNTS: Final = (-1, HUGE)
NOT_COUNTS_FROM_ONE: Final = (0, *NOT_COUNTS)
NOT_BYTES: Final = (-1, (1 << 63) + 1, HUGE)

GOOD_STAGE: Final = cmd.StageSpec(stage="main", cut=cmd.TaskList(count=2))
GOOD_JOB: Final = cmd.SubmitJob(user="ada", job_id="new", stages=(GOOD_STAGE,))
GOOD_POLL: Final = cmd.NextTask(worker_id="w1", slots=2, free_slots=2)
SUCCESS: Final = cmd.TaskResult(task=cmd.TaskRef(lease_id=1), outcome=cmd.TaskSuccess(runtime=0.5))
FAILURE: Final = cmd.TaskResult(
    task=cmd.TaskRef(lease_id=1), outcome=cmd.TaskFailure(message="no", runtime=0.5)
)
START: Final = cmd.TaskStart(task=cmd.TaskRef(lease_id=1))
PLACED: Final = cmd.TaskRef(job_id="scan", stage="main")

Cuts = tuple[tuple[str, list[dict[str, Any]]], ...]

# -- the tables: field of the API, field of the record, values -------------------------------------

JOB: Final = (
    ("pool", "pool", NAMES),
    ("user", "user", NAMES),
    ("job_id", "job_id", LONG),
    ("request_id", "request_id", LONG),
    ("kind", "kind", LONG),
    ("signature", "signature", ("elevenbytes", "x" * 10_000)),
    ("engine_id", "engine_id", LONG),
    ("input_bytes", "input_bytes", NOT_BYTES),
    ("labels", "labels", ({"a": "", "b": "", "c": ""}, {"a": "x" * 20}, {"ééééééé": "1234567"})),
    ("job_weight", "job_weight", NOT_WEIGHTS),
    ("estimated_work_slot_seconds", "declared_work", NOT_POSITIVE),
    ("advisory_task_runtime_seconds", "advisory_task_runtime", NOT_POSITIVE),
    ("stages", "stages", ((), tuple(cmd.StageSpec(stage=name) for name in "abcd"))),
    ("stages[1].stage", "stages", ((GOOD_STAGE, GOOD_STAGE),)),
)
STAGE: Final = (
    ("stage", "stage", NAMES),
    ("after", "after", (("a", "b", "c", "d"), ("main",))),
    ("after[0]", "after", [(name,) for name in (*NAMES, "who")]),
    ("estimated_work_slot_seconds", "declared_work", NOT_POSITIVE),
    ("slots_per_task", "slots_per_task", NOT_COUNTS_FROM_ONE),
    ("payload", "payload", (b"x" * 17,)),
    ("advisory_task_runtime_seconds", "advisory_task_runtime", NOT_POSITIVE),
    ("min_tasks", "min_tasks", (*NOT_COUNTS_FROM_ONE, 101)),
    ("max_tasks", "max_tasks", NOT_COUNTS_FROM_ONE),
    ("max_attempts", "max_attempts", (*NOT_COUNTS_FROM_ONE, 101)),
    ("task_timeout_seconds", "task_timeout", NOT_POSITIVE),
)
TASKS: Final[Cuts] = (
    ("count", [{"count": value} for value in (*NOT_COUNTS_FROM_ONE, 101)]),
    ("task_bytes", [{"count": 3, "task_bytes": sizes} for sizes in ((1, 2), (1, 2, 3, 4))]),
    ("task_bytes[1]", [{"count": 2, "task_bytes": (1, value)} for value in NOT_BYTES]),
    # Each is fine, and their sum is more than the journal can hold.
    ("task_bytes (sum)", [{"count": 3, "task_bytes": (1 << 63,) * 3}]),
    ("task_work_slot_seconds", [{"count": 2, "task_work": (1.0,)}]),
    (
        "task_work_slot_seconds[1]",
        [{"count": 2, "task_work": (1.0, value)} for value in (-1.0, NAN, INF, -INF, 1e13)],
    ),
    (
        "task_work_slot_seconds (sum)",
        [{"count": 2, "task_work": works} for works in ((0.0, 0.0), (1e12, 1e12))],
    ),
)
NOT_SIZES: Final = ((), (0,), (0, 0), (1 << 62, 1 << 62), (1,) * 5)
NOT_FLAGS: Final[tuple[tuple[bool, ...], ...]] = ((), (True,), (True,) * 3)
NOT_COSTS: Final = (0.0, -1.0, NAN, INF, 1e10)
INPUT: Final[Cuts] = (
    ("unit_sizes", [{"unit_sizes": sizes} for sizes in NOT_SIZES]),
    ("unit_sizes[1]", [{"unit_sizes": (1, value)} for value in NOT_BYTES]),
    ("splittable_units", [{"unit_sizes": (1, 2), "splittable": flags} for flags in NOT_FLAGS]),
    ("unit_costs", [{"unit_sizes": (1, 2), "unit_costs": (1.0,)}]),
    ("unit_costs[1]", [{"unit_sizes": (1, 2), "unit_costs": (1.0, cost)} for cost in NOT_COSTS]),
)
POLL: Final = (
    ("pool", "pool", NAMES),
    ("worker_id", "worker_id", NAMES),
    ("slots", "slots", NOT_COUNTS_FROM_ONE),
    ("free_slots", "free_slots", (3, *NOT_COUNTS)),
    ("prefetch", "prefetch", NOT_COUNTS),
    ("max_tasks", "max_tasks", NOT_COUNTS),
    ("wait_seconds", "wait", NOT_SECONDS),
    ("poll_id", "poll_id", NOT_COUNTS),
    ("ranking.max_stages", "max_stages", NOT_COUNTS),
    ("done", "done", ((SUCCESS,) * 4,)),
    ("started", "started", ((START,) * 4,)),
)
RENEWAL: Final = (
    ("worker_id", "worker_id", NAMES),
    ("lease_ids", "lease_ids", ((1, 2, 3, 4),)),
    ("started", "started", ((START,) * 4,)),
)
USER: Final = (
    ("pool", "pool", NAMES),
    ("user", "user", NAMES),
    ("weight", "weight", NOT_WEIGHTS),
    ("max_running_slots", "max_running_slots", NOT_COUNTS),
    ("max_waiting_jobs", "max_waiting_jobs", (*NOT_COUNTS, 6)),
)
POOL: Final = (
    ("pool", "pool", NAMES),
    ("policy", "policy", ("", "lottery", "UWFQ")),
    ("fixed_slots", "fixed_slots", NOT_COUNTS_FROM_ONE),
    ("advisory_task_runtime", "advisory_task_runtime", NOT_POSITIVE),
)
#: The second of two results is out of range in one field.
RESULTS: Final[tuple[tuple[str, cmd.TaskResult, dict[str, Any]], ...]] = (
    *(("success.runtime_seconds", SUCCESS, {"runtime": value}) for value in NOT_SECONDS),
    *(("failure.runtime_seconds", FAILURE, {"runtime": value}) for value in NOT_SECONDS),
    *(("success.input_bytes", SUCCESS, {"input_bytes": value}) for value in NOT_COUNTS),
    *(("success.rows", SUCCESS, {"rows": value}) for value in NOT_COUNTS),
)
STARTS: Final = tuple(("running_seconds", {"running": value}) for value in NOT_SECONDS)
#: An engine counts its attempts from 1; those of leased tasks are compared with what was leased.
NOT_ATTEMPTS: Final = (0, -1, 1 << 32, HUGE)

Case = tuple[str, cmd.Command]


def changed(
    record: Any, table: Iterable[tuple[str, str, Iterable[Any]]]
) -> Iterator[tuple[str, Any]]:
    """``record`` with one field changed to each of the table's values."""
    for field, attribute, values in table:
        for value in values:
            yield field, msgspec.structs.replace(record, **{attribute: value})


def stages() -> Iterator[tuple[str, cmd.StageSpec]]:
    """Stages with one thing wrong."""
    yield from changed(GOOD_STAGE, STAGE)
    below_min = msgspec.structs.replace(GOOD_STAGE, min_tasks=5, max_tasks=4)
    yield "max_tasks", below_min
    for field, cuts in TASKS:
        for cut in cuts:
            tasks = cmd.TaskList(**cut)
            yield f"tasks.{field}", cmd.StageSpec(stage="main", cut=tasks)
    for field, inputs in INPUT:
        for given in inputs:
            described = cmd.InputDescriptor(**given)
            yield f"input.{field}", cmd.StageSpec(stage="main", cut=described)


def reports() -> Iterator[tuple[str, tuple[cmd.TaskResult, ...]]]:
    """Two results of which the second is wrong."""
    for field, result, wrong in RESULTS:
        outcome = msgspec.structs.replace(result.outcome, **wrong)
        yield field, (SUCCESS, msgspec.structs.replace(result, outcome=outcome))
    for attempt in NOT_ATTEMPTS:
        task = msgspec.structs.replace(PLACED, attempt=attempt)
        yield "attempt", (SUCCESS, msgspec.structs.replace(SUCCESS, task=task))


def starts() -> Iterator[tuple[str, tuple[cmd.TaskStart, ...]]]:
    """Two starts of which the second is wrong."""
    for field, wrong in STARTS:
        yield field, (START, msgspec.structs.replace(START, **wrong))
    for attempt in NOT_ATTEMPTS:
        yield (
            "attempt",
            (START, cmd.TaskStart(task=msgspec.structs.replace(PLACED, attempt=attempt))),
        )


def invalid() -> Iterator[Case]:
    """All commands with one thing wrong, and the name of the field."""
    yield from changed(GOOD_JOB, JOB)
    for field, stage in stages():
        # Behind a good one, to see that the index is right.
        first = cmd.StageSpec(stage="first", cut=cmd.TaskList(count=1))
        good_and_bad = (first, stage)
        yield f"stages[1].{field}", msgspec.structs.replace(GOOD_JOB, stages=good_and_bad)
        yield f"stages[1].{field}", cmd.AddStages(job_id="open", stages=good_and_bad)
    yield "stages", cmd.AddStages(job_id="open", stages=())
    # The job has one already.
    three = tuple(cmd.StageSpec(stage=name) for name in "xyz")
    yield "stages", cmd.AddStages(job_id="open", stages=three)
    for name in NAMES:
        yield "job_id", cmd.AddStages(job_id=name, stages=(GOOD_STAGE,))
        yield "job_id", cmd.CloseJob(job_id=name)
        yield "job_id", cmd.CancelJob(job_id=name)
        yield "worker_id", cmd.TaskDone(worker_id=name, results=(SUCCESS,))
    yield from changed(GOOD_POLL, POLL)
    yield "results", cmd.TaskDone(worker_id="w1", results=())
    yield "results", cmd.TaskDone(worker_id="w1", results=(SUCCESS,) * 4)
    for field, results in reports():
        yield f"results[1].{field}", cmd.TaskDone(worker_id="w1", results=results)
        yield f"done[1].{field}", msgspec.structs.replace(GOOD_POLL, done=results)
    yield from changed(cmd.RenewLeases(worker_id="w1"), RENEWAL)
    for field, begun in starts():
        yield f"started[1].{field}", cmd.RenewLeases(worker_id="w1", started=begun)
        yield f"started[1].{field}", msgspec.structs.replace(GOOD_POLL, started=begun)
    yield from changed(cmd.SetUser(user="ada"), USER)
    yield from changed(cmd.ConfigurePool(pool="default"), POOL)


#: Well-formed commands that what is there forbids.
FORBIDDEN: Final[tuple[tuple[type[SchedulerError], cmd.Command], ...]] = (
    (UnknownPool, cmd.SubmitJob(pool="nowhere", user="ada", stages=(GOOD_STAGE,))),
    (UnknownPool, cmd.NextTask(pool="nowhere", worker_id="w1", slots=1, free_slots=1)),
    (UnknownPool, cmd.SetUser(pool="nowhere", user="ada", weight=2.0)),
    (UnknownJob, cmd.AddStages(job_id="who", stages=(GOOD_STAGE,))),
    (UnknownJob, cmd.CloseJob(job_id="who")),
    (UnknownJob, cmd.CancelJob(job_id="who")),
    (JobConflict, cmd.SubmitJob(user="ada", job_id="report", stages=(GOOD_STAGE,))),
    (JobConflict, cmd.SubmitJob(user="bo", request_id="r1", stages=(GOOD_STAGE,))),
    (
        JobConflict,
        cmd.AddStages(
            job_id="open", stages=(cmd.StageSpec(stage="begun", cut=cmd.TaskList(count=9)),)
        ),
    ),
    (JobNotOpen, cmd.AddStages(job_id="report", stages=(cmd.StageSpec(stage="more"),))),
    (
        NoRanking,
        cmd.NextTask(pool="fair", worker_id="w1", slots=1, free_slots=1, ranking=True),
    ),
    # One user has four jobs to finish, the most allowed, and the pool five; it knows two users and
    # two workers, one of them the engine.
    (BacklogFull, cmd.SubmitJob(user="cy", stages=(GOOD_STAGE,))),
    (BacklogFull, GOOD_JOB),
    (UsersFull, cmd.SetUser(user="cy", weight=2.0)),
    (BacklogFull, cmd.NextTask(worker_id="w2", slots=1, free_slots=1)),
)


def busy_scheduler() -> Scheduler:
    """Two users with jobs of all kinds, a worker with leases, an engine."""
    made = Scheduler(Settings(limits=LIMITS))
    two_tasks = cmd.TaskList(count=2)
    for command in (
        cmd.ConfigurePool(pool="default"),
        cmd.ConfigurePool(pool="fair", policy="fair"),
        cmd.SetUser(user="ada", weight=2.0),
        cmd.SubmitJob(
            user="ada", job_id="report", stages=(cmd.StageSpec(stage="all", cut=two_tasks),)
        ),
        cmd.SubmitJob(user="ada", job_id="open", open=True, stages=(cmd.StageSpec(stage="begun"),)),
        cmd.SubmitJob(user="ada", job_id="scan", engine_id="engine", stages=(GOOD_STAGE,)),
        cmd.SubmitJob(user="bo", request_id="r1", stages=(cmd.StageSpec(stage="one"),)),
        GOOD_POLL,
    ):
        made.apply(command, 1.0)
    # What is due by the time of the refusals.
    made.apply(cmd.Tick(), 2.0)
    return made


@pytest.fixture(scope="module")
def busy() -> Scheduler:
    """One scheduler for all refusals: each finds it as the one before found it."""
    return busy_scheduler()


@pytest.fixture(scope="module")
def full() -> Scheduler:
    """As ``busy``, with the last job that there was room for."""
    made = busy_scheduler()
    made.apply(cmd.SubmitJob(user="ada", job_id="last", stages=(GOOD_STAGE,)), 2.0)
    return made


def refuse(
    scheduler: Scheduler, error: type[SchedulerError], command: cmd.Command
) -> SchedulerError:
    """Apply ``command``, which must raise ``error`` and change nothing."""
    before = scheduler.dump()
    with pytest.raises(error) as raised:
        scheduler.apply(command, 2.0)
    assert scheduler.dump() == before
    assert scheduler.apply(cmd.Tick(), 2.0).events == [], "what was refused left an event behind"
    check(scheduler, 2.0)
    return raised.value


def names(cases: Iterable[tuple[Any, cmd.Command]]) -> list[str]:
    """What pytest calls the cases."""
    return [f"{type(case[1]).__name__}-{case[0]}" for case in cases]


INVALID: Final = tuple(invalid())


@pytest.mark.parametrize(("field", "command"), INVALID, ids=names(INVALID))
def test_a_value_out_of_range_is_refused_by_the_fields_name(
    busy: Scheduler, field: str, command: cmd.Command
) -> None:
    """``InvalidField`` names the field as the API does; nothing has changed or is journaled."""
    refusal = refuse(busy, InvalidField, command)
    assert isinstance(refusal, InvalidField)
    assert refusal.field == field
    assert len(str(refusal)) < 200, "a refusal does not repeat what was too long"


@pytest.mark.parametrize(
    ("error", "command"), FORBIDDEN, ids=names((e.__name__, c) for e, c in FORBIDDEN)
)
def test_what_the_state_forbids_is_refused_by_a_named_error(
    full: Scheduler, error: type[SchedulerError], command: cmd.Command
) -> None:
    """No such pool or job, other content, closed, full: an error of its own, and no trace."""
    refusal = refuse(full, error, command)
    assert isinstance(refusal, error)
    if isinstance(refusal, NotFound):
        assert refusal.name in {"nowhere", "who"}


def test_an_engine_that_submits_needs_room_as_a_worker() -> None:
    """Each ``engine_id`` takes a worker's place, so that nobody can fill memory with engines."""
    made = Scheduler(Settings(limits=LIMITS))
    made.apply(cmd.ConfigurePool(pool="default"), 0.0)
    for engine in ("e1", "e2"):
        made.apply(cmd.SubmitJob(user="ada", engine_id=engine, stages=(GOOD_STAGE,)), 0.0)
    third = cmd.SubmitJob(user="ada", engine_id="e3", stages=(GOOD_STAGE,))
    with pytest.raises(BacklogFull, match="workers"):
        made.apply(third, 0.0)
    assert set(made.pools["default"].workers) == {"e1", "e2"}


def test_texts_for_people_are_cut_to_the_bytes_that_are_kept() -> None:
    """Of a reason 1 KiB is kept, of a message what the limit says, in whole characters."""
    made = Scheduler(Settings(limits=Limits(max_message_bytes=101)))
    made.apply(cmd.ConfigurePool(pool="default"), 0.0)
    for job in ("a", "b"):
        made.apply(cmd.SubmitJob(user="ada", job_id=job, stages=(GOOD_STAGE,)), 0.0)
    made.apply(cmd.CancelJob(job_id="b", reason="é" * 2000), 0.0)
    assert made.job("b").cause == "é" * 512
    made.apply(GOOD_POLL, 0.0)
    failed = cmd.TaskFailure(message="x" + "é" * 2000)
    result = cmd.TaskResult(task=cmd.TaskRef(lease_id=1), outcome=failed)
    made.apply(cmd.TaskDone(worker_id="w1", results=(result,)), 0.0)
    assert made.job("a").cause == "x" + "é" * 50


@pytest.mark.parametrize(
    "stage",
    [
        {"declared_work": 1e12, "advisory_task_runtime": 5e-324},
        {"declared_work": 5e-324, "advisory_task_runtime": 1e9},
        {"declared_work": 1e12, "slots_per_task": 1_000_000},
        {"cut": cmd.InputDescriptor(unit_sizes=((1 << 63) - 1,), splittable=True)},
        {"cut": cmd.InputDescriptor(unit_sizes=(1 << 62, 1), unit_costs=(1e9, 1e-9))},
        {"cut": cmd.TaskList(count=2, task_bytes=(1 << 62, 1 << 62))},
        {"cut": cmd.TaskList(count=2, task_work=(5e-324, 0.0))},
        {"task_timeout": 5e-324},
        {"max_tasks": 1 << 63},
    ],
)
def test_what_is_just_in_range_is_admitted_and_can_be_kept(stage: dict[str, Any]) -> None:
    """The ends of the ranges lead to a job with tasks, and to events that the journal can write."""
    made = Scheduler()
    made.apply(cmd.ConfigurePool(pool="default", fixed_slots=1_000_000), 0.0)
    spec = cmd.StageSpec(stage="main", **stage)
    job = cmd.SubmitJob(user="ada", input_bytes=1 << 63, job_weight=1_000_000.0, stages=(spec,))
    outcome = made.apply(job, 0.0)
    assert msgspec.msgpack.encode(outcome.events)
    assert msgspec.msgpack.encode(made.dump())
    admitted = made.job("job-1")
    assert admitted.stages[0].task_count >= 1
    assert 0 < admitted.work < math.inf
    check(made, 0.0)
