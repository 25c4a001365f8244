"""Submissions that are repeated: by the name of their job, else by the id of their request."""

from __future__ import annotations

from typing import Any

from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
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
