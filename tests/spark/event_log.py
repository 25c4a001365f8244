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
    stage: int
    stage_attempt: int
    index: int
    speculative: bool
    succeeded: bool
    launched: float
    finished: float


def read(directory: Path) -> list[Attempt]:
    """The attempts in all logs of a directory that Spark has written whole, as they ended."""
    found: list[Attempt] = []
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        if file.name.startswith("."):
            continue
        of_stage: dict[tuple[int, int], dict[str, str]] = {}
        for line in file.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["Event"] == "SparkListenerStageSubmitted":
                stage = event["Stage Info"]
                key = stage["Stage ID"], stage["Stage Attempt ID"]
                of_stage[key] = event.get("Properties") or {}
            elif event["Event"] == "SparkListenerTaskEnd" and event.get("Task Info"):
                key = event["Stage ID"], event["Stage Attempt ID"]
                found.append(_attempt(event, key, of_stage.get(key, {})))
    return found


def _attempt(event: dict[str, Any], key: tuple[int, int], properties: dict[str, str]) -> Attempt:
    task = event["Task Info"]
    return Attempt(
        user=properties.get("spark.uwfq.user", ""),
        name=properties.get("spark.jobGroup.id", ""),
        stage=key[0],
        stage_attempt=key[1],
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
