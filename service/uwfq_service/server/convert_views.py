"""What can be seen of the core, as the protocol's messages."""

from __future__ import annotations

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.core import views
from uwfq_service.core.inquiry import Explanation, JobAhead
from uwfq_service.server.convert import ESTIMATE_SOURCE, JOB_STATE, timestamp


def job(view: views.JobStatus) -> types.Job:
    """One job, as it stands."""
    return types.Job(
        pool=view.pool,
        job_id=view.job_id,
        user=view.user,
        kind=view.kind,
        signature=view.signature,
        labels=view.labels,
        job_weight=view.job_weight,
        state=types.JobState.ValueType(JOB_STATE[view.state]),
        open=view.open,
        submitted_at=timestamp(view.submitted_at),
        started_at=timestamp(view.started_at),
        finished_at=timestamp(view.finished_at),
        virtual_deadline=view.virtual_deadline,
        estimated_work_slot_seconds=view.estimated_work,
        measured_work_slot_seconds=view.measured_work,
        stages=map(_stage, view.stages),
        failed_attempts=view.failed_attempts,
        cause=view.cause,
    )


def _stage(view: views.StageStatus) -> types.StageStatus:
    return types.StageStatus(
        stage=view.stage,
        task_count=view.task_count,
        waiting=view.waiting,
        running=view.running,
        done=view.done,
        estimated_work_slot_seconds=view.estimated_work,
        measured_work_slot_seconds=view.measured_work,
        ready=view.ready,
        signature=view.signature,
        estimate_source=types.EstimateSource.ValueType(ESTIMATE_SOURCE[view.source]),
    )


def user(view: views.UserStatus) -> types.User:
    """One user, as they stand."""
    return types.User(
        pool=view.pool,
        user=view.user,
        weight=view.weight,
        max_running_slots=view.max_running_slots,
        max_waiting_jobs=view.max_waiting_jobs,
        share_slots=view.share_slots,
        running_slots=view.running_slots,
        jobs=view.jobs,
        launchable_tasks=view.launchable_tasks,
        service_slot_seconds=view.service,
        lag_slot_seconds=view.lag,
        active=view.active,
    )


def pool(view: views.PoolStatus) -> types.Pool:
    """One pool, as it stands."""
    error = view.estimate_error
    return types.Pool(
        pool=view.pool,
        policy=view.policy,
        slots=view.slots,
        fixed_slots=view.fixed_slots,
        running_slots=view.running_slots,
        workers=view.workers,
        jobs=view.jobs,
        launchable_tasks=view.launchable_tasks,
        active_users=view.active_users,
        active_weight=view.active_weight,
        virtual_time=view.virtual_time,
        advisory_task_runtime_seconds=view.advisory_task_runtime,
        estimate_error=types.EstimateError(
            jobs=error.jobs,
            p10_ratio=error.p10_ratio,
            p50_ratio=error.p50_ratio,
            p90_ratio=error.p90_ratio,
        ),
        task_overhead_seconds=view.task_overhead,
    )


def explanation(view: Explanation) -> rpc.ExplainJobResponse:
    """Why a job waits."""
    return rpc.ExplainJobResponse(
        job=job(view.job),
        reason=view.reason,
        position=view.position,
        ahead=map(_ahead, view.ahead),
        virtual_time=view.virtual_time,
        predicted_start_seconds=view.predicted_start,
        predicted_finish_seconds=view.predicted_finish,
    )


def _ahead(view: JobAhead) -> rpc.JobAhead:
    return rpc.JobAhead(
        job_id=view.job_id,
        user=view.user,
        virtual_deadline=view.virtual_deadline,
        launchable_tasks=view.launchable_tasks,
        remaining_work_slot_seconds=view.remaining_work,
    )
