"""The golden vectors, exactly: first the oracles, so that they may judge, then the core."""

from __future__ import annotations

import pytest

from tests.oracles.deadlines import DeadlineOracle, PaperChain, RemainingWorkChain
from tests.oracles.fluid import ONE, ZERO
from tests.oracles.golden import GOLDEN_POLICIES, Arrival, Scenario, scenarios
from tests.oracles.subjects import OracleSubject
from tests.oracles.world import World, fluid_finishes

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
