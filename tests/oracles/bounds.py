"""How late a job can be: real finish minus the finish in the fluid cluster, with exact estimates.

The bounds are not proven; they are what held wherever they were tried.  l_max is the longest task,
L_max the largest job's work, R the slots.  Each form gives, for a workload, the bound of any job.

Units: seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

from tests.oracles.fluid import ZERO
from tests.oracles.workloads import JobPlan, Workload

#: What floats may add.
ROUNDING: Final = Fraction(1, 10**6)

#: The most that a job of the workload may lag.
Bound = Callable[[JobPlan], Fraction]
Form = Callable[[Workload], Bound]


def form_1(workload: Workload) -> Bound:
    """Random single-stage jobs, any weights: 2 l_max + L_max / R."""
    limit = 2 * workload.longest_task + workload.largest_job / workload.slots
    return lambda _: limit


def form_2(workload: Workload) -> Bound:
    """No smaller job is ever put ahead of a partly served one: 2 l_max."""
    limit = 2 * workload.longest_task
    return lambda _: limit


def form_3(workload: Workload) -> Bound:
    """Any single-stage workload: 2 l_max + (sum over users of their largest job) / R."""
    largest: dict[str, Fraction] = {}
    for job in workload.jobs:
        largest[job.user] = max(largest.get(job.user, ZERO), job.work)
    limit = 2 * workload.longest_task + sum(largest.values(), ZERO) / workload.slots
    return lambda _: limit


def form_4(workload: Workload) -> Bound:
    """Jobs of several stages in sequence: form 1, the critical path, and (stages - 1) l_max."""
    longest, single = workload.longest_task, form_1(workload)
    return lambda job: single(job) + job.critical_path + (len(job.stages) - 1) * longest


def beyond(form: Form, workload: Workload, lags: Mapping[str, Fraction | float]) -> list[str]:
    """The jobs that lag by more than the bound, as sentences."""
    bound = form(workload)
    return [
        f"{workload.name}: {job.name} lags by {float(lags[job.name]):.3f} s, "
        f"the bound is {float(bound(job)):.3f} s"
        for job in workload.jobs
        if lags[job.name] > bound(job) + ROUNDING
    ]
