"""The core launches what the brute-force picker would launch, at every single decision.

Both run the same workload on the same clock in rational arithmetic, so there are no near misses.
"""

from __future__ import annotations

import pytest

from tests.oracles.adversaries import ADVERSARIES
from tests.oracles.picker import DEADLINE_POLICIES, POLICIES
from tests.oracles.subjects import CoreSubject, OracleSubject
from tests.oracles.workloads import FAMILIES, Workload, random_workload
from tests.oracles.world import World


def assert_same_decisions(workload: Workload, policy: str) -> None:
    """Let both play ``workload`` and compare launch by launch."""
    oracle = World(workload, OracleSubject(workload, policy)).play()
    core = World(workload, CoreSubject(workload, policy)).play()
    for number, (expected, found) in enumerate(zip(oracle.order, core.order, strict=True)):
        assert found == expected, f"{workload.name} under {policy}, launch {number}"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_jobs_of_one_stage_launch_as_the_picker_says(family: str, policy: str) -> None:
    """Jobs of one stage; weights 1, or 0.5 to 5."""
    assert_same_decisions(random_workload(family, 2), policy)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_stages_in_sequence_and_wide_tasks_launch_as_the_picker_says(
    family: str, policy: str
) -> None:
    """Jobs of up to three stages; a task that does not fit is passed over."""
    assert_same_decisions(random_workload(family, 1, stages=3, wide=True), policy)


@pytest.mark.parametrize("policy", DEADLINE_POLICIES)
@pytest.mark.parametrize("workload", ADVERSARIES, ids=lambda workload: workload.name)
def test_adversaries_launch_as_the_picker_says(workload: Workload, policy: str) -> None:
    """Where deadlines are made to tie and to be overtaken."""
    assert_same_decisions(workload, policy)
