"""The same queries again and again, on inputs of other sizes: the estimator's home ground.

A *signature* is a query without its literals.  What one run costs follows a law of its own,

    work = cost x (bytes / typical bytes) ^ exponent x noise,

and nobody declares anything, so whoever wants to know the work beforehand has to learn the law.
Signatures belong to a user, or are dashboards that everybody looks at.  Some are asked for all the
time, most now and then, as in every query log.

Users come in *sessions*: an interactive one asks, looks at the answer and asks again; a batch user
submits a handful of heavy queries at once.  Sessions overlap at random, so queues come and go.

Units: seconds, bytes; work in slot-seconds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from uwfq_service.simulator.scenarios.parts import arrivals, assembled, micro, randomness, uneven
from uwfq_service.simulator.workload import JobSpec, StageSpec, Workload

SLOTS: Final = 32
JOBS: Final = 2_000
#: Offered load over the whole time.
LOAD: Final = 0.85


@dataclass(frozen=True, slots=True)
class _Habits:
    """What one user is like."""

    user: str
    #: Jobs, relative to the others'.
    activity: float
    #: Median work of this user's signatures.
    typical_work: float
    #: Runtime of the tasks that an engine would cut by itself.
    task_runtime: float
    #: Jobs in a session, on average, and the time between two of them.
    session_jobs: float
    think_time: float
    #: Signatures of this user alone.
    signatures: int = 30
    #: Part of the jobs that are dashboards.
    dashboards: float = 0.0


USERS: Final = (
    _Habits("etl", 6, 50.0, 1.5, 6, 0.5),
    _Habits("training", 2, 120.0, 3.0, 2, 5.0, signatures=12),
    _Habits("reports", 5, 25.0, 1.0, 10, 0.2),
    *(
        _Habits(f"analyst-{number}", 40 / number, 1.5, 0.3, 12, 3.0, dashboards=0.3)
        for number in range(1, 8)
    ),
)
DASHBOARDS: Final = 40
DASHBOARD_WORK: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Signature:
    """A query without its literals, and the law of its cost."""

    name: str
    typical_bytes: float
    #: Work on an input of typical size, slot-seconds.
    cost: float
    exponent: float
    #: Standard deviations: of the logarithms of work, of input sizes, and of task runtimes.
    noise: float
    sizes: float
    skew: float
    #: The part of the work that each stage has.
    parts: tuple[float, ...]


def recurring(seed: int) -> Workload:
    """Ten users with hundreds of queries that come back on other inputs; nothing is declared."""
    name = "recurring"
    rng = randomness(name, seed)
    dashboards = [
        _signature(rng, f"dashboard/{number}", DASHBOARD_WORK) for number in range(DASHBOARDS)
    ]
    activity = sum(habits.activity for habits in USERS)
    jobs: list[JobSpec] = []
    for habits in USERS:
        own = [
            _signature(rng, f"{habits.user}/{number}", habits.typical_work)
            for number in range(habits.signatures)
        ]
        for number in range(round(JOBS * habits.activity / activity)):
            known = dashboards if rng.random() < habits.dashboards else own
            jobs.append(_job(rng, habits, _popular(rng, known), number))
    horizon = sum(job.total_work for job in jobs) / (SLOTS * LOAD)
    return assembled(name, seed, slots=SLOTS, jobs=_in_sessions(rng, jobs, horizon))


def _signature(rng: random.Random, name: str, typical_work: float) -> _Signature:
    return _Signature(
        name=name,
        typical_bytes=rng.lognormvariate(0, 1.5) * 1e9,
        cost=typical_work * rng.lognormvariate(0, 0.8),
        exponent=rng.uniform(0.5, 1.2),
        noise=rng.uniform(0.05, 0.4),
        sizes=rng.uniform(0.2, 0.8),
        skew=rng.uniform(0.1, 0.7),
        parts=rng.choice([(1.0,), (0.9, 0.1), (0.7, 0.25, 0.05)]),
    )


def _popular(rng: random.Random, known: list[_Signature]) -> _Signature:
    """One of them, the first ones more often than the last ones (Zipf's law, flattened)."""
    weights = [1 / (rank + 5) for rank in range(len(known))]
    return rng.choices(known, weights)[0]


def _job(rng: random.Random, habits: _Habits, signature: _Signature, number: int) -> JobSpec:
    """One run of a query; when it is submitted is decided later."""
    scale = rng.lognormvariate(0, signature.sizes)
    noise = rng.lognormvariate(0, signature.noise)
    work = signature.cost * scale**signature.exponent * noise
    stages = []
    for place, part in enumerate(signature.parts):
        count = min(64, max(1, round(work * part / habits.task_runtime)))
        tasks = uneven(rng, work * part, count, signature.skew)
        stages.append(StageSpec(stage=f"stage-{place}", tasks=tasks, delay=0.02 if place else 0.0))
    return JobSpec(
        job=f"{habits.user}/{number}",
        user=habits.user,
        signature=signature.name,
        input_bytes=max(1, round(signature.typical_bytes * scale)),
        stages=tuple(stages),
    )


def _in_sessions(rng: random.Random, jobs: list[JobSpec], horizon: float) -> list[JobSpec]:
    """The jobs with their times of submission, in that order; each user's follow each other."""
    habits_of = {habits.user: habits for habits in USERS}
    instants: dict[str, list[float]] = {}
    for user, habits in habits_of.items():
        count = sum(job.user == user for job in jobs)
        instants[user] = sorted(_session_instants(rng, habits, count, horizon))
    return sorted(
        (replace(job, submit=instants[job.user].pop(0)) for job in jobs),
        key=lambda job: (job.submit, job.job),
    )


def _session_instants(
    rng: random.Random, habits: _Habits, count: int, horizon: float
) -> Iterator[float]:
    """``count`` instants before ``horizon``; what would lie beyond it comes at the beginning."""
    while count > 0:
        size = min(count, max(1, round(rng.expovariate(1 / habits.session_jobs))))
        start = rng.uniform(0, horizon)
        for instant in arrivals(rng, start=start, mean_gap=habits.think_time, count=size):
            yield micro(instant % horizon)
        count -= size
