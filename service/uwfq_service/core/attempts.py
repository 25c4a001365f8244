"""Attempts: leases are granted, start, are renewed, and end in one way or another.

The part of ``State`` that evolves by events about tasks.  An attempt that ends is charged to its
job, however it ended; one that ends without a result leaves its task to be done again.

An engine that places tasks itself may run several attempts of one task at once (speculation);
``live`` counts them and ``won`` names the tasks of which one was through before the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uwfq_service.core import events as ev
from uwfq_service.core.launchable import make_ready, running_changed, waiting_changed
from uwfq_service.core.lifecycle import step
from uwfq_service.core.model import Job, JobState, Lease
from uwfq_service.core.stage import Stage
from uwfq_service.core.timers import TimerKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uwfq_service.core.model import Worker
    from uwfq_service.core.state import State

#: Looking up a member of an enum costs as much as two calls under Python 3.11.
_LEASES: Final = TimerKind.LEASES
_OVERRUN: Final = TimerKind.OVERRUN
_RUNNING: Final = JobState.RUNNING
#: The measured overhead per task follows its median in steps of this part of itself ...
OVERHEAD_STEP: Final = 0.05
#: ... and of at least this, seconds.
OVERHEAD_MIN_STEP: Final = 0.0005


class Attempts:
    """Evolves a state by what happens to attempts."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._zero = state.number(0)
        #: A charge is overrun when so many times as much has been used.
        self._overrun_at = 1 + state.settings.correction_threshold

    # -- leases ---------------------------------------------------------------------------------

    def tasks_leased(self, event: ev.TasksLeased) -> None:
        """Tasks of one stage are leased to one worker."""
        job = self._state.jobs_by_number[event.job]
        stage = job.stages[event.stage]
        worker = job.pool.workers[event.worker]
        job.pool.policy.advance(event.at)
        lease_id = event.lease_id
        leases = []
        for task in event.tasks:
            place = stage.claim_next()
            attempt = 1 if stage.attempts is None else stage.attempts.get(task, 0) + 1
            leases.append(
                Lease(
                    lease_id,
                    stage,
                    task,
                    place,
                    attempt,
                    worker,
                    stage.slots_per_task,
                    stage.task_work(task),
                    event.at,
                    event.expires_at,
                )
            )
            lease_id += 1
        self._add_leases(leases)
        self._state.next_lease = lease_id
        count = len(event.tasks)
        if event.poll_id:
            granted = worker.last_poll_leases
            # A repeated poll is granted others when those of the first time are gone.
            more = granted and granted[-1] in self._state.leases
            if worker.last_poll_id != event.poll_id or not more:
                worker.last_poll_id, worker.last_poll_leases = event.poll_id, []
            worker.last_poll_leases += range(event.lease_id, lease_id)
        self._state.timers.set(event.expires_at, _LEASES, (event.lease_id, count))
        self.watch_overrun(job)
        running_changed(stage, count)
        waiting_changed(stage, -count, self._state.at)

    def task_placed(self, event: ev.TaskPlaced) -> None:
        """An engine has started a task."""
        job = self._state.jobs_by_number[event.job]
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
            stage.slots_per_task,
            stage.task_work(task),
            event.at,
            None,
        )
        stage.live[task] = stage.live.get(task, 0) + 1
        stage.placed[task, event.attempt] = lease
        self._state.next_lease = event.lease_id + 1
        self._add_leases((lease,), event.started_at)
        self.watch_overrun(job)
        running_changed(stage, 1)
        if first:
            waiting_changed(stage, -1, self._state.at)

    def _add_leases(self, leases: Sequence[Lease], started_at: Any = None) -> None:
        """Leases on one stage at one worker, which run since then, or as soon as it has slots."""
        self._note_leases(leases)
        worker, slots = leases[0].worker, leases[0].slots
        if started_at is not None:
            self._start(leases, started_at)
            return
        fitting = max(0, worker.slots - worker.started_slots) // slots
        if fitting >= len(leases):
            self._start(leases, leases[0].granted_at)
            return
        if fitting:
            self._start(leases[:fitting], leases[0].granted_at)
        worker.queued.update((lease.lease_id, lease) for lease in leases[fitting:])

    def _note_leases(self, leases: Sequence[Lease]) -> None:
        """Let live leases on one stage at one worker be found: by their ids, and at both."""
        stage, worker = leases[0].stage, leases[0].worker
        if stage.leases is None:
            stage.leases = {}
        for lease in leases:
            lease_id = lease.lease_id
            self._state.leases[lease_id] = lease
            worker.leases[lease_id] = lease
            stage.leases[lease_id] = lease
        worker.leased_slots += leases[0].slots * len(leases)

    def tasks_started(self, event: ev.TasksStarted) -> None:
        """Prefetched leases have begun to run."""
        for lease_id, started_at in zip(event.leases, event.started_at, strict=True):
            lease = self._state.leases[lease_id]
            del lease.worker.queued[lease_id]
            self._start((lease,), started_at)
            self.watch_overrun(lease.stage.job)

    def _start(self, leases: Sequence[Lease], at: Any) -> None:
        """Attempts of one stage at one worker run since ``at``."""
        stage, worker = leases[0].stage, leases[0].worker
        job = stage.job
        user = job.user
        timeout = stage.spec.task_timeout
        estimate = self._zero
        for lease in leases:
            lease.started_at = at
            estimate += lease.estimate
            if timeout is not None:
                self._state.timers.set(at + timeout, TimerKind.LIMIT, lease)
        slots = stage.slots_per_task * len(leases)
        worker.started_slots += slots
        job.started_slots += slots
        job.started_sum += slots * (at - job.submitted_at)
        job.estimated_started += estimate
        user.started_slots += slots
        user.started_sum += slots * (at - user.pool.epoch)
        if job.started_at is None:
            job.started_at = at
            step(job, _RUNNING)

    def watch_overrun(self, job: Job, not_before: Any = 0) -> None:
        """Set a timer for the instant at which what runs will have overtaken the charge."""
        if not job.started_slots or not job.pool.policy.corrects_estimates:
            return
        limit = job.work * self._overrun_at
        after = (limit - job.measured + job.started_sum) / job.started_slots
        at = job.submitted_at + after
        if at < not_before:
            at = not_before
        if job.overrun_timer is None or at < job.overrun_timer:
            job.overrun_timer = at
            self._state.timers.set(at, _OVERRUN, job)

    def leave_out(self, seconds: Any) -> None:
        """Nobody saw what ran in an outage: it counts when a result says so.  O(leases)."""
        for lease in self._state.leases.values():
            if lease.started_at is not None:
                lease.started_at += seconds
                job = lease.stage.job
                job.started_sum += lease.slots * seconds
                job.user.started_sum += lease.slots * seconds

    def leases_renewed(self, event: ev.LeasesRenewed) -> None:
        """Leases hold longer."""
        for lease_id in event.leases:
            self._state.leases[lease_id].expires_at = event.expires_at

    def leases_expired(self, event: ev.LeasesExpired) -> None:
        """Leases are void; their tasks wait again."""
        touched: dict[tuple[bool, int], list[Lease]] = {}
        for lease_id in event.leases:
            lease = self._state.leases[lease_id]
            touched.setdefault((lease.started_at is not None, lease.stage.key), []).append(lease)
        # Those that wait in a queue first: one that runs lets the next of its worker's begin.
        for (begun, _), leases in sorted(touched.items(), key=lambda item: item[0][0]):
            stage = leases[0].stage
            stage.job.pool.policy.advance(event.at)
            back = 0
            for lease in leases:
                ran = self._ran(lease)
                self._remove_lease(lease, ran)
                self._void(lease)
                stage.job.wasted += ran * lease.slots
                if event.unstarted:
                    # Its number goes to the next one; that it did not finish its task is noted.
                    stage.attempts = stage.attempts or {}
                    stage.attempts.setdefault(lease.task, lease.attempt - 1)
                else:
                    stage.job.failed_attempts += 1
                    self._set_attempts(stage, lease)
                    if not begun:
                        stage.unbegun = stage.unbegun or {}
                        stage.unbegun[lease.task] = stage.unbegun.get(lease.task, 0) + 1
                if self._count_out(lease):
                    back += 1
                    stage.give_back(lease.task if lease.place < 0 else lease.place)
            running_changed(stage, -len(leases))
            self.stage_progressed(stage)
            stage.job.pool.policy.work_done(stage.job, self._state.at)
            if back:
                waiting_changed(stage, back, self._state.at)

    def tasks_finished(self, event: ev.TasksFinished) -> None:
        """Attempts have succeeded."""
        live = self._state.leases
        if len(event.leases) == 1:
            self._stage_finished((live[event.leases[0]],), event.runtimes, event.at)
            return
        leases = [live[lease_id] for lease_id in event.leases]
        begin = 0
        for end in range(1, len(leases) + 1):
            if end == len(leases) or leases[end].stage is not leases[begin].stage:
                self._stage_finished(leases[begin:end], event.runtimes[begin:end], event.at)
                begin = end

    def _stage_finished(self, leases: Sequence[Lease], runtimes: Sequence[Any], at: Any) -> None:
        """Attempts of one stage have succeeded."""
        stage = leases[0].stage
        job = stage.job
        job.pool.policy.advance(at)
        if job.started_at is None:
            self._has_begun(job, runtimes[0])
        for place, lease in enumerate(leases):
            if lease.started_at == lease.granted_at:
                self._measure_overhead(lease, runtimes[place])
        job.estimated_done += self._remove_leases(leases, sum(runtimes, self._zero))
        stage.done += len(leases)
        if stage.live is not None:
            self._rivals_finished(stage, leases)
        elif stage.attempts is not None:
            for lease in leases:
                stage.attempts.pop(lease.task, None)
                if stage.unbegun is not None:
                    stage.unbegun.pop(lease.task, None)
        running_changed(stage, -len(leases))
        job.pool.policy.work_done(job, at)
        self.stage_progressed(stage)

    def _rivals_finished(self, stage: Stage, leases: Sequence[Lease]) -> None:
        """Attempts have succeeded, beside which others of their tasks may still run."""
        assert stage.live is not None, "kept where an engine places the tasks"
        assert stage.won is not None, "made together with it"
        for lease in leases:
            if lease.attempt > 1:
                self._set_attempts(stage, lease)
            if stage.live[lease.task]:
                stage.won.add(lease.task)
            else:
                del stage.live[lease.task]

    def tasks_ran(self, event: ev.TasksRan) -> None:
        """Attempts were placed and have succeeded, in one step: none of them is seen running."""
        job = self._state.jobs_by_number[event.job]
        stage = job.stages[event.stage]
        job.pool.policy.advance(event.at)
        if job.started_at is None:
            self._has_begun(job, event.runtimes[0])
        runtime = estimate = self._zero
        for task, seconds in zip(event.tasks, event.runtimes, strict=True):
            stage.claim(task)
            runtime += seconds
            estimate += stage.task_work(task)
        count = len(event.tasks)
        work = runtime * stage.slots_per_task
        job.measured += work
        stage.measured += work
        job.user.service_ended += work
        job.estimated_done += estimate
        stage.done += count
        # For what does run beside them the charge is used up sooner.
        self.watch_overrun(job)
        waiting_changed(stage, -count, self._state.at)
        job.pool.policy.work_done(job, self._state.at)
        self.stage_progressed(stage)

    def stage_progressed(self, stage: Stage) -> None:
        """Let the stage be over if nothing of it is to be waited for any more."""
        done = stage.done == stage.task_count
        if stage.over or not (done or (stage.dropped_work is not None and not stage.running)):
            return
        stage.over = True
        job = stage.job
        job.stages_left -= 1
        if done:
            self._state.learn_stage(stage)
        for index in stage.dependents or ():
            dependent = job.stages[index]
            dependent.waits_for -= 1
            if not dependent.waits_for:
                make_ready(dependent, self._state.at)

    def task_failed(self, event: ev.TaskFailed) -> None:
        """An attempt has failed."""
        lease = self._state.leases[event.lease]
        stage = lease.stage
        stage.job.pool.policy.advance(event.at)
        if stage.job.started_at is None:
            self._has_begun(stage.job, event.runtime)
        self._remove_lease(lease, event.runtime)
        stage.job.wasted += event.runtime * lease.slots
        stage.job.failed_attempts += 1
        stage.job.cause = event.message
        self._set_attempts(stage, lease)
        if not stage.job.engine_id:
            # A second report on it is told that it is stale.
            self._void(lease)
            if event.timed_out:
                lease.worker.revoked.append(lease.lease_id)
        running_changed(stage, -1)
        stage.job.pool.policy.work_done(stage.job, self._state.at)
        if not self._count_out(lease):
            self.stage_progressed(stage)
            return
        place = lease.task if lease.place < 0 else lease.place
        if event.retry_at is None or event.retry_at <= event.at:
            stage.give_back(place)
            waiting_changed(stage, 1, self._state.at)
            return
        if stage.backing_off is None:
            stage.backing_off = {}
        stage.backing_off[lease.task] = (event.retry_at, place)
        self._state.timers.set(event.retry_at, TimerKind.RETRY, (stage, lease.task))

    def tasks_ready(self, event: ev.TasksReady) -> None:
        """Backoffs are over."""
        job = self._state.jobs_by_number[event.job]
        job.pool.policy.advance(event.at)
        for index, task in event.tasks:
            stage = job.stages[index]
            assert stage.backing_off is not None, "only a task in backoff becomes ready"
            _, place = stage.backing_off.pop(task)
            stage.give_back(place)
            waiting_changed(stage, 1, self._state.at)

    def attempt_superseded(self, event: ev.AttemptSuperseded) -> None:
        """A rival of an attempt that was first has ended."""
        lease = self._state.leases[event.lease]
        lease.stage.job.pool.policy.advance(event.at)
        self._remove_lease(lease, event.runtime)
        lease.stage.job.wasted += event.runtime * lease.slots
        self._count_out(lease)
        if lease.attempt > 1:
            self._set_attempts(lease.stage, lease)
        running_changed(lease.stage, -1)
        self.stage_progressed(lease.stage)

    # -- ends of attempts -----------------------------------------------------------------------

    def _has_begun(self, job: Job, runtime: Any) -> None:
        """A result of a job that was not seen running: its worker has another order, say."""
        job.started_at = max(self._state.at - runtime, job.submitted_at)
        step(job, _RUNNING)

    def _ran(self, lease: Lease) -> Any:
        """Seconds that an attempt has run."""
        return self._zero if lease.started_at is None else self._state.at - lease.started_at

    def _remove_lease(self, lease: Lease, runtime: Any) -> None:
        """The attempt is over; its job pays for ``runtime`` seconds of its slots."""
        self._remove_leases((lease,), runtime)

    def _remove_leases(self, leases: Sequence[Lease], runtime: Any) -> Any:
        """Attempts of one stage at one worker are over; they took ``runtime`` seconds together.

        Gives the estimated work of their tasks, slot-seconds.
        """
        stage, worker = leases[0].stage, leases[0].worker
        job = stage.job
        user = job.user
        slots = stage.slots_per_task
        submitted_at = job.submitted_at
        live = self._state.leases
        assert stage.leases is not None, "a live lease is noted at its stage"
        started = 0
        # Since the job was submitted, summed over the attempts.
        started_sum = estimate = estimate_started = self._zero
        for lease in leases:
            lease_id, started_at = lease.lease_id, lease.started_at
            estimate += lease.estimate
            del live[lease_id]
            del worker.leases[lease_id]
            del stage.leases[lease_id]
            if started_at is None:
                del worker.queued[lease_id]
            else:
                started += slots
                started_sum += started_at - submitted_at
                estimate_started += lease.estimate
            if stage.placed is not None and stage.live is not None:
                stage.placed.pop((lease.task, lease.attempt), None)
                stage.live[lease.task] -= 1
        if not stage.leases:
            stage.leases = None
        worker.leased_slots -= slots * len(leases)
        if started:
            worker.started_slots -= started
            # Exact zeros keep rounding from piling up over a long life.
            job.started_slots = left = job.started_slots - started
            if left:
                job.started_sum -= slots * started_sum
                job.estimated_started -= estimate_started
            else:
                job.started_sum = job.estimated_started = self._zero
            user.started_slots = left = user.started_slots - started
            if left:
                user.started_sum -= slots * started_sum + started * (submitted_at - user.pool.epoch)
            else:
                user.started_sum = self._zero
        work = runtime * slots
        job.measured += work
        stage.measured += work
        user.service_ended += work
        if worker.queued:
            self._begin_queued(worker)
        return estimate

    def _begin_queued(self, worker: Worker) -> None:
        """Let what waits in the worker's queue begin, as far as its slots go."""
        while worker.queued:
            lease_id, lease = next(iter(worker.queued.items()))
            if worker.started_slots + lease.slots > worker.slots:
                return
            del worker.queued[lease_id]
            self._start((lease,), self._state.at)
            self.watch_overrun(lease.stage.job)

    @staticmethod
    def _count_out(lease: Lease) -> bool:
        """An attempt has ended without a result; whether its task is to be done again."""
        stage, task = lease.stage, lease.task
        if stage.live is None or stage.won is None:
            return True
        if stage.live[task]:
            return False
        del stage.live[task]
        if task in stage.won:
            stage.won.discard(task)
            return False
        if stage.dropped_work is not None:
            stage.dropped_work += lease.estimate
            stage.job.dropped_work += lease.estimate
            return False
        return True

    @staticmethod
    def _set_attempts(stage: Stage, lease: Lease) -> None:
        """Note the number of an attempt that has ended: no later one has a lower number."""
        if stage.attempts is None:
            stage.attempts = {}
        if lease.attempt > stage.attempts.get(lease.task, 0):
            stage.attempts[lease.task] = lease.attempt

    def _void(self, lease: Lease) -> None:
        """Remember a lease that ended without a result, for whoever reports on it later."""
        job = lease.stage.job
        if job.void_leases is None:
            job.void_leases = {}
        job.void_leases[lease.lease_id] = (lease.stage.index, lease.task)
        self._state.void_leases[lease.lease_id] = job

    def void_leases_of(self, job: Job) -> None:
        """Revoke what runs of a job; its worker learns of it at its next renewal or report.

        O(stages + what runs of it).
        """
        revoked = [lease for stage in job.stages for lease in (stage.leases or {}).values()]
        for lease in sorted(revoked, key=lambda lease: lease.lease_id):
            self._remove_lease(lease, self._ran(lease))
            if lease.expires_at is not None:
                # An engine names its attempts by itself, and learns of the end at its next report.
                self._void(lease)
                lease.worker.revoked.append(lease.lease_id)
            running_changed(lease.stage, -1)

    def _measure_overhead(self, lease: Lease, runtime: Any) -> None:
        """Follow the median of (grant to report) - runtime over tasks that started when granted."""
        pool = lease.worker.pool
        overhead = self._state.at - lease.granted_at - runtime
        known = pool.overhead
        step = known * OVERHEAD_STEP
        if step < OVERHEAD_MIN_STEP:
            step = OVERHEAD_MIN_STEP
        if overhead > known:
            most = known + step
            pool.overhead = most if most < overhead else overhead
        else:
            pool.overhead = max(overhead, known - step, self._zero)

    # -- from a snapshot ------------------------------------------------------------------------

    def restore_lease(self, lease: Lease, started_at: Any) -> None:
        """Put back a live lease; everything but what running attempts add up to is there."""
        stage, worker = lease.stage, lease.worker
        self._note_leases((lease,))
        if stage.placed is not None and stage.live is not None:
            stage.placed[lease.task, lease.attempt] = lease
            stage.live[lease.task] = stage.live.get(lease.task, 0) + 1
        if started_at is None:
            worker.queued[lease.lease_id] = lease
        else:
            self._start((lease,), started_at)
        if lease.expires_at is not None:
            self._state.timers.set(lease.expires_at, TimerKind.LEASES, (lease.lease_id, 1))
        running_changed(stage, 1)
