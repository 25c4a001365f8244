"""The golden vectors, exactly: first the oracles, so that they may judge, then the core."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.oracles.deadlines import DeadlineOracle, PaperChain, RemainingWorkChain
from tests.oracles.fluid import ONE, ZERO
from tests.oracles.golden import GOLDEN_POLICIES, Arrival, Scenario, scenarios
from tests.oracles.subjects import POOL, CoreSubject, OracleSubject
from tests.oracles.world import World, fluid_finishes
from uwfq_service.core.policy.uwfq import UwfqPolicy

ORACLES: dict[str, type[DeadlineOracle]] = {
    "uwfq": RemainingWorkChain,
    "uwfq_paper": PaperChain,
}

every_scenario = pytest.mark.parametrize("scenario", scenarios(), ids=lambda case: case.name)
every_policy = pytest.mark.parametrize("policy", GOLDEN_POLICIES)


@every_scenario
def test_the_fluid_oracle_finishes_jobs_when_the_vectors_say(scenario: Scenario) -> None:
    """The ideal cluster needs no policy."""
    assert fluid_finishes(scenario.workload) == scenario.fluid_finish


@every_policy
@every_scenario
def test_the_deadline_oracles_reproduce_the_vectors(scenario: Scenario, policy: str) -> None:
    """V, U, F and every D after each arrival, and each job's D as last assigned."""
    oracle = ORACLES[policy](scenario.workload.slots)
    for user in scenario.workload.users:
        oracle.set_weight(ZERO, user, scenario.workload.weights.get(user, ONE))
    seen = []
    for job in scenario.workload.jobs:
        arrived = oracle.arrive(job.submit, job.name, job.user, job.work)
        seen.append(
            Arrival(
                job.name,
                job.submit,
                oracle.virtual_time,
                oracle.users[job.user].virtual_time,
                arrived.user_deadline,
                oracle.deadlines_in_order(job.user),
            )
        )
    assert seen == scenario.arrivals[policy]
    deadlines = {name: oracle.virtual_deadline(name) for name in oracle.jobs}
    assert deadlines == scenario.deadlines[policy]


@every_policy
@every_scenario
def test_the_picker_oracle_finishes_unit_tasks_when_the_vectors_say(
    scenario: Scenario, policy: str
) -> None:
    """Jobs of one-second tasks on real slots, in the world's order of events."""
    run = World(scenario.workload, OracleSubject(scenario.workload, policy)).play()
    assert run.finish == scenario.finish[policy]


@every_policy
@every_scenario
def test_the_core_reproduces_the_vectors(scenario: Scenario, policy: str) -> None:
    """V, U, F and every D after each arrival, with nobody working: the fluid cluster alone."""
    core = CoreSubject(scenario.workload, policy)
    seen = []
    for job in scenario.workload.jobs:
        core.wake(job.submit)
        core.submit(job, job.submit)
        seen.append(arrival(core, job.name, job.submit))
    assert seen == scenario.arrivals[policy]
    order = core.scheduler.pools[POOL].policy
    seen_deadlines = {job.job_id: order.virtual_deadline(job) for job in core.scheduler.jobs()}
    assert seen_deadlines == scenario.deadlines[policy]


def arrival(core: CoreSubject, name: str, now: Fraction) -> Arrival:
    """What the core shows right after the arrival of job ``name``."""
    policy = core.scheduler.pools[POOL].policy
    assert isinstance(policy, UwfqPolicy)
    job = core.scheduler.job(name)
    user_virtual_time = policy.user_virtual_time(job.user, now)
    present = [
        (policy.user_deadline(other), other.number, other)
        for other in core.scheduler.jobs()
        if other.user is job.user and policy.user_deadline(other) > user_virtual_time
    ]
    chain: list[tuple[str, Any]] = [
        (other.job_id, policy.virtual_deadline(other)) for _, _, other in sorted(present)
    ]
    return Arrival(
        name, now, policy.virtual_time(now), user_virtual_time, policy.user_deadline(job), chain
    )


@every_policy
@every_scenario
def test_the_core_finishes_unit_tasks_when_the_vectors_say(scenario: Scenario, policy: str) -> None:
    """Jobs of one-second tasks on real slots, every decision the core's."""
    run = World(scenario.workload, CoreSubject(scenario.workload, policy)).play()
    assert run.finish == scenario.finish[policy]
