"""The steps that jobs and tasks may take.

job     waiting -> running -> succeeded | failed | cancelled      (also straight from waiting)

task    waiting <-> leased -> done
           ^          |
           '- backoff <'          a failed attempt; an expired one goes back without a pause
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from uwfq_service.core.model import Job, JobState

JOB_TRANSITIONS: Final[Mapping[JobState, frozenset[JobState]]] = {
    # A job whose stages are all done, or that is closed empty, may succeed without ever running.
    JobState.WAITING: frozenset(JobState) - {JobState.WAITING},
    JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}

#: The states in which a job is over.
END_STATES: Final = frozenset(state for state, next_ in JOB_TRANSITIONS.items() if not next_)


def step(job: Job, state: JobState) -> None:
    """Let ``job`` go on to ``state``."""
    assert state in JOB_TRANSITIONS[job.state], f"{job!r} cannot become {state}"
    job.state = state
