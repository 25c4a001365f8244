"""Finished jobs are remembered for a while, and then forgotten."""

from __future__ import annotations

from tests.oracles.driver import Driver, stage
from uwfq_service.core.settings import Settings
from uwfq_service.core.timers import TimerKind


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
