"""What Spark's event logs say, as far as a workload needs it.

A line is one event: a JSON object that begins with its class, ``{"Event":"SparkListenerTaskEnd"``.
The keys are those of Spark's ``JsonProtocol``, or, in events of Spark SQL and its servers, those
of their Scala classes.  Most of a log's bytes are events and keys that nobody needs here; they are
passed over without being decoded.  Keys that only newer versions of Spark write have defaults.

Units: milliseconds since the epoch, bytes.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import field


class _Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of what events consist of."""


# ---------------------------------------------------------------- applications


class ApplicationStart(_Part, frozen=True, kw_only=True):
    """An application begins; one that a cluster manager restarts has several attempts."""

    name: str = field(name="App Name", default="")
    id: str | None = field(name="App ID", default=None)
    attempt: str | None = field(name="App Attempt ID", default=None)
    user: str = field(name="User", default="")


class ApplicationEnd(_Part, frozen=True, kw_only=True):
    """An application has ended in good order."""

    at: int = field(name="Timestamp")


class SparkProperties(_Part, frozen=True, kw_only=True):
    """Settings of the application."""

    task_cpus: str = field(name="spark.task.cpus", default="1")
    plugins: str = field(name="spark.plugins", default="")
    user: str = field(name="spark.uwfq.user", default="")
    user_sources: str = field(name="spark.uwfq.userSources", default="")


class SystemProperties(_Part, frozen=True, kw_only=True):
    """Properties of the driver's JVM."""

    user: str = field(name="user.name", default="")


class EnvironmentUpdate(_Part, frozen=True, kw_only=True):
    """The application's settings."""

    spark: SparkProperties = field(name="Spark Properties", default=SparkProperties())
    system: SystemProperties = field(name="System Properties", default=SystemProperties())


class Cpus(_Part, frozen=True, kw_only=True):
    """How many cores a task takes."""

    amount: Annotated[float, msgspec.Meta(ge=1)] = field(name="Amount")


class TaskRequests(_Part, frozen=True, kw_only=True):
    """What a task takes."""

    cpus: Cpus | None = None


class ResourceProfileAdded(_Part, frozen=True, kw_only=True):
    """Tasks of some stages take other resources than the settings say; profile 0: as they say."""

    profile: int = field(name="Resource Profile Id")
    task: TaskRequests = field(name="Task Resource Requests", default=TaskRequests())


class ExecutorInfo(_Part, frozen=True, kw_only=True):
    """What an executor offers."""

    cores: int = field(name="Total Cores")
    profile: int = field(name="Resource Profile Id", default=0)


class ExecutorAdded(_Part, frozen=True, kw_only=True):
    """An executor has registered; with ``local[N]`` it is the driver."""

    at: int = field(name="Timestamp")
    executor: str = field(name="Executor ID")
    info: ExecutorInfo = field(name="Executor Info")


class ExecutorRemoved(_Part, frozen=True, kw_only=True):
    """An executor is gone."""

    at: int = field(name="Timestamp")
    executor: str = field(name="Executor ID")


# -------------------------------------------------------------- jobs and stages


class Properties(_Part, frozen=True, kw_only=True):
    """Local properties of the thread that submitted a job."""

    user: str | None = field(name="uwfq.user", default=None)
    session_user: str | None = field(name="spark.uwfq.user", default=None)
    #: Noted by the bridge, for no client can set them; "": who that is cannot be told.
    connect_user: str | None = field(name="uwfq.connectUser", default=None)
    thrift_user: str | None = field(name="uwfq.thriftUser", default=None)
    tags: str | None = field(name="spark.job.tags", default=None)
    group: str | None = field(name="spark.jobGroup.id", default=None)
    pool: str | None = field(name="spark.scheduler.pool", default=None)
    execution: str | None = field(name="spark.sql.execution.id", default=None)
    root_execution: str | None = field(name="spark.sql.execution.root.id", default=None)
    #: Noted by the bridge: the session says so, not Spark.
    root_is_set: str | None = field(name="uwfq.rootIsSet", default=None)


class Rdd(_Part, frozen=True, kw_only=True):
    """A dataset that a stage computes on the way."""

    id: int = field(name="RDD ID")


class StageInfo(_Part, frozen=True, kw_only=True):
    """One attempt at a stage."""

    id: int = field(name="Stage ID")
    attempt: int = field(name="Stage Attempt ID", default=0)
    #: The call site, ``count at etl.py:17``.
    name: str = field(name="Stage Name", default="")
    tasks: int = field(name="Number of Tasks", default=0)
    #: The first is what the stage as a whole computes.
    rdds: tuple[Rdd, ...] = field(name="RDD Info", default=())
    parents: tuple[int, ...] = field(name="Parent IDs", default=())
    submitted: int | None = field(name="Submission Time", default=None)
    completed: int | None = field(name="Completion Time", default=None)
    failure: str | None = field(name="Failure Reason", default=None)


class JobStart(_Part, frozen=True, kw_only=True):
    """A job of Spark's begins; its stages are announced, whether or not they will be skipped."""

    job: int = field(name="Job ID")
    submitted: int = field(name="Submission Time")
    stages: tuple[StageInfo, ...] = field(name="Stage Infos", default=())
    properties: Properties = field(name="Properties", default=Properties())


class JobEnd(_Part, frozen=True, kw_only=True):
    """A job of Spark's has ended, well or not."""

    job: int = field(name="Job ID")
    at: int = field(name="Completion Time")


class StageSubmitted(_Part, frozen=True, kw_only=True):
    """An attempt at a stage begins: its tasks wait for slots."""

    stage: StageInfo = field(name="Stage Info")


class StageCompleted(_Part, frozen=True, kw_only=True):
    """An attempt at a stage has ended, well or not."""

    stage: StageInfo = field(name="Stage Info")


# ----------------------------------------------------------------------- tasks


class EndReason(_Part, frozen=True, kw_only=True):
    """Why an attempt at a task has ended."""

    reason: str = field(name="Reason")


class TaskInfo(_Part, frozen=True, kw_only=True):
    """One attempt at a task."""

    #: Position among the tasks of this attempt at the stage.
    index: int = field(name="Index")
    #: Which of the stage's partitions it computes; absent before Spark 3.3.
    partition: int = field(name="Partition ID", default=-1)
    launched: int = field(name="Launch Time")
    #: When the driver began to fetch a large result, or 0; the slot was free from then on.
    fetching: int = field(name="Getting Result Time", default=0)
    finished: int = field(name="Finish Time", default=0)
    failed: bool = field(name="Failed", default=False)
    killed: bool = field(name="Killed", default=False)


class InputMetrics(_Part, frozen=True, kw_only=True):
    """What a task has read from storage or from a cache."""

    read: int = field(name="Bytes Read", default=0)


class ShuffleReadMetrics(_Part, frozen=True, kw_only=True):
    """What a task has read of the output of earlier stages."""

    remote: int = field(name="Remote Bytes Read", default=0)
    local: int = field(name="Local Bytes Read", default=0)


class TaskMetrics(_Part, frozen=True, kw_only=True):
    """What a task has counted."""

    input: InputMetrics = field(name="Input Metrics", default=InputMetrics())
    shuffle: ShuffleReadMetrics = field(name="Shuffle Read Metrics", default=ShuffleReadMetrics())


class TaskEnd(_Part, frozen=True, kw_only=True):
    """An attempt at a task has ended, well or not."""

    stage: int = field(name="Stage ID")
    stage_attempt: int = field(name="Stage Attempt ID", default=0)
    reason: EndReason = field(name="Task End Reason")
    task: TaskInfo = field(name="Task Info")
    metrics: TaskMetrics | None = field(name="Task Metrics", default=None)


# --------------------------------------------------------- Spark SQL and servers


class Plan(_Part, frozen=True, kw_only=True):
    """A node of a physical plan, with all below it."""

    node: str = field(name="nodeName", default="")
    text: str = field(name="simpleString", default="")
    children: tuple[Plan, ...] = ()
    metadata: dict[str, str] = {}


class SqlExecutionStart(_Part, frozen=True, kw_only=True):
    """A query begins; one that another causes names its root."""

    execution: int = field(name="executionId")
    root: int | None = field(name="rootExecutionId", default=None)
    at: int = field(name="time")
    plan: Plan | None = field(name="sparkPlanInfo", default=None)


class SqlExecutionEnd(_Part, frozen=True, kw_only=True):
    """A query has ended, well or not."""

    execution: int = field(name="executionId")


class ThriftSession(_Part, frozen=True, kw_only=True):
    """Somebody has connected to the Thrift server."""

    session: str = field(name="sessionId")
    user: str = field(name="userName", default="")


class ThriftOperation(_Part, frozen=True, kw_only=True):
    """A statement begins; its jobs carry its group."""

    session: str = field(name="sessionId", default="")
    group: str = field(name="groupId")
    user: str = field(name="userName", default="")


# -------------------------------------------------------------------- decoding

Event = (
    ApplicationStart
    | ApplicationEnd
    | EnvironmentUpdate
    | ResourceProfileAdded
    | ExecutorAdded
    | ExecutorRemoved
    | JobStart
    | JobEnd
    | StageSubmitted
    | StageCompleted
    | TaskEnd
    | SqlExecutionStart
    | SqlExecutionEnd
    | ThriftSession
    | ThriftOperation
)

#: By the last part of the class name; the packages of the longer ones differ between versions.
_DECODERS: Final[dict[str, msgspec.json.Decoder[Event]]] = {
    name: msgspec.json.Decoder(event)
    for name, event in {
        "SparkListenerApplicationStart": ApplicationStart,
        "SparkListenerApplicationEnd": ApplicationEnd,
        "SparkListenerEnvironmentUpdate": EnvironmentUpdate,
        "SparkListenerResourceProfileAdded": ResourceProfileAdded,
        "SparkListenerExecutorAdded": ExecutorAdded,
        "SparkListenerExecutorRemoved": ExecutorRemoved,
        "SparkListenerJobStart": JobStart,
        "SparkListenerJobEnd": JobEnd,
        "SparkListenerStageSubmitted": StageSubmitted,
        "SparkListenerStageCompleted": StageCompleted,
        "SparkListenerTaskEnd": TaskEnd,
        "SparkListenerSQLExecutionStart": SqlExecutionStart,
        "SparkListenerSQLExecutionEnd": SqlExecutionEnd,
        "SparkListenerThriftServerSessionCreated": ThriftSession,
        "SparkListenerThriftServerOperationStart": ThriftOperation,
    }.items()
}

#: How Spark begins every line.
_BEGINNING: Final = re.compile(rb'\{"Event":"([\w.$]+)"')


class _Named(msgspec.Struct):
    """Any event."""

    event: str = field(name="Event")


_named: Final = msgspec.json.Decoder(_Named)


def class_of(line: bytes) -> str:
    """The class of a line's event, without its package.

    Raises ``msgspec.DecodeError`` when the line is no event.
    """
    beginning = _BEGINNING.match(line)
    # Who rewrote the log may have put spaces, or the keys in another order.
    name = beginning[1].decode() if beginning else _named.decode(line).event
    return name.rpartition(".")[2]


def decode(line: bytes) -> Event | None:
    """The event of a line; ``None``: one that nobody needs here.

    Raises ``msgspec.DecodeError`` (of which ``msgspec.ValidationError`` is one) when it is none.
    """
    decoder = _DECODERS.get(class_of(line))
    if decoder is None:
        return None
    try:
        return decoder.decode(line)
    except RecursionError:
        # A plan of many hundred levels.  Without it the query is known by its call sites.
        return None
