"""Who gets what: polls come in, leases go out.

A worker never holds more than its slots plus the prefetch that it announced, and never more than it
has asked for.  The most urgent stage goes first; a stage whose task does not fit is passed over,
and once that has lasted ``hold_after`` seconds one worker that could fit it is *held*: it gets
nothing else until enough of its slots have run free.

What does not fit must not make every poll slow.  If the most urgent stage needs more slots than the
worker has, or if an engine places its tasks, the worker is given what would be the most urgent one
if there were none of these; such an order is kept at hand (``Policy.first_within``).  And only so
many stages that could fit the worker later, or their users' caps, are passed over one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uwfq_service.core import events as ev
from uwfq_service.core import validation
from uwfq_service.core.errors import NoRanking
from uwfq_service.core.launchable import cap_room
from uwfq_service.core.model import JobState, insert_index
from uwfq_service.core.policy.base import first_within
from uwfq_service.core.ranking import ranking_for
from uwfq_service.core.replies import (
    LeaseStatus,
    NextTaskReply,
    Renewal,
    RenewReply,
    Reply,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from uwfq_service.core.commands import NextTask, RenewLeases
    from uwfq_service.core.decider import Decider
    from uwfq_service.core.model import Lease, Pool, User, Worker
    from uwfq_service.core.policy.base import Policy
    from uwfq_service.core.reports import Reports
    from uwfq_service.core.stage import Stage

#: So many stages that need more slots than are free are passed over one by one in a poll.
MAX_PASSED_OVER = 64
#: Behind so many, whoever has one that the cap has no room for is set aside: of the user's stages
#: only those are looked at from then on that the cap has room for.
MAX_PASSED_AT_CAP = 64
#: Stages that were passed over are looked through when there are so many more than last time.
PASSED_OVER_TO_KEEP = 1024
#: What a lease takes in an answer beside its texts and its payload, about.
BARE_LEASE_BYTES = 96


class Dispatch:
    """Decides about polls and renewals."""

    def __init__(self, decider: Decider, reports: Reports) -> None:
        self._decider = decider
        self._reports = reports
        self._state = decider.state
        self._settings = decider.state.settings
        #: ``Stage.key`` -> since when the stage has been passed over.  Soft: a restart counts anew.
        self._passed_over: dict[int, tuple[Any, Stage]] = {}
        self._passed_over_limit = PASSED_OVER_TO_KEEP
        #: ``Stage.key`` -> the worker that is held for it.
        self._holders: dict[int, Worker] = {}

    # -- polls ----------------------------------------------------------------------------------

    def next_task(self, command: NextTask, now: Any) -> Reply:
        """Decide a poll."""
        validation.next_task(command, self._settings.limits)
        pool = self._decider.pool(command.pool)
        if command.leaving:
            return self._take_leave(pool, command, now)
        if command.ranking and not pool.policy.has_deadlines:
            raise NoRanking(pool.name, pool.policy.name)
        worker = self._greet(pool, command, now)
        name = command.worker_id
        started = self._reports.starts(name, command.started, now) if command.started else ()
        done = self._reports.results(name, command.done, now) if command.done else ()
        if command.ranking:
            pool.policy.advance(now)
            return NextTaskReply(
                done_acks=done, started_acks=started, ranking=ranking_for(self._state, command)
            )
        leases: list[Lease] = []
        if command.poll_id and command.poll_id == worker.last_poll_id:
            live = (self._state.leases.get(lease_id) for lease_id in worker.last_poll_leases)
            leases = [lease for lease in live if lease is not None and lease.worker is worker]
        if not leases:
            # Or no more, if it took so long to ask again: that is no reason to get nothing.
            leases = self._grant(pool, worker, command, now)
        revoked: tuple[int, ...] = ()
        if worker.revoked:
            revoked, worker.revoked = tuple(worker.revoked), []
        return NextTaskReply(
            leases=tuple(leases),
            expires_in=tuple([lease.expires_at - now for lease in leases]),
            done_acks=done,
            started_acks=started,
            revoked=revoked,
        )

    def _greet(self, pool: Pool, command: NextTask, now: Any) -> Worker:
        """The worker that polls, noted with what it announces; refuses one worker too many."""
        worker = pool.workers.get(command.worker_id)
        if worker is None:
            self._decider.check_worker_room(pool, command.worker_id)
        # Once an engine always one, however it polls: it may have jobs that wait for it alone.
        engine = command.ranking or (worker is not None and worker.engine)
        if (
            worker is None
            or worker.slots != command.slots
            or worker.prefetch != command.prefetch
            or worker.engine != engine
        ):
            self._decider.emit(
                ev.WorkerJoined(
                    at=now,
                    pool=pool.name,
                    worker=command.worker_id,
                    slots=command.slots,
                    prefetch=command.prefetch,
                    engine=engine,
                )
            )
            worker = pool.workers[command.worker_id]
        self._decider.touch(worker, now, command.wait)
        return worker

    # -- workers that go ------------------------------------------------------------------------

    def _take_leave(self, pool: Pool, command: NextTask, now: Any) -> Reply:
        """A worker's last poll: what rides along counts, the rest goes back."""
        name = command.worker_id
        started = self._reports.starts(name, command.started, now)
        worker = pool.workers.get(name)
        if worker is not None:
            # Before its results: each would count the next lease of its queue as begun.
            reported = {result.task.lease_id for result in command.done}
            queued = [each for each in worker.queued.values() if each.lease_id not in reported]
            self._reports.return_leases(queued, now)
        done = self._reports.results(name, command.done, now)
        if worker is not None:
            self._forget(worker, "has left", ev.WorkerLeft, now)
        return NextTaskReply(done_acks=done, started_acks=started)

    def lose(self, worker: Worker, now: Any) -> None:
        """The worker has been silent for too long."""
        self._forget(worker, "has gone silent", ev.WorkerLost, now)

    def _forget(
        self, worker: Worker, why: str, gone: type[ev.WorkerLost | ev.WorkerLeft], now: Any
    ) -> None:
        """The worker is gone: an engine's jobs are cancelled, its leases go to others."""
        if worker.engine:
            self._reports.cancel_engine_jobs(worker, why, now)
        self._reports.lose_leases(list(worker.leases.values()), now)
        if worker.holds is not None:
            # Somebody else may be held.
            self._holders.pop(worker.holds.key, None)
            worker.holds = None
        self._decider.emit(gone(at=now, pool=worker.pool.name, worker=worker.name))

    # -- leases ---------------------------------------------------------------------------------

    def _grant(self, pool: Pool, worker: Worker, command: NextTask, now: Any) -> list[Lease]:
        """Lease the most urgent tasks that fit."""
        pool.policy.advance(now)
        slots = worker.slots + worker.prefetch - worker.leased_slots
        asked = command.free_slots + command.prefetch
        if slots > asked:
            slots = asked
        tasks = self._settings.limits.max_batch
        if command.max_tasks is not None:
            tasks = min(tasks, command.max_tasks)
        room = self._settings.limits.max_leased_bytes
        leases: list[Lease] = []
        if worker.holds is not None and not self._serve_hold(worker, leases, slots, command, now):
            return leases
        for lease in leases:
            slots -= lease.slots
            room -= _described_bytes(lease.stage)
        passed: list[Stage] = []
        aside: list[User] = []
        while slots > 0 and len(leases) < tasks and pool.launchable_tasks:
            most = _most_slots(worker, slots, passed) if passed else worker.slots
            if aside:
                stage = _first_beside(aside, pool.policy, most, slots)
            else:
                stage = first_within(pool.policy, most)
            if stage is None:
                break
            count = self._fitting_tasks(stage, slots, tasks - len(leases))
            if not count:
                self._pass_over(stage, worker, slots, now)
                passed.append(stage)
                _set_aside(aside, passed)
                if worker.holds is not None:
                    # From now on what runs free is kept.
                    break
                continue
            # A single lease always goes.
            if leases or slots > stage.slots_per_task:
                each = _described_bytes(stage)
                count = min(count, max(room // each, 0 if leases else 1))
                if not count:
                    break
                room -= count * each
            leases += self._lease(stage, worker, count, command.poll_id, now)
            slots -= count * stage.slots_per_task
        self._take_back(passed)
        return leases

    def _fitting_tasks(self, stage: Stage, slots: int, tasks: int) -> int:
        """How many tasks of ``stage`` may be leased together now."""
        job = stage.job
        needs = stage.slots_per_task
        if job.user.max_running_slots:
            slots = cap_room(job.user, slots)
        if slots < needs:
            return 0
        if slots == needs or job.guessed or not job.pool.policy.order_survives_launch:
            return 1
        return min(slots // needs, tasks, stage.waiting)

    def _lease(
        self, stage: Stage, worker: Worker, count: int, poll_id: int, now: Any
    ) -> list[Lease]:
        first = self._state.next_lease
        self._decider.emit(
            ev.TasksLeased(
                at=now,
                job=stage.job.number,
                stage=stage.index,
                worker=worker.name,
                lease_id=first,
                tasks=stage.next_tasks(count),
                expires_at=now + self._settings.lease_seconds,
                poll_id=poll_id,
            )
        )
        if self._passed_over:
            self._passed_over.pop(stage.key, None)
        leases = self._state.leases
        if count == 1:
            return [leases[first]]
        return [leases[lease_id] for lease_id in range(first, first + count)]

    # -- tasks that do not fit ------------------------------------------------------------------

    def _pass_over(self, stage: Stage, worker: Worker, slots: int, now: Any) -> None:
        """Leave ``stage`` out for the rest of this poll, and note for how long it has been so."""
        stage.job.offered.remove(stage.index)
        stage.job.pool.policy.withdraw(stage, now)
        needs = stage.slots_per_task
        if slots >= needs or _lacks_room(stage):
            # A cap is in the way, not the size.
            return
        since, _ = self._passed_over.setdefault(stage.key, (now, stage))
        if len(self._passed_over) > self._passed_over_limit:
            self._forget_passed_over()
        if (
            now - since >= self._settings.hold_after
            and worker.holds is None
            and worker.slots >= needs
            and stage.key not in self._holders
        ):
            worker.holds = stage
            self._holders[stage.key] = worker

    def _forget_passed_over(self) -> None:
        """Drop the stages that are launchable no more; their jobs were cut short."""
        self._passed_over = {
            key: (since, stage)
            for key, (since, stage) in self._passed_over.items()
            if key in stage.job.user.launchable
        }
        self._passed_over_limit = 2 * len(self._passed_over) + PASSED_OVER_TO_KEEP

    def _take_back(self, passed: list[Stage]) -> None:
        for stage in passed:
            if stage.key in stage.job.user.launchable:
                insert_index(stage.job.offered, stage.index)
                stage.job.pool.policy.offer(stage, self._state.at)
        for stage in passed:
            # Who was set aside has had a stage passed over.
            _pause(stage.job.user, paused=not cap_room(stage.job.user, 1))

    def _serve_hold(
        self, worker: Worker, leases: list[Lease], slots: int, command: NextTask, now: Any
    ) -> bool:
        """Lease the task that the worker is held for, if it fits now.

        Returns whether the worker is free for others.
        """
        stage = worker.holds
        assert stage is not None, "called for a held worker"
        needs = stage.slots_per_task
        user = stage.job.user
        # A user at the cap may stay there for long, however many slots run free.
        wanted = stage.key in user.launchable and needs <= min(worker.slots, cap_room(user, needs))
        if wanted and not self._fitting_tasks(stage, slots, 1):
            return False
        worker.holds = None
        self._holders.pop(stage.key, None)
        if wanted and command.max_tasks != 0:
            leases.extend(self._lease(stage, worker, 1, command.poll_id, now))
        return True

    # -- renewals -------------------------------------------------------------------------------

    def renew_leases(self, command: RenewLeases, now: Any) -> Reply:
        """Decide a renewal."""
        validation.renew_leases(command, self._settings.limits)
        workers = self._decider.workers(command.worker_id)
        for worker in workers:
            self._decider.touch(worker, now)
        if command.started:
            self._reports.starts(command.worker_id, command.started, now)
        asked = command.lease_ids or tuple(_held_leases(workers))
        expires_at = now + self._settings.lease_seconds
        renewed = []
        renewals = []
        for lease_id in asked:
            lease = self._state.leases.get(lease_id)
            status = self._lease_status(lease, lease_id, command.worker_id)
            if status is LeaseStatus.RENEWED:
                renewed.append(lease_id)
            expires_in = self._settings.lease_seconds if status is LeaseStatus.RENEWED else 0.0
            renewals.append(Renewal(lease_id=lease_id, status=status, expires_in=expires_in))
        if renewed:
            self._decider.emit(
                ev.LeasesRenewed(at=now, leases=tuple(renewed), expires_at=expires_at)
            )
        return RenewReply(renewals=tuple(renewals))

    def _lease_status(self, lease: Lease | None, lease_id: int, worker: str) -> LeaseStatus:
        if lease is not None and lease.worker.name == worker and lease.expires_at is not None:
            return LeaseStatus.RENEWED
        job = self._state.void_leases.get(lease_id)
        # Of one that has succeeded it was lost, and another did what it was for.
        if lease is None and job is not None and job.ended and job.state is not JobState.SUCCEEDED:
            return LeaseStatus.REVOKED
        return LeaseStatus.UNKNOWN


def _held_leases(workers: Iterable[Worker]) -> Iterator[int]:
    """What workers were leased and have not given back, with what is void and they were not told.

    What an engine has placed itself is no lease, and has no name that the engine knows.
    """
    for worker in workers:
        for lease in worker.leases.values():
            if lease.expires_at is not None:
                yield lease.lease_id
        yield from worker.revoked


def _most_slots(worker: Worker, slots: int, passed: list[Stage]) -> int:
    """How many slots the tasks of the next stage may need that is looked at in a poll."""
    if len(passed) < MAX_PASSED_OVER:
        return worker.slots
    # With prefetch there may be more to fill than the worker has.
    return min(slots, worker.slots)


def _set_aside(aside: list[User], passed: list[Stage]) -> None:
    """Set the user aside whose stage was passed over last, if the cap was in the way of many."""
    stage = passed[-1]
    if len(passed) >= MAX_PASSED_AT_CAP and _lacks_room(stage):
        aside.append(stage.job.user)
        _pause(stage.job.user, paused=True)


def _first_beside(aside: list[User], policy: Policy, most: int, slots: int) -> Stage | None:
    """What goes first; of users set aside, among what the cap has room for on ``slots`` slots.

    Who has nothing of that kind is dropped from ``aside``: in one poll there will not be more room.
    """
    for user in aside:
        _pause(user, paused=True)
    rooms = [(user, cap_room(user, min(most, slots))) for user in aside]
    rooms = [(user, room) for user, room in rooms if room and policy.holds_within(user, room)]
    aside[:] = [user for user, _ in rooms]
    found = [first_within(policy, most)]
    found += [_first_of(user, policy, room) for user, room in rooms]
    firsts = [stage for stage in found if stage is not None]
    for stage in firsts:
        _pause(stage.job.user, paused=False)
    first = policy.first_of(firsts)
    for user in aside:
        if first is None or user is not first.job.user:
            _pause(user, paused=True)
    return first


def _first_of(user: User, policy: Policy, room: int) -> Stage | None:
    """What goes first within ``room`` slots, if it is of ``user``, who is set aside."""
    _pause(user, paused=False)
    stage = first_within(policy, room)
    _pause(user, paused=True)
    return stage if stage is not None and stage.job.user is user else None


def _pause(user: User, *, paused: bool) -> None:
    """Let the policy pass by all of ``user``, or not."""
    if user.paused != paused:
        user.paused = paused
        user.pool.policy.pause_changed(user)


def _described_bytes(stage: Stage) -> int:
    """About what a lease on a task of ``stage`` takes in an answer."""
    job = stage.job
    texts = f"{job.job_id}{job.user.name}{job.kind}{job.signature}{stage.name}"
    if job.labels:
        texts += "".join([f"......{key}{value}" for key, value in job.labels.items()])
    return BARE_LEASE_BYTES + len(stage.spec.payload) + len(texts.encode())


def _lacks_room(stage: Stage) -> bool:
    """Whether the user's cap has no room for a task of ``stage``."""
    return cap_room(stage.job.user, stage.slots_per_task) < stage.slots_per_task
