"""How long jobs took: over all of them, and user by user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from uwfq_service.simulator import metrics
from uwfq_service.simulator.plots import style
from uwfq_service.simulator.plots.style import Group
from uwfq_service.simulator.runs import Run
from uwfq_service.simulator.tables import amounts

#: Points of a line, at most: more cannot be seen.
_POINTS: Final = 1_000
#: Jobs of a user that are drawn one by one; a box of fewer would feign more.
_FEW_JOBS: Final = 5


def distribution(runs: Sequence[Run], names: Sequence[str]) -> Figure:
    """Which part of the jobs was done within how long: a line per run."""
    figure = Figure(figsize=(9.5, 4.6))
    axes = figure.subplots()
    unit, everything = _all_responses(runs)
    axes.set_xlabel("response time" + style.time_axis(axes, everything, unit, most_ticks=12))
    many = len({run.options.partitioning for run in runs}) > 1
    mean = amounts([metrics.summary(run).mean_response for run in runs])
    ranks: Counter[str] = Counter()
    for run, name in zip(runs, names, strict=True):
        responses = sorted(job.response for job in run.jobs)
        key = style.policy_colour(run) + run.options.partitioning
        axes.plot(
            *_steps([response / unit.seconds for response in responses]),
            drawstyle="steps-post",
            color=style.policy_colour(run),
            linestyle=style.policy_line(run, ranks[key], many=many),
            # Below the others, which stay visible where they run along it.
            linewidth=3.2 if run.options.policy == "uwfq" else 1.6,
            zorder=2.1 if run.options.policy == "uwfq" else 2.2,
            label=f"{name}, mean {mean(metrics.mean(responses))} s",
        )
        ranks[key] += 1
    figure.suptitle("The further left a line runs, the sooner jobs are done", x=0.01, ha="left")
    axes.set_ylabel("jobs done within that time")
    axes.set_ylim(0, 101)
    axes.yaxis.set_major_locator(MultipleLocator(20))
    style.plain_numbers(axes.yaxis, percent=True)
    figure.legend(loc="outside right upper", handlelength=2.2)
    return figure


def _all_responses(runs: Sequence[Run]) -> tuple[style.Unit, list[float]]:
    """The responses of all jobs of all runs, in the unit that suits the longest."""
    responses = [job.response for run in runs for job in run.jobs]
    unit = style.time_unit(max(responses))
    return unit, [response / unit.seconds for response in responses]


def _steps(ordered: Sequence[float]) -> tuple[list[float], list[float]]:
    """Points of the distribution: response time, and percent of the jobs done by then."""
    count = len(ordered)
    ranks = np.unique(np.linspace(0, count - 1, min(count, _POINTS)).astype(int))
    return (
        [ordered[0], *(ordered[rank] for rank in ranks)],
        [0.0, *(100.0 * (rank + 1) / count for rank in ranks)],
    )


def by_user(runs: Sequence[Run], names: Sequence[str], groups: Sequence[Group]) -> Figure:
    """A panel per run with a box per user."""
    figure, panels = style.panels(len(runs), 0.9 + 0.26 * len(groups))
    unit, everything = _all_responses(runs)
    unit_name = ""
    for axes, run, name in zip(panels, runs, names, strict=True):
        unit_name = style.time_axis(axes, everything, unit, most_ticks=8)
        for row, group in enumerate(groups):
            own = [job.response / unit.seconds for job in run.jobs if job.user in group.users]
            _box(axes, row, group, own)
        axes.set_title(name)
        axes.set_yticks(range(len(groups)), [group.name for group in groups])
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    figure.suptitle("How long each user waits: further left is sooner", x=0.01, ha="left")
    figure.supxlabel(
        f"response time{unit_name}; "
        "box: middle half and median, whiskers: 5 % to 95 %, dot: a job beyond",
        fontsize=9,
    )
    return figure


def _box(axes: Axes, row: int, group: Group, responses: Sequence[float]) -> None:
    if len(responses) < _FEW_JOBS:
        axes.plot(responses, [row] * len(responses), "o", color=group.colour, markersize=5)
        return
    # By hand: ``Axes.boxplot`` loads pyplot, which looks for a display.
    low, first, middle, third, high = np.percentile(responses, (5, 25, 50, 75, 95))
    for inner, outer in ((first, low), (third, high)):
        axes.plot([inner, outer], [row, row], color=group.colour, linewidth=1.4)
        axes.plot([outer, outer], [row - 0.16, row + 0.16], color=group.colour, linewidth=1.4)
    axes.barh(
        row,
        third - first,
        left=first,
        height=0.62,
        facecolor=(group.colour, 0.35),
        edgecolor=group.colour,
        linewidth=1.4,
    )
    # Of the same colour, so that it can be seen where the box is narrow, too.
    axes.plot([middle, middle], [row - 0.31, row + 0.31], color=group.colour, linewidth=3.0)
    beyond = [value for value in responses if not low <= value <= high]
    axes.plot(
        beyond,
        [row] * len(beyond),
        "o",
        color=group.colour,
        markersize=2.5,
        markeredgewidth=0,
        rasterized=len(responses) > _POINTS,
    )
