"""An engine among fakes: a core of a few lines, a disk and a clock that obey the test."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

from tests.fakes import FakeClock, ManualJournal
from uwfq_service.core import commands, replies
from uwfq_service.core.errors import UnknownJob
from uwfq_service.core.events import AnyEvent, JobClosed, JobsForgotten, Recovered
from uwfq_service.core.scheduler import Outcome, Scheduler
from uwfq_service.server.engine import Engine
from uwfq_service.server.outbox import Observer


class ToyScheduler:
    """A core of a few lines: ``CloseJob("2")`` adds a task of 2 slots, polls take what fits.

    ``CloseJob("0")`` decides nothing, ``AddStages`` is refused and ``CancelJob`` breaks the core.
    """

    def __init__(self) -> None:
        self.tasks: deque[int] = deque()
        self.wakeup: float | None = None
        self.version = 1
        #: Whether it says what is launchable for how many slots, or at all.
        self.knows_sizes = True
        self.applied: list[commands.Command] = []

    def apply(self, command: commands.Command, now: float) -> Outcome:
        self.applied.append(command)
        match command:
            case commands.CloseJob(job_id="0"):
                return Outcome([], replies.Done())
            case commands.CloseJob(job_id=size):
                self.tasks.append(int(size))
                return Outcome([JobClosed(at=now, job=int(size))], replies.Done())
            case commands.AddStages(job_id=job_id):
                raise UnknownJob(job_id)
            case commands.CancelJob():
                raise AssertionError("the core broke one of its rules")
            case commands.NextTask():
                return self._poll(command, now)
            case _:
                self.wakeup = None
                return Outcome([JobsForgotten(at=now, count=1)], replies.Done())

    def _poll(self, command: commands.NextTask, now: float) -> Outcome:
        acks = tuple(
            replies.Ack(lease_id=done.task.lease_id, status=replies.AckStatus.ACCEPTED)
            for done in command.done
        )
        if command.ranking:
            return Outcome([], replies.NextTaskReply(ranking=self.ranking(command), done_acks=acks))
        if self.tasks and self.tasks[0] <= command.free_slots:
            size = self.tasks.popleft()
            leases = cast(tuple[Any], (size,))
            events: list[AnyEvent] = [JobClosed(at=now, job=size)]
            return Outcome(events, replies.NextTaskReply(leases=leases, done_acks=acks))
        return Outcome([], replies.NextTaskReply(done_acks=acks))

    def recover(self, now: float, since: float) -> Outcome:
        return Outcome([Recovered(at=now, expires_at=now + 30, since=since)], replies.Done())

    def has_launchable(self, pool: str, slots: int | None = None) -> bool:
        if self.knows_sizes and slots is not None:
            return bool(self.tasks) and self.tasks[0] <= slots
        return bool(self.tasks)

    def ranking(self, _: commands.NextTask) -> replies.Ranking:
        return replies.Ranking(version=self.version, stages=())

    def order_version(self, pool: str) -> int:
        return self.version

    def next_wakeup(self) -> float | None:
        return self.wakeup


class World:
    """An engine among fakes."""

    def __init__(self, observer: Observer | None = None, **limits: int) -> None:
        self.core = ToyScheduler()
        self.journal = ManualJournal()
        self.clock = FakeClock()
        self.failures: list[BaseException] = []
        self.told: list[AnyEvent] = []
        self.engine = Engine(
            cast(Scheduler, self.core),
            self.journal,
            self.clock,
            observers=[observer or self.told.extend],
            on_fatal=self.failures.append,
            **limits,
        )
        self.engine.start()

    def add_task(self, slots: int = 1) -> asyncio.Future[Any]:
        return self.engine.call(commands.CloseJob(job_id=str(slots)))

    def poll(self, worker: str = "w", slots: int = 1, wait: float = 10.0) -> asyncio.Future[Any]:
        return self.engine.poll(
            commands.NextTask(worker_id=worker, slots=slots, free_slots=slots, wait=wait)
        )

    def numbered(self, worker: str, poll_id: int, wait: float = 10.0) -> asyncio.Future[Any]:
        return self.engine.poll(
            commands.NextTask(worker_id=worker, slots=1, free_slots=1, wait=wait, poll_id=poll_id)
        )

    async def sync_all(self) -> None:
        """Let the disk have everything, batch by batch."""
        while self.journal.durable < self.engine.sequence:
            self.journal.sync()
            await asyncio.sleep(0)

    async def appended(self, batches: int) -> None:
        """Return when the journal was given so many batches."""
        while len(self.journal.batches) < batches:  # noqa: ASYNC110 - the fake has no event.
            await asyncio.sleep(0)

    async def turn(self, turns: int = 3) -> None:
        """Let the event loop run for a few turns."""
        for _ in range(turns):
            await asyncio.sleep(0)
