"""Whoever waits for what falls due is not woken for what does not."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from tests.oracles.driver import Driver, stage
from uwfq_service.core.commands import TaskList, TaskRef, TaskStart, TaskSuccess, Tick
from uwfq_service.core.settings import Settings
from uwfq_service.core.timers import TimerKind, Timers
from uwfq_service.core.upkeep import TIMERS_TO_KEEP

#: Nothing else falls due in these tests.
PATIENT = Settings(lease_seconds=1e6, worker_timeout=1e6, engine_timeout=1e6, retention_seconds=1e6)


def test_each_launch_brings_the_look_for_an_overrun_forward_and_nobody_looks_in_between() -> None:
    """One slot uses up a charge of 4, and a tenth more, by 4.4; four slots by 1.1."""
    driver = Driver(settings=PATIENT)
    job = driver.submit("ada", "job", stage("s", 1, 1, 1, 1))
    for slots in range(1, 5):
        driver.poll(slots=4, free_slots=1)
        assert driver.scheduler.next_wakeup() == 4.4 / slots
    while (due := driver.scheduler.next_wakeup()) is not None and due < 6:
        assert due == job.overrun_timer
        driver.at(due)


def test_a_charge_that_falls_is_overrun_the_sooner() -> None:
    """Half of a job of 20 took 1: it is charged for 2, of which what runs has 1.2 until a tenth."""
    driver = Driver(settings=PATIENT)
    job = driver.submit("ada", "job", stage("s", 10, 10))
    first, _ = driver.poll(slots=2)
    assert driver.scheduler.next_wakeup() == 11
    driver.at(1)
    driver.done(first, 1.0)
    assert job.work == 2
    assert driver.scheduler.next_wakeup() == pytest.approx(1.2)


def test_what_was_queued_is_watched_once_it_runs() -> None:
    """Nothing of its job ran before, so there was nothing to watch."""
    driver = Driver("uwfq", settings=PATIENT)
    driver.submit("ada", "first", stage("s", 2))
    driver.submit("bo", "queued", stage("s", 10))
    first, queued = driver.poll(slots=1, prefetch=1)
    assert queued.started_at is None
    driver.at(2)
    driver.done(first, 2.0)
    assert driver.scheduler.next_wakeup() == pytest.approx(2 + 11)


def test_results_of_what_was_not_seen_running_bring_the_look_forward() -> None:
    """An engine's: what they took is not left for the attempt that runs beside them."""
    driver = Driver(settings=PATIENT)
    driver.rank("e", slots=4)
    driver.submit("ada", "job", stage("s", *[5.0] * 4), engine_id="e")

    def task(index: int) -> TaskRef:
        return TaskRef(job_id="job", stage="s", task_index=index, attempt=1)

    driver.renew("e", started=(TaskStart(task=task(0)),))
    assert driver.scheduler.next_wakeup() == pytest.approx(22)
    driver.report("e", task(1), TaskSuccess(runtime=5.0))
    assert driver.scheduler.job("job").work == 20
    assert driver.scheduler.next_wakeup() == pytest.approx(17)


def test_a_job_that_has_ended_is_not_looked_at() -> None:
    """Its reminders are dropped unseen."""
    driver = Driver(settings=PATIENT)
    driver.submit("ada", "job", stage("s", 1, 1))
    leases = driver.poll(slots=2)
    driver.at(1)
    for lease in leases:
        driver.done(lease, 1.0)
    due = driver.scheduler.next_wakeup()
    assert due is not None
    assert due > 1e5


def test_what_is_never_due_is_no_reminder() -> None:
    """Of a lease without end, say."""
    timers = Timers()
    timers.set(inf, TimerKind.LEASES, (1, 1))
    assert timers.next_at() is None
    assert len(timers) == 0


def test_reminders_of_what_lives_are_not_gone_through_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many there are: they are looked through when there are twice as many."""
    looks = 0
    keep = Timers.keep

    def counted(timers: Timers, alive: Callable[[TimerKind, Any], bool]) -> None:
        nonlocal looks
        looks += 1
        keep(timers, alive)

    monkeypatch.setattr(Timers, "keep", counted)
    driver = Driver(slots=1, settings=PATIENT)
    driver.submit("ada", "job", stage("s", cut=TaskList(count=3 * TIMERS_TO_KEEP)))
    slots = 2 * TIMERS_TO_KEEP
    for _ in range(slots):
        driver.poll(slots=slots, free_slots=1)
    for _ in range(9):
        driver.apply(Tick())
    assert looks == 1
