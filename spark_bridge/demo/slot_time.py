"""Where the slot time of the rounds went: ``python -m spark_bridge.demo.slot_time DIR``.

DIR is what ``--event-logs`` has kept.  A makespan says that one scheduler took longer, not why, and
where other tenants share the machine's cores it says more about them.  So the slots' time from the
first launch of a run to its last finish, slots x span, is divided in three:

    tasks      processor time of the tasks: the work itself, and how fast the cores were
    idle       no task had the slot: none was launchable, or it was not launched at once
    waiting    a task had the slot and no core: Spark's other threads had it, the collector, the
               compiler, the service; or it waited for the disk

Units: seconds and slot-seconds.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from spark_bridge.demo.experiment import SCHEDULERS

from uwfq_service.cli.app import run as run_command
from uwfq_service.simulator.importers.spark_files import Lines, find_logs
from uwfq_service.simulator.workload import WorkloadError


@dataclass(slots=True)
class SlotTime:
    """One run."""

    slots: int
    begin_ms: float = field(default=float("inf"))
    end_ms: float = 0.0
    occupied: float = 0.0
    tasks: float = 0.0

    def add(self, info: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Take in one attempt at a task."""
        self.begin_ms = min(self.begin_ms, info["Launch Time"])
        self.end_ms = max(self.end_ms, info["Finish Time"])
        self.occupied += (info["Finish Time"] - info["Launch Time"]) / 1e3
        cpu_ns = metrics["Executor CPU Time"] + metrics["Executor Deserialize CPU Time"]
        self.tasks += cpu_ns / 1e9

    @property
    def span(self) -> float:
        """From the first launch to the last finish."""
        return (self.end_ms - self.begin_ms) / 1e3

    @property
    def idle(self) -> float:
        """Slot time without a task."""
        return self.slots * self.span - self.occupied

    @property
    def waiting(self) -> float:
        """Slot time of tasks that did not compute."""
        return self.occupied - self.tasks


def runs_of(lines: Iterable[bytes]) -> dict[str, SlotTime]:
    """The runs in the event log of one application, by their schedulers."""
    slots = 0
    scheduler_of: dict[int, str] = {}
    runs: dict[str, SlotTime] = {}
    for line in lines:
        event = json.loads(line)
        match event["Event"]:
            case "SparkListenerExecutorAdded":
                slots += event["Executor Info"]["Total Cores"]
            case "SparkListenerJobStart":
                label, _, _ = event["Properties"].get("spark.job.description", "").partition(": ")
                if label in SCHEDULERS:
                    scheduler_of |= dict.fromkeys(event["Stage IDs"], label)
            case "SparkListenerTaskEnd" if event["Stage ID"] in scheduler_of:
                scheduler = scheduler_of[event["Stage ID"]]
                run = runs.setdefault(scheduler, SlotTime(slots))
                run.add(event["Task Info"], event["Task Metrics"])
    return runs


def table(runs: Mapping[str, list[SlotTime]]) -> str:
    """Means over the runs of each scheduler, in Markdown."""
    lines = [
        "| scheduler | runs | span | tasks | idle | waiting |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for scheduler, name in SCHEDULERS.items():
        if found := runs.get(scheduler):
            means = (
                f"{statistics.fmean(getattr(run, figure) for run in found):.1f}"
                for figure in ("span", "tasks", "idle", "waiting")
            )
            lines.append(f"| {' | '.join([name, str(len(found)), *means])} |")
    return "\n".join(lines)


def _lines(files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        yield from Lines(file)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(directory: Path) -> None:
    """Say where the slot time of the runs went whose event logs DIRECTORY holds."""
    runs: dict[str, list[SlotTime]] = defaultdict(list)
    try:
        for log in find_logs([directory]):
            for scheduler, run in runs_of(_lines(log.files)).items():
                runs[scheduler].append(run)
    except WorkloadError as error:
        raise click.ClickException(str(error)) from error
    if not runs:
        raise click.ClickException(f"{directory} holds no runs of spark_bridge.demo")
    click.echo(table(runs))


if __name__ == "__main__":
    sys.exit(run_command(main, "python -m spark_bridge.demo.slot_time"))
