"""Messages become commands: every field arrives, absent ones as absent."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from uwfq.v1 import admin_service_pb2 as admin
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.core import commands, replies
from uwfq_service.core.errors import InvalidField
from uwfq_service.core.estimation import Source
from uwfq_service.core.model import JobState
from uwfq_service.core.replies import AckStatus, LeaseStatus
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Limits
from uwfq_service.core.splitting import Reason
from uwfq_service.server import convert

LIMITS = Limits()


def test_an_empty_submission_has_the_defaults_of_the_protocol() -> None:
    """Absent is not zero."""
    assert convert.submit_job(rpc.SubmitJobRequest(user="a"), LIMITS) == commands.SubmitJob(
        user="a"
    )


def test_a_full_submission_arrives_whole() -> None:
    """Field by field."""
    request = rpc.SubmitJobRequest(
        pool="p",
        user="u",
        job_id="j",
        request_id="r",
        kind="k",
        signature="s",
        input_bytes=7,
        labels={"a": "b"},
        job_weight=2.5,
        estimated_work_slot_seconds=3.5,
        advisory_task_runtime_seconds=0.5,
        stages=[
            types.StageSpec(
                stage="one",
                tasks=types.TaskList(count=2, task_bytes=[1, 2], task_work_slot_seconds=[0.5, 1.5]),
                slots_per_task=3,
                payload=b"x",
                max_attempts=4,
                signature="t",
            ),
            types.StageSpec(
                stage="two",
                after=["one"],
                input=types.InputDescriptor(
                    unit_sizes=[5, 6, 7], splittable_units=[0, 2], unit_costs=[1, 2, 3]
                ),
                estimated_work_slot_seconds=9,
                advisory_task_runtime_seconds=0.25,
                min_tasks=1,
                max_tasks=8,
                task_timeout_seconds=60,
            ),
        ],
        open=True,
        engine_id="e",
    )
    assert convert.submit_job(request, LIMITS) == commands.SubmitJob(
        pool="p",
        user="u",
        job_id="j",
        request_id="r",
        kind="k",
        signature="s",
        input_bytes=7,
        labels={"a": "b"},
        job_weight=2.5,
        declared_work=3.5,
        advisory_task_runtime=0.5,
        stages=(
            commands.StageSpec(
                stage="one",
                cut=commands.TaskList(count=2, task_bytes=(1, 2), task_work=(0.5, 1.5)),
                slots_per_task=3,
                payload=b"x",
                max_attempts=4,
                signature="t",
            ),
            commands.StageSpec(
                stage="two",
                after=("one",),
                cut=commands.InputDescriptor(
                    unit_sizes=(5, 6, 7), splittable=(True, False, True), unit_costs=(1, 2, 3)
                ),
                declared_work=9,
                advisory_task_runtime=0.25,
                min_tasks=1,
                max_tasks=8,
                task_timeout=60,
            ),
        ),
        open=True,
        engine_id="e",
    )


def test_every_command_has_all_fields_of_its_message() -> None:
    """A field that is added to both and forgotten here shows as one that is never set."""
    pairs: tuple[tuple[type[Message], type[commands.Record], set[str]], ...] = (
        (rpc.SubmitJobRequest, commands.SubmitJob, {"omit_ranges"}),
        (types.StageSpec, commands.StageSpec, {"input"}),
        (rpc.AddStagesRequest, commands.AddStages, {"omit_ranges"}),
        (rpc.SplitStageRequest, commands.SplitStage, set()),
        (rpc.DropStagesRequest, commands.DropStages, set()),
        (rpc.CloseJobRequest, commands.CloseJob, set()),
        (rpc.NextTaskRequest, commands.NextTask, set()),
        (rpc.TaskDoneRequest, commands.TaskDone, set()),
        (rpc.RenewLeasesRequest, commands.RenewLeases, set()),
        (admin.SetUserRequest, commands.SetUser, set()),
    )
    renamed = {
        "estimated_work_slot_seconds": "declared_work",
        "advisory_task_runtime_seconds": "advisory_task_runtime",
        "task_timeout_seconds": "task_timeout",
        "wait_seconds": "wait",
        "tasks": "cut",
    }
    split = {"omit_ranges": "ranges"}
    for message, command, others in pairs:
        words = renamed | (split if command is commands.SplitStage else {})
        names = {words.get(name, name) for name in message.DESCRIPTOR.fields_by_name}
        # The ranking form's own fields stand beside the others in the command.
        extra = {"max_stages"} if command is commands.NextTask else set()
        assert names - others | extra == set(command.__struct_fields__), command.__name__


@pytest.mark.parametrize("units", [[1, 0], [0, 0], [3]])
def test_splittable_units_rise_and_exist(units: list[int]) -> None:
    """Anything else is the caller's mistake."""
    described = types.InputDescriptor(unit_sizes=[1, 1, 1], splittable_units=units)
    request = rpc.SubmitJobRequest(user="a", stages=[types.StageSpec(stage="s", input=described)])
    with pytest.raises(InvalidField) as caught:
        convert.submit_job(request, LIMITS)
    assert caught.value.field == "stages[0].input.splittable_units"


def _stage(**fields: Any) -> types.StageSpec:
    return types.StageSpec(stage="s", **fields)


def _submission(tasks: types.TaskList) -> rpc.SubmitJobRequest:
    return rpc.SubmitJobRequest(stages=[_stage(tasks=tasks)])


#: For each list of a request: its name, and what converts a request that has two items in it.
LISTS: list[tuple[str, Callable[[Limits], object]]] = [
    (
        "labels",
        lambda limits: convert.submit_job(rpc.SubmitJobRequest(labels={"a": "", "b": ""}), limits),
    ),
    (
        "stages",
        lambda limits: convert.submit_job(rpc.SubmitJobRequest(stages=[_stage()] * 2), limits),
    ),
    (
        "stages",
        lambda limits: convert.add_stages(rpc.AddStagesRequest(stages=[_stage()] * 2), limits),
    ),
    (
        "stage.after",
        lambda limits: convert.split_stage(
            rpc.SplitStageRequest(stage=_stage(after=["a", "b"])), limits
        ),
    ),
    (
        "stage.input.unit_sizes",
        lambda limits: convert.split_stage(
            rpc.SplitStageRequest(stage=_stage(input=types.InputDescriptor(unit_sizes=[1, 1]))),
            limits,
        ),
    ),
    (
        "stage.input.unit_costs",
        lambda limits: convert.split_stage(
            rpc.SplitStageRequest(stage=_stage(input=types.InputDescriptor(unit_costs=[1, 1]))),
            limits,
        ),
    ),
    (
        "stages[0].tasks.task_bytes",
        lambda limits: convert.submit_job(
            _submission(types.TaskList(count=2, task_bytes=[1, 1])), limits
        ),
    ),
    (
        "stages[0].tasks.task_work_slot_seconds",
        lambda limits: convert.submit_job(
            _submission(types.TaskList(count=2, task_work_slot_seconds=[1, 1])), limits
        ),
    ),
    (
        "stages",
        lambda limits: convert.drop_stages(rpc.DropStagesRequest(stages=["a", "b"]), limits),
    ),
    (
        "done",
        lambda limits: convert.next_task(
            rpc.NextTaskRequest(done=[types.TaskResult()] * 2), 0.0, limits
        ),
    ),
    (
        "started",
        lambda limits: convert.next_task(
            rpc.NextTaskRequest(started=[types.TaskStart()] * 2), 0.0, limits
        ),
    ),
    (
        "results",
        lambda limits: convert.task_done(
            rpc.TaskDoneRequest(results=[types.TaskResult()] * 2), limits
        ),
    ),
    (
        "lease_ids",
        lambda limits: convert.renew_leases(rpc.RenewLeasesRequest(lease_ids=[1, 2]), limits),
    ),
    (
        "started",
        lambda limits: convert.renew_leases(
            rpc.RenewLeasesRequest(started=[types.TaskStart()] * 2), limits
        ),
    ),
    (
        "states",
        lambda _: convert.job_states([types.JOB_STATE_FAILED] * len(types.JobState.values())),
    ),
]


@pytest.mark.parametrize(("field", "converted"), LISTS)
def test_a_list_that_is_too_long_is_refused_before_it_is_copied(
    field: str, converted: Callable[[Limits], object]
) -> None:
    """Millions of items fit into a message, and everybody would wait for their copies."""
    narrow = Limits(
        max_labels=1, max_stages_per_job=1, max_input_units=1, max_listed_tasks=1, max_batch=1
    )
    with pytest.raises(InvalidField) as refusal:
        converted(narrow)
    assert refusal.value.field == field


def test_a_lease_names_an_attempt_alone_and_an_engine_names_it_in_full() -> None:
    """What a lease makes redundant is not even read."""
    success = types.TaskSuccess(runtime_seconds=2, rows=3)
    results = [
        types.TaskResult(lease_id=5, job_id="ignored", attempt=2, success=success),
        types.TaskResult(
            job_id="j",
            stage="s",
            task_index=4,
            attempt=1,
            failure=types.TaskFailure(message="m", retryable=True, runtime_seconds=1),
        ),
    ]
    done = convert.task_done(rpc.TaskDoneRequest(worker_id="w", results=results), LIMITS)
    assert done.results == (
        commands.TaskResult(
            task=commands.TaskRef(lease_id=5, attempt=2),
            outcome=commands.TaskSuccess(runtime=2, rows=3),
        ),
        commands.TaskResult(
            task=commands.TaskRef(job_id="j", stage="s", task_index=4, attempt=1),
            outcome=commands.TaskFailure(message="m", retryable=True, runtime=1),
        ),
    )


def test_a_poll_arrives_whole() -> None:
    """With what rides along; its wait is the shell's to decide."""
    request = rpc.NextTaskRequest(
        pool="p",
        worker_id="w",
        slots=4,
        free_slots=2,
        prefetch=1,
        max_tasks=3,
        wait_seconds=99,
        poll_id=8,
        started=[types.TaskStart(lease_id=9, running_seconds=0.5)],
        ranking=rpc.RankingRequest(known_version=5, max_stages=6),
    )
    assert convert.next_task(request, 1.5, LIMITS) == commands.NextTask(
        pool="p",
        worker_id="w",
        slots=4,
        free_slots=2,
        prefetch=1,
        max_tasks=3,
        wait=1.5,
        poll_id=8,
        started=(commands.TaskStart(task=commands.TaskRef(lease_id=9, attempt=0), running=0.5),),
        ranking=True,
        max_stages=6,
    )


def test_settings_of_a_user_that_are_absent_stay_as_they_are() -> None:
    """And zero lifts a cap."""
    request = admin.SetUserRequest(user="a", max_running_slots=0)
    assert convert.set_user(request) == commands.SetUser(user="a", max_running_slots=0)


def test_the_cores_words_are_the_protocols() -> None:
    """Every source, reason, state and status has its number."""
    assert set(Source) <= set(convert.ESTIMATE_SOURCE)
    assert set(Reason) <= set(convert._REASON)
    assert set(JobState) <= set(convert.JOB_STATE)
    for status in AckStatus:
        assert (
            types.TaskResultStatus.Name(types.TaskResultStatus.ValueType(status))
            == f"TASK_RESULT_STATUS_{status.name}"
        )
    for lease_status in LeaseStatus:
        assert (
            rpc.LeaseStatus.Name(rpc.LeaseStatus.ValueType(lease_status))
            == f"LEASE_STATUS_{lease_status.name}"
        )


@pytest.mark.parametrize("instant", [0.0, 1.5, 1_700_000_000.123456, 1e9 - 1e-12])
def test_an_instant_becomes_a_timestamp(instant: float) -> None:
    """To the microsecond, and never an invalid one."""
    stamp = convert.timestamp(instant)
    assert stamp is not None
    assert 0 <= stamp.nanos < 1_000_000_000
    assert stamp.seconds + stamp.nanos / 1e9 == pytest.approx(instant, abs=1e-6)
    assert convert.timestamp(None) is None


@pytest.mark.parametrize(("policy", "slots"), [("uwfq", 4), ("uwfq", None), ("fifo", 4)])
def test_an_answer_tells_what_was_admitted(policy: str, slots: int | None) -> None:
    """A finish is predicted where there are deadlines and slots; what does not exist is absent."""
    core = Scheduler()
    core.apply(commands.ConfigurePool(pool="default", policy=policy, fixed_slots=slots), 1.0)
    halves = commands.InputDescriptor(unit_sizes=(8, 8))
    stage = commands.StageSpec(stage="s", cut=halves, declared_work=1.5)
    submission = commands.SubmitJob(user="a", job_id="j", stages=(stage,))
    expected = rpc.SubmitJobResponse(
        job_id="j",
        virtual_deadline=1.5 if policy == "uwfq" else None,
        predicted_finish_seconds=1.5 / 4 if policy == "uwfq" and slots else None,
        estimated_work_slot_seconds=1.5,
        splits=[
            types.StageSplit(
                stage="s",
                task_count=2,
                ranges=[
                    types.InputRange(begin_unit=0, end_unit=1),
                    types.InputRange(begin_unit=1, end_unit=2),
                ],
                estimated_work_slot_seconds=1.5,
                estimate_source=types.ESTIMATE_SOURCE_DECLARED,
                advisory_task_runtime_seconds=0.75,
                reason=types.SPLIT_REASON_ADVISORY_RUNTIME,
            )
        ],
    )
    for duplicate in (False, True):
        reply = core.apply(submission, 1.0).reply
        assert isinstance(reply, replies.JobReply)
        expected.duplicate = duplicate
        assert convert.submit_job_response(reply, omit_ranges=False) == expected
