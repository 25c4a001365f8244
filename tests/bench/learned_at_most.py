"""What learning leaves of the gain at best, where it leaves little: with help that nobody can have.

    .venv/bin/python -m tests.bench.learned_at_most

Prints three tables in Markdown, for RESULTS.md of the simulator: the part of the gain over
``ujf`` that is kept, over several draws whose gains are added up, with its standard error.

*mixed-sizes* of the authors, learned.  A draw is the workload with each arrival later by up to a
second, since twenty jobs in one order say little:

* *as it is*;
* *perfect correction*: as in ``kept_at_most.py``;
* *told at the scan*: as soon as the first task of a scan has ended, what every task of every job of
  its signature takes is known, of those to come, too.  A scan is four fifths of a job or more, and
  no stage before it tells one signature from the other;
* *told at once*: as soon as the first task of the first stage has ended.

*all-tiny*, where jobs have neither signatures nor sizes, so that all an estimator can say is one
number for each of them.  The rows are that number; the first has what the service guesses.

The built-in workloads whose signatures come back, learned, without any help.

Some 3 minutes; ``--shifts`` and ``--workload-seeds`` say how many draws.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import stdev
from typing import Any, Final

import msgspec

from tests.bench.kept_at_most import Gain, Help, HelpedWorld
from tests.bench.published import DIRECTORY
from uwfq_service.core.events import JobReestimated
from uwfq_service.core.model import Job
from uwfq_service.simulator.estimates import Declaration, Estimates
from uwfq_service.simulator.metrics import mean
from uwfq_service.simulator.runs import Options
from uwfq_service.simulator.scenarios import scenario
from uwfq_service.simulator.workload import JobSpec, Workload, load
from uwfq_service.simulator.world import World

#: How late an arrival may be, seconds.
LATEST: Final = 1.0
#: Place of the scan among the stages of a job of mixed-sizes.
SCAN: Final = 2
#: What is said of every job of all-tiny, slot-seconds; their mean is 0.32.
CONSTANTS: Final = (0.05, 0.15, 0.33, 0.6, 1.0, 3.0)
#: Built-in workloads whose signatures come back.
RECURRENT: Final = ("recurring", "mixed-sizes", "infrequent-users")

NO_HELP: Final = Help(sigma=0)
PERFECT_CORRECTION: Final = Help(sigma=0, perfect_correction=True)


class ToldWorld(World):
    """A run in which all is known of a signature once a task of a job's stage ``place`` ended."""

    def __init__(self, workload: Workload, options: Options, place: int) -> None:
        super().__init__(workload, options)
        self._place = place
        self._works = {job.job: job.total_work for job in workload.jobs}
        self._told: set[str] = set()
        self._reports = self.scheduler._reports
        self._usual = self._reports._reestimate
        self._reports._reestimate = self._reestimate  # type: ignore[method-assign]
        self._estimates = Told(workload, options, self._told)

    def _reestimate(self, job: Job, now: Any) -> Any:
        if job.signature not in self._told:
            if not any(stage.done for stage in job.stages[self._place :]):
                return self._usual(job, now)
            self._tell(job.signature, now)
        return self._works[job.job_id]

    def _tell(self, signature: str, now: Any) -> None:
        self._told.add(signature)
        state, emit = self._reports._state, self._reports._decider.emit
        for job in list(state.jobs.values()):
            if job.signature == signature and not job.ended:
                job.guessed, job.floor_work = False, 0
                if job.unseen:
                    state._see(job)
                work = self._works[job.job_id]
                emit(JobReestimated(at=now, job=job.number, work=work, whole=True))


class Told(Estimates):
    """Exact for the signatures of which all is known, as ``options`` has it for the others."""

    def __init__(self, workload: Workload, options: Options, told: set[str]) -> None:
        super().__init__(options.estimates, options.seed, workload.jobs)
        self._told = told
        self._exact = Estimates("exact", options.seed, workload.jobs)

    def declare(self, job: JobSpec) -> Declaration:
        """What the submission says."""
        return self._exact.declare(job) if job.signature in self._told else super().declare(job)


class Constant(Estimates):
    """Says the same work of every job."""

    def __init__(self, work: float) -> None:
        super().__init__("none", 0)
        self._work = work

    def declare(self, job: JobSpec) -> Declaration:
        """What the submission says."""
        stages = tuple(self._work * stage.total_work / job.total_work for stage in job.stages)
        return Declaration(job=self._work, stages=stages)


def constant_world(workload: Workload, helped: Help, work: float | None) -> World:
    """A run in which ``work`` is said of every job; ``None``: nothing is."""
    world = HelpedWorld(workload, Options(estimates="none"), helped)
    if work is not None:
        world._estimates = Constant(work)
    return world


def response(world: World) -> float:
    """Mean response of one run."""
    return mean([job.response for job in world.play().jobs])


def gain(workload: Workload) -> Gain:
    """What exact estimates would be worth."""
    ujf, exact = (response(World(workload, Options(policy=policy))) for policy in ("ujf", "uwfq"))
    return Gain(workload, ujf, exact)


def later(workload: Workload, seed: int) -> Workload:
    """``workload``, its arrivals a little later each, those after another job's end apart."""
    rng = random.Random(f"{seed}/later")
    jobs = tuple(
        job
        if job.after
        else msgspec.structs.replace(job, submit=job.submit + rng.uniform(0, LATEST))
        for job in workload.jobs
    )
    return msgspec.structs.replace(workload, jobs=jobs)


def kept(gains: Sequence[Gain], world: Callable[[Workload], World]) -> str:
    """The part of the gain on all of the draws together that is kept in such worlds."""
    whole = [gain.ujf - gain.exact for gain in gains]
    left = [gain.ujf - response(world(gain.workload)) for gain in gains]
    part = sum(left) / sum(whole)
    # Of a ratio of sums, by its residuals.
    residuals = [some - part * all_ for some, all_ in zip(left, whole, strict=True)]
    error = stdev(residuals) * math.sqrt(len(gains)) / sum(whole)
    return f"{100 * part:.0f} ± {100 * error:.0f} %"


def show_learned(draws: Sequence[Workload]) -> None:
    """Print the table of mixed-sizes."""
    gains, options = [gain(workload) for workload in draws], Options(estimates="learned")
    worlds: tuple[Callable[[Workload], World], ...] = (
        lambda workload: World(workload, options),
        lambda workload: HelpedWorld(workload, options, PERFECT_CORRECTION),
        lambda workload: ToldWorld(workload, options, SCAN),
        lambda workload: ToldWorld(workload, options, 0),
    )
    print("| as it is | perfect correction | told at the scan | told at once |")
    print("|---" * len(worlds) + "|")
    print("| " + " | ".join(kept(gains, world) for world in worlds) + " |\n", flush=True)


def show_constants(draws: Sequence[Workload]) -> None:
    """Print the table of all-tiny."""
    gains = [gain(workload) for workload in draws]
    print("| said of every job | as it is | perfect correction |")
    print("|---" * 3 + "|")
    for work in (None, *CONSTANTS):
        cells = [
            kept(gains, partial(constant_world, helped=helped, work=work))
            for helped in (NO_HELP, PERFECT_CORRECTION)
        ]
        said = "nothing" if work is None else f"{work:g}"
        print(f"| {said} | " + " | ".join(cells) + " |", flush=True)


def show_recurrent(seeds: int) -> None:
    """Print the table of built-in workloads."""
    print("| learned | " + " | ".join(RECURRENT) + " |")
    print("|---" * (1 + len(RECURRENT)) + "|")
    cells = [
        kept(
            [gain(scenario(name, seed)) for seed in range(seeds)],
            lambda workload: World(workload, Options(estimates="learned")),
        )
        for name in RECURRENT
    ]
    print("| as it is | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shifts", type=int, default=72, help="Draws of mixed-sizes.")
    parser.add_argument("--workload-seeds", type=int, default=8, help="Draws of built-in ones.")
    parser.add_argument("--directory", type=Path, default=DIRECTORY)
    args = parser.parse_args()
    shared = load(args.directory / "mixed-sizes.json")
    show_learned([later(shared, seed) for seed in range(args.shifts)])
    show_constants([scenario("all-tiny", seed) for seed in range(args.workload_seeds)])
    print()
    show_recurrent(args.workload_seeds)


if __name__ == "__main__":
    main()
