"""The service next to a no-op method: rates, latencies and server CPU, durable, over loopback.

    .venv/bin/python -m tests.bench.bench_service [--rounds 20] [--in-flight 1,10,50,200]

The service runs in a process of its own with its journal on disk; this process makes the load.  A
no-op method lives in the same service, on the same port.  Slices of every workload alternate, in
an order that is drawn anew for each round, and each is compared with the no-op slices of its own
round: so a machine that is busy for a while does not favour either.  The tables show medians over
the rounds, for ratios with a 95 % bootstrap interval.  ``no-op again`` is the noise floor.

Rates are those of this load generator and the service together; where the generator is the
bottleneck a ratio of rates flatters the service, so read the CPU per request beside it.  What the
service counted is compared with what was sent, so that no error passes for a success.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc

from tests.bench import noop_server as served
from tests.bench.measuring import cpu_seconds, interval, quantile
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types

USERS = 100
SCHEDULER = "/uwfq.v1.SchedulerService/"

#: Pools, and the runtime that their tasks are estimated at, seconds: about what passes between
#: lease and report there, give or take a factor of two (sigma 0.5, lognormal, per job).
SUBMITTED, LEASED, CYCLED = served.POOLS
ESTIMATES = {SUBMITTED: 1.0, LEASED: 1.0, CYCLED: 0.02}
#: More submissions than are answered here; what is missing is made in the slice.
MOST_PER_SECOND = 10_000
#: Where each worker of a slice has room for; more than any slice leases.
WORKER_SLOTS = 1_000_000

#: One request of a workload; the number of tasks (or calls) that it did.
Step = Callable[[int], Awaitable[int]]


class Load:
    """All workloads, against one service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._random = random.Random(1)
        self._jobs = 0
        self._polls = 0
        self._submissions: deque[bytes] = deque()
        #: Leases, with the moment at which they came.
        self._leased: deque[tuple[types.TaskLease, float]] = deque()
        self._carried: dict[int, tuple[Sequence[types.TaskLease], float]] = {}
        #: What was sent and answered OK, to be compared with what the service counted.
        self.submitted = self.leased = self.done = 0
        # Without serializers, bytes go through; the stubs' types do not know that.
        raw: Any = channel
        call = raw.unary_unary
        self._noop_call = call(served.NOOP)
        self._submit_call = call(SCHEDULER + "SubmitJob")
        self._next_call = call(SCHEDULER + "NextTask")
        self._done_call = call(SCHEDULER + "TaskDone")
        self.work_call = raw.stream_stream(SCHEDULER + "Work")
        self._noop_request = rpc.GetJobRequest(job_id="job-1").SerializeToString()

    async def noop(self, _: int) -> int:
        """A call that does nothing."""
        await self._noop_call(self._noop_request)
        return 1

    def prepare(self, count: int) -> None:
        """Have so many submissions at hand: a slice is not to measure how they are made."""
        while len(self._submissions) < count:
            self._submissions.append(self._submission(SUBMITTED))

    async def submit(self, _: int) -> int:
        """Submit a job."""
        if not self._submissions:
            self.prepare(1)
        await self._submit_call(self._submissions.popleft())
        self.submitted += 1
        return 1

    async def fill(self, pool: str) -> None:
        """Submit a job of many tasks."""
        await self._submit_call(self._submission(pool, tasks=100_000))
        self.submitted += 1

    def _submission(self, pool: str, tasks: int = 1) -> bytes:
        self._jobs += 1
        stage = types.StageSpec(stage="only", tasks=types.TaskList(count=tasks))
        runtime = ESTIMATES[pool] * self._random.lognormvariate(0, 0.5)
        request = rpc.SubmitJobRequest(
            pool=pool,
            user=f"user-{self._random.randrange(USERS)}",
            request_id=f"request-{self._jobs}",
            signature="query",
            estimated_work_slot_seconds=runtime * tasks,
            stages=[stage],
        )
        return request.SerializeToString()

    def poll_request(self, worker: int, batch: int) -> rpc.NextTaskRequest:
        """A poll for a batch that carries the results of the worker's last one."""
        self._polls += 1
        return rpc.NextTaskRequest(
            pool=CYCLED,
            worker_id=f"worker-{worker}",
            slots=WORKER_SLOTS,
            free_slots=WORKER_SLOTS,
            max_tasks=batch,
            poll_id=self._polls,
            done=_results(*self._carried.pop(worker, ((), 0.0))),
        )

    def take(self, worker: int, response: rpc.NextTaskResponse) -> int:
        """Note what was leased; the results ride along on the worker's next poll."""
        self.leased += len(response.leases)
        self.done += len(response.done_acks)
        assert all(ack.status == types.TASK_RESULT_STATUS_ACCEPTED for ack in response.done_acks), (
            "a result was not accepted"
        )
        self._carried[worker] = (response.leases, time.perf_counter())
        return len(response.leases)

    async def next_task(self, worker: int) -> int:
        """Lease one task."""
        request = rpc.NextTaskRequest(
            pool=LEASED,
            worker_id="worker",
            slots=WORKER_SLOTS,
            free_slots=WORKER_SLOTS,
            max_tasks=1,
        )
        leases = rpc.NextTaskResponse.FromString(
            await self._next_call(request.SerializeToString())
        ).leases
        self.leased += len(leases)
        now = time.perf_counter()
        self._leased.extend((lease, now) for lease in leases)
        return len(leases)

    async def task_done(self, _: int) -> int:
        """Report one task."""
        if not self._leased:
            return 0
        lease, since = self._leased.popleft()
        request = rpc.TaskDoneRequest(worker_id="worker", results=_results([lease], since))
        await self._done_call(request.SerializeToString())
        self.done += 1
        return 1

    def cycle(self, batch: int) -> Step:
        """Lease a batch and report the one before, in one call."""

        async def step(worker: int) -> int:
            request = self.poll_request(worker, batch).SerializeToString()
            return self.take(
                worker, rpc.NextTaskResponse.FromString(await self._next_call(request))
            )

        return step

    async def finish(self) -> None:
        """Report all that is still leased."""
        for worker, (leases, since) in self._carried.items():
            if leases:
                results = _results(leases, since)
                request = rpc.TaskDoneRequest(worker_id=f"worker-{worker}", results=results)
                await self._done_call(request.SerializeToString())
                self.done += len(results)
        while self._leased:
            await self.task_done(0)


def _results(leases: Sequence[types.TaskLease], since: float) -> list[types.TaskResult]:
    """Successes of tasks that ran since they were leased."""
    success = types.TaskSuccess(runtime_seconds=time.perf_counter() - since)
    return [
        types.TaskResult(lease_id=lease.lease_id, attempt=lease.attempt, success=success)
        for lease in leases
    ]


class Slice:
    """What one slice of one workload measured."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.cpu = 0.0
        #: Seconds per request.
        self.latencies: list[float] = []

    @property
    def rate(self) -> float:
        """Tasks (or calls) per second."""
        return self.count / self.seconds

    @property
    def cpu_us(self) -> float:
        """Server CPU per task (or call), microseconds."""
        return self.cpu / max(self.count, 1) * 1e6


async def unary_slice(step: Step, in_flight: int, seconds: float) -> Slice:
    """Keep so many calls under way for so long."""
    measured = Slice()
    start = time.perf_counter()

    async def loop(worker: int) -> None:
        now = time.perf_counter()
        while now < start + seconds:
            count = await step(worker)
            if not count:
                return
            measured.count += count
            before, now = now, time.perf_counter()
            measured.latencies.append(now - before)

    await asyncio.gather(*(loop(worker) for worker in range(in_flight)))
    measured.seconds = time.perf_counter() - start
    return measured


async def stream_slice(load: Load, batch: int, in_flight: int, seconds: float) -> Slice:
    """As ``unary_slice``, with every request on one Work stream."""
    measured = Slice()
    stream = load.work_call()
    sent: dict[int, float] = {}
    start = time.perf_counter()

    async def ask(worker: int) -> None:
        sent[worker] = time.perf_counter()
        request = rpc.WorkRequest(sequence=worker, next_task=load.poll_request(worker, batch))
        await stream.write(request.SerializeToString())

    for worker in range(in_flight):
        await ask(worker)
    while sent:
        response = rpc.WorkResponse.FromString(await stream.read())
        assert response.WhichOneof("response") == "next_task", response
        worker = response.sequence
        measured.count += load.take(worker, response.next_task)
        now = time.perf_counter()
        measured.latencies.append(now - sent.pop(worker))
        if now < start + seconds:
            await ask(worker)
    measured.seconds = time.perf_counter() - start
    await stream.done_writing()
    return measured


async def measure(args: argparse.Namespace, port: int, server_pid: int) -> None:
    """All levels, all rounds; prints the tables."""
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        load = Load(channel)
        await _backlog(load)
        workloads: dict[str, Callable[[int, float], Awaitable[Slice]]] = {}

        def unary(name: str, step: Step) -> None:
            workloads[name] = lambda in_flight, seconds: unary_slice(step, in_flight, seconds)

        def stream(name: str, batch: int) -> None:
            workloads[name] = lambda in_flight, s: stream_slice(load, batch, in_flight, s)

        unary("no-op", load.noop)
        unary("no-op again", load.noop)

        def submit(in_flight: int, seconds: float) -> Awaitable[Slice]:
            load.prepare(round(MOST_PER_SECOND * seconds))
            return unary_slice(load.submit, in_flight, seconds)

        workloads["SubmitJob"] = submit
        unary("NextTask", load.next_task)
        unary("TaskDone", load.task_done)
        for batch in (1, 10, 100):
            unary(f"poll+done, {batch}", load.cycle(batch))
        for batch in (1, 10, 100):
            stream(f"stream, {batch}", batch)
        if args.only:
            wanted = {"no-op", *args.only.split(";")}
            workloads = {name: run for name, run in workloads.items() if name in wanted}
        for in_flight in args.in_flight:
            rounds = await _rounds(args, workloads, in_flight, server_pid)
            _report(in_flight, rounds)
        await load.finish()
        raw: Any = channel
        counted = json.loads(await raw.unary_unary(served.COUNTERS)(b""))
        sent = {"jobs": load.submitted, "leased": load.leased, "done": load.done}
        print(f"\nsent {sent}, the service counted {counted}")
        assert sent.items() <= counted.items(), "the service has not counted what was sent"


async def _backlog(load: Load) -> None:
    """Enough waiting tasks for every slice."""
    for pool in (LEASED, CYCLED):
        for _ in range(1000):
            await load.fill(pool)


async def _rounds(
    args: argparse.Namespace,
    workloads: dict[str, Callable[[int, float], Awaitable[Slice]]],
    in_flight: int,
    server_pid: int,
) -> list[dict[str, Slice]]:
    order = list(workloads)
    shuffler = random.Random(in_flight)
    rounds = []
    for _ in range(args.rounds):
        measured = {}
        shuffler.shuffle(order)
        for name in order:
            before = cpu_seconds(server_pid)
            measured[name] = await workloads[name](in_flight, args.slice)
            measured[name].cpu = cpu_seconds(server_pid) - before
        rounds.append(measured)
    return rounds


def _report(in_flight: int, rounds: Sequence[dict[str, Slice]]) -> None:
    print(f"\n{in_flight} in flight, {len(rounds)} rounds")
    print(
        f"{'workload':16}{'per s':>9}{'p50 ms':>8}{'p99 ms':>8}{'CPU us':>8}"
        f"{'rate / no-op':>25}{'CPU / no-op':>25}"
    )
    for name in rounds[0]:
        slices = [measured[name] for measured in rounds]
        latencies = sorted(latency for each in slices for latency in each.latencies)
        rates = [measured[name].rate / measured["no-op"].rate for measured in rounds]
        cpus = [measured[name].cpu_us / measured["no-op"].cpu_us for measured in rounds]
        print(
            f"{name:16}"
            f"{statistics.median(each.rate for each in slices):9,.0f}"
            f"{quantile(latencies, 0.5) * 1e3:8.2f}{quantile(latencies, 0.99) * 1e3:8.2f}"
            f"{statistics.median(each.cpu_us for each in slices):8.1f}"
            f"{interval(rates)!s:>25}{interval(cpus)!s:>25}",
            flush=True,
        )


def main() -> None:
    """Start the service, measure, stop it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--slice", type=float, default=0.6, help="seconds")
    parser.add_argument(
        "--in-flight", type=lambda text: [int(n) for n in text.split(",")], default=[1, 10, 50, 200]
    )
    parser.add_argument("--only", help="names of workloads, separated by ';'")
    parser.add_argument("--data", help="directory of the journal, or :memory:; default: temporary")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", served.__name__, args.data or str(Path(scratch) / "data")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            try:
                asyncio.run(measure(args, port, server.pid))
            finally:
                server.terminate()
            assert server.wait() == 0, "the service did not end well"


if __name__ == "__main__":
    main()
