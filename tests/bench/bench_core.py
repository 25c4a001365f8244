"""What one job costs the core: submit + next + done, with many jobs waiting.

    .venv/bin/python -m tests.bench.bench_core [--jobs 1000,100000,1000000] [--users 10,1000,10000]

Fills a pool with waiting jobs of one task, then measures cycles of one submission, one poll and
one result at that level, in slices, and prints the median and the 99th percentile in microseconds,
and the peak resident memory.  Work is heavy-tailed, so new jobs land all over the order.  What
falls due by itself is done when it is due, as in the service, and belongs to the cycle.

``exact``: tasks run for as long as was estimated; else estimates are wrong by up to a factor of
two, so that every end of a job corrects its charge.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import statistics
import time

from uwfq_service.core.commands import (
    ConfigurePool,
    NextTask,
    StageSpec,
    SubmitJob,
    TaskDone,
    TaskList,
    TaskRef,
    TaskResult,
    TaskSuccess,
    Tick,
)
from uwfq_service.core.replies import NextTaskReply
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings

SLICE = 2000
SLICES = 10


class Bench:
    """A scheduler with a load of jobs, and a worker that runs them."""

    def __init__(self, users: int, policy: str) -> None:
        self.scheduler = Scheduler(Settings(retention_jobs=1000))
        self.random = random.Random(1)
        self.users = [f"user-{index}" for index in range(users)]
        self.now = 1.0
        self.job = 0
        self.scheduler.apply(ConfigurePool(pool="default", policy=policy, fixed_slots=1), 1.0)

    def submission(self) -> SubmitJob:
        """The next job of a random user."""
        self.job += 1
        return SubmitJob(
            user=self.random.choice(self.users),
            job_id=f"job-{self.job:08d}",
            signature=f"query-{self.job % 100}",
            stages=(
                StageSpec(
                    stage="only",
                    cut=TaskList(count=1),
                    declared_work=min(self.random.paretovariate(1.2), 1000.0),
                ),
            ),
        )

    def fill(self, jobs: int) -> None:
        """Submit ``jobs`` jobs."""
        for _ in range(jobs):
            self.now += 1e-5
            self.scheduler.apply(self.submission(), self.now)

    def cycles(self, count: int, error: float = 2.0) -> list[float]:
        """Seconds of each of ``count`` cycles, the making of the commands left out.

        Tasks run up to ``error`` times as long as was estimated, or as short.
        """
        apply = self.scheduler.apply
        poll = NextTask(worker_id="worker", slots=64, free_slots=1)
        costs = []
        for _ in range(count):
            self.now += 1e-3
            command = self.submission()
            started = time.perf_counter()
            apply(command, self.now)
            reply = apply(poll, self.now).reply
            spent = time.perf_counter() - started
            assert isinstance(reply, NextTaskReply), "a poll is answered by leases"
            lease = reply.leases[0]
            runtime = lease.estimate * self.random.uniform(1 / error, error)
            self.now += runtime
            ref = TaskRef(lease_id=lease.lease_id, attempt=1)
            result = TaskResult(task=ref, outcome=TaskSuccess(runtime=runtime))
            report = TaskDone(worker_id="worker", results=(result,))
            started = time.perf_counter()
            apply(report, self.now)
            due = self.scheduler.next_wakeup()
            if due is not None and due <= self.now:
                apply(Tick(), self.now)
            costs.append(spent + time.perf_counter() - started)
        return costs


def resident_bytes() -> int:
    """The process's peak resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", default="1000,100000,1000000")
    parser.add_argument("--users", default="10,1000,10000")
    parser.add_argument("--policy", default="uwfq")
    args = parser.parse_args()
    gc.set_threshold(5000, 10, 1_000_000)
    columns = ("exact us", "median us", "p99 us", "fill us")
    print(f"{'waiting jobs':>12} {'users':>6}", *(f"{column:>9}" for column in columns))
    for users in (int(text) for text in args.users.split(",")):
        bench = Bench(users, args.policy)
        filled = 0
        for jobs in (int(text) for text in args.jobs.split(",")):
            started = time.perf_counter()
            bench.fill(jobs - filled)
            fill = (time.perf_counter() - started) / (jobs - filled)
            filled = jobs
            gc.collect()
            gc.freeze()
            bench.cycles(200)
            exact = statistics.median(bench.cycles(SLICE * 2, error=1.0))
            slices = [bench.cycles(SLICE) for _ in range(SLICES)]
            median = statistics.median(statistics.median(costs) for costs in slices)
            p99 = statistics.median(sorted(costs)[int(SLICE * 0.99)] for costs in slices)
            costs = (exact, median, p99, fill)
            print(f"{jobs:>12,} {users:>6,}", *(f"{c * 1e6:>9.1f}" for c in costs), flush=True)
        del bench
        gc.unfreeze()
        gc.collect()
    print(f"peak resident memory: {resident_bytes() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
