"""Tasks that wait out their backoff: when they come back, and what that costs."""

from __future__ import annotations

import pytest

from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core.events import TaskFailed, TasksReady
from uwfq_service.core.invariants import check
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings


def in_backoff(tasks: int) -> Driver:
    """A job whose tasks have all failed, a quarter of a second apart."""
    core = Driver(slots=tasks, settings=Settings(retry_backoff=100.0, retry_backoff_max=100.0))
    core.submit("ada", "a", stage("s", *[1.0] * tasks), declared_work=float(tasks))
    for lease in core.poll(slots=tasks):
        core.now += 0.25
        core.fail(lease, 0.0)
    assert len(core.scheduler.job("a").stages[0].backing_off or ()) == tasks
    return core


def test_a_backoff_doubles_up_to_its_longest_and_is_spread_by_the_jitter() -> None:
    """The longest ones are spread, too: tasks that failed together do not come back together."""
    core = Driver()
    core.scheduler = Scheduler(
        Settings(retry_backoff=1.0, retry_backoff_max=5.0), jitter=lambda: 0.75
    )
    core.apply(cmd.ConfigurePool(pool=POOL))
    core.submit("ada", "a", stage("s", 1.0, max_attempts=9))
    waits = []
    for _ in range(5):
        (lease,) = core.poll()
        core.fail(lease, 0.0)
        failed = core.events_of(TaskFailed)[-1]
        waits.append(failed.retry_at - failed.at)
        core.at(failed.retry_at)
    assert waits == [0.75, 1.5, 3.0, 3.75, 3.75]


class Instant(float):
    """Counts how often any of its kind is looked at."""

    looks = 0

    def __le__(self, other: float) -> bool:
        Instant.looks += 1
        return float(self) <= other


def test_the_end_of_one_backoff_costs_the_same_however_many_others_wait() -> None:
    """Only the task is looked at that is due."""
    core = in_backoff(400)
    failing = core.scheduler.job("a").stages[0]
    waiting = (failing.backing_off or {}).items()
    failing.backing_off = {task: (Instant(at), place) for task, (at, place) in waiting}
    core.at(100.0)
    core.now = core.scheduler.next_wakeup()
    core.apply(cmd.Tick())
    assert [event.tasks for event in core.events_of(TasksReady)] == [((0, 0),)]
    assert Instant.looks == 1


def test_backoffs_that_end_together_are_one_event() -> None:
    """In the order of the tasks, whatever the order of their failures."""
    core = Driver(slots=4, settings=Settings(retry_backoff=2.0))
    core.submit("ada", "a", stage("s", *[1.0] * 4), declared_work=4.0)
    for lease in reversed(core.poll(slots=4)):
        core.fail(lease, 0.0)
    core.submit("bo", "b", stage("s", 1.0), declared_work=1.0)
    (lease,) = core.poll(slots=4)
    core.fail(lease, 0.0)
    core.at(2.0)
    ready = [(event.job, event.tasks) for event in core.events_of(TasksReady)]
    assert ready == [(1, ((0, 0), (0, 1), (0, 2), (0, 3))), (2, ((0, 0),))]


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_task_that_has_failed_twice_comes_back_once_after_a_restart(snapshot: bool) -> None:
    """A journal sets a timer for either failure; a snapshot for the last one."""
    core = Driver(slots=1, settings=Settings(retry_backoff=2.0))
    core.submit("ada", "a", stage("s", 1.0), declared_work=1.0)
    for _ in range(2):
        core.at(core.now + 10.0)
        (lease,) = core.poll()
        core.fail(lease, 0.0)
    failed = core.events_of(TaskFailed)
    if snapshot:
        core.reload()
    else:
        core.scheduler = Scheduler(core.scheduler.settings)
        for event in core.events:
            core.scheduler.replay(event)
    core.now = failed[-1].retry_at
    core.apply(cmd.Tick())
    assert len(core.events_of(TasksReady)) == 2
    check(core.scheduler, core.now)


def test_a_job_that_has_ended_does_not_come_back() -> None:
    """Its backoffs end with it."""
    core = in_backoff(2)
    core.cancel("a")
    core.at(1000.0)
    assert not core.events_of(TasksReady)
