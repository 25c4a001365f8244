"""Workers that say that they go: what they hold goes back, and what they have done counts."""

from __future__ import annotations

import pytest

from tests.oracles.driver import POOL, Driver
from uwfq_service.core import commands as cmd
from uwfq_service.core.errors import InvalidField
from uwfq_service.core.invariants import check
from uwfq_service.core.model import JobState
from uwfq_service.core.replies import AckStatus


def test_a_worker_that_leaves_gives_back_what_it_has_not_begun() -> None:
    """As if it had never been leased; what ran is an attempt that was lost."""
    core = Driver()
    job = core.submit("ann", "j", cmd.StageSpec(stage="s", cut=cmd.TaskList(count=2)))
    begun, queued = core.poll("w", slots=1, prefetch=1)
    core.at(1.0)
    core.ask("w", slots=0, free_slots=0, leaving=True)
    check(core.scheduler, core.now)
    assert not core.scheduler.pools[POOL].workers
    assert (job.failed_attempts, job.measured) == (1, 1.0)
    again = {lease.task: lease for lease in core.poll("v", slots=2)}
    assert again[begun.task].attempt == 2
    assert again[queued.task].attempt == 1
    assert core.done(queued, 1.0) is AckStatus.STALE
    for lease in again.values():
        core.done(lease, 0.0, worker="v")
    assert job.state is JobState.SUCCEEDED


def test_results_that_ride_on_a_goodbye_begin_nothing() -> None:
    """The slot that a result frees is not taken by the next lease of a worker that goes."""
    core = Driver()
    job = core.submit("ann", "j", cmd.StageSpec(stage="s", cut=cmd.TaskList(count=4)))
    begun, unnoticed, *queued = core.poll("w", slots=1, prefetch=3)
    core.at(1.0)
    # The second has run, too, though the service does not know yet that the first is done.
    results = tuple(
        cmd.TaskResult(
            task=cmd.TaskRef(lease_id=lease.lease_id, attempt=1),
            outcome=cmd.TaskSuccess(runtime=0.5),
        )
        for lease in (begun, unnoticed)
    )
    reply = core.ask("w", slots=0, free_slots=0, leaving=True, done=results)
    check(core.scheduler, core.now)
    assert [ack.status for ack in reply.done_acks] == [AckStatus.ACCEPTED] * 2
    assert job.failed_attempts == 0
    again = core.poll("v", slots=2)
    assert {(lease.task, lease.attempt) for lease in again} == {(lease.task, 1) for lease in queued}


def test_nothing_but_what_it_needs_is_asked_of_a_goodbye() -> None:
    """The slots of a worker that goes are of no interest; its name is."""
    core = Driver()
    with pytest.raises(InvalidField, match="worker_id"):
        core.ask("", slots=0, free_slots=0, leaving=True)
