"""Between the protocol and the client's records, both ways.

Pure functions.  What the protocol leaves out (``optional`` and not set) becomes ``None``, and the
other way round; protobuf's own constructors take ``None`` for "not set".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from google.protobuf import timestamp_pb2

from uwfq.v1 import scheduler_service_pb2, types_pb2
from uwfq_client import types
from uwfq_client.errors import UwfqError

_JOB_STATES: Final = {
    types_pb2.JobState.Value(f"JOB_STATE_{state.name}"): state for state in types.JobState
}
_ESTIMATE_SOURCES: Final = {
    types_pb2.EstimateSource.Value(f"ESTIMATE_SOURCE_{source.name}"): source
    for source in types.EstimateSource
}
_SPLIT_REASONS: Final = {
    types_pb2.SplitReason.Value(f"SPLIT_REASON_{reason.name}"): reason
    for reason in types.SplitReason
}

# -------------------------------------------------------------------------------- to the protocol


def stage_spec(stage: types.Stage) -> types_pb2.StageSpec:
    """A stage to submit."""
    return types_pb2.StageSpec(
        stage=stage.name,
        after=stage.after,
        tasks=_task_list(stage) if stage.has_tasks else None,
        input=_input_descriptor(stage.input) if stage.input is not None else None,
        estimated_work_slot_seconds=stage.estimated_work_slot_seconds,
        slots_per_task=stage.slots_per_task,
        payload=stage.payload,
        advisory_task_runtime_seconds=stage.advisory_task_runtime_seconds,
        min_tasks=stage.min_tasks,
        max_tasks=stage.max_tasks,
        max_attempts=stage.max_attempts,
        task_timeout_seconds=stage.task_timeout_seconds,
        signature=stage.signature,
    )


def _task_list(stage: types.Stage) -> types_pb2.TaskList:
    count = stage.tasks
    if count is None:
        count = len(stage.task_work_slot_seconds) or len(stage.task_bytes)
    return types_pb2.TaskList(
        count=count,
        task_bytes=stage.task_bytes,
        task_work_slot_seconds=stage.task_work_slot_seconds,
    )


def _input_descriptor(described: types.Input) -> types_pb2.InputDescriptor:
    return types_pb2.InputDescriptor(
        unit_sizes=described.unit_sizes,
        splittable=described.splittable,
        splittable_units=described.splittable_units,
        unit_costs=described.unit_costs,
    )


def job_states(states: Iterable[types.JobState]) -> list[types_pb2.JobState.ValueType]:
    """The protocol's numbers of some states."""
    return [types_pb2.JobState.Value(f"JOB_STATE_{state.name}") for state in states]


# ------------------------------------------------------------------------------ from the protocol


def _instant(stamp: timestamp_pb2.Timestamp) -> dt.datetime:
    return stamp.ToDatetime(tzinfo=dt.UTC)


def input_range(span: types_pb2.InputRange) -> types.InputRange:
    """One part of an input."""
    return types.InputRange(span.begin_unit, span.begin_offset, span.end_unit, span.end_offset)


def stage_split(split: types_pb2.StageSplit) -> types.StageSplit:
    """How a stage was cut."""
    return types.StageSplit(
        stage=split.stage,
        task_count=split.task_count,
        ranges=tuple(map(input_range, split.ranges)),
        estimated_work_slot_seconds=split.estimated_work_slot_seconds,
        # A newer service may give a source or a reason that this client has no word for.
        estimate_source=_ESTIMATE_SOURCES.get(split.estimate_source),
        advisory_task_runtime_seconds=split.advisory_task_runtime_seconds,
        reason=_SPLIT_REASONS.get(split.reason),
    )


def submitted_job(response: scheduler_service_pb2.SubmitJobResponse) -> types.SubmittedJob:
    """The answer to a submission."""
    return types.SubmittedJob(
        job_id=response.job_id,
        virtual_deadline=(
            response.virtual_deadline if response.HasField("virtual_deadline") else None
        ),
        predicted_finish_seconds=(
            response.predicted_finish_seconds
            if response.HasField("predicted_finish_seconds")
            else None
        ),
        estimated_work_slot_seconds=response.estimated_work_slot_seconds,
        splits=tuple(map(stage_split, response.splits)),
        duplicate=response.duplicate,
    )


def added_stages(response: scheduler_service_pb2.AddStagesResponse) -> types.AddedStages:
    """The answer to more stages."""
    return types.AddedStages(
        splits=tuple(map(stage_split, response.splits)),
        virtual_deadline=(
            response.virtual_deadline if response.HasField("virtual_deadline") else None
        ),
        estimated_work_slot_seconds=response.estimated_work_slot_seconds,
    )


def stage_status(status: types_pb2.StageStatus) -> types.StageStatus:
    """One stage, as it stands."""
    return types.StageStatus(
        stage=status.stage,
        task_count=status.task_count,
        waiting=status.waiting,
        running=status.running,
        done=status.done,
        estimated_work_slot_seconds=status.estimated_work_slot_seconds,
        measured_work_slot_seconds=status.measured_work_slot_seconds,
        ready=status.ready,
        signature=status.signature,
        estimate_source=_ESTIMATE_SOURCES.get(status.estimate_source),
    )


def _job_state(message: types_pb2.Job) -> types.JobState:
    """The state; unlike a reason it cannot be left out, for it says whether the job has ended."""
    if (state := _JOB_STATES.get(message.state)) is None:
        raise UwfqError(
            f"job {message.job_id!r} is in state {message.state}, which this client has no word "
            "for: the service is newer than the client"
        )
    return state


def job(message: types_pb2.Job) -> types.Job:
    """One job, as it stands."""
    return types.Job(
        pool=message.pool,
        job_id=message.job_id,
        user=message.user,
        kind=message.kind,
        signature=message.signature,
        labels=dict(message.labels),
        job_weight=message.job_weight,
        state=_job_state(message),
        open=message.open,
        submitted_at=_instant(message.submitted_at),
        started_at=_instant(message.started_at) if message.HasField("started_at") else None,
        finished_at=_instant(message.finished_at) if message.HasField("finished_at") else None,
        virtual_deadline=(
            message.virtual_deadline if message.HasField("virtual_deadline") else None
        ),
        estimated_work_slot_seconds=message.estimated_work_slot_seconds,
        measured_work_slot_seconds=message.measured_work_slot_seconds,
        stages=tuple(map(stage_status, message.stages)),
        failed_attempts=message.failed_attempts,
        cause=message.cause,
    )


def _job_ahead(ahead: scheduler_service_pb2.JobAhead) -> types.JobAhead:
    return types.JobAhead(
        job_id=ahead.job_id,
        user=ahead.user,
        virtual_deadline=ahead.virtual_deadline if ahead.HasField("virtual_deadline") else None,
        launchable_tasks=ahead.launchable_tasks,
        remaining_work_slot_seconds=ahead.remaining_work_slot_seconds,
    )


def explanation(response: scheduler_service_pb2.ExplainJobResponse) -> types.Explanation:
    """Why a job waits."""
    return types.Explanation(
        job=job(response.job),
        reason=response.reason,
        position=response.position,
        ahead=tuple(map(_job_ahead, response.ahead)),
        virtual_time=response.virtual_time,
        predicted_start_seconds=(
            response.predicted_start_seconds
            if response.HasField("predicted_start_seconds")
            else None
        ),
        predicted_finish_seconds=(
            response.predicted_finish_seconds
            if response.HasField("predicted_finish_seconds")
            else None
        ),
    )


def user(message: types_pb2.User) -> types.User:
    """One user of a pool, as it stands."""
    return types.User(
        pool=message.pool,
        user=message.user,
        weight=message.weight,
        max_running_slots=(
            message.max_running_slots if message.HasField("max_running_slots") else None
        ),
        max_waiting_jobs=(
            message.max_waiting_jobs if message.HasField("max_waiting_jobs") else None
        ),
        share_slots=message.share_slots,
        running_slots=message.running_slots,
        jobs=message.jobs,
        launchable_tasks=message.launchable_tasks,
        service_slot_seconds=message.service_slot_seconds,
        lag_slot_seconds=message.lag_slot_seconds,
        active=message.active,
    )


def pool(message: types_pb2.Pool) -> types.Pool:
    """One pool, as it stands."""
    error = message.estimate_error
    return types.Pool(
        pool=message.pool,
        policy=message.policy,
        slots=message.slots,
        fixed_slots=message.fixed_slots,
        running_slots=message.running_slots,
        workers=message.workers,
        jobs=message.jobs,
        launchable_tasks=message.launchable_tasks,
        active_users=message.active_users,
        active_weight=message.active_weight,
        virtual_time=message.virtual_time,
        advisory_task_runtime_seconds=message.advisory_task_runtime_seconds,
        estimate_error=types.EstimateError(
            jobs=error.jobs,
            p50_ratio=error.p50_ratio,
            p10_ratio=error.p10_ratio,
            p90_ratio=error.p90_ratio,
        ),
        task_overhead_seconds=message.task_overhead_seconds,
    )


def task(lease: types_pb2.TaskLease) -> types.Task:
    """What a handler is called with."""
    return types.Task(
        job_id=lease.job_id,
        user=lease.user,
        kind=lease.kind,
        signature=lease.signature,
        stage=lease.stage,
        payload=lease.payload,
        labels=dict(lease.labels),
        index=lease.task_index,
        task_count=lease.task_count,
        attempt=lease.attempt,
        slots=lease.slots,
        range=input_range(lease.range) if lease.HasField("range") else None,
        lease_id=lease.lease_id,
        time_limit_seconds=(
            lease.time_limit_seconds if lease.HasField("time_limit_seconds") else None
        ),
        estimated_runtime_seconds=lease.estimated_runtime_seconds,
    )
