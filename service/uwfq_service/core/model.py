"""What exists: pools, users, jobs, workers and leases (and stages: ``stage.py``).

A *pool* is a set of interchangeable slots.  In it *users* have *jobs*; a job has *stages* that
depend on each other; a stage has *tasks* that may run side by side.  A *lease* is a worker's right
to run one *attempt* of one task.

These classes hold state and answer questions about it.  Who may change it: ``state.py`` and what it
calls.  What a million are made of is a ``msgspec.Struct``: made in a fifth of the time that a class
with ``__slots__`` takes.  What few are made of and every event changes is a class with slots: its
attributes are set in a third of the time.

Units: instants in seconds of the service's clock, work in slot-seconds.  Weights are whole
millionths (``WEIGHT_SCALE``), so that their sums are exact.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from uwfq_service.core.estimation import DECLARATIONS

if TYPE_CHECKING:
    from uwfq_service.core.policy.base import Policy
    from uwfq_service.core.stage import Stage

#: A weight of 1 in whole millionths.
WEIGHT_SCALE: Final = 1_000_000
#: One object for all jobs without labels: each its own would be a thirtieth of what a job takes.
NO_LABELS: Final[Mapping[str, str]] = {}


def scaled_weight(weight: float) -> int:
    """``weight`` in whole millionths."""
    if weight == 1:
        # One object for all, so that sums over equal weights stay in the cache.
        return WEIGHT_SCALE
    return round(weight * WEIGHT_SCALE)


class JobState(enum.StrEnum):
    """Where a job stands; the steps between are in ``lifecycle.py``."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False)
class User:
    """The party that fairness is owed to, in one pool."""

    pool: Pool
    #: Number within the pool, in the order of first appearance; breaks ties.
    number: int
    name: str
    #: Relative claim, in millionths.
    weight: int = WEIGHT_SCALE
    #: Caps; 0: none.
    max_running_slots: int = 0
    max_waiting_jobs: int = 0
    #: Work charged for all jobs so far, and the part of it that is settled (their jobs ended).
    charged: Any = 0.0
    settled: Any = 0.0
    #: Service of attempts that have ended, slot-seconds.
    service_ended: Any = 0.0

    # Derived.
    unfinished_jobs: int = 0
    #: Slots occupied by leases (prefetched ones included).
    running_slots: int = 0
    #: Slots of attempts that run, and the sum of slots x start instant (since the pool's epoch)
    #: over them: their service so far is ``started_slots x now - started_sum``.
    started_slots: int = 0
    started_sum: Any = 0.0
    #: Waiting tasks of ready stages.
    launchable_tasks: int = 0
    #: At the cap of running slots: the policy lets nothing of the user go.
    paused: bool = False
    #: Stages with a launchable task by ``Stage.key``.
    launchable: dict[int, Stage] = field(default_factory=dict)
    #: The policy's own record of the user.
    policy_state: Any = None

    def __repr__(self) -> str:
        return f"User({self.name!r})"


class Job(msgspec.Struct, eq=False):
    """What a user submits."""

    pool: Pool
    user: User
    #: Admission number, unique in the service: the tie-breaker of every order.
    number: int
    job_id: str
    submitted_at: Any
    request_id: str = ""
    fingerprint: bytes = b""
    kind: str = ""
    signature: str = ""
    input_bytes: int | None = None
    labels: Mapping[str, str] = {}
    #: Weight among the user's own jobs, in millionths.
    weight: int = WEIGHT_SCALE
    declared_work: float | None = None
    #: What the caller's declarations, this and those of stages, are multiplied by: such have been
    #: off by it before.
    calibration: float = 1.0
    advisory_task_runtime: float | None = None
    engine_id: str = ""
    open: bool = False
    state: JobState = JobState.WAITING
    started_at: Any = None
    finished_at: Any = None
    stages: list[Stage] = []
    #: L: what the job is charged for, slot-seconds.
    work: Any = 0.0
    #: Charged at least, while the job is open: what is known of it may be a small part.
    floor_work: Any = 0.0
    #: Work of attempts that have ended, slot-seconds; the part of it that finished no task.
    measured: Any = 0.0
    wasted: Any = 0.0
    #: Estimated work of the tasks that are done.
    estimated_done: Any = 0.0
    failed_attempts: int = 0
    cause: str = ""
    #: Leases that ended otherwise than by a result: lease id -> (stage index, task).
    void_leases: dict[int, tuple[int, int]] | None = None

    # Derived.
    stage_by_name: dict[str, Stage] | None = None
    stages_left: int = 0
    #: Estimated work of all revealed stages, slot-seconds.
    stages_work: Any = 0
    #: Estimated work of the tasks that were dropped with their stages.
    dropped_work: Any = 0
    #: Indices of the stages with a launchable task, ascending.
    offered: list[int] = []
    #: As in ``User``, but since the job's submission.
    started_slots: int = 0
    started_sum: Any = 0.0
    #: Estimated work of the attempts that run.
    estimated_started: Any = 0.0
    #: When the overrun of the charge is looked at next; ``None``: not at all.
    overrun_timer: Any = None
    #: Whether the charge is a guess: nothing was known of the job's signature, which it may not
    #: have, when it came, nor is yet.
    guessed: bool = False
    #: Whether not even the guess rests on anything like it: no job of its signature had ended when
    #: it came, nor has since; where it has no signature, none of the pool had, nor has one of its
    #: user since, and its charge has not been overtaken.
    unseen: bool = False
    policy_state: Any = None

    @property
    def ended(self) -> bool:
        """Whether the job is over, one way or another."""
        return self.finished_at is not None

    @property
    def job_weight(self) -> float:
        """Weight among the user's own jobs."""
        return self.weight / WEIGHT_SCALE

    @property
    def estimated_total(self) -> Any:
        """Estimated work of all revealed stages less what was dropped, slot-seconds."""
        return self.stages_work - self.dropped_work

    @property
    def average_task(self) -> Any:
        """Estimated work of a task, slot-seconds, over all revealed stages.  O(stages)."""
        return self.stages_work / sum([stage.task_count for stage in self.stages])

    @property
    def measured_ratio(self) -> Any:
        """What its done tasks took over what they were estimated at; 1 until one is.  O(stages).

        An engine has an order of its own, and what is next to nothing says little of the rest: an
        empty partition takes its milliseconds, too.
        """
        if not self.estimated_done > 0:
            return 1
        took, done = self.measured - self.wasted, self.estimated_done
        if self.engine_id and (small := self.average_task - done) > 0:
            # Taken for a task of average size, of which the rest was estimated well.
            took, done = took + small, done + small
        return took / done

    @property
    def declared_total(self) -> Any | None:
        """Work that the caller declared, uncorrected; ``None``: not all of it was declared."""
        if self.declared_work is not None:
            return self.declared_work
        if all(stage.spec.source in DECLARATIONS for stage in self.stages):
            return self.estimated_total / self.calibration
        return None

    @property
    def expected_total(self) -> Any:
        """Work that was expected when the job came and, of an open one, with its stages."""
        if self.declared_work is not None:
            return self.declared_work * self.calibration
        return self.estimated_total

    def running_work(self, now: Any) -> Any:
        """Work of the running attempts so far, slot-seconds."""
        if not self.started_slots:
            return 0
        work = (now - self.submitted_at) * self.started_slots - self.started_sum
        return work if work > 0 else 0

    def stage_named(self, name: str) -> Stage | None:
        """The stage of that name.  O(1)."""
        if self.stage_by_name is None:
            self.stage_by_name = {stage.name: stage for stage in self.stages}
        return self.stage_by_name.get(name)

    def __repr__(self) -> str:
        return f"Job({self.number}, {self.job_id!r}, {self.state})"


class Lease(msgspec.Struct, eq=False):
    """A worker's right to one attempt of one task until ``expires_at``."""

    lease_id: int
    stage: Stage
    task: int
    #: The task's place in the launch order; -1: a second attempt beside a live one.
    place: int
    attempt: int
    worker: Worker
    slots: int
    #: Estimated work of the task, slot-seconds.
    estimate: Any
    granted_at: Any
    #: ``None``: an engine's own attempt, which lives as long as the engine does.
    expires_at: Any
    #: ``None``: prefetched, does not run yet.
    started_at: Any = None

    def __repr__(self) -> str:
        return f"Lease({self.lease_id}, {self.stage!r}[{self.task}])"


@dataclass(slots=True, eq=False)
class Worker:
    """A process that runs tasks, or an engine that places them itself."""

    pool: Pool
    name: str
    slots: int = 0
    prefetch: int = 0
    engine: bool = False
    #: Live leases in the order of their grant.
    leases: dict[int, Lease] = field(default_factory=dict)
    last_poll_id: int = 0
    last_poll_leases: list[int] = field(default_factory=list)

    # Derived, or soft: a restart may lose it.
    leased_slots: int = 0
    #: Slots of the leases that run.
    started_slots: int = 0
    #: Prefetched leases that wait for a slot of the worker, oldest first.
    queued: OrderedDict[int, Lease] = field(default_factory=OrderedDict)
    alive_until: Any = 0.0
    #: When the worker's silence is looked at next; ``None``: not at all.
    timer: Any = None
    #: Leases that are void and that the worker has not been told of.
    revoked: list[int] = field(default_factory=list)
    #: The stage whose wide task the worker's slots are kept for.
    holds: Stage | None = None

    def __repr__(self) -> str:
        return f"Worker({self.name!r})"


@dataclass(slots=True, eq=False)
class Pool:
    """A set of interchangeable slots with a fairness state of its own."""

    name: str
    policy: Policy
    #: When the pool was made; sums of instants are taken since then.
    epoch: Any
    fixed_slots: int | None = None
    #: How long a task should run, seconds; ``None``: as the service says.
    advisory_task_runtime: float | None = None
    users: dict[str, User] = field(default_factory=dict)
    workers: dict[str, Worker] = field(default_factory=dict)
    next_user: int = 0
    #: Stages that have become launchable so far.
    launch_serial: int = 0
    #: Measured overhead per task, seconds.
    overhead: Any = 0.0

    # Derived.
    #: Slots that live workers announced.
    live_slots: int = 0
    unfinished_jobs: int = 0
    running_slots: int = 0
    launchable_tasks: int = 0
    #: Rises whenever an event may have changed the order of the launchable stages; soft.
    order_version: int = 1
    #: What the order of that version went by beside events (``ranking.order_version``).
    order_shares: Any = None

    @property
    def slots(self) -> int:
        """R: slots of the pool."""
        return self.live_slots if self.fixed_slots is None else self.fixed_slots

    def __repr__(self) -> str:
        return f"Pool({self.name!r})"


def insert_index(indices: list[int], index: int) -> None:
    """Put ``index`` into an ascending list once."""
    if not indices:
        indices.append(index)
        return
    at = bisect_left(indices, index)
    if at == len(indices) or indices[at] != index:
        indices.insert(at, index)
