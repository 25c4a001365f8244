"""Finished jobs are remembered for a while, and then forgotten."""

from __future__ import annotations

import gc
from collections import Counter

import pytest

from tests.oracles.driver import Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core.model import Job, User
from uwfq_service.core.policy import POLICIES, base
from uwfq_service.core.policy.cfq import StageClock
from uwfq_service.core.policy.stage_order import UserStages
from uwfq_service.core.policy.user_queue import UserQueue
from uwfq_service.core.replies import AckStatus
from uwfq_service.core.settings import Limits, Settings
from uwfq_service.core.stage import Stage
from uwfq_service.core.timers import TimerKind
from uwfq_service.core.user_clock import JobClock

#: What there is of each job, stage and user, and of their places in orders and in virtual time.
RECORDS = (Job, Stage, User, JobClock, StageClock, UserQueue, UserStages)
USERS = ("ada", "ben")


def records() -> Counter[type]:
    """How many records exist in this process, used or not."""
    return Counter(type(each) for each in gc.get_objects() if isinstance(each, RECORDS))


def run_rounds(driver: Driver, rounds: range) -> None:
    """In each round a job of each user, of two stages, half of them estimated too low.

    And one that an engine runs.
    """
    for number in rounds:
        driver.at(100.0 * number)
        for user in USERS:
            second = stage("t", 2.0, after="s")
            driver.submit(user, f"{user}-{number}", stage("s", 1.0, 1.0), second)
        while leases := driver.poll(slots=2):
            driver.at(driver.now + 2.0)
            for lease in leases:
                driver.done(lease, 1.0 + number % 2)
        job = driver.submit("eva", f"eva-{number}", open=True, engine_id="engine")
        driver.apply(cmd.AddStages(job_id=job.job_id, stages=(stage("s", 1.0),), close=True))
        task = cmd.TaskRef(job_id=job.job_id, stage="s")
        driver.report("engine", task, cmd.TaskSuccess(runtime=1.0))


def test_forgetting_is_due_once_however_many_jobs_end() -> None:
    """With no finished job to be kept, each end of one leaves nothing behind."""
    driver = Driver(settings=Settings(retention_jobs=0, retention_seconds=1_000_000.0))
    state = driver.scheduler.state
    for number in range(20):
        driver.submit("ada", f"job-{number}", stage("s", 1.0))
        driver.cancel(f"job-{number}")
    assert not state.jobs
    assert len(list(state.timers.items(TimerKind.RETENTION))) <= 1


def test_a_job_is_remembered_for_as_long_as_was_set_and_no_longer() -> None:
    """Whether others ended before it or not, and whether the service was restarted or not."""
    driver = Driver(settings=Settings(retention_seconds=10.0))
    for number, end in enumerate((0.0, 5.0, 30.0, 42.0)):
        driver.at(end)
        driver.submit("ada", f"job-{number}", stage("s", 1.0))
        driver.cancel(f"job-{number}")
        if number == 1:
            driver.reload()
    assert set(driver.scheduler.state.jobs) == {"job-3"}
    driver.at(51.9)
    assert "job-3" in driver.scheduler.state.jobs
    driver.at(53.0)
    assert not driver.scheduler.state.jobs


def test_a_lost_lease_is_forgotten_with_its_job() -> None:
    """Whoever reports on it later is told that it does not count, as for any that was granted."""
    driver = Driver(settings=Settings(retention_seconds=10.0))
    driver.submit("ada", "job", stage("s", 1.0))
    (lost,) = driver.poll("slow")
    driver.at(100.0)
    (lease,) = driver.poll("fast")
    driver.done(lease, 0.0, worker="fast")
    assert lost.lease_id in driver.scheduler.state.void_leases
    driver.at(120.0)
    assert not driver.scheduler.state.jobs
    assert not driver.scheduler.state.void_leases
    assert driver.done(lost, 1.0, worker="slow") is AckStatus.SUPERSEDED


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_what_is_forgotten_is_given_back_at_once(policy: str) -> None:
    """No collection of garbage is needed for it: the service has none of the oldest generation."""
    driver = Driver(policy, settings=Settings(retention_jobs=4))
    gc.collect()
    gc.disable()
    try:
        run_rounds(driver, range(10))
        before = records()
        run_rounds(driver, range(10, 30))
        assert records() == before
    finally:
        gc.enable()


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_it_is_given_back_though_nobody_asks_what_goes_first(policy: str) -> None:
    """An engine may have nothing that waits whenever it asks for a ranking."""
    driver = Driver(policy, slots=2, settings=Settings(retention_jobs=0))
    gc.collect()
    gc.disable()
    try:
        before = records().total()
        for number in range(300):
            driver.at(float(number))
            driver.submit("eva", f"eva-{number}", stage("s", 1.0), engine_id="engine")
            task = cmd.TaskRef(job_id=f"eva-{number}", stage="s")
            driver.report("engine", task, cmd.TaskSuccess(runtime=0.5))
        # Entries of heaps that have become false may stay until there are too many.
        assert records().total() - before < 100
    finally:
        gc.enable()


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_users_and_narrow_orders_are_given_back_at_once(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of users that are forgotten, and of an order that was dropped, nothing is left either."""
    monkeypatch.setattr(base, "OFFERS_TO_KEEP", -1000)
    limits = Limits(max_users_per_pool=3)
    driver = Driver(policy, slots=2, settings=Settings(limits=limits, retention_jobs=0))

    def run(rounds: range) -> None:
        for number in rounds:
            driver.at(100.0 * number)
            driver.submit(f"user-{number}", "wide", stage("s", 0.5, slots_per_task=2))
            driver.submit(f"user-{number}", "narrow", stage("s", 1.0))
            (lease,) = driver.poll(slots=1)
            driver.done(lease, 1.0)
            driver.cancel("wide")

    gc.collect()
    gc.disable()
    try:
        # The three that fill the pool are forgotten when a fourth one comes.
        run(range(9))
        before = records()
        run(range(9, 30))
        assert records() == before
    finally:
        gc.enable()


@pytest.mark.parametrize("policy", ["cfq", "uwfq", "uwfq_paper"])
def test_what_was_forgotten_before_a_restart_is_given_back(policy: str) -> None:
    """The fluid cluster serves on what nobody remembers any more, and lets go of it in the end."""
    driver = Driver(policy, slots=1, settings=Settings(retention_jobs=0))
    for number in range(3):
        driver.submit("ada", f"job-{number}", stage("s", 4.0))
    # As many workers: they are faster than the fluid cluster, whose slots are set.
    leases = [driver.poll(f"w-{number}") for number in range(3)]
    driver.at(4.0)
    for number, (lease,) in enumerate(leases):
        driver.done(lease, 4.0, worker=f"w-{number}")
    assert not driver.scheduler.state.jobs
    driver.submit("ada", "next", stage("s", 1.0))
    driver.reload()
    gc.collect()
    gc.disable()
    try:
        before = records()
        driver.at(100.0)
        driver.poll()
        # What has become of a user's jobs is looked at when the next one is wanted.
        driver.scheduler.pools["pool"].policy.first()
        place = StageClock if policy == "cfq" else JobClock
        assert before - records() == {place: 3}
    finally:
        gc.enable()
