"""One process, one id: a worker or an engine that is known in several pools."""

from __future__ import annotations

import pytest

from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core import events as ev
from uwfq_service.core.model import JobState
from uwfq_service.core.replies import LeaseStatus

OTHER = "other"


def two_pools(*, engine_id: str = "") -> Driver:
    """A job of one long task in each of two pools."""
    core = Driver()
    core.apply(cmd.ConfigurePool(pool=OTHER))
    for pool in (POOL, OTHER):
        core.apply(
            cmd.SubmitJob(
                pool=pool,
                user="u",
                job_id=f"in-{pool}",
                stages=(stage("s", 1.0),),
                engine_id=engine_id,
            )
        )
    return core


STRAY = cmd.TaskResult(
    task=cmd.TaskRef(lease_id=99, attempt=1), outcome=cmd.TaskSuccess(runtime=1.0)
)


@pytest.mark.parametrize(
    "command", [cmd.RenewLeases(worker_id="e"), cmd.TaskDone(worker_id="e", results=(STRAY,))]
)
def test_an_engine_that_is_heard_of_is_alive_in_all_of_its_pools(command: cmd.Command) -> None:
    """Its jobs in the second pool are not cancelled for its silence."""
    core = two_pools(engine_id="e")
    for second in range(10, 300, 10):
        core.at(float(second))
        core.apply(command)
    states = {core.scheduler.job(f"in-{pool}").state for pool in (POOL, OTHER)}
    assert states == {JobState.WAITING}


def test_a_renewal_of_everything_renews_the_leases_of_all_pools() -> None:
    """A worker that holds leases in two pools keeps them all."""
    core = two_pools()
    for pool in (POOL, OTHER):
        core.apply(cmd.NextTask(pool=pool, worker_id="w", slots=1, free_slots=1))
    for second in range(5, 100, 5):
        core.at(float(second))
        statuses = [renewal.status for renewal in core.renew("w")]
        assert statuses == [LeaseStatus.RENEWED] * 2
    assert not core.events_of(ev.LeasesExpired)
