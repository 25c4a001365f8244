"""A bit of everything, drawn at random: for what nobody has thought of.

Sizes have a heavy tail, users have weights, jobs come alone or in bursts, some wait for another's
result; stages depend on each other in all the ways that the format knows, tasks are given one by
one or as a total, estimates are declared well, badly or not at all.

Units: seconds, bytes; work in slot-seconds.
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

#: Fewest and most of what is drawn evenly.
USERS: Final = (2, 24)
JOBS: Final = (100, 400)
TAIL: Final = (1.1, 1.8)
LOAD: Final = (0.6, 1.3)
SLOTS: Final = (4, 8, 16, 32, 64)
WEIGHTS: Final = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0)
#: Seconds that all slots together need for the smallest job and for the largest.
SHORTEST, LONGEST = 0.05, 30.0
#: What stages wait for, by the number of stages; ``None``: the one before it.
SHAPES: Final[dict[int, tuple[tuple[tuple[str, ...] | None, ...], ...]]] = {
    1: ((None,),),
    2: ((None, None), ((), ())),
    3: ((None, None, None), ((), (), ("a", "b")), ((), ("a",), ("a",))),
}


def random_mixture(seed: int) -> Workload:
    """Heavy tails, unequal weights, bursts, dependencies, delays: other in every seed."""
    name = "random"
    rng = randomness(name, seed)
    slots = rng.choice(SLOTS)
    users = [f"user-{number}" for number in range(1, rng.randint(*USERS) + 1)]
    weights = {user: rng.choice(WEIGHTS) for user in users}
    works = _heavy_tailed(rng, rng.randint(*JOBS), slots)
    horizon = sum(works) / (slots * rng.uniform(*LOAD))
    activity = [rng.lognormvariate(0, 1) for _ in users]
    latest: dict[str, str] = {}
    jobs: list[JobSpec] = []
    submissions = sorted(_bursts(rng, horizon, len(works)))
    for number, (work, at) in enumerate(zip(works, submissions, strict=True), start=1):
        (user,) = rng.choices(users, activity)
        # Some users wait for a result before they ask for the next.
        after = latest.get(user) if rng.random() < 0.15 else None
        latest[user] = f"{user}/{number}"
        jobs.append(
            JobSpec(
                job=latest[user],
                user=user,
                submit=at if after is None else micro(rng.expovariate(1.0)),
                after=after,
                signature=f"query-{rng.randint(1, 40)}" if rng.random() < 0.7 else "",
                input_bytes=round(work * 1e8) if rng.random() < 0.5 else None,
                estimate=micro(work * rng.lognormvariate(0, 0.5)) if rng.random() < 0.5 else None,
                stages=_stages(rng, work, slots),
            )
        )
    return assembled(name, seed, slots=slots, jobs=jobs, weights=weights)


def _heavy_tailed(rng: random.Random, count: int, slots: int) -> list[float]:
    tail = rng.uniform(*TAIL)
    return [slots * min(LONGEST, SHORTEST * rng.paretovariate(tail)) for _ in range(count)]


def _bursts(rng: random.Random, horizon: float, count: int) -> Iterator[float]:
    """``count`` instants before ``horizon``, one to twenty at a time."""
    while count > 0:
        size = min(count, rng.choice((1, 1, 1, 2, 5, 20)))
        yield from arrivals(rng, start=rng.uniform(0, horizon), mean_gap=0.02, count=size)
        count -= size


def _stages(rng: random.Random, work: float, slots: int) -> tuple[StageSpec, ...]:
    shape = rng.choice(SHAPES[rng.randint(1, 3)])
    shares = [rng.uniform(0.2, 1) for _ in shape]
    stages = []
    for stage, after, share in zip("abc", shape, shares, strict=False):
        part = work * share / sum(shares)
        # A stage is cut into anything from one task to two for every slot.
        tasks = uneven(rng, part, rng.randint(1, min(2 * slots, 64)), rng.uniform(0.1, 1))
        whole = rng.random() < 0.2
        stages.append(
            StageSpec(
                stage=stage,
                work=micro(part) if whole else None,
                tasks=None if whole else tasks,
                after=after,
                delay=micro(rng.uniform(0.01, 0.5)) if rng.random() < 0.3 else 0.0,
            )
        )
    return tuple(stages)
