"""What a data directory holds, compared with what clients were told.

``look_into`` loads a directory as a restart would, and checks that the state is consistent and the
order of virtual deadlines is one.  ``compare`` reads the whole history at the end: every
acknowledged submit must be there, every accepted result exactly once, every job ended once.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tests.faults.kill_ledger import Ledger, TaskKey
from tests.faults.kill_service import SETTINGS
from uwfq_service.core import events as ev
from uwfq_service.core.invariants import check
from uwfq_service.core.model import JobState
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.server.config import load
from uwfq_service.store import read_history
from uwfq_service.store.recovery import restore
from uwfq_service.store.schema import connect


class Losses(NamedTuple):
    """What was acknowledged and is gone."""

    submits: list[str]
    results: list[str]


def look_into(directory: Path) -> Scheduler:
    """The scheduler that a restart would begin with; asserts that it is sound."""
    with closing(connect(directory, durable=False)) as connection:
        restored = restore(connection, load(SETTINGS).scheduling, lambda: 1.0)
    scheduler = restored.scheduler
    check(scheduler, restored.at)
    order = ranked(scheduler)
    assert all(deadline is not None and math.isfinite(deadline) for _, deadline in order)
    # The order must not depend on whether it came out of a snapshot or of the journal's tail.
    again = Scheduler.load(scheduler.dump(), scheduler.settings)
    check(again, restored.at)
    assert ranked(again) == order, "a snapshot keeps the order of the virtual deadlines"
    return scheduler


def ranked(scheduler: Scheduler) -> list[tuple[int, float | None]]:
    """The launchable stages of all pools, most urgent first: key and virtual deadline."""
    return [
        (stage.key, pool.policy.virtual_deadline(stage.job))
        for pool in scheduler.pools.values()
        for stage in pool.policy.ranking()
    ]


def missing_jobs(scheduler: Scheduler, ledger: Ledger) -> list[str]:
    """Acknowledged jobs that are gone, or short of stages, while they must be remembered."""
    missing = []
    for job_id, stages in ledger.jobs.items():
        job = scheduler.state.jobs.get(job_id)
        if job is None:
            # Only what has ended may be forgotten.
            if job_id not in ledger.ended:
                missing.append(job_id)
            continue
        held = {stage.name: stage.task_count for stage in job.stages}
        if not stages.items() <= held.items():
            missing.append(f"{job_id}: {stages} became {held}")
    return missing


class Book:
    """The history, read from its first event to its last."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.stages: dict[int, list[ev.AdmittedStage]] = {}
        self.leases: dict[int, TaskKey] = {}
        #: How often each task was done, each lease failed, each job admitted and ended.
        self.done: Counter[TaskKey] = Counter()
        self.done_by: dict[int, TaskKey] = {}
        self.failed: Counter[int] = Counter()
        self.admitted: Counter[str] = Counter()
        self.ends: dict[str, list[str]] = {}

    @classmethod
    def of(cls, directory: Path) -> Book:
        """The book of a data directory."""
        book = cls()
        for event in read_history(directory):
            book.enter(event)
        return book

    def enter(self, event: ev.AnyEvent) -> None:
        """Read one event."""
        match event:
            case ev.JobAdmitted():
                self.names[event.job] = event.job_id
                self.admitted[event.job_id] += 1
                self.stages[event.job] = list(event.stages)
            case ev.StagesAdded():
                self.stages[event.job] += event.stages
            case ev.TasksLeased():
                stage = self.stages[event.job][event.stage].stage
                for offset, task in enumerate(event.tasks):
                    lease_id = event.lease_id + offset
                    assert lease_id not in self.leases, f"lease {lease_id} was granted twice"
                    self.leases[lease_id] = TaskKey(self.names[event.job], stage, task)
            case ev.TasksFinished():
                for lease_id in event.leases:
                    self.done[self.leases[lease_id]] += 1
                    self.done_by[lease_id] = self.leases[lease_id]
            case ev.TaskFailed():
                self.failed[event.lease] += 1
            case ev.JobEnded():
                self.ends.setdefault(self.names[event.job], []).append(event.state)
            case _:
                pass


def compare(book: Book, ledger: Ledger) -> Losses:
    """What the book lacks of what was acknowledged; contradictions go into the ledger."""
    stages = {
        book.names[job]: {stage.stage: stage.task_count for stage in admitted}
        for job, admitted in book.stages.items()
    }
    submits = [
        job_id
        for job_id, acknowledged in ledger.jobs.items()
        if not acknowledged.items() <= stages.get(job_id, {}).items()
    ]
    results = [
        f"{key}, lease {lease_id}"
        for key, lease_id in ledger.accepted.items()
        if book.done_by.get(lease_id) != key
    ]
    results += [f"failure of {lease}" for lease in ledger.failures if book.failed[lease] != 1]
    for lease_id, grant in ledger.grants.items():
        if book.leases.get(lease_id) != grant.key:
            ledger.object_to(f"lease {lease_id} was handed out, and is not in the book")
    _check_ends(book, ledger, stages)
    return Losses(submits, results)


def _check_ends(book: Book, ledger: Ledger, stages: dict[str, dict[str, int]]) -> None:
    for key, times in book.done.items():
        if times != 1:
            ledger.object_to(f"{key} was done {times} times")
    done = Counter((key.job_id, key.stage) for key in book.done)
    for job_id, times in book.admitted.items():
        ends = book.ends.get(job_id, [])
        if times != 1 or len(ends) != 1:
            ledger.object_to(f"{job_id} was admitted {times} times and ended as {ends}")
        if ends == [JobState.SUCCEEDED]:
            for stage, count in stages[job_id].items():
                if done[job_id, stage] != count:
                    ledger.object_to(f"{job_id} {stage}: {done[job_id, stage]} of {count} done")
