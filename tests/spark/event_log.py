"""What happened in an application, task by task, from the event log that Spark wrote of it."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a task; instants in seconds since the epoch."""

    user: str
    #: Of the query or job that it ran for: its group, as the program set it.
    name: str
    #: The query or Spark job, as the importer of event logs calls it: ``sql-7``, ``job-12``.
    job: str
    stage: int
    stage_attempt: int
    index: int
    speculative: bool
    succeeded: bool
    launched: float
    finished: float


def read(directory: Path) -> list[Attempt]:
    """The attempts in all logs of a directory, as they ended, up to the last whole line."""
    found: list[Attempt] = []
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        if file.name.startswith("."):
            continue
        job_of_stage: dict[int, str] = {}
        properties: dict[tuple[int, int], dict[str, str]] = {}
        for line in file.read_text(encoding="utf-8").rpartition("\n")[0].splitlines():
            event = json.loads(line)
            if event["Event"] == "SparkListenerJobStart":
                root = event["Properties"].get("spark.sql.execution.root.id")
                job = f"job-{event['Job ID']}" if root is None else f"sql-{root}"
                for number in event["Stage IDs"]:
                    job_of_stage.setdefault(number, job)
            elif event["Event"] == "SparkListenerStageSubmitted":
                stage = event["Stage Info"]
                key = stage["Stage ID"], stage["Stage Attempt ID"]
                properties[key] = event.get("Properties") or {}
            elif event["Event"] == "SparkListenerTaskEnd" and event.get("Task Info"):
                key = event["Stage ID"], event["Stage Attempt ID"]
                found.append(_attempt(event, job_of_stage[key[0]], properties.get(key, {})))
    return found


def _attempt(event: dict[str, Any], job: str, properties: dict[str, str]) -> Attempt:
    task = event["Task Info"]
    return Attempt(
        user=properties.get("spark.uwfq.user", ""),
        name=properties.get("spark.jobGroup.id", ""),
        job=job,
        stage=event["Stage ID"],
        stage_attempt=event["Stage Attempt ID"],
        index=task["Index"],
        speculative=task["Speculative"],
        succeeded=event["Task End Reason"]["Reason"] == "Success",
        launched=task["Launch Time"] / 1_000,
        finished=task["Finish Time"] / 1_000,
    )


def first_launches(attempts: Iterable[Attempt]) -> dict[str, float]:
    """When each query or job got its first slot, in the order in which they did."""
    first: dict[str, float] = {}
    for attempt in attempts:
        first[attempt.name] = min(attempt.launched, first.get(attempt.name, attempt.launched))
    return dict(sorted(first.items(), key=lambda item: item[1]))


def slot_seconds(attempts: Iterable[Attempt], begin: float, end: float) -> dict[str, float]:
    """Task time that each user got between two instants."""
    got: dict[str, float] = defaultdict(float)
    for attempt in attempts:
        got[attempt.user] += max(0.0, min(attempt.finished, end) - max(attempt.launched, begin))
    return dict(got)
