"""What a run of the demo found out: plain records, and the figures that are drawn from them.

Times are in seconds.  ``document`` gives all of it as JSON values.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from uwfq_service.demo.query import Answer
from uwfq_service.demo.timeline import Spent
from uwfq_service.demo.workload import USERS


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One way to schedule the same jobs."""

    name: str
    policy: str
    #: Whether the service cuts the input (runtime partitioning) or the caller, by file.
    partitioned: bool


PHASES = (
    Phase(name="fair", policy="fair", partitioned=False),
    Phase(name="uwfq", policy="uwfq", partitioned=False),
    Phase(name="uwfq + partitioning", policy="uwfq", partitioned=True),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """One job of one phase."""

    name: str
    user: str
    arrived: float
    tasks: int
    spent: Spent
    #: Slot-seconds that the service assumed at the job's arrival, and that it measured.
    estimated: float
    measured: float
    answer: Answer


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PhaseOutcome:
    """All jobs of one phase."""

    phase: Phase
    jobs: tuple[JobOutcome, ...]
    #: From the first arrival to the last end.
    makespan: float
    #: Part of the slots' time in which tasks ran.
    busy: float
    #: Measured overhead per task as the service knows it.
    task_overhead: float
    #: Slot-seconds that the tasks took; the same work, so it differs as the machine is disturbed.
    work: float

    def of(self, user: str) -> list[JobOutcome]:
        """The user's jobs."""
        return [job for job in self.jobs if job.user == user]

    @property
    def estimate_ratio(self) -> float:
        """Median of measured / estimated work; above 1 the estimates were too low."""
        return percentile([job.measured / job.estimated for job in self.jobs], 0.5)

    def responses(self, user: str) -> list[float]:
        """How long the user's jobs took from arrival to answer."""
        return [job.spent.total for job in self.of(user)]


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least ``part`` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def differing(outcomes: Sequence[PhaseOutcome]) -> list[str]:
    """Names of the jobs whose answers are not the same in all phases: there must be none."""
    answers: dict[str, set[Answer]] = {}
    for outcome in outcomes:
        for job in outcome.jobs:
            answers.setdefault(job.name, set()).add(job.answer)
    return sorted(name for name, found in answers.items() if len(found) > 1)


def disturbance(outcomes: Sequence[PhaseOutcome]) -> str:
    """A warning if the machine was not equally fast in all phases; empty if it was.

    The work is the same, so its slot-seconds tell how much of the machine others took.
    """
    slowest = max(outcomes, key=lambda outcome: outcome.work)
    fastest = min(outcomes, key=lambda outcome: outcome.work)
    if slowest.work < 1.25 * fastest.work:
        return ""
    return (
        f"But something else kept this machine busy: the same tasks ran "
        f"{slowest.work / fastest.work:.1f} times as long under {slowest.phase.name} as under "
        f"{fastest.phase.name}, which blurs the comparison. Run the demo again when it is quiet."
    )


def summary(outcomes: Sequence[PhaseOutcome]) -> str:
    """What was seen, in one sentence."""
    first, last = outcomes[0], outcomes[-1]
    olga, *others = USERS

    def pooled(outcome: PhaseOutcome, users: Sequence[str]) -> float:
        return mean([time for user in users for time in outcome.responses(user)])

    small_before, small_after = pooled(first, others), pooled(last, others)
    huge_before, huge_after = pooled(first, [olga]), pooled(last, [olga])
    if small_after < small_before:
        change = f"{small_before / small_after:.1f} times faster"
    else:
        change = f"{small_after / small_before:.1f} times slower"
    return (
        f"Under {last.phase.name}, the small jobs of {' and '.join(others)} were answered "
        f"{change} than under {first.phase.name} ({small_after:.2f} s instead of "
        f"{small_before:.2f} s on average), while {olga}'s huge ones took {huge_after:.1f} s "
        f"instead of {huge_before:.1f} s."
    )


def document(outcomes: Sequence[PhaseOutcome], **context: Any) -> dict[str, Any]:
    """Everything as JSON values; ``context`` goes in as it is."""
    return {
        **context,
        "phases": [_phase_document(outcome, outcomes[0]) for outcome in outcomes],
        "answers_equal": not differing(outcomes),
        "summary": summary(outcomes),
        "warning": disturbance(outcomes) or None,
    }


def _phase_document(outcome: PhaseOutcome, reference: PhaseOutcome) -> dict[str, Any]:
    return {
        "name": outcome.phase.name,
        "policy": outcome.phase.policy,
        "partitioned": outcome.phase.partitioned,
        "makespan_seconds": outcome.makespan,
        "busy_share": outcome.busy,
        "work_slot_seconds": outcome.work,
        "tasks": sum(job.tasks for job in outcome.jobs),
        "task_overhead_seconds": outcome.task_overhead,
        "estimate_ratio_p50": outcome.estimate_ratio,
        "users": [_user_document(outcome, reference, user) for user in USERS],
        "jobs": [
            {
                "job": job.name,
                "user": job.user,
                "arrived_seconds": job.arrived,
                "response_seconds": job.spent.total,
                **_spent_document(job.spent),
                "tasks": job.tasks,
                "estimated_work_slot_seconds": job.estimated,
                "measured_work_slot_seconds": job.measured,
                **dataclasses.asdict(job.answer),
            }
            for job in outcome.jobs
        ],
    }


def _user_document(outcome: PhaseOutcome, reference: PhaseOutcome, user: str) -> dict[str, Any]:
    responses = outcome.responses(user)
    return {
        "user": user,
        "jobs": len(responses),
        "mean_response_seconds": mean(responses),
        "p95_response_seconds": percentile(responses, 0.95),
        "mean_ratio_to_fair": mean(responses) / mean(reference.responses(user)),
        "mean_spent": _spent_document(mean_spent(outcome, user)),
    }


def _spent_document(spent: Spent) -> dict[str, float]:
    return {
        "waiting_seconds": spent.waiting,
        "running_seconds": spent.running,
        "overhead_seconds": spent.overhead,
    }


def mean_spent(outcome: PhaseOutcome, user: str) -> Spent:
    """Where the time of the user's jobs went, on average."""
    parts = [job.spent for job in outcome.of(user)]
    return Spent(
        waiting=mean([part.waiting for part in parts]),
        running=mean([part.running for part in parts]),
        overhead=mean([part.overhead for part in parts]),
    )
