"""Reads a cluster trace: Google's, in the tables of the Workflow Trace Archive, as one CSV file.

A row is one task of one job (a *workflow*, there).  The machines of the trace were many and are
gone, so its work is scaled to a pool of today: a slot-second of the trace becomes ``work_scale``
slot-seconds here.  The pool of the UWFQ paper (arXiv:2510.15485, section 5) has 32 slots, and its
authors took 20 / 32 x 24 = 15; then the jobs above five times the median are dropped, for one of
them would fill the pool all by itself.

A job becomes one stage, `scan`, with the tasks that it had in the trace: their runtimes keep their
proportions and are scaled so that they sum to the job's work.  Most jobs of the trace have a single
task, which no number of slots makes shorter; with runtime partitioning it is cut.

Columns (others are ignored, their order is free):

    user_id           renamed to user_1, user_2, … in the order of appearance
    workflow_id       the job
    task_id           the number of the task in its job, by which tasks are ordered
    ts_submit         milliseconds
    runtime           milliseconds
    resource_run_time runtime x slots, slot-milliseconds

Units: seconds from the first submission in the file; work in slot-seconds.
"""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from uwfq_service.simulator.workload import (
    VERSION,
    JobSpec,
    StageSpec,
    UserSpec,
    Workload,
    WorkloadError,
    check,
)

#: The pool of the paper, and what its authors scale the trace to it by.
SLOTS: Final = 32
WORK_SCALE: Final = 20 / 32 * 24
#: Jobs with more work than so many times the median are dropped.
DROP_ABOVE_MEDIANS: Final = 5.0

#: No amount of a trace is larger, and sums of such amounts are finite.
_MOST: Final = 1e18

_COLUMNS: Final = (
    "user_id",
    "workflow_id",
    "task_id",
    "ts_submit",
    "runtime",
    "resource_run_time",
)


@dataclass(frozen=True, slots=True)
class _Row:
    """One task of the trace, in its units."""

    line: int
    user: str
    job: str
    task: int
    submit_ms: float
    runtime_ms: float
    work_slot_ms: float


@dataclass(slots=True)
class _Job:
    """One job of the trace, in its units."""

    user: str
    submit_ms: float
    tasks: list[_Row] = field(default_factory=list)

    @property
    def work_slot_ms(self) -> float:
        return math.fsum(task.work_slot_ms for task in self.tasks)


def read_google(
    path: Path,
    *,
    slots: int = SLOTS,
    work_scale: float = WORK_SCALE,
    drop_above_medians: float = DROP_ABOVE_MEDIANS,
    rename_users: bool = True,
) -> Workload:
    """Read a trace; its jobs in the order of submission, nothing declared.

    ``work_scale`` is slot-seconds here per slot-second there.  ``drop_above_medians``: jobs with
    more than so many times the median of all jobs' work are left out; ``math.inf`` keeps all, and
    so does a median of 0.
    Users keep the names that they have in the trace unless they are renamed.

    Raises ``WorkloadError``, which names line and column, or ``OSError``.
    """
    assert work_scale > 0, "work is scaled to other work"
    assert drop_above_medians >= 1, "half of the jobs lie below the median"
    source = str(path)
    try:
        jobs = _jobs(path)
        users = {job.user: job.user for job in jobs.values()}
        if rename_users:
            users = {user: f"user_{number}" for number, user in enumerate(users, start=1)}
        origin_ms = min(job.submit_ms for job in jobs.values())
        kept = sorted(
            _like_sized(jobs, drop_above_medians).items(), key=lambda named: named[1].submit_ms
        )
        workload = Workload(
            version=VERSION,
            name=path.stem,
            slots=slots,
            users=tuple(
                UserSpec(user=users[user]) for user in dict.fromkeys(job.user for _, job in kept)
            ),
            jobs=tuple(
                _job_spec(name, job, users[job.user], origin_ms, work_scale) for name, job in kept
            ),
        )
        check(workload)
    except WorkloadError as error:
        raise WorkloadError(error.place, error.message, source) from None
    return workload


def _like_sized(jobs: Mapping[str, _Job], drop_above_medians: float) -> dict[str, _Job]:
    median = statistics.median(job.work_slot_ms for job in jobs.values())
    if not median:
        return dict(jobs)  # Most took no time by the trace's clock, and tell no size.
    limit = drop_above_medians * median
    return {name: job for name, job in jobs.items() if job.work_slot_ms <= limit}


def _job_spec(name: str, job: _Job, user: str, origin_ms: float, work_scale: float) -> JobSpec:
    runtimes = [task.runtime_ms for task in sorted(job.tasks, key=lambda task: task.task)]
    whole = math.fsum(runtimes)
    work = job.work_slot_ms / 1000 * work_scale
    return JobSpec(
        job=f"{user}/{name}",
        user=user,
        submit=round((job.submit_ms - origin_ms) / 1000, 6),
        stages=(
            StageSpec(
                stage="scan",
                tasks=tuple(
                    # A task that took no time by the trace's clock took some.
                    max(round(work * (runtime / whole if whole else 1 / len(runtimes)), 6), 1e-6)
                    for runtime in runtimes
                ),
            ),
        ),
    )


# --------------------------------------------------------------------- reading


def _jobs(path: Path) -> dict[str, _Job]:
    """The jobs of a trace by their name there, in the order of their first rows."""
    jobs: dict[str, _Job] = {}
    seen: set[tuple[str, int]] = set()
    for row in _rows(path):
        job = jobs.setdefault(row.job, _Job(row.user, row.submit_ms))
        if row.user != job.user:
            raise _wrong(row.line, "user_id", f"job {row.job} belongs to {job.user} further up")
        if (row.job, row.task) in seen:
            raise _wrong(row.line, "task_id", f"job {row.job} has task {row.task} twice")
        seen.add((row.job, row.task))
        job.submit_ms = min(job.submit_ms, row.submit_ms)
        job.tasks.append(row)
    if not jobs:
        raise WorkloadError("", "has no tasks")
    return jobs


def _rows(path: Path) -> Iterator[_Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            header = next(reader, [])
            place: dict[str, int] = {
                column: header.index(column) for column in _COLUMNS if column in header
            }
            for column in _COLUMNS:
                if column not in place:
                    raise WorkloadError("line 1", f"the header has no column {column}")
            for fields in reader:
                if fields:
                    yield _row(reader.line_num, fields, place, len(header))
        except UnicodeDecodeError:
            # It is raised for a whole block of lines, so which one it was is not known.
            raise WorkloadError("", "is not a text in UTF-8") from None
        except csv.Error as error:
            raise WorkloadError(f"line {reader.line_num}", f"is not CSV ({error})") from None


def _row(line: int, fields: list[str], place: Mapping[str, int], width: int) -> _Row:
    if len(fields) != width:
        raise WorkloadError(f"line {line}", f"has {len(fields)} columns, the header {width}")

    def text(column: str) -> str:
        if value := fields[place[column]].strip():
            return value
        raise _wrong(line, column, "is empty")

    def number(column: str) -> float:
        written = text(column)
        try:
            value = float(written)
        except ValueError:
            raise _wrong(line, column, f"{written!r} is no number") from None
        if not 0 <= value <= _MOST:
            raise _wrong(line, column, f"is {value:g}; it must be 0 or more, at most {_MOST:g}")
        return value

    def whole_number(column: str) -> int:
        written = text(column)
        try:
            # Never by way of a float: ids may have 64 bits.
            return int(written)
        except ValueError:
            raise _wrong(line, column, f"{written!r} is no whole number") from None

    return _Row(
        line=line,
        user=text("user_id"),
        job=text("workflow_id"),
        task=whole_number("task_id"),
        submit_ms=number("ts_submit"),
        runtime_ms=number("runtime"),
        work_slot_ms=number("resource_run_time"),
    )


def _wrong(line: int, column: str, message: str) -> WorkloadError:
    return WorkloadError(f"line {line}, column {column}", message)
