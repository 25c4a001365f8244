"""What noise leaves of the gain at best: ``uwfq`` as it is, and helped by somebody who knows more.

    .venv/bin/python -m tests.bench.kept_at_most [--sigma 0.5] [--noise-seeds 8]
    .venv/bin/python -m tests.bench.kept_at_most --workload-seeds 6 --workload "built-in all-large"

Prints a table in Markdown, for RESULTS.md of the simulator: the part of the gain over
``ujf`` that is kept when every job's work is declared times a lognormal factor, as in
``published --kept``, but over more seeds.  Its columns:

* *as it is*;
* *best guess*: what is declared is replaced by the mean of what the job may take, given what was
  declared, how large the noise is, and the true works of all jobs of its user and signature, those
  to come among them.  Nobody can know more from a declaration;
* *perfect correction*: as soon as the first task has ended, the job is charged for what it really
  takes.  Nobody can learn more from a job that runs;
* *both*;
* *no noise*: the true work is declared, but of the whole job and its stages alone.  With ``exact``,
  which counts as 100 %, that of every task is known as well.

None of them is a bound, and a better guess can even keep less.  Who orders jobs otherwise than
``uwfq`` does, or runs tasks only to learn from them, may keep more.

Behind each figure stands its standard error over the seeds of noise.  With ``--workload-seeds``
the built-in workloads are drawn so many times each, and their gains are added up: one draw says
little.  Some 10 minutes, and as many times as long on built-in workloads as there are draws.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any, Final, NamedTuple

from tests.bench.published import BUILT_IN, DIRECTORY, TABLES
from uwfq_service.core.model import Job
from uwfq_service.simulator.estimates import Declaration, Estimates
from uwfq_service.simulator.metrics import mean
from uwfq_service.simulator.runs import Options
from uwfq_service.simulator.scenarios import SCENARIOS, scenario
from uwfq_service.simulator.workload import JobSpec, Workload, load
from uwfq_service.simulator.world import World

#: Where a user has fewer jobs of a signature, all of the user's say what the job may take.
LEAST_JOBS: Final = 5
#: Next to none, and yet another in every seed: with none at all there would be one run, and where
#: queues are long the least change makes another one of it.
NO_NOISE: Final = 0.01


class Help(NamedTuple):
    """Who helps, and how large the noise is."""

    sigma: float
    best_guess: bool = False
    perfect_correction: bool = False


class HelpedWorld(World):
    """A run in which the core is told more than a cluster could tell it."""

    def __init__(self, workload: Workload, options: Options, helped: Help) -> None:
        super().__init__(workload, options)
        if helped.best_guess:
            self._estimates = BestGuess(workload, options, helped.sigma)
        if helped.perfect_correction:
            self._correct_perfectly()

    def _correct_perfectly(self) -> None:
        truth = {job.job: job.total_work for job in self.workload.jobs}
        reports = self.scheduler._reports
        usual = reports._reestimate

        def reestimate(job: Job, now: Any) -> Any:
            return truth[job.job_id] if job.measured else usual(job, now)

        reports._reestimate = reestimate  # type: ignore[method-assign]


class BestGuess(Estimates):
    """Declares the mean of what a job may take, given what its noisy declaration is."""

    def __init__(self, workload: Workload, options: Options, sigma: float) -> None:
        super().__init__(options.estimates, options.seed)
        self._sigma = sigma
        self._works: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for job in workload.jobs:
            if job.total_work:
                for key in ((job.user,), (job.user, job.signature)):
                    self._works[key].append(job.total_work)

    def declare(self, job: JobSpec) -> Declaration:
        """As ``Estimates`` has it, all of it scaled."""
        said = super().declare(job)
        if said.job is None or not job.total_work:
            return said
        factor = self._expected(job, said.job) / said.job
        stages = tuple(None if work is None else work * factor for work in said.stages)
        return Declaration(
            job=said.job * factor,
            stages=stages,
            signature=said.signature,
            input_bytes=said.input_bytes,
        )

    def _expected(self, job: JobSpec, declared: float) -> float:
        works = self._works[job.user, job.signature]
        if not job.signature or len(works) < LEAST_JOBS:
            works = self._works[job.user,]
        # Each of them is as likely as its noise would have to be.
        distances = [(math.log(declared / work) / self._sigma) ** 2 for work in works]
        nearest = min(distances)
        chances = [math.exp((nearest - distance) / 2) for distance in distances]
        weighed = (work * chance for work, chance in zip(works, chances, strict=True))
        return math.fsum(weighed) / math.fsum(chances)


class Gain(NamedTuple):
    """Mean responses of one workload without wrong estimates."""

    workload: Workload
    ujf: float
    exact: float


def response(workload: Workload, options: Options, helped: Help) -> float:
    """Mean response of one run."""
    run = HelpedWorld(workload, options, helped).play()
    return mean([job.response for job in run.jobs])


def kept(gains: Sequence[Gain], helped: Help, seed: int) -> float:
    """The part of the gain on some workloads that one seed's noise leaves."""
    options = Options(estimates=f"noisy:{helped.sigma}", seed=seed)
    lost = sum(response(gain.workload, options, helped) - gain.exact for gain in gains)
    return 1 - lost / sum(gain.ujf - gain.exact for gain in gains)


def cells(gains: Sequence[Gain], sigma: float, seeds: int) -> Iterator[str]:
    """A row's figures."""
    for helped in (
        Help(sigma),
        Help(sigma, best_guess=True),
        Help(sigma, perfect_correction=True),
        Help(sigma, best_guess=True, perfect_correction=True),
        Help(NO_NOISE),
    ):
        parts = [kept(gains, helped, seed) for seed in range(seeds)]
        error = stdev(parts) / math.sqrt(seeds)
        yield f"{100 * mean(parts):.0f} ± {100 * error:.0f} %"


def draws(name: str, directory: Path, seeds: int) -> list[Gain]:
    """A workload; a built-in one as often as there are seeds."""
    if name.startswith(BUILT_IN):
        drawn = [scenario(name.removeprefix(BUILT_IN), seed) for seed in range(seeds)]
    else:
        drawn = [load(directory / f"{name}.json")]
    nobody = Help(0)
    return [
        Gain(
            workload,
            response(workload, Options(policy="ujf"), nobody),
            response(workload, Options(), nobody),
        )
        for workload in drawn
    ]


def main() -> None:
    """Play and print."""
    every = [*TABLES, *(BUILT_IN + name for name in SCENARIOS)]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sigma", type=float, default=0.5)
    parser.add_argument("--noise-seeds", type=int, default=8, help="At least 2.")
    parser.add_argument("--workload-seeds", type=int, default=1)
    parser.add_argument("--workload", choices=every, action="append")
    parser.add_argument("--directory", type=Path, default=DIRECTORY)
    args = parser.parse_args()
    print("| | as it is | best guess | perfect correction | both | no noise |")
    print("|---" * 6 + "|")
    for name in args.workload or every:
        gains = draws(name, args.directory, args.workload_seeds)
        figures = cells(gains, args.sigma, args.noise_seeds)
        print(f"| {name} | " + " | ".join(figures) + " |", flush=True)


if __name__ == "__main__":
    main()
