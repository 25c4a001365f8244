"""The scheduler: commands and the time in, events and a reply out.

    apply(command, now):  check -> decide -> emit event(s) -> evolve the state -> reply

A command is checked completely before the first event, so a refused one leaves no trace.  Every
change of the state is an event; a command that decides nothing emits none.  The scheduler never
looks at a clock: what falls due by itself happens in ``Tick``, which the caller sends at
``next_wakeup()``.

The decisions live beside this file: ``admission.py`` (what a job is), ``dispatch.py`` (who gets
what), ``reports.py`` (what became of it), ``upkeep.py`` (what time brings).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from uwfq_service.core import commands as cmd
from uwfq_service.core import events as ev
from uwfq_service.core import image, validation
from uwfq_service.core.admission import Admission, fingerprint, job_fingerprint
from uwfq_service.core.decider import Decider
from uwfq_service.core.dispatch import Dispatch
from uwfq_service.core.errors import (
    JobConflict,
    JobNotOpen,
    NotFound,
    TasksAreLeased,
    UnknownJob,
)
from uwfq_service.core.model import WEIGHT_SCALE, Job, JobState, scaled_weight
from uwfq_service.core.policy.base import first_within
from uwfq_service.core.ranking import order_version, ranking_for
from uwfq_service.core.replies import Done, JobReply, Ranking, Reply, UserReply
from uwfq_service.core.reports import Reports
from uwfq_service.core.room import Room
from uwfq_service.core.settings import Settings
from uwfq_service.core.stage import Stage
from uwfq_service.core.state import State
from uwfq_service.core.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from uwfq_service.core.model import Pool


#: Of the reason for a cancellation so much is kept.
MAX_REASON_BYTES: Final = 1024


class Outcome(msgspec.Struct):
    """What a command led to."""

    events: list[ev.AnyEvent]
    reply: Reply


class Scheduler:
    """All pools of a service.

    ``number`` is ``float``, or ``Fraction`` for exact tests.  ``jitter`` gives the factor that a
    retry's backoff is stretched by.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        number: Callable[[Any], Any] = float,
        jitter: Callable[[], float] = lambda: 1.0,
        state: State | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.state = state or State(self.settings, number)
        self._decider = Decider(self.state)
        self._room = Room(self.state)
        self._reports = Reports(self._decider, jitter)
        self._dispatch = Dispatch(self._decider, self._reports)
        self._upkeep = Upkeep(self._decider, self._reports, self._dispatch)
        self._commands: dict[type, Callable[[Any, Any], Reply]] = {
            cmd.SubmitJob: self._submit_job,
            cmd.AddStages: self._add_stages,
            cmd.DropStages: self._drop_stages,
            cmd.CloseJob: self._close_job,
            cmd.CancelJob: self._cancel_job,
            cmd.NextTask: self._dispatch.next_task,
            cmd.TaskDone: self._reports.task_done,
            cmd.RenewLeases: self._dispatch.renew_leases,
            cmd.SetUser: self._set_user,
            cmd.ConfigurePool: self._configure_pool,
            cmd.Tick: self._tick,
        }

    # -- commands in, events out ----------------------------------------------------------------

    def apply(self, command: cmd.Command, now: Any) -> Outcome:
        """Decide ``command`` at the instant ``now``, which never falls.

        Raises ``SchedulerError`` before anything changes.
        """
        now = self.state.number(now)
        assert now >= self.state.at, "the clock never runs back"
        reply = self._commands[type(command)](command, now)
        return Outcome(self._decider.take_events(), reply)

    def replay(self, event: ev.AnyEvent) -> None:
        """Let an event that was decided before have happened again."""
        self.state.evolve(event)

    def recover(self, now: Any, since: Any | None = None) -> Outcome:
        """After a restart: leases, and the silence of workers and engines, begin anew.

        The time until ``now`` from ``since``, or from the last event or the last user that somebody
        saw leave if that came later, is left out: of virtual time, and of what runs.
        """
        if since is not None:
            # Looks are in no journal, so the event must say how far they have brought virtual time.
            settled = (pool.policy.anchored_at for pool in self.state.pools.values())
            since = min(max(since, self.state.at, *settled), now)
        lease_end = self.state.number(now) + self.settings.lease_seconds
        if self.state.pools:
            self._decider.emit(ev.Recovered(at=now, expires_at=lease_end, since=since))
        for pool in self.state.pools.values():
            # Who goes first is found anew of all users: rather now than while a poll waits.
            pool.policy.first()
        return Outcome(self._decider.take_events(), Done())

    def next_wakeup(self) -> Any | None:
        """When ``Tick`` is due; ``None``: nothing will happen by itself.

        It may be early (a lease was renewed or finished meanwhile): then ``Tick`` decides nothing.
        """
        return self.state.timers.next_at()

    def dump(self, now: Any | None = None) -> dict[str, Any]:
        """The state as plain values, for a snapshot.  O(everything).

        With ``now`` it is the image of a copy whose lazy virtual time was brought up to there, so
        that two schedulers that have lived through the same events give the same image, whatever
        was asked of them in between.
        """
        if now is not None:
            copy = Scheduler.load(self.dump(), self.settings, number=self.state.number)
            for pool in copy.state.pools.values():
                pool.policy.catch_up(self.state.number(now))
            return copy.dump()
        return image.dump(self.state)

    @classmethod
    def load(
        cls,
        dumped: dict[str, Any],
        settings: Settings | None = None,
        *,
        number: Callable[[Any], Any] = float,
        jitter: Callable[[], float] = lambda: 1.0,
    ) -> Scheduler:
        """The scheduler that ``dump`` was taken of."""
        settings = settings or Settings()
        state = image.load(dumped, settings, number)
        return cls(settings, number=number, jitter=jitter, state=state)

    # -- looking --------------------------------------------------------------------------------

    @property
    def pools(self) -> dict[str, Pool]:
        """The pools by name."""
        return self.state.pools

    def pool(self, name: str) -> Pool:
        """A pool; raises ``UnknownPool``."""
        if name not in self.state.pools:
            # As with a job's name.
            validation.name("pool", name, self.settings.limits.max_id_bytes)
        return self._decider.pool(name)

    def job(self, job_id: str) -> Job:
        """A job that is remembered; raises ``UnknownJob``."""
        job = self.state.jobs.get(job_id)
        if job is None:
            # A refusal repeats the name, and an answer has little room for one that is none.
            validation.name("job_id", job_id, self.settings.limits.max_id_bytes)
            raise UnknownJob(job_id)
        return job

    def jobs(self) -> Iterator[Job]:
        """All jobs that are remembered, newest first."""
        return iter(reversed(self.state.jobs.values()))

    def has_launchable(self, pool: str, slots: int | None = None) -> bool:
        """Whether a poll of this pool for ``slots`` slots might get a lease now.

        ``None``: for as many as anybody may have.  O(log n), amortised.
        """
        asked = self.state.pools[pool]
        if not asked.launchable_tasks:
            return False
        if slots is None:
            return asked.policy.first() is not None
        return first_within(asked.policy, slots) is not None

    def has_revoked(self, pool: str, worker: str) -> bool:
        """Whether the worker has void leases that its next poll will tell it of.  O(1)."""
        known = self.state.pools[pool].workers.get(worker)
        return known is not None and bool(known.revoked)

    def split_stage(self, question: cmd.SplitStage) -> ev.AdmittedStage:
        """How a stage of an open job would be cut now; nothing changes, nobody is told.

        Raises ``SchedulerError``.  O(units), with ranges also O(tasks x log(units)).
        """
        validation.split_stage(question, self.settings.limits)
        pool = self._decider.pool(question.pool)
        job = cmd.SubmitJob(user=question.user, signature=question.signature, open=True)
        calibration = self._calibration(pool, question.user)
        admission = self._admission(pool, question.user, job, calibration)
        return admission.advise(question.stage, ranges=question.ranges)

    def order_version(self, pool: str) -> int:
        """Rises whenever the order of the pool's launchable stages may have changed."""
        return order_version(self.state.pools[pool])

    def ranking(self, poll: cmd.NextTask) -> Ranking:
        """The ranking that a poll for one, which was decided before, asks for, as it is by now."""
        return ranking_for(self.state, poll)

    # -- jobs -----------------------------------------------------------------------------------

    def _submit_job(self, command: cmd.SubmitJob, now: Any) -> Reply:
        validation.submit_job(command, self.settings.limits)
        pool = self._decider.pool(command.pool)
        digest = job_fingerprint(command)
        known = self._submitted_before(command)
        if known is not None:
            if known.fingerprint != digest:
                raise JobConflict("job", known.job_id)
            return self._job_reply(known, known.stages, now, duplicate=True)
        idle_users = self._room.for_job(pool, command.user, now)
        if command.engine_id:
            self._decider.check_worker_room(pool, command.engine_id)
        calibration = self._calibration(pool, command.user)
        admission = self._admission(pool, command.user, command, calibration)
        alone = len(command.stages) == 1 and not command.open
        stages = admission.stages(
            command.stages, {}, declared_work=command.declared_work, alone=alone
        )
        number = self.state.next_job
        self._forget_users(pool, idle_users, now)
        if command.engine_id:
            self._decider.touch_engine(pool, command.engine_id, now)
        decided = ev.JobAdmitted(
            at=now,
            pool=pool.name,
            job=number,
            job_id=command.job_id or self._name_job(number),
            user=command.user,
            # One that names its job is told apart by that name alone.
            request_id="" if command.job_id else command.request_id,
            fingerprint=digest,
            work=admission.job_work(command, stages),
            stages=stages,
            calibration=calibration,
        )
        # In two steps: of more than fifteen names in a call Python makes a dictionary first, which
        # costs more than both of them.
        self._decider.emit(
            replace(
                decided,
                kind=command.kind,
                signature=command.signature,
                input_bytes=command.input_bytes,
                labels=command.labels,
                job_weight=command.job_weight,
                declared_work=command.declared_work,
                advisory_task_runtime=command.advisory_task_runtime,
                open=command.open,
                engine_id=command.engine_id,
            )
        )
        job = self.state.jobs_by_number[number]
        return self._job_reply(job, job.stages, now)

    def _submitted_before(self, command: cmd.SubmitJob) -> Job | None:
        if command.job_id:
            return self.state.jobs.get(command.job_id)
        if command.request_id:
            key = (command.pool, command.user, command.request_id)
            return self.state.jobs_by_request.get(key)
        return None

    def _name_job(self, number: int) -> str:
        name = f"job-{number}"
        while name in self.state.jobs:
            name += "x"
        return name

    def _calibration(self, pool: Pool, user: str) -> float:
        """What to multiply by what ``user`` declares, under a policy that corrects at all."""
        if not pool.policy.corrects_estimates:
            return 1.0
        return self.state.estimators[pool.name].calibration(user)

    def _admission(
        self, pool: Pool, user: str, job: cmd.SubmitJob | Job, calibration: float
    ) -> Admission:
        estimator = self.state.estimators[pool.name]
        return Admission(self.settings, estimator, self.state.number, pool, user, job, calibration)

    def _add_stages(self, command: cmd.AddStages, now: Any) -> Reply:
        limits = self.settings.limits
        validation.add_stages(command, limits)
        job = self.job(command.job_id)
        new = self._new_stages(job, command)
        if not (job.open or any(stage.spec.fingerprint for stage in job.stages)):
            raise JobNotOpen(job.job_id, "closed")
        if new and (job.ended or not job.open):
            raise JobNotOpen(job.job_id, job.state if job.ended else "closed")
        validation.size("stages", [*job.stages, *new], limits.max_stages_per_job)
        known = {stage.name: stage.index for stage in job.stages}
        admission = self._admission(job.pool, job.user.name, job, job.calibration)
        stages = admission.stages(tuple(new.values()), known, places=tuple(new))
        if not job.ended:
            self._decider.touch_engine(job.pool, job.engine_id, now)
        if stages:
            self._decider.emit(ev.StagesAdded(at=now, job=job.number, stages=stages))
        self._close(job, now, close=command.close)
        named = [stage for spec in command.stages if (stage := job.stage_named(spec.stage))]
        return self._job_reply(job, named, now, duplicate=not new)

    @staticmethod
    def _new_stages(job: Job, command: cmd.AddStages) -> dict[int, cmd.StageSpec]:
        """The stages that the job does not have, by their places in the command.

        Raises ``JobConflict`` for one that it has with other content.
        """
        new = {}
        for place, spec in enumerate(command.stages):
            stage = job.stage_named(spec.stage)
            if stage is None:
                new[place] = spec
            elif stage.spec.fingerprint and stage.spec.fingerprint != fingerprint(spec):
                raise JobConflict("stage", spec.stage)
        return new

    def _drop_stages(self, command: cmd.DropStages, now: Any) -> Reply:
        validation.drop_stages(command, self.settings.limits)
        job = self.job(command.job_id)
        if not job.engine_id:
            raise TasksAreLeased(job.job_id)
        named = []
        for name in command.stages:
            stage = job.stage_named(name)
            if stage is None:
                raise NotFound("stage", name, f"job {job.job_id!r} has no such stage")
            named.append(stage)
        # Once each, however often it is named.
        indices = {s.index for s in named if not s.over and s.dropped_work is None}
        if job.ended:
            return self._job_reply(job, named, now, duplicate=True)
        self._decider.touch_engine(job.pool, job.engine_id, now)
        if indices:
            stages = tuple(sorted(indices))
            self._decider.emit(ev.StagesDropped(at=now, job=job.number, stages=stages))
            self._reports.settle_progress(job, now)
        return self._job_reply(job, named, now, duplicate=not indices)

    def _close_job(self, command: cmd.CloseJob, now: Any) -> Reply:
        job = self.job(command.job_id)
        if command.finished and not job.engine_id:
            raise TasksAreLeased(job.job_id)
        if not job.ended:
            self._decider.touch_engine(job.pool, job.engine_id, now)
        self._close(job, now, close=True, finished=command.finished)
        return self._job_reply(job, (), now)

    def _close(self, job: Job, now: Any, *, close: bool, finished: bool = False) -> None:
        if job.ended:
            return
        if close and job.open:
            self._decider.emit(ev.JobClosed(at=now, job=job.number))
        if finished:
            self._reports.end_job(job, JobState.SUCCEEDED, "", now)
        else:
            self._reports.settle_progress(job, now)

    def _cancel_job(self, command: cmd.CancelJob, now: Any) -> Reply:
        job = self.job(command.job_id)
        if not job.ended:
            cause = validation.shortened(command.reason, MAX_REASON_BYTES)
            self._reports.end_job(job, JobState.CANCELLED, cause or "cancelled", now)
        return self._job_reply(job, (), now)

    def _job_reply(
        self, job: Job, stages: Sequence[Stage], now: Any, *, duplicate: bool = False
    ) -> JobReply:
        policy = job.pool.policy
        policy.advance(now)
        deadline = None if job.ended else policy.virtual_deadline(job)
        predicted = None
        if deadline is not None and (slots := job.pool.slots):
            ahead = deadline - policy.virtual_time(now)
            if ahead <= 0:
                ahead = 0
            predicted = ahead * policy.served_weight() / (WEIGHT_SCALE * slots)
        return JobReply(
            job=job,
            virtual_deadline=deadline,
            predicted_finish=predicted,
            work=job.work,
            stages=tuple(stages),
            duplicate=duplicate,
        )

    # -- operators ------------------------------------------------------------------------------

    def _set_user(self, command: cmd.SetUser, now: Any) -> Reply:
        validation.set_user(command, self.settings.limits)
        pool = self._decider.pool(command.pool)
        user = pool.users.get(command.user)
        idle_users = self._room.for_user(pool, command.user, now)
        event = ev.UserSet(
            at=now,
            pool=pool.name,
            user=command.user,
            weight=_or(command.weight, user.weight / WEIGHT_SCALE if user else 1.0),
            max_running_slots=_or(command.max_running_slots, user.max_running_slots if user else 0),
            max_waiting_jobs=_or(command.max_waiting_jobs, user.max_waiting_jobs if user else 0),
        )
        asked = (scaled_weight(event.weight), event.max_running_slots, event.max_waiting_jobs)
        if user is None or asked != (user.weight, user.max_running_slots, user.max_waiting_jobs):
            self._forget_users(pool, idle_users, now)
            self._decider.emit(event)
        return UserReply(user=pool.users[command.user])

    def _forget_users(self, pool: Pool, users: tuple[str, ...], now: Any) -> None:
        if users:
            self._decider.emit(ev.UsersForgotten(at=now, pool=pool.name, users=users))

    def _configure_pool(self, command: cmd.ConfigurePool, now: Any) -> Reply:
        validation.configure_pool(command, self.settings.limits)
        pool = self.state.pools.get(command.pool)
        asked = (command.policy, command.fixed_slots, command.advisory_task_runtime)
        if pool is None or asked != (
            pool.policy.name,
            pool.fixed_slots,
            pool.advisory_task_runtime,
        ):
            self._decider.emit(
                ev.PoolConfigured(
                    at=now,
                    pool=command.pool,
                    policy=command.policy,
                    fixed_slots=command.fixed_slots,
                    advisory_task_runtime=command.advisory_task_runtime,
                )
            )
        return Done()

    def _tick(self, _: cmd.Tick, now: Any) -> Reply:
        self._upkeep.tick(now)
        return Done()


def _or(value: Any | None, default: Any) -> Any:
    return default if value is None else value
