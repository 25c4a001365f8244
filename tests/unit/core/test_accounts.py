"""Estimates meet reality: what a job is charged for, while it runs and when it ends."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core.events import JobEnded, JobReestimated
from uwfq_service.core.invariants import check
from uwfq_service.core.policy.uwfq import UwfqPolicy
from uwfq_service.core.settings import Settings

UNCORRECTED = ["fifo", "fair", "ujf", "cfq", "uwfq_paper"]


def test_what_is_done_scales_what_remains() -> None:
    """L' = measured + remaining estimate x (measured / estimated of what is done)."""
    core = Driver()
    job = core.submit("u", "j", stage("s", *[1.0] * 10))
    (lease,) = core.poll()
    core.at(2.0)
    core.done(lease, 2.0)
    assert job.work == 2.0 + 9 * 2.0


def test_what_remains_is_never_extrapolated_by_task_count() -> None:
    """The largest task runs first: its runtime says nothing about nine times itself."""
    core = Driver()
    job = core.submit("u", "j", stage("s", 1.0, 8.0, 1.0))
    (lease,) = core.poll()
    assert lease.task == 1
    core.at(16.0)
    core.done(lease, 16.0)
    assert job.work == 16.0 + 2 * 2.0


@pytest.mark.parametrize(("runtime", "reestimates"), [(1.05, 0), (1.2, 1), (0.95, 0), (0.5, 1)])
def test_small_differences_do_not_churn_the_order(runtime: float, reestimates: int) -> None:
    """A re-estimate is acted upon only when it moves L by more than a tenth."""
    core = Driver()
    core.submit("u", "j", stage("s", *[1.0] * 4))
    (lease,) = core.poll()
    core.at(runtime)
    core.done(lease, runtime)
    assert len([e for e in core.events_of(JobReestimated) if e.at == runtime]) == reestimates


def test_a_running_task_that_overtakes_its_estimate_is_charged_on_the_way() -> None:
    """Nobody has to report: the overrun falls due by itself."""
    core = Driver(settings=Settings(lease_seconds=1e6, worker_timeout=1e6))
    job = core.submit("u", "j", stage("s", 1.0))
    core.poll()
    core.at(5.0)
    events = core.events_of(JobReestimated)
    assert events
    assert events[0].at == pytest.approx(1.1, abs=0.02)
    # Never further behind than the threshold, give or take the pause between two looks.
    assert 5.0 / 1.12 <= job.work <= 5.0


@pytest.mark.parametrize("policy", UNCORRECTED)
def test_another_policy_watches_what_runs_already(policy: str) -> None:
    """A pool that is switched to one that corrects estimates starts with what runs."""
    core = Driver(policy, settings=Settings(lease_seconds=1e6, worker_timeout=1e6))
    job = core.submit("u", "j", stage("s", 1.0))
    core.poll()
    core.at(2.0)
    core.apply(cmd.ConfigurePool(pool=POOL, policy="uwfq"))
    core.at(5.0)
    assert 5.0 / 1.12 <= job.work <= 5.0


def test_a_charge_beyond_measure_costs_the_account_no_digits_for_good() -> None:
    """Beside 1e12 slot-seconds a float has no room for a hundredth of one."""
    core = Driver()
    user = core.submit("u", "small", stage("s", 0.0078125)).user
    core.submit("u", "huge", stage("s", 1e12))
    for job_id in ("huge", "small"):
        core.cancel(job_id)
    core.submit("u", "next", stage("s", 0.0078125))
    assert user.charged - user.settled == 0.0078125


def test_the_end_of_a_job_settles_it_at_what_was_measured() -> None:
    """Charged minus settled is what is in flight: nothing, in the end."""
    core = Driver()
    core.submit("u", "j", stage("s", 1.0, 1.0))
    leases = core.poll(slots=2)
    core.at(3.0)
    for lease, runtime in zip(leases, [0.25, 3.0], strict=True):
        core.done(lease, runtime)
    (end,) = core.events_of(JobEnded)
    user = core.user("u")
    assert end.measured == 3.25
    assert user.charged == user.settled == user.service_ended == 3.25


def test_failed_and_expired_attempts_are_charged_to_their_job() -> None:
    """Somebody had the slots, after all."""
    settings = Settings(lease_seconds=4.0, worker_timeout=60.0, retry_backoff=0.0)
    core = Driver(settings=settings)
    job = core.submit("u", "j", stage("s", 1.0))
    (first,) = core.poll()
    core.at(1.0)
    core.fail(first, 1.0)
    assert job.measured == 1.0
    core.poll()
    core.at(5.0)
    assert job.measured == 1.0 + 4.0
    (third,) = core.poll()
    core.at(6.0)
    core.done(third, 1.0)
    assert core.user("u").settled == 6.0


def test_waiting_in_a_workers_queue_is_not_charged() -> None:
    """Running time starts with the task, not with its lease."""
    core = Driver()
    job = core.submit("u", "j", stage("s", 1.0, 1.0))
    running, queued = core.poll(prefetch=1)
    assert (running.started_at, queued.started_at) == (0.0, None)
    core.at(3.0)
    assert job.running_work(core.now) == 3.0
    core.done(running, 3.0)
    assert queued.started_at == 3.0
    core.at(4.0)
    assert job.running_work(core.now) == 1.0


def test_a_cancelled_job_pays_for_what_ran() -> None:
    """No more and no less; what was charged beyond that is given back."""
    core = Driver()
    core.submit("u", "j", stage("s", *[5.0] * 4))
    core.poll(slots=2)
    core.at(1.5)
    core.cancel("j")
    user = core.user("u")
    assert user.charged == user.settled == 3.0


def test_a_debt_outlives_virtual_presence() -> None:
    """A job that has left and costs more comes back; the user's next job waits behind the debt."""
    core = Driver(slots=1)
    policy = core.scheduler.pools["pool"].policy
    assert isinstance(policy, UwfqPolicy)
    core.submit("liar", "lie", stage("s", 1.0))
    (lease,) = core.poll()
    core.submit("honest", "fair", stage("s", *[1.0] * 100))
    core.at(10.0)
    core.done(lease, 10.0)
    # Half of ten seconds was the liar's due; the other half is still owed.
    debt = 10.0 - float(policy.fluid_service(core.user("liar"), core.now) or 0.0)
    assert debt == pytest.approx(5.0, abs=0.5)
    again = core.submit("liar", "again", stage("s", 1.0))
    behind = policy.virtual_deadline(again) - policy.virtual_time(core.now)
    assert behind == pytest.approx(debt + 1.0)


def test_a_debt_is_there_when_its_user_returns() -> None:
    """Its user had left virtual time, and the truth brings the user back."""
    core = Driver("uwfq", slots=2, settings=Settings(lease_seconds=1e6, worker_timeout=1e6))
    policy = core.scheduler.pools["pool"].policy
    assert isinstance(policy, UwfqPolicy)
    # Two slots for two users: after a second the fluid cluster is done with one slot-second.
    core.submit("liar", "lie", stage("s", 1.0))
    core.submit("honest", "fair", stage("s", *[1.0] * 100))
    (lease,) = core.poll("w")
    core.at(1.0)
    policy.advance(core.now)
    assert policy.user_deadline(lease.stage.job) == policy.user_virtual_time(
        core.user("liar"), core.now
    )
    assert not policy.is_active(core.user("liar"))
    core.at(9.0)
    core.done(lease, 9.0)
    policy.advance(core.now)
    assert policy.is_active(core.user("liar"))


@pytest.mark.parametrize("policy", UNCORRECTED)
def test_the_other_policies_trust_their_estimates(policy: str) -> None:
    """As the paper does: nothing is corrected before the end of the job."""
    core = Driver(policy, settings=Settings(lease_seconds=1e6, worker_timeout=1e6))
    job = core.submit("u", "j", stage("s", 1.0, 1.0))
    leases = core.poll(slots=2)
    core.at(9.0)
    core.done(leases[0], 9.0)
    assert job.work == 2.0
    core.done(leases[1], 9.0)
    assert not core.events_of(JobReestimated)
    assert job.work == 18.0


def test_an_open_job_is_charged_for_what_is_revealed() -> None:
    """L = max(declared, measured + what its revealed stages still need)."""
    core = Driver()
    job = core.submit("u", "j", stage("a", 2.0), open=True, declared_work=5.0)
    assert job.work == 5.0
    core.apply(cmd.AddStages(job_id="j", stages=(stage("b", 2.0),)))
    assert job.work == 5.0
    core.apply(cmd.AddStages(job_id="j", stages=(stage("c", 4.0),)))
    assert job.work == 8.0
    core.apply(cmd.CloseJob(job_id="j"))
    assert job.work == 8.0


def test_closing_an_open_job_gives_back_what_was_declared_too_much() -> None:
    """Once no more stages can come, the declaration is no floor any longer."""
    core = Driver()
    job = core.submit("u", "j", stage("a", 2.0), open=True, declared_work=50.0)
    core.apply(cmd.CloseJob(job_id="j"))
    assert job.work == 2.0


def test_a_stage_without_a_share_keeps_its_prediction() -> None:
    """A declaration that is used up leaves nothing to share; next to nothing is no estimate."""
    core = Driver(settings=Settings(prior_work=3.0))
    known = stage("known", 8.0)
    job = core.submit("u", "j", known, cmd.StageSpec(stage="unknown"), declared_work=1.0)
    assert [each.work for each in job.stages] == [8.0, 3.0]
    assert job.work == 11.0


@pytest.mark.parametrize("least", [1e-12, 1e-200, 1e-300, 5e-324])
def test_work_that_is_next_to_nothing_leaves_the_accounts_whole(least: float) -> None:
    """Tasks that were declared as nothing and take a second are a second each, no more is known."""
    core = Driver(slots=2)
    core.submit("alice", "nothing", stage("s", least, least, 2 * least))
    core.submit("alice", "beside", stage("s", 1.0))
    for _ in range(2):
        leases = core.poll("w", slots=2)
        core.at(core.now + 1.0)
        for lease in leases:
            core.done(lease, 1.0)
        check(core.scheduler, core.now)
    user = core.user("alice")
    assert user.charged == pytest.approx(4.0)
    assert user.settled == pytest.approx(4.0)


def test_a_large_task_beside_one_of_nothing_is_charged_within_reason() -> None:
    """By what the small one took, the other would take longer than anything can."""
    core = Driver(slots=2)
    job = core.submit("alice", "odd", stage("s", 1e-12, 1e12), engine_id="e")
    start = cmd.TaskStart(task=cmd.TaskRef(attempt=1, job_id="odd", stage="s", task_index=0))
    core.rank("e", slots=2)
    core.renew("e", started=(start,))
    core.at(1.0)
    core.report("e", start.task, cmd.TaskSuccess(runtime=1.0))
    assert job.work <= 2e12 + 1.0
    core.cancel("odd")
    assert core.user("alice").charged == pytest.approx(1.0, abs=1e-3)
    check(core.scheduler, core.now)


def test_a_tiny_task_that_came_first_says_little_of_the_others() -> None:
    """An empty partition takes its milliseconds, which is thousands of times its estimate."""
    core = Driver(slots=2)
    sizes = cmd.TaskList(count=5, task_bytes=(100, *[64_000_000] * 4))
    spec = cmd.StageSpec(stage="s", cut=sizes)
    job = core.submit("alice", "j", spec, declared_work=8.0, engine_id="e")
    core.rank("e", slots=2)

    def take(task: int, runtime: float) -> None:
        core.at(core.now + runtime)
        task_ref = cmd.TaskRef(attempt=1, job_id="j", stage="s", task_index=task)
        core.report("e", task_ref, cmd.TaskSuccess(runtime=runtime))

    take(0, 0.02)
    assert job.work == 8.0
    # The first of the others tells: it takes twice as long as was estimated.
    take(1, 4.0)
    assert job.work == pytest.approx(16.0, rel=0.01)


def test_a_refund_at_the_end_of_another_job_leaves_that_its_place() -> None:
    """By rounding, nothing is left of ``a`` at an instant at which it is not served yet."""
    core = Driver(slots=4)
    core.apply(cmd.SetUser(pool=POOL, user="ada", weight=3.0))
    core.submit("bo", "beside", stage("s", 50.0))
    job = core.submit("ada", "a", stage("s", 2.5))
    core.submit("ada", "b", stage("s", 5.0))
    # The four slots by all weights: V is the time.  It is an ulp before the end of ``a``.
    core.at(math.nextafter(2.5 / 3.0, 0.0))
    core.cancel("b")
    policy = core.scheduler.pools[POOL].policy
    assert policy.virtual_deadline(job) == pytest.approx(2.5 / 3.0)
    assert [lease.stage.job.job_id for lease in core.poll()] == ["a"]
    check(core.scheduler, core.now)


def test_an_account_of_fractions_is_exact() -> None:
    """What runs and what is done, too: no float is among what they are summed from."""
    core = Driver(slots=2, number=Fraction)
    even = cmd.StageSpec(stage="s", cut=cmd.TaskList(count=3), declared_work=3.0)
    job = core.submit("alice", "j", even)
    (first, _) = core.poll("w", slots=2)
    core.at(0.25)
    assert job.running_work(core.now) == Fraction(1, 2)
    core.done(first, 0.25)
    assert all(
        isinstance(each, Fraction)
        for each in (job.measured, job.estimated_done, job.estimated_started, job.started_sum)
    )


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_whose_result_came_first_has_begun(fails: bool) -> None:
    """A worker need not run its queue in our order, nor report in that of the ends."""
    core = Driver(slots=1)
    core.submit("ann", "first", stage("s", 1.0))
    job = core.submit("bob", "second", stage("s", 1.0))
    _, queued = core.poll(prefetch=1, free_slots=1)
    core.at(2.0)
    if fails:
        core.fail(queued, 0.5)
    else:
        core.done(queued, 0.5)
    assert job.started_at == 1.5
    check(core.scheduler, core.now)
