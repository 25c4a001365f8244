"""Stages of which less is known than of their query, whose work history tells: 10 slot-seconds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracles.driver import Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core.invariants import check
from uwfq_service.core.model import Job
from uwfq_service.core.settings import Settings

ENGINE = "spark-1"


@pytest.fixture
def core() -> Driver:
    """An engine's query runs again; a stage of which nothing is known is guessed at 50."""
    core = Driver(settings=Settings(prior_work=50.0))
    core.rank(ENGINE, slots=4)
    core.submit("ann", "first", stage("s", 10.0), signature="sum", engine_id=ENGINE)
    first = cmd.TaskRef(job_id="first", stage="s", task_index=0, attempt=1)
    core.at(10.0)
    core.report(ENGINE, first, cmd.TaskSuccess(runtime=10.0))
    job = core.submit("ann", "again", open=True, signature="sum", engine_id=ENGINE)
    assert job.work == pytest.approx(10.0)
    return core


def again(core: Driver) -> Job:
    """The query, checked."""
    check(core.scheduler, core.now)
    return core.scheduler.job("again")


def add(core: Driver, name: str, **fields: Any) -> cmd.TaskRef:
    """A stage of ten tasks reveals itself; the first attempt at its first one."""
    spec = cmd.StageSpec(stage=name, cut=cmd.TaskList(count=10), **fields)
    core.apply(cmd.AddStages(job_id="again", stages=(spec,)))
    return cmd.TaskRef(job_id="again", stage=name, task_index=0, attempt=1)


def test_a_guess_counts_once_a_task_was_measured(core: Driver) -> None:
    """Before, history of the whole knows better; then a tenth of the stage has taken 5."""
    task = add(core, "2.0")
    assert again(core).work == pytest.approx(10.0)
    core.report(ENGINE, task, cmd.TaskSuccess(runtime=5.0))
    assert again(core).work == pytest.approx(50.0)


def test_what_was_dropped_of_a_guess_is_left_out_once(core: Driver) -> None:
    """The other stages are charged for as before."""
    add(core, "2.0", declared_work=60.0)
    task = add(core, "3.0")
    core.renew(ENGINE, started=(cmd.TaskStart(task=task),))
    core.apply(cmd.DropStages(job_id="again", stages=("3.0",)))
    assert again(core).work == pytest.approx(60.0)
