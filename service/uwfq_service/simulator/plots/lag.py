"""How much later than in the fluid cluster jobs finish, against what ``bound.md`` allows.

The bound, 2 l_max + L_max / R, is for jobs of one stage and exact estimates: l_max is the longest
task, L_max the largest work of a job, R the slots.  A job of several stages may be later than that
by its critical path and by a longest task per further stage.

Units: seconds, slot-seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uwfq_service.simulator.plots import style
from uwfq_service.simulator.plots.style import Group
from uwfq_service.simulator.runs import Run

#: Dots up to which an SVG file has them as shapes; beyond, as an image.
_AS_SHAPES: Final = 1_500


def bound(run: Run) -> float | None:
    """2 l_max + L_max / R; ``None`` when the launches were not kept."""
    longest = max((launch.end - launch.start for launch in run.launches), default=None)
    if longest is None:
        return None
    return 2 * longest + max(job.work for job in run.jobs) / run.slots


def lags(runs: Sequence[Run], names: Sequence[str], groups: Sequence[Group]) -> Figure:
    """A panel per run with a dot per job."""
    figure, panels = style.panels(len(runs), 3.0)
    begin = min(job.submit for run in runs for job in run.jobs)
    unit = style.time_unit(max(job.submit for run in runs for job in run.jobs) - begin)
    for axes, run, name in zip(panels, runs, names, strict=True):
        _dots(axes, run, groups, unit)
        axes.axhline(0, color=style.FAINT, linewidth=0.8)
        axes.set_title(name)
        limit = bound(run)
        if limit is not None:
            _mark_bound(axes, run, name, limit)
    figure.suptitle(
        "How late jobs are: dots above the dashed line break the bound", x=0.01, ha="left"
    )
    note = "; dashed: 2 l_max + L_max / R, for jobs of one stage" if runs[0].launches else ""
    figure.supxlabel(f"submitted at, {unit.name}{note}", fontsize=9)
    figure.supylabel("finish − fluid finish, seconds", fontsize=9)
    style.user_legend(figure, groups)
    return figure


def _dots(axes: Axes, run: Run, groups: Sequence[Group], unit: style.Unit) -> None:
    for group in groups:
        own = [job for job in run.jobs if job.user in group.users]
        axes.plot(
            [job.submit / unit.seconds for job in own],
            [job.finish - job.fluid_finish for job in own],
            "o",
            color=group.colour,
            markersize=4,
            markeredgewidth=0,
            alpha=0.85,
            rasterized=len(run.jobs) > _AS_SHAPES,
        )


def _mark_bound(axes: Axes, run: Run, name: str, limit: float) -> None:
    above = sum(job.finish - job.fluid_finish > limit * (1 + 1e-9) for job in run.jobs)
    axes.axhline(limit, color=style.INK, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.set_title(f"{name}: {above:,} of {len(run.jobs):,} above {limit:,.3g} s")
