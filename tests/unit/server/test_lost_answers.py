"""Workers behind a bad network: answers are lost, connections break with and without a word."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.fakes import FakeClock
from uwfq_service.core import commands as cmd
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings
from uwfq_service.server.engine import Engine
from uwfq_service.store.memory import MemoryJournal

#: So long that none expires: what nobody hears of stays lost.
SETTINGS = Settings(lease_seconds=1e6, worker_timeout=1e6)


class Worker:
    """Polls as the clients do: under one id until the answer has arrived."""

    def __init__(self, engine: Engine, name: str, chance: random.Random, clock: FakeClock) -> None:
        self.engine = engine
        self.clock = clock
        #: When it has noticed that its connection is broken.
        self.back_at = 0.0
        self.name = name
        self.slots, self.prefetch = chance.randint(1, 3), chance.randint(0, 2)
        self.poll_id = 1
        self.poll: asyncio.Future[Any] | None = None
        #: Leases that it holds, with their attempts, and results that it owes.
        self.held: dict[int, int] = {}
        self.owed: dict[int, cmd.TaskResult] = {}

    def ask(self, wait: float) -> None:
        """Poll, unless there is no room."""
        if len(self.held) < self.slots + self.prefetch and self.clock.now() >= self.back_at:
            command = cmd.NextTask(
                worker_id=self.name,
                slots=self.slots,
                free_slots=max(0, self.slots - len(self.held)),
                prefetch=self.prefetch,
                wait=wait,
                poll_id=self.poll_id,
                done=tuple(self.owed.values()),
            )
            self.poll = self.engine.poll(command)

    def hear(self, *, lost: bool) -> None:
        """The answer is here, or would be."""
        assert self.poll is not None
        reply, self.poll = self.poll.result(), None
        if not lost:
            self.poll_id += 1
            self.held |= {lease.lease_id: lease.attempt for lease in reply.leases}
            for ack in reply.done_acks:
                self.owed.pop(ack.lease_id, None)

    def work(self) -> None:
        """Be done with the oldest task."""
        lease_id, attempt = next(iter(self.held.items()))
        del self.held[lease_id]
        task = cmd.TaskRef(lease_id=lease_id, attempt=attempt)
        self.owed[lease_id] = cmd.TaskResult(task=task, outcome=cmd.TaskSuccess(runtime=0.0))

    def step(self, chance: random.Random) -> None:
        """Something happens, or something goes wrong."""
        if self.poll is None:
            self.ask(chance.choice([0.0, 5.0, 20.0]))
        elif self.poll.done():
            self.hear(lost=chance.random() < 0.2)
        elif chance.random() < 0.2:
            self.poll.cancel()
            self.poll = None
        elif chance.random() < 0.2:
            # Nobody tells the service.
            self.poll = None
            self.back_at = self.clock.now() + 1.0
        if self.held and chance.random() < 0.5:
            self.work()

    def behave(self) -> None:
        """All goes well."""
        while self.held:
            self.work()
        if self.poll is None:
            self.ask(20.0)
        elif self.poll.done():
            self.hear(lost=False)


@pytest.mark.parametrize("seed", range(12))
async def test_no_lease_is_lost_on_the_way(seed: int) -> None:
    """Whatever was granted is told again, so that all is done when the network is good again."""
    chance = random.Random(seed)
    clock, scheduler, failures = FakeClock(), Scheduler(SETTINGS), list[BaseException]()
    journal = MemoryJournal(asyncio.get_running_loop())
    engine = Engine(scheduler, journal, clock, on_fatal=failures.append)
    engine.start()
    await engine.call(cmd.ConfigurePool(pool="default"))
    workers = [Worker(engine, f"w{number}", chance, clock) for number in range(3)]
    jobs = scheduler.state.jobs

    async def pause(seconds: float) -> None:
        clock.advance(seconds)
        for _ in range(8):
            await asyncio.sleep(0)

    for _ in range(300):
        if chance.random() < 0.1:
            cut = cmd.TaskList(count=chance.randint(1, 4))
            spec = cmd.StageSpec(stage="s", cut=cut)
            await engine.call(cmd.SubmitJob(user=chance.choice("ab"), stages=(spec,)))
        chance.choice(workers).step(chance)
        await pause(chance.choice([0.0, 0.5]))
    for _ in range(500):
        for worker in workers:
            worker.behave()
        await pause(0.1)
    assert [job for job in jobs.values() if not job.ended] == []
    assert sum(job.failed_attempts for job in jobs.values()) == 0
    assert not failures
