"""What waiting tasks cost in memory: nothing if they are alike, packed arrays if not."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from uwfq_service.core.commands import (
    ConfigurePool,
    InputDescriptor,
    NextTask,
    StageSpec,
    SubmitJob,
    TaskList,
)
from uwfq_service.core.replies import NextTaskReply
from uwfq_service.core.scheduler import Scheduler


def kept_bytes(made: Scheduler, spec: StageSpec) -> int:
    """Bytes that the scheduler keeps of a job with one stage, once its events are gone."""
    command = SubmitJob(user="ada", job_id="big", stages=(spec,))
    first = StageSpec(stage="s", cut=TaskList(count=1))
    made.apply(SubmitJob(user="ada", job_id="first", stages=(first,)), 0.0)
    gc.collect()
    tracemalloc.start()
    try:
        made.apply(command, 0.0)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def scheduler() -> Scheduler:
    """A scheduler with one pool."""
    made = Scheduler()
    made.apply(ConfigurePool(pool="default", fixed_slots=4), 0.0)
    return made


def test_a_million_tasks_that_are_alike_cost_what_one_costs() -> None:
    """There is no object, no bit and no number per waiting task."""
    one = kept_bytes(scheduler(), StageSpec(stage="s", cut=TaskList(count=1)))
    million = kept_bytes(scheduler(), StageSpec(stage="s", cut=TaskList(count=1_000_000)))
    assert million <= one + 200


@pytest.mark.parametrize("kind", ["works", "input"])
def test_uneven_tasks_cost_at_most_32_bytes_each(kind: str) -> None:
    """Work, place in the launch order and range, packed."""
    tasks = 20_000
    if kind == "works":
        works = tuple(1.0 + index % 7 for index in range(tasks))
        spec = StageSpec(stage="s", cut=TaskList(count=tasks, task_work=works))
    else:
        sizes = tuple(50 + index % 7 for index in range(tasks))
        cut = InputDescriptor(unit_sizes=sizes)
        spec = StageSpec(stage="s", cut=cut, declared_work=float(tasks), min_tasks=tasks)
    made = scheduler()
    kept = kept_bytes(made, spec)
    stage = made.job("big").stages[0]
    assert stage.task_count == tasks
    assert kept <= 32 * tasks + 4096


def test_leases_are_what_a_large_stage_adds() -> None:
    """After some leases the rest still waits at no cost, in its order."""
    made = scheduler()
    kept_bytes(made, StageSpec(stage="s", cut=TaskList(count=1_000_000)))
    poll = NextTask(worker_id="w", slots=100, free_slots=100)
    reply = made.apply(poll, 1.0).reply
    assert isinstance(reply, NextTaskReply)
    # The first job's single task, then the large stage in index order.
    assert [lease.task for lease in reply.leases if lease.stage.job.job_id == "big"] == list(
        range(len(reply.leases) - 1)
    )
    stage = made.job("big").stages[0]
    assert (stage.waiting, stage.running) == (1_000_001 - 100, 99)
