"""How late a job can be: real finish minus the finish in the fluid cluster, with exact estimates.

The bounds are not proven; they are what held wherever they were tried.  l_max is the longest task,
L_max the largest job's work, R the slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache

import pytest

from tests.oracles.adversaries import ADVERSARIES, insertions_at_one_instant
from tests.oracles.fluid import ZERO
from tests.oracles.subjects import CoreSubject
from tests.oracles.workloads import FAMILIES, JobPlan, Workload, random_workload
from tests.oracles.world import World, fluid_finishes

SEEDS = range(30)

#: What floats may add, seconds.
ROUNDING = Fraction(1, 10**6)

Bound = Callable[[Workload, JobPlan], Fraction]


@cache
def fluid(workload_key: tuple[str, int, int]) -> dict[str, Fraction]:
    """The fluid finishes of a random workload, which several policies are held against."""
    family, seed, stages = workload_key
    return fluid_finishes(random_workload(family, seed, stages=stages))


def lags(policy: str, workload: Workload, fluid_finish: dict[str, Fraction]) -> dict[str, Fraction]:
    """Seconds by which each job is later than in the fluid cluster."""
    run = World(workload, CoreSubject(workload, policy, number=float)).play()
    return {name: finish - fluid_finish[name] for name, finish in run.finish.items()}


def random_form(workload: Workload, job: JobPlan) -> Fraction:
    """Form 1: 2 l_max + L_max / R."""
    return 2 * workload.longest_task + workload.largest_job / workload.slots


def late(
    policy: str, workload: Workload, fluid_finish: dict[str, Fraction], bound: Bound
) -> list[str]:
    """The jobs beyond the bound, as sentences."""
    plans = {job.name: job for job in workload.jobs}
    return [
        f"{workload.name}: {name} lags by {float(lag):.3f} s, the bound is {float(limit):.3f} s"
        for name, lag in lags(policy, workload, fluid_finish).items()
        if lag > (limit := bound(workload, plans[name])) + ROUNDING
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_job_is_much_later_than_in_the_fluid_cluster(family: str) -> None:
    """Form 1: single-stage jobs, any weights: at most 2 l_max + L_max / R."""
    offenders: list[str] = []
    for seed in SEEDS:
        workload = random_workload(family, seed)
        offenders += late("uwfq", workload, fluid((family, seed, 1)), random_form)
    assert not offenders


def test_without_insertions_two_longest_tasks_are_the_bound() -> None:
    """Form 2: all jobs of one size, so none is put ahead of a partly served one: 2 l_max."""
    offenders: list[str] = []
    for seed in SEEDS:
        workload = same_size(random_workload("equal", seed))
        finishes = fluid_finishes(workload)
        offenders += late("uwfq", workload, finishes, lambda w, _: 2 * w.longest_task)
    assert not offenders


def same_size(workload: Workload) -> Workload:
    """``workload`` with every job cut as its first one."""
    stages = workload.jobs[0].stages
    jobs = tuple(
        JobPlan(job.name, job.user, job.submit, stages, job.job_weight) for job in workload.jobs
    )
    return Workload(workload.name, workload.slots, jobs, workload.weights)


@pytest.mark.parametrize("workload", ADVERSARIES, ids=lambda workload: workload.name)
def test_adversaries_stay_within_the_sum_of_the_largest_jobs(workload: Workload) -> None:
    """Form 3: any single-stage workload: 2 l_max + (sum over users of their largest job) / R."""

    def bound(workload: Workload, _: JobPlan) -> Fraction:
        largest: dict[str, Fraction] = {}
        for job in workload.jobs:
            largest[job.user] = max(largest.get(job.user, ZERO), job.work)
        return 2 * workload.longest_task + sum(largest.values(), ZERO) / workload.slots

    assert not late("uwfq", workload, fluid_finishes(workload), bound)


def test_form_3_is_needed() -> None:
    """When several users insert at one instant, form 1 does not hold."""
    workload = insertions_at_one_instant()
    assert late("uwfq", workload, fluid_finishes(workload), random_form)


@pytest.mark.parametrize("family", FAMILIES)
def test_stages_in_sequence_add_their_critical_path(family: str) -> None:
    """Form 4: jobs of several stages: add the critical path and (stages - 1) l_max."""

    def bound(workload: Workload, job: JobPlan) -> Fraction:
        more = job.critical_path + (len(job.stages) - 1) * workload.longest_task
        return random_form(workload, job) + more

    offenders: list[str] = []
    for seed in SEEDS:
        workload = random_workload(family, seed, stages=3)
        offenders += late("uwfq", workload, fluid((family, seed, 3)), bound)
    assert not offenders


def workloads_of_form_1() -> Iterable[tuple[Workload, dict[str, Fraction]]]:
    """What the other policies are held against."""
    for seed in SEEDS:
        for family in FAMILIES:
            yield random_workload(family, seed), fluid((family, seed, 1))


@pytest.mark.parametrize("policy", ["fifo", "fair", "ujf", "cfq"])
def test_other_policies_break_the_bound(policy: str) -> None:
    """Form 1 is no triviality: the others are later on the same workloads."""
    assert any(late(policy, *case, random_form) for case in workloads_of_form_1())
