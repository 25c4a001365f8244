"""What the state machine tells the core, and what must hold whatever it told.

``Teller`` applies commands, lets a replica follow the events alone, and holds the invariants.  The
rules stand in ``tests/property/test_state_machine.py``.
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Final

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from tests.oracles.observer import Ledger, pool_view
from uwfq_service.core import commands as cmd
from uwfq_service.core import events as ev
from uwfq_service.core.errors import JobConflict, SchedulerError
from uwfq_service.core.invariants import check
from uwfq_service.core.model import Job, Lease
from uwfq_service.core.replies import Ack, JobReply, NextTaskReply, Reply, TaskDoneReply
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Limits, Settings

POOL: Final = "pool"
ENGINE: Final = "engine"
#: Everything falls due within a few steps, and every limit can be reached.
HASTY: Final = Settings(
    limits=Limits(max_jobs_per_user=5, max_jobs_per_pool=9, max_users_per_pool=4),
    lease_seconds=5.0,
    worker_timeout=8.0,
    engine_timeout=12.0,
    hold_after=2.0,
    retention_seconds=20.0,
    retention_jobs=4,
)
#: Several policies agree on times and works that floats hold exactly; thirds come from weights.
quarters = st.integers(1, 40).map(lambda number: number / 4)
users = st.sampled_from(["ada", "bo", "cy"])
workers = st.sampled_from(["w1", "w2", "w3"])
picks = st.integers(0, 1_000)


# Made once: Hypothesis checks each strategy that a draw makes, which takes longer than the draw.
_counts = st.integers(1, 5)
_ways = st.sampled_from(["even", "uneven", "input", "work"])
_booleans = st.booleans()
_works = {count: st.lists(quarters, min_size=count, max_size=count) for count in range(1, 6)}
_sizes = {
    count: st.lists(st.integers(1, 9), min_size=count, max_size=count) for count in range(1, 6)
}
_stage_counts = st.integers(1, 3)
_declared_works = st.none() | quarters
_slots_per_task = st.sampled_from([1, 1, 1, 2, 3])
_min_tasks = st.none() | st.integers(1, 2)
_max_tasks = st.none() | st.integers(2, 6)
_max_attempts = st.none() | st.integers(1, 3)
_task_timeouts = st.none() | st.sampled_from([1.0, 4.0])
_signatures = st.sampled_from(["", "s", "scan"])


@cache
def _some_of(first: int, number: int) -> st.SearchStrategy[set[str]]:
    """Any of the stages from the first up to one before ``number``."""
    return st.sets(st.sampled_from([f"s{earlier}" for earlier in range(first, number)]))


@st.composite
def cuts(draw: st.DrawFn) -> cmd.TaskList | cmd.InputDescriptor | None:
    """A way to cut a stage."""
    count = draw(_counts)
    match draw(_ways):
        case "even":
            return cmd.TaskList(count=count)
        case "uneven":
            return cmd.TaskList(count=count, task_work=tuple(draw(_works[count])))
        case "input":
            return cmd.InputDescriptor(
                unit_sizes=tuple(draw(_sizes[count])), splittable=draw(_booleans)
            )
        case _:
            return None


_cuts = cuts()


@st.composite
def stages(draw: st.DrawFn, *, first: int = 0) -> tuple[cmd.StageSpec, ...]:
    """One to three stages, each after some of those before it."""
    return tuple(
        cmd.StageSpec(
            stage=f"s{number}",
            after=tuple(sorted(draw(_some_of(first, number)))) if number > first else (),
            cut=draw(_cuts),
            declared_work=draw(_declared_works),
            slots_per_task=draw(_slots_per_task),
            min_tasks=draw(_min_tasks),
            max_tasks=draw(_max_tasks),
            max_attempts=draw(_max_attempts),
            task_timeout=draw(_task_timeouts),
            signature=draw(_signatures),
        )
        for number in range(first, first + draw(_stage_counts))
    )


def packed(values: Any) -> Any:
    """``values`` as they come back from a snapshot."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(values))


def image(scheduler: Scheduler) -> bytes:
    """What a snapshot of it would hold, which costs less than its state of this moment.

    Two with one image are in one state at every moment to come.  Two that were asked other
    questions may differ here and be in one state all the same: virtual time is lazy.
    """
    return msgspec.msgpack.encode(scheduler.dump())


class Teller(RuleBasedStateMachine):
    """One pool, a replica of it, and what must be true of both."""

    policy: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.scheduler = Scheduler(HASTY)
        self.replica = Scheduler(HASTY)
        self.ledger = Ledger()
        self.virtual_time = 0.0
        self.poll_ids = dict.fromkeys(["w1", "w2", "w3"], 0)
        self.jobs = 0

    # Telling the core.

    def apply(self, command: cmd.Command) -> Reply | None:
        """What the core answers; ``None`` if it refuses, which must change nothing."""
        before = image(self.scheduler)
        try:
            outcome = self.scheduler.apply(command, self.now)
        except SchedulerError:
            assert self.is_still(before), "a refusal leaves no trace"
            return None
        self.take(outcome.events)
        if not outcome.events:
            assert self.is_still(before), "only events change the state"
        return outcome.reply

    def is_still(self, before: bytes) -> bool:
        """Whether the state is now what it would be if nothing had happened since that image."""
        if image(self.scheduler) == before:
            return True
        untouched = Scheduler.load(msgspec.msgpack.decode(before), HASTY)
        return bool(packed(self.scheduler.dump(self.now)) == packed(untouched.dump(self.now)))

    def take(self, events: list[ev.AnyEvent]) -> None:
        """Follow ``events``, and let the replica follow what a journal would keep of them."""
        for event in events:
            assert event.at == self.now
            self.ledger.note(event)
            record = msgspec.msgpack.encode(event)
            self.replica.replay(msgspec.msgpack.decode(record, type=ev.AnyEvent))

    def expect(self, command: cmd.Command) -> Reply:
        """What the core answers to a command that it must not refuse."""
        outcome = self.scheduler.apply(command, self.now)
        self.take(outcome.events)
        return outcome.reply

    def pick_job(self, pick: int) -> Job | None:
        """Some job that is remembered."""
        jobs = list(self.scheduler.jobs())
        return jobs[pick % len(jobs)] if jobs else None

    def submit_job(self, command: cmd.SubmitJob) -> None:
        """The same again decides nothing; other content is refused."""
        self.jobs += 1
        command = msgspec.structs.replace(command, job_id=f"j{self.jobs}")
        first = self.apply(command)
        if first is None:
            return
        again = self.scheduler.apply(command, self.now)
        assert not again.events
        assert isinstance(first, JobReply)
        assert isinstance(again.reply, JobReply)
        assert (first.duplicate, again.reply.duplicate) == (False, True)
        assert again.reply.virtual_deadline == first.virtual_deadline
        with pytest.raises(JobConflict):
            self.scheduler.apply(msgspec.structs.replace(command, kind="other"), self.now)

    # Looking.

    def held_slots(self, worker: str) -> int:
        """Slots of the worker's live leases."""
        leases = self.scheduler.state.leases.values()
        return sum(lease.slots for lease in leases if lease.worker.name == worker)

    def assert_nothing_fits(self, free_slots: int) -> None:
        """Work conservation: a free slot idles only when nothing could run on it."""
        view = pool_view(self.scheduler, self.scheduler.pools[POOL])
        assert free_slots <= 0 or view.pick(free_slots) is None

    def owner(self, lease_id: int) -> str:
        """Who holds a live lease."""
        lease: Lease = self.scheduler.state.leases[lease_id]
        return lease.worker.name

    def all_stages(self) -> list[Any]:
        """Every stage of every job that is remembered."""
        return [stage for job in self.scheduler.jobs() for stage in job.stages]

    def some_placement(self, pick: int, attempt: int) -> cmd.TaskRef | None:
        """Some task of the engine's."""
        stages = [stage for stage in self.all_stages() if stage.job.engine_id]
        if not stages:
            return None
        stage = stages[pick % len(stages)]
        return cmd.TaskRef(
            job_id=stage.job.job_id,
            stage=stage.name,
            task_index=pick // 7 % stage.task_count,
            attempt=attempt,
        )

    def assert_nothing_is_overdue(self) -> None:
        """What falls due happened when it did, restarts in between or not."""
        now = self.now
        for lease in self.scheduler.state.leases.values():
            assert lease.expires_at is None or lease.expires_at > now, lease
            limit = lease.stage.spec.task_timeout
            if limit is not None and lease.started_at is not None:
                assert lease.started_at + limit > now, lease
        for worker in self.scheduler.pools[POOL].workers.values():
            assert worker.alive_until > now, worker
        for job in self.scheduler.jobs():
            # Finished jobs are looked for once a second.
            assert not job.ended or job.finished_at + HASTY.retention_seconds + 1 > now, job
            for stage in [] if job.ended else job.stages:
                waiting = (stage.backing_off or {}).items()
                assert all(due > now for _, (due, _) in waiting), stage

    # Reports.

    def report(self, worker: str, *results: cmd.TaskResult, ride: bool = False) -> tuple[Ack, ...]:
        """Results by TaskDone, or riding on a poll."""
        pool = self.scheduler.pools[POOL]
        known = pool.workers.get(worker)
        if ride and known is not None and not known.engine:
            poll = cmd.NextTask(
                pool=POOL, worker_id=worker, slots=known.slots, free_slots=0, done=results
            )
            reply = self.expect(poll)
            assert isinstance(reply, NextTaskReply)
            return reply.done_acks
        done = self.expect(cmd.TaskDone(worker_id=worker, results=results))
        assert isinstance(done, TaskDoneReply)
        return done.acks

    # What must hold.

    @invariant()
    def is_consistent(self) -> None:
        """Every cross-cutting truth."""
        check(self.scheduler, self.now)

    @invariant()
    def replays(self) -> None:
        """The events alone lead to the same state, and an image of it to the same again."""
        written = image(self.scheduler)
        if image(self.replica) != written:
            assert packed(self.replica.dump(self.now)) == packed(self.scheduler.dump(self.now))
        assert image(Scheduler.load(msgspec.msgpack.decode(written), HASTY)) == written

    @invariant()
    def virtual_time_never_falls(self) -> None:
        """V, while one policy lasts."""
        for pool in self.scheduler.pools.values():
            value = pool.policy.virtual_time(self.now)
            assert value >= self.virtual_time
            self.virtual_time = value

    def teardown(self) -> None:
        """In the end every charge is settled, at what was measured."""
        # Images are compared as bytes; what is not equal to itself, NaN, would pass there.
        final = packed(self.scheduler.dump(self.now))
        assert final == packed(self.scheduler.dump(self.now))
        for job in list(self.scheduler.jobs()):
            # The end of one may let the scheduler forget another.
            self.apply(cmd.CancelJob(job_id=job.job_id))
        for pool in self.scheduler.pools.values():
            assert not pool.running_slots
            assert not pool.launchable_tasks
            for user in pool.users.values():
                assert user.charged == pytest.approx(user.settled)
                assert user.settled == pytest.approx(user.service_ended)
