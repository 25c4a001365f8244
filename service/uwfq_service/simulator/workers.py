"""Workers of the simulated world: whose slots are free, and what runs on which.

Slots are numbered through the pool, so that a chart has one row for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

import msgspec

from uwfq_service.core.commands import NextTask, TaskResult
from uwfq_service.core.model import Lease
from uwfq_service.simulator.plays import JobPlay


class Attempt(msgspec.Struct, eq=False):
    """One attempt at a task, on its slot."""

    lease: Lease
    play: JobPlay
    #: Seconds that it runs for, and whether it fails then.
    runtime: float
    fails: bool
    start: float
    #: Whether its worker was lost before.
    lost: bool = False
    #: The worker and the slot of the pool; ``Workers.start`` says.
    worker: int = -1
    slot: int = -1


class Worker:
    """A process with some of the pool's slots."""

    def __init__(self, index: int, first_slot: int, slots: int) -> None:
        self.index = index
        self.name = f"worker-{index}"
        self.slots = slots
        self.live = True
        #: Free slots, a heap; those that it has for good are ``home``.
        self.home = range(first_slot, first_slot + slots)
        self.free: list[int] = list(self.home)
        self.running: set[Attempt] = set()
        #: How often it has come back.
        self.returns = 0
        #: What it asks for under its present name, by the number of free slots.
        self.polls: dict[int, NextTask] = {}


class Workers:
    """All workers of the pool."""

    def __init__(self, slots: int, workers: int) -> None:
        assert 1 <= workers <= slots, "every worker has a slot"
        share, more = divmod(slots, workers)
        self.all: list[Worker] = []
        first = 0
        for index in range(workers):
            count = share + (index < more)
            self.all.append(Worker(index, first, count))
            first += count
        #: Free slots of live workers.
        self.free = slots

    @property
    def live_slots(self) -> int:
        """Slots of the workers that are there."""
        return sum(worker.slots for worker in self.all if worker.live)

    def with_free_slots(self) -> Iterator[Worker]:
        """Those who would ask for a task, in order."""
        for worker in self.all:
            if worker.free and worker.live:
                yield worker

    def poll(self, worker: Worker, *done: TaskResult) -> NextTask:
        """A poll for as many tasks as the worker has free slots; results may ride along."""
        free = len(worker.free)
        if done:
            return NextTask(worker_id=worker.name, slots=worker.slots, free_slots=free, done=done)
        poll = worker.polls.get(free)
        if poll is None:
            poll = worker.polls[free] = NextTask(
                worker_id=worker.name, slots=worker.slots, free_slots=free
            )
        return poll

    def start(self, worker: Worker, attempt: Attempt) -> None:
        """Let an attempt occupy the worker's first free slot."""
        attempt.worker, attempt.slot = worker.index, heappop(worker.free)
        worker.running.add(attempt)
        self.free -= 1

    def end(self, attempt: Attempt) -> Worker:
        """Give the attempt's slot back; tells whose it is."""
        worker = self.all[attempt.worker]
        worker.running.remove(attempt)
        heappush(worker.free, attempt.slot)
        self.free += 1
        return worker

    def lose(self, index: int) -> list[Attempt]:
        """A worker is gone, with what ran on it (returned in the order of the slots)."""
        worker = self.all[index]
        lost = sorted(worker.running, key=lambda attempt: attempt.slot)
        self.free -= len(worker.free)
        worker.live = False
        worker.free = []
        worker.running = set()
        return lost

    def bring_back(self, index: int) -> Worker:
        """It is back, empty and under a new name: nobody takes it for the one that was lost."""
        worker = self.all[index]
        worker.returns += 1
        worker.name = f"worker-{index}.{worker.returns}"
        worker.polls = {}
        worker.live = True
        worker.free = list(worker.home)
        self.free += worker.slots
        return worker
