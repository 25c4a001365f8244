"""How late a job can be in the simulator: the bounds over thousands of seeded workloads.

``tests/oracles/bounds.py`` says what the bounds are; ``test_lag_bounds.py`` holds the core against
them in the oracles' own world.  The fluid finishes are the simulator's, which
``tests/unit/simulator/test_fluid.py`` compares with the exact model.

A quarter of the workloads has tasks twice as long, a half four times: the longer a task, the longer
nobody can be preempted.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.oracles.adversaries import ADVERSARIES, insertions_at_one_instant
from tests.oracles.bounds import Form, beyond, form_1, form_2, form_3, form_4
from tests.oracles.documents import document
from tests.oracles.workloads import FAMILIES, Workload, coarser, random_workload, same_size
from uwfq_service.simulator.runs import Options
from uwfq_service.simulator.world import simulate

#: Workloads of one family; six families make more than two thousand.
MANY = range(345)
SOME = range(36)
#: How many neighbouring tasks are one; by the seed.
TOGETHER = (1, 2, 4, 4)
FEW = range(9)


def workloads(seeds: range, family: str, *, stages: int = 1) -> Iterator[Workload]:
    """The workloads of a family."""
    for seed in seeds:
        workload = random_workload(family, seed, stages=stages)
        yield coarser(workload, TOGETHER[seed % len(TOGETHER)])


def late(policy: str, workload: Workload, form: Form) -> list[str]:
    """The jobs beyond the bound under a policy, as sentences."""
    run = simulate(document(workload), Options(policy=policy))
    lags = {job.job: job.finish - job.fluid_finish for job in run.jobs}
    return beyond(form, workload, lags)


def all_late(seeds: range, family: str, form: Form, *, stages: int = 1) -> list[str]:
    """The jobs of all workloads of a family that are beyond the bound under ``uwfq``."""
    return [
        sentence
        for workload in workloads(seeds, family, stages=stages)
        for sentence in late("uwfq", workload, form)
    ]


def test_there_are_thousands_of_workloads() -> None:
    """The promise of this file."""
    assert len(MANY) * len(FAMILIES) >= 2_000


@pytest.mark.parametrize("family", FAMILIES)
def test_no_job_is_much_later_than_in_the_fluid_cluster(family: str) -> None:
    """Form 1: single-stage jobs, any weights: at most 2 l_max + L_max / R, at every finish."""
    assert not all_late(MANY, family, form_1)


def test_without_insertions_two_longest_tasks_are_the_bound() -> None:
    """Form 2: all jobs of one size, so none is put ahead of a partly served one: 2 l_max."""
    assert not [
        sentence
        for workload in workloads(range(6 * len(SOME)), "equal")
        for sentence in late("uwfq", same_size(workload), form_2)
    ]


@pytest.mark.parametrize("workload", ADVERSARIES, ids=lambda workload: workload.name)
def test_adversaries_stay_within_the_sum_of_the_largest_jobs(workload: Workload) -> None:
    """Form 3: any single-stage workload: 2 l_max + (sum over users of their largest job) / R."""
    assert not late("uwfq", workload, form_3)


def test_form_3_is_needed() -> None:
    """When several users insert at one instant, form 1 does not hold."""
    assert late("uwfq", insertions_at_one_instant(), form_1)


@pytest.mark.parametrize("family", FAMILIES)
def test_stages_in_sequence_add_their_critical_path(family: str) -> None:
    """Form 4: jobs of several stages: add the critical path and (stages - 1) l_max."""
    assert not all_late(SOME, family, form_4, stages=3)


@pytest.mark.parametrize("policy", ["fifo", "fair", "ujf", "cfq"])
def test_other_policies_break_the_bound(policy: str) -> None:
    """Form 1 is no triviality: the others are far beyond it, on workloads of most families."""
    breaking = [
        family
        for family in FAMILIES
        if any(late(policy, workload, form_1) for workload in workloads(FEW, family))
    ]
    assert len(breaking) >= 3, breaking
