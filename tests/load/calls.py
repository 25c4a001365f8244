"""What the calls of a load test say, and the state that they need.

Every method has a pool of its own.  A result can only be reported for a lease that exists, so
tasks are submitted and leased beforehand, by ``Preparer``; the messages that ghz then sends carry
the ids of those leases.  Afterwards the service's own account of the pool (``GetPool``) must have
changed by exactly what was sent: a load tool alone would take a wrong answer for a quick one.

Jobs come from 100 users and declare their work, wrongly by up to a factor of two or so; tasks
that are leased belong to jobs of 100 tasks, so that one result in a hundred ends a job.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import grpc

from uwfq.v1 import admin_service_pb2 as admin
from uwfq.v1 import admin_service_pb2_grpc, scheduler_service_pb2_grpc
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types

SUBMITTED, LEASED, REPORTED, BATCHED, STREAMED = POOLS = (
    *("submitted", "leased", "reported"),
    *("batched", "streamed"),
)
USERS: Final = 100
TASKS_PER_JOB: Final = 100
#: About what passes between lease and report here.  Tasks that outrun their estimate by far would
#: be another load: the service corrects what their jobs are charged while they still run.
RUNTIME_SECONDS: Final = 2.0
WORKERS: Final = 50
#: Where a worker has room for whatever it is asked to lease.
WORKER_SLOTS: Final = 1_000_000
_SUBMITS_IN_FLIGHT: Final = 64


class PoolCount(NamedTuple):
    """A pool as the service counts it."""

    jobs: int
    waiting_tasks: int
    running_tasks: int

    def __sub__(self, other: PoolCount) -> PoolCount:
        """What has changed since ``other``."""
        return PoolCount(*(now - before for now, before in zip(self, other, strict=True)))


def submissions(
    pool: str, count: int, *, tasks: int = 1, seed: int = 0
) -> list[rpc.SubmitJobRequest]:
    """Jobs of one stage, each under a request id of its own."""
    chance = random.Random(seed)
    batch = uuid.uuid4().hex
    return [
        rpc.SubmitJobRequest(
            pool=pool,
            user=f"user-{chance.randrange(USERS)}",
            request_id=f"{batch}-{number}",
            signature="query",
            estimated_work_slot_seconds=tasks * RUNTIME_SECONDS * chance.lognormvariate(0, 0.5),
            stages=[
                types.StageSpec(stage="only", tasks=types.TaskList(count=tasks), max_attempts=100)
            ],
        )
        for number in range(count)
    ]


def polls(
    pool: str, count: int, batch: int = 1, *, workers: int = WORKERS, wait_seconds: float = 0.0
) -> list[rpc.NextTaskRequest]:
    """Polls of all workers in turn."""
    return [
        rpc.NextTaskRequest(
            pool=pool,
            worker_id=_worker(number % workers),
            slots=WORKER_SLOTS,
            free_slots=WORKER_SLOTS,
            max_tasks=batch,
            wait_seconds=wait_seconds,
        )
        for number in range(count)
    ]


def reports(leases: Sequence[Sequence[types.TaskLease]]) -> list[rpc.TaskDoneRequest]:
    """One message for each group of leases, of the workers in turn, that they succeeded."""
    return [
        rpc.TaskDoneRequest(worker_id=_worker(number % WORKERS), results=results(group))
        for number, group in enumerate(leases)
    ]


def polls_with_results(
    pool: str, leases: Sequence[Sequence[types.TaskLease]], batch: int
) -> list[rpc.NextTaskRequest]:
    """Polls for a batch, each of which carries the results of one that was leased before."""
    requests = polls(pool, len(leases), batch)
    for request, group in zip(requests, leases, strict=True):
        request.done.extend(results(group))
    return requests


def on_stream(requests: Sequence[rpc.NextTaskRequest]) -> list[rpc.WorkRequest]:
    """The same polls for the Work stream."""
    return [
        rpc.WorkRequest(sequence=number, next_task=request)
        for number, request in enumerate(requests)
    ]


def _worker(number: int) -> str:
    return f"worker-{number}"


def results(leases: Sequence[types.TaskLease]) -> list[types.TaskResult]:
    """A success of each."""
    success = types.TaskSuccess(runtime_seconds=RUNTIME_SECONDS)
    return [
        types.TaskResult(lease_id=lease.lease_id, attempt=lease.attempt, success=success)
        for lease in leases
    ]


class Preparer:
    """Brings a service into the state that calls need."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.jobs = scheduler_service_pb2_grpc.SchedulerServiceStub(channel)
        self._admin = admin_service_pb2_grpc.AdminServiceStub(channel)

    async def count(self, pool: str) -> PoolCount:
        """The pool, as the service counts it."""
        found = (await self._admin.GetPool(admin.GetPoolRequest(pool=pool))).pool
        return PoolCount(found.jobs, found.launchable_tasks, found.running_slots)

    async def workers(self, pool: str) -> int:
        """Live workers of the pool."""
        return (await self._admin.GetPool(admin.GetPoolRequest(pool=pool))).pool.workers

    async def submit(self, requests: Sequence[rpc.SubmitJobRequest]) -> None:
        """Submit all."""
        queue = iter(requests)

        async def submit(requests: Iterator[rpc.SubmitJobRequest]) -> None:
            for request in requests:
                await self.jobs.SubmitJob(request)

        await asyncio.gather(*(submit(queue) for _ in range(_SUBMITS_IN_FLIGHT)))

    async def stock(self, pool: str, tasks: int) -> None:
        """See to it that at least so many tasks wait, and as many again."""
        waiting = (await self.count(pool)).waiting_tasks
        if waiting < tasks:
            jobs = -(-(2 * tasks - waiting) // TASKS_PER_JOB)
            await self.submit(submissions(pool, jobs, tasks=TASKS_PER_JOB, seed=waiting))

    async def lease(self, pool: str, groups: int, batch: int = 1) -> list[list[types.TaskLease]]:
        """Lease so many groups of tasks, group *i* by the worker that reports as number *i*."""
        await self.stock(pool, 2 * groups * batch)
        leased: list[list[types.TaskLease]] = [[] for _ in range(groups)]
        for worker in range(min(WORKERS, groups)):
            mine = leased[worker::WORKERS]
            (request,) = polls(pool, 1, len(mine) * batch)
            request.worker_id = _worker(worker)
            response = await self.jobs.NextTask(request)
            assert len(response.leases) == len(mine) * batch, "fewer tasks than were submitted"
            for place, group in enumerate(mine):
                group.extend(response.leases[place * batch : (place + 1) * batch])
        return leased

    async def jobs_ended(self, done: Mapping[str, int]) -> int:
        """How many of these jobs end when so many of their tasks have succeeded."""
        ended = 0
        for job_id, count in done.items():
            (stage,) = (await self.jobs.GetJob(rpc.GetJobRequest(job_id=job_id))).job.stages
            ended += stage.done + count == stage.task_count
        return ended

    async def let_go(self, pool: str) -> None:
        """All workers leave, and what they have leased goes back to the pool."""
        for worker in range(WORKERS):
            await self.jobs.NextTask(
                rpc.NextTaskRequest(pool=pool, worker_id=_worker(worker), leaving=True)
            )
