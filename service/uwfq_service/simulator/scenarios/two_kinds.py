"""Four users, two of each kind: the situations in which fairness is decided by the scheduler alone.

They have the structure of the micro benchmarks in the UWFQ paper (arXiv:2510.15485, section 5), and
sizes that its queries have on 32 slots.  The submitters declare what a good oracle would: one
number per kind of query, a little above the truth.

Units: seconds; work in slot-seconds.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Final

from msgspec.structs import replace

from uwfq_service.simulator.scenarios.parts import arrivals, assembled, micro, query, randomness
from uwfq_service.simulator.workload import JobSpec, Workload

SLOTS: Final = 32
#: Work of a query, and what is declared for it.
SHORT: Final = ("short", 25.0, 27.0)
LONG: Final = ("long", 112.0, 130.0)
#: Standard deviation of the logarithm of a query's work: the same query on the same files.
NOISE: Final = 0.03


def infrequent_users(seed: int) -> Workload:
    """Two users submit bursts of 20 queries every 30 s, two submit one now and then."""
    name = "infrequent-users"
    rng = randomness(name, seed)
    jobs: list[JobSpec] = []
    for user, first in (("frequent-1", 0.1), ("frequent-2", 0.2)):
        for burst in range(4):
            # As fast as a loop submits.
            at = micro(first + 30 * burst)
            instants = [micro(at + 0.012 * place) for place in range(20)]
            jobs += _queries(rng, user, SHORT, instants, prefix=f"{burst + 1}-")
    for user, first, mean_gap in (("infrequent-1", 0.2, 10.0), ("infrequent-2", 0.3, 4.0)):
        instants = list(arrivals(rng, start=first, mean_gap=mean_gap, count=12))
        jobs += _queries(rng, user, SHORT, instants)
    return assembled(name, seed, slots=SLOTS, jobs=sorted(jobs, key=lambda job: job.submit))


def mixed_sizes(seed: int) -> Workload:
    """Two users run long queries one after another, two run short ones at random."""
    name = "mixed-sizes"
    rng = randomness(name, seed)
    jobs: list[JobSpec] = []
    for user, first in (("long-1", 0.1), ("long-2", 0.2)):
        jobs += _one_after_another(_queries(rng, user, LONG, [first, 0.0, 0.0, 0.0]))
    for user, first in (("short-1", 0.15), ("short-2", 0.25)):
        instants = list(arrivals(rng, start=first, mean_gap=5.0, count=6))
        jobs += _queries(rng, user, SHORT, instants)
    return assembled(name, seed, slots=SLOTS, jobs=jobs)


def _queries(
    rng: random.Random,
    user: str,
    kind: tuple[str, float, float],
    instants: list[float],
    prefix: str = "",
) -> list[JobSpec]:
    signature, work, estimate = kind
    return [
        JobSpec(
            job=f"{user}/{signature}-{prefix}{place}",
            user=user,
            submit=submit,
            signature=signature,
            estimate=estimate,
            stages=query(rng, work * rng.lognormvariate(0, NOISE)),
        )
        for place, submit in enumerate(instants, start=1)
    ]


def _one_after_another(jobs: list[JobSpec]) -> list[JobSpec]:
    """The next is asked for when the result is there."""
    return jobs[:1] + [replace(job, after=before.job) for before, job in pairwise(jobs)]
