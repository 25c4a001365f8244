"""A short way to drive the core by hand: one line per thing that happens.

The clock moves by ``at(...)`` alone; what falls due on the way happens when it is due.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from uwfq_service.core import commands as cmd
from uwfq_service.core.events import AnyEvent
from uwfq_service.core.inquiry import Explanation, Inquiry
from uwfq_service.core.model import Job, Lease, User
from uwfq_service.core.replies import (
    AckStatus,
    NextTaskReply,
    Ranking,
    Renewal,
    RenewReply,
    Reply,
    TaskDoneReply,
)
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings

POOL: Final = "pool"


class Driver:
    """One pool, and the events of everything that was done to it."""

    def __init__(
        self,
        policy: str = "uwfq",
        *,
        slots: int | None = None,
        settings: Settings | None = None,
        number: Callable[[Any], Any] = float,
        since: float = 0.0,
    ) -> None:
        self.scheduler = Scheduler(settings or Settings(), number=number)
        self.now: Any = number(since)
        self.number = number
        self.events: list[AnyEvent] = []
        self.apply(cmd.ConfigurePool(pool=POOL, policy=policy, fixed_slots=slots))

    # Time and commands.

    def apply(self, command: cmd.Command) -> Reply:
        """Apply one command now."""
        outcome = self.scheduler.apply(command, self.now)
        self.events += outcome.events
        return outcome.reply

    def at(self, instant: float) -> None:
        """Let time pass until ``instant``; what falls due happens."""
        until = self.number(instant)
        while (due := self.scheduler.next_wakeup()) is not None and due <= until:
            self.now = max(self.now, due)
            self.apply(cmd.Tick())
        self.now = until

    def events_of(self, kind: type[AnyEvent]) -> list[Any]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def reload(self, *, outage: float = 0.0) -> None:
        """Let the service restart: a new scheduler from a snapshot, which recovers.

        It was away for the last ``outage`` seconds.
        """
        image = msgspec.msgpack.encode(self.scheduler.dump())
        self.scheduler = Scheduler.load(
            msgspec.msgpack.decode(image), self.scheduler.settings, number=self.number
        )
        self.events += self.scheduler.recover(self.now, self.now - self.number(outage)).events

    # Jobs.

    def submit(self, user: str, job_id: str, *stages: cmd.StageSpec, **fields: Any) -> Job:
        """SubmitJob."""
        self.apply(cmd.SubmitJob(pool=POOL, user=user, job_id=job_id, stages=stages, **fields))
        return self.scheduler.job(job_id)

    def explain(self, job: Job) -> Explanation:
        """ExplainJob: with up to nine of the jobs ahead."""
        inquiry = Inquiry(job, 9)
        while (found := inquiry.step(self.now)) is None:
            pass
        return found

    def user(self, name: str) -> User:
        """A user of the pool."""
        return self.scheduler.pools[POOL].users[name]

    def cancel(self, job_id: str, reason: str = "") -> None:
        """CancelJob."""
        self.apply(cmd.CancelJob(job_id=job_id, reason=reason))

    # Workers.

    def poll(self, worker: str = "w", *, slots: int = 1, **fields: Any) -> tuple[Lease, ...]:
        """NextTask: what is leased."""
        fields.setdefault("free_slots", slots)
        return self.ask(worker, slots=slots, **fields).leases

    def ask(self, worker: str, *, slots: int, **fields: Any) -> NextTaskReply:
        """NextTask: the whole answer."""
        reply = self.apply(cmd.NextTask(pool=POOL, worker_id=worker, slots=slots, **fields))
        assert isinstance(reply, NextTaskReply)
        return reply

    def rank(self, engine: str, *, slots: int) -> Ranking:
        """NextTask in its ranking form."""
        ranking = self.ask(engine, slots=slots, free_slots=slots, ranking=True).ranking
        assert ranking is not None
        return ranking

    def done(self, lease: Lease, runtime: float, *, worker: str = "w") -> AckStatus:
        """TaskDone: a success."""
        return self.report(worker, ref(lease), cmd.TaskSuccess(runtime=runtime))

    def fail(
        self, lease: Lease, runtime: float, message: str = "oh", *, retryable: bool = True
    ) -> AckStatus:
        """TaskDone: a failure."""
        failure = cmd.TaskFailure(message=message, runtime=runtime, retryable=retryable)
        return self.report(lease.worker.name, ref(lease), failure)

    def report(
        self, worker: str, task: cmd.TaskRef, outcome: cmd.TaskSuccess | cmd.TaskFailure
    ) -> AckStatus:
        """TaskDone with one result."""
        result = cmd.TaskResult(task=task, outcome=outcome)
        reply = self.apply(cmd.TaskDone(worker_id=worker, results=(result,)))
        assert isinstance(reply, TaskDoneReply)
        return reply.acks[0].status

    def renew(self, worker: str = "w", **fields: Any) -> tuple[Renewal, ...]:
        """RenewLeases."""
        reply = self.apply(cmd.RenewLeases(worker_id=worker, **fields))
        assert isinstance(reply, RenewReply)
        return reply.renewals


def ref(lease: Lease) -> cmd.TaskRef:
    """How a worker names the attempt that it was leased."""
    return cmd.TaskRef(lease_id=lease.lease_id, attempt=lease.attempt)


def stage(name: str = "s", *works: float, after: str = "", **fields: Any) -> cmd.StageSpec:
    """A stage of tasks of the given estimated works."""
    fields.setdefault("cut", cmd.TaskList(count=len(works), task_work=works))
    return cmd.StageSpec(stage=name, after=tuple(after.split()), **fields)
