"""All commands in any order, under every policy; everything that must be true, after every step.

A second scheduler is told nothing but the events, through their journal encoding, and must be in
the same state at every step: any prefix of the journal replays to the state of its moment.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from tests.oracles.observer import pool_view
from tests.oracles.picker import DEADLINE_POLICIES, POLICIES
from tests.oracles.teller import (
    ENGINE,
    HASTY,
    POOL,
    Teller,
    packed,
    picks,
    quarters,
    stages,
    users,
    workers,
)
from uwfq_service.core import commands as cmd
from uwfq_service.core import events as ev
from uwfq_service.core.errors import NoRanking, TasksAreLeased
from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.replies import AckStatus, JobReply, LeaseStatus, NextTaskReply, RenewReply
from uwfq_service.core.scheduler import Scheduler

#: Of known work, so that several of its tasks are leased together.
FOUR = cmd.StageSpec(stage="s0", cut=cmd.TaskList(count=4), declared_work=4.0)


class Machine(Teller):
    """One pool under ``policy``, until somebody configures another."""

    @initialize(
        slots=st.none() | st.integers(1, 6),
        jobs=st.lists(st.tuples(users, stages(), st.booleans()), max_size=4),
    )
    def begin(
        self, slots: int | None, jobs: list[tuple[str, tuple[cmd.StageSpec, ...], bool]]
    ) -> None:
        """A pool must exist before anything can happen; some jobs wait already."""
        self.expect(cmd.ConfigurePool(pool=POOL, policy=self.policy, fixed_slots=slots))
        for user, specs, engine in jobs:
            self.submit_job(
                cmd.SubmitJob(
                    pool=POOL, user=user, stages=specs, engine_id=ENGINE if engine else ""
                )
            )

    # Jobs.

    @rule(
        user=st.sampled_from(["ada", "bo", "cy", "di", "ed"]),
        specs=stages(),
        declared=st.none() | quarters,
        weight=st.sampled_from([0.5, 1.0, 3.0]),
        is_open=st.booleans(),
        engine=st.booleans(),
    )
    def submit(
        self,
        user: str,
        specs: tuple[cmd.StageSpec, ...],
        declared: float | None,
        weight: float,
        is_open: bool,
        engine: bool,
    ) -> None:
        """A job arrives."""
        self.submit_job(
            cmd.SubmitJob(
                pool=POOL,
                user=user,
                signature="s",
                job_weight=weight,
                declared_work=declared,
                stages=specs,
                open=is_open,
                engine_id=ENGINE if engine else "",
            )
        )

    @rule(specs=stages(), seconds=st.sampled_from([0.0, 12.0, 60.0]))
    def come_anew(self, specs: tuple[cmd.StageSpec, ...], seconds: float) -> None:
        """Somebody whom nobody knows: only one who is idle gives way."""
        self.wait(seconds)
        pool = self.scheduler.pools[POOL]
        pool.policy.advance(self.now)
        known = dict(pool.users)
        remembered = {job.user.name for job in self.scheduler.jobs()}
        idle = {
            user.name
            for user in known.values()
            if (user.weight, user.max_running_slots, user.max_waiting_jobs) == (WEIGHT_SCALE, 0, 0)
            and user.name not in remembered
            and not pool.policy.is_active(user)
        }
        name = f"new-{self.jobs}"
        self.submit_job(cmd.SubmitJob(pool=POOL, user=name, stages=specs))
        gone = set(known) - set(pool.users)
        assert gone in (set(), idle)
        assert not gone or len(known) == HASTY.limits.max_users_per_pool
        assert name in pool.users or not gone

    @rule(pick=picks, specs=stages(first=10), close=st.booleans())
    def add_stages(self, pick: int, specs: tuple[cmd.StageSpec, ...], close: bool) -> None:
        """An open job takes more stages, once."""
        job = self.pick_job(pick)
        if job is not None:
            command = cmd.AddStages(job_id=job.job_id, stages=specs, close=close)
            was_open = job.open and not job.ended
            reply = self.apply(command)
            assert was_open or reply is None or (isinstance(reply, JobReply) and reply.duplicate)

    @rule(pick=picks, user=st.sampled_from(["ada", "bo"]), specs=stages(first=20))
    def split_and_add(self, pick: int, user: str, specs: tuple[cmd.StageSpec, ...]) -> None:
        """Advice changes nothing, and is what a stage that is added then gets."""
        before = packed(self.scheduler.dump(self.now))
        job = self.pick_job(pick)
        user = user if job is None else job.user.name
        question = cmd.SplitStage(pool=POOL, user=user, signature="s", stage=specs[0])
        advice = self.scheduler.split_stage(question)
        counted = self.scheduler.split_stage(msgspec.structs.replace(question, ranges=False))
        assert packed(self.scheduler.dump(self.now)) == before
        assert counted.task_count == advice.task_count
        assert (counted.work, counted.reason) == (advice.work, advice.reason)
        if job is None or not job.open or job.ended or job.stage_named(specs[0].stage):
            return
        self.expect(cmd.AddStages(job_id=job.job_id, stages=specs[:1]))
        added = job.stages[-1].spec
        assert msgspec.structs.replace(added, after=(), fingerprint=b"") == msgspec.structs.replace(
            advice, fingerprint=b""
        )

    @rule(pick=picks, twice=st.booleans())
    def drop(self, pick: int, twice: bool) -> None:
        """What waits of a stage goes, once; only an engine may say so."""
        if not (found := self.all_stages()):
            return
        placed = [stage for stage in found if stage.job.engine_id and stage.waiting]
        found = placed if placed and pick % 4 else found
        stage = found[pick % len(found)]
        job = stage.job
        command = cmd.DropStages(job_id=job.job_id, stages=(stage.name,) * (1 + twice))
        if not job.engine_id:
            with pytest.raises(TasksAreLeased):
                self.scheduler.apply(command, self.now)
            return
        self.expect(command)
        assert job.ended or not stage.waiting
        assert not self.scheduler.apply(command, self.now).events

    @rule(pick=picks, finished=st.booleans())
    def close(self, pick: int, finished: bool) -> None:
        """No more stages will come; or its engine says that the job is through."""
        unfinished = [job for job in self.scheduler.jobs() if job.open]
        job = unfinished[pick % len(unfinished)] if unfinished and pick % 4 else self.pick_job(pick)
        if job is not None:
            finished = finished and bool(job.engine_id)
            self.expect(cmd.CloseJob(job_id=job.job_id, finished=finished))
            assert not job.open or job.ended
            assert not finished or job.ended

    @rule(worker=workers | st.just(ENGINE))
    def leave(self, worker: str) -> None:
        """A worker that has left holds nothing, and no job waits for an engine that has."""
        command = cmd.NextTask(pool=POOL, worker_id=worker, slots=0, free_slots=0, leaving=True)
        self.expect(command)
        assert not self.held_slots(worker)
        assert worker not in self.scheduler.pools[POOL].workers
        assert all(job.ended for job in self.scheduler.jobs() if job.engine_id == worker)

    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        """A cancelled job is over at once."""
        if (job := self.pick_job(pick)) is not None:
            self.expect(cmd.CancelJob(job_id=job.job_id, reason="why not"))
            assert job.ended

    # Workers.

    @rule(
        worker=workers,
        slots=st.integers(1, 4),
        free=st.integers(0, 4),
        prefetch=st.integers(0, 2),
        tasks=st.none() | st.integers(0, 3),
        wait=st.sampled_from([0.0, 3.0]),
        with_id=st.booleans(),
    )
    def poll(
        self,
        worker: str,
        slots: int,
        free: int,
        prefetch: int,
        tasks: int | None,
        wait: float,
        with_id: bool,
    ) -> None:
        """A worker asks for work: never too much, nothing left undone, and repeatable."""
        self.poll_ids[worker] += with_id
        command = cmd.NextTask(
            pool=POOL,
            worker_id=worker,
            slots=slots,
            free_slots=min(free, slots),
            prefetch=prefetch,
            max_tasks=tasks,
            wait=wait,
            poll_id=self.poll_ids[worker] if with_id else 0,
        )
        held_before = self.held_slots(worker)
        reply = self.expect(command)
        assert isinstance(reply, NextTaskReply)
        leased = sum(lease.slots for lease in reply.leases)
        assert self.held_slots(worker) == held_before + leased
        assert leased <= max(0, slots + prefetch - held_before)
        assert leased <= command.free_slots + prefetch
        assert tasks is None or len(reply.leases) <= tasks
        if with_id:
            again = self.expect(command)
            assert isinstance(again, NextTaskReply)
            assert again.leases == reply.leases, "a repeated poll gives the same leases"
        state = self.scheduler.pools[POOL].workers[worker]
        if tasks is None and state.holds is None:
            room = min(slots + prefetch - self.held_slots(worker), command.free_slots - leased)
            self.assert_nothing_fits(room)

    @rule(worker=workers, seconds=st.sampled_from([0.25, 0.75, 3.0]), good=st.integers(0, 4))
    def work(self, worker: str, seconds: float, good: int) -> None:
        """A worker runs all it gets; one task in five may fail.  The results ride on a poll."""
        poll = cmd.NextTask(pool=POOL, worker_id=worker, slots=4, free_slots=4, prefetch=1)
        self.expect(poll)
        self.wait(seconds)
        leases = self.scheduler.state.leases.values()
        results = tuple(
            cmd.TaskResult(
                task=cmd.TaskRef(lease_id=lease.lease_id, attempt=lease.attempt),
                outcome=cmd.TaskSuccess(runtime=seconds)
                if number % 5 <= good
                else cmd.TaskFailure(message="oh", runtime=seconds),
            )
            for number, lease in enumerate(lease for lease in leases if lease.worker.name == worker)
        )
        reply = self.expect(msgspec.structs.replace(poll, done=results))
        assert isinstance(reply, NextTaskReply)
        statuses = {ack.status for ack in reply.done_acks}
        # A failure may end a job, and with it what else ran of it.
        assert statuses <= {AckStatus.ACCEPTED, AckStatus.STALE}

    @rule(worker=workers, slots=st.integers(1, 4))
    def take_one(self, worker: str, slots: int) -> None:
        """The one task that a worker gets is the one that the oracle would give."""
        pool = self.scheduler.pools[POOL]
        known = pool.workers.get(worker)
        if known is not None and (known.holds is not None or known.leased_slots >= slots):
            return
        # Its slots may change others' deadlines, so they are announced first.
        poll = cmd.NextTask(pool=POOL, worker_id=worker, slots=slots, free_slots=slots, max_tasks=0)
        self.expect(poll)
        view = pool_view(self.scheduler, pool)
        expected = view.pick(slots - self.held_slots(worker), slots)
        reply = self.expect(msgspec.structs.replace(poll, max_tasks=1))
        assert isinstance(reply, NextTaskReply)
        if expected is None or pool.workers[worker].holds is not None:
            # Nothing fits, or the poll has just had the worker held for what does not fit yet.
            assert not reply.leases
            return
        stage, task = expected
        (lease,) = reply.leases
        found = (lease.stage.job.job_id, lease.stage.index, lease.task)
        assert found == (stage.job, stage.number, task)

    @rule(
        pick=picks,
        runtime=st.sampled_from([0.0, 0.25, 1.0, 50.0]),
        outcome=st.sampled_from(["success", "success", "success", "failure", "fatal"]),
        trouble=st.sampled_from(["", "", "", "foreign", "attempt", "twice", "ride"]),
    )
    def done(self, pick: int, runtime: float, outcome: str, trouble: str) -> None:
        """A result counts once; what is late, repeated or foreign is told so."""
        grants = list(self.ledger.grants.items())
        leased = [(lease, g) for lease, g in grants if g.task[0] not in self.ledger.placed]
        live = [(lease, grant) for lease, grant in leased if grant.live]
        if not leased:
            return
        choices = live if live and pick % 4 else leased
        lease_id, grant = choices[pick % len(choices)]
        ref = cmd.TaskRef(
            lease_id=lease_id, attempt=grant.attempt + (1 if trouble == "attempt" else 0)
        )
        worker = "stranger" if trouble == "foreign" else grant.worker
        result = cmd.TaskResult(
            task=ref,
            outcome=cmd.TaskSuccess(runtime=runtime, input_bytes=3)
            if outcome == "success"
            else cmd.TaskFailure(message="oh", retryable=outcome == "failure", runtime=runtime),
        )
        expected = self.ledger.expected(worker, ref)
        (ack,) = self.report(worker, result, ride=trouble == "ride")
        assert ack.lease_id == lease_id
        assert ack.status in expected, (ack, expected, grant)
        if trouble == "twice":
            (ack,) = self.report(worker, result)
            assert ack.status is not AckStatus.ACCEPTED

    @rule(worker=workers, some=st.booleans(), running=st.sampled_from([0.0, 1.0, 100.0]))
    def renew(self, worker: str, some: bool, running: float) -> None:
        """What lives is renewed, for its owner only; starts may ride along."""
        leases = [g for g in self.scheduler.state.leases.values() if g.expires_at is not None]
        mine = [lease for lease in leases if lease.worker.name == worker]
        asked = tuple(lease.lease_id for lease in leases[:3]) if some else ()
        starts = tuple(
            cmd.TaskStart(
                task=cmd.TaskRef(lease_id=lease.lease_id, attempt=lease.attempt), running=running
            )
            for lease in mine[:2]
        )
        reply = self.expect(cmd.RenewLeases(worker_id=worker, lease_ids=asked, started=starts))
        assert isinstance(reply, RenewReply)
        told = {renewal.lease_id: renewal.status for renewal in reply.renewals}
        for lease in mine:
            if not some or lease.lease_id in asked:
                assert told[lease.lease_id] is LeaseStatus.RENEWED
        assert all(
            status is not LeaseStatus.RENEWED or self.owner(lease_id) == worker
            for lease_id, status in told.items()
        )

    @rule(
        worker=workers,
        parts=st.lists(st.sets(st.integers(0, 3)), min_size=1, max_size=3),
        pause=st.sampled_from([0.25, 1.0, 3.0]),
        silence=st.sampled_from([0.0, 6.0, 12.0]),
    )
    def renew_in_parts(
        self, worker: str, parts: list[set[int]], pause: float, silence: float
    ) -> None:
        """A worker renews some leases of a batch now and others later, and then falls silent."""
        self.submit_job(cmd.SubmitJob(pool=POOL, user="ada", stages=(FOUR,), declared_work=4.0))
        self.expect(cmd.NextTask(pool=POOL, worker_id=worker, slots=4, free_slots=4, prefetch=2))
        for part in parts:
            leases = self.scheduler.state.leases.values()
            mine = [lease.lease_id for lease in leases if lease.worker.name == worker]
            asked = tuple(lease_id for lease_id in mine if lease_id % 4 in part)
            reply = self.expect(cmd.RenewLeases(worker_id=worker, lease_ids=asked))
            assert isinstance(reply, RenewReply)
            told = {renewal.lease_id: renewal.status for renewal in reply.renewals}
            assert all(told[lease_id] is LeaseStatus.RENEWED for lease_id in asked)
            self.wait(pause)
        self.wait(silence)

    @rule(
        worker=workers,
        pause=st.sampled_from([0.0, 2.0]),
        running=st.sampled_from([0.0, 1.0, 100.0]),
    )
    def begin_queued(self, worker: str, pause: float, running: float) -> None:
        """What a worker had queued runs since it says so, but not since before its grant."""
        self.submit_job(cmd.SubmitJob(pool=POOL, user="bo", stages=(FOUR,), declared_work=4.0))
        poll = cmd.NextTask(pool=POOL, worker_id=worker, slots=1, free_slots=1, prefetch=2)
        self.expect(poll)
        self.wait(pause)
        leases = self.scheduler.state.leases.values()
        queued = [each for each in leases if each.worker.name == worker and each.started_at is None]
        # The first of them, and said twice.
        starts = tuple(
            cmd.TaskStart(
                task=cmd.TaskRef(lease_id=lease.lease_id, attempt=lease.attempt), running=running
            )
            for lease in queued[:1] * 2
        )
        reply = self.expect(msgspec.structs.replace(poll, max_tasks=0, started=starts))
        assert isinstance(reply, NextTaskReply)
        assert [ack.status for ack in reply.started_acks] == [AckStatus.ACCEPTED] * len(starts)
        for lease in queued[:1]:
            assert lease.started_at == max(self.now - running, lease.granted_at)

    # An engine that places tasks itself.

    @rule(slots=st.integers(1, 4), stages=st.integers(0, 3))
    def rank(self, slots: int, stages: int) -> None:
        """The ranking is the policy's order of the engine's launchable stages."""
        command = cmd.NextTask(
            pool=POOL,
            worker_id=ENGINE,
            slots=slots,
            free_slots=slots,
            ranking=True,
            max_stages=stages,
        )
        pool = self.scheduler.pools[POOL]
        if pool.policy.name not in DEADLINE_POLICIES:
            with pytest.raises(NoRanking):
                self.scheduler.apply(command, self.now)
            return
        reply = self.expect(command)
        assert isinstance(reply, NextTaskReply)
        assert reply.ranking is not None
        view = pool_view(self.scheduler, pool)
        mine = [
            stage
            for stage in view.in_order()
            if stage.placed_by and not pool.users[stage.user].paused
        ][: stages or None]
        launches = view.launches(mine, slots)
        expected = [
            (stage.job, stage.number, len(stage.waiting), launch)
            for stage, launch in zip(mine, launches, strict=True)
        ]
        numbers = {(s.job.job_id, s.name): s.index for s in self.all_stages()}
        assert [
            (r.job_id, numbers[r.job_id, r.stage], r.waiting_tasks, r.launch_now)
            for r in reply.ranking.stages
        ] == expected

    @rule(pick=picks, attempt=st.integers(1, 2), running=st.sampled_from([0.0, 2.0]))
    def place(self, pick: int, attempt: int, running: float) -> None:
        """The engine started a task; saying so twice changes nothing."""
        if (ref := self.some_placement(pick, attempt)) is None:
            return
        start = cmd.TaskStart(task=ref, running=running)
        renewal = cmd.RenewLeases(worker_id=ENGINE, started=(start,))
        self.expect(renewal)
        again = self.scheduler.apply(renewal, self.now)
        assert not [event for event in again.events if isinstance(event, ev.TaskPlaced)]
        self.take(again.events)

    @rule(pick=picks, attempt=st.integers(1, 2), good=st.booleans())
    def placed_done(self, pick: int, attempt: int, good: bool) -> None:
        """The engine reports an attempt, announced or not."""
        if (ref := self.some_placement(pick, attempt)) is None:
            return
        outcome = (
            cmd.TaskSuccess(runtime=1.0) if good else cmd.TaskFailure(message="oh", runtime=1.0)
        )
        result = cmd.TaskResult(task=ref, outcome=outcome)
        (first,) = self.report(ENGINE, result)
        (second,) = self.report(ENGINE, result)
        assert second.status is not AckStatus.ACCEPTED or first.status is not AckStatus.ACCEPTED

    # Operators, time, restarts.

    @rule(
        user=users,
        weight=st.none() | st.sampled_from([0.5, 1.0, 3.0]),
        cap=st.none() | st.integers(0, 3),
        jobs=st.none() | st.integers(0, 3),
    )
    def set_user(self, user: str, weight: float | None, cap: int | None, jobs: int | None) -> None:
        """Weights and caps change at any time."""
        self.apply(
            cmd.SetUser(
                pool=POOL, user=user, weight=weight, max_running_slots=cap, max_waiting_jobs=jobs
            )
        )

    @rule(policy=st.sampled_from(POLICIES), slots=st.none() | st.integers(1, 6))
    def reconfigure(self, policy: str, slots: int | None) -> None:
        """Another policy takes over the live jobs."""
        self.expect(cmd.ConfigurePool(pool=POOL, policy=policy, fixed_slots=slots))
        self.virtual_time = 0.0

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 2.5, 6.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Time passes, and what falls due happens when it does."""
        until = self.now + seconds
        for _ in range(10_000):
            due = self.scheduler.next_wakeup()
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            self.expect(cmd.Tick())
        else:
            pytest.fail("the clock is stuck: something is due again and again")
        self.now = until
        self.assert_nothing_is_overdue()

    @rule(recover=st.booleans())
    def restart(self, recover: bool) -> None:
        """A snapshot is the whole state; afterwards leases and workers get time to report."""
        image = packed(self.scheduler.dump(self.now))
        self.scheduler = Scheduler.load(image, HASTY)
        assert packed(self.scheduler.dump(self.now)) == image
        # From here on the last bit of a sum may be another one than without the restart.
        self.replica = Scheduler.load(image, HASTY)
        if recover:
            self.take(self.scheduler.recover(self.now).events)

    @rule(seconds=st.sampled_from([0.0, 1.0, 40.0]))
    def outage(self, seconds: float) -> None:
        """The service is away, and comes back to where the last event has left it."""
        since = self.scheduler.state.at
        image = packed(self.scheduler.dump())
        self.scheduler = Scheduler.load(image, HASTY)
        self.replica = Scheduler.load(image, HASTY)
        self.now += seconds
        # What ran on behind the last event is left out, too.
        self.virtual_time = 0.0
        self.take(self.scheduler.recover(self.now, since).events)


def machine(name: str) -> type[Machine]:
    """The machine that starts under a policy."""
    return type(f"Machine_{name}", (Machine,), {"policy": name})


@pytest.mark.parametrize("policy", POLICIES)
def test_any_story_keeps_every_promise(policy: str) -> None:
    """All commands in any order, starting under each policy."""
    profile = hypothesis_settings.get_profile(hypothesis_settings.get_current_profile_name())
    run_state_machine_as_test(
        machine(policy),
        settings=hypothesis_settings(
            # A story is long, so a few are enough.
            max_examples=profile.max_examples // 4,
            stateful_step_count=80,
        ),
    )
