"""What exists: pools, users, jobs, workers and leases (and stages: ``stage.py``).

A *pool* is a set of interchangeable slots.  In it *users* have *jobs*; a job has *stages* that
depend on each other; a stage has *tasks* that may run side by side.  A *lease* is a worker's right
to run one *attempt* of one task.

These classes hold state and answer questions about it.  Who may change it: ``state.py`` alone.

Units: instants in seconds of the service's clock, work in slot-seconds.  Weights are whole
millionths (``WEIGHT_SCALE``), so that their sums are exact.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uwfq_service.core.policy.base import Policy
    from uwfq_service.core.stage import Stage

#: A weight of 1 in whole millionths.
WEIGHT_SCALE: Final = 1_000_000


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


class User:
    """The party that fairness is owed to, in one pool."""

    __slots__ = (
        "charged",
        "launchable",
        "launchable_tasks",
        "max_running_slots",
        "max_waiting_jobs",
        "name",
        "number",
        "paused",
        "policy_state",
        "pool",
        "running_slots",
        "service_ended",
        "settled",
        "started_slots",
        "started_sum",
        "unfinished_jobs",
        "weight",
    )

    def __init__(self, pool: Pool, number: int, name: str) -> None:
        self.pool = pool
        #: Number within the pool, in the order of first appearance; breaks ties.
        self.number = number
        self.name = name
        #: Relative claim, in millionths.
        self.weight = WEIGHT_SCALE
        #: Caps; 0: none.
        self.max_running_slots = 0
        self.max_waiting_jobs = 0
        #: Work charged for all jobs so far, and the part of it that is settled (their jobs ended).
        self.charged: Any = 0.0
        self.settled: Any = 0.0
        #: Service of attempts that have ended, slot-seconds.
        self.service_ended: Any = 0.0

        # Derived.
        self.unfinished_jobs = 0
        #: Slots occupied by leases (prefetched ones included).
        self.running_slots = 0
        #: Slots of attempts that run, and the sum of slots x start instant (since the pool's epoch)
        #: over them: their service so far is ``started_slots x now - started_sum``.
        self.started_slots = 0
        self.started_sum: Any = 0.0
        #: Waiting tasks of ready stages.
        self.launchable_tasks = 0
        #: At the cap of running slots: nothing of the user is offered to the policy.
        self.paused = False
        #: Stages with a launchable task by ``Stage.key``, offered to the policy unless ``paused``.
        self.launchable: dict[int, Stage] = {}
        #: The policy's own record of the user.
        self.policy_state: Any = None

    def __repr__(self) -> str:
        return f"User({self.name!r})"


class Job:
    """What a user submits."""

    __slots__ = (
        "advisory_task_runtime",
        "cause",
        "declared_work",
        "engine_id",
        "estimated_done",
        "estimated_started",
        "failed_attempts",
        "fingerprint",
        "finished_at",
        "floor_work",
        "input_bytes",
        "job_id",
        "kind",
        "labels",
        "measured",
        "number",
        "offered",
        "open",
        "overrun_timer",
        "policy_state",
        "pool",
        "request_id",
        "signature",
        "stage_by_name",
        "stages",
        "stages_left",
        "started_at",
        "started_slots",
        "started_sum",
        "state",
        "submitted_at",
        "user",
        "void_leases",
        "wasted",
        "weight",
        "work",
    )

    def __init__(self, user: User, number: int, job_id: str, submitted_at: Any) -> None:
        self.pool = user.pool
        self.user = user
        #: Admission number, unique in the service: the tie-breaker of every order.
        self.number = number
        self.job_id = job_id
        self.request_id = ""
        self.fingerprint = b""
        self.kind = ""
        self.signature = ""
        self.input_bytes: int | None = None
        self.labels: Mapping[str, str] = {}
        #: Weight among the user's own jobs, in millionths.
        self.weight = WEIGHT_SCALE
        self.declared_work: float | None = None
        self.advisory_task_runtime: float | None = None
        self.engine_id = ""
        self.open = False
        self.state = JobState.WAITING
        self.submitted_at = submitted_at
        self.started_at: Any = None
        self.finished_at: Any = None
        self.stages: list[Stage] = []
        #: L: what the job is charged for, slot-seconds.
        self.work: Any = 0.0
        #: Charged at least, while the job is open: what is known of it may be a small part.
        self.floor_work: Any = 0.0
        #: Work of attempts that have ended, slot-seconds; the part of it that finished no task.
        self.measured: Any = 0.0
        self.wasted: Any = 0.0
        #: Estimated work of the tasks that are done.
        self.estimated_done: Any = 0.0
        self.failed_attempts = 0
        self.cause = ""
        #: Leases that ended otherwise than by a result: lease id -> (stage index, task).
        self.void_leases: dict[int, tuple[int, int]] | None = None

        # Derived.
        self.stage_by_name: dict[str, Stage] | None = None
        self.stages_left = 0
        #: Indices of the stages with a launchable task, ascending.
        self.offered: list[int] = []
        #: As in ``User``, but since the job's submission.
        self.started_slots = 0
        self.started_sum: Any = 0.0
        #: Estimated work of the attempts that run.
        self.estimated_started: Any = 0.0
        #: When the overrun of the charge is looked at next; ``None``: not at all.
        self.overrun_timer: Any = None
        self.policy_state: Any = None

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
        """Estimated work of all revealed stages, slot-seconds.  O(stages)."""
        return sum(stage.work for stage in self.stages)

    def running_work(self, now: Any) -> Any:
        """Work of the running attempts so far, slot-seconds."""
        return max(0, (now - self.submitted_at) * self.started_slots - self.started_sum)

    def stage_named(self, name: str) -> Stage | None:
        """The stage of that name.  O(1)."""
        if self.stage_by_name is None:
            self.stage_by_name = {stage.name: stage for stage in self.stages}
        return self.stage_by_name.get(name)

    def first_offered(self) -> Stage:
        """The launchable stage with the lowest number; there must be one."""
        return self.stages[self.offered[0]]

    def __repr__(self) -> str:
        return f"Job({self.number}, {self.job_id!r}, {self.state})"


class Lease:
    """A worker's right to one attempt of one task until ``expires_at``."""

    __slots__ = (
        "attempt",
        "estimate",
        "expires_at",
        "granted_at",
        "lease_id",
        "place",
        "slots",
        "stage",
        "started_at",
        "task",
        "worker",
    )

    def __init__(
        self,
        lease_id: int,
        stage: Stage,
        task: int,
        place: int,
        attempt: int,
        worker: Worker,
        granted_at: Any,
        expires_at: Any,
    ) -> None:
        self.lease_id = lease_id
        self.stage = stage
        self.task = task
        #: The task's place in the launch order; -1: a second attempt beside a live one.
        self.place = place
        self.attempt = attempt
        self.worker = worker
        self.slots = stage.slots_per_task
        #: Estimated work of the task, slot-seconds.
        self.estimate = stage.task_work(task)
        self.granted_at = granted_at
        #: ``None``: prefetched, does not run yet.
        self.started_at: Any = None
        self.expires_at = expires_at

    def __repr__(self) -> str:
        return f"Lease({self.lease_id}, {self.stage!r}[{self.task}])"


class Worker:
    """A process that runs tasks, or an engine that places them itself."""

    __slots__ = (
        "alive_until",
        "engine",
        "holds",
        "last_poll_id",
        "last_poll_leases",
        "leased_slots",
        "leases",
        "name",
        "pool",
        "prefetch",
        "queued",
        "revoked",
        "slots",
        "started_slots",
        "timer",
    )

    def __init__(self, pool: Pool, name: str) -> None:
        self.pool = pool
        self.name = name
        self.slots = 0
        self.prefetch = 0
        self.engine = False
        #: Live leases in the order of their grant.
        self.leases: dict[int, Lease] = {}
        self.last_poll_id = 0
        self.last_poll_leases: tuple[int, ...] = ()

        # Derived, or soft: a restart may lose it.
        self.leased_slots = 0
        #: Slots of the leases that run.
        self.started_slots = 0
        #: Prefetched leases that wait for a slot of the worker, oldest first.
        self.queued: deque[Lease] = deque()
        self.alive_until: Any = 0.0
        #: When the worker's silence is looked at next; ``None``: not at all.
        self.timer: Any = None
        #: Leases that are void and that the worker has not been told of.
        self.revoked: list[int] = []
        #: The stage whose wide task the worker's slots are kept for.
        self.holds: Stage | None = None

    def __repr__(self) -> str:
        return f"Worker({self.name!r})"


class Pool:
    """A set of interchangeable slots with a fairness state of its own."""

    __slots__ = (
        "epoch",
        "fixed_slots",
        "launch_serial",
        "launchable_tasks",
        "live_slots",
        "name",
        "next_user",
        "order_version",
        "overhead",
        "policy",
        "running_slots",
        "unfinished_jobs",
        "users",
        "workers",
    )

    def __init__(self, name: str, policy: Policy, epoch: Any) -> None:
        self.name = name
        self.policy = policy
        #: When the pool was made; sums of instants are taken since then.
        self.epoch = epoch
        self.fixed_slots: int | None = None
        self.users: dict[str, User] = {}
        self.workers: dict[str, Worker] = {}
        self.next_user = 0
        #: Stages that have become launchable so far.
        self.launch_serial = 0
        #: Measured overhead per task, seconds.
        self.overhead: Any = 0.0

        # Derived.
        #: Slots that live workers announced.
        self.live_slots = 0
        self.unfinished_jobs = 0
        self.running_slots = 0
        self.launchable_tasks = 0
        #: Rises whenever the order of the launchable stages may have changed; soft.
        self.order_version = 1

    @property
    def slots(self) -> int:
        """R: slots of the pool."""
        return self.live_slots if self.fixed_slots is None else self.fixed_slots

    def __repr__(self) -> str:
        return f"Pool({self.name!r})"


def insert_index(indices: list[int], index: int) -> None:
    """Put ``index`` into an ascending list once."""
    at = bisect_left(indices, index)
    if at == len(indices) or indices[at] != index:
        indices.insert(at, index)
