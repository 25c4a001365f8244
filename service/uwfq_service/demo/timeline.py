"""Where a job's time went, from the marks that the workers left.

At each instant between a job's arrival and its end one of three things holds:

* *running*: at least one of its tasks runs;
* *waiting*: none does, and all slots are busy with other tasks;
* *overhead*: none does although a slot is free: leases and reports are under way.

Instants are those of the machine's monotonic clock, in seconds.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskRun:
    """One attempt at a task, as its worker saw it."""

    job: str
    stage: str
    begun: float
    ended: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A response time in its parts, seconds."""

    waiting: float
    running: float
    overhead: float

    @property
    def total(self) -> float:
        """The whole response time."""
        return self.waiting + self.running + self.overhead


def read_traces(paths: Iterable[Path]) -> list[TaskRun]:
    """The runs that workers have noted, one JSON object a line; a torn last line is dropped."""
    runs: list[TaskRun] = []
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        runs.extend(TaskRun(**json.loads(line)) for line in lines if line.endswith("\n"))
    return runs


def spent(
    windows: Mapping[str, tuple[float, float]], runs: Sequence[TaskRun], slots: int
) -> dict[str, Spent]:
    """Split the window (arrival, end) of each job; ``runs`` are the runs of all jobs.

    O(jobs in parallel x runs): one sweep over the instants at which anything begins or ends.
    """
    # At one instant ends come before beginnings, so that a slot is never counted twice.
    marks: list[tuple[float, int, str]] = []
    for run in runs:
        marks.append((run.begun, 1, run.job))
        marks.append((run.ended, -1, run.job))
    marks.sort(key=lambda mark: (mark[0], mark[1]))
    edges = [-float("inf"), *(mark[0] for mark in marks), float("inf")]
    busy = 0
    running_of: dict[str, int] = defaultdict(int)
    times = {job: [0.0, 0.0, 0.0] for job in windows}
    arrivals = sorted(windows, key=lambda job: windows[job][0])
    present: list[str] = []
    for position, (left, right) in enumerate(itertools.pairwise(edges)):
        if position:
            _, step, name = marks[position - 1]
            busy += step
            running_of[name] += step
        while arrivals and windows[arrivals[0]][0] < right:
            present.append(arrivals.pop(0))
        present = [job for job in present if windows[job][1] > left]
        for job in present:
            arrived, ended = windows[job]
            length = max(0.0, min(right, ended) - max(left, arrived))
            part = 1 if running_of[job] else 0 if busy >= slots else 2
            times[job][part] += length
    return {
        job: Spent(waiting=waiting, running=running, overhead=overhead)
        for job, (waiting, running, overhead) in times.items()
    }


def busy_share(runs: Sequence[TaskRun], begun: float, ended: float, slots: int) -> float:
    """Part of the slots' time between two instants in which tasks ran; 0 to 1."""
    inside = sum(max(0.0, min(run.ended, ended) - max(run.begun, begun)) for run in runs)
    return inside / (slots * (ended - begun)) if ended > begun else 0.0
