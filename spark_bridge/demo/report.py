"""What the runs say: a table for people, the same as JSON, and two pictures.

Response times of all rounds of a scheduler are pooled for the mean and the 95th percentile; the
makespan is the median over rounds, since a disturbed round says nothing about the scheduler.  How
far it is over the best is told of each round, too: rounds that lie apart decide nothing.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spark_bridge.demo.experiment import SCHEDULERS, Outcome, Run
from spark_bridge.demo.plan import Class


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least ``part`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def document(outcome: Outcome) -> dict[str, Any]:
    """All figures, as JSON values; times in seconds."""
    schedulers: dict[str, dict[str, Any]] = {}
    for scheduler in SCHEDULERS:
        if runs := [run for run in outcome.runs if run.scheduler == scheduler]:
            schedulers[scheduler] = {
                "rounds": len(runs),
                "short": _of_class(runs, "short"),
                "long": _of_class(runs, "long"),
                "makespan_seconds": statistics.median(run.makespan_seconds for run in runs),
            }
    makespans = {(run.scheduler, run.round): run.makespan_seconds for run in outcome.runs}
    best = min(schedulers, key=lambda name: schedulers[name]["makespan_seconds"])
    for name, figures in schedulers.items():
        figures["makespan_over_best"] = (
            figures["makespan_seconds"] / schedulers[best]["makespan_seconds"]
        )
        figures["makespan_over_best_by_round"] = [
            seconds / makespans[best, number]
            for (scheduler, number), seconds in makespans.items()
            if scheduler == name
        ]
    return {
        "spark_version": outcome.spark_version,
        "slots": outcome.slots,
        "hashes_a_row": outcome.depth,
        "advisory_task_runtime_seconds": outcome.advisory_task_runtime,
        "schedulers": schedulers,
    }


def _of_class(runs: Sequence[Run], kind: Class) -> dict[str, float]:
    times = [time for run in runs for time in run.responses(kind)]
    return {
        "queries": len(times),
        "mean_seconds": statistics.fmean(times),
        "p95_seconds": percentile(times, 0.95),
    }


def table(figures: dict[str, Any]) -> str:
    """The document as a table in Markdown, and below it what the bridge brings."""
    lines = [
        f"Spark {figures['spark_version']}, {figures['slots']} slots; response times in seconds.",
        "",
        "| scheduler | short, mean | short, p95 | long, mean | long, p95 | makespan | over best |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for scheduler, found in figures["schedulers"].items():
        cells = [
            SCHEDULERS[scheduler],
            *(
                f"{found[kind][figure]:.2f}"
                for kind in ("short", "long")
                for figure in ("mean_seconds", "p95_seconds")
            ),
            f"{found['makespan_seconds']:.1f}",
            _over_best(found),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    fair, bridge = (figures["schedulers"].get(name) for name in ("fair", "bridge-partitioning"))
    if fair and bridge:
        mean, p95 = (
            fair["short"][figure] / bridge["short"][figure]
            for figure in ("mean_seconds", "p95_seconds")
        )
        lines += [
            "",
            (
                f"Short queries beside long scans: {mean:.1f} times as fast as under FAIR in the "
                f"mean, {p95:.1f} times at the 95th percentile."
            ),
        ]
    return "\n".join(lines)


def _over_best(found: dict[str, Any]) -> str:
    rounds = [over - 1 for over in found["makespan_over_best_by_round"]]
    median = f"{found['makespan_over_best'] - 1:+.1%}"
    if len(rounds) == 1 or not any(rounds):
        return median
    return f"{median} [{min(rounds):+.1%}, {max(rounds):+.1%}]"


def write(outcome: Outcome, directory: Path) -> list[Path]:
    """Write table, figures and pictures; the files."""
    directory.mkdir(parents=True, exist_ok=True)
    figures = document(outcome)
    stem = f"spark-{outcome.spark_version}"
    as_json = directory / f"{stem}.json"
    as_json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    as_table = directory / f"{stem}.md"
    as_table.write_text(table(figures) + "\n", encoding="utf-8")
    return [as_json, as_table, *_pictures(outcome, directory, stem)]


def _pictures(outcome: Outcome, directory: Path, stem: str) -> list[Path]:
    import matplotlib as mpl

    mpl.use("svg")
    # The same runs give the same files.
    mpl.rcParams["svg.hashsalt"] = "uwfq"
    from matplotlib import pyplot as plt

    names = [name for name in SCHEDULERS if any(run.scheduler == name for run in outcome.runs)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for number, name in enumerate(names):
        runs = [run for run in outcome.runs if run.scheduler == name]
        times = sorted(time for run in runs for time in run.responses("short"))
        parts = [(place + 1) / len(times) for place in range(len(times))]
        left.step(times, parts, where="post", label=SCHEDULERS[name], color=f"C{number}")
        for run in runs[:1]:
            for answer in run.answers:
                if answer.kind == "short":
                    right.plot(
                        [answer.asked_seconds, answer.answered_seconds],
                        [number, number],
                        color=f"C{number}",
                        linewidth=5,
                        alpha=0.35,
                        solid_capstyle="butt",
                    )
    left.set(
        title="Short queries: how many are answered within",
        xlabel="response time, seconds",
        ylabel="part of the queries",
        xscale="log",
    )
    left.grid(visible=True, alpha=0.3)
    left.legend(loc="lower right", fontsize="small")
    right.set(
        title="Short queries of one round: from asking to the answer",
        xlabel="seconds after the first arrival",
        yticks=range(len(names)),
    )
    right.set_yticklabels([SCHEDULERS[name] for name in names], fontsize="small")
    right.invert_yaxis()
    figure.suptitle(f"Spark {outcome.spark_version}, {outcome.slots} slots")
    file = directory / f"{stem}.svg"
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    return [file]
