"""Tasks that need several slots: where they may go, and when a worker is held for one."""

from __future__ import annotations

import pytest

from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core.settings import Settings

HELD_AFTER_3 = Settings(hold_after=3.0)


def test_a_task_wider_than_its_worker_is_never_leased() -> None:
    """Prefetch lets tasks wait for slots; slots that a worker does not have never come."""
    core = Driver()
    core.submit("u", "wide", stage("s", 2.0, slots_per_task=2))
    core.submit("u", "narrow", stage("s", 9.0, 9.0))
    leases = core.poll("small", slots=1, prefetch=4)
    assert {lease.stage.job.job_id for lease in leases} == {"narrow"}
    assert [lease.stage.job.job_id for lease in core.poll("large", slots=2)] == ["wide"]


def held(core: Driver) -> Driver:
    """A worker of two slots, one busy until it is told, that is held for a wide task of ``bo``."""
    core.submit("ada", "stream", stage("s", *[10.0] * 9))
    left, right = core.poll(slots=2)
    core.submit("bo", "wide", stage("s", 2.0, slots_per_task=2))
    core.at(1.0)
    core.done(left, 1.0)
    (left,) = core.poll(slots=2, free_slots=1)
    core.at(4.0)
    core.done(right, 4.0)
    assert not core.poll(slots=2, free_slots=1)
    return core


def test_a_held_worker_gets_the_wide_task_once_it_fits() -> None:
    """Until then it gets nothing."""
    core = held(Driver(slots=2, settings=HELD_AFTER_3))
    core.at(5.0)
    assert not core.poll(slots=2, free_slots=1)
    (running,) = core.scheduler.state.leases.values()
    core.done(running, 4.0)
    assert [lease.stage.job.job_id for lease in core.poll(slots=2)] == ["wide"]


def test_one_worker_at_a_time_is_held_for_a_task() -> None:
    """The others go on with what fits them."""
    core = held(Driver(slots=4, settings=HELD_AFTER_3))
    (busy,) = core.poll("other", slots=2, free_slots=1)
    core.at(9.0)
    assert [lease.stage.job.job_id for lease in core.poll("other", slots=2, free_slots=1)] == [
        "stream"
    ]
    # The worker that was held is gone, and so another one may be.
    core.apply(cmd.NextTask(pool=POOL, worker_id="w", slots=2, free_slots=0, leaving=True))
    core.done(busy, 1.0, worker="other")
    assert not core.poll("other", slots=2, free_slots=1)


@pytest.mark.parametrize("end", ["cancel", "cap"])
def test_a_hold_ends_with_its_reason(end: str) -> None:
    """Nobody idles for a task that is gone, or that may not run whatever is free."""
    core = held(Driver(slots=2, settings=HELD_AFTER_3))
    if end == "cancel":
        core.cancel("wide")
    else:
        core.apply(cmd.SetUser(pool=POOL, user="bo", max_running_slots=1))
    assert [lease.stage.job.job_id for lease in core.poll(slots=2, free_slots=1)] == ["stream"]


def test_a_poll_for_nothing_does_not_lose_the_hold() -> None:
    """A worker may poll only to report."""
    core = held(Driver(slots=2, settings=HELD_AFTER_3))
    (running,) = core.scheduler.state.leases.values()
    core.at(5.0)
    core.done(running, 4.0)
    core.poll(slots=2, max_tasks=0)
    assert not core.poll(slots=2, free_slots=1)
    assert [lease.stage.job.job_id for lease in core.poll(slots=2)] == ["wide"]
