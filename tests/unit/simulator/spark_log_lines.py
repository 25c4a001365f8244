"""Event logs written by hand: the events of Spark that the importer knows, and no others.

Times are milliseconds from an instant that is as good as any.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EPOCH_MS = 1_700_000_000_000

Event = dict[str, Any]


def app_start(user: str = "erin", app: str | None = "app-1", attempt: str | None = None) -> Event:
    """An application begins; its log gives it this name."""
    event: Event = {"Event": "SparkListenerApplicationStart", "App Name": "nightly", "User": user}
    event["Timestamp"] = EPOCH_MS
    if app is not None:
        event["App ID"] = app
    if attempt is not None:
        event["App Attempt ID"] = attempt
    return event


def app_end(at: int) -> Event:
    """An application ends in good order."""
    return {"Event": "SparkListenerApplicationEnd", "Timestamp": EPOCH_MS + at}


def environment(**properties: str) -> Event:
    """Settings: ``spark_task_cpus`` stands for ``spark.task.cpus``."""
    return {
        "Event": "SparkListenerEnvironmentUpdate",
        "JVM Information": {"Java Version": "17"},
        "Spark Properties": {key.replace("_", "."): value for key, value in properties.items()},
        "System Properties": {"user.name": "frank"},
    }


def executor_added(executor: str, cores: int, at: int = 0, profile: int = 0) -> Event:
    """An executor offers its cores."""
    return {
        "Event": "SparkListenerExecutorAdded",
        "Timestamp": EPOCH_MS + at,
        "Executor ID": executor,
        "Executor Info": {"Host": "h", "Total Cores": cores, "Resource Profile Id": profile},
    }


def executor_removed(executor: str, at: int) -> Event:
    """An executor is gone."""
    return {
        "Event": "SparkListenerExecutorRemoved",
        "Timestamp": EPOCH_MS + at,
        "Executor ID": executor,
        "Removed Reason": "idle",
    }


def stage(
    stage_id: int,
    parents: Sequence[int] = (),
    *,
    tasks: int = 1,
    rdd: int | None = None,
    name: str = "count at etl.py:7",
    attempt: int = 0,
) -> Event:
    """A stage's info; unless told otherwise it computes an RDD of its own."""
    return {
        "Stage ID": stage_id,
        "Stage Attempt ID": attempt,
        "Stage Name": name,
        "Number of Tasks": tasks,
        "RDD Info": [{"RDD ID": 1000 + stage_id if rdd is None else rdd, "Name": "r"}],
        "Parent IDs": list(parents),
        "Details": "",
    }


def job_start(job: int, at: int, *stages: Event, **properties: str) -> Event:
    """``spark_uwfq_user`` stands for the property ``spark.uwfq.user``."""
    return {
        "Event": "SparkListenerJobStart",
        "Job ID": job,
        "Submission Time": EPOCH_MS + at,
        "Stage Infos": list(stages),
        "Stage IDs": [info["Stage ID"] for info in stages],
        "Properties": {
            key.replace("_", ".").replace("jobgroup", "jobGroup"): value
            for key, value in properties.items()
        },
    }


def job_end(job: int, at: int, *, failed: bool = False) -> Event:
    """A Spark job ends."""
    return {
        "Event": "SparkListenerJobEnd",
        "Job ID": job,
        "Completion Time": EPOCH_MS + at,
        "Job Result": {"Result": "JobFailed" if failed else "JobSucceeded"},
    }


def submitted(info: Event, at: int) -> Event:
    """An attempt at a stage begins."""
    return {
        "Event": "SparkListenerStageSubmitted",
        "Stage Info": info | {"Submission Time": EPOCH_MS + at},
        "Properties": {},
    }


def completed(
    info: Event, at: int, failure: str | None = None, *, submitted_at: int | None = None
) -> Event:
    """An attempt at a stage ends, well unless it says why not."""
    ended = info | {"Completion Time": EPOCH_MS + at}
    if submitted_at is not None:
        ended["Submission Time"] = EPOCH_MS + submitted_at
    if failure is not None:
        ended["Failure Reason"] = failure
    return {"Event": "SparkListenerStageCompleted", "Stage Info": ended}


def task_end(
    stage_id: int,
    partition: int,
    launched: int,
    finished: int,
    *,
    attempt: int = 0,
    index: int | None = None,
    reason: str = "Success",
    fetching: int | None = None,
    input_bytes: int = 0,
    shuffle_bytes: int = 0,
) -> Event:
    """The end of one attempt at a task; without ``index``, that of the partition."""
    return {
        "Event": "SparkListenerTaskEnd",
        "Stage ID": stage_id,
        "Stage Attempt ID": attempt,
        "Task Type": "ResultTask",
        "Task End Reason": {"Reason": reason},
        "Task Info": {
            "Task ID": 7,
            "Index": partition if index is None else index,
            "Partition ID": partition,
            "Launch Time": EPOCH_MS + launched,
            "Getting Result Time": 0 if fetching is None else EPOCH_MS + fetching,
            "Finish Time": EPOCH_MS + finished,
            "Failed": reason not in {"Success", "TaskKilled", "Resubmitted"},
            "Killed": reason == "TaskKilled",
        },
        "Task Metrics": {
            "Executor Run Time": 1,
            "Input Metrics": {"Bytes Read": input_bytes, "Records Read": 1},
            "Shuffle Read Metrics": {
                "Remote Bytes Read": shuffle_bytes // 3,
                "Local Bytes Read": shuffle_bytes - shuffle_bytes // 3,
            },
        },
    }


def query_start(
    execution: int, at: int, root: int | None = None, plan: Event | None = None
) -> Event:
    """A query begins."""
    event: Event = {
        "Event": "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart",
        "executionId": execution,
        "description": "count at etl.py:7",
        "time": EPOCH_MS + at,
    }
    if root is not None:
        event["rootExecutionId"] = root
    if plan is not None:
        event["sparkPlanInfo"] = plan
    return event


def query_end(execution: int, at: int) -> Event:
    """A query ends."""
    return {
        "Event": "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd",
        "executionId": execution,
        "time": EPOCH_MS + at,
    }


def ran(info: Event, begin: int, *runtimes: int, **how: Any) -> list[Event]:
    """A stage from its submission to its end, its tasks one after another."""
    events = [submitted(info, begin)]
    at = begin
    for partition, runtime in enumerate(runtimes):
        events.append(task_end(info["Stage ID"], partition, at, at + runtime, **how))
        at += runtime
    return [*events, completed(info, at)]


def simple_job(job: int, at: int, *runtimes: int, **properties: str) -> list[Event]:
    """A Spark job of one stage, which has the job's number."""
    info = stage(job, tasks=len(runtimes))
    return [
        job_start(job, at, info, **properties),
        *ran(info, at, *runtimes),
        job_end(job, at + sum(runtimes)),
    ]


BEGINNING: list[Event] = [
    {"Event": "SparkListenerLogStart", "Spark Version": "4.3.0"},
    executor_added("driver", 4),
    environment(),
    app_start(),
]


def text(*events: Event) -> bytes:
    """As Spark writes them."""
    return b"".join(json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in events)


def written(path: Path, *events: Event, beginning: Sequence[Event] = BEGINNING) -> Path:
    """A log at ``path``."""
    path.write_bytes(text(*beginning, *events))
    return path
