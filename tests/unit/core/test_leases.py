"""Leases: renewed one by one or together, and lost once each."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.oracles.counting import Counted
from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core import events as ev
from uwfq_service.core.invariants import check
from uwfq_service.core.model import JobState, Lease
from uwfq_service.core.replies import LeaseStatus
from uwfq_service.core.settings import Settings
from uwfq_service.core.timers import TimerKind

#: Longer than anything here lasts.
LONG: Final = 100_000.0


def test_a_lease_is_lost_once_however_its_batch_was_renewed() -> None:
    """Leases of one batch are renewed apart, then their worker dies: each expires, and once."""
    driver = Driver()
    driver.submit("ada", "job", stage("s", *[LONG] * 4))
    leases = [lease.lease_id for lease in driver.poll(slots=4)]
    for round_ in range(1, 7):
        driver.at(10 * round_)
        driver.renew(lease_ids=(leases[0], leases[2]))
        driver.at(10 * round_ + 5)
        driver.renew(lease_ids=(leases[1], leases[3]))
        check(driver.scheduler, driver.now)
    driver.at(200)
    lost = [lease for event in driver.events_of(ev.LeasesExpired) for lease in event.leases]
    assert sorted(lost) == leases
    assert not driver.scheduler.state.leases


def test_a_lease_has_one_timer_however_often_it_is_renewed() -> None:
    """What waits to be looked at does not grow with the renewals."""
    driver = Driver()
    driver.submit("ada", "job", stage("s", *[LONG] * 4))
    driver.poll(slots=4)
    timers = driver.scheduler.state.timers
    for second in range(5, 600, 5):
        driver.at(second)
        driver.renew(lease_ids=(1, 3) if second % 10 else (2, 4))
        assert len(list(timers.items(TimerKind.LEASES))) <= 4


def test_a_worker_that_renews_in_time_keeps_its_leases_however_long_they_are() -> None:
    """A third of a long lease is longer than a worker may be silent that holds none."""
    driver = Driver(settings=Settings(lease_seconds=120.0, worker_timeout=30.0))
    job = driver.submit("ada", "job", stage("s", LONG))
    (lease,) = driver.poll()
    for second in range(40, 400, 40):
        driver.at(second)
        (renewal,) = driver.renew(lease_ids=(lease.lease_id,))
        assert renewal.status is LeaseStatus.RENEWED
    driver.at(360 + 119)
    assert driver.scheduler.pools[POOL].slots == 1
    driver.at(360 + 121)
    assert (job.failed_attempts, driver.scheduler.pools[POOL].slots) == (1, 0)
    check(driver.scheduler, driver.now)


def test_a_silent_worker_without_leases_does_not_count_for_long() -> None:
    """However long its leases would have been."""
    driver = Driver(settings=Settings(lease_seconds=120.0, worker_timeout=30.0))
    driver.poll()
    driver.at(29)
    assert driver.scheduler.pools[POOL].slots == 1
    driver.at(31)
    assert driver.scheduler.pools[POOL].slots == 0


def test_a_worker_is_not_silent_while_its_poll_waits() -> None:
    """It cannot say more than that it is there for a minute."""
    driver = Driver(settings=Settings(worker_timeout=30.0))
    driver.poll(wait=60.0)
    driver.at(89)
    assert driver.scheduler.pools[POOL].slots == 1
    driver.at(91)
    assert driver.scheduler.pools[POOL].slots == 0


@pytest.mark.parametrize("good", [True, False])
def test_a_lease_that_was_lost_is_revoked_only_if_its_job_failed(good: bool) -> None:
    """Where somebody else has done its task it has expired, and nobody has cancelled anything."""
    driver = Driver()
    job = driver.submit("ada", "job", stage("s", 1.0))
    (lost,) = driver.poll("slow")
    driver.at(31)
    (lease,) = driver.poll("fast")
    if good:
        driver.done(lease, 0.0, worker="fast")
    else:
        driver.fail(lease, 0.0, retryable=False)
    assert job.ended
    (renewal,) = driver.renew("slow", lease_ids=(lost.lease_id,))
    assert renewal.status is (LeaseStatus.UNKNOWN if good else LeaseStatus.REVOKED)


def test_a_renewal_of_everything_names_what_is_void() -> None:
    """A worker that names no leases hears of those that are cancelled, until a poll told it."""
    driver = Driver()
    driver.submit("ada", "gone", stage("s", 1.0))
    driver.submit("ada", "kept", stage("s", 2.0))
    gone, kept = (lease.lease_id for lease in driver.poll(slots=2))
    driver.cancel("gone")
    expected = {gone: LeaseStatus.REVOKED, kept: LeaseStatus.RENEWED}
    assert {renewal.lease_id: renewal.status for renewal in driver.renew()} == expected
    assert driver.ask("w", slots=2, free_slots=0).revoked == (gone,)
    assert [renewal.lease_id for renewal in driver.renew()] == [kept]


def test_what_was_lost_in_a_queue_uses_up_no_attempt() -> None:
    """However many workers die while a task is queued at them, it gets all its attempts."""
    driver = Driver("fifo")
    one = cmd.TaskList(count=1)
    driver.submit("ada", "first", stage("s", cut=one, max_attempts=9), declared_work=1.0)
    driver.submit("bo", "second", stage("s", cut=one, max_attempts=2), declared_work=50.0)
    for number in range(1, 5):
        first, second = driver.poll(f"dies-{number}", slots=1, prefetch=1)
        assert (first.stage.job.job_id, second.stage.job.job_id) == ("first", "second")
        assert second.started_at is None
        # Its worker may come back and run it yet, so no other attempt has its number.
        assert second.attempt == number
        driver.at(driver.now + 61)
        check(driver.scheduler, driver.now)
    driver.reload()
    driver.cancel("first")
    job = driver.scheduler.job("second")
    for number in (5, 6):
        assert job.state is not JobState.FAILED
        (lease,) = driver.poll(f"dies-{number}")
        assert lease.attempt == number
        driver.at(driver.now + 61)
    assert job.state is JobState.FAILED
    assert "attempt 2 of 2" in job.cause


def test_what_has_left_the_queue_uses_up_an_attempt() -> None:
    """A queued task begins when the one before it is done, and is an attempt from then on."""
    driver = Driver("fifo")
    one = cmd.TaskList(count=1)
    for name in ("a", "b"):
        driver.submit("ada", name, stage("s", cut=one, max_attempts=1), declared_work=1.0)
    first, second = driver.poll(slots=1, prefetch=1)
    driver.at(1)
    driver.done(first, 1.0)
    driver.at(100)
    assert driver.scheduler.job(second.stage.job.job_id).state is JobState.FAILED


def test_starts_are_told_apart_without_comparing_each_with_all() -> None:
    """However many starts one message brings, each is looked up a few times."""
    count = 200
    driver = Driver()
    spec = stage("s", cut=cmd.TaskList(count=count + 1))
    driver.submit("ada", "job", spec, declared_work=LONG)
    _, *queued = driver.poll(slots=1, prefetch=count)
    assert len(queued) == count
    starts = tuple(
        cmd.TaskStart(task=cmd.TaskRef(lease_id=Counted(lease.lease_id))) for lease in queued
    )
    Counted.compared = 0
    driver.renew(started=starts)
    assert all(lease.started_at == driver.now for lease in queued)
    assert Counted.compared <= 10 * count


def test_a_start_counts_once() -> None:
    """One message may name a lease twice: the first is meant."""
    driver = Driver()
    driver.submit("ada", "job", stage("s", LONG, LONG))
    _, queued = driver.poll(slots=1, prefetch=1)
    driver.at(9)
    task = cmd.TaskRef(lease_id=queued.lease_id)
    driver.renew(started=(cmd.TaskStart(task=task, running=2), cmd.TaskStart(task=task, running=1)))
    assert queued.started_at == 7
    check(driver.scheduler, driver.now)


class Scans(dict[int, Lease]):
    """Leases by their ids, with a count of those that somebody has walked through."""

    walked = 0

    def values(self) -> Any:
        self.walked += len(self)
        return super().values()


@pytest.mark.parametrize("engine", ["", "e"])
def test_the_end_of_a_job_does_not_look_at_the_leases_of_others(engine: str) -> None:
    """Only at its own; what it ran is void, and the others run on."""
    core = Driver(slots=100)
    core.submit("bo", "b", stage("s", *[1.0] * 90), declared_work=90.0)
    core.poll("v", slots=90)
    core.submit("ada", "a", stage("s", 1.0, 1.0), stage("t", 1.0), engine_id=engine)
    if engine:
        core.rank(engine, slots=9)
        refs = [cmd.TaskRef(attempt=1, job_id="a", stage=name) for name in ("s", "t")]
        core.renew(engine, started=tuple(cmd.TaskStart(task=task) for task in refs))
    else:
        assert len(core.poll(slots=3)) == 3
    core.reload()
    state = core.scheduler.state
    leases = state.leases = Scans(state.leases)
    core.cancel("a")
    assert not leases.walked
    assert {lease.stage.job.job_id for lease in state.leases.values()} == {"b"}
    assert len(leases) == 90
    check(core.scheduler, core.now)


def test_what_was_lost_in_a_queue_has_not_begun() -> None:
    """Its worker is gone as a whole: nothing of its queue begins when what ran there ends."""
    driver = Driver("fifo")
    for name in ("first", "second"):
        driver.submit("ada", name, stage("s", 1.0), declared_work=1.0)
    driver.poll(slots=1, prefetch=1)
    driver.at(61)
    first, second = driver.scheduler.job("first"), driver.scheduler.job("second")
    assert (first.state, first.started_at) == (JobState.RUNNING, 0.0)
    assert (second.state, second.started_at) == (JobState.WAITING, None)
    check(driver.scheduler, driver.now)
