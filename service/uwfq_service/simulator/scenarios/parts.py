"""What scenarios are assembled from: arrivals, runtimes, and stages as Spark makes them.

All numbers are rounded to microseconds, which no scheduler can tell from the truth, and which keeps
the documents readable.  Only ``random.Random`` decides, and every scenario has one of its own.

Units: seconds; work in slot-seconds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from uwfq_service.simulator.workload import VERSION, JobSpec, StageSpec, UserSpec, Workload


def randomness(name: str, seed: int) -> random.Random:
    """The randomness of one scenario: seeds of different scenarios have nothing in common."""
    return random.Random(f"{name}/{seed}")


def assembled(
    name: str,
    seed: int,
    *,
    slots: int,
    jobs: Iterable[JobSpec],
    weights: Mapping[str, float] | None = None,
) -> Workload:
    """The workload; without ``weights`` its users are those of the jobs, and equal."""
    jobs = tuple(jobs)
    weights = weights or dict.fromkeys((job.user for job in jobs), 1.0)
    return Workload(
        version=VERSION,
        # Results of two seeds must not look like those of one workload.
        name=f"{name}-{seed}" if seed else name,
        slots=slots,
        users=tuple(UserSpec(user=user, weight=weight) for user, weight in weights.items()),
        jobs=jobs,
    )


def micro(value: float) -> float:
    """Rounded to microseconds, but never to nothing."""
    return max(round(value, 6), 1e-6)


# -------------------------------------------------------------------- arrivals


def arrivals(rng: random.Random, *, start: float, mean_gap: float, count: int) -> Iterator[float]:
    """``count`` instants, the first at ``start``, the gaps memoryless."""
    at = start
    for _ in range(count):
        yield micro(at)
        at += rng.expovariate(1 / mean_gap)


# -------------------------------------------------------------------- runtimes


def shared_out(work: float, shares: Sequence[float]) -> tuple[float, ...]:
    """Task runtimes in the proportion of ``shares``, ``work`` together."""
    whole = math.fsum(shares)
    return tuple(micro(work * share / whole) for share in shares)


def uneven(rng: random.Random, work: float, count: int, spread: float) -> tuple[float, ...]:
    """Runtimes of ``count`` tasks whose logarithms have the standard deviation ``spread``."""
    return shared_out(work, [rng.lognormvariate(0, spread) for _ in range(count)])


def skewed(rng: random.Random, work: float, count: int) -> tuple[float, ...]:
    """Runtimes of a scan that was cut by size although its bytes cost unequally.

    Half a bell: the rows that take time lie at the front of the file.  Each task costs a little by
    itself, and the last one reads what was left over when the file was cut.
    """
    floor, leftover = 0.08, 0.017
    bell = [
        math.exp(-((4 * place / count) ** 2) / 2) * rng.uniform(0.95, 1.05)
        for place in range(count - 1)
    ]
    scale = max(0.0, work - leftover - floor * len(bell)) / math.fsum(bell)
    return (*(micro(floor + scale * share) for share in bell), micro(leftover))


# ---------------------------------------------------------------------- stages


def query(rng: random.Random, work: float) -> tuple[StageSpec, ...]:
    """What Spark makes of one query over many files: ``work`` slot-seconds in all.

    It lists the files in many tiny tasks, looks into one of them for the schema, scans, and puts
    the results together.  Between two stages the driver thinks.
    """
    think = 0.03
    listing = tuple(micro(0.075 * rng.uniform(0.9, 1.1)) for _ in range(64))
    schema, together = micro(0.05 * rng.uniform(0.9, 1.1)), micro(0.1 * rng.uniform(0.9, 1.1))
    scan = work - math.fsum(listing) - schema - together
    return (
        StageSpec(stage="list", tasks=listing),
        StageSpec(stage="schema", tasks=(schema,), delay=think),
        StageSpec(stage="scan", tasks=skewed(rng, scan, 32), delay=think),
        StageSpec(stage="agg", tasks=(together,), delay=think),
    )
