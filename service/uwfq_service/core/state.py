"""What is, and how events change it.

``State.evolve`` is the only way in: live decisions and a replayed journal both pass through it, so
what it does may depend on nothing but the state and the event.  It decides nothing.  Events about
tasks are evolved by ``attempts.py``, those about pools, users and workers by ``roster.py``.

Sums of running work are kept without touching every attempt: with ``started_slots`` slots running
and ``started_sum`` the sum of slots x start instant, the work so far is ``started_slots x now -
started_sum`` (instants count from the job's submission, or the pool's epoch, to keep them small).
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from uwfq_service.core import events as ev
from uwfq_service.core.attempts import Attempts
from uwfq_service.core.estimation import GUESSES, Estimator
from uwfq_service.core.launchable import (
    make_ready,
    waiting_changed,
    withdraw,
)
from uwfq_service.core.lifecycle import step
from uwfq_service.core.model import (
    NO_LABELS,
    Job,
    JobState,
    Lease,
    Pool,
    scaled_weight,
)
from uwfq_service.core.roster import Roster
from uwfq_service.core.stage import Stage
from uwfq_service.core.timers import TimerKind, Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from uwfq_service.core.settings import Settings

#: The states by what events call them; making one of its name costs as much as ten calls.
STATES: Final = {state.value: state for state in JobState}
SUCCEEDED: Final = JobState.SUCCEEDED
#: Versions of the order start here times the seconds of the clock, after a restart.
VERSIONS_PER_SECOND = 1_000_000
#: Likewise the numbers of leases, of a new service, too.
LEASES_PER_SECOND: Final = 1_000_000
#: So many guesses are recognised at most when a job has ended: charging them anew takes 30 ms, and
#: everybody waits for that.  (Replay goes by it, so another number makes other states of journals.)
RECOGNISED_AT_ONCE: Final = 500
#: A correction below this part of the work is a rounding error, not worth a place in virtual time.
DUST = 1e-9


def _tells_of_the_whole(job: Job) -> bool:
    """Whether a success is news: a stage that came as all of its job has told already."""
    stages = job.stages
    several = len(stages) > 1 or any(stage.spec.fingerprint for stage in stages)
    return several and any(stage.done for stage in stages)


def _seen_with(job: Job) -> tuple[str, ...]:
    """What an unseen job is found by once a job like it has ended."""
    pool = job.pool.name
    return (pool, job.signature) if job.signature else (pool, "", job.user.name)


def link_dependencies(stage: Stage) -> None:
    """Let ``stage`` wait for those of its stages that are not done; all must be there."""
    for index in stage.spec.after:
        before = stage.job.stages[index]
        if not before.over:
            if before.dependents is None:
                before.dependents = []
            before.dependents.append(stage.index)
            stage.waits_for += 1


class State:
    """All pools with what is in them."""

    def __init__(self, settings: Settings, number: Callable[[Any], Any] = float) -> None:
        self.settings = settings
        #: Makes the scheduler's kind of number of a plain one.
        self.number = number
        self.pools: dict[str, Pool] = {}
        self.estimators: dict[str, Estimator] = {}
        #: Remembered jobs in the order of their admission: by name, by number, by idempotency key.
        self.jobs: dict[str, Job] = {}
        self.jobs_by_number: dict[int, Job] = {}
        self.jobs_by_request: dict[tuple[str, str, str], Job] = {}
        #: Derived: unfinished jobs that are unseen, by pool and signature or, where they have none,
        #: by pool, "" and user.
        self.unseen: dict[tuple[str, ...], dict[int, Job]] = {}
        #: Derived: by pool and engine, its unfinished jobs in the order of their admission.
        self.engine_jobs: dict[tuple[str, str], dict[int, Job]] = {}
        #: Those about which something is known since the latest end of a job, and was not before.
        self.recognised: list[Job] = []
        #: Finished jobs that are still remembered, in the order of their end.
        self.finished: deque[Job] = deque()
        #: Live leases.
        self.leases: dict[int, Lease] = {}
        #: Leases that ended otherwise than by a result, of remembered jobs.
        self.void_leases: dict[int, Job] = {}
        self.next_job = 1
        #: No lease of this service has a lower number.
        self.first_lease = 1
        self.next_lease = 1
        #: The instant of the last event.
        self.at: Any = number(0)
        self.timers = Timers()
        #: When finished jobs are looked through next; ``None``: not at all.
        self.retention_timer: Any = None
        self.attempts = Attempts(self)
        self.roster = Roster(self)
        self._evolve: dict[type, Callable[[Any], None]] = {
            ev.PoolConfigured: self.roster.pool_configured,
            ev.UserSet: self.roster.user_set,
            ev.WorkerJoined: self.roster.worker_joined,
            ev.WorkerLost: self.roster.worker_gone,
            ev.WorkerLeft: self.roster.worker_gone,
            ev.JobAdmitted: self._job_admitted,
            ev.StagesAdded: self._stages_added,
            ev.StagesDropped: self._stages_dropped,
            ev.JobClosed: self._job_closed,
            ev.JobReestimated: self._job_reestimated,
            ev.TasksLeased: self.attempts.tasks_leased,
            ev.TaskPlaced: self.attempts.task_placed,
            ev.TasksStarted: self.attempts.tasks_started,
            ev.LeasesRenewed: self.attempts.leases_renewed,
            ev.LeasesExpired: self.attempts.leases_expired,
            ev.TasksFinished: self.attempts.tasks_finished,
            ev.TasksRan: self.attempts.tasks_ran,
            ev.TaskFailed: self.attempts.task_failed,
            ev.AttemptSuperseded: self.attempts.attempt_superseded,
            ev.TasksReady: self.attempts.tasks_ready,
            ev.JobEnded: self._job_ended,
            ev.JobsForgotten: self._jobs_forgotten,
            ev.UsersForgotten: self._users_forgotten,
            ev.Recovered: self._recovered,
        }

    def evolve(self, event: ev.AnyEvent) -> None:
        """Let ``event`` have happened."""
        self.at = event.at
        self._evolve[type(event)](event)

    def number_leases_anew(self, at: Any) -> None:
        """Leases are numbered from here on as none was before, in whatever journal.

        A worker may outlive its service's journal.  What it still runs under a lease of the journal
        before must not pass for an attempt under one of this journal.
        """
        self.next_lease = max(self.next_lease, int(at * LEASES_PER_SECOND))

    # -- jobs and stages ------------------------------------------------------------------------

    def _job_admitted(self, event: ev.JobAdmitted) -> None:
        pool = self.pools[event.pool]
        user = self.roster.user(pool, event.user)
        # Of more than fifteen names in a call Python makes a dictionary first, which costs more
        # than the job itself.
        job = Job(
            pool,
            user,
            event.job,
            event.job_id,
            event.at,
            request_id=event.request_id,
            fingerprint=event.fingerprint,
            kind=event.kind,
            signature=event.signature,
            input_bytes=event.input_bytes,
            labels=event.labels or NO_LABELS,
            weight=scaled_weight(event.job_weight),
            declared_work=event.declared_work,
            calibration=event.calibration,
            advisory_task_runtime=event.advisory_task_runtime,
            engine_id=event.engine_id,
            work=event.work,
        )
        job.measured = job.wasted = job.estimated_done = self.number(0)
        job.started_sum = job.estimated_started = self.number(0)
        if event.open:
            job.open, job.floor_work = True, event.work
        self.next_job = event.job + 1
        self.jobs[job.job_id] = job
        self.jobs_by_number[job.number] = job
        self.note_guess(job, event.stages)
        self.index_request(job)
        if job.engine_id:
            self.index_engine(job)
        user.unfinished_jobs += 1
        pool.unfinished_jobs += 1
        user.charged += event.work
        pool.policy.advance(event.at)
        pool.policy.add_job(job, event.at)
        self._attach_stages(job, event.stages)

    def index_engine(self, job: Job) -> None:
        """Let an unfinished job be found by its engine."""
        key = (job.pool.name, job.engine_id)
        self.engine_jobs.setdefault(key, {})[job.number] = job

    def _leave_engine(self, job: Job) -> None:
        key = (job.pool.name, job.engine_id)
        jobs = self.engine_jobs[key]
        del jobs[job.number]
        if not jobs:
            del self.engine_jobs[key]

    def index_request(self, job: Job) -> None:
        """Let a job be found by the request that it came with.

        Once journals kept the request ids of jobs with names of their own, too: two jobs may have
        the same one, and the first is meant.
        """
        if job.request_id:
            key = (job.pool.name, job.user.name, job.request_id)
            self.jobs_by_request.setdefault(key, job)

    def note_guess(self, job: Job, stages: Iterable[ev.AdmittedStage]) -> None:
        """Note whether a job's charge rests on nothing that is known of its signature."""
        if job.declared_work is not None:
            return
        # The stages of an open job, which have fingerprints, are not the whole of it.
        if not job.open and not any(
            stage.source in GUESSES or stage.fingerprint for stage in stages
        ):
            return
        # An empty signature is known when any job is.
        known = self.estimators[job.pool.name].knows(job.signature)
        if not job.signature or not known:
            self.mark_guess(job, unseen=not known)

    def mark_guess(self, job: Job, *, unseen: bool) -> None:
        """An unfinished job's charge is a guess; without a signature it is never known better."""
        job.guessed = True
        job.unseen = unseen
        if unseen:
            self.unseen.setdefault(_seen_with(job), {})[job.number] = job

    def _end_guesses(self, ended: Job) -> None:
        """A job has ended: it waits for nothing, and others of its signature may be known now.

        So may others of its user that have none: they stay guesses, but have a deadline like any.
        Those that came first; where they are many, the rest at the next ends of such jobs.
        """
        if ended.unseen:
            self._forget_unseen(ended)
        self.recognised = []
        if not self.unseen:
            return
        pool, estimator = ended.pool, self.estimators[ended.pool.name]
        if ended.signature and estimator.knows(ended.signature):
            self.recognised = self._seen_at_once((pool.name, ended.signature))
            for job in self.recognised:
                job.guessed = False
                self._see(job)
        if estimator.knows("", ended.user.name):
            for job in self._seen_at_once((pool.name, "", ended.user.name)):
                self._see(job)

    def _seen_at_once(self, subject: tuple[str, ...]) -> list[Job]:
        return list(islice(self.unseen.get(subject, {}).values(), RECOGNISED_AT_ONCE))

    def _see(self, job: Job) -> None:
        """Something is known of an unseen job now."""
        self._forget_unseen(job)
        job.unseen = False
        job.pool.policy.recognise(job)

    def _forget_unseen(self, job: Job) -> None:
        subject = _seen_with(job)
        unseen = self.unseen[subject]
        del unseen[job.number]
        if not unseen:
            del self.unseen[subject]

    def _stages_added(self, event: ev.StagesAdded) -> None:
        job = self.jobs_by_number[event.job]
        job.pool.policy.advance(event.at)
        job.stage_by_name = None
        self._attach_stages(job, event.stages)

    def _attach_stages(self, job: Job, specs: tuple[ev.AdmittedStage, ...]) -> None:
        new = [Stage.of(job, index, spec) for index, spec in enumerate(specs, len(job.stages))]
        job.stages += new
        job.stages_left += len(new)
        for stage in new:
            job.stages_work += stage.work
            if stage.spec.after:
                link_dependencies(stage)
        for stage in new:
            if not stage.waits_for:
                make_ready(stage, self.at)

    def _stages_dropped(self, event: ev.StagesDropped) -> None:
        job = self.jobs_by_number[event.job]
        job.pool.policy.advance(event.at)
        for index in event.stages:
            stage = job.stages[index]
            waiting = stage.waiting
            stage.dropped_work = stage.drop()
            job.dropped_work += stage.dropped_work
            if stage.ready:
                waiting_changed(stage, -waiting, event.at)
            self.attempts.stage_progressed(stage)

    def _job_closed(self, event: ev.JobClosed) -> None:
        job = self.jobs_by_number[event.job]
        job.open = False
        job.floor_work = self.number(0)

    def _job_reestimated(self, event: ev.JobReestimated) -> None:
        job = self.jobs_by_number[event.job]
        cheaper = event.work < job.work
        if event.work < job.floor_work or (event.whole and job.open):
            # What it was charged for at least was a guess.
            job.floor_work = event.work
        job.pool.policy.advance(event.at)
        if job.unseen and not job.signature and not cheaper:
            # What it has used says more than the guess did.
            self._see(job)
        self._charge(job, event.work)
        if cheaper:
            # What runs will overtake the charge the sooner.
            self.attempts.watch_overrun(job)

    def _charge(self, job: Job, work: Any) -> None:
        """Correct the job's charge to ``work``; the policy must have been advanced."""
        change = work - job.work
        policy = job.pool.policy
        if policy.corrects_estimates and abs(change) > DUST * work:
            policy.correct(job, change, self.at)
            job.pool.order_version += 1
        job.user.charged += change
        job.work = work
        policy.work_done(job, self.at)

    def _job_ended(self, event: ev.JobEnded) -> None:
        job = self.jobs_by_number[event.job]
        pool, user = job.pool, job.user
        pool.policy.advance(event.at)
        succeeded = event.state == SUCCEEDED
        if job.engine_id or not succeeded:
            # An engine's job may succeed while a second attempt of a done task still runs.
            self.attempts.void_leases_of(job)
        if job.stages_left:
            for index in tuple(job.offered):
                withdraw(job.stages[index], event.at)
            for stage in job.stages:
                if stage.ready and stage.waiting:
                    user.launchable.pop(stage.key, None)
                    user.launchable_tasks -= stage.waiting
                    pool.launchable_tasks -= stage.waiting
        self._charge(job, job.measured)
        user.settled += job.measured
        if job.engine_id:
            self._leave_engine(job)
        user.unfinished_jobs -= 1
        pool.unfinished_jobs -= 1
        if not user.unfinished_jobs:
            # What rounding has left of large charges goes with them.
            user.charged = user.settled
        pool.policy.end_job(job, event.at)
        step(job, STATES[event.state])
        job.finished_at = event.at
        job.overrun_timer = None
        job.cause = event.cause
        if succeeded and _tells_of_the_whole(job):
            # Estimates of what its engine has left over cannot have been right or wrong.
            estimate = None if job.stages_left else job.expected_total
            self.learn(job, job.input_bytes, job.measured, estimate)
        if succeeded and not job.stages_left and (declared := job.declared_total):
            self.estimators[pool.name].observe_declared(
                user.name, float(declared), float(job.measured - job.wasted)
            )
        self._end_guesses(job)
        self.finished.append(job)
        self.watch_retention()

    def _jobs_forgotten(self, event: ev.JobsForgotten) -> None:
        for _ in range(event.count):
            job = self.finished.popleft()
            del self.jobs[job.job_id]
            del self.jobs_by_number[job.number]
            key = (job.pool.name, job.user.name, job.request_id)
            if self.jobs_by_request.get(key) is job:
                del self.jobs_by_request[key]
            for lease_id in job.void_leases or ():
                self.void_leases.pop(lease_id, None)
            job.pool.policy.forget_job(job)
            # Job and stages name each other, so that nothing less than a full collection, which
            # the service cannot afford, would find that nobody else does.
            job.stages, job.stage_by_name = [], None

    def _users_forgotten(self, event: ev.UsersForgotten) -> None:
        pool = self.pools[event.pool]
        pool.policy.advance(event.at)
        for name in event.users:
            pool.policy.forget_user(pool.users.pop(name))

    def watch_retention(self, not_before: Any = 0) -> None:
        """Let finished jobs be looked through when the first of them has been kept long enough."""
        if not self.finished or self.retention_timer is not None:
            return
        due = self.finished[0].finished_at + self.settings.retention_seconds
        self.retention_timer = max(due, not_before)
        self.timers.set(self.retention_timer, TimerKind.RETENTION, None)

    def learn_stage(self, stage: Stage) -> None:
        """Let the estimator note what a stage took, all of whose tasks are done."""
        job, spec = stage.job, stage.spec
        if spec.signature:
            self.estimators[job.pool.name].observe_stage(
                spec.signature, job.user.name, spec.input_bytes, float(stage.measured)
            )
        if len(job.stages) == 1 and not spec.fingerprint:
            # It is the whole of its job.
            self.learn(job, spec.input_bytes, stage.measured, job.expected_total)
        elif not spec.signature:
            self.learn(job, spec.input_bytes, stage.measured, None, stage=stage.name)

    def learn(
        self, job: Job, input_bytes: int | None, measured: Any, estimate: Any, *, stage: str = ""
    ) -> None:
        """Let the estimator note what was measured, and what had been estimated.

        Of the job, or of a ``stage`` of several.
        """
        self.estimators[job.pool.name].observe(
            job.signature,
            job.user.name,
            input_bytes,
            float(measured),
            predicted=None if estimate is None else float(estimate),
            stage=stage,
        )

    def _recovered(self, event: ev.Recovered) -> None:
        # The journal may be an older copy of the one that was served before.
        self.number_leases_anew(event.at)
        for lease in self.leases.values():
            if lease.expires_at is not None:
                lease.expires_at = max(lease.expires_at, event.expires_at)
        if event.since is not None:
            self.attempts.leave_out(event.at - event.since)
        for pool in self.pools.values():
            if event.since is not None:
                pool.policy.stand_still(event.since, event.at)
            # Higher than any before, so that no engine takes a new order for the one that it has.
            pool.order_version = max(pool.order_version, int(event.at * VERSIONS_PER_SECOND))
            for worker in pool.workers.values():
                # Nobody could be heard of while the service was away.
                fresh = max(event.expires_at, event.at + self.roster.patience(worker))
                worker.alive_until = max(worker.alive_until, fresh)

    # -- from a snapshot ------------------------------------------------------------------------

    def restore_launchable(self, stage: Stage) -> None:
        """Offer a ready stage with waiting tasks."""
        waiting_changed(stage, stage.waiting, self.at)

    def restore_timers(self) -> None:
        """Set the timers that neither leases nor their starts have set."""
        for job in self.jobs.values():
            if job.ended:
                continue
            self.attempts.watch_overrun(job)
            for stage in job.stages:
                for task, (at, _) in (stage.backing_off or {}).items():
                    self.timers.set(at, TimerKind.RETRY, (stage, task))
        for pool in self.pools.values():
            for worker in pool.workers.values():
                self.roster.watch_silence(worker)
        self.watch_retention()
