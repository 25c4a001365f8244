"""Spark's event logs as a workload: last night's users, and what their queries really took.

``spark.eventLog.enabled`` makes Spark write down every job, stage and task of an application.  That
is a workload for the question "and under another policy?".  Read are the logs of one application or
of many, finished or not, as one stream: memory holds the workload and no more of the log.

What becomes of what:

* A **job** is what a user waits for: a query (``spark.sql.execution.root.id``, before Spark 3.4
  ``spark.sql.execution.id``) with all the Spark jobs that it takes, for an adaptive query submits
  each of its stages as a Spark job; of the RDD interface, the Spark job.
* Its **user** is the first of these that there is: the local property ``uwfq.user``, then
  ``spark.uwfq.user``, of the application, too; the user of Spark Connect, from ``spark.job.tags``;
  the user of the Thrift server, whose statement has the job's ``spark.jobGroup.id``; the scheduler
  pool, unless it is ``default``, since that is the party that Spark itself was fair to; who started
  the application.  Where the bridge was at work, the users of both servers come first, as
  ``spark.uwfq.userSources`` says.  When applications of several people have pools of one name,
  these are told apart as ``person/pool``.
* It is **submitted** when the query began, planning included, or else the Spark job.
* Its **stages** are those that ran, in the order of their submission.  They wait for their parents,
  and for the Spark job of the same query that had ended before theirs began, since their driver may
  have waited for that (``spark_jobs.py`` says more).  A stage's *delay* is what its driver took:
  from the end of the stages that it waited for (or the job's submission) to its own submission.
  Waiting for slots is no part of it; that begins with the submission.
* A **task** is one partition, in their order: the time from launch to finish of the attempt that
  succeeded, for so long it kept its slot from others.  That is more than Spark's *executor run
  time*; fetching a large result is not in it, for the slot was free by then.  When a stage was
  tried again, the later attempt counts; before Spark 3.3 no log says of which partitions, so those
  count that had not finished, in order.  What failures cost is no part of the work, and counted:
  attempts that failed or were killed, as speculative ones are, and stages that had been skipped and
  ran after all, because an executor was lost with their output.
* A job that **failed** is taken with the tasks that it had finished.  Left out, and counted, are
  jobs without any, jobs that have **not ended**, whose size is not known yet, and jobs that began
  before the log does.
* ``input_bytes`` is what the job read from outside of itself: from storage and caches, and what its
  first stages fetched of shuffles that an earlier job wrote.  Absent when Spark counted none.
* The **slots** are the most that there were at once, over all applications: cores of the executors
  by cores per task.
* A busy Spark **drops events**.  A stage whose submission or end is missing is known by its tasks;
  tasks whose end is missing are missing here, and counted.
* Whether a user waited for one job's result before asking for the next is not known: every
  submission has an instant of its own.

Units: seconds from the earliest submission in any of the logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from uwfq_service.simulator.importers.spark_events import class_of, decode
from uwfq_service.simulator.importers.spark_files import Lines, Log, find_logs, not_a_log
from uwfq_service.simulator.importers.spark_jobs import Activity, Application, Stage
from uwfq_service.simulator.workload import (
    MAX_TEXT_BYTES,
    VERSION,
    JobSpec,
    StageSpec,
    UserSpec,
    Workload,
    WorkloadError,
    check,
)
from uwfq_spark.users import counted_as

#: Told how many bytes of the files have been read, and how many there are.
Progress = Callable[[int, int], None]


class LeftOut(msgspec.Struct, kw_only=True):
    """What was in the logs and is not in the workload, or was missing in the logs themselves."""

    #: Jobs that have not ended.
    unfinished: int = 0
    #: Jobs that ended without having finished a task.
    without_work: int = 0
    #: Spark jobs that had begun before their log does.
    cut_off: int = 0
    #: Attempts at tasks that led to nothing.
    failed_attempts: int = 0
    killed_attempts: int = 0
    #: Tasks of skipped stages that ran after all, for an executor was lost with their output.
    recomputed_tasks: int = 0
    #: Tasks of finished stages whose end Spark did not write down: it drops events when it is busy.
    lost_tasks: int = 0
    #: Files that end in the middle of a line: their application was killed, or still runs.
    cut_files: int = 0
    empty_files: int = 0
    #: Rolling logs whose beginning Spark's cleaner has thinned out.
    compacted_logs: int = 0

    def __str__(self) -> str:
        """As part of a sentence; empty: nothing."""
        counted = (
            (self.unfinished, "job", " not finished"),
            (self.without_work, "job", " without any finished task"),
            (self.cut_off, "Spark job", " older than the log"),
            (self.failed_attempts, "failed attempt", ""),
            (self.killed_attempts, "killed attempt", ""),
            (self.recomputed_tasks, "task", " done again after a loss"),
            (self.lost_tasks, "task", " whose end Spark did not log"),
            (self.cut_files, "file", " cut short"),
            (self.empty_files, "empty file", ""),
            (self.compacted_logs, "log", " compacted by Spark"),
        )
        return ", ".join(
            f"{count} {what}{'' if count == 1 else 's'}{how}"
            for count, what, how in counted
            if count
        )


class SparkRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A workload out of event logs, and what of them is not in it."""

    workload: Workload
    left_out: LeftOut


def read_spark_recording(
    paths: Sequence[Path], *, slots: int | None = None, progress: Progress | None = None
) -> SparkRecording:
    """What users submitted to the Spark applications whose event logs these are.

    A path is a log (plain or compressed), the directory ``eventlog_v2_…`` of a rolling one, or a
    directory of such.  ``slots``: of the pool, instead of what the executors had.

    Raises ``WorkloadError``, with the remedy, for what is no event log, is damaged, or holds no
    finished work.
    """
    left_out = LeftOut()
    applications = _applications(find_logs(paths), left_out, progress)
    source = str(paths[0]) if len(paths) == 1 else f"{len(paths)} paths"
    try:
        workload = _workload(applications, slots, left_out)
        check(workload)
    except WorkloadError as error:
        raise WorkloadError(error.place, error.message, error.source or source) from None
    return SparkRecording(workload=workload, left_out=left_out)


# --------------------------------------------------------------------- reading


def _applications(
    logs: Sequence[Log], left_out: LeftOut, progress: Progress | None
) -> dict[str, Application]:
    """What is in the logs, by the name of the application."""
    total = sum(file.stat().st_size for log in logs for file in log.files)
    before = 0

    def advance(read: int) -> None:
        if progress is not None:
            progress(before + read, total)

    applications: dict[str, Application] = {}
    logged_in: dict[str, Path] = {}
    for log in logs:
        application = Application(log.path)
        left_out.compacted_logs += log.compacted
        for file in log.files:
            _read(file, application, left_out, advance)
            before += file.stat().st_size
        if application.is_empty:
            continue
        name = _name(application, log)
        if name in applications:
            raise WorkloadError(
                "",
                f"is of application {name}, as is {logged_in[name]}; give one of them",
                str(log.path),
            )
        applications[name] = application
        logged_in[name] = log.path
    if progress is not None:
        progress(total, total)
    return applications


def _read(
    file: Path, application: Application, left_out: LeftOut, advance: Callable[[int], None]
) -> None:
    lines = Lines(file, advance)
    number = 0
    for number, line in enumerate(lines, start=1):
        try:
            if number == 1:
                _check_is_event(line)
            if (event := decode(line)) is not None:
                application.note(event)
        except WorkloadError as error:
            raise WorkloadError(error.place, error.message, str(file)) from None
        except (msgspec.DecodeError, ValueError) as error:
            raise WorkloadError(
                f"line {number}",
                f"is no event of Spark ({error}); take the file from Spark's log directory "
                "once more",
                str(file),
            ) from error
    left_out.cut_files += lines.cut
    left_out.empty_files += not number and not lines.cut


def _check_is_event(line: bytes) -> None:
    try:
        class_of(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise not_a_log() from None


def _name(application: Application, log: Log) -> str:
    start = application.start
    name = start.id or log.path.name
    return f"{name}_{start.attempt}" if start.attempt else name


# ---------------------------------------------------------------- the workload


def _workload(
    applications: dict[str, Application], slots: int | None, left_out: LeftOut
) -> Workload:
    for application in applications.values():
        left_out.cut_off += application.cut_off
        left_out.failed_attempts += application.failed_attempts
        left_out.killed_attempts += application.killed_attempts
        left_out.recomputed_tasks += application.recomputed_tasks
    found = [
        (application.submitted_at(activity), name, application, activity)
        for name, application in applications.items()
        for activity in _with_work(application, left_out)
    ]
    if not found:
        why = str(left_out) or "none was submitted"
        raise WorkloadError("", f"holds no finished job ({why}); give another log")
    # Stable: of one instant, in the order in which Spark got to know them.
    found.sort(key=lambda job: job[0])
    origin = found[0][0]
    user_of = _namer(applications.values())
    jobs = tuple(
        _job_spec(f"{name}/{activity.name}", user_of(application, activity), application, activity)
        for _, name, application, activity in found
    )
    jobs = tuple(
        msgspec.structs.replace(job, submit=(submitted_at - origin) / 1000)
        for job, (submitted_at, *_) in zip(jobs, found, strict=True)
    )
    return Workload(
        version=VERSION,
        name=_title([application.start.name for application in applications.values()]),
        slots=slots or _slots(applications.values()),
        users=tuple(UserSpec(user=user) for user in dict.fromkeys(job.user for job in jobs)),
        jobs=jobs,
    )


def _with_work(application: Application, left_out: LeftOut) -> Iterator[Activity]:
    for activity in application.activities:
        if not application.has_ended(activity):
            left_out.unfinished += 1
        elif not any(stage.runtimes for stage in activity.stages):
            left_out.without_work += 1
        else:
            yield activity
            left_out.lost_tasks += sum(
                max(stage.expected - len(stage.runtimes), 0)
                for stage in activity.stages
                if stage.succeeded
            )


def _title(names: Sequence[str]) -> str:
    title = names[0] if len(names) == 1 else f"{len(names)} Spark applications"
    return title.encode()[:MAX_TEXT_BYTES].decode(errors="ignore") or "Spark application"


def _namer(
    applications: Iterable[Application],
) -> Callable[[Application, Activity], str]:
    """Who an activity's user is, now that all pools and all people are known."""
    people: dict[str, set[str]] = {}
    for application in applications:
        for activity in application.activities:
            if activity.pool is not None:
                people.setdefault(activity.pool, set()).add(application.user)

    def user_of(application: Application, activity: Activity) -> str:
        if activity.pool is None:
            return activity.user or application.user
        if len(people[activity.pool]) == 1:
            return activity.pool
        return counted_as(f"{application.user}/{activity.pool}")

    return user_of


def _slots(applications: Iterable[Application]) -> int:
    """The most slots that there were at once."""
    changes = [change for application in applications for change in application.slot_changes()]
    most = have = 0
    # Of one instant, those that go before those that come.
    for _, change in sorted(changes):
        have += change
        most = max(most, have)
    if not most:
        raise WorkloadError("slots", "no executor is in the log; say how many slots (--slots)")
    return most


def _job_spec(name: str, user: str, application: Application, activity: Activity) -> JobSpec:
    stages = activity.stages
    first = [stage for stage in stages if not stage.after]
    read = sum(stage.input_bytes for stage in stages) + sum(stage.shuffle_bytes for stage in first)
    afters = _afters_with_tasks(stages)
    submitted_at = application.submitted_at(activity)
    return JobSpec(
        job=name,
        user=user,
        signature=application.signature(activity),
        input_bytes=read or None,
        stages=tuple(
            StageSpec(
                # A number, for the estimator learns stages by name from one run to the next.
                stage=f"stage-{position}",
                tasks=tuple(runtime for _, runtime in sorted(stage.runtimes.items())),
                after=tuple(f"stage-{before}" for before in sorted(afters[position])),
                delay=_delay_ms(stage, stages, afters[position], submitted_at) / 1000,
            )
            for position, stage in enumerate(stages)
            if stage.runtimes
        ),
    )


def _afters_with_tasks(stages: Sequence[Stage]) -> list[set[int]]:
    """What each stage waited for; in place of one without a finished task, what that waited for."""
    afters: list[set[int]] = []
    for stage in stages:
        after: set[int] = set()
        for before in stage.after:
            after |= {before} if stages[before].runtimes else afters[before]
        afters.append(after)
    return afters


def _delay_ms(
    stage: Stage, stages: Sequence[Stage], after: Iterable[int], submitted_at: int
) -> int:
    ends = [end for before in after if (end := stages[before].ended_at) is not None]
    return max(stage.submitted_at - max(ends, default=submitted_at), 0)
