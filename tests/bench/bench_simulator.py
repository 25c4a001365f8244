"""What a simulated task costs, under each policy and as workloads grow.

    .venv/bin/python -m tests.bench.bench_simulator [--jobs 1000] [--tasks 10000,40000,160000]

First a workload of ``--jobs`` jobs under every policy: tasks per second of this machine's time, and
the same over the rate of ``fifo``.  Then ``uwfq`` alone with as many tasks as ``--tasks`` says: the
time per task, the same over that of the smallest workload (1: the time is linear in the tasks), and
the peak memory of a process of its own.  Each figure is the best of ``--rounds`` rounds, which take
turns; processor time, so that other programs disturb less.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import time

from uwfq_service.core.policy import POLICIES
from uwfq_service.simulator.runs import Options
from uwfq_service.simulator.workload import JobSpec, StageSpec, Workload
from uwfq_service.simulator.world import simulate

SLOTS = 32
TASKS_PER_JOB = 10
#: Work that arrives over what the slots can do.
LOAD = 0.9


def workload(jobs: int, users: int = 20) -> Workload:
    """Jobs of two stages and ten tasks on average, at random; most slots are busy."""
    draw = random.Random(1)
    specs = []
    at = 0.0
    for number in range(jobs):
        tasks = [draw.lognormvariate(-0.5, 0.8) for _ in range(draw.randint(5, 15))]
        at += draw.expovariate(LOAD * SLOTS / sum(tasks))
        first = draw.randint(1, len(tasks) - 1)
        specs.append(
            JobSpec(
                job=f"job-{number}",
                user=f"user-{draw.randrange(users)}",
                submit=at,
                stages=(
                    StageSpec(stage="scan", tasks=tuple(tasks[:first])),
                    StageSpec(stage="sum", tasks=tuple(tasks[first:])),
                ),
            )
        )
    return Workload(version=1, name=f"{jobs} jobs", slots=SLOTS, jobs=tuple(specs))


def tasks_of(given: Workload) -> int:
    """How many tasks a workload has."""
    return sum(len(stage.tasks or ()) for job in given.jobs for stage in job.stages)


def seconds(given: Workload, policy: str) -> float:
    """Processor time of one run."""
    started = time.process_time()
    simulate(given, Options(policy=policy))
    return time.process_time() - started


def compare_policies(jobs: int, rounds: int) -> None:
    """One workload under every policy."""
    given = workload(jobs)
    tasks = tasks_of(given)
    best = dict.fromkeys(POLICIES, float("inf"))
    for _ in range(rounds):
        for policy in POLICIES:
            best[policy] = min(best[policy], seconds(given, policy))
    print(f"{jobs:,} jobs, {tasks:,} tasks\n")
    print(f"{'policy':>12} {'tasks/s':>10} {'us a task':>10} {'rate / fifo':>12}")
    for policy, spent in best.items():
        ratio = best["fifo"] / spent
        print(f"{policy:>12} {tasks / spent:>10,.0f} {spent / tasks * 1e6:>10.1f} {ratio:>12.2f}")


def measured(jobs: int) -> tuple[int, float, float]:
    """Tasks, processor seconds, and peak MiB of this process, for one run under ``uwfq``."""
    given = workload(jobs)
    spent = seconds(given, "uwfq")
    return tasks_of(given), spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare_sizes(sizes: list[int], rounds: int) -> None:
    """Workloads of so many tasks, each in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    best: dict[int, tuple[int, float, float]] = {}
    for _ in range(rounds):
        for size in sizes:
            with spawn.Pool(1) as pool:
                found = pool.apply(measured, (size // TASKS_PER_JOB,))
            if size not in best or found[1] < best[size][1]:
                best[size] = found
    first = best[sizes[0]][1] / best[sizes[0]][0]
    print(f"\n{'tasks':>12} {'seconds':>10} {'us a task':>10} {'/ smallest':>12} {'peak MiB':>10}")
    for tasks, spent, memory in (best[size] for size in sizes):
        each = spent / tasks
        print(
            f"{tasks:>12,} {spent:>10.2f} {each * 1e6:>10.1f} {each / first:>12.2f} {memory:>10.0f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--tasks", default="10000,40000,160000")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    compare_policies(args.jobs, args.rounds)
    compare_sizes([int(text) for text in args.tasks.split(",")], args.rounds)


if __name__ == "__main__":
    main()
