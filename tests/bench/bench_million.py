"""A million tasks through the service, durable, with a kill -9 in the middle.

    .venv/bin/python -m tests.bench.bench_million [--jobs 10000] [--tasks 100] [--users 1000]

Starts ``uwfq serve`` with its default settings on a fresh data directory, submits all jobs (100
tasks each, the estimates wrong by up to a factor of two), and lets worker processes that do
nothing drain the pool in batches, results riding on the next poll.  When half of the tasks are
done the service is killed and started again; the workers repeat what was not answered.  At the
end every job must have succeeded and every task must have been accepted exactly once.

Prints tasks per second, server CPU per task, peak memory, size on disk, and how long the restart
took.  ``--profile FILE`` runs the service under cProfile instead, without the kill.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import pstats
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grpc

from tests.bench import million_worker
from tests.bench.measuring import PATIENCE, ServerProcess
from uwfq.v1 import admin_service_pb2 as admin
from uwfq.v1 import admin_service_pb2_grpc, scheduler_service_pb2_grpc
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types

SUBMITS_IN_FLIGHT: Final = 64


class Service(ServerProcess):
    """``uwfq serve`` on one data directory."""

    def __init__(self, directory: Path, profile: str | None) -> None:
        self.directory = directory
        self.target = f"unix:{directory}/socket"
        profiler = ["-m", "cProfile", "-o", profile] if profile else []
        command = [sys.executable, *profiler, "-m", "uwfq_service.cli", "serve"]
        where = [f"--listen={self.target}", f"--data={directory / 'data'}"]
        super().__init__([*command, *where], directory / "log")

    def disk_bytes(self) -> int:
        """Size of the data directory."""
        return sum(path.stat().st_size for path in (self.directory / "data").iterdir())


class Workers:
    """The worker processes, and what they have reported."""

    def __init__(self, target: str, processes: int, batch: int, lanes: int) -> None:
        self._latest: list[dict[str, float]] = [{} for _ in range(processes)]
        self._processes = []
        for number in range(processes):
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", million_worker.__name__, target),
                    *(f"worker-{number}", str(batch), str(lanes)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
            self._processes.append(process)
            threading.Thread(target=self._read, args=(number, process), daemon=True).start()

    def _read(self, number: int, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None, "started with a pipe"
        for line in process.stdout:
            self._latest[number] = json.loads(line)

    @property
    def totals(self) -> Counter[str]:
        """What has become of the results so far."""
        total: Counter[str] = Counter()
        for latest in self._latest:
            total.update(latest)
        return total

    @property
    def done(self) -> int:
        """Tasks that are done."""
        return self.totals["accepted"] + self.totals["accepted_unheard"]

    def wait_for(self, done: int) -> None:
        """Return when so many tasks are done."""
        deadline = time.monotonic() + PATIENCE
        while self.done < done:
            assert time.monotonic() < deadline, f"stuck: {self.totals}"
            for process in self._processes:
                assert process.poll() is None, "a worker has ended"
            assert not self.totals["refused"], f"results were refused: {self.totals}"
            time.sleep(0.01)

    def stop(self) -> None:
        """End all."""
        for process in self._processes:
            process.terminate()
            process.wait()


class Bench:
    """One run."""

    def __init__(self, args: argparse.Namespace, service: Service) -> None:
        self.args = args
        self.service = service
        self.tasks = args.jobs * args.tasks

    def run(self) -> None:
        """All phases."""
        asyncio.run(self._submit())
        self._tell("after submitting")
        workers = Workers(self.service.target, self.args.workers, self.args.batch, self.args.lanes)
        try:
            self._drain(workers)
        finally:
            workers.stop()
        self._tell("drained")
        asyncio.run(self._check(workers.totals))
        began = time.monotonic()
        self.service.stop()
        print(f"stopped in {time.monotonic() - began:.2f} s", flush=True)
        print(f"on disk after the stop: {_mb(self.service.disk_bytes())}")

    def _drain(self, workers: Workers) -> None:
        workers.wait_for(1)
        if not self.args.profile:
            with self._measured("first half", workers):
                workers.wait_for(self.tasks // 2)
            self._tell("before the kill")
            self._kill(workers)
        with self._measured("the rest", workers):
            workers.wait_for(self.tasks)

    @contextlib.contextmanager
    def _measured(self, what: str, workers: Workers) -> Iterator[None]:
        began, cpu, before = time.monotonic(), self.service.cpu_seconds(), workers.totals
        done = workers.done
        yield
        seconds, count = time.monotonic() - began, workers.done - done
        server = self.service.cpu_seconds() - cpu
        client = workers.totals["cpu"] - before["cpu"]
        print(
            f"{what}: {count:,} tasks in {seconds:.1f} s: {count / seconds:,.0f} tasks/s; "
            f"server CPU {server / count * 1e6:.1f} us a task ({server / seconds:.0%} of a core), "
            f"workers {client / count * 1e6:.1f} us",
            flush=True,
        )

    def _kill(self, workers: Workers) -> None:
        self.service.kill()
        heard = workers.done
        self.service.restart()
        done, waiting, jobs = asyncio.run(self._count())
        said = self.service.said
        print(
            f"killed with {heard:,} tasks reported as done; restart: serving after "
            f"{self.service.start_seconds:.2f} s, of which recovery {said['recovery_seconds']} s "
            f"({said['recovered_events']:,} events); {jobs:,} jobs, {done:,} tasks done, "
            f"{waiting:,} not",
            flush=True,
        )
        assert jobs == self.args.jobs, "a job is gone"
        assert done + waiting == self.tasks, "a task is gone"
        assert done >= heard, "an acknowledged result is gone"

    def _tell(self, when: str) -> None:
        service = self.service
        print(
            f"{when}: peak memory {_mb(service.peak_bytes())}, on disk {_mb(service.disk_bytes())}",
            flush=True,
        )

    # -- calls -------------------------------------------------------------------------------------

    async def _submit(self) -> None:
        chance = random.Random(1)
        users = [number % self.args.users for number in range(self.args.jobs)]
        chance.shuffle(users)
        requests = iter([self._job(number, user, chance) for number, user in enumerate(users)])
        began, cpu = time.monotonic(), self.service.cpu_seconds()
        async with grpc.aio.insecure_channel(self.service.target) as channel:
            stub = scheduler_service_pb2_grpc.SchedulerServiceStub(channel)

            async def submit() -> None:
                for request in requests:
                    await stub.SubmitJob(request)

            await asyncio.gather(*(submit() for _ in range(SUBMITS_IN_FLIGHT)))
        seconds, cpu = time.monotonic() - began, self.service.cpu_seconds() - cpu
        print(
            f"submitted {len(users):,} jobs of {self.args.users:,} users, {self.tasks:,} tasks, in "
            f"{seconds:.1f} s: {len(users) / seconds:,.0f} jobs/s, server CPU "
            f"{cpu / len(users) * 1e6:.0f} us a job",
            flush=True,
        )

    def _job(self, number: int, user: int, chance: random.Random) -> rpc.SubmitJobRequest:
        count = self.args.tasks
        work = count * million_worker.RUNTIME_SECONDS * chance.uniform(0.5, 2)
        return rpc.SubmitJobRequest(
            user=f"user-{user}",
            job_id=f"job-{number}",
            signature=f"query-{number % 10}",
            estimated_work_slot_seconds=work,
            stages=[types.StageSpec(stage="only", tasks=types.TaskList(count=count))],
        )

    async def _jobs(self) -> list[types.Job]:
        jobs: list[types.Job] = []
        options = [("grpc.max_receive_message_length", -1)]
        async with grpc.aio.insecure_channel(self.service.target, options=options) as channel:
            stub = scheduler_service_pb2_grpc.SchedulerServiceStub(channel)
            request = rpc.ListJobsRequest(page_size=1000)
            while True:
                page = await stub.ListJobs(request, wait_for_ready=True)
                jobs += page.jobs
                if not page.next_page_token:
                    return jobs
                request.page_token = page.next_page_token

    async def _count(self) -> tuple[int, int, int]:
        """Tasks that are done, tasks that are not, and jobs."""
        jobs = await self._jobs()
        stages = [stage for job in jobs for stage in job.stages]
        done = sum(stage.done for stage in stages)
        return done, sum(stage.task_count for stage in stages) - done, len(jobs)

    async def _check(self, totals: Counter[str]) -> None:
        jobs = await self._jobs()
        assert len(jobs) == self.args.jobs, f"{len(jobs)} jobs are known"
        for job in jobs:
            assert job.state == types.JOB_STATE_SUCCEEDED, job
            assert not job.failed_attempts, job
            assert job.stages[0].done == job.stages[0].task_count == self.args.tasks, job
        accepted = totals["accepted"] + totals["accepted_unheard"]
        assert accepted == self.tasks, f"{accepted} results were accepted"
        async with grpc.aio.insecure_channel(self.service.target) as channel:
            stub = admin_service_pb2_grpc.AdminServiceStub(channel)
            pool = (await stub.GetPool(admin.GetPoolRequest())).pool
        assert (pool.jobs, pool.launchable_tasks, pool.running_slots) == (0, 0, 0), pool
        print(
            f"checked: {len(jobs):,} jobs succeeded, {accepted:,} tasks were accepted once each "
            f"({totals['accepted_unheard']:,} of them in answers that the kill swallowed)",
            flush=True,
        )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=100, help="tasks of each job")
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--lanes", type=int, default=2, help="polls under way in each of them")
    parser.add_argument("--batch", type=int, default=1_000, help="tasks in one poll")
    parser.add_argument("--profile", metavar="FILE", help="profile the service; no kill")
    parser.add_argument("--data", help="where to make the data directory; default: temporary")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="uwfq-million-", dir=args.data) as scratch:
        service = Service(Path(scratch), args.profile)
        try:
            Bench(args, service).run()
        finally:
            service.process.kill()
            service.process.wait()
    if args.profile:
        pstats.Stats(args.profile).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
