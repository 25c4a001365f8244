"""The simulated world against brute force and against golden values."""

from __future__ import annotations

import pytest

from tests.oracles.documents import document, launches
from tests.oracles.golden import GOLDEN_POLICIES, Scenario, scenarios
from tests.oracles.picker import POLICIES
from tests.oracles.subjects import OracleSubject
from tests.oracles.workloads import FAMILIES, random_workload
from tests.oracles.world import World as OracleWorld
from uwfq_service.simulator.runs import Options
from uwfq_service.simulator.world import simulate


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stages", [1, 3])
def test_it_launches_what_brute_force_launches(family: str, policy: str, stages: int) -> None:
    """Instant, job, stage and task, one by one, in order: the same as an oracle without the core.

    Jobs of one stage and of up to three; weights 1, or 0.5 to 5; exact estimates.
    """
    given = random_workload(family, 5, stages=stages)
    expected = OracleWorld(given, OracleSubject(given, policy)).play()
    run = simulate(document(given), Options(policy=policy), keep_launches=True)
    for number, (want, found) in enumerate(zip(expected.order, launches(run), strict=True)):
        assert found == want, f"{given.name} under {policy}, launch {number}"
    assert {each.job: each.finish for each in run.jobs} == {
        name: float(at) for name, at in expected.finish.items()
    }


@pytest.mark.parametrize("policy", GOLDEN_POLICIES)
@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_golden_vectors_come_out(scenario: Scenario, policy: str) -> None:
    """When unit tasks finish, when the fluid cluster does, and each deadline as first assigned."""
    run = simulate(document(scenario.workload), Options(policy=policy))
    assert {each.job: each.finish for each in run.jobs} == {
        name: float(at) for name, at in scenario.finish[policy].items()
    }
    fluid = {each.job: each.fluid_finish for each in run.jobs}
    assert fluid == pytest.approx({n: float(at) for n, at in scenario.fluid_finish.items()})
    first = {
        arrival.job: float(dict(arrival.deadlines_in_order)[arrival.job])
        for arrival in scenario.arrivals[policy]
        if arrival.job in dict(arrival.deadlines_in_order)
    }
    found = {each.job: each.virtual_deadline for each in run.jobs if each.job in first}
    assert found == pytest.approx(first)
