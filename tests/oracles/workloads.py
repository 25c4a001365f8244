"""Workloads: who submits what and when, as exact numbers.

Times and works are multiples of 1/8, so that floats hold them exactly and a run in fractions and a
run in floats see the same workload.  The families are those of the lag bound: ``mixed``, one
``heavy`` user, ``bursts``, ``equal`` sizes, small jobs ``inserted`` ahead of big ones, and sizes
with a heavy ``tail``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final

from tests.oracles.fluid import ONE, ZERO

#: The grain of times and works.
GRAIN: Final = 8


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage: the true runtimes of its tasks, seconds."""

    tasks: tuple[Fraction, ...]
    #: Positions of the stages that must be done first.
    after: tuple[int, ...] = ()
    #: Slots per task.
    width: int = 1

    @property
    def work(self) -> Fraction:
        """Slot-seconds."""
        return self.width * sum(self.tasks, ZERO)


@dataclass(frozen=True, slots=True)
class JobPlan:
    """One job as it will be submitted."""

    name: str
    user: str
    submit: Fraction
    stages: tuple[StagePlan, ...]
    job_weight: Fraction = ONE
    #: What the submitter claims, slot-seconds; ``None``: the truth, task by task.
    declared: Fraction | None = None

    @property
    def work(self) -> Fraction:
        """True slot-seconds."""
        return sum((stage.work for stage in self.stages), ZERO)

    @property
    def critical_path(self) -> Fraction:
        """Seconds that the job needs on any number of slots."""
        ends: list[Fraction] = []
        for stage in self.stages:
            start = max((ends[index] for index in stage.after), default=ZERO)
            ends.append(start + max(stage.tasks))
        return max(ends)


@dataclass(frozen=True, slots=True)
class Workload:
    """Jobs in the order of their submission, and the pool they run in."""

    name: str
    slots: int
    jobs: tuple[JobPlan, ...]
    weights: Mapping[str, Fraction] = field(default_factory=dict)

    @property
    def users(self) -> list[str]:
        """Everybody who submits, in order of appearance."""
        return list(dict.fromkeys(job.user for job in self.jobs))

    @property
    def longest_task(self) -> Fraction:
        """Seconds."""
        return max(task for job in self.jobs for stage in job.stages for task in stage.tasks)

    @property
    def largest_job(self) -> Fraction:
        """Slot-seconds."""
        return max(job.work for job in self.jobs)


def one_stage(
    name: str, user: str, submit: Fraction | int, tasks: Iterator[Fraction] | list[Fraction]
) -> JobPlan:
    """A job of a single stage."""
    return JobPlan(name, user, Fraction(submit), (StagePlan(tuple(tasks)),))


def unit_tasks(name: str, user: str, submit: Fraction | int, work: int) -> JobPlan:
    """A job of ``work`` tasks of one second."""
    return one_stage(name, user, submit, [ONE] * work)


def grains(number: float) -> Fraction:
    """``number`` rounded to the grain, at least one grain."""
    return Fraction(max(1, round(number * GRAIN)), GRAIN)


# The families.  Each makes jobs (user, submit, work, longest task); the rest is common.

Draft = tuple[str, Fraction, Fraction, Fraction]


def mixed(rng: random.Random, users: list[str], slots: int) -> Iterator[Draft]:
    """Everybody submits jobs of all sizes at any time."""
    for _ in range(rng.randint(10, 40)):
        work = grains(rng.lognormvariate(1.5, 1.2))
        submit = grains(rng.uniform(0, 40 / slots + 10))
        yield rng.choice(users), submit, work, grains(rng.uniform(0.25, 2))


def heavy(rng: random.Random, users: list[str], slots: int) -> Iterator[Draft]:
    """The first user floods the pool; the others come with small jobs."""
    for _ in range(rng.randint(5, 15)):
        yield users[0], grains(rng.uniform(0, 5)), grains(rng.uniform(5, 40)), grains(1.5)
    for _ in range(rng.randint(5, 25)):
        user = rng.choice(users[1:])
        yield user, grains(rng.uniform(0, 40)), grains(rng.uniform(0.25, 4)), grains(0.5)


def bursts(rng: random.Random, users: list[str], slots: int) -> Iterator[Draft]:
    """Many jobs at one instant, then nothing for a while."""
    for burst in range(rng.randint(2, 4)):
        start = Fraction(burst * rng.randint(5, 15))
        for _ in range(rng.randint(3, 12)):
            work = grains(rng.uniform(0.5, 12))
            yield rng.choice(users), start, work, grains(rng.uniform(0.25, 2))


def equal(rng: random.Random, users: list[str], slots: int) -> Iterator[Draft]:
    """All jobs have one size, so that none is ever inserted ahead of another."""
    work, task = grains(rng.uniform(1, 10)), grains(rng.uniform(0.25, 2))
    for _ in range(rng.randint(10, 30)):
        yield rng.choice(users), grains(rng.uniform(0, 30)), work, task


def inserted(rng: random.Random, users: list[str], slots: int) -> Iterator[Draft]:
    """All but the first user have a big job and insert small ones ahead of it, all at once.

    The first user has nothing of the kind, and comes with a small job at those moments.
    """
    stranger, *inserters = users
    big, task = rng.uniform(8, 24), grains(rng.uniform(0.25, 0.75))
    for user in inserters:
        yield user, ZERO, grains(big * rng.uniform(0.9, 1.1)), task
    for _ in range(rng.randint(1, 3)):
        moment = grains(big * len(inserters) / slots * rng.uniform(0.3, 0.95))
        for user in rng.sample(inserters, rng.randint(1, len(inserters))):
            for _ in range(rng.randint(1, 4)):
                yield user, moment, grains(big * rng.uniform(0.1, 0.6)), task
        yield stranger, moment, grains(big * rng.uniform(0.05, 0.5)), task


def tail(rng: random.Random, users: list[str], slots: int) -> Iterator[Draft]:
    """Sizes have a heavy tail: most jobs are tiny, and a few are most of the work."""
    for _ in range(rng.randint(10, 40)):
        work = grains(min(0.25 * rng.paretovariate(0.9), 60))
        yield rng.choice(users), grains(rng.uniform(0, 20)), work, grains(rng.uniform(0.25, 2))


FAMILIES: Final[Mapping[str, Callable[[random.Random, list[str], int], Iterator[Draft]]]] = {
    "mixed": mixed,
    "heavy": heavy,
    "bursts": bursts,
    "equal": equal,
    "inserted": inserted,
    "tail": tail,
}


def random_workload(family: str, seed: int, *, stages: int = 1, wide: bool = False) -> Workload:
    """The workload that ``family`` gives for ``seed``.

    Jobs have up to ``stages`` stages, one after another;
    with ``wide`` some tasks need several slots.
    """
    rng = random.Random(f"{family}/{seed}/{stages}/{wide}")
    slots = rng.choice([2, 4, 8] if wide else [1, 2, 4, 8])
    users = [f"user{number}" for number in range(rng.randint(2, 7))]
    weighted = rng.random() < 0.5
    weights = {user: Fraction(rng.randint(1, 10), 2) if weighted else ONE for user in users}
    drafts = sorted(FAMILIES[family](rng, users, slots), key=lambda draft: draft[1])
    jobs = []
    for number, (user, submit, work, task) in enumerate(drafts):
        width = rng.randint(1, slots // 2) if wide and rng.random() < 0.3 else 1
        plans = tuple(cut(rng, work, task, rng.randint(1, stages), width))
        jobs.append(JobPlan(f"job{number}", user, submit, plans))
    return Workload(f"{family} seed {seed}", slots, tuple(jobs), weights)


def same_size(workload: Workload) -> Workload:
    """``workload`` with every job cut as its first one."""
    stages = workload.jobs[0].stages
    jobs = tuple(
        JobPlan(job.name, job.user, job.submit, stages, job.job_weight) for job in workload.jobs
    )
    return Workload(workload.name, workload.slots, jobs, workload.weights)


def coarser(workload: Workload, together: int) -> Workload:
    """``workload`` with so many neighbouring tasks of a stage in one."""
    jobs = tuple(
        replace(
            job,
            stages=tuple(
                replace(
                    stage,
                    tasks=tuple(
                        sum(stage.tasks[first : first + together], ZERO)
                        for first in range(0, len(stage.tasks), together)
                    ),
                )
                for stage in job.stages
            ),
        )
        for job in workload.jobs
    )
    return replace(workload, jobs=jobs)


def cut(
    rng: random.Random, work: Fraction, task: Fraction, stages: int, width: int
) -> Iterator[StagePlan]:
    """Cut ``work`` into ``stages`` stages of tasks of about ``task`` seconds, one after another."""
    shares = [grains(float(work) / stages / width) for _ in range(stages)]
    for number, share in enumerate(shares):
        tasks: list[Fraction] = []
        rest = share
        while rest:
            tasks.append(min(rest, grains(float(task) * rng.uniform(0.5, 1))))
            rest -= tasks[-1]
        yield StagePlan(tuple(tasks), after=(number - 1,) if number else (), width=width)
