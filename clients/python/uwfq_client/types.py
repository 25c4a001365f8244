"""What the client speaks of: plain frozen records, no protobuf.

Picture two heaps.  What *you write* (``Stage``, ``Input``, ``Measurement``) leaves out what the
service should decide: a field that is ``None`` is not sent.  What *you read* (``Job``, ``User``,
``Pool`` …) is a snapshot of the moment of the answer and carries the names of the protocol, so that
``dataclasses.asdict`` gives what the other clients show too.

Units: work in slot-seconds, durations in seconds, sizes in bytes, virtual times in slot-seconds per
unit of weight; instants are aware datetimes in UTC.  ``None`` means "absent", never zero.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final


class JobState(enum.StrEnum):
    """Where a job stands in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


class EstimateSource(enum.StrEnum):
    """Where an estimate of work comes from, most specific first."""

    DECLARED = "declared"
    #: Declared, and multiplied by what this user's declarations were off by before.
    CALIBRATED = "calibrated"
    SIGNATURE_USER = "signature_user"
    SIGNATURE = "signature"
    USER = "user"
    POOL = "pool"
    PRIOR = "prior"


class SplitReason(enum.StrEnum):
    """What decided how many tasks a stage was cut into."""

    ADVISORY_RUNTIME = "advisory_runtime"
    MIN_TASKS = "min_tasks"
    MAX_TASKS = "max_tasks"
    INPUT_UNITS = "input_units"
    CALLER = "caller"
    OVERHEAD = "overhead"
    #: The work is a guess: as many as the pool has slots.
    GUESS = "guess"


# ------------------------------------------------------------------------------- what you write


@dataclasses.dataclass(frozen=True, slots=True)
class Input:
    """Input as a sequence of units (files, row groups, partitions) that tasks read in order.

    The service cuts it into contiguous ranges of near-equal estimated runtime; each task is told
    its range.

    >>> Input([64_000_000, 64_000_000, 12_000_000], splittable=True).unit_sizes[-1]
    12000000
    """

    #: Size of each unit, in bytes or rows or any one measure; the sum > 0.
    unit_sizes: Sequence[int]
    _: dataclasses.KW_ONLY
    #: Whether every unit may be cut inside, at any offset.
    splittable: bool = False
    #: Indices of the units that may be cut inside, ascending; ignored when ``splittable``.
    splittable_units: Sequence[int] = ()
    #: Relative work per byte, one per unit or none (all equal).
    unit_costs: Sequence[float] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """One step of a job: tasks that may run side by side, once the stages in ``after`` are done.

    Say how it is cut in one of three ways: ``tasks`` (you have cut it already, optionally with the
    size or work of each), ``input`` (the service cuts it), or neither (the service cuts it by its
    estimated work alone).

    >>> Stage("scan", tasks=8, estimated_work_slot_seconds=4.0).tasks
    8
    >>> Stage("join", after=["scan", "load"], input=Input([1 << 30], splittable=True)).after
    ['scan', 'load']
    """

    #: Unique within the job.
    name: str
    _: dataclasses.KW_ONLY
    #: Names of the stages that must be done first.
    after: Sequence[str] = ()
    #: Number of tasks; may be left out when ``task_bytes`` or ``task_work_slot_seconds`` is given.
    tasks: int | None = None
    #: Bytes that each task reads: spreads the estimated work by size.
    task_bytes: Sequence[int] = ()
    #: Estimated work of each task: wins over ``task_bytes`` and over the stage's estimate.
    task_work_slot_seconds: Sequence[float] = ()
    #: What the tasks read, for the service to cut.
    input: Input | None = None
    #: Estimated work of the whole stage; ``None``: the service estimates it.
    estimated_work_slot_seconds: float | None = None
    #: Slots that each task occupies; ``None``: 1.
    slots_per_task: int | None = None
    #: Handed to whoever runs a task of this stage; the service never looks inside.
    payload: bytes = b""
    #: How long a task should run; ``None``: the job's, else the pool's.
    advisory_task_runtime_seconds: float | None = None
    #: Fewest and most tasks that the service may cut the stage into.
    min_tasks: int | None = None
    max_tasks: int | None = None
    #: Attempts that a task gets before the job fails; ``None``: the service's.
    max_attempts: int | None = None
    #: Longest that one attempt may run; ``None``: no limit.
    task_timeout_seconds: float | None = None
    #: What the stage runs, without its literals: the service learns the work per byte of each, and
    #: prefers that to what it knows of the job's signature.
    signature: str = ""

    def __post_init__(self) -> None:
        """Refuse what the wire could not carry, where the mistake was made."""
        if isinstance(self.after, str):
            # A string is a sequence of names too: of its letters.
            raise TypeError(f"stage {self.name!r}: after must be a sequence of names, not a string")
        if self.input is not None and self.has_tasks:
            raise ValueError(f"stage {self.name!r}: give tasks or input, not both")

    @property
    def has_tasks(self) -> bool:
        """Whether the stage comes cut into tasks."""
        return self.tasks is not None or bool(self.task_bytes) or bool(self.task_work_slot_seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class Measurement:
    """What a handler may return: what its task read and produced, for the estimator.

    Whole numbers from 0 to 2^64-1.  With any other the task fails, and no other attempt is made.
    """

    input_bytes: int | None = None
    rows: int | None = None


# -------------------------------------------------------------------------------- what you read


@dataclasses.dataclass(frozen=True, slots=True)
class InputRange:
    """A contiguous part of an input: from a position up to, not including, another.

    >>> list(InputRange(2, 500, 4, 100).parts())
    [(2, 500, None), (3, 0, None), (4, 0, 100)]
    """

    begin_unit: int
    begin_offset: int
    #: Equal to the number of units at the very end.
    end_unit: int
    #: Offset inside ``end_unit`` where the range ends; 0: before its first byte.
    end_offset: int

    def parts(self) -> Iterator[tuple[int, int, int | None]]:
        """The units to read: each with where to begin, and where to end (``None``: at its end)."""
        begin = self.begin_offset
        for unit in range(self.begin_unit, self.end_unit):
            yield unit, begin, None
            begin = 0
        if self.end_offset > begin:
            yield self.end_unit, begin, self.end_offset


class _NeverSet(threading.Event):
    """Stands in where nobody could set it: one shared event instead of one per task."""

    def set(self) -> None:
        raise RuntimeError("this task cannot be cancelled; see Task.cancelled")


_NEVER: Final = _NeverSet()


@dataclasses.dataclass(slots=True)
class Task:
    """One attempt at one task: what a handler is called with.

    Every field has a default, so that a handler can be tested by itself:

    >>> Task(index=3, payload=b"2024-01").payload
    b'2024-01'
    """

    job_id: str = ""
    user: str = ""
    #: What to run: the job's kind, which chose the handler.
    kind: str = ""
    signature: str = ""
    stage: str = ""
    #: The stage's payload.
    payload: bytes = b""
    #: The job's labels.
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: Which task of the stage, from 0.
    index: int = 0
    #: Number of tasks in the stage.
    task_count: int = 1
    #: Which try this is, from 1.
    attempt: int = 1
    #: Slots that the task occupies.
    slots: int = 1
    #: The part of the input to read; ``None`` for a stage without an input.
    range: InputRange | None = None
    lease_id: int = 0
    #: Longest that the attempt may run; ``None``: no limit.
    time_limit_seconds: float | None = None
    #: How long the task is thought to run.
    estimated_runtime_seconds: float = 0.0
    #: Set when the attempt is not wanted any more: its job was cancelled or failed, its time limit
    #: is reached, or the worker gives up.  For handlers in threads; a coroutine gets
    #: ``CancelledError`` instead, and other processes and inline handlers cannot be reached.
    cancelled: threading.Event = dataclasses.field(default=_NEVER, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process, where the event could not reach anyhow."""
        values = tuple(getattr(self, field.name) for field in dataclasses.fields(self)[:-1])
        return Task, values


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StageSplit:
    """How a stage was cut, and why so."""

    stage: str
    task_count: int
    #: The range of each task; empty for a stage without an input.
    ranges: tuple[InputRange, ...]
    estimated_work_slot_seconds: float
    estimate_source: EstimateSource | None
    #: The one that was used: larger than asked for when tasks would drown in overhead.
    advisory_task_runtime_seconds: float
    reason: SplitReason | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedJob:
    """What became of a submission."""

    job_id: str
    #: ``None`` under a policy without deadlines.
    virtual_deadline: float | None
    #: Until the job is finished, if nobody leaves before that; ``explain`` predicts exactly.
    predicted_finish_seconds: float | None
    #: The work that was assumed.
    estimated_work_slot_seconds: float
    splits: tuple[StageSplit, ...]
    #: Whether the job had been admitted before, by the same request.
    duplicate: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AddedStages:
    """What became of stages added to an open job."""

    splits: tuple[StageSplit, ...]
    virtual_deadline: float | None
    #: The work that the job is charged for now.
    estimated_work_slot_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """One stage of a job, as it stands."""

    stage: str
    task_count: int
    waiting: int
    running: int
    done: int
    estimated_work_slot_seconds: float
    measured_work_slot_seconds: float
    #: Whether the stages that it depends on are done.
    ready: bool
    signature: str
    #: Where the estimate comes from.
    estimate_source: EstimateSource | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, as it stands."""

    pool: str
    job_id: str
    user: str
    kind: str
    signature: str
    labels: dict[str, str]
    job_weight: float
    state: JobState
    #: Whether more stages may come.
    open: bool
    submitted_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    #: ``None`` under a policy without deadlines.
    virtual_deadline: float | None
    #: Charged now: the estimate, corrected by what was measured.
    estimated_work_slot_seconds: float
    #: Measured so far, failed attempts included.
    measured_work_slot_seconds: float
    stages: tuple[StageStatus, ...]
    #: Attempts that failed or expired so far.
    failed_attempts: int
    #: Why it failed or was cancelled; before its end, why an attempt failed last; empty otherwise.
    cause: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state.ended

    @property
    def succeeded(self) -> bool:
        """Whether all its stages are done."""
        return self.state is JobState.SUCCEEDED

    @property
    def task_count(self) -> int:
        """Tasks of the stages known so far."""
        return sum(stage.task_count for stage in self.stages)

    @property
    def waiting_tasks(self) -> int:
        """Tasks that wait, launchable or not yet."""
        return sum(stage.waiting for stage in self.stages)

    @property
    def running_tasks(self) -> int:
        """Attempts that are leased or running."""
        return sum(stage.running for stage in self.stages)

    @property
    def done_tasks(self) -> int:
        """Tasks that are done."""
        return sum(stage.done for stage in self.stages)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobAhead:
    """One job ahead of an explained one."""

    job_id: str
    user: str
    virtual_deadline: float | None
    launchable_tasks: int
    remaining_work_slot_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a job waits."""

    job: Job
    #: One sentence that says what it waits for.
    reason: str
    #: Place among the pool's jobs with a launchable task, from 1; 0: it has none to launch.
    position: int
    #: The jobs ahead of it, most urgent first.
    ahead: tuple[JobAhead, ...]
    virtual_time: float
    #: Until its next task starts; ``None``: nothing can be said.
    predicted_start_seconds: float | None
    #: Until the fluid cluster reaches its virtual deadline; ``None``: nothing can be said.
    predicted_finish_seconds: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A party that fairness is owed to, in one pool."""

    pool: str
    user: str
    weight: float
    #: ``None``: no cap.
    max_running_slots: int | None
    #: Most unfinished jobs; ``None``: the service's limit.
    max_waiting_jobs: int | None
    #: Slots owed now; 0 when not virtually active.
    share_slots: float
    #: Slots occupied now.
    running_slots: int
    #: Unfinished jobs.
    jobs: int
    launchable_tasks: int
    #: Service received since the pool exists.
    service_slot_seconds: float
    #: Service owed minus service received; > 0: the user is owed.
    lag_slot_seconds: float
    #: Whether the user is virtually active.
    active: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EstimateError:
    """How far the estimates of finished jobs were off: quantiles of measured / estimated work.

    1 is exact; above 1 the estimate was too low.
    """

    #: Jobs that the quantiles are taken over; the rest is 0 when there are none.
    jobs: int
    p50_ratio: float
    p10_ratio: float
    p90_ratio: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A set of interchangeable slots with a fairness state of its own."""

    pool: str
    policy: str
    #: Live slots.
    slots: int
    #: Whether their number is fixed by configuration.
    fixed_slots: bool
    running_slots: int
    #: Live workers.
    workers: int
    #: Unfinished jobs.
    jobs: int
    launchable_tasks: int
    active_users: int
    active_weight: float
    virtual_time: float
    advisory_task_runtime_seconds: float
    estimate_error: EstimateError
    #: Measured from lease to start, plus report.
    task_overhead_seconds: float
