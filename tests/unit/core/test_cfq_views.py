"""What is told of a pool under ``cfq``, whose virtual time serves stages."""

from __future__ import annotations

import pytest

from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core import views
from uwfq_service.core.invariants import check
from uwfq_service.core.replies import AckStatus, JobReply
from uwfq_service.core.settings import Settings


@pytest.mark.parametrize("restarted", [False, True])
def test_deadlines_and_active_users_are_shown(restarted: bool) -> None:
    """GetJob, ExplainJob, GetPool and ListUsers say what SubmitJob said, and a restart keeps it."""
    core = Driver("cfq", slots=2)
    core.submit("ada", "a", stage("s", 4.0), stage("t", 6.0))
    reply = core.apply(cmd.SubmitJob(pool=POOL, user="bo", job_id="b", stages=(stage("s", 5.0),)))
    assert isinstance(reply, JobReply)
    assert reply.virtual_deadline == 5.0
    # Of three stages each is served at 2/3.
    assert reply.predicted_finish == pytest.approx(7.5)
    if restarted:
        core.reload()
    job = core.scheduler.job("b")
    assert views.job_status(job, core.now).virtual_deadline == 5.0
    # The one of 4 leaves after 6 s, and 1 is left for both others.
    assert core.explain(job).predicted_finish == pytest.approx(7.0)
    pool = core.scheduler.pools[POOL]
    assert views.pool_status(core.scheduler, pool, core.now).active_users == 2
    shares = [views.user_status(user, core.now).share_slots for user in pool.users.values()]
    assert shares == pytest.approx([4 / 3, 2 / 3])
    core.at(100.0)
    core.submit("cy", "c", stage("s", 1.0))
    assert views.pool_status(core.scheduler, pool, core.now).active_users == 1
    assert not views.user_status(core.user("ada"), core.now).active


def test_a_restart_keeps_the_active_users_of_forgotten_jobs() -> None:
    """What is served on is its user's, whether the job took less and is not remembered any more."""
    core = Driver("cfq", slots=2, settings=Settings(retention_seconds=10.0))
    core.submit("ada", "a", stage("s", 60.0))
    (lease,) = core.poll()
    core.at(1.0)
    core.done(lease, 1.0)
    core.at(20.0)
    assert not list(core.scheduler.jobs())
    core.reload()
    assert views.user_status(core.user("ada"), core.now).active
    pool = core.scheduler.pools[POOL]
    assert views.pool_status(core.scheduler, pool, core.now).active_weight == 1.0
    core.at(40.0)
    assert not views.user_status(core.user("ada"), core.now).active


def test_a_stage_that_was_dropped_before_it_could_start_is_not_served() -> None:
    """Virtual time would run slower for the sake of what will never run."""
    core = Driver("cfq", slots=1)
    core.rank("engine", slots=1)
    stages = (stage("s", 1.0), stage("t", 9.0, after="s"))
    core.submit("ada", "a", *stages, engine_id="engine", open=True)
    core.apply(cmd.DropStages(job_id="a", stages=("t",)))
    core.at(1.0)
    done = cmd.TaskRef(job_id="a", stage="s")
    assert core.report("engine", done, cmd.TaskSuccess(runtime=1.0)) is AckStatus.ACCEPTED
    pool = core.scheduler.pools[POOL]
    assert core.scheduler.job("a").stages[1].ready
    assert views.pool_status(core.scheduler, pool, core.now).active_users == 0
    core.submit("bo", "b", stage("s", 4.0))
    core.at(2.0)
    assert pool.policy.virtual_time(core.now) == 2.0
    check(core.scheduler, core.now)
