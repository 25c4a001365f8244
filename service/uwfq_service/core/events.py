"""What happened: the only things that change the core's state, and what the journal keeps.

``Scheduler.apply`` decides events and evolves the state by them; ``Scheduler.replay`` evolves the
state by events that were decided before.  Both go through the same code, so a restart stands where
the crash left it.  An event holds decisions (how a stage was cut, when a retry is due), never the
means to decide again: a newer splitter or estimator cannot rewrite the past.

Jobs are named by their admission number ``job`` (short, and the tie-breaker of every order), stages
by their index in the job.

Units: ``at`` and other instants in seconds of the service's clock; work in slot-seconds.
"""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True, gc=False):
    """Something that happened at the instant ``at``."""

    at: float


class AdmittedStage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A stage as it was cut."""

    stage: str
    #: Indices of the stages that must be done first.
    after: tuple[int, ...] = ()
    task_count: int
    slots_per_task: int = 1
    payload: bytes = b""
    #: Estimated work of the stage, slot-seconds.
    work: float
    #: Where that comes from: a ``core.estimation.Source`` value.
    source: str
    #: Advisory task runtime used, and what decided the count: a ``core.splitting.Reason`` value.
    advisory_task_runtime: float = 0.0
    reason: str = ""
    #: Packed float64 estimated work per task; empty: all equal.
    task_work: bytes = b""
    #: Packed uint64 pairs (unit, offset), ``task_count + 1`` of them; empty: no input.
    bounds: bytes = b""
    #: Bytes that the stage reads, for the estimator.
    input_bytes: int | None = None
    max_attempts: int = 1
    task_timeout: float | None = None
    #: Digest of the spec, to tell a repeated AddStages from a conflicting one.  Only stages of jobs
    #: that were submitted open have one.
    fingerprint: bytes = b""
    #: What the stage runs, for the estimator.
    signature: str = ""


class PoolConfigured(Event, frozen=True, kw_only=True):
    """A pool was made or changed."""

    pool: str
    policy: str
    fixed_slots: int | None = None
    advisory_task_runtime: float | None = None


class UserSet(Event, frozen=True, kw_only=True):
    """An operator set a user's weight or caps; the values are what holds now, 0: no cap."""

    pool: str
    user: str
    weight: float
    max_running_slots: int = 0
    max_waiting_jobs: int = 0


class WorkerJoined(Event, frozen=True, kw_only=True):
    """A worker appeared, or announced other slots than before."""

    pool: str
    worker: str
    slots: int
    prefetch: int = 0
    #: It asks for rankings and places tasks itself.
    engine: bool = False


class WorkerLost(Event, frozen=True, kw_only=True):
    """A worker was silent for too long."""

    pool: str
    worker: str


class WorkerLeft(Event, frozen=True, kw_only=True):
    """A worker took its leave."""

    pool: str
    worker: str


class JobAdmitted(Event, frozen=True, kw_only=True):
    """A job entered a pool."""

    pool: str
    job: int
    job_id: str
    user: str
    request_id: str = ""
    #: Digest of the submission, to tell a repeat from a conflict.
    fingerprint: bytes = b""
    kind: str = ""
    signature: str = ""
    input_bytes: int | None = None
    labels: dict[str, str] = {}
    job_weight: float = 1.0
    declared_work: float | None = None
    advisory_task_runtime: float | None = None
    #: Work that the job is charged for, slot-seconds.
    work: float
    stages: tuple[AdmittedStage, ...] = ()
    open: bool = False
    engine_id: str = ""
    #: What the declared works were multiplied by.
    calibration: float = 1.0


class StagesAdded(Event, frozen=True, kw_only=True):
    """An open job got more stages."""

    job: int
    stages: tuple[AdmittedStage, ...]


class StagesDropped(Event, frozen=True, kw_only=True):
    """What waited of these stages will never run; what runs goes on."""

    job: int
    stages: tuple[int, ...]


class JobClosed(Event, frozen=True, kw_only=True):
    """No more stages will come."""

    job: int


class JobReestimated(Event, frozen=True, kw_only=True):
    """What a job is charged for was corrected by what was measured."""

    job: int
    #: The new charge, slot-seconds.
    work: float
    #: It is what history says of the whole job: an open one is charged for no less.
    whole: bool = False


class TasksLeased(Event, frozen=True, kw_only=True):
    """Tasks of one stage were leased to a worker: ``lease_id``, ``lease_id + 1``, ... in order."""

    job: int
    stage: int
    worker: str
    lease_id: int
    tasks: tuple[int, ...]
    expires_at: float
    poll_id: int = 0


class TaskPlaced(Event, frozen=True, kw_only=True):
    """An engine that places tasks itself started one."""

    job: int
    stage: int
    task: int
    attempt: int
    engine: str
    lease_id: int
    started_at: float


class TasksStarted(Event, frozen=True, kw_only=True):
    """Leased tasks began to run, later than their grant."""

    leases: tuple[int, ...]
    started_at: tuple[float, ...]


class LeasesRenewed(Event, frozen=True, kw_only=True):
    """Leases of one worker hold until ``expires_at``."""

    leases: tuple[int, ...]
    expires_at: float


class LeasesExpired(Event, frozen=True, kw_only=True):
    """Nobody renewed; the tasks are ready for their next attempt."""

    leases: tuple[int, ...]
    #: Their worker has left before they began to run: they were no attempts.
    unstarted: bool = False


class TasksFinished(Event, frozen=True, kw_only=True):
    """Attempts succeeded; columns of equal length."""

    leases: tuple[int, ...]
    #: Measured runtime, seconds.
    runtimes: tuple[float, ...]
    #: Bytes and rows as reported, -1: not reported; empty: none was.
    input_bytes: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()


class TasksRan(Event, frozen=True, kw_only=True):
    """First attempts that an engine had not announced succeeded; columns of equal length.

    All of one stage, each of a task that waited: they were placed and finished in one step.
    """

    job: int
    stage: int
    tasks: tuple[int, ...]
    #: Measured runtime, seconds.
    runtimes: tuple[float, ...]
    #: Bytes and rows as reported, -1: not reported; empty: none was.
    input_bytes: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()


class TaskFailed(Event, frozen=True, kw_only=True):
    """An attempt failed, or ran over its time limit."""

    lease: int
    runtime: float
    message: str
    #: When the next attempt may start; ``None``: at once, unless the job ends with this failure.
    retry_at: float | None = None
    #: It ran over its time limit, and its worker does not know yet.
    timed_out: bool = False


class AttemptSuperseded(Event, frozen=True, kw_only=True):
    """A second attempt ended after another had finished the task; its work is charged."""

    lease: int
    runtime: float


class TasksReady(Event, frozen=True, kw_only=True):
    """Backoff is over for these (stage index, task) pairs of a job."""

    job: int
    tasks: tuple[tuple[int, int], ...]


class JobEnded(Event, frozen=True, kw_only=True):
    """A job came to its end; its account is settled at the measured work."""

    job: int
    #: A ``core.model.JobState`` value: succeeded, failed or cancelled.
    state: str
    cause: str = ""
    #: Measured work, failed attempts included, slot-seconds: the settled charge.
    measured: float = 0.0


class JobsForgotten(Event, frozen=True, kw_only=True):
    """The ``count`` jobs that ended first are not remembered any longer."""

    count: int


class UsersForgotten(Event, frozen=True, kw_only=True):
    """Idle users of a pool are not remembered any longer: others have come."""

    pool: str
    users: tuple[str, ...]


class Recovered(Event, frozen=True, kw_only=True):
    """The service came back; leases, and the silence of workers and engines, begin anew."""

    expires_at: float
    #: From then on nobody was served, as far as is known.  ``None``: it was not away, or this is a
    #: record from before outages were left out.
    since: float | None = None


AnyEvent = (
    PoolConfigured
    | UserSet
    | WorkerJoined
    | WorkerLost
    | WorkerLeft
    | JobAdmitted
    | StagesAdded
    | StagesDropped
    | JobClosed
    | JobReestimated
    | TasksLeased
    | TaskPlaced
    | TasksStarted
    | LeasesRenewed
    | LeasesExpired
    | TasksFinished
    | TasksRan
    | TaskFailed
    | AttemptSuperseded
    | TasksReady
    | JobEnded
    | JobsForgotten
    | UsersForgotten
    | Recovered
)
