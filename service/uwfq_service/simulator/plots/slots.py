"""Which user had which slot when: one bar per stretch of a slot's time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from uwfq_service.simulator.plots import style
from uwfq_service.simulator.plots.style import Group
from uwfq_service.simulator.runs import Run

#: Gaps shorter than this part of the whole are narrower than what a screen shows.
_INVISIBLE: Final = 1 / 4_000
#: Bars up to which jobs are kept apart; beyond, neighbours of one user become one.
_KEPT_APART: Final = 20_000
#: Bars up to which an SVG file has them as shapes; beyond, as an image.
_AS_SHAPES: Final = 3_000
#: Bars up to which the border between two of them can be seen.
_BORDERED: Final = 1_500
_WASTED: Final = "#000000"
_RECTANGLE: Final = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]


class Bar(NamedTuple):
    """A slot that is busy for one job, or for one group of users, for a while."""

    start: float
    end: float
    slot: int
    #: Position of the group of users; -1 for attempts that came to nothing.
    group: int


def gantt(run: Run, name: str, groups: Sequence[Group]) -> Figure:
    """A run's slots over time, coloured by user."""
    bars = bars_of(run, groups)
    begin = min(job.submit for job in run.jobs)
    end = max([*(bar.end for bar in bars), *(job.finish for job in run.jobs)])
    unit = style.time_unit(end - begin)
    figure = Figure(figsize=(9.5, 1.2 + min(7.8, max(2.4, 0.12 * run.slots))))
    axes = figure.subplots()
    for shape in _drawn(bars, groups, unit):
        # Not as a patch: it would be searched for its limits, which are set below.
        axes.add_artist(shape)
    axes.set_xlim(begin / unit.seconds, (end if end > begin else begin + 1) / unit.seconds)
    axes.set_ylim(run.slots - 0.4, -0.6)
    axes.set_xlabel(f"time, {unit.name}")
    axes.set_ylabel("slot")
    axes.grid(visible=False)
    style.whole_ticks(axes.yaxis)
    style.plain_numbers(axes.xaxis)
    figure.suptitle(f"Who has the slots under {name} (white: nobody)", x=0.01, ha="left")
    wasted = any(bar.group < 0 for bar in bars)
    style.user_legend(
        figure, groups, [Patch(color=_WASTED, label="failed or lost")] if wasted else ()
    )
    return figure


def bars_of(run: Run, groups: Sequence[Group]) -> list[Bar]:
    """The launches as bars, with neighbours joined that nobody could tell apart."""
    group_of = {user: index for index, group in enumerate(groups) for user in group.users}
    ordered = sorted(run.launches, key=lambda launch: (launch.slot, launch.start))
    span = max(launch.end for launch in ordered) - min(launch.start for launch in ordered)
    singles = [
        (
            launch.job,
            Bar(
                launch.start,
                launch.end,
                launch.slot,
                group_of[run.jobs[launch.job].user] if launch.done else -1,
            ),
        )
        for launch in ordered
    ]
    joined = _joined(singles, span * _INVISIBLE)
    if len(joined) > _KEPT_APART:
        joined = _joined(((0, bar) for _, bar in joined), span * _INVISIBLE)
    return [bar for _, bar in joined]


def _joined(bars: Iterable[tuple[int, Bar]], gap: float) -> list[tuple[int, Bar]]:
    """Bars of one owner that follow each other on a slot, made one; they come in that order."""
    joined: list[tuple[int, Bar]] = []
    for owner, bar in bars:
        if joined:
            last_owner, last = joined[-1]
            alike = (last_owner, last.slot, last.group) == (owner, bar.slot, bar.group)
            if alike and bar.start - last.end <= gap:
                joined[-1] = owner, last._replace(end=max(last.end, bar.end))
                continue
        joined.append((owner, bar))
    return joined


def _drawn(bars: Sequence[Bar], groups: Sequence[Group], unit: style.Unit) -> list[PathPatch]:
    """One shape per colour with all its bars, which is a third of the bytes of a shape per bar."""
    # The last colour is number -1, too.
    colours = [*(group.colour for group in groups), _WASTED]
    bordered = len(bars) <= _BORDERED
    return [
        PathPatch(
            _outline([bar for bar in bars if bar.group % len(colours) == index], unit),
            facecolor=colour,
            edgecolor="white" if bordered else "none",
            linewidth=0.4 if bordered else 0.0,
            rasterized=len(bars) > _AS_SHAPES,
        )
        for index, colour in enumerate(colours)
    ]


def _outline(bars: Sequence[Bar], unit: style.Unit) -> Path:
    corners = np.array(
        [
            point
            for bar in bars
            for start, end, slot in [(bar.start / unit.seconds, bar.end / unit.seconds, bar.slot)]
            for point in [
                (start, slot - 0.45),
                (end, slot - 0.45),
                (end, slot + 0.45),
                (start, slot + 0.45),
                (start, slot - 0.45),
            ]
        ]
    ).reshape(-1, 2)
    return Path(corners, _RECTANGLE * len(bars))
