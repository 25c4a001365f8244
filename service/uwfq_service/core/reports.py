"""What became of the attempts: starts and results come in, estimates meet reality.

Each result counts once.  One that comes late, twice, or from somebody else is told so and changes
nothing: *superseded* if its task is done anyway, *stale* if its lease is void, *unknown* if there
never was such a lease.

After results, what is known of a job is settled: a job whose last task is done ends, and its charge
becomes the measured work; one that turns out to cost something else is re-estimated (only by more
than a threshold, so that the order does not churn).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uwfq_service.core import events as ev
from uwfq_service.core import validation
from uwfq_service.core.commands import TaskFailure
from uwfq_service.core.estimation import GUESSES, MAX_WORK, Source
from uwfq_service.core.model import JobState
from uwfq_service.core.replies import Ack, AckStatus, Reply, TaskDoneReply
from uwfq_service.core.report_batches import Run, Successes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from uwfq_service.core.commands import TaskDone, TaskRef, TaskResult, TaskStart
    from uwfq_service.core.decider import Decider
    from uwfq_service.core.model import Job, Lease, Worker
    from uwfq_service.core.stage import Stage

#: Looking up a member of an enum costs as much as two calls under Python 3.11.
_ACCEPTED: Final = AckStatus.ACCEPTED
_SUCCEEDED: Final = JobState.SUCCEEDED
#: What an estimate of a stage rests on when nothing is known of it at all.
_NOTHING: Final = frozenset({Source.PRIOR})
#: A worker's clock may count this much more than ours, seconds.
CLOCK_TOLERANCE: Final = 1e-6


class Reports:
    """Decides about starts, results and ends of jobs."""

    def __init__(self, decider: Decider, jitter: Callable[[], float]) -> None:
        self._decider = decider
        self._state = decider.state
        self._settings = decider.state.settings
        self._jitter = jitter

    # -- results --------------------------------------------------------------------------------

    def task_done(self, command: TaskDone, now: Any) -> Reply:
        """Decide a report."""
        validation.task_done(command, self._settings.limits)
        for worker in self._decider.workers(command.worker_id):
            self._decider.touch(worker, now)
        return TaskDoneReply(acks=self.results(command.worker_id, command.results, now))

    def results(self, worker: str, results: Sequence[TaskResult], now: Any) -> tuple[Ack, ...]:
        """Decide results of one worker, in order; one answer each."""
        batch = Successes()
        run: Run | None = None
        acks = []
        taken: set[int] = set()
        for result in results:
            ref = result.task
            if not ref.lease_id:
                run = self._run_of(run, worker, ref, now)
                if run is not None and self._joins(run, result):
                    acks.append(Ack(lease_id=0, status=_ACCEPTED))
                    continue
            if run is not None:
                self._end_run(run, now)  # What follows may depend on it.
                run = None
            lease, status = self._attempt(worker, ref, result.outcome.runtime, now)
            if lease is not None:
                if lease.lease_id in taken:
                    status = AckStatus.SUPERSEDED
                else:
                    taken.add(lease.lease_id)
                    status = self._result(lease, result, batch, now)
            acks.append(Ack(lease_id=ref.lease_id, status=status))
        if batch.leases:
            self._emit(batch, now)
        self._end_run(run, now)
        return tuple(acks)

    # -- successes in a row ---------------------------------------------------------------------

    def _run_of(self, run: Run | None, engine: str, ref: TaskRef, now: Any) -> Run | None:
        """The run of the stage that is meant; that of another stage happens first."""
        names = (ref.job_id, ref.stage)
        if run is not None and run.names == names:
            return run
        self._end_run(run, now)
        if ref.attempt != 1:
            return None
        stage, _ = self._engine_stage(engine, ref)
        return None if stage is None else Run(stage, names)

    def _joins(self, run: Run, result: TaskResult) -> bool:
        """Take a result into the run, if it can be decided together with the others."""
        ref = result.task
        if (
            ref.attempt != 1
            or isinstance(result.outcome, TaskFailure)
            or not run.takes(ref.task_index)
        ):
            return False
        run.tasks[ref.task_index] = None
        run.runtimes.append(self._state.number(result.outcome.runtime))
        run.outcomes.append(result.outcome)
        return True

    def _end_run(self, run: Run | None, now: Any) -> None:
        """Let happen what is in a run; the job's charge is corrected once for all of it."""
        if run is not None and run.tasks:
            self._decider.emit(run.event(now))
            self.settle_progress(run.stage.job, now)

    def _result(self, lease: Lease, result: TaskResult, batch: Successes, now: Any) -> AckStatus:
        runtime = self._state.number(result.outcome.runtime)
        if lease.expires_at is not None and runtime > now - lease.granted_at + CLOCK_TOLERANCE:
            # A leased attempt ran no longer than has passed since its grant.
            runtime = now - lease.granted_at
        won = lease.stage.won
        if won is not None and lease.task in won:
            self._decider.emit(ev.AttemptSuperseded(at=now, lease=lease.lease_id, runtime=runtime))
            if not lease.stage.job.stages_left:
                # Of a stage that was dropped it was the last.
                self.settle_progress(lease.stage.job, now)
            return AckStatus.SUPERSEDED
        if isinstance(result.outcome, TaskFailure):
            # A failure may end the job and void leases that later results name.
            self._flush(batch, now)
            self._failure(lease, runtime, result.outcome, now)
        else:
            batch.add(lease, runtime, result.outcome)
            if won is not None:
                # A rival attempt's result may stand in the same report.
                self._flush(batch, now)
        return _ACCEPTED

    def _flush(self, batch: Successes, now: Any) -> None:
        """Let happen what has come so far, ahead of what depends on it."""
        if batch.leases:
            self._emit(batch, now)
            batch.__init__()  # type: ignore[misc]

    def _emit(self, batch: Successes, now: Any) -> None:
        self._decider.emit(batch.event(now))
        for job in batch.jobs.values():
            self.settle_progress(job, now)

    # -- which attempt is meant -----------------------------------------------------------------

    def _attempt(
        self, worker: str, ref: TaskRef, runtime: float, now: Any, *, starting: bool = False
    ) -> tuple[Lease | None, AckStatus]:
        """The live attempt that a report names, or why there is none.

        A start may name its lease alone; a result names the attempt, too.
        """
        if not ref.lease_id:
            return self._placed_attempt(worker, ref, runtime, now)
        lease = self._state.leases.get(ref.lease_id)
        if lease is None:
            return None, self._why_not_live(ref.lease_id)
        if lease.worker.name != worker:
            return None, AckStatus.UNKNOWN
        if lease.attempt != ref.attempt and (ref.attempt or not starting):
            return None, AckStatus.STALE
        return lease, _ACCEPTED

    def _why_not_live(self, lease_id: int) -> AckStatus:
        job = self._state.void_leases.get(lease_id)
        if job is not None:
            assert job.void_leases is not None, "the job remembers its void leases"
            index, task = job.void_leases[lease_id]
            stage = job.stages[index]
            undone = stage.attempts is not None and task in stage.attempts
            failed = job.ended and job.state is not JobState.SUCCEEDED
            return AckStatus.STALE if undone or failed else AckStatus.SUPERSEDED
        granted = self._state.first_lease <= lease_id < self._state.next_lease
        return AckStatus.SUPERSEDED if granted else AckStatus.UNKNOWN

    def _placed_attempt(
        self, engine: str, ref: TaskRef, running: float, now: Any
    ) -> tuple[Lease | None, AckStatus]:
        """The attempt that an engine placed itself; one that it did not announce starts now."""
        stage, status = self._engine_stage(engine, ref)
        if stage is None:
            return None, status
        lease = (stage.placed or {}).get((ref.task_index, ref.attempt))
        if lease is not None:
            return lease, AckStatus.ACCEPTED
        if self._is_settled(stage, ref.task_index):
            late = stage.dropped_work is not None
            return None, AckStatus.STALE if late else AckStatus.SUPERSEDED
        if stage.attempts and stage.attempts.get(ref.task_index, 0) >= ref.attempt:
            return None, AckStatus.STALE
        return self._place(stage, engine, ref, running, now), AckStatus.ACCEPTED

    @staticmethod
    def _is_settled(stage: Stage, task: int) -> bool:
        """Whether a task is done, or was dropped before it began."""
        if stage.live and stage.live.get(task):
            assert stage.won is not None, "made together with the count of live attempts"
            return task in stage.won
        return not stage.is_waiting(task)

    def _engine_stage(self, engine: str, ref: TaskRef) -> tuple[Stage | None, AckStatus]:
        job = self._state.jobs.get(ref.job_id)
        if job is None or job.engine_id != engine or engine not in job.pool.workers:
            return None, AckStatus.UNKNOWN
        stage = job.stage_named(ref.stage)
        if stage is None or not 0 <= ref.task_index < stage.task_count:
            return None, AckStatus.UNKNOWN
        if job.ended or not stage.ready:
            return None, AckStatus.STALE
        return stage, AckStatus.ACCEPTED

    def _place(self, stage: Stage, engine: str, ref: TaskRef, running: float, now: Any) -> Lease:
        lease_id = self._state.next_lease
        started_at = max(now - self._state.number(running), stage.job.submitted_at)
        self._decider.emit(
            ev.TaskPlaced(
                at=now,
                job=stage.job.number,
                stage=stage.index,
                task=ref.task_index,
                attempt=ref.attempt,
                engine=engine,
                lease_id=lease_id,
                started_at=started_at,
            )
        )
        return self._state.leases[lease_id]

    # -- starts ---------------------------------------------------------------------------------

    def starts(self, worker: str, starts: Sequence[TaskStart], now: Any) -> tuple[Ack, ...]:
        """Decide which attempts have begun to run; one answer each."""
        #: By lease, each once.
        started_at: dict[int, Any] = {}
        acks = []
        for start in starts:
            ref = start.task
            if not ref.lease_id:
                status = self._placed_start(worker, start, now)
            else:
                lease, status = self._attempt(worker, ref, start.running, now, starting=True)
                if lease is not None and lease.started_at is None:
                    running = self._state.number(start.running)
                    started_at.setdefault(lease.lease_id, max(now - running, lease.granted_at))
            acks.append(Ack(lease_id=ref.lease_id, status=status))
        if started_at:
            self._decider.emit(
                ev.TasksStarted(
                    at=now, leases=tuple(started_at), started_at=tuple(started_at.values())
                )
            )
        return tuple(acks)

    def _placed_start(self, engine: str, start: TaskStart, now: Any) -> AckStatus:
        ref = start.task
        stage, status = self._engine_stage(engine, ref)
        if stage is None:
            return status
        if (ref.task_index, ref.attempt) in (stage.placed or {}):
            return AckStatus.ACCEPTED
        ended = stage.attempts.get(ref.task_index, 0) if stage.attempts else 0
        if not ended and stage.dropped_work is None and self._is_settled(stage, ref.task_index):
            # Of a task that is done the first attempt is not noted.
            ended = 1
        if ended >= ref.attempt:
            return AckStatus.STALE
        self._place(stage, engine, ref, start.running, now)
        return AckStatus.ACCEPTED

    # -- failures -------------------------------------------------------------------------------

    def _failure(self, lease: Lease, runtime: Any, failure: TaskFailure, now: Any) -> None:
        self.fail_attempt(
            lease, runtime, failure.message, now, retryable=failure.retryable, timed_out=False
        )

    def fail_attempt(
        self,
        lease: Lease,
        runtime: Any,
        message: str,
        now: Any,
        *,
        retryable: bool,
        timed_out: bool,
    ) -> None:
        """An attempt failed: another follows after a backoff, or the job ends.

        An engine that places tasks itself retries by itself, and ends its jobs by itself.
        """
        job, stage = lease.stage.job, lease.stage
        engine = bool(job.engine_id)
        begun = stage.begun(lease.task, lease.attempt)
        last = not engine and (not retryable or begun >= stage.spec.max_attempts)
        message = validation.shortened(message, self._settings.limits.max_message_bytes)
        retry_at = None
        if not last and not engine:
            retry_at = now + self._backoff(begun)
        where = f"stage {stage.name!r} task {lease.task} attempt {lease.attempt}"
        worker = lease.worker.name
        self._decider.emit(
            ev.TaskFailed(
                at=now,
                lease=lease.lease_id,
                runtime=runtime,
                message=message,
                retry_at=retry_at,
                timed_out=timed_out,
            )
        )
        if last:
            why = f"{where} failed on worker {worker!r}: {message}"
            if retryable:
                why += f" (attempt {begun} of {stage.spec.max_attempts})"
            self.end_job(job, JobState.FAILED, why, now)
        else:
            self.settle_progress(job, now)

    def _backoff(self, failures: int) -> float:
        settings = self._settings
        backoff = settings.retry_backoff * 2.0 ** min(failures - 1, 60)
        return min(backoff, settings.retry_backoff_max) * self._jitter()

    def return_leases(self, leases: Sequence[Lease], now: Any) -> None:
        """A worker leaves: what has not begun to run goes back, and was no attempt."""
        if leases:
            ids = tuple(lease.lease_id for lease in leases)
            self._decider.emit(ev.LeasesExpired(at=now, leases=ids, unstarted=True))

    def lose_leases(self, leases: Sequence[Lease], now: Any) -> None:
        """Leases expired, or their worker is gone: the tasks go back, or their job fails.

        One that was queued at its worker keeps its number, as the worker may yet run it, but does
        not use up an attempt.
        """
        if not leases:
            return
        ordered = sorted(leases, key=lambda lease: lease.lease_id)
        # Before they end, which lets others begin.
        began = [lease for lease in ordered if lease.started_at is not None]
        self._decider.emit(
            ev.LeasesExpired(at=now, leases=tuple(lease.lease_id for lease in ordered))
        )
        for lease in began:
            job, stage = lease.stage.job, lease.stage
            begun = stage.begun(lease.task, lease.attempt)
            if not job.engine_id and begun >= stage.spec.max_attempts and not job.ended:
                why = (
                    f"stage {stage.name!r} task {lease.task}: the lease of attempt "
                    f"{begun} of {stage.spec.max_attempts} expired on worker "
                    f"{lease.worker.name!r}"
                )
                self.end_job(job, JobState.FAILED, why, now)
        for job in {lease.stage.job.number: lease.stage.job for lease in ordered}.values():
            self.settle_progress(job, now)

    # -- the account of a job -------------------------------------------------------------------

    def settle_progress(self, job: Job, now: Any) -> None:
        """End a job that is complete; correct the charge of one that costs something else."""
        if job.finished_at is not None:
            return
        if not job.stages_left and not job.open:
            self.end_job(job, _SUCCEEDED, "", now)
        elif job.pool.policy.corrects_estimates:
            work = self._reestimate(job, now)
            if abs(work - job.work) > self._settings.correction_threshold * job.work:
                self._decider.emit(ev.JobReestimated(at=now, job=job.number, work=work))

    @staticmethod
    def _reestimate(job: Job, now: Any) -> Any:
        """L': measured + what remains by estimate, scaled by how the done tasks measured up.

        Never by task count: the largest tasks run first.

        An open job is charged for the whole that it was expected to be until what is known of its
        stages is more.
        """
        total, started = job.estimated_total, job.estimated_started
        if job.floor_work:
            vague, vague_started = _vague_work(job)
            total -= vague
            started = max(0, started - vague_started)
        ratio = job.measured_ratio
        waiting = total - job.estimated_done - started
        if waiting < 0:
            waiting = 0
        running = job.running_work(now) if job.started_slots else 0
        # Tasks that were declared far too small say nothing of the others, and an account that a
        # number beyond all measure has passed through is worth nothing.
        begun, rest = started * ratio, waiting * ratio
        if begun > MAX_WORK:
            begun = MAX_WORK
        if rest > MAX_WORK:
            rest = MAX_WORK
        if running < begun:
            running = begun
        work = job.measured + running + rest
        return job.floor_work if job.floor_work > work else work

    def end_job(self, job: Job, state: JobState, cause: str, now: Any) -> None:
        """The job is over; its account is settled at the measured work."""
        self._decider.emit(
            ev.JobEnded(
                at=now,
                job=job.number,
                # Its plain text; ``value`` takes three times as long.
                state=str(state),
                cause=cause,
                measured=job.measured + job.running_work(now),
            )
        )
        if self._state.recognised:
            self._charge_recognised(now)
        self._forget_surplus(now)

    def _charge_recognised(self, now: Any) -> None:
        """A job has ended, and others are guesses no more: charge those for what is known now.

        Once per job, at most; and so many at most at once.
        """
        for job in self._state.recognised:
            if not job.pool.policy.corrects_estimates:
                continue
            estimator = self._state.estimators[job.pool.name]
            known = estimator.predict(job.signature, job.user.name, job.input_bytes)
            work = max(self._state.number(known.work), job.measured + job.running_work(now))
            if abs(work - job.work) > self._settings.correction_threshold * job.work:
                self._decider.emit(ev.JobReestimated(at=now, job=job.number, work=work, whole=True))

    def _forget_surplus(self, now: Any) -> None:
        keep = self._settings.retention_jobs
        surplus = len(self._state.finished) - keep
        # A hundredth at a time, so that not every end of a job forgets another.
        if surplus > keep // 100:
            self._decider.emit(ev.JobsForgotten(at=now, count=surplus))

    def cancel_engine_jobs(self, engine: Worker, why: str, now: Any) -> None:
        """An engine is gone: nobody will finish its jobs."""
        orphans = self._state.engine_jobs.get((engine.pool.name, engine.name), {})
        for job in list(orphans.values()):
            self.end_job(job, JobState.CANCELLED, f"engine {engine.name!r} {why}", now)


def _vague_work(job: Job) -> tuple[Any, Any]:
    """Estimates of stages of which less is known than of their job, and nothing measured.

    Of all their tasks, and of those that run.  Guesses at parts of a job must not outweigh what
    history says of the whole.  O(stages + attempts that run).
    """
    vague = _NOTHING if job.guessed else GUESSES
    whole: Any = 0
    started: Any = 0
    for stage in job.stages:
        if stage.done or stage.over or stage.spec.source not in vague:
            continue
        whole += stage.work - (stage.dropped_work or 0)
        if stage.placed is not None:
            started += sum(lease.estimate for lease in stage.placed.values())
        else:
            started += stage.work * stage.running / stage.task_count
    return whole, started
