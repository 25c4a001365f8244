"""What is, and how events change it.

``State.evolve`` is the only way in: live decisions and a replayed journal both pass through it, so
what it does may depend on nothing but the state and the event.  It decides nothing.

Sums of running work are kept without touching every attempt: with ``started_slots`` slots running and
``started_sum`` the sum of slots x start instant, the work so far is
``started_slots x now - started_sum`` (instants count from the job's submission, or the pool's epoch,
to keep them small).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from uwfq_service.core import events as ev
from uwfq_service.core.estimation import Estimator
from uwfq_service.core.lifecycle import JOB_TRANSITIONS
from uwfq_service.core.model import (
    Job,
    JobState,
    Lease,
    Pool,
    Stage,
    User,
    Worker,
    insert_index,
    scaled_weight,
)
from uwfq_service.core.policy import POLICIES
from uwfq_service.core.timers import TimerKind, Timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from uwfq_service.core.settings import Settings

#: The measured overhead per task follows its median in steps of this part of itself.
OVERHEAD_STEP = 0.05
#: ... and of at least this, seconds.
OVERHEAD_MIN_STEP = 0.0005
#: Versions of the order start here times the seconds of the clock, after a restart.
VERSIONS_PER_SECOND = 1_000_000
#: A correction below this part of the work is a rounding error, not worth a place in virtual time.
DUST = 1e-9


def stage_signature(signature: str, stage: str) -> str:
    """What the estimator keys one stage of a job of several stages by."""
    return f"{signature}/{stage}" if signature else ""


def link_dependencies(stage: Stage) -> None:
    """Let ``stage`` wait for those of its stages that are not done; all must be there."""
    for index in stage.after:
        before = stage.job.stages[index]
        if before.done < before.task_count:
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
        #: Finished jobs that are still remembered, in the order of their end.
        self.finished: deque[Job] = deque()
        #: Live leases.
        self.leases: dict[int, Lease] = {}
        #: Leases that ended otherwise than by a result, of remembered jobs.
        self.void_leases: dict[int, Job] = {}
        self.next_job = 1
        self.next_lease = 1
        #: The instant of the last event.
        self.at: Any = number(0)
        self.timers = Timers()
        self._evolve: dict[type, Callable[[Any], None]] = {
            ev.PoolConfigured: self._pool_configured,
            ev.UserSet: self._user_set,
            ev.WorkerJoined: self._worker_joined,
            ev.WorkerLost: self._worker_lost,
            ev.JobAdmitted: self._job_admitted,
            ev.StagesAdded: self._stages_added,
            ev.JobClosed: self._job_closed,
            ev.JobReestimated: self._job_reestimated,
            ev.TasksLeased: self._tasks_leased,
            ev.TaskPlaced: self._task_placed,
            ev.TasksStarted: self._tasks_started,
            ev.LeasesRenewed: self._leases_renewed,
            ev.LeasesExpired: self._leases_expired,
            ev.TasksFinished: self._tasks_finished,
            ev.TaskFailed: self._task_failed,
            ev.AttemptSuperseded: self._attempt_superseded,
            ev.TasksReady: self._tasks_ready,
            ev.JobEnded: self._job_ended,
            ev.JobsForgotten: self._jobs_forgotten,
            ev.Recovered: self._recovered,
        }

    def evolve(self, event: ev.AnyEvent) -> None:
        """Let ``event`` have happened."""
        self.at = event.at
        self._evolve[type(event)](event)

    # -- pools, users, workers ------------------------------------------------------------------

    def _pool_configured(self, event: ev.PoolConfigured) -> None:
        pool = self.pools.get(event.pool)
        policy_class = POLICIES[event.policy]
        if pool is None:
            pool = Pool(event.pool, policy_class(self.number, event.at), event.at)
            pool.overhead = self.number(0)
            self.pools[event.pool] = pool
            self.estimators[event.pool] = Estimator(prior_work=self.settings.prior_work)
        elif pool.policy.name != event.policy:
            self._switch_policy(pool, policy_class(self.number, event.at))
        pool.fixed_slots = event.fixed_slots
        self._slots_changed(pool)

    def _switch_policy(self, pool: Pool, policy: Any) -> None:
        """Let another policy take over what is there, in the order of admission."""
        pool.policy = policy
        policy.set_slots(pool.slots, self.at)
        jobs = [job for job in self.jobs.values() if job.pool is pool and not job.ended]
        for user in pool.users.values():
            user.policy_state = None
        for job in jobs:
            job.policy_state = None
            policy.add_job(job, self.at)
        ready = [s for job in jobs for s in job.stages if s.ready and s.done < s.task_count]
        for stage in sorted(ready, key=lambda stage: stage.launch_serial):
            stage.policy_state = None
            policy.add_stage(stage, self.at)
        for job in jobs:
            for index in job.offered:
                policy.offer(job.stages[index], self.at)
        pool.order_version += 1

    def _user_set(self, event: ev.UserSet) -> None:
        pool = self.pools[event.pool]
        user = self.user(pool, event.user)
        weight = scaled_weight(event.weight)
        if weight != user.weight:
            pool.policy.advance(event.at)
            pool.policy.set_weight(user, weight, event.at)
            user.weight = weight
            pool.order_version += 1
        user.max_running_slots = event.max_running_slots
        user.max_waiting_jobs = event.max_waiting_jobs
        self._check_cap(user)

    def _worker_joined(self, event: ev.WorkerJoined) -> None:
        pool = self.pools[event.pool]
        worker = pool.workers.get(event.worker)
        if worker is None:
            worker = pool.workers[event.worker] = Worker(pool, event.worker)
        pool.live_slots += event.slots - worker.slots
        worker.slots, worker.prefetch, worker.engine = event.slots, event.prefetch, event.engine
        if worker.timer is None:
            self._watch_silence(worker)
        self._slots_changed(pool)

    def _watch_silence(self, worker: Worker) -> None:
        """A worker that is new here: its silence counts from now."""
        settings = self.settings
        silence = settings.engine_timeout if worker.engine else settings.worker_timeout
        worker.alive_until = max(worker.alive_until, self.at + silence)
        worker.timer = worker.alive_until
        self.timers.set(worker.timer, TimerKind.WORKER, worker)

    def _worker_lost(self, event: ev.WorkerLost) -> None:
        pool = self.pools[event.pool]
        worker = pool.workers.pop(event.worker)
        worker.timer = None
        assert not worker.leases, "a lost worker's leases expire first"
        pool.live_slots -= worker.slots
        self._slots_changed(pool)

    def _slots_changed(self, pool: Pool) -> None:
        pool.policy.advance(self.at)
        pool.policy.set_slots(pool.slots, self.at)

    def user(self, pool: Pool, name: str) -> User:
        """The user of that name, made if need be."""
        user = pool.users.get(name)
        if user is None:
            user = pool.users[name] = User(pool, pool.next_user, name)
            user.charged = user.settled = user.service_ended = self.number(0)
            user.started_sum = self.number(0)
            pool.next_user += 1
        return user

    # -- jobs and stages ------------------------------------------------------------------------

    def _job_admitted(self, event: ev.JobAdmitted) -> None:
        pool = self.pools[event.pool]
        user = self.user(pool, event.user)
        job = Job(user, event.job, event.job_id, event.at)
        job.request_id = event.request_id
        job.fingerprint = event.fingerprint
        job.kind = event.kind
        job.signature = event.signature
        job.input_bytes = event.input_bytes
        job.labels = event.labels
        job.weight = scaled_weight(event.job_weight)
        job.declared_work = event.declared_work
        job.advisory_task_runtime = event.advisory_task_runtime
        job.open = event.open
        job.engine_id = event.engine_id
        job.work = event.work
        job.floor_work = event.work if event.open else self.number(0)
        job.measured = job.wasted = self.number(0)
        self.next_job = event.job + 1
        self.jobs[job.job_id] = job
        self.jobs_by_number[job.number] = job
        if event.request_id:
            self.jobs_by_request[pool.name, user.name, event.request_id] = job
        user.unfinished_jobs += 1
        pool.unfinished_jobs += 1
        user.charged += event.work
        pool.policy.advance(event.at)
        pool.policy.add_job(job, event.at)
        self._attach_stages(job, event.stages)

    def _stages_added(self, event: ev.StagesAdded) -> None:
        job = self.jobs_by_number[event.job]
        job.pool.policy.advance(event.at)
        job.stage_by_name = None
        self._attach_stages(job, event.stages)

    def _attach_stages(self, job: Job, specs: tuple[ev.AdmittedStage, ...]) -> None:
        first = len(job.stages)
        for spec in specs:
            job.stages.append(Stage(job, len(job.stages), spec))
        job.stages_left += len(specs)
        for stage in job.stages[first:]:
            link_dependencies(stage)
        for stage in job.stages[first:]:
            if not stage.waits_for:
                self._make_ready(stage)

    def _make_ready(self, stage: Stage) -> None:
        pool = stage.job.pool
        stage.ready = True
        stage.launch_serial = pool.launch_serial
        pool.launch_serial += 1
        pool.policy.add_stage(stage, self.at)
        self._waiting_changed(stage, stage.waiting)

    def _job_closed(self, event: ev.JobClosed) -> None:
        job = self.jobs_by_number[event.job]
        job.open = False
        job.floor_work = self.number(0)

    def _job_reestimated(self, event: ev.JobReestimated) -> None:
        job = self.jobs_by_number[event.job]
        self._charge(job, event.work)

    def _charge(self, job: Job, work: Any) -> None:
        """Correct the job's charge to ``work``."""
        change = work - job.work
        policy = job.pool.policy
        if policy.corrects_estimates and abs(change) > DUST * work:
            policy.advance(self.at)
            policy.correct(job, change, self.at)
            job.pool.order_version += 1
        job.user.charged += change
        job.work = work

    def _job_ended(self, event: ev.JobEnded) -> None:
        job = self.jobs_by_number[event.job]
        pool, user = job.pool, job.user
        pool.policy.advance(event.at)
        if event.state != JobState.SUCCEEDED:
            self._void_leases_of(job)
            for index in tuple(job.offered):
                self._withdraw(job.stages[index])
            for stage in job.stages:
                if stage.ready and stage.waiting:
                    user.launchable.pop(stage.key, None)
                    self._count_waiting(stage, -stage.waiting)
        self._charge(job, job.measured)
        user.settled += job.measured
        user.unfinished_jobs -= 1
        pool.unfinished_jobs -= 1
        pool.policy.end_job(job, event.at)
        self._set_state(job, JobState(event.state))
        job.finished_at = event.at
        job.cause = event.cause
        if event.state == JobState.SUCCEEDED and len(job.stages) > 1:
            estimate = job.declared_work or job.estimated_total
            self._learn(job, job.signature, job.input_bytes, job.measured, estimate)
        if not self.finished:
            self.timers.set(
                event.at + self.settings.retention_seconds, TimerKind.RETENTION, None
            )
        self.finished.append(job)

    def _jobs_forgotten(self, event: ev.JobsForgotten) -> None:
        for _ in range(event.count):
            job = self.finished.popleft()
            del self.jobs[job.job_id]
            del self.jobs_by_number[job.number]
            if job.request_id:
                self.jobs_by_request.pop((job.pool.name, job.user.name, job.request_id), None)
            for lease_id in job.void_leases or ():
                self.void_leases.pop(lease_id, None)

    @staticmethod
    def _set_state(job: Job, state: JobState) -> None:
        assert state in JOB_TRANSITIONS[job.state], f"{job!r} cannot become {state}"
        job.state = state

    def _learn(
        self, job: Job, signature: str, input_bytes: int | None, measured: Any, estimate: Any
    ) -> None:
        self.estimators[job.pool.name].observe(
            signature,
            job.user.name,
            input_bytes,
            float(measured),
            predicted=None if estimate is None else float(estimate),
        )

    # -- what is launchable ---------------------------------------------------------------------

    def _waiting_changed(self, stage: Stage, change: int) -> None:
        """``change`` more tasks of a ready stage wait than before (fewer, if negative)."""
        self._count_waiting(stage, change)
        user = stage.job.user
        launchable = stage.key in user.launchable
        if stage.waiting:
            if not launchable:
                user.launchable[stage.key] = stage
                if not user.paused:
                    self._offer(stage)
        elif launchable:
            del user.launchable[stage.key]
            if not user.paused:
                self._withdraw(stage)

    @staticmethod
    def _count_waiting(stage: Stage, change: int) -> None:
        stage.job.user.launchable_tasks += change
        stage.job.pool.launchable_tasks += change

    def _offer(self, stage: Stage) -> None:
        job = stage.job
        insert_index(job.offered, stage.index)
        job.pool.policy.offer(stage, self.at)
        job.pool.order_version += 1

    def _withdraw(self, stage: Stage) -> None:
        job = stage.job
        if stage.index not in job.offered:
            # Withdrawn for the rest of this poll, by whoever grants the leases.
            return
        job.offered.remove(stage.index)
        job.pool.policy.withdraw(stage, self.at)
        job.pool.order_version += 1

    def _check_cap(self, user: User) -> None:
        """Pause a user who occupies all slots of the cap, or resume one who does not any more."""
        paused = 0 < user.max_running_slots <= user.running_slots
        if paused == user.paused:
            return
        user.paused = paused
        for stage in user.launchable.values():
            if paused:
                self._withdraw(stage)
            else:
                self._offer(stage)

    # -- leases ---------------------------------------------------------------------------------

    def _tasks_leased(self, event: ev.TasksLeased) -> None:
        job = self.jobs_by_number[event.job]
        stage = job.stages[event.stage]
        worker = job.pool.workers[event.worker]
        job.pool.policy.advance(event.at)
        lease_id = event.lease_id
        for task in event.tasks:
            place = stage.next_place()
            stage.claim(place)
            attempt = 1 if stage.attempts is None else stage.attempts.get(task, 0) + 1
            self._add_lease(
                Lease(lease_id, stage, task, place, attempt, worker, event.at, event.expires_at)
            )
            lease_id += 1
        self.next_lease = lease_id
        count = len(event.tasks)
        if event.poll_id:
            ids = tuple(range(event.lease_id, lease_id))
            same = worker.last_poll_id == event.poll_id
            worker.last_poll_leases = worker.last_poll_leases + ids if same else ids
            worker.last_poll_id = event.poll_id
        self.timers.set(event.expires_at, TimerKind.LEASES, (event.lease_id, count))
        self.watch_overrun(job)
        self._running_changed(stage, count)
        self._waiting_changed(stage, -count)

    def _task_placed(self, event: ev.TaskPlaced) -> None:
        job = self.jobs_by_number[event.job]
        stage = job.stages[event.stage]
        worker = job.pool.workers[event.engine]
        job.pool.policy.advance(event.at)
        if stage.placed is None or stage.live is None or stage.won is None:
            stage.placed, stage.live, stage.won = {}, {}, set()
        task = event.task
        first = not stage.live.get(task) and stage.is_waiting(task)
        if first:
            stage.claim(task)
        elif not stage.live.get(task):
            # Done before, and run again.
            stage.won.add(task)
        lease = Lease(
            event.lease_id,
            stage,
            task,
            task if first else -1,
            event.attempt,
            worker,
            event.at,
            None,
        )
        stage.live[task] = stage.live.get(task, 0) + 1
        stage.placed[task, event.attempt] = lease
        self.next_lease = event.lease_id + 1
        self._add_lease(lease, event.started_at)
        self.watch_overrun(job)
        self._running_changed(stage, 1)
        if first:
            self._waiting_changed(stage, -1)

    def _add_lease(self, lease: Lease, started_at: Any = None) -> None:
        worker = lease.worker
        self.leases[lease.lease_id] = lease
        worker.leases[lease.lease_id] = lease
        worker.leased_slots += lease.slots
        if started_at is not None:
            self._start(lease, started_at)
        elif worker.started_slots + lease.slots <= worker.slots:
            self._start(lease, lease.granted_at)
        else:
            worker.queued.append(lease)

    def _running_changed(self, stage: Stage, tasks: int) -> None:
        slots = tasks * stage.slots_per_task
        user = stage.job.user
        stage.running += tasks
        stage.running_slots += slots
        user.running_slots += slots
        user.pool.running_slots += slots
        user.pool.policy.running_changed(stage, slots)
        if user.max_running_slots:
            self._check_cap(user)

    def _tasks_started(self, event: ev.TasksStarted) -> None:
        for lease_id, started_at in zip(event.leases, event.started_at, strict=True):
            lease = self.leases[lease_id]
            lease.worker.queued.remove(lease)
            self._start(lease, started_at)
            self.watch_overrun(lease.stage.job)

    def _start(self, lease: Lease, at: Any) -> None:
        """The attempt runs since ``at``."""
        stage = lease.stage
        job = stage.job
        user = job.user
        slots = lease.slots
        lease.started_at = at
        lease.worker.started_slots += slots
        job.started_slots += slots
        job.started_sum += slots * (at - job.submitted_at)
        job.estimated_started += lease.estimate
        user.started_slots += slots
        user.started_sum += slots * (at - user.pool.epoch)
        if stage.task_timeout is not None:
            self.timers.set(at + stage.task_timeout, TimerKind.LIMIT, lease)
        if job.started_at is None:
            job.started_at = at
            self._set_state(job, JobState.RUNNING)

    def watch_overrun(self, job: Job, not_before: Any = 0) -> None:
        """Set a timer for the instant at which what runs will have overtaken the charge."""
        if not job.started_slots or not job.pool.policy.corrects_estimates:
            return
        limit = job.work * (1 + self.settings.correction_threshold)
        after = (limit - job.measured + job.started_sum) / job.started_slots
        at = max(job.submitted_at + after, not_before)
        if job.overrun_timer is None or at < job.overrun_timer:
            job.overrun_timer = at
            self.timers.set(at, TimerKind.OVERRUN, job)

    def _leases_renewed(self, event: ev.LeasesRenewed) -> None:
        for lease_id in event.leases:
            self.leases[lease_id].expires_at = event.expires_at

    def _leases_expired(self, event: ev.LeasesExpired) -> None:
        touched: dict[int, list[Lease]] = {}
        for lease_id in event.leases:
            lease = self.leases[lease_id]
            touched.setdefault(lease.stage.key, []).append(lease)
        for leases in touched.values():
            stage = leases[0].stage
            stage.job.pool.policy.advance(event.at)
            back = 0
            for lease in leases:
                ran = self._ran(lease)
                self._remove_lease(lease, ran)
                self._void(lease)
                stage.job.wasted += ran * lease.slots
                stage.job.failed_attempts += 1
                if self._leaves_task_undone(lease):
                    back += 1
                    self._set_attempts(stage, lease)
                    stage.give_back(lease.task if lease.place < 0 else lease.place)
            self._running_changed(stage, -len(leases))
            if back:
                self._waiting_changed(stage, back)

    def _tasks_finished(self, event: ev.TasksFinished) -> None:
        stage = None
        ended = 0
        for lease_id, runtime in zip(event.leases, event.runtimes, strict=True):
            lease = self.leases[lease_id]
            if lease.stage is not stage:
                if stage is not None:
                    self._stage_progressed(stage, ended)
                stage, ended = lease.stage, 0
                stage.job.pool.policy.advance(event.at)
            self._measure_overhead(lease, runtime)
            self._remove_lease(lease, runtime)
            ended += 1
            stage.done += 1
            stage.job.estimated_done += lease.estimate
            if stage.attempts is not None:
                stage.attempts.pop(lease.task, None)
            if stage.live is not None and stage.won is not None:
                if stage.live[lease.task]:
                    stage.won.add(lease.task)
                else:
                    del stage.live[lease.task]
        if stage is not None:
            self._stage_progressed(stage, ended)

    def _stage_progressed(self, stage: Stage, ended: int) -> None:
        """``ended`` attempts of ``stage`` have finished their tasks."""
        self._running_changed(stage, -ended)
        if stage.done < stage.task_count:
            return
        job = stage.job
        job.stages_left -= 1
        if len(job.stages) == 1 and not job.open:
            estimate = job.declared_work or stage.work
            self._learn(job, job.signature, stage.input_bytes, stage.measured, estimate)
        else:
            signature = stage_signature(job.signature, stage.name)
            self._learn(job, signature, stage.input_bytes, stage.measured, None)
        for index in stage.dependents:
            dependent = job.stages[index]
            dependent.waits_for -= 1
            if not dependent.waits_for:
                self._make_ready(dependent)

    def _task_failed(self, event: ev.TaskFailed) -> None:
        lease = self.leases[event.lease]
        stage = lease.stage
        stage.job.pool.policy.advance(event.at)
        self._remove_lease(lease, event.runtime)
        stage.job.wasted += event.runtime * lease.slots
        stage.job.failed_attempts += 1
        stage.job.cause = event.message
        self._set_attempts(stage, lease)
        if event.timed_out:
            self._void(lease)
            lease.worker.revoked.append(lease.lease_id)
        self._running_changed(stage, -1)
        if not self._leaves_task_undone(lease):
            return
        place = lease.task if lease.place < 0 else lease.place
        if event.retry_at is None or event.retry_at <= event.at:
            stage.give_back(place)
            self._waiting_changed(stage, 1)
            return
        if stage.backing_off is None:
            stage.backing_off = {}
        stage.backing_off[lease.task] = (event.retry_at, place)
        self.timers.set(event.retry_at, TimerKind.RETRY, stage)

    def _tasks_ready(self, event: ev.TasksReady) -> None:
        job = self.jobs_by_number[event.job]
        job.pool.policy.advance(event.at)
        for index, task in event.tasks:
            stage = job.stages[index]
            assert stage.backing_off is not None, "only a task in backoff becomes ready"
            _, place = stage.backing_off.pop(task)
            stage.give_back(place)
            self._waiting_changed(stage, 1)

    def _attempt_superseded(self, event: ev.AttemptSuperseded) -> None:
        lease = self.leases[event.lease]
        lease.stage.job.pool.policy.advance(event.at)
        self._remove_lease(lease, event.runtime)
        lease.stage.job.wasted += event.runtime * lease.slots
        self._leaves_task_undone(lease)
        self._running_changed(lease.stage, -1)

    def _recovered(self, event: ev.Recovered) -> None:
        for lease in self.leases.values():
            if lease.expires_at is not None:
                lease.expires_at = max(lease.expires_at, event.expires_at)
        for pool in self.pools.values():
            # Higher than any before, so that no engine takes a new order for the one that it has.
            pool.order_version = max(pool.order_version, int(event.at * VERSIONS_PER_SECOND))
            for worker in pool.workers.values():
                worker.alive_until = max(worker.alive_until, event.expires_at)

    # -- ends of attempts -----------------------------------------------------------------------

    def _ran(self, lease: Lease) -> Any:
        """Seconds that an attempt has run."""
        return self.number(0) if lease.started_at is None else self.at - lease.started_at

    def _remove_lease(self, lease: Lease, runtime: Any) -> None:
        """The attempt is over; its job pays for ``runtime`` seconds of its slots."""
        stage, worker = lease.stage, lease.worker
        job = stage.job
        user = job.user
        slots = lease.slots
        del self.leases[lease.lease_id]
        del worker.leases[lease.lease_id]
        worker.leased_slots -= slots
        if lease.started_at is None:
            worker.queued.remove(lease)
        else:
            worker.started_slots -= slots
            job.started_slots -= slots
            job.started_sum -= slots * (lease.started_at - job.submitted_at)
            job.estimated_started -= lease.estimate
            user.started_slots -= slots
            user.started_sum -= slots * (lease.started_at - user.pool.epoch)
            # Exact zeros keep rounding from piling up over a long life.
            if not job.started_slots:
                job.started_sum = job.estimated_started = self.number(0)
            if not user.started_slots:
                user.started_sum = self.number(0)
        if stage.placed is not None and stage.live is not None:
            stage.placed.pop((lease.task, lease.attempt), None)
            stage.live[lease.task] -= 1
        work = runtime * slots
        job.measured += work
        stage.measured += work
        user.service_ended += work
        while worker.queued and worker.started_slots + worker.queued[0].slots <= worker.slots:
            next_lease = worker.queued.popleft()
            self._start(next_lease, self.at)
            self.watch_overrun(next_lease.stage.job)

    @staticmethod
    def _leaves_task_undone(lease: Lease) -> bool:
        """Whether an attempt that ended without a result leaves its task to be done again."""
        stage, task = lease.stage, lease.task
        if stage.live is None or stage.won is None:
            return True
        if stage.live[task]:
            return False
        del stage.live[task]
        if task in stage.won:
            stage.won.discard(task)
            return False
        return True

    @staticmethod
    def _set_attempts(stage: Stage, lease: Lease) -> None:
        if stage.attempts is None:
            stage.attempts = {}
        stage.attempts[lease.task] = lease.attempt

    def _void(self, lease: Lease) -> None:
        """Remember a lease that ended without a result, for whoever reports on it later."""
        job = lease.stage.job
        if job.void_leases is None:
            job.void_leases = {}
        job.void_leases[lease.lease_id] = (lease.stage.index, lease.task)
        self.void_leases[lease.lease_id] = job

    def _void_leases_of(self, job: Job) -> None:
        """Revoke what runs of a job; its worker learns of it at its next renewal or report."""
        if not any(stage.running for stage in job.stages):
            return
        revoked = [lease for lease in self.leases.values() if lease.stage.job is job]
        for lease in revoked:
            self._remove_lease(lease, self._ran(lease))
            self._void(lease)
            lease.worker.revoked.append(lease.lease_id)
            self._running_changed(lease.stage, -1)

    def _measure_overhead(self, lease: Lease, runtime: Any) -> None:
        """Follow the median of (grant to report) - runtime over tasks that started when granted."""
        if lease.started_at != lease.granted_at:
            return
        pool = lease.worker.pool
        overhead = self.at - lease.granted_at - runtime
        step = max(pool.overhead * OVERHEAD_STEP, OVERHEAD_MIN_STEP)
        if overhead > pool.overhead:
            pool.overhead = min(overhead, pool.overhead + step)
        else:
            pool.overhead = max(overhead, pool.overhead - step, self.number(0))

    # -- from a snapshot ------------------------------------------------------------------------

    def restore_lease(self, lease: Lease, started_at: Any) -> None:
        """Put back a live lease; everything but what running attempts add up to is there."""
        stage, worker = lease.stage, lease.worker
        self.leases[lease.lease_id] = lease
        worker.leases[lease.lease_id] = lease
        worker.leased_slots += lease.slots
        if stage.placed is not None and stage.live is not None:
            stage.placed[lease.task, lease.attempt] = lease
            stage.live[lease.task] = stage.live.get(lease.task, 0) + 1
        if started_at is None:
            worker.queued.append(lease)
        else:
            self._start(lease, started_at)
        if lease.expires_at is not None:
            self.timers.set(lease.expires_at, TimerKind.LEASES, (lease.lease_id, 1))
        self._running_changed(stage, 1)

    def restore_launchable(self, stage: Stage) -> None:
        """Offer a ready stage with waiting tasks."""
        self._waiting_changed(stage, stage.waiting)

    def restore_timers(self) -> None:
        """Set the timers that neither leases nor their starts have set."""
        for job in self.jobs.values():
            if job.ended:
                continue
            self.watch_overrun(job)
            for stage in job.stages:
                for at, _ in (stage.backing_off or {}).values():
                    self.timers.set(at, TimerKind.RETRY, stage)
        for pool in self.pools.values():
            for worker in pool.workers.values():
                self._watch_silence(worker)
        if self.finished:
            due = self.finished[0].finished_at + self.settings.retention_seconds
            self.timers.set(due, TimerKind.RETENTION, None)
