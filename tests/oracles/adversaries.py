"""Workloads made to hurt: each aims at one weakness of fair scheduling by deadlines.

All jobs are of one stage; sizes are exact numbers of seconds and slot-seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from tests.oracles.fluid import ONE
from tests.oracles.workloads import JobPlan, Workload, one_stage, unit_tasks


def one_huge_then_many_tiny() -> Workload:
    """One huge job holds every slot when many users come with one short task each."""
    huge = one_stage("huge", "huge", 0, [Fraction(4)] * 40)
    tiny = [
        unit_tasks(f"tiny{number}", f"user{number}", Fraction(9 + number % 3), 1)
        for number in range(30)
    ]
    return _workload("one huge job, then many tiny users", 4, [huge, *tiny])


def half_served_then_insertions(inserters: int = 6) -> Workload:
    """Users insert small jobs ahead of their half-served big ones while a stranger's job waits.

    The paper's chain credits the share that was spent on the big jobs again, so that all of the
    small ones go before the stranger.
    """
    users = [f"user{number}" for number in range(inserters)]
    half = 5 * inserters  # At that time V has come to 20 of 40.
    jobs = [unit_tasks(f"big {user}", user, 0, 40) for user in users]
    jobs.append(unit_tasks("stranger", "stranger", half, 4))
    jobs += [unit_tasks(f"small{i} {user}", user, half, 2) for user in users for i in range(9)]
    return _workload("insertions ahead of half-served jobs", 4, jobs)


def ahead_while_others_are_away() -> Workload:
    """A user runs ahead of the fluid cluster while others are away; then everybody returns."""
    jobs = [unit_tasks(f"early{number}", f"user{number}", 0, 2) for number in range(4)]
    jobs.append(unit_tasks("ahead", "runner", 0, 40))
    jobs += [unit_tasks(f"back{number}", f"user{number}", 8, 10) for number in range(4)]
    jobs.append(unit_tasks("more", "runner", 8, 10))
    return _workload("ahead while others are away", 4, jobs)


def own_small_behind_own_big() -> Workload:
    """A user's late small job arrives behind that user's own big one, others being busy."""
    jobs = [unit_tasks("big", "owner", 0, 60), unit_tasks("other", "other", 0, 60)]
    jobs += [unit_tasks("small", "owner", 29, 3), unit_tasks("smaller", "owner", 31, 1)]
    return _workload("own small behind own big", 4, jobs)


def insertions_at_one_instant() -> Workload:
    """Several users insert a job ahead of a nearly finished big one at the same instant.

    Form 1 of the bound does not hold here: a lag of 18 against 12.25.
    """
    jobs = [unit_tasks(f"forty{number}", f"insert{number}", 0, 40) for number in range(4)]
    jobs += [unit_tasks(f"fortyone{number}", f"steady{number}", 0, 41) for number in range(4)]
    jobs += [unit_tasks(f"late{number}", f"insert{number}", 40, 19) for number in range(4)]
    return _workload("insertions at one instant", 4, jobs)


def sleeper_with_heavy_weight() -> Workload:
    """A user of large weight sleeps long, then comes with much work."""
    jobs = [unit_tasks(f"steady{number}", "steady", 4 * number, 16) for number in range(8)]
    jobs += [unit_tasks("first", "sleeper", 0, 4), unit_tasks("late", "sleeper", 20, 40)]
    weights = {"steady": ONE, "sleeper": Fraction(5)}
    return _workload("a heavy sleeper", 4, jobs, weights)


def _workload(
    name: str, slots: int, jobs: list[JobPlan], weights: Mapping[str, Fraction] | None = None
) -> Workload:
    ordered = sorted(jobs, key=lambda job: job.submit)
    return Workload(name, slots, tuple(ordered), weights or {})


ADVERSARIES: Final = (
    one_huge_then_many_tiny(),
    half_served_then_insertions(),
    ahead_while_others_are_away(),
    own_small_behind_own_big(),
    insertions_at_one_instant(),
    sleeper_with_heavy_weight(),
)
