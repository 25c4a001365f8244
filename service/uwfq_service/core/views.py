"""What can be seen of a scheduler: answers to GetJob, ListUsers and GetPool.

Nothing here changes the state.  The records mirror the API's messages; instants and durations are
in seconds, work in slot-seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uwfq_service.core.commands import Record
from uwfq_service.core.model import WEIGHT_SCALE, Job, JobState, Pool, User
from uwfq_service.core.stage import Stage

if TYPE_CHECKING:
    from uwfq_service.core.scheduler import Scheduler


class StageStatus(Record, frozen=True, kw_only=True):
    """One stage, as it stands."""

    stage: str
    task_count: int
    waiting: int
    running: int
    done: int
    estimated_work: float
    measured_work: float
    ready: bool
    signature: str
    source: str


class JobStatus(Record, frozen=True, kw_only=True):
    """One job, as it stands."""

    pool: str
    job_id: str
    user: str
    kind: str
    signature: str
    labels: dict[str, str]
    job_weight: float
    state: JobState
    open: bool
    submitted_at: float
    started_at: float | None
    finished_at: float | None
    virtual_deadline: float | None
    estimated_work: float
    measured_work: float
    stages: tuple[StageStatus, ...]
    failed_attempts: int
    cause: str


class UserStatus(Record, frozen=True, kw_only=True):
    """One user of one pool, as they stand."""

    pool: str
    user: str
    weight: float
    max_running_slots: int | None
    max_waiting_jobs: int | None
    share_slots: float
    running_slots: int
    jobs: int
    launchable_tasks: int
    service: float
    lag: float
    active: bool


class EstimateError(Record, frozen=True, kw_only=True):
    """Quantiles of measured / estimated work over recently finished jobs."""

    jobs: int
    p10_ratio: float
    p50_ratio: float
    p90_ratio: float


class PoolStatus(Record, frozen=True, kw_only=True):
    """One pool, as it stands."""

    pool: str
    policy: str
    slots: int
    fixed_slots: bool
    running_slots: int
    workers: int
    jobs: int
    launchable_tasks: int
    active_users: int
    active_weight: float
    virtual_time: float
    advisory_task_runtime: float
    estimate_error: EstimateError
    task_overhead: float


# -- jobs ---------------------------------------------------------------------------------------


def job_status(job: Job, now: Any) -> JobStatus:
    """``job`` at ``now``.  O(stages)."""
    return JobStatus(
        pool=job.pool.name,
        job_id=job.job_id,
        user=job.user.name,
        kind=job.kind,
        signature=job.signature,
        labels=dict(job.labels),
        job_weight=job.job_weight,
        state=job.state,
        open=job.open and not job.ended,
        submitted_at=float(job.submitted_at),
        started_at=_float(job.started_at),
        finished_at=_float(job.finished_at),
        virtual_deadline=_float(job.pool.policy.virtual_deadline(job)),
        estimated_work=float(job.work),
        measured_work=float(job.measured + job.running_work(now)),
        stages=tuple(stage_status(stage) for stage in job.stages),
        failed_attempts=job.failed_attempts,
        cause=job.cause,
    )


def stage_status(stage: Stage) -> StageStatus:
    """One stage; of one that was dropped, or whose job was cut short, nothing waits any more."""
    waiting = 0 if stage.job.ended else stage.waiting + len(stage.backing_off or ())
    return StageStatus(
        stage=stage.name,
        task_count=stage.task_count,
        waiting=waiting,
        running=stage.running,
        done=stage.done,
        estimated_work=float(stage.work),
        measured_work=float(stage.measured),
        ready=stage.ready,
        signature=stage.spec.signature,
        source=stage.spec.source,
    )


# -- users and pools ----------------------------------------------------------------------------


def user_status(user: User, now: Any) -> UserStatus:
    """``user`` at ``now``."""
    pool = user.pool
    policy = pool.policy
    policy.advance(now)
    active = policy.is_active(user)
    service = user.service_ended + max(
        0, (now - pool.epoch) * user.started_slots - user.started_sum
    )
    owed = policy.fluid_service(user, now)
    return UserStatus(
        pool=pool.name,
        user=user.name,
        weight=user.weight / WEIGHT_SCALE,
        max_running_slots=user.max_running_slots or None,
        max_waiting_jobs=user.max_waiting_jobs or None,
        share_slots=float(policy.share_slots(user, pool.slots)),
        running_slots=user.running_slots,
        jobs=user.unfinished_jobs,
        launchable_tasks=user.launchable_tasks,
        service=float(service),
        lag=0.0 if owed is None else float(owed - service),
        active=active,
    )


def pool_status(scheduler: Scheduler, pool: Pool, now: Any) -> PoolStatus:
    """``pool`` at ``now``."""
    policy = pool.policy
    policy.advance(now)
    error = scheduler.state.estimators[pool.name].error
    return PoolStatus(
        pool=pool.name,
        policy=policy.name,
        slots=pool.slots,
        fixed_slots=pool.fixed_slots is not None,
        running_slots=pool.running_slots,
        workers=len(pool.workers),
        jobs=pool.unfinished_jobs,
        launchable_tasks=pool.launchable_tasks,
        active_users=policy.active_users(),
        active_weight=policy.active_weight() / WEIGHT_SCALE,
        virtual_time=float(policy.virtual_time(now)),
        advisory_task_runtime=(
            pool.advisory_task_runtime or scheduler.settings.advisory_task_runtime
        ),
        estimate_error=EstimateError(
            jobs=error.jobs, p10_ratio=error.p10, p50_ratio=error.p50, p90_ratio=error.p90
        ),
        task_overhead=float(pool.overhead),
    )


def _float(value: Any | None) -> float | None:
    return None if value is None else float(value)
