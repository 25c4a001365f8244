"""Restarts: what a snapshot keeps, and what follows from the settings that it meets."""

from __future__ import annotations

import msgspec

from tests.oracles.counting import calls_of
from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core.estimation import Estimator
from uwfq_service.core.invariants import check
from uwfq_service.core.model import JobState, Lease
from uwfq_service.core.replies import AckStatus
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings


def one_task() -> cmd.StageSpec:
    """A stage that says nothing about its work."""
    return stage("s", cut=cmd.TaskList(count=1))


def run(driver: Driver, job_id: str, signature: str) -> None:
    """Let a job of a signature pass through the pool, past all others."""
    driver.submit("ada", job_id, one_task(), signature=signature)
    leases = driver.poll(slots=9)
    driver.at(driver.now + 1)
    for lease in leases:
        if lease.stage.job.job_id == job_id:
            driver.done(lease, 1.0)


def test_a_charge_that_was_no_guess_is_none_after_a_restart() -> None:
    """A job came when its signature was known, which the estimator has forgotten since."""
    driver = Driver()
    estimators = driver.scheduler.state.estimators
    estimators[POOL] = Estimator(prior_work=100.0, capacity=4)
    run(driver, "first", "known")
    job = driver.submit("bo", "job", one_task(), signature="known", open=True)
    run(driver, "second", "other")
    assert not estimators[POOL].knows("known")
    assert not job.guessed
    driver.reload()
    assert not driver.scheduler.job("job").guessed
    check(driver.scheduler, driver.now)


def test_an_image_that_does_not_say_what_is_a_guess_is_read() -> None:
    """Older snapshots leave it to what is known when they are loaded."""
    driver = Driver()
    driver.submit("ada", "unknown", one_task(), signature="new")
    image = msgspec.msgpack.decode(msgspec.msgpack.encode(driver.scheduler.dump()))
    for each in image["jobs"]:
        del each["guessed"]
    loaded = Scheduler.load(image, Settings())
    assert loaded.job("unknown").guessed
    check(loaded, driver.now)


def test_an_image_that_does_not_say_what_is_unseen_is_read() -> None:
    """In older snapshots a guess was unseen if it had a signature, and not if it had none."""
    driver = Driver()
    driver.submit("ada", "signed", one_task(), signature="new")
    driver.submit("ada", "plain", one_task())
    image = msgspec.msgpack.decode(msgspec.msgpack.encode(driver.scheduler.dump()))
    for each in image["jobs"]:
        del each["unseen"]
    loaded = Scheduler.load(image, Settings())
    assert [loaded.job(name).unseen for name in ("signed", "plain")] == [True, False]
    assert loaded.job("plain").guessed
    check(loaded, driver.now)


def test_another_prior_holds_from_the_next_start_on() -> None:
    """Nothing is known of a pool's jobs, and the operator has changed what that means."""
    driver = Driver(settings=Settings(prior_work=100.0))
    image = msgspec.msgpack.decode(msgspec.msgpack.encode(driver.scheduler.dump()))
    driver.scheduler = Scheduler.load(image, Settings(prior_work=7.0))
    assert driver.submit("ada", "job", one_task()).work == 7.0


def test_an_engine_has_its_whole_time_to_be_heard_of_again() -> None:
    """However long the service was away, and however short the leases are that others have."""
    driver = Driver(settings=Settings(lease_seconds=5.0, worker_timeout=20.0, engine_timeout=60.0))
    driver.rank("engine", slots=4)
    driver.poll("worker", slots=2)
    driver.submit("ada", "query", open=True, engine_id="engine")
    driver.now = 300.0
    driver.reload()
    driver.at(319.0)
    assert driver.scheduler.pools[POOL].slots == 6
    driver.at(359.0)
    assert driver.scheduler.pools[POOL].slots == 4
    assert not driver.scheduler.job("query").ended
    driver.at(361.0)
    assert driver.scheduler.job("query").state is JobState.CANCELLED


def late_result(driver: Driver, lease: Lease) -> AckStatus:
    """What the service says to a result under a lease that another journal has granted."""
    late = cmd.TaskRef(lease_id=lease.lease_id, attempt=lease.attempt)
    return driver.report("w", late, cmd.TaskSuccess(runtime=1.0))


def test_a_lease_of_the_journal_before_is_none_of_a_new_one() -> None:
    """A worker outlives the journal; its task of before must not count for one that never ran."""
    before = Driver(since=1.0)
    before.submit("ada", "old", one_task())
    (old,) = before.poll(slots=2)
    after = Driver(since=2.0)
    after.submit("bo", "new", one_task())
    (new,) = after.poll(slots=2)
    assert new.lease_id > old.lease_id
    assert late_result(after, old) is AckStatus.UNKNOWN
    assert not after.scheduler.job("new").ended
    after.reload()
    assert late_result(after, old) is AckStatus.UNKNOWN


def test_a_lease_granted_since_the_copy_of_a_journal_is_none_of_the_copy() -> None:
    """An operator goes back to a copy of the data directory, and the workers go on."""
    driver = Driver(since=1.0)
    copy = msgspec.msgpack.encode(driver.scheduler.dump())
    driver.submit("ada", "lost", one_task())
    (lost,) = driver.poll(slots=2)
    driver.scheduler = Scheduler.load(msgspec.msgpack.decode(copy), Settings())
    driver.now = 2.0
    driver.scheduler.recover(driver.now)
    driver.submit("bo", "new", one_task())
    (new,) = driver.poll(slots=2)
    assert new.lease_id > lost.lease_id
    late_result(driver, lost)
    assert not driver.scheduler.job("new").ended


def test_an_image_that_does_not_say_where_leases_begin_is_read() -> None:
    """In older snapshots they begin at 1."""
    image = msgspec.msgpack.decode(msgspec.msgpack.encode(Driver(since=1.0).scheduler.dump()))
    del image["first_lease"]
    assert Scheduler.load(image, Settings()).state.first_lease == 1


def test_an_outage_serves_nobody() -> None:
    """The ideal cluster is as far as it was, and a backlog is not all overdue at the return.

    A query that comes then would wait for all of it.
    """
    for policy in ("uwfq", "uwfq_paper", "cfq"):
        driver = Driver(policy)
        driver.poll(slots=2, free_slots=0)
        for number in range(50):
            driver.submit("ada", f"report-{number}", one_task(), declared_work=10.0)
        (first,) = driver.poll(slots=2, max_tasks=1)
        before = driver.scheduler.pools[POOL].policy.virtual_time(driver.now)
        driver.now = 3600.0
        driver.reload(outage=3600.0)
        assert driver.scheduler.pools[POOL].policy.virtual_time(driver.now) == before
        driver.done(driver.scheduler.state.leases[first.lease_id], 10.0)
        driver.submit("bo", "query", one_task(), declared_work=1.0)
        ranked = [stage.job.job_id for stage in driver.scheduler.pools[POOL].policy.ranking()]
        assert ranked.index("query") <= 2, policy
        check(driver.scheduler, driver.now)


def test_a_task_may_be_over_in_time_while_the_service_is_away() -> None:
    """Its worker could not say so; what is left of its time limit runs on from the return."""
    driver = Driver()
    limited = stage("s", cut=cmd.TaskList(count=2), task_timeout=60.0)
    job = driver.submit("ada", "job", limited)
    driver.poll(slots=2)
    driver.at(10.0)
    driver.renew()
    driver.now = 300.0
    driver.reload(outage=290.0)
    driver.at(325.0)
    driver.renew()
    driver.at(349.0)
    lease, other = driver.scheduler.state.leases.values()
    assert driver.done(lease, 290.0) is AckStatus.ACCEPTED
    driver.renew()
    driver.at(351.0)
    assert other.lease_id not in driver.scheduler.state.leases
    assert driver.scheduler.job(job.job_id).failed_attempts == 1


def test_what_an_outage_took_is_not_charged_to_those_whose_workers_died_in_it() -> None:
    """What runs then nobody sees.  A result says what it took, and a lost task took little."""
    driver = Driver()
    tasks = stage("s", cut=cmd.TaskList(count=2))
    driver.submit("ada", "job", tasks, declared_work=20.0)
    driver.poll("lucky", slots=1)
    driver.poll("dead", slots=1)
    driver.at(5.0)
    driver.renew("lucky")
    driver.now = 3605.0
    driver.reload(outage=3600.0)
    driver.at(3606.0)
    (lease,) = driver.scheduler.pools[POOL].workers["lucky"].leases.values()
    driver.done(lease, 3000.0, worker="lucky")
    driver.at(3700.0)
    job = driver.scheduler.job("job")
    assert job.failed_attempts == 1
    assert 3035.0 <= job.measured <= 3040.0
    check(driver.scheduler, driver.now)


def test_virtual_time_does_not_fall_below_what_somebody_has_seen_leave() -> None:
    """A look after the last event finds a user served; the snapshot of a stop is as of the look."""
    driver = Driver("uwfq", slots=1)
    driver.submit("ada", "short", one_task(), declared_work=1.0)
    driver.submit("bo", "long", one_task(), declared_work=9.0)
    policy = driver.scheduler.pools[POOL].policy
    policy.advance(5.0)
    assert policy.active_users() == 1
    seen = policy.virtual_time(2.0)
    # Nor if the clock has been set back.
    driver.now = 1.0
    driver.reload(outage=1.0)
    policy = driver.scheduler.pools[POOL].policy
    assert policy.virtual_time(driver.now) == seen
    check(driver.scheduler, driver.now)


def test_a_standstill_replays_to_what_was_seen_in_it() -> None:
    """A look has found a user served before the standstill was noticed; no journal knows of it."""
    driver = Driver("uwfq", slots=1)
    driver.submit("ada", "short", one_task(), declared_work=1.0)
    driver.submit("bo", "long", one_task(), declared_work=9.0)
    driver.scheduler.pools[POOL].policy.advance(3.0)
    driver.events += driver.scheduler.recover(10.0, 1.0).events
    replayed = Scheduler(driver.scheduler.settings)
    for event in driver.events:
        replayed.replay(event)
    assert replayed.dump(10.0) == driver.scheduler.dump(10.0)


def test_many_users_make_the_first_poll_after_a_restart_no_dearer() -> None:
    """Who goes first is found while the service starts, not while everybody waits."""

    def cost(users: int) -> int:
        driver = Driver()
        for number in range(users):
            driver.submit(f"user-{number}", f"job-{number}", stage("s", 1.0))
        driver.reload()
        return calls_of(driver.poll)

    assert cost(500) < cost(5) + 50
