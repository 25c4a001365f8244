"""What is repeated: submissions by the name of their job or the id of their request, and polls."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core.invariants import check
from uwfq_service.core.replies import JobReply
from uwfq_service.core.settings import Settings


def submitted(driver: Driver, **names: Any) -> str:
    """The id of the job that a submission leads to."""
    reply = driver.apply(cmd.SubmitJob(pool=POOL, user="ada", stages=(stage("s", 1.0),), **names))
    assert isinstance(reply, JobReply)
    return reply.job.job_id


def test_a_job_with_a_name_does_not_take_the_request_of_another() -> None:
    """A request id counts for submissions without a name, whatever else carries it."""
    driver = Driver()
    first = submitted(driver, request_id="r")
    assert submitted(driver, request_id="r", job_id="named") == "named"
    assert submitted(driver, request_id="r") == first
    driver.reload()
    assert submitted(driver, request_id="r") == first


def test_a_request_is_forgotten_with_its_own_job_only() -> None:
    """A job with a name is forgotten; the request id that it carried is another's."""
    driver = Driver(settings=Settings(retention_seconds=10.0))
    assert submitted(driver, request_id="r", job_id="named") == "named"
    second = submitted(driver, request_id="r")
    assert second != "named"
    driver.cancel("named")
    driver.at(20)
    assert "named" not in driver.scheduler.state.jobs
    assert submitted(driver, request_id="r") == second


def test_a_poll_that_is_repeated_when_its_leases_are_gone_gets_others() -> None:
    """Its worker was cut off for longer than a lease, and is as good as any other now."""
    driver = Driver(settings=Settings(lease_seconds=10.0))
    job = driver.submit("ada", "a", stage("s", 1.0, 1.0, 1.0))
    first = driver.poll(slots=2, poll_id=7)
    driver.at(9)
    assert driver.poll(slots=2, poll_id=7) == first
    driver.at(11)
    assert job.failed_attempts == 2
    again = driver.poll(slots=2, poll_id=7)
    assert {lease.lease_id for lease in again}.isdisjoint(lease.lease_id for lease in first)
    driver.reload()
    told = driver.poll(slots=2, poll_id=7)
    assert [lease.lease_id for lease in told] == [lease.lease_id for lease in again]
    worker = driver.scheduler.pools[POOL].workers["w"]
    assert worker.last_poll_leases == [lease.lease_id for lease in again]
    check(driver.scheduler, driver.now)


def test_a_poll_that_is_repeated_gets_no_more_than_the_first_time() -> None:
    """As long as anything of that is left: the rest is not lost."""
    driver = Driver()
    driver.submit("ada", "a", stage("s", *[1.0] * 9))
    first, second = driver.poll(slots=2, poll_id=7)
    driver.done(first, 0.0)
    assert driver.poll(slots=2, poll_id=7) == (second,)


@pytest.mark.parametrize("weight", [1 / 3, 2.0, 0.0010000004])
def test_what_an_operator_has_set_already_is_no_news(weight: float) -> None:
    """Though of a weight no more than six decimals are kept."""
    driver = Driver()
    command = cmd.SetUser(pool=POOL, user="ada", weight=weight, max_running_slots=2)
    driver.apply(command)
    told = len(driver.events)
    driver.apply(command)
    assert len(driver.events) == told
    driver.apply(cmd.SetUser(pool=POOL, user="ada", weight=2 * weight))
    assert len(driver.events) == told + 1
