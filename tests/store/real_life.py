"""A service's life for the store's tests: the real scheduler under random commands, from a seed.

Not a search for the scheduler's mistakes (``tests/property`` does that), but a source of states
with everything in them: open jobs, failed attempts, backoffs, lost workers, several policies.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec

from uwfq_service.core import commands as cmd
from uwfq_service.core.errors import SchedulerError
from uwfq_service.core.events import AnyEvent
from uwfq_service.core.replies import NextTaskReply
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings

POOLS = {"fast": "uwfq", "paper": "uwfq_paper", "plain": "fair"}
WORKERS = ("north", "south", "east")

#: Everything falls due within a few steps.
HASTY = Settings(lease_seconds=5.0, worker_timeout=8.0, engine_timeout=12.0, retention_seconds=20.0)


class Life:
    """A scheduler and what it has decided, step by step."""

    def __init__(self, seed: int, scheduler: Scheduler | None = None) -> None:
        self.chance = random.Random(seed)
        self.now = 1000.0
        self.scheduler = scheduler or Scheduler(HASTY)
        #: The events of each step.
        self.batches: list[list[AnyEvent]] = []
        self._leases: list[tuple[str, int]] = []
        self._jobs = 0
        for pool, policy in POOLS.items():
            slots = 4 if pool == "paper" else None
            self._apply(cmd.ConfigurePool(pool=pool, policy=policy, fixed_slots=slots))

    def live(self, steps: int) -> Life:
        """Take so many steps."""
        for _ in range(steps):
            self.step()
        return self

    def step(self) -> None:
        """Let some time pass and some command come in."""
        chance = self.chance
        self.now += chance.choice([0.0, 0.125, 0.5, 3.0])
        wakeup = self.scheduler.next_wakeup()
        if wakeup is not None and wakeup <= self.now:
            self._apply(cmd.Tick())
        steps = (self._submit, self._next, self._next, self._done, self._done, self._change)
        chance.choice(steps)()

    def _apply(self, command: cmd.Command) -> Any:
        try:
            outcome = self.scheduler.apply(command, self.now)
        except SchedulerError:
            return None
        if outcome.events:
            self.batches.append(outcome.events)
        return outcome.reply

    def _stage(self, name: str, *after: str) -> cmd.StageSpec:
        chance = self.chance
        count = chance.randrange(1, 6)
        works = tuple(chance.choice([0.5, 1.0, 8.0]) for _ in range(count))
        return cmd.StageSpec(
            stage=name,
            after=after,
            cut=chance.choice(
                [
                    cmd.TaskList(count=count),
                    cmd.TaskList(count=count, task_work=works),
                    cmd.InputDescriptor(unit_sizes=tuple(range(1, count + 1)), splittable=True),
                    None,
                ]
            ),
            declared_work=chance.choice([None, 2.0, 30.0]),
            slots_per_task=chance.choice([1, 1, 2]),
            payload=chance.randbytes(chance.choice([0, 10, 300])),
        )

    def _submit(self) -> None:
        chance = self.chance
        self._jobs += 1
        stages = (self._stage("read"), self._stage("write", "read"))
        self._apply(
            cmd.SubmitJob(
                pool=chance.choice(list(POOLS)),
                user=chance.choice(["ada", "bo", "cy"]),
                request_id=f"request-{self._jobs}",
                signature=chance.choice(["", "scan", "join"]),
                input_bytes=chance.choice([None, 10_000]),
                labels={"step": str(self._jobs)},
                job_weight=chance.choice([1.0, 2.5]),
                stages=stages[: chance.randrange(1, 3)],
                open=chance.random() < 0.3,
            )
        )

    def _next(self) -> None:
        chance = self.chance
        worker = chance.choice(WORKERS)
        reply = self._apply(
            cmd.NextTask(
                pool=chance.choice(list(POOLS)), worker_id=worker, slots=3, free_slots=3, prefetch=2
            )
        )
        if isinstance(reply, NextTaskReply):
            self._leases += [(worker, lease.lease_id) for lease in reply.leases]

    def _done(self) -> None:
        chance = self.chance
        chance.shuffle(self._leases)
        kept, reported = self._leases[3:], self._leases[:3]
        for worker, lease in reported:
            success = cmd.TaskSuccess(runtime=chance.choice([0.0, 0.25, 2.0]), rows=7)
            failure = cmd.TaskFailure(message="no such file", retryable=chance.random() < 0.8)
            outcome = success if chance.random() < 0.8 else failure
            result = cmd.TaskResult(task=cmd.TaskRef(lease_id=lease), outcome=outcome)
            self._apply(cmd.TaskDone(worker_id=worker, results=(result,)))
        self._leases = kept

    def _change(self) -> None:
        chance = self.chance
        job = f"job-{chance.randrange(1, self._jobs + 2)}"
        more = (self._stage(f"more-{chance.randrange(5)}"),)
        start = cmd.TaskStart(
            task=cmd.TaskRef(lease_id=self._leases[0][1] if self._leases else 1), running=0.125
        )
        changes: list[cmd.Command] = [
            cmd.CancelJob(job_id=job, reason="not needed"),
            cmd.CloseJob(job_id=job),
            cmd.AddStages(job_id=job, stages=more),
            cmd.RenewLeases(worker_id=chance.choice(WORKERS), started=(start,)),
            cmd.SetUser(pool="fast", user="bo", weight=chance.choice([0.1, 1.0, 3.0])),
        ]
        self._apply(chance.choice(changes))


def image(scheduler: Scheduler, now: float) -> Any:
    """Return the scheduler's whole state at ``now`` as it comes back from a snapshot."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(scheduler.dump(now)))
