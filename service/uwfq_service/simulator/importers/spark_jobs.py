"""What one Spark application did, built up event by event.

Three things are called a job here, so two of them have other names:

    Spark job   what Spark's scheduler runs for one action, or for one stage of an adaptive query
    activity    what a user waits for, and a *job* of the workload: a query, or a Spark job without

    activity ── stages, in the order of their submission
       │           └── runtimes of partitions, seconds
       └── Spark jobs that run now ── the stages they announced, and those stages' parents

Of a stage only that stays which the workload needs: a number per partition.  What a Spark job
announces (all the stages that it might need, most of which are skipped in iterative work) goes when
it ends: by then each stage that ran knows what it waited for.

Units: milliseconds since the epoch, except for runtimes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uwfq_service.simulator.importers import spark_events as se
from uwfq_service.simulator.importers.spark_signature import call_site_signature, plan_signature
from uwfq_service.simulator.importers.spark_users import Users
from uwfq_service.simulator.workload import WorkloadError
from uwfq_spark.users import counted_as


@dataclass(slots=True)
class Stage:
    """A stage that was submitted at least once."""

    #: Its call site.
    name: str
    #: Of its first attempt.
    submitted_at: int
    #: Tasks of its first attempt.
    expected: int
    #: Positions, in the activity, of the stages that it waited for.
    after: tuple[int, ...]
    #: Of the first attempt that succeeded; if none is known to, of what ended last: an attempt that
    #: failed, or a task, for Spark may have dropped the stage's end.
    ended_at: int | None = None
    succeeded: bool = False
    #: Partition -> runtime of the attempt that counts, seconds.
    runtimes: dict[int, float] = field(default_factory=dict)
    #: Partition -> attempt at the stage, where it is not the first.
    attempts: dict[int, int] = field(default_factory=dict)
    #: Of logs without partitions: later attempt at the stage -> partitions, by the tasks' index.
    retried: dict[int, list[int]] = field(default_factory=dict)
    input_bytes: int = 0
    shuffle_bytes: int = 0

    def partition(self, event: se.TaskEnd) -> int:
        """Which partition the task computes.

        Before Spark 3.3 the log does not say.  It is the index in the first attempt.  A later one
        computes what is missing, in ascending order; of those that it computes once more, because
        their output is lost, only the number is known.
        """
        task = event.task
        if task.partition >= 0:
            return task.partition
        if not event.stage_attempt:
            return task.index
        if (order := self.retried.get(event.stage_attempt)) is None:
            missing = [number for number in range(self.expected) if number not in self.runtimes]
            order = self.retried[event.stage_attempt] = missing + sorted(self.runtimes)
        return order[task.index] if task.index < len(order) else task.index


@dataclass(slots=True)
class Activity:
    """What a user waits for."""

    #: Within the application: ``sql-3``, ``job-17``.
    name: str
    #: ``None``: the application's.
    user: str | None
    #: The scheduler pool, when it is all that tells whose activity it is.
    pool: str | None
    #: When Spark got to know its first Spark job.
    submitted_at: int
    execution: int | None
    stages: list[Stage] = field(default_factory=list)
    #: RDD -> positions of the stages that computed it.
    by_rdd: dict[int, list[int]] = field(default_factory=dict)
    #: Spark jobs that have not ended.
    running: int = 0
    #: The last stages of the Spark job that ended last.
    last_ended: tuple[int, ...] = ()


@dataclass(slots=True)
class _SparkJob:
    """A Spark job that runs."""

    activity: Activity
    #: Announced stages: id -> what is known of it.
    announced: dict[int, se.StageInfo]
    #: What had ended when it began: the driver may have waited for that.
    trigger: tuple[int, ...]
    #: Ids of its stages that were submitted -> position in the activity.
    ran: dict[int, int] = field(default_factory=dict)
    #: Ids of the stages whose output was there once, for a stage that needs it was submitted.
    settled: set[int] = field(default_factory=set)


class Application:
    """Feed it the events of one log, in order; then read the activities and the rest off it.

    ``path`` is the log's, for refusals.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Whether there was no event yet that says anything.
        self.is_empty = True
        self.start = se.ApplicationStart()
        self.activities: list[Activity] = []
        #: Spark jobs that ended and were not seen to begin.
        self.cut_off = 0
        #: Attempts at tasks that led to nothing.
        self.failed_attempts = 0
        self.killed_attempts = 0
        #: Tasks of stages that had been skipped, until an executor was lost with their output.
        self.recomputed_tasks = 0
        self._users = Users()
        self._environment = se.EnvironmentUpdate()
        self._task_cpus: dict[int, float] = {}
        #: (instant, executor, what it offers; ``None``: it is gone).
        self._executors: list[tuple[int, str, se.ExecutorInfo | None]] = []
        self._latest = 0
        self._running: dict[int, _SparkJob] = {}
        self._stages: dict[int, Stage] = {}
        self._recomputed: set[int] = set()
        #: Root execution -> its activity; its start and its signature.
        self._queries: dict[int, Activity] = {}
        self._query_starts: dict[int, int] = {}
        self._query_signatures: dict[int, str] = {}
        #: Root executions that were seen to begin and not to end.
        self._open_queries: set[int] = set()
        #: Execution -> the root that caused it.
        self._roots: dict[int, int] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            se.ApplicationStart: self._application_start,
            se.ApplicationEnd: self._application_end,
            se.EnvironmentUpdate: self._environment_update,
            se.ResourceProfileAdded: self._resource_profile_added,
            se.ExecutorAdded: self._executor_added,
            se.ExecutorRemoved: self._executor_removed,
            se.JobStart: self._job_start,
            se.JobEnd: self._job_end,
            se.StageSubmitted: self._stage_submitted,
            se.StageCompleted: self._stage_completed,
            se.TaskEnd: self._task_end,
            se.SqlExecutionStart: self._sql_execution_start,
            se.SqlExecutionEnd: self._sql_execution_end,
            se.ThriftSession: self._users.thrift_session,
            se.ThriftOperation: self._users.thrift_operation,
        }

    def note(self, event: se.Event) -> None:
        """Take in the next event."""
        self.is_empty = False
        self._handlers[type(event)](event)

    @property
    def user(self) -> str:
        """Who started the application."""
        return counted_as(self.start.user or self._environment.system.user) or "unknown"

    def has_ended(self, activity: Activity) -> bool:
        """Whether all of it is known: a query may have no Spark job now, and another later."""
        return not activity.running and activity.execution not in self._open_queries

    def submitted_at(self, activity: Activity) -> int:
        """When the user asked for it: a query begins before its first Spark job."""
        start = None
        if activity.execution is not None:
            start = self._query_starts.get(activity.execution)
        return activity.submitted_at if start is None else min(start, activity.submitted_at)

    def signature(self, activity: Activity) -> str:
        """What the estimator knows it by."""
        signature = None
        if activity.execution is not None:
            signature = self._query_signatures.get(activity.execution)
        return signature or call_site_signature(stage.name for stage in activity.stages)

    def slot_changes(self) -> Iterator[tuple[int, int]]:
        """How many slots came (went, if negative), and when; in the end all are gone.

        Raises ``WorkloadError`` when the cores that a task takes are no number.
        """
        have: dict[str, int] = {}
        for at, executor, info in self._executors:
            slots = 0 if info is None else self._slots(info)
            yield at, slots - have.pop(executor, 0)
            have[executor] = slots
        yield self._latest, -sum(have.values())

    def _slots(self, executor: se.ExecutorInfo) -> int:
        cpus = self._task_cpus.get(executor.profile) or self._default_task_cpus()
        return int(executor.cores / cpus)

    def _default_task_cpus(self) -> int:
        told = self._environment.spark.task_cpus
        try:
            cpus = int(told)
        except ValueError:
            cpus = 0
        if cpus < 1:
            raise WorkloadError(
                "spark.task.cpus",
                f"is {told!r}, not a whole number from 1; say how many slots (--slots)",
                str(self.path),
            )
        return cpus

    # -- the application ------------------------------------------------------------------------

    def _application_start(self, event: se.ApplicationStart) -> None:
        self.start = event

    def _application_end(self, event: se.ApplicationEnd) -> None:
        self._latest = max(self._latest, event.at)

    def _environment_update(self, event: se.EnvironmentUpdate) -> None:
        self._environment = event
        self._users.configured(event.spark)

    def _resource_profile_added(self, event: se.ResourceProfileAdded) -> None:
        if event.task.cpus is not None:
            self._task_cpus[event.profile] = event.task.cpus.amount

    def _executor_added(self, event: se.ExecutorAdded) -> None:
        self._latest = max(self._latest, event.at)
        self._executors.append((event.at, event.executor, event.info))

    def _executor_removed(self, event: se.ExecutorRemoved) -> None:
        self._latest = max(self._latest, event.at)
        self._executors.append((event.at, event.executor, None))

    # -- activities -----------------------------------------------------------------------------

    def _sql_execution_start(self, event: se.SqlExecutionStart) -> None:
        root = event.execution if event.root is None else event.root
        if root != event.execution:
            self._roots[event.execution] = root
        else:
            self._open_queries.add(root)
            if event.plan is not None:
                self._query_signatures[root] = plan_signature(event.plan)
        self._query_starts[root] = min(event.at, self._query_starts.get(root, event.at))

    def _sql_execution_end(self, event: se.SqlExecutionEnd) -> None:
        self._open_queries.discard(event.execution)

    def _job_start(self, event: se.JobStart) -> None:
        activity = self._activity(event)
        activity.running += 1
        activity.submitted_at = min(activity.submitted_at, event.submitted)
        self._running[event.job] = _SparkJob(
            activity, {stage.id: stage for stage in event.stages}, activity.last_ended
        )

    def _activity(self, event: se.JobStart) -> Activity:
        execution = self._root_execution(event.properties)
        if execution is not None and (known := self._queries.get(execution)) is not None:
            return known
        user, pool = self._users.of(event.properties)
        made = Activity(
            f"job-{event.job}" if execution is None else f"sql-{execution}",
            user,
            pool,
            event.submitted,
            execution,
        )
        self.activities.append(made)
        if execution is not None:
            self._queries[execution] = made
        return made

    def _root_execution(self, properties: se.Properties) -> int | None:
        if properties.root_is_set is not None:
            return None  # As the bridge has it: it stands alone.
        if properties.root_execution:
            return _number(properties.root_execution)
        execution = _number(properties.execution)
        return None if execution is None else self._roots.get(execution, execution)

    def _job_end(self, event: se.JobEnd) -> None:
        self._latest = max(self._latest, event.at)
        job = self._running.pop(event.job, None)
        if job is None:
            self.cut_off += 1
            return
        job.activity.running -= 1
        stages = job.activity.stages
        waited_for = {before for position in job.ran.values() for before in stages[position].after}
        # A job whose stages were all skipped leaves what ended before it.
        if last := tuple(position for position in job.ran.values() if position not in waited_for):
            job.activity.last_ended = last

    # -- stages ---------------------------------------------------------------------------------

    def _stage_submitted(self, event: se.StageSubmitted) -> None:
        info = event.stage
        if info.id not in self._stages:
            self._begin(info, info.submitted)

    def _begin(self, info: se.StageInfo, submitted_at: int | None) -> None:
        # Of several Spark jobs that need a stage, Spark runs it for the one that came first.
        job = next((job for job in self._running.values() if info.id in job.announced), None)
        if job is None:
            return
        if info.id in job.settled:
            self._recomputed.add(info.id)
            return
        job.settled |= _ancestors(info, job)
        activity = job.activity
        stage = self._stages[info.id] = Stage(
            name=info.name,
            submitted_at=activity.submitted_at if submitted_at is None else submitted_at,
            expected=info.tasks,
            after=_waited_for(info, job),
        )
        position = job.ran[info.id] = len(activity.stages)
        activity.stages.append(stage)
        if info.rdds:
            activity.by_rdd.setdefault(info.rdds[0].id, []).append(position)

    def _begin_unannounced(self, event: se.TaskEnd) -> Stage | None:
        """The stage of a task whose ``StageSubmitted`` Spark has dropped."""
        if event.stage not in self._recomputed:
            announced = (job.announced.get(event.stage) for job in self._running.values())
            if (info := next(filter(None, announced), None)) is not None:
                self._begin(info, event.task.launched)
        return self._stages.get(event.stage)

    def _stage_completed(self, event: se.StageCompleted) -> None:
        info = event.stage
        stage = self._stages.get(info.id)
        if stage is None or stage.succeeded:
            return
        stage.succeeded = info.failure is None
        stage.ended_at = info.completed if info.completed is not None else stage.ended_at
        if not info.attempt and info.submitted is not None:
            # Told once more, in case its submission was dropped.
            stage.submitted_at = min(stage.submitted_at, info.submitted)

    # -- tasks ----------------------------------------------------------------------------------

    def _task_end(self, event: se.TaskEnd) -> None:
        task = event.task
        self._latest = max(self._latest, task.finished)
        stage = self._stages.get(event.stage) or self._begin_unannounced(event)
        if stage is None:
            self.recomputed_tasks += event.stage in self._recomputed
            return
        if event.reason.reason == "Resubmitted":
            return  # No attempt, but the news that an earlier one's output is lost.
        if event.reason.reason != "Success" or task.failed or task.killed:
            if task.killed or event.reason.reason == "TaskKilled":
                self.killed_attempts += 1
            else:
                self.failed_attempts += 1
            return
        if not stage.succeeded:
            stage.ended_at = max(task.finished, stage.ended_at or 0)
        partition = stage.partition(event)
        if event.stage_attempt < stage.attempts.get(partition, 0):
            return  # A straggler of an attempt that was given up.
        if event.stage_attempt:
            stage.attempts[partition] = event.stage_attempt
        if partition not in stage.runtimes and event.metrics is not None:
            stage.input_bytes += event.metrics.input.read
            stage.shuffle_bytes += event.metrics.shuffle.remote + event.metrics.shuffle.local
        released = task.fetching or task.finished
        # The driver's clock may have been set back meanwhile.
        stage.runtimes[partition] = max(released - task.launched, 0) / 1000


def _number(text: str | None) -> int | None:
    """The id of an execution; ``None``: a session has set something else in its place."""
    return int(text) if text and text.isdecimal() else None


def _ancestors(info: se.StageInfo, job: _SparkJob) -> set[int]:
    """The ids of all stages before this one, except for those that are known to be settled."""
    found: set[int] = set()
    waiting = list(info.parents)
    while waiting:
        parent = waiting.pop()
        if parent not in found and parent not in job.settled:
            found.add(parent)
            if (announced := job.announced.get(parent)) is not None:
                waiting += announced.parents
    return found


def _waited_for(info: se.StageInfo, job: _SparkJob) -> tuple[int, ...]:
    """The positions of the stages without which this one could not begin.

    Its parents, or, of a parent that was skipped, those stages of the activity that had computed
    the same: an adaptive query announces a stage anew in each of its Spark jobs.  Failing that,
    the parent's parents.  A stage that waits for none of its own Spark job's also waits for the
    Spark job that ended before it began: a driver that builds a table to broadcast, or plans the
    rest by what the first stages gave, waits without telling the scheduler.
    """
    by_rdd = job.activity.by_rdd
    after: set[int] = set()
    met: set[int] = set()
    waiting = list(info.parents)
    while waiting:
        parent = waiting.pop()
        if parent in met:
            continue
        met.add(parent)
        announced = job.announced.get(parent)
        if parent in job.ran:
            after.add(job.ran[parent])
        elif announced is None:
            continue
        elif announced.rdds and announced.rdds[0].id in by_rdd:
            after.update(by_rdd[announced.rdds[0].id])
        else:
            waiting += announced.parents
    if after.isdisjoint(job.ran.values()):
        after.update(job.trigger)
    return tuple(sorted(after))
