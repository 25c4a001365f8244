"""What the service says of the jobs that it was driven with, as a run in the workload's own time.

Instants are the service's, so neither the network nor another clock is measured along.  The time of
the workload begins when the service took in its first job, less that job's own instant.

Units: seconds and slot-seconds of the workload.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from uwfq_client import Job
from uwfq_service.simulator.fluid import fluid_cluster
from uwfq_service.simulator.replay.jobs import ReplayedJob
from uwfq_service.simulator.runs import FinishedJob, Options, Run
from uwfq_service.simulator.workload import Workload


class Overhead(NamedTuple):
    """How much longer than its true runtime a task held its slot, on average."""

    per_task: float = 0.0
    #: The true runtime of a task, on average.
    runtime: float = 0.0


def overhead_of(
    jobs: Sequence[tuple[ReplayedJob, Job]], speed: float, around_tasks: float
) -> Overhead:
    """The overhead in jobs that have ended so.

    One part are tasks that slept for longer than they should have, on a machine that could not keep
    up; the other, ``around_tasks``, is what the service has measured around them.
    """
    tasks = sum(ended.task_count for _, ended in jobs)
    true = math.fsum(job.spec.total_work for job, _ in jobs)
    measured = math.fsum(ended.measured_work_slot_seconds for _, ended in jobs) * speed
    return Overhead(around_tasks + max(0.0, measured - true) / tasks, true / tasks)


def measured_run(
    workload: Workload,
    options: Options,
    jobs: Sequence[tuple[ReplayedJob, Job]],
    *,
    slots: int,
    speed: float,
    virtual_time: float,
) -> Run:
    """The run of a workload whose jobs, in its order, have ended so.

    ``virtual_time`` is the pool's own before the first of them.
    """
    first, ended = min(
        ((job, ended) for job, ended in jobs if job.spec.after is None),
        key=lambda pair: (pair[0].spec.submit, pair[0].index),
    )
    begin = ended.submitted_at - dt.timedelta(seconds=first.spec.submit / speed)

    def at(instant: dt.datetime | None) -> float:
        assert instant is not None, "a job that has succeeded has been through all of this"
        return (instant - begin).total_seconds() * speed

    finished = [
        _finished(job, ended, at, _deadline(job, virtual_time, speed)) for job, ended in jobs
    ]
    arrivals = sorted((job.submit, index, job.user, job.work) for index, job in enumerate(finished))
    fluid = fluid_cluster(arrivals, slots, (), workload.weights).finishes
    return Run(
        workload=workload.name,
        options=options,
        slots=slots,
        weights=workload.weights,
        jobs=[
            msgspec.structs.replace(job, fluid_finish=fluid[index])
            for index, job in enumerate(finished)
        ],
    )


def _deadline(job: ReplayedJob, virtual_time: float, speed: float) -> float | None:
    deadline = job.virtual_deadline
    return None if deadline is None else (deadline - virtual_time) * speed


def _finished(
    job: ReplayedJob,
    ended: Job,
    at: Callable[[dt.datetime | None], float],
    virtual_deadline: float | None,
) -> FinishedJob:
    return FinishedJob(
        job=job.spec.job,
        user=job.spec.user,
        submit=at(ended.submitted_at),
        first_start=at(ended.started_at),
        finish=at(ended.finished_at),
        work=job.spec.total_work,
        virtual_deadline=virtual_deadline,
        fluid_finish=math.nan,
        alone=job.alone(),
    )
