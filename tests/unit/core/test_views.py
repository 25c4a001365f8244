"""What is told of jobs and users: what waits, when it starts and why not sooner, what is owed."""

from __future__ import annotations

import math

import pytest

from tests.oracles.driver import POOL, Driver, stage
from tests.unit.core.test_engine_jobs import Engine
from uwfq_service.core import commands as cmd
from uwfq_service.core import views


def test_a_second_attempt_beside_the_first_takes_nothing_off_what_waits() -> None:
    """Of three tasks one runs twice: two wait, also while the rival of a done one still runs."""
    engine = Engine()
    engine.add("s", 3)
    engine.begin("s", 0)
    engine.begin("s", 0, attempt=2)
    (seen,) = views.job_status(engine.job, engine.core.now).stages
    assert (seen.waiting, seen.running, seen.done) == (2, 2, 0)
    engine.end("s", 0)
    (seen,) = views.job_status(engine.job, engine.core.now).stages
    assert (seen.waiting, seen.running, seen.done) == (2, 1, 1)


def test_a_task_in_backoff_waits() -> None:
    """It is neither running nor done."""
    core = Driver()
    job = core.submit("ada", "a", stage("s", 1.0, 1.0))
    (lease,) = core.poll()
    core.fail(lease, 0.0)
    assert views.job_status(job, core.now).stages[0].waiting == 2


def test_a_job_that_goes_on_says_why_an_attempt_failed_last() -> None:
    """Whoever looks wants to know before it has failed.  With a success it is forgotten."""
    core = Driver()
    job = core.submit("ada", "a", stage("s", 1.0))
    (lease,) = core.poll()
    core.fail(lease, 0.0, "no such file")
    assert views.job_status(job, core.now).cause == "no such file"
    core.at(5.0)
    (lease,) = core.poll()
    core.done(lease, 0.0)
    assert views.job_status(job, core.now).cause == ""


@pytest.mark.parametrize("policy", ["uwfq", "uwfq_paper"])
def test_what_was_before_a_policy_took_over_is_no_lag(policy: str) -> None:
    """The new virtual time has not seen it, and neither owes it nor is owed it."""
    core = Driver("fair", slots=1)
    core.submit("ada", "a1", stage("s", 20.0))
    (lease,) = core.poll()
    core.at(20.0)
    core.done(lease, 20.0)
    core.submit("bo", "b1", stage("s", 4.0))
    (lease,) = core.poll()
    core.apply(cmd.ConfigurePool(pool=POOL, policy=policy, fixed_slots=1))
    assert (lag(core, "ada"), lag(core, "bo")) == (0.0, 0.0)
    core.at(24.0)
    core.done(lease, 4.0)
    core.submit("ada", "a2", stage("s", 5.0))
    core.reload()
    assert (lag(core, "ada"), lag(core, "bo")) == (0.0, 0.0)
    core.at(26.0)
    # Nothing has run yet of what the fluid cluster has served for 2 s.
    assert lag(core, "ada") == pytest.approx(2.0)


@pytest.mark.parametrize("policy", ["uwfq", "uwfq_paper"])
def test_what_was_declared_in_vain_is_no_lag(policy: str) -> None:
    """The fluid cluster has served more than the job turned out to need: that has lapsed."""
    core = Driver(policy, slots=2)
    core.submit("ada", "a", stage("s", 20.0))
    (lease,) = core.poll()
    core.at(10.0)
    assert lag(core, "ada") == pytest.approx(10.0)
    core.done(lease, 10.0)
    assert lag(core, "ada") == 0.0


def lag(core: Driver, user: str) -> float:
    """What a user is owed."""
    return views.user_status(core.user(user), core.now).lag


# -- when does it start ------------------------------------------------------------------------


def start(core: Driver, job: str) -> float | None:
    """When the next task of a job is predicted to start."""
    return core.explain(core.scheduler.job(job)).predicted_start


def test_what_runs_is_waited_for() -> None:
    """The next one starts when a slot runs free, not now."""
    core = Driver(slots=1)
    core.submit("ada", "a", stage("s", 10.0))
    (lease,) = core.poll()
    core.submit("bo", "b", stage("s", 1.0))
    core.at(4.0)
    assert start(core, "b") == pytest.approx(6.0)
    core.at(10.0)
    core.done(lease, 10.0)
    assert start(core, "b") == 0.0


def test_slots_run_free_one_after_another() -> None:
    """Those ahead take the first ones, and the rest of what they need as all come free."""
    core = Driver(slots=2)
    core.submit("ada", "a", stage("s", 10.0, 4.0))
    core.poll(slots=2)
    core.submit("bo", "b", stage("s", 3.0))
    core.submit("cy", "c", stage("s", 30.0))
    assert start(core, "b") == pytest.approx(4.0)
    # bo's task ends after 4 + 3 seconds, before the slot of 10 is free.
    assert start(core, "c") == pytest.approx(7.0)


@pytest.mark.parametrize("policy", ["uwfq", "fifo"])
def test_what_is_ahead_takes_what_its_tasks_have_taken_so_far(policy: str) -> None:
    """Three times as long as declared, the first one did; so will the second and the other two."""
    core = Driver(policy, slots=1)
    core.submit("ada", "a", stage("s", 1.0, 1.0, 1.0, 1.0))
    (lease,) = core.poll()
    core.at(3.0)
    core.done(lease, 3.0)
    core.poll()
    core.submit("bo", "b", stage("s", 30.0))
    core.at(4.0)
    assert start(core, "b") == pytest.approx(2.0 + 3.0 + 3.0)


def test_who_is_ahead_is_told_though_their_tasks_take_no_time() -> None:
    """Of a worker that does nothing: there is nothing to wait for, but somebody goes first."""
    core = Driver(slots=1)
    core.submit("ada", "a", stage("s", 1.0, 1.0))
    (lease,) = core.poll()
    core.submit("bo", "b", stage("s", 30.0))
    core.done(lease, 0.0)
    told = core.explain(core.scheduler.job("b"))
    assert (told.reason, told.predicted_start) == ("1 job goes first.", 0.0)


def test_with_a_free_slot_it_starts_at_once() -> None:
    """Whatever runs beside it, or waits in the queue of another worker."""
    core = Driver()
    core.submit("ada", "a", stage("s", 10.0, 10.0))
    core.poll("full", slots=1, prefetch=1)
    core.poll("idle", slots=1, max_tasks=0)
    core.submit("bo", "b", stage("s", 1.0))
    assert start(core, "b") == 0.0


def test_what_runs_on_several_slots_is_done_the_sooner() -> None:
    """Its work is shared among them."""
    core = Driver()
    core.submit("ada", "wide", stage("s", 8.0, slots_per_task=2))
    core.poll(slots=2)
    core.submit("bo", "b", stage("s", 1.0))
    core.at(1.0)
    assert start(core, "b") == 3.0


def test_a_job_ahead_counts_once_however_many_stages_it_has() -> None:
    """Under every policy jobs are told, not stages."""
    core = Driver("fifo", slots=1)
    core.submit("ada", "a", stage("s", 1.0), stage("t", 2.0), stage("u", 4.0))
    core.submit("bo", "b", stage("s", 1.0))
    core.poll(max_tasks=0)
    told = core.explain(core.scheduler.job("b"))
    assert (told.position, told.reason) == (2, "1 job goes first.")
    assert [(each.job_id, each.remaining_work) for each in told.ahead] == [("a", 7.0)]


def test_a_job_ahead_that_has_cost_more_than_its_charge_has_nothing_left() -> None:
    """Under ``fifo`` no charge is corrected."""
    core = Driver("fifo")
    core.submit("ada", "a", stage("s", 1.0, 1.0))
    core.submit("bo", "b", stage("s", 1.0))
    (lease,) = core.poll()
    core.at(5.0)
    core.done(lease, 5.0)
    (ahead,) = core.explain(core.scheduler.job("b")).ahead
    assert ahead.remaining_work == 0.0


def test_an_engine_sees_by_itself_what_fits_its_slots() -> None:
    """Its wide tasks are not said to be too wide for workers, which will not get them."""
    core = Driver()
    core.rank("e", slots=2)
    core.submit("ada", "a", stage("s", 8.0, slots_per_task=4), engine_id="e")
    told = core.explain(core.scheduler.job("a"))
    assert told.reason == "It is next: it waits for a free slot that its task fits."


def test_what_is_queued_at_workers_goes_first() -> None:
    """It was leased, so it has its turn before anything that waits here."""
    core = Driver()
    core.submit("ada", "a", stage("s", 10.0, 10.0))
    core.poll(slots=1, prefetch=1)
    core.submit("bo", "b", stage("s", 1.0))
    assert start(core, "b") == pytest.approx(20.0)


# -- when does it end --------------------------------------------------------------------------


def test_a_deadline_that_rounding_puts_behind_its_users_end_is_reached() -> None:
    """Of many jobs the sum up to the last may round to more than the sum of all (Python 3.12)."""
    core = Driver(slots=2)
    job = core.submit("ada", "a", stage("s", 7.0))
    policy = job.pool.policy
    deadline = float(policy.virtual_deadline(job) or 0)

    def seconds(until: float) -> float | None:
        countdown = policy.countdown(until, core.now)
        assert countdown is not None
        assert countdown.step()
        return countdown.seconds

    assert seconds(deadline) == 3.5
    assert seconds(math.nextafter(deadline, math.inf)) == pytest.approx(3.5)
    assert seconds(1.01 * deadline) is None


# -- why does it wait --------------------------------------------------------------------------


def test_a_cap_is_no_reason_for_a_job_that_has_nothing_to_launch() -> None:
    """All of its tasks run, and it would not end the sooner without the cap."""
    core = Driver(slots=4)
    core.apply(cmd.SetUser(pool=POOL, user="ada", max_running_slots=1))
    running = core.submit("ada", "a1", stage("s", 1.0))
    waiting = core.submit("ada", "a2", stage("s", 1.0))
    core.poll()
    assert "cap" not in core.explain(running).reason
    assert "cap" in core.explain(waiting).reason


def test_a_task_that_is_wider_than_every_worker_waits_for_one_that_is_not() -> None:
    """It is not next, and does not start in 0 s; nor is it in anybody's way."""
    core = Driver()
    core.poll(slots=2, max_tasks=0)
    wide = core.submit("ada", "wide", stage("s", 1.0, slots_per_task=4))
    behind = core.submit("ada", "behind", stage("s", 9.0))
    told = core.explain(wide)
    assert told.reason == "Its next task needs 4 slots, more than any worker has: 2 at most."
    assert (told.position, told.predicted_start) == (1, None)
    told = core.explain(behind)
    assert told.reason == "It is next: it waits for a free slot that its task fits."
    assert told.predicted_start == 0.0
    core.poll("large", slots=4, max_tasks=0)
    assert core.explain(wide).predicted_start == 0.0
    assert core.explain(behind).reason == "1 job goes first."


@pytest.mark.parametrize("engine", ["", "e"])
def test_a_task_that_is_wider_than_its_users_cap_waits_for_another_cap(engine: str) -> None:
    """An operator's mistake, which nobody would find otherwise."""
    core = Driver()
    core.poll(slots=8, max_tasks=0)
    core.apply(cmd.SetUser(pool=POOL, user="ada", max_running_slots=2))
    job = core.submit("ada", "a", stage("s", 1.0, slots_per_task=4), engine_id=engine)
    told = core.explain(job)
    assert (
        told.reason == "Its next task needs 4 slots, more than the cap of user 'ada', which is 2."
    )
    assert told.predicted_start is None


def test_slots_that_are_configured_run_nothing() -> None:
    """A pool of a fixed size may be without a worker: that is told, and counted on all the same."""
    core = Driver(slots=8)
    told = core.explain(core.submit("ada", "a", stage("s", 1.0)))
    assert told.reason == "Pool 'pool' has no worker, only slots that are configured."
    assert told.predicted_start == 0.0
