"""ExplainJob of a long queue: in steps, between which others are served."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tests.oracles.counting import calls_of
from tests.oracles.driver import POOL, Driver, stage
from tests.oracles.picker import POLICIES
from uwfq_service.core import commands as cmd
from uwfq_service.core import virtual_time
from uwfq_service.core.inquiry import STEP_JOBS, Explanation, Inquiry
from uwfq_service.core.model import Job

#: Jobs ahead of the last one: two full steps and a part of one.
AHEAD = 2 * STEP_JOBS + 50
#: The policies under which what is largest and came last goes last.
BY_DEADLINE_OR_ARRIVAL = ("fifo", "cfq", "uwfq_paper", "uwfq")


def queue(policy: str, ahead: int = AHEAD) -> tuple[Driver, Job]:
    """Many jobs of three users, and a large one that came last."""
    core = Driver(policy, slots=2)
    core.poll(slots=2, max_tasks=0)
    for number in range(ahead):
        core.submit(f"user-{number % 3}", f"job-{number}", stage("s", 1.0))
    return core, core.submit("zoe", "last", stage("s", 1e6))


def steps(core: Driver, inquiry: Inquiry) -> tuple[int, Explanation]:
    """How many steps are left, and what comes of them."""
    count = 1
    while (found := inquiry.step(core.now)) is None:
        count += 1
    return count, found


@pytest.mark.parametrize("policy", BY_DEADLINE_OR_ARRIVAL)
def test_a_long_queue_is_walked_in_steps(policy: str) -> None:
    """All of it is counted, and no step passes more than a few jobs."""
    core, last = queue(policy)
    count, told = steps(core, Inquiry(last, 2))
    assert count == 3
    assert told.position == AHEAD + 1
    assert [job.job_id for job in told.ahead] == ["job-0", "job-1"]
    assert told.reason == f"{AHEAD} jobs go first."
    assert told.predicted_start == pytest.approx(AHEAD / 2)


@pytest.mark.parametrize("policy", BY_DEADLINE_OR_ARRIVAL)
def test_jobs_that_are_launched_on_the_way_go_first_no_more(policy: str) -> None:
    """What was passed is counted, what has been launched before it was reached is not."""
    core, last = queue(policy)
    inquiry = Inquiry(last, 2)
    assert inquiry.step(core.now) is None
    core.poll("large", slots=AHEAD - 20)
    _, told = steps(core, inquiry)
    assert STEP_JOBS < told.position <= STEP_JOBS + 21


@pytest.mark.parametrize("policy", POLICIES)
def test_a_job_that_ends_on_the_way_waits_for_nothing(policy: str) -> None:
    """It was cancelled, say; and so were all others."""
    core, last = queue(policy)
    inquiry = Inquiry(last, 2)
    inquiry.step(core.now)
    for job in list(core.scheduler.state.jobs.values()):
        core.cancel(job.job_id)
    _, told = steps(core, inquiry)
    assert told.reason == "It is over: cancelled."
    assert (told.position, told.predicted_start) == (0, None)


def test_a_policy_that_takes_over_on_the_way_is_asked_anew() -> None:
    """The former one's order is nobody's any more."""
    core, last = queue("fifo")
    inquiry = Inquiry(last, 2)
    assert inquiry.step(core.now) is None
    core.apply(cmd.ConfigurePool(pool=POOL, policy="fair", fixed_slots=2))
    count, told = steps(core, inquiry)
    assert told.position == Driver.explain(core, last).position
    assert count == 1 + told.position // STEP_JOBS


@pytest.mark.parametrize("policy", ["cfq", "uwfq_paper", "uwfq"])
@pytest.mark.parametrize("step", [3, 2000])
def test_a_job_is_predicted_to_end_when_virtual_time_reaches_its_deadline(
    policy: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are served until then, and in however many steps they are counted."""
    monkeypatch.setattr(virtual_time, "STEP_MEMBERS", step)
    dice = random.Random(policy)
    core = Driver(policy, slots=2, number=Fraction)
    for number in range(20):
        core.apply(cmd.SetUser(pool=POOL, user=f"u{number}", weight=dice.choice([0.5, 1.0, 3.0])))
        work = dice.randint(1, 40) / 4
        core.submit(f"u{number}", f"j{number}", stage("s", work), declared_work=work)
    core.at(0.5)
    jobs = [job for job in core.scheduler.jobs() if job.pool.policy.is_active(job.user)]
    assert len(jobs) > 15
    rules = core.scheduler.pools[POOL].policy
    for deadline in sorted(rules.virtual_deadline(job) or 0 for job in jobs):
        countdown = rules.countdown(deadline, core.now)
        assert countdown is not None
        while not countdown.step():
            pass
        assert countdown.seconds is not None
        core.at(core.now + countdown.seconds)
        rules.advance(core.now)
        assert rules.virtual_time(core.now) == deadline


def test_many_users_are_counted_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a job that nobody is ahead of, too."""
    monkeypatch.setattr(virtual_time, "STEP_MEMBERS", 10)
    core = Driver(slots=2)
    for number in range(35):
        core.submit(f"user-{number}", f"job-{number}", stage("s", 1.0 + number))
    count, told = steps(core, Inquiry(core.scheduler.job("job-0"), 2))
    assert (count, told.position) == (4, 1)
    # Each is served until the first one ends, by 35 users.
    assert told.predicted_finish == pytest.approx(35 / 2)


def test_who_goes_next_is_told_however_many_wait() -> None:
    """The others' places are not looked for."""

    def cost(others: int) -> int:
        core, _ = queue("uwfq", others)
        return calls_of(lambda: core.explain(core.scheduler.job("job-0")))

    assert cost(2000) < cost(200) + 50


def test_a_job_that_comes_to_another_place_on_the_way_has_one() -> None:
    """The fluid cluster serves everything meanwhile: deadlines stay, but are kept elsewhere."""
    core = Driver(slots=2)
    core.poll(slots=2, max_tasks=0)
    core.submit("zoe", "first", stage("s", 0.001))
    core.submit("zoe", "second", stage("s", 0.5 * AHEAD / 3 + 10))
    for number in range(AHEAD):
        core.submit(f"user-{number % 3}", f"job-{number}", stage("s", 1.0))
    last = core.submit("zoe", "last", stage("s", 1e6))
    inquiry = Inquiry(last, 2)
    assert inquiry.step(core.now) is None
    core.poll("other", slots=2, max_tasks=0)
    core.at(1e7)
    core.poll(slots=2, max_tasks=0)
    _, told = steps(core, inquiry)
    assert told.position > STEP_JOBS
    assert told.predicted_start is not None
