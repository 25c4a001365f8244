"""Protobuf to core and back; what is only looked at is ``convert_views.py``'s subject.

On the way in a message becomes a command.  Here is checked what only the message can show (a oneof
that was not set, an index that points nowhere); values are the core's to check.  But a list that is
too long is refused before it is copied: some bytes of a message become some hundred of a command,
and millions of them keep everybody waiting.  On the way out a reply becomes a message, but for
leases and acknowledgements, which ``wire.py`` writes.

Commands and replies are read once and thrown away, so these functions are written for speed: a
field of a message is read at most once (40-90 ns each), what a lease makes redundant is not read at
all, and a repeated field is only copied (300-500 ns) when there is something in it.  The answer to
a submission is filled in field by field, in half the time that it takes by keywords: these make a
dictionary, and what is handed over for a repeated field is copied.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from uwfq.v1 import admin_service_pb2 as admin
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.core import commands, replies, splitting
from uwfq_service.core.errors import InvalidField
from uwfq_service.core.events import AdmittedStage
from uwfq_service.core.settings import Limits
from uwfq_service.core.stage import Stage
from uwfq_service.core.validation import size

#: The type of an enum's values.
Number = TypeVar("Number", bound=int)

DEFAULT_POOL: Final = "default"

# -- requests --------------------------------------------------------------------------------------


def submit_job(request: rpc.SubmitJobRequest, limits: Limits) -> commands.SubmitJob:
    """The command in a SubmitJobRequest."""
    has = request.HasField  # To look it up takes longer than to call it.
    labels = request.labels
    if labels:
        size("labels", labels, limits.max_labels)
    return commands.SubmitJob(
        pool=request.pool or DEFAULT_POOL,
        user=request.user,
        job_id=request.job_id,
        request_id=request.request_id,
        kind=request.kind,
        signature=request.signature,
        input_bytes=request.input_bytes if has("input_bytes") else None,
        labels=dict(labels) if labels else {},
        job_weight=request.job_weight if has("job_weight") else 1.0,
        declared_work=(
            request.estimated_work_slot_seconds if has("estimated_work_slot_seconds") else None
        ),
        advisory_task_runtime=(
            request.advisory_task_runtime_seconds if has("advisory_task_runtime_seconds") else None
        ),
        stages=_stages(request.stages, limits),
        open=request.open,
        engine_id=request.engine_id,
    )


def add_stages(request: rpc.AddStagesRequest, limits: Limits) -> commands.AddStages:
    """The command in an AddStagesRequest."""
    return commands.AddStages(
        job_id=request.job_id, stages=_stages(request.stages, limits), close=request.close
    )


def split_stage(request: rpc.SplitStageRequest, limits: Limits) -> commands.SplitStage:
    """The question in a SplitStageRequest."""
    if not request.HasField("stage"):
        raise InvalidField("stage", "say which stage is meant")
    try:
        stage = _stage(request.stage, limits)
    except InvalidField as refusal:
        raise refusal.within("stage") from None
    return commands.SplitStage(
        pool=request.pool or DEFAULT_POOL,
        user=request.user,
        signature=request.signature,
        stage=stage,
        ranges=not request.omit_ranges,
    )


def drop_stages(request: rpc.DropStagesRequest, limits: Limits) -> commands.DropStages:
    """The command in a DropStagesRequest."""
    size("stages", request.stages, limits.max_stages_per_job)
    return commands.DropStages(job_id=request.job_id, stages=tuple(request.stages))


def close_job(request: rpc.CloseJobRequest) -> commands.CloseJob:
    """The command in a CloseJobRequest."""
    return commands.CloseJob(job_id=request.job_id, finished=request.finished)


def _stages(stages: Sequence[types.StageSpec], limits: Limits) -> tuple[commands.StageSpec, ...]:
    size("stages", stages, limits.max_stages_per_job)
    converted = []
    # A copy, for the message's own list tells its end by an exception, which takes its time.
    for stage in stages[:]:
        try:
            converted.append(_stage(stage, limits))
        except InvalidField as refusal:
            # The path to the stage is made only for a refusal.
            raise refusal.within(f"stages[{len(converted)}]") from None
    return tuple(converted)


def _stage(stage: types.StageSpec, limits: Limits) -> commands.StageSpec:
    """The stage; fields are named from there on."""
    has = stage.HasField
    after = stage.after
    if after:
        size("after", after, limits.max_stages_per_job)
    return commands.StageSpec(
        stage=stage.stage,
        after=tuple(after) if after else (),
        cut=_cut(stage, limits),
        declared_work=(
            stage.estimated_work_slot_seconds if has("estimated_work_slot_seconds") else None
        ),
        slots_per_task=stage.slots_per_task if has("slots_per_task") else 1,
        payload=stage.payload,
        advisory_task_runtime=(
            stage.advisory_task_runtime_seconds if has("advisory_task_runtime_seconds") else None
        ),
        min_tasks=stage.min_tasks if has("min_tasks") else None,
        max_tasks=stage.max_tasks if has("max_tasks") else None,
        max_attempts=stage.max_attempts if has("max_attempts") else None,
        task_timeout=stage.task_timeout_seconds if has("task_timeout_seconds") else None,
        signature=stage.signature,
    )


def _cut(
    stage: types.StageSpec, limits: Limits
) -> commands.TaskList | commands.InputDescriptor | None:
    if stage.HasField("tasks"):
        tasks = stage.tasks
        sizes, works = tasks.task_bytes, tasks.task_work_slot_seconds
        if sizes or works:
            size("tasks.task_bytes", sizes, limits.max_listed_tasks)
            size("tasks.task_work_slot_seconds", works, limits.max_listed_tasks)
        return commands.TaskList(
            count=tasks.count,
            task_bytes=tuple(sizes) if sizes else (),
            task_work=tuple(works) if works else (),
        )
    if not stage.HasField("input"):
        return None
    described = stage.input
    size("input.unit_sizes", described.unit_sizes, limits.max_input_units)
    size("input.unit_costs", described.unit_costs, limits.max_input_units)
    return commands.InputDescriptor(
        unit_sizes=tuple(described.unit_sizes),
        splittable=_splittable(described),
        unit_costs=tuple(described.unit_costs),
    )


def _splittable(described: types.InputDescriptor) -> bool | tuple[bool, ...]:
    """One flag for all units, or one for each."""
    if described.splittable or not described.splittable_units:
        return described.splittable
    flags = [False] * len(described.unit_sizes)
    last = -1
    for index in described.splittable_units:
        if not last < index < len(flags):
            raise InvalidField(
                "input.splittable_units",
                f"{index} must rise and be below the {len(flags)} units",
            )
        flags[index] = True
        last = index
    return tuple(flags)


def next_task(request: rpc.NextTaskRequest, wait: float, limits: Limits) -> commands.NextTask:
    """The command in a NextTaskRequest that may be parked for ``wait`` seconds."""
    ranking = request.HasField("ranking")
    done = request.done
    started = request.started
    return commands.NextTask(
        pool=request.pool or DEFAULT_POOL,
        worker_id=request.worker_id,
        slots=request.slots,
        free_slots=request.free_slots,
        prefetch=request.prefetch,
        max_tasks=request.max_tasks if request.HasField("max_tasks") else None,
        wait=wait,
        poll_id=request.poll_id,
        done=_results(done, "done", limits) if done else (),
        started=_starts(started, limits) if started else (),
        ranking=ranking,
        max_stages=request.ranking.max_stages if ranking else 0,
        leaving=request.leaving,
    )


def wait_seconds(request: rpc.NextTaskRequest, longest: float) -> float:
    """How long the poll asks to wait, at most ``longest``."""
    wait = request.wait_seconds
    if wait == 0 or request.leaving:
        return 0.0
    if math.isnan(wait) or wait < 0:
        raise InvalidField("wait_seconds", f"must be 0 (do not wait) or more, not {wait}")
    return min(wait, longest)


def task_done(request: rpc.TaskDoneRequest, limits: Limits) -> commands.TaskDone:
    """The command in a TaskDoneRequest."""
    return commands.TaskDone(
        worker_id=request.worker_id, results=_results(request.results, "results", limits)
    )


def renew_leases(request: rpc.RenewLeasesRequest, limits: Limits) -> commands.RenewLeases:
    """The command in a RenewLeasesRequest."""
    lease_ids = request.lease_ids
    size("lease_ids", lease_ids, limits.max_batch)
    return commands.RenewLeases(
        worker_id=request.worker_id,
        lease_ids=tuple(lease_ids),
        started=_starts(request.started, limits),
    )


def _results(
    results: Sequence[types.TaskResult], path: str, limits: Limits
) -> tuple[commands.TaskResult, ...]:
    size(path, results, limits.max_batch)
    return tuple([_result(result, path, index) for index, result in enumerate(results)])


def _result(result: types.TaskResult, path: str, index: int) -> commands.TaskResult:
    which = result.WhichOneof("outcome")
    outcome: commands.TaskSuccess | commands.TaskFailure
    if which == "success":
        success = result.success
        outcome = commands.TaskSuccess(
            runtime=success.runtime_seconds,
            input_bytes=success.input_bytes if success.HasField("input_bytes") else None,
            rows=success.rows if success.HasField("rows") else None,
        )
    elif which == "failure":
        failure = result.failure
        outcome = commands.TaskFailure(
            message=failure.message,
            retryable=failure.retryable,
            runtime=failure.runtime_seconds,
        )
    else:
        raise InvalidField(f"{path}[{index}].outcome", "say how it ended: set success or failure")
    return commands.TaskResult(task=_task(result), outcome=outcome)


def _starts(starts: Sequence[types.TaskStart], limits: Limits) -> tuple[commands.TaskStart, ...]:
    size("started", starts, limits.max_batch)
    return tuple(
        [commands.TaskStart(task=_task(start), running=start.running_seconds) for start in starts]
    )


def _task(message: types.TaskResult | types.TaskStart) -> commands.TaskRef:
    """Which attempt is meant; a lease says it all."""
    if lease_id := message.lease_id:
        return commands.TaskRef(lease_id=lease_id, attempt=message.attempt)
    return commands.TaskRef(
        job_id=message.job_id,
        stage=message.stage,
        task_index=message.task_index,
        attempt=message.attempt,
    )


def set_user(request: admin.SetUserRequest) -> commands.SetUser:
    """The command in a SetUserRequest."""
    return commands.SetUser(
        pool=request.pool or DEFAULT_POOL,
        user=request.user,
        weight=request.weight if request.HasField("weight") else None,
        max_running_slots=(
            request.max_running_slots if request.HasField("max_running_slots") else None
        ),
        max_waiting_jobs=request.max_waiting_jobs if request.HasField("max_waiting_jobs") else None,
    )


# -- replies ---------------------------------------------------------------------------------------


def _numbers(enum: Iterable[tuple[str, Number]], prefix: str) -> dict[str, Number]:
    """The core's word for each value of an enum: JOB_STATE_FAILED is "failed"."""
    return {name.removeprefix(prefix).lower(): number for name, number in enum}


ESTIMATE_SOURCE: Final = _numbers(types.EstimateSource.items(), "ESTIMATE_SOURCE_")
_REASON: Final = _numbers(types.SplitReason.items(), "SPLIT_REASON_")
JOB_STATE: Final = _numbers(types.JobState.items(), "JOB_STATE_")


def job_states(numbers: Sequence[int]) -> frozenset[str]:
    """The core's words for the states of a filter."""
    words: dict[int, str] = {number: word for word, number in JOB_STATE.items() if number}
    size("states", numbers, len(words))
    try:
        return frozenset(words[number] for number in numbers)
    except KeyError as unknown:
        raise InvalidField("states", f"{unknown} is not the number of a state") from None


def submit_job_response(reply: replies.JobReply, *, omit_ranges: bool) -> rpc.SubmitJobResponse:
    """What was admitted."""
    response = rpc.SubmitJobResponse()
    response.job_id = reply.job.job_id
    if reply.virtual_deadline is not None:
        response.virtual_deadline = reply.virtual_deadline
    if reply.predicted_finish is not None:
        response.predicted_finish_seconds = reply.predicted_finish
    response.estimated_work_slot_seconds = reply.work
    for stage in reply.stages:
        _tell_split(response.splits.add(), stage.spec, omit_ranges=omit_ranges)
    response.duplicate = reply.duplicate
    return response


def add_stages_response(reply: replies.JobReply, *, omit_ranges: bool) -> rpc.AddStagesResponse:
    """The stages as they were cut."""
    response = rpc.AddStagesResponse(
        virtual_deadline=reply.virtual_deadline, estimated_work_slot_seconds=reply.work
    )
    for stage in reply.stages:
        _tell_split(response.splits.add(), stage.spec, omit_ranges=omit_ranges)
    return response


def split_stage_response(stage: AdmittedStage) -> rpc.SplitStageResponse:
    """How a stage would be cut."""
    response = rpc.SplitStageResponse()
    _tell_split(response.split, stage, omit_ranges=False)
    return response


def _tell_split(split: types.StageSplit, stage: AdmittedStage, *, omit_ranges: bool) -> None:
    """Write into ``split`` how a stage was cut."""
    split.stage = stage.stage
    split.task_count = stage.task_count
    if stage.bounds and not omit_ranges:
        ranges = (splitting.task_range(stage.bounds, n) for n in range(stage.task_count))
        split.ranges.extend(map(_range, ranges))
    split.estimated_work_slot_seconds = stage.work
    split.estimate_source = ESTIMATE_SOURCE[stage.source]
    split.advisory_task_runtime_seconds = stage.advisory_task_runtime
    split.reason = _REASON[stage.reason]


def input_range(stage: Stage, task: int) -> types.InputRange:
    """The part of the input that a task covers."""
    bounds = stage.task_range(task)
    assert bounds is not None, "a stage with an input has a range for each task"
    return _range(bounds)


def _range(bounds: tuple[int, int, int, int]) -> types.InputRange:
    begin_unit, begin_offset, end_unit, end_offset = bounds
    return types.InputRange(
        begin_unit=begin_unit,
        begin_offset=begin_offset,
        end_unit=end_unit,
        end_offset=end_offset,
    )


def next_task_rest(reply: replies.NextTaskReply) -> rpc.NextTaskResponse:
    """The answer to a poll without its leases and acknowledgements, which ``wire.py`` writes."""
    return rpc.NextTaskResponse(
        ranking=_ranking(reply.ranking) if reply.ranking is not None else None,
        revoked_lease_ids=reply.revoked,
    )


def _ranking(ranking: replies.Ranking) -> rpc.Ranking:
    return rpc.Ranking(
        version=ranking.version,
        stages=[
            rpc.RankedStage(
                job_id=ranked.job_id,
                stage=ranked.stage,
                user=ranked.user,
                virtual_deadline=ranked.virtual_deadline or 0.0,
                waiting_tasks=ranked.waiting_tasks,
                launch_now=ranked.launch_now,
            )
            for ranked in ranking.stages
        ],
    )


def renew_leases_response(reply: replies.RenewReply) -> rpc.RenewLeasesResponse:
    """What became of the leases."""
    return rpc.RenewLeasesResponse(
        renewals=[
            rpc.LeaseRenewal(
                lease_id=renewal.lease_id,
                status=rpc.LeaseStatus.ValueType(renewal.status),
                expires_in_seconds=renewal.expires_in,
            )
            for renewal in reply.renewals
        ]
    )


def timestamp(instant: float | None) -> Timestamp | None:
    """An instant of the service's clock as the protocol writes it."""
    if instant is None:
        return None
    seconds = math.floor(instant)
    return Timestamp(seconds=seconds, nanos=min(999_999_999, round((instant - seconds) * 1e9)))
