"""How near the estimator comes to what jobs take, next to what one would try first.

Run it with ``python -m tests.bench.bench_estimator``.  Each family is two seeded sequences of 3,000
jobs of 40 signatures and 8 users, a few of which submit most; every job is predicted, then its
work is observed.  The error of a prediction is the factor that it is off by, either way.  Unless a
family says otherwise, work has lognormal noise of sigma 0.25: an oracle that knows everything but
the noise is off by a factor of 1.18 in the median.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import NamedTuple, Protocol

from uwfq_service.core.estimation import Estimator

JOBS = 3_000
SIGNATURES = 40
USERS = 8
SEEDS = (0, 1)


class Done(NamedTuple):
    """A job that has ended."""

    signature: str
    user: str
    input_bytes: int | None
    work: float


class Predictor(Protocol):
    """What is compared."""

    def predict(self, signature: str, user: str, input_bytes: int | None) -> float:
        """Work to expect."""

    def observe(self, job: Done) -> None:
        """Learn."""


class Ours:
    """The service's own."""

    def __init__(self) -> None:
        self._estimator = Estimator(prior_work=1.0)

    def predict(self, signature: str, user: str, input_bytes: int | None) -> float:
        return self._estimator.predict(signature, user, input_bytes).work

    def observe(self, job: Done) -> None:
        self._estimator.observe(job.signature, job.user, job.input_bytes, job.work, predicted=None)


class LastValue:
    """As the signature took last time; a new signature as the job before."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def predict(self, signature: str, user: str, input_bytes: int | None) -> float:
        return self._last.get(signature) or self._last.get("", 1.0)

    def observe(self, job: Done) -> None:
        self._last[job.signature] = self._last[""] = job.work


class Mean:
    """The signature's mean work; of all jobs for a new signature."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def predict(self, signature: str, user: str, input_bytes: int | None) -> float:
        total, count = self._sums.get(signature) or self._sums.get("", (1.0, 1))
        return total / count

    def observe(self, job: Done) -> None:
        for key in (job.signature, ""):
            total, count = self._sums.get(key, (0.0, 0))
            self._sums[key] = total + job.work, count + 1


class MeanPerByte:
    """The signature's mean work per byte, times the bytes; its mean where bytes are unknown."""

    def __init__(self) -> None:
        self._mean = Mean()
        self._sums: dict[str, tuple[float, int]] = {}

    def predict(self, signature: str, user: str, input_bytes: int | None) -> float:
        known = self._sums.get(signature) or self._sums.get("")
        if input_bytes is None or known is None:
            return self._mean.predict(signature, user, input_bytes)
        return known[0] / known[1] * input_bytes

    def observe(self, job: Done) -> None:
        self._mean.observe(job)
        if job.input_bytes is not None:
            for key in (job.signature, ""):
                work, size = self._sums.get(key, (0.0, 0))
                self._sums[key] = work + job.work, size + job.input_bytes


class Query:
    """What lies behind a signature: its size and work, and how they go together."""

    def __init__(self, rng: random.Random) -> None:
        self.size = math.exp(rng.gauss(18, 1.5))
        self.spread = rng.choice([0.3, 1.0, 1.5])
        self.work = math.exp(rng.gauss(2, 1.5))
        self.growth = rng.choice(["linear", "affine", "square root", "independent"])
        self.overhead = math.exp(rng.gauss(0, 1))
        self.drift = 1.0

    def work_at(self, size: float, growth: str) -> float:
        """Work at a size relative to the usual."""
        factor: float = {
            "linear": size,
            "affine": (self.overhead + size) / (self.overhead + 1),
            "square root": math.sqrt(size),
            "independent": 1.0,
            "superlinear": size**1.3,
        }[growth]
        return self.work * self.drift * factor


def jobs(family: str, seed: int) -> Iterator[Done]:
    """One sequence of a family."""
    rng = random.Random(f"{family}/{seed}")
    queries = [Query(rng) for _ in range(SIGNATURES)]
    habits = [[math.exp(rng.gauss(0, 0.8)) for _ in range(USERS)] for _ in range(SIGNATURES)]
    growths = {"linear", "affine", "square root", "independent", "superlinear"}
    sigma = {"sigma 0.5": 0.5, "sigma 1": 1.0}.get(family, 0.25)
    for number in range(JOBS):
        chosen = rng.choices(range(SIGNATURES), [1 / (n + 1) for n in range(SIGNATURES)])[0]
        user = rng.choices(range(USERS), [1 / (n + 1) for n in range(USERS)])[0]
        query = queries[chosen]
        if family == "steps" and rng.random() < 0.02 / (chosen + 1):
            query.drift *= math.exp(rng.choice([-1.2, 1.2]))
        if family == "creep":
            query.drift *= math.exp(rng.gauss(0, 0.08))
        size = math.exp(query.spread * rng.gauss(0, 1))
        if family == "size leaps":
            size = rng.choice([0.01, 0.1, 1.0, 10.0])
        elif family == "same size":
            size = 1.0
        growth = family if family in growths else query.growth
        work = query.work_at(size, "linear" if family == "size leaps" else growth)
        work *= math.exp(rng.gauss(0, sigma))
        if family == "outliers" and rng.random() < 0.08:
            work *= math.exp(rng.choice([-1, 1]) * rng.uniform(2, 4))
        if family == "users differ":
            work *= habits[chosen][user]
        unsized = family == "no bytes" or (family == "some bytes" and rng.random() < 0.3)
        yield Done(
            f"q{chosen}/{number}" if family == "never again" else f"q{chosen}",
            f"u{user}",
            None if unsized else max(1, int(query.size * size)),
            work,
        )


FAMILIES = (
    "linear",
    "affine",
    "square root",
    "independent",
    "superlinear",
    "mixed",
    "size leaps",
    "same size",
    "sigma 0.5",
    "sigma 1",
    "outliers",
    "steps",
    "creep",
    "users differ",
    "no bytes",
    "some bytes",
    "never again",
)
PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "ours": Ours,
    "last value": LastValue,
    "mean": Mean,
    "mean per byte": MeanPerByte,
}


def factors(make: Callable[[], Predictor], family: str) -> list[float]:
    """Factors by which the predictions are off, ascending."""
    out = []
    for seed in SEEDS:
        predictor = make()
        for job in jobs(family, seed):
            predicted = predictor.predict(job.signature, job.user, job.input_bytes)
            out.append(math.exp(abs(math.log(job.work / predicted))))
            predictor.observe(job)
    return sorted(out)


def cost() -> None:
    """Print what a call costs."""
    recorded = list(jobs("mixed", 0))
    estimator = Estimator(prior_work=1.0)
    learn = predict = both = 0.0
    for job in recorded:
        start = perf_counter()
        estimator.observe(*job[:3], job.work, predicted=1.0)
        learn += perf_counter() - start
    for job in recorded:
        estimator.predict(*job[:3])
    for job in recorded:
        start = perf_counter()
        estimator.predict(*job[:3])
        predict += perf_counter() - start
    for job in recorded:
        start = perf_counter()
        estimator.predict(*job[:3])
        estimator.observe(*job[:3], job.work, predicted=1.0)
        both += perf_counter() - start
    scale = 1e6 / len(recorded)
    print(
        f"\nus per call: observe {learn * scale:.1f}, predict {predict * scale:.1f}, "
        f"predict and observe in turn {both * scale:.1f}"
    )


def main() -> None:
    """Print the tables."""
    for title, part in (("median", 0.5), ("90th percentile", 0.9)):
        print(f"\nfactor off, {title}")
        print(f"{'':14}" + "".join(f"{name:>15}" for name in PREDICTORS))
        logs: dict[str, float] = dict.fromkeys(PREDICTORS, 0.0)
        for family in FAMILIES:
            row = []
            for name, make in PREDICTORS.items():
                ordered = factors(make, family)
                row.append(ordered[int(part * len(ordered))])
                logs[name] += math.log(row[-1]) / len(FAMILIES)
            print(f"{family:14}" + "".join(f"{value:15.2f}" for value in row))
        print(f"{'all (geometric)':14}" + "".join(f"{math.exp(v):15.2f}" for v in logs.values()))
    cost()


if __name__ == "__main__":
    main()
