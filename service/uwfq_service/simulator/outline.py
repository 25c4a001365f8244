"""What a workload comes to: the few numbers that one wants to know before simulating it.

Units: seconds; work in slot-seconds.
"""

from __future__ import annotations

import math

import msgspec

from uwfq_service.core.settings import Settings
from uwfq_service.simulator.estimates import Estimates
from uwfq_service.simulator.runs import Options
from uwfq_service.simulator.workload import Workload


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """A workload in numbers."""

    jobs: int
    #: As the engine cuts the stages by itself.
    tasks: int
    users: int
    work: float
    #: From the first submission to the last, at the earliest.
    span: float
    #: The work over what all slots could do in the span; infinite when all is submitted at once.
    load: float
    #: Whether somebody waits for results, so that the span may be longer and the load lower.
    closed: bool


def outline(workload: Workload) -> Outline:
    """The numbers of a workload.  O(tasks)."""
    works = [job.total_work for job in workload.jobs]
    instants = _earliest_submissions(workload, works)
    work, span = math.fsum(works), max(instants) - min(instants)
    return Outline(
        jobs=len(workload.jobs),
        tasks=sum(
            len(stage.tasks) if stage.tasks is not None else workload.slots
            for job in workload.jobs
            for stage in job.stages
        ),
        users=len({job.user for job in workload.jobs}),
        work=work,
        span=span,
        load=work / (workload.slots * span) if span else math.inf,
        closed=any(job.after is not None for job in workload.jobs),
    )


def recut_tasks(workload: Workload, options: Options) -> int:
    """How many tasks runtime partitioning will make of the workload, about.  O(tasks).

    Where nothing is declared, the service is taken to guess right.
    """
    estimates = Estimates(options.estimates, options.seed, workload.jobs)
    most = Settings().max_split_tasks
    return sum(
        max(1, math.ceil(min((declared or stage.total_work) / options.atr, most)))
        for job in workload.jobs
        for stage, declared in zip(job.stages, estimates.declare(job).stages, strict=True)
    )


def _earliest_submissions(workload: Workload, works: list[float]) -> list[float]:
    """When each job is submitted if every job has all slots for itself and wastes none."""
    position = {job.job: index for index, job in enumerate(workload.jobs)}
    known: dict[int, float] = {}
    for index in range(len(works)):
        # Back to a job whose instant is known, then forth again: chains may be long.
        chain = [index]
        while chain[-1] not in known and (before := workload.jobs[chain[-1]].after) is not None:
            chain.append(position[before])
        for at in reversed(chain):
            job = workload.jobs[at]
            if at not in known:
                known[at] = job.submit
                if job.after is not None:
                    before_at = position[job.after]
                    known[at] += known[before_at] + works[before_at] / workload.slots
    return [known[index] for index in range(len(works))]
