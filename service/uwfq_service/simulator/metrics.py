"""The figures that are read off a run: how long jobs took, how even it was, how full the slots.

Picture the jobs of a run lined up by their response time.  The mean and the percentiles say where
the line's middle and its end are; the *bands* cut it at 80 % and at 95 % and take the mean of each
part, which is how the paper's tables are made (arXiv:2510.15485, section 5).  The same cuts through
a line ordered by true work say how small, middling and large jobs fared.

A *baseline* is another run of the same workload.  A job's finish there becomes its deadline: who
finishes later violates it, who finishes earlier has slack.

Units: seconds; work and service in slot-seconds; everything else is a ratio.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from uwfq_service.simulator.runs import FinishedJob, Run

#: Where the bands are cut, in percent of the jobs.
BANDS: Final = ((0, 80), (80, 95), (95, 100))
#: Two instants this close, in seconds or relative to the later one, are the same one: the order of
#: additions differs from policy to policy, and so may the last bits of their sums.
_SAME_SECONDS: Final = 1e-9
_SAME_PART: Final = 1e-12


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a dozen figures; the fields are the keys of a report's ``summary``, in order."""

    mean_response: float
    #: Percentiles of the response time, nearest rank.
    p50: float
    p95: float
    p99: float
    max: float
    #: Mean response of the tenth of the jobs (rounded up) that took longest.
    worst10: float
    #: Mean response within the bands; see ``banded``.
    band_0_80: float
    band_80_95: float
    band_95_100: float
    #: Seconds from the first submission to the last finish.
    makespan: float
    #: True work over what the slots could have done within the makespan.
    utilization: float
    #: Jain's index over the users' mean slowdown: 1 if all are slowed down alike.
    jain_user_slowdown: float
    #: Largest delay of a finish over the fluid cluster's; negative if all jobs finish before it.
    max_lag_over_fluid: float


class UserSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How one user fared; the fields are the keys of a report's ``users``, in order."""

    user: str
    jobs: int
    mean_response: float
    mean_slowdown: float
    #: True work of the user's jobs; what failed attempts cost on top is not part of it.
    service: float


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """A run against a baseline; the fields are the keys of a report's ``baseline``, in order."""

    #: Of the baseline.
    policy: str
    #: Jobs that finish later than in the baseline, and earlier.
    violations: int
    slacks: int
    #: Mean ratio over the violations, and over the slacks; 0 if there is none.
    dvr: float
    dsr: float


def summary(run: Run) -> Summary:
    """The figures of a run, which has at least one job.  O(n log n)."""
    assert run.jobs, "a workload has at least one job"
    responses = sorted(job.response for job in run.jobs)
    bands = banded(responses)
    span = makespan(run)
    return Summary(
        mean_response=mean(responses),
        p50=percentile(responses, 50),
        p95=percentile(responses, 95),
        p99=percentile(responses, 99),
        max=responses[-1],
        worst10=mean(responses[len(responses) * 9 // 10 :]),
        band_0_80=bands[0],
        band_80_95=bands[1],
        band_95_100=bands[2],
        makespan=span,
        # Jobs without any work may take no time at all.
        utilization=_total_work(run.jobs) / (run.slots * span) if span else 0.0,
        jain_user_slowdown=jain(user.mean_slowdown for user in users(run)),
        max_lag_over_fluid=max(job.finish - job.fluid_finish for job in run.jobs),
    )


def users(run: Run) -> list[UserSummary]:
    """Every user with a job, in the order of the workload's users.  O(n)."""
    jobs_of: dict[str, list[FinishedJob]] = {name: [] for name in run.weights}
    for job in run.jobs:
        jobs_of.setdefault(job.user, []).append(job)
    return [
        UserSummary(
            user=name,
            jobs=len(jobs),
            mean_response=mean([job.response for job in jobs]),
            mean_slowdown=mean([job.slowdown for job in jobs]),
            service=_total_work(jobs),
        )
        for name, jobs in jobs_of.items()
        if jobs
    ]


def size_bands(run: Run) -> tuple[float, float, float]:
    """Mean response of the smallest 80 % of the jobs by true work, the next 15 %, the largest 5 %.

    Jobs of one size stay in the order of the workload, so that a band holds the same jobs under
    every policy.  O(n log n).
    """
    return banded([job.response for job in sorted(run.jobs, key=lambda job: job.work)])


def deadlines(run: Run, baseline: Run) -> Deadlines:
    """Hold a run against the baseline's finishes.  O(n).

    The deadline of a job is its finish in the baseline.  Of a job that finishes later, the
    violation ratio is (finish - deadline) / (deadline - submit); of one that finishes earlier, the
    slack ratio is (deadline - finish) / (deadline - submit).  DVR is the mean of the former over
    the jobs that violate, DSR the mean of the latter over those with slack.

    ``submit`` is that of the baseline, which differs from the run's only for a job that waits for
    another's result.  A job that took no time in the baseline has no ratio: it is counted, no more.
    """
    others = {job.job: job for job in baseline.jobs}
    assert others.keys() == {job.job for job in run.jobs}, "a baseline runs the same workload"
    violations: list[float] = []
    slacks: list[float] = []
    for job in run.jobs:
        other = others[job.job]
        if _same_instant(job.finish, other.finish):
            continue
        late = job.finish - other.finish
        ratio = abs(late) / other.response if other.response else math.nan
        (violations if late > 0 else slacks).append(ratio)
    return Deadlines(
        policy=baseline.options.policy,
        violations=len(violations),
        slacks=len(slacks),
        dvr=_mean_ratio(violations),
        dsr=_mean_ratio(slacks),
    )


# ------------------------------------------------------------------- statistics


def mean(values: Sequence[float]) -> float:
    """The mean of one value or more, rounded once."""
    return math.fsum(values) / len(values)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Nearest rank: the smallest of the values that at least ``percent`` % do not exceed."""
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def banded(line: Sequence[float]) -> tuple[float, float, float]:
    """Mean of the first 80 % of a line of values, of the next 15 %, of the last 5 %.

    Of n values, those from position floor(n x low / 100) up to the next cut belong to a band: each
    belongs to exactly one.  (The paper's tables were cut so: their means follow from their bands
    with cuts after 139 and 165 of the 174 jobs that they count, and with hardly any others.)  Fewer
    than six values leave a band without any; then the value at its lower cut speaks for it, so that
    the bands of a single job are that job's response.
    """
    first, second, third = (
        mean(line[start : max(end, start + 1)])
        for start, end in ((len(line) * low // 100, len(line) * high // 100) for low, high in BANDS)
    )
    return first, second, third


def jain(values: Iterable[float]) -> float:
    """Jain's fairness index, (sum x)^2 / (n sum x^2): 1 when all are equal, 1/n at worst."""
    given = list(values)
    # The square of what is large may have no place in a float; powers of two change no bit.
    exponent = math.frexp(max(given, default=0.0))[1]
    scaled = [math.ldexp(value, -exponent) for value in given]
    squares = math.fsum(value * value for value in scaled)
    return math.fsum(scaled) ** 2 / (len(scaled) * squares) if squares else 1.0


def makespan(run: Run) -> float:
    """Seconds from the first submission to the last finish."""
    return max(job.finish for job in run.jobs) - min(job.submit for job in run.jobs)


def _total_work(jobs: Iterable[FinishedJob]) -> float:
    return math.fsum(job.work for job in jobs)


def _same_instant(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_SAME_PART, abs_tol=_SAME_SECONDS)


def _mean_ratio(ratios: Sequence[float]) -> float:
    known = [ratio for ratio in ratios if not math.isnan(ratio)]
    return mean(known) if known else 0.0
