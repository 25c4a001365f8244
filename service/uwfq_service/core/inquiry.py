"""Why a job waits, and for how long: the answer to ExplainJob.

Nothing here changes the state.  Instants and durations are in seconds, work in slot-seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uwfq_service.core.commands import Record
from uwfq_service.core.views import JobStatus, job_status

if TYPE_CHECKING:
    from uwfq_service.core.model import Job, Pool
    from uwfq_service.core.stage import Stage
    from uwfq_service.core.virtual_time import Countdown

#: Jobs that an inquiry walks past at a time: some two milliseconds, in which all others wait.
STEP_JOBS: Final = 100


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


class Inquiry:
    """Finds out why a job waits, and for how long: step by step, for much may be ahead of it.

    Where the pool changes between two steps the answer is of no single instant; only of a job with
    more than ``STEP_JOBS`` ahead of it, or in a pool with more than ``STEP_MEMBERS`` active users.
    """

    def __init__(self, job: Job, max_ahead: int) -> None:
        """``max_ahead``: how many of the jobs ahead are told."""
        self._job = job
        self._max_ahead = max_ahead
        self._begin()

    def _begin(self) -> None:
        self._policy = self._job.pool.policy
        self._ranking = self._policy.ranking()
        #: Whether there is nobody more ahead.
        self._walked = False
        self._countdown: Countdown | None = None
        self._before: set[int] = set()
        self._ahead: list[JobAhead] = []
        #: Of those ahead, the ones that can be launched at all, and their work.
        self._launchable = 0
        self._work: Any = 0

    def step(self, now: Any) -> Explanation | None:
        """Walk past ``STEP_JOBS`` jobs, or count ``STEP_MEMBERS`` users, at most.

        ``None``: there is more to do.  O(users + jobs of the users ahead) for the first step;
        O(pool's leases) for the last.
        """
        job, pool = self._job, self._job.pool
        if pool.policy is not self._policy:
            self._begin()
        policy = self._policy
        policy.advance(now)
        widest = max((worker.slots for worker in pool.workers.values()), default=pool.slots)
        queued = bool(job.offered) and not job.user.paused
        if queued and not self._walked:
            end = len(self._before) + STEP_JOBS
            # Having come to another place on the way, the job may not be met.
            for stage in self._ranking:
                if stage.job is job:
                    break
                self._pass(stage.job, widest)
                if len(self._before) == end:
                    return None
            self._walked = True
        if self._countdown is None and not job.ended:
            deadline = policy.virtual_deadline(job)
            if deadline is not None:
                self._countdown = policy.countdown(deadline, now)
        if self._countdown is not None and not self._countdown.step():
            return None
        start = finish = None
        if not job.ended and pool.slots and queued and _launchable(job, widest):
            start = _until_room(pool, self._work, now)
        if self._countdown is not None and not job.ended:
            finish = self._countdown.seconds
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
        if stages := _launchable(other, widest):
            self._launchable += 1
            self._work += _waiting_work(other, stages)


def _launchable(job: Job, widest: int) -> list[Stage]:
    """Offered stages of a job whose tasks fit the widest worker's slots, and the user's cap.

    An engine sees by itself what fits its slots.
    """
    limits = [job.user.max_running_slots] if job.user.max_running_slots else []
    if not job.engine_id:
        limits.append(widest)
    offered = (job.stages[index] for index in job.offered)
    return [s for s in offered if all(s.slots_per_task <= limit for limit in limits)]


def _waiting_work(job: Job, stages: list[Stage]) -> Any:
    """Work of the waiting tasks of ``stages``, slot-seconds, as those that are done measured up."""
    return job.measured_ratio * sum(s.work * s.waiting / s.task_count for s in stages)


def _until_room(pool: Pool, ahead: Any, now: Any) -> Any:
    """Seconds until a slot is free for what comes behind so much work, as far as is known.

    Attempts that run give their slots free one after another; who overruns is done any moment.
    O(n log n) over the pool's leases.
    """
    running = []
    queued: Any = 0
    ratios: dict[int, Any] = {}
    for worker in pool.workers.values():
        for lease in worker.leases.values():
            job = lease.stage.job
            if job.number not in ratios:
                ratios[job.number] = job.measured_ratio
            needs = lease.estimate * ratios[job.number]
            if lease.started_at is None:
                queued += needs
            else:
                left = needs / lease.slots - (now - lease.started_at)
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
