"""Jobs of one size only, very large or very small: where sizes cannot tell users apart.

Units: seconds; work in slot-seconds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from uwfq_service.simulator.scenarios.parts import (
    arrivals,
    assembled,
    micro,
    randomness,
    uneven,
)
from uwfq_service.simulator.workload import JobSpec, StageSpec, Workload

SLOTS: Final = 32

# ------------------------------------------------------------------- all large

#: How long a phase is, and its offered load: above capacity, then time to catch up.
PHASES: Final = ((400.0, 1.6), (400.0, 0.5))
#: Each user submits so many of 13 jobs.
LARGE_USERS: Final = {"red": 5, "green": 3, "blue": 2, "cyan": 2, "grey": 1}
SMALLEST_LARGE_WORK: Final = 250.0
MEAN_LARGE_WORK: Final = 600.0


def all_large(seed: int) -> Workload:
    """Five users with large jobs only, for a while more of them than the slots can do."""
    name = "all-large"
    rng = randomness(name, seed)
    instants: list[float] = []
    start = 0.0
    for seconds, load in PHASES:
        count = round(seconds * SLOTS * load / MEAN_LARGE_WORK)
        instants += sorted(micro(start + rng.uniform(0, seconds)) for _ in range(count))
        start += seconds
    jobs = []
    for number, submit in enumerate(instants, start=1):
        (user,) = rng.choices(list(LARGE_USERS), list(LARGE_USERS.values()))
        beyond = MEAN_LARGE_WORK - SMALLEST_LARGE_WORK
        work = SMALLEST_LARGE_WORK + beyond * rng.lognormvariate(-0.245, 0.7)
        stages = _large_stages(rng, work)
        jobs.append(JobSpec(job=f"{user}/{number}", user=user, submit=submit, stages=stages))
    return assembled(name, seed, slots=SLOTS, jobs=jobs, weights=dict.fromkeys(LARGE_USERS, 1.0))


def _large_stages(rng: random.Random, work: float) -> tuple[StageSpec, ...]:
    """Read, shuffle, write; cut into more tasks than there are slots, some much longer."""
    parts = (("read", 0.6, 128, 0.6), ("shuffle", 0.35, 64, 0.4), ("write", 0.05, 16, 0.2))
    return tuple(
        StageSpec(
            stage=stage,
            tasks=uneven(rng, work * part, count, spread),
            delay=0.05 if place else 0.0,
        )
        for place, (stage, part, count, spread) in enumerate(parts)
    )


# -------------------------------------------------------------------- all tiny

TINY_JOBS: Final = 4_000
TINY_LOAD: Final = 0.9
#: Work of the smallest and of the largest job.
TINY_WORK: Final = (0.02, 0.95)
TINY_USERS: Final = 12


def all_tiny(seed: int) -> Workload:
    """Twelve users with thousands of jobs of less than a second, many at a time."""
    name = "all-tiny"
    rng = randomness(name, seed)
    smallest, largest = TINY_WORK
    works = [smallest + (largest - smallest) * rng.betavariate(1.2, 2.5) for _ in range(TINY_JOBS)]
    horizon = sum(works) / (SLOTS * TINY_LOAD)
    # Nobody is as active as the next one.
    users = [f"user-{number}" for number in range(1, TINY_USERS + 1)]
    activity = [1 / number for number in range(1, TINY_USERS + 1)]
    submitted = sorted(_flurries(rng, horizon, TINY_JOBS))
    jobs = []
    for number, (submit, work) in enumerate(zip(submitted, works, strict=True), start=1):
        (user,) = rng.choices(users, activity)
        stages = _tiny_stages(rng, work)
        jobs.append(JobSpec(job=f"{user}/{number}", user=user, submit=submit, stages=stages))
    return assembled(name, seed, slots=SLOTS, jobs=jobs, weights=dict.fromkeys(users, 1.0))


def _flurries(rng: random.Random, horizon: float, count: int) -> Iterator[float]:
    """``count`` instants before ``horizon``: half of them at random, half ten at a time."""
    for _ in range(count // 2):
        yield micro(rng.uniform(0, horizon))
    left = count - count // 2
    while left:
        size = min(left, 10)
        yield from arrivals(rng, start=rng.uniform(0, horizon), mean_gap=0.005, count=size)
        left -= size


def _tiny_stages(rng: random.Random, work: float) -> tuple[StageSpec, ...]:
    count = rng.randint(1, 4)
    if rng.random() < 0.8:
        return (StageSpec(stage="run", tasks=uneven(rng, work, count, 0.3)),)
    return (
        StageSpec(stage="read", tasks=uneven(rng, 0.8 * work, count, 0.3)),
        StageSpec(stage="sum", tasks=(micro(0.2 * work),), delay=0.01),
    )
