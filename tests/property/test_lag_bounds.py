"""How late a job can be under the core in the oracles' world: a finer look at a few workloads.

``test_simulated_bounds.py`` looks at thousands, in the simulator.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cache

import pytest

from tests.oracles.adversaries import ADVERSARIES, insertions_at_one_instant
from tests.oracles.bounds import Form, beyond, form_1, form_2, form_3, form_4
from tests.oracles.subjects import CoreSubject
from tests.oracles.workloads import FAMILIES, Workload, random_workload, same_size
from tests.oracles.world import World, fluid_finishes

SEEDS = range(12)


@cache
def fluid(workload_key: tuple[str, int, int]) -> dict[str, Fraction]:
    """The fluid finishes of a random workload, which several policies are held against."""
    family, seed, stages = workload_key
    return fluid_finishes(random_workload(family, seed, stages=stages))


def late(
    policy: str, workload: Workload, fluid_finish: dict[str, Fraction], form: Form
) -> list[str]:
    """The jobs beyond the bound, as sentences."""
    run = World(workload, CoreSubject(workload, policy, number=float)).play()
    lags = {name: finish - fluid_finish[name] for name, finish in run.finish.items()}
    return beyond(form, workload, lags)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_job_is_much_later_than_in_the_fluid_cluster(family: str) -> None:
    """Form 1: single-stage jobs, any weights: at most 2 l_max + L_max / R."""
    offenders: list[str] = []
    for seed in SEEDS:
        offenders += late("uwfq", random_workload(family, seed), fluid((family, seed, 1)), form_1)
    assert not offenders


def test_without_insertions_two_longest_tasks_are_the_bound() -> None:
    """Form 2: all jobs of one size, so none is put ahead of a partly served one: 2 l_max."""
    offenders: list[str] = []
    for seed in SEEDS:
        workload = same_size(random_workload("equal", seed))
        offenders += late("uwfq", workload, fluid_finishes(workload), form_2)
    assert not offenders


@pytest.mark.parametrize("workload", ADVERSARIES, ids=lambda workload: workload.name)
def test_adversaries_stay_within_the_sum_of_the_largest_jobs(workload: Workload) -> None:
    """Form 3: any single-stage workload: 2 l_max + (sum over users of their largest job) / R."""
    assert not late("uwfq", workload, fluid_finishes(workload), form_3)


def test_form_3_is_needed() -> None:
    """When several users insert at one instant, form 1 does not hold."""
    workload = insertions_at_one_instant()
    assert late("uwfq", workload, fluid_finishes(workload), form_1)


@pytest.mark.parametrize("family", FAMILIES)
def test_stages_in_sequence_add_their_critical_path(family: str) -> None:
    """Form 4: jobs of several stages: add the critical path and (stages - 1) l_max."""
    offenders: list[str] = []
    for seed in SEEDS:
        workload = random_workload(family, seed, stages=3)
        offenders += late("uwfq", workload, fluid((family, seed, 3)), form_4)
    assert not offenders


def workloads_of_form_1() -> Iterable[tuple[Workload, dict[str, Fraction]]]:
    """What the other policies are held against."""
    for seed in SEEDS:
        for family in FAMILIES:
            yield random_workload(family, seed), fluid((family, seed, 1))


@pytest.mark.parametrize("policy", ["fifo", "fair", "ujf", "cfq"])
def test_other_policies_break_the_bound(policy: str) -> None:
    """Form 1 is no triviality: the others are later on the same workloads."""
    assert any(late(policy, *case, form_1) for case in workloads_of_form_1())
