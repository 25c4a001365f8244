"""What can be seen of a scheduler: answers to GetJob, ListUsers, GetPool and ExplainJob.

Nothing here changes the state.  The records mirror the API's messages; instants and durations are
in seconds, work in slot-seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uwfq_service.core.commands import Record
from uwfq_service.core.model import WEIGHT_SCALE, Job, JobState, Pool, User
from uwfq_service.core.stage import Stage

if TYPE_CHECKING:
    from uwfq_service.core.scheduler import Scheduler

#: Jobs that an inquiry walks past at a time: some two milliseconds, in which all others wait.
STEP_JOBS: Final = 100


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


class JobAhead(Record, frozen=True, kw_only=True):
    """A job that goes before the explained one."""

    job_id: str
    user: str
    virtual_deadline: float | None
    launchable_tasks: int
    remaining_work: float


class Explanation(Record, frozen=True, kw_only=True):
    """Why a job waits."""

    job: JobStatus
    reason: str
    position: int
    ahead: tuple[JobAhead, ...]
    virtual_time: float
    predicted_start: float | None
    predicted_finish: float | None


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


# -- why does it wait ---------------------------------------------------------------------------


class Inquiry:
    """Finds out why a job waits, and for how long: step by step, for much may be ahead of it.

    Where the pool changes between two steps the answer is of no single instant; only of a job with
    more than ``STEP_JOBS`` ahead of it.
    """

    def __init__(self, job: Job, max_ahead: int) -> None:
        """``max_ahead``: how many of the jobs ahead are told."""
        self._job = job
        self._max_ahead = max_ahead
        self._begin()

    def _begin(self) -> None:
        self._policy = self._job.pool.policy
        self._ranking = self._policy.ranking()
        self._before: set[int] = set()
        self._ahead: list[JobAhead] = []
        #: Of those ahead, the ones that can be launched at all, and their work.
        self._launchable = 0
        self._work: Any = 0

    def step(self, now: Any) -> Explanation | None:
        """Walk past ``STEP_JOBS`` jobs at most; ``None``: there are more.

        O(users + jobs of the users ahead) for the first step; O(pool's leases) for the last.
        """
        job, pool = self._job, self._job.pool
        if pool.policy is not self._policy:
            self._begin()
        policy = self._policy
        policy.advance(now)
        widest = max((worker.slots for worker in pool.workers.values()), default=pool.slots)
        queued = bool(job.offered) and not job.user.paused
        if queued:
            end = len(self._before) + STEP_JOBS
            # Having come to another place on the way, the job may not be met.
            for stage in self._ranking:
                if stage.job is job:
                    break
                self._pass(stage.job, widest)
                if len(self._before) == end:
                    return None
        start = None
        if not job.ended and pool.slots and queued and _launchable(job, widest):
            start = _until_room(pool, self._work, now)
        deadline = policy.virtual_deadline(job)
        finish = None
        if deadline is not None and not job.ended:
            finish = policy.time_until(deadline, now)
        return Explanation(
            job=job_status(job, now),
            reason=_reason(job, self._launchable, widest),
            position=len(self._before) + 1 if queued else 0,
            ahead=tuple(self._ahead),
            virtual_time=float(policy.virtual_time(now)),
            predicted_start=_float(start),
            predicted_finish=_float(finish),
        )

    def _pass(self, other: Job, widest: int) -> None:
        """``other`` is ahead."""
        if other.number in self._before:
            return
        self._before.add(other.number)
        if len(self._ahead) < self._max_ahead:
            self._ahead.append(_ahead(other))
        if work := _waiting_work(other, widest):
            self._launchable += 1
            self._work += work


def _launchable(job: Job, widest: int) -> list[Stage]:
    """Offered stages of a job whose tasks fit the widest worker's slots, and the user's cap.

    An engine sees by itself what fits its slots.
    """
    limits = [job.user.max_running_slots] if job.user.max_running_slots else []
    if not job.engine_id:
        limits.append(widest)
    offered = (job.stages[index] for index in job.offered)
    return [s for s in offered if all(s.slots_per_task <= limit for limit in limits)]


def _waiting_work(job: Job, widest: int) -> Any:
    """Estimated work of the tasks of a job that can be launched, slot-seconds."""
    return sum(stage.work * stage.waiting / stage.task_count for stage in _launchable(job, widest))


def _until_room(pool: Pool, ahead: Any, now: Any) -> Any:
    """Seconds until a slot is free for what comes behind so much work, by the estimates.

    Attempts that run give their slots free one after another; who overruns is done any moment.
    O(n log n) over the pool's leases.
    """
    running = []
    queued: Any = 0
    for worker in pool.workers.values():
        for lease in worker.leases.values():
            if lease.started_at is None:
                queued += lease.estimate
            else:
                left = lease.estimate / lease.slots - (now - lease.started_at)
                running.append((max(left, 0), lease.slots))
    free = pool.slots - sum(slots for _, slots in running)
    # Beside a free slot, queues of other workers are in nobody's way.
    work = ahead + queued if ahead or free <= 0 else 0
    at: Any = 0
    for left, slots in sorted(running):
        if free > 0 and (left - at) * free >= work:
            break
        work -= max(free, 0) * (left - at)
        at, free = left, free + slots
    return at + work / free


def _ahead(job: Job) -> JobAhead:
    return JobAhead(
        job_id=job.job_id,
        user=job.user.name,
        virtual_deadline=_float(job.pool.policy.virtual_deadline(job)),
        launchable_tasks=sum(job.stages[index].waiting for index in job.offered),
        remaining_work=float(max(job.work - job.measured, 0)),
    )


def _reason(job: Job, ahead: int, widest: int) -> str:
    """One sentence that says what the job waits for; ``ahead`` jobs go first."""
    pool, user = job.pool, job.user
    if job.ended:
        return f"It is over: {job.state}."
    if user.paused and job.offered:
        return (
            f"User {user.name!r} occupies {user.running_slots} slots, "
            f"all of the cap of {user.max_running_slots}."
        )
    if not pool.slots:
        return f"Pool {pool.name!r} has no slots: no worker is there."
    if not pool.workers:
        return f"Pool {pool.name!r} has no worker, only slots that are configured."
    if job.offered and not _launchable(job, widest):
        return _too_wide(job, widest)
    if job.offered:
        if ahead:
            return f"{ahead} {'job goes' if ahead == 1 else 'jobs go'} first."
        return "It is next: it waits for a free slot that its task fits."
    if any(stage.running for stage in job.stages):
        return "All of its launchable tasks run; it waits for them."
    if any(stage.backing_off for stage in job.stages):
        return "A failed task waits out its backoff."
    if not job.stages_left and job.open:
        return "It is open and waits for more stages."
    return "It waits for stages that are not done."


def _too_wide(job: Job, widest: int) -> str:
    """Why none of the waiting tasks could be launched, however many slots were free."""
    needs = min(job.stages[index].slots_per_task for index in job.offered)
    task = f"Its next task needs {needs} slots"
    cap = job.user.max_running_slots
    if 0 < cap < needs:
        return f"{task}, more than the cap of user {job.user.name!r}, which is {cap}."
    return f"{task}, more than any worker has: {widest} at most."


def _float(value: Any | None) -> float | None:
    return None if value is None else float(value)
