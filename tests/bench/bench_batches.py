"""What a task costs the service in a batch, step by step: everything but gRPC and the disk.

    .venv/bin/python -m tests.bench.bench_batches [--tasks 100] [--polls 1500]

Workers poll with the results of what they were leased before, as the load test's profile of batches
does; 200 jobs of 50 users wait.  Processor time, microseconds a task.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.core import commands as cmd
from uwfq_service.core.model import Lease
from uwfq_service.core.replies import NextTaskReply
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Limits
from uwfq_service.server import convert
from uwfq_service.server.wire import LeaseEncoder

STEPS: Final = ("parse", "convert", "decide", "events", "encode")
LIMITS: Final = Limits()
WORKERS: Final = 8
USERS: Final = 50
JOBS_OF_A_USER: Final = 4
#: Polls that are not counted: caches fill.
WARM_UP: Final = 50


def filled(tasks: int) -> Scheduler:
    """A scheduler with jobs of ``tasks`` tasks in all."""
    scheduler = Scheduler()
    scheduler.apply(cmd.ConfigurePool(pool="default"), 0.0)
    count = tasks // (USERS * JOBS_OF_A_USER) + 1
    spec = cmd.StageSpec(stage="s", cut=cmd.TaskList(count=count), declared_work=2.0 * count)
    for number in range(USERS * JOBS_OF_A_USER):
        scheduler.apply(cmd.SubmitJob(user=f"u{number % USERS}", stages=(spec,)), 0.0)
    return scheduler


def request(worker: int, tasks: int, done: tuple[Lease, ...]) -> bytes:
    """A poll for ``tasks`` tasks, with the results of those that were leased before."""
    results = [
        types.TaskResult(
            lease_id=lease.lease_id,
            attempt=lease.attempt,
            success=types.TaskSuccess(runtime_seconds=0.05),
        )
        for lease in done
    ]
    poll = rpc.NextTaskRequest(
        worker_id=f"w{worker}", slots=tasks, free_slots=tasks, max_tasks=tasks, done=results
    )
    return poll.SerializeToString()


def polls(tasks: int, count: int) -> Iterator[tuple[list[int], int]]:
    """For each poll: the instants between the steps, ns of processor time, and its leases."""
    scheduler, leases_of = filled(tasks * count), dict[int, tuple[Lease, ...]]()
    encoder, journal = LeaseEncoder(), msgspec.msgpack.Encoder()
    clock = time.process_time_ns
    for number in range(count):
        worker = number % WORKERS
        raw = request(worker, tasks, leases_of.get(worker, ()))
        instants = [clock()]
        message = rpc.NextTaskRequest.FromString(raw)
        instants.append(clock())
        command = convert.next_task(message, 0.0, LIMITS)
        instants.append(clock())
        outcome = scheduler.apply(command, 1.0 + 0.01 * number)
        instants.append(clock())
        for event in outcome.events:
            journal.encode(event)
        instants.append(clock())
        reply = outcome.reply
        assert isinstance(reply, NextTaskReply), "the answer to a poll"
        encoder.response(reply)
        instants.append(clock())
        leases_of[worker] = reply.leases
        yield instants, len(reply.leases)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=100, help="Tasks of a batch.")
    parser.add_argument("--polls", type=int, default=1500)
    args = parser.parse_args()
    spent, leased = [0] * len(STEPS), 0
    for number, (instants, count) in enumerate(polls(args.tasks, args.polls)):
        if number >= WARM_UP:
            leased += count
            for step in range(len(STEPS)):
                spent[step] += instants[step + 1] - instants[step]
    costs = [ns / leased / 1000 for ns in spent]
    print(f"{leased:,} tasks in batches of {args.tasks}, us a task")
    for name, cost in zip((*STEPS, "all"), (*costs, sum(costs)), strict=True):
        print(f"  {name:8} {cost:6.2f}")


if __name__ == "__main__":
    main()
