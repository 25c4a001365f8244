"""What each user received over time, and what the fluid cluster would have given by then.

Both are sums, so the small difference that matters would drown in the large sums: it has an axis of
its own.  Above 0 a user is ahead of the ideal, below 0 behind.

Units: seconds, slot-seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from uwfq_service.simulator.plots import style
from uwfq_service.simulator.plots.style import Group
from uwfq_service.simulator.runs import Launch, Run

#: A user's fluid service as a line through points (instant, slot-seconds so far), by user.
FluidService = Mapping[str, Sequence[tuple[float, float]]]

_Line = npt.NDArray[np.float64]
#: Instants at which the lines are read off.
_INSTANTS: Final = 700


class Served(NamedTuple):
    """The lines of one run: one of each kind per group of users."""

    instants: _Line
    received: list[_Line]
    fluid: list[_Line]

    @property
    def ahead(self) -> list[_Line]:
        """How far each group is ahead of its fluid share."""
        return [got - due for got, due in zip(self.received, self.fluid, strict=True)]


def served(run: Run, groups: Sequence[Group], fluid: FluidService) -> Served:
    """Read both kinds of lines off a run; failed attempts count, for they held their slots."""
    begin = min(job.submit for job in run.jobs)
    end = max(max(job.finish, job.fluid_finish) for job in run.jobs)
    instants = np.linspace(begin, end, _INSTANTS)
    group_of = {user: index for index, group in enumerate(groups) for user in group.users}
    launches: list[list[Launch]] = [[] for _ in groups]
    for launch in run.launches:
        launches[group_of[run.jobs[launch.job].user]].append(launch)
    return Served(
        instants=instants,
        received=[_received(own, instants) for own in launches],
        # One by one, for they are long; in an order that is the same tomorrow, as sums are then.
        fluid=[
            _fluid((fluid.get(user, ()) for user in sorted(group.users)), instants)
            for group in groups
        ],
    )


def _received(launches: Sequence[Launch], instants: _Line) -> _Line:
    """Slot-seconds that these launches have had at each of the instants."""
    if not launches:
        return np.zeros_like(instants)
    starts = np.array([launch.start for launch in launches])
    ends = np.array([launch.end for launch in launches])
    corners = np.concatenate([starts, ends])
    order = np.argsort(corners, kind="stable")
    rates = np.cumsum(np.concatenate([np.ones(len(starts)), -np.ones(len(ends))])[order])
    corners = corners[order]
    sums = np.concatenate([[0.0], np.cumsum(rates[:-1] * np.diff(corners))])
    received: _Line = np.interp(instants, corners, sums)
    return received


def _fluid(curves: Iterable[Sequence[tuple[float, float]]], instants: _Line) -> _Line:
    """The sum of the curves at each of the instants."""
    total = np.zeros_like(instants)
    for curve in curves:
        if curve:
            total += np.interp(instants, [at for at, _ in curve], [amount for _, amount in curve])
    return total


def over_time(name: str, groups: Sequence[Group], lines: Served, most_ahead: float) -> Figure:
    """One run's picture; ``most_ahead`` is the largest difference in all runs to compare with."""
    unit = style.time_unit(lines.instants[-1] - lines.instants[0])
    instants = lines.instants / unit.seconds
    most = _most(groups, lines)
    amount, gap = style.time_unit(most), style.time_unit(most_ahead)
    figure = Figure(figsize=(9.5, 6.4))
    sums, difference = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for group, got, due, ahead in zip(
        groups, lines.received, lines.fluid, lines.ahead, strict=True
    ):
        depth = style.depth(group)
        sums.plot(instants, got / amount.seconds, color=group.colour, zorder=depth)
        sums.plot(
            instants,
            due / amount.seconds,
            color=group.colour,
            linestyle=(0, (2, 1.5)),
            linewidth=1.1,
            zorder=depth,
        )
        difference.plot(instants, ahead / gap.seconds, color=group.colour, zorder=depth)
    difference.axhline(0, color=style.FAINT, linewidth=0.8)
    furthest = 1.05 * most_ahead / gap.seconds or 1
    difference.set_ylim(-furthest, furthest)
    sums.set_ylim(0, 1.05 * most / amount.seconds or 1)
    sums.set_ylabel(f"service received, slot-{amount.name}")
    difference.set_ylabel(f"ahead (+) or behind (−),\nslot-{gap.name}")
    difference.set_xlabel(f"time, {unit.name}")
    difference.margins(x=0.01)
    for axes in (sums, difference):
        style.plain_numbers(axes.yaxis)
    style.plain_numbers(difference.xaxis)
    figure.suptitle(
        f"Service under {name}: the closer to the dashed fluid share, the fairer",
        x=0.01,
        ha="left",
    )
    style.user_legend(
        figure,
        [
            group._replace(name=f"{group.name}, off the scale") if got[-1] > 1.05 * most else group
            for group, got in zip(groups, lines.received, strict=True)
        ],
        [
            Line2D([], [], color=style.INK, label="received"),
            Line2D([], [], color=style.INK, linestyle=(0, (2, 1.5)), label="fluid share"),
        ],
    )
    return figure


def _most(groups: Sequence[Group], lines: Served) -> float:
    """The most that any single user received.

    Those that share a colour may have received so much together that their line, drawn whole, would
    leave no room for the others: it may leave the picture at the top.
    """
    return max(
        (
            float(max(got[-1], due[-1]))
            for group, got, due in zip(groups, lines.received, lines.fluid, strict=True)
            if len(group.users) == 1
        ),
        default=0.0,
    )
