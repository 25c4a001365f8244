"""Restarts: what a snapshot keeps, and what follows from the settings that it meets."""

from __future__ import annotations

import msgspec

from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core.estimation import Estimator
from uwfq_service.core.invariants import check
from uwfq_service.core.model import JobState
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
