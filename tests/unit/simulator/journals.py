"""Data directories for tests: the real scheduler decides, the real journal writes it down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from uwfq_service.core import commands as cmd
from uwfq_service.core.events import AnyEvent
from uwfq_service.core.replies import NextTaskReply
from uwfq_service.core.scheduler import Outcome, Scheduler
from uwfq_service.core.settings import Settings
from uwfq_service.store import SqliteJournal, StoreOptions
from uwfq_service.store.history import move_covered
from uwfq_service.store.schema import connect

#: When the service of a test was started, seconds; clocks do not begin at 0.
EPOCH = 1_700_000_000.0

NO_SNAPSHOTS = StoreOptions(snapshot_records=10**9, snapshot_bytes=10**12)


class Taped(Scheduler):
    """A scheduler that remembers its events, and counts its clock from ``EPOCH``."""

    def __init__(self, settings: Settings | None = None, **more: Any) -> None:
        super().__init__(settings, **more)
        self.tape: list[AnyEvent] = []

    def apply(self, command: cmd.Command, now: Any) -> Outcome:
        """As ever."""
        outcome = super().apply(command, now)
        self.tape += outcome.events
        return outcome


class Past:
    """What a service has lived through, told step by step."""

    def __init__(self, *, pool: str = "default", slots: int | None = None, **settings: Any) -> None:
        self.now = EPOCH
        self.scheduler = Taped(Settings(**settings))
        self.pool = pool
        #: Which attempt each lease is for.
        self._attempts: dict[int, int] = {}
        self.do(cmd.ConfigurePool(pool=pool, fixed_slots=slots))

    def at(self, seconds: float) -> None:
        """Let the clock go on to ``seconds`` after the start; what is due meanwhile happens."""
        while (due := self.scheduler.next_wakeup()) is not None and due <= EPOCH + seconds:
            self.now = max(self.now, due)
            self.do(cmd.Tick())
        self.now = EPOCH + seconds

    def do(self, command: cmd.Command) -> Any:
        """Apply a command; its reply."""
        return self.scheduler.apply(command, self.now).reply

    def submit(self, job: str, *stages: cmd.StageSpec, user: str = "alice", **more: Any) -> None:
        """``user`` submits a job."""
        pool = more.pop("pool", self.pool)
        self.do(cmd.SubmitJob(pool=pool, user=user, job_id=job, stages=stages, **more))

    def poll(self, worker: str = "w", slots: int = 1, **more: Any) -> list[int]:
        """``worker`` asks for work; its new leases."""
        command = cmd.NextTask(pool=self.pool, worker_id=worker, slots=slots, free_slots=slots)
        reply = self.do(_with(command, **more))
        assert isinstance(reply, NextTaskReply)
        self._attempts |= {lease.lease_id: lease.attempt for lease in reply.leases}
        return [lease.lease_id for lease in reply.leases]

    def done(self, worker: str, runtimes: dict[int, float]) -> None:
        """``worker`` has finished leases: lease -> seconds that it ran."""
        results = tuple(
            cmd.TaskResult(
                task=cmd.TaskRef(lease_id=lease, attempt=self._attempts[lease]),
                outcome=cmd.TaskSuccess(runtime=runtime),
            )
            for lease, runtime in runtimes.items()
        )
        self.do(cmd.TaskDone(worker_id=worker, results=results))

    def run(self, worker: str = "w", *, slots: int = 1, seconds: float = 1.0) -> None:
        """``worker`` takes what it can get, and has finished it ``seconds`` later."""
        leases = self.poll(worker, slots)
        self.at(self.now - EPOCH + seconds)
        self.done(worker, dict.fromkeys(leases, seconds))

    def write(self, directory: Path, *, compacted: bool = False) -> Path:
        """Write all of it to a data directory, which a service could go on with."""
        write(directory, self.scheduler.tape, self.scheduler if compacted else None)
        return directory


def _with(command: cmd.NextTask, **more: Any) -> cmd.NextTask:
    fields = {name: getattr(command, name) for name in command.__struct_fields__}
    return cmd.NextTask(**(fields | more))


def write(
    directory: Path, events: Sequence[AnyEvent], snapshot_of: Scheduler | None = None
) -> None:
    """Write events; with ``snapshot_of``, a snapshot replaces them, and history keeps its part."""
    with closing(asyncio.new_event_loop()) as loop:
        journal = SqliteJournal(directory, loop, options=NO_SNAPSHOTS)
        try:
            journal.recover(Settings(), lambda: 1.0)
            journal.append(events)
        finally:
            journal.close(snapshot_of)
    if snapshot_of is not None:
        with closing(connect(directory, durable=False)) as connection:
            while move_covered(connection, len(events), 1000):
                pass


def stage(name: str, tasks: int = 1, *, after: tuple[str, ...] = (), **more: Any) -> cmd.StageSpec:
    """A stage that is cut into ``tasks`` already."""
    works = more.pop("task_work", ())
    return cmd.StageSpec(
        stage=name, after=after, cut=cmd.TaskList(count=tasks, task_work=works), **more
    )
