"""Rules about virtual time that need no oracle of deadlines, only the fluid cluster."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.adversaries import half_served_then_insertions
from tests.oracles.driver import Driver, stage
from tests.oracles.fluid import FluidCluster
from tests.oracles.stories import PolicyAlone, Step, stories
from tests.oracles.subjects import CoreSubject
from tests.oracles.workloads import FAMILIES, JobPlan, Workload, random_workload
from tests.oracles.world import World, fluid_finishes
from uwfq_service.core.policy.uwfq import UwfqPolicy


@given(stories("weight", "slots"), st.integers(1, 4))
def test_the_order_inside_a_user_is_the_order_in_which_the_fluid_cluster_finishes(
    story: list[Step], slots: int
) -> None:
    """Item 2, from the state that any story leads to, if nothing else arrives.

    That is the order of F.  The deadlines follow it, but for jobs that the user's serial server is
    done with: they keep theirs, which V has passed.
    """
    policy, fluid = PolicyAlone(UwfqPolicy, 2), FluidCluster(2)
    for step in story:
        policy.tell(step)
        now = policy.now
        if step.kind == "arrive":
            name = f"job{len(fluid.jobs)}"
            fluid.arrive(now, name, step.user, step.amount, step.job_weight())
        elif step.kind == "weight":
            fluid.set_weight(now, step.user, step.amount)
        else:
            fluid.set_slots(now, step.choice % 5)
    present = {name for name, job in fluid.jobs.items() if job.left > 0}
    fluid.set_slots(policy.now, slots)
    fluid.run_dry()
    for user in fluid.users.values():
        names = [job.name for job in user.jobs if job.name in present]
        by_finish = sorted(names, key=lambda name: (fluid.jobs[name].finish, names.index(name)))
        assert sorted(names, key=lambda name: place(policy, name)) == by_finish
        deadlines: list[Any] = [
            policy.policy.virtual_deadline(policy.jobs[name]) for name in by_finish
        ]
        to_come = [each for each in deadlines if each > policy.policy.virtual_time(policy.now)]
        assert to_come == sorted(to_come)


def place(policy: PolicyAlone, name: str) -> tuple[Fraction, int]:
    """A job's place among its user's."""
    job = policy.jobs[name]
    return policy.policy.user_deadline(job), job.number


@pytest.mark.parametrize("away", [1, 1_000, 1_000_000])
def test_absence_earns_no_credit(away: int) -> None:
    """Whoever comes back after however long is treated like somebody who comes for the first time.

    Two users share two slots for good.  A third has a job at the start and one ``away`` seconds
    later; a fourth comes only then.  Both get the same deadline for the same work.
    """
    core = Driver(slots=2, number=Fraction)
    core.submit("sleeper", "early", stage("s", 4.0))
    for user in ("ada", "bo"):
        core.submit(user, f"{user}1", stage("s", 4.0 * away))
    policy = core.scheduler.pools["pool"].policy
    core.at(8.0 + away)
    sleeper = core.submit("sleeper", "late", stage("s", 5.0))
    stranger = core.submit("stranger", "new", stage("s", 5.0))
    assert policy.virtual_deadline(sleeper) == policy.virtual_deadline(stranger)
    assert policy.virtual_deadline(sleeper) == policy.virtual_time(core.now) + 5


def test_virtual_time_stands_still_without_users_and_without_slots() -> None:
    """An empty pool and a pool that has lost its workers earn nobody anything."""
    core = Driver(slots=None, number=Fraction)
    policy = core.scheduler.pools["pool"].policy
    core.at(5.0)
    assert policy.virtual_time(core.now) == 0
    core.submit("u", "j", stage("s", 4.0, 4.0))
    core.at(9.0)
    assert policy.virtual_time(core.now) == 0, "nobody works"
    core.poll(slots=2, max_tasks=0)
    core.at(10.0)
    policy.advance(core.now)
    assert policy.virtual_time(core.now) == 2
    core.at(20.0)
    policy.advance(core.now)
    assert policy.virtual_time(core.now) == 8, "the user has left when the fluid cluster was done"


@pytest.mark.parametrize("policy", ["uwfq", "uwfq_paper"])
def test_insertions_ahead_of_half_served_jobs(policy: str) -> None:
    """The paper's chain credits a spent share again, and a stranger pays; ours does not."""
    workload = half_served_then_insertions()
    run = World(workload, CoreSubject(workload, policy)).play()
    lag = run.finish["stranger"] - fluid_finishes(workload)["stranger"]
    bound = 2 * workload.longest_task + workload.largest_job / workload.slots
    assert (lag > bound) == (policy == "uwfq_paper")


def test_more_insertions_make_the_papers_chain_later_and_ours_not() -> None:
    """The lag under the paper's chain grows with the number of users who insert."""
    lags = {}
    for policy in ("uwfq", "uwfq_paper"):
        for inserters in (4, 8, 16):
            workload = half_served_then_insertions(inserters)
            run = World(workload, CoreSubject(workload, policy)).play()
            lags[policy, inserters] = run.finish["stranger"] - fluid_finishes(workload)["stranger"]
    assert lags["uwfq_paper", 4] < lags["uwfq_paper", 8] < lags["uwfq_paper", 16]
    assert lags["uwfq", 16] <= 2


def test_random_insertions_carry_the_papers_chain_beyond_the_bound() -> None:
    """On the family on which ours stays far below it, so that the family is no triviality."""
    worst = 0.0
    for seed in range(30):
        workload = random_workload("inserted", seed)
        run = World(workload, CoreSubject(workload, "uwfq_paper", number=float)).play()
        fluid = fluid_finishes(workload)
        bound = 2 * workload.longest_task + workload.largest_job / workload.slots
        worst = max(worst, *(float((run.finish[name] - fluid[name]) / bound) for name in fluid))
    assert worst > 1


@pytest.mark.parametrize("seed", range(20))
def test_one_active_job_per_user_is_late_by_two_tasks_at_most(seed: int) -> None:
    """Form 2 of the bound: nothing is ever inserted, since users wait for one job to finish."""
    workload = one_at_a_time(random_workload(sorted(FAMILIES)[seed % len(FAMILIES)], seed))
    run = World(workload, CoreSubject(workload, "uwfq", number=float)).play()
    fluid = fluid_finishes(workload)
    late = {name: float(run.finish[name] - fluid[name]) for name in fluid}
    assert max(late.values()) <= 2 * workload.longest_task + 1e-6, f"{workload.name}: {late}"


def one_at_a_time(workload: Workload) -> Workload:
    """``workload`` with each user's first job only, and the later ones as users of their own."""
    seen: dict[str, int] = {}
    jobs: list[JobPlan] = []
    weights = dict(workload.weights)
    for job in workload.jobs:
        number = seen[job.user] = seen.get(job.user, -1) + 1
        name = f"{job.user}/{number}"
        weights[name] = workload.weights[job.user]
        jobs.append(JobPlan(job.name, name, job.submit, job.stages))
    return Workload(workload.name, workload.slots, tuple(jobs), weights)
