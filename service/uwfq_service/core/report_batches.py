"""What of one report is decided together, gathered as columns until it becomes one event.

``Successes`` ends attempts that are known, of whatever stages: leased ones, and those that an
engine has announced.  ``Run`` places and ends attempts of one stage that nobody had heard of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uwfq_service.core import events as ev

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uwfq_service.core.commands import TaskSuccess
    from uwfq_service.core.model import Job, Lease
    from uwfq_service.core.stage import Stage


class Successes:
    """Successes of one report that have not been emitted yet, as columns."""

    __slots__ = ("jobs", "leases", "outcomes", "runtimes", "told")

    def __init__(self) -> None:
        self.leases: list[int] = []
        self.runtimes: list[Any] = []
        self.outcomes: list[TaskSuccess] = []
        #: Whether any bytes or rows were reported.
        self.told = False
        self.jobs: dict[int, Job] = {}

    def add(self, lease: Lease, runtime: Any, outcome: TaskSuccess) -> None:
        """Take a success in."""
        self.leases.append(lease.lease_id)
        self.runtimes.append(runtime)
        self.outcomes.append(outcome)
        if outcome.input_bytes is not None or outcome.rows is not None:
            self.told = True
        job = lease.stage.job
        self.jobs[job.number] = job

    def event(self, now: Any) -> ev.TasksFinished:
        """All of them."""
        leases, runtimes = tuple(self.leases), tuple(self.runtimes)
        if not self.told:
            return ev.TasksFinished(at=now, leases=leases, runtimes=runtimes)
        input_bytes, rows = _measures(self.outcomes)
        return ev.TasksFinished(
            at=now, leases=leases, runtimes=runtimes, input_bytes=input_bytes, rows=rows
        )


class Run:
    """First attempts of one stage that an engine reports on for the first time, as successes."""

    __slots__ = ("names", "outcomes", "runtimes", "stage", "tasks")

    def __init__(self, stage: Stage, names: tuple[str, str]) -> None:
        self.stage = stage
        #: Of the job and of the stage, as the report has them.
        self.names = names
        #: Task -> nothing, in the order of the report.
        self.tasks: dict[int, None] = {}
        self.runtimes: list[Any] = []
        self.outcomes: list[TaskSuccess] = []

    def takes(self, task: int) -> bool:
        """Whether the first attempt of a task is news, and the task waits for nothing else."""
        stage = self.stage
        return (
            0 <= task < stage.task_count
            and task not in self.tasks
            and stage.is_waiting(task)
            and not (stage.attempts and task in stage.attempts)
            and not (stage.live and stage.live.get(task))
        )

    def event(self, now: Any) -> ev.TasksRan:
        """All of them, in the order of the report."""
        told = any(each.input_bytes is not None or each.rows is not None for each in self.outcomes)
        input_bytes, rows = _measures(self.outcomes) if told else ((), ())
        return ev.TasksRan(
            at=now,
            job=self.stage.job.number,
            stage=self.stage.index,
            tasks=tuple(self.tasks),
            runtimes=tuple(self.runtimes),
            input_bytes=input_bytes,
            rows=rows,
        )


def _measures(outcomes: Sequence[TaskSuccess]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Bytes and rows as the journal keeps them."""
    return (
        tuple([-1 if each.input_bytes is None else each.input_bytes for each in outcomes]),
        tuple([-1 if each.rows is None else each.rows for each in outcomes]),
    )
