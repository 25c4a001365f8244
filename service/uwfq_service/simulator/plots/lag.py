"""How much later than in the fluid cluster jobs finish, against a bound.

The bound, 2 l_max + L_max / R, is what ``uwfq`` keeps to with exact estimates and nothing that
delays tasks: l_max is the longest task, L_max the largest work of a job, R the slots.  A job of
several stages may be later than that by its critical path and by a longest task per further stage,
a job whose driver takes its time by as much.  (Users who insert small jobs in concert, made for
that alone, can get beyond it.)  Other policies keep to no bound, and where estimates err or things
are delayed nobody does: it is a yardstick then.

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


def bounds(run: Run) -> list[float] | None:
    """How late each job may be; ``None`` when the launches were not kept.

    Stages are taken to run in sequence: where some run side by side, it is too much.
    """
    if not run.launches:
        return None
    #: Of each job, by stage: its longest task.
    longest: list[dict[int, float]] = [{} for _ in run.jobs]
    for launch in run.launches:
        of_job, runtime = longest[launch.job], launch.end - launch.start
        of_job[launch.stage] = max(of_job.get(launch.stage, 0.0), runtime)
    l_max = max(runtime for of_job in longest for runtime in of_job.values())
    single = 2 * l_max + max(job.work for job in run.jobs) / run.slots
    return [
        single
        + job.delays
        + (sum(of_job.values()) + (len(of_job) - 1) * l_max if len(of_job) > 1 else 0.0)
        for job, of_job in zip(run.jobs, longest, strict=True)
    ]


def is_kept(run: Run) -> bool:
    """Whether the bound is meant for such a run: one more dot above it would be news."""
    options = run.options
    return (
        options.policy == "uwfq"
        and options.estimates == "exact"
        and not (options.faults.any or options.task_overhead)
        and not any(job.delays for job in run.jobs)
    )


def lags(runs: Sequence[Run], names: Sequence[str], groups: Sequence[Group]) -> Figure:
    """A panel per run with a dot per job."""
    figure, panels = style.panels(len(runs), 3.0)
    begin = min(job.submit for run in runs for job in run.jobs)
    unit = style.time_unit(max(job.submit for run in runs for job in run.jobs) - begin)
    late = style.time_unit(max(abs(lag) for run in runs for lag in _lags(run)))
    for axes, run, name in zip(panels, runs, names, strict=True):
        _dots(axes, run, groups, unit, late)
        axes.axhline(0, color=style.FAINT, linewidth=0.8)
        axes.set_title(name)
        limits = bounds(run)
        if limits is not None:
            _mark_bounds(axes, run, name, limits, unit, late)
    figure.suptitle("How late jobs are, and how late uwfq would let them be", x=0.01, ha="left")
    note = "; dashes: 2 l_max + L_max / R, and more for stages and their delays"
    note = note if runs[0].launches else ""
    figure.supxlabel(f"submitted at, {unit.name}{note}", fontsize=9)
    figure.supylabel(f"finish − fluid finish, {late.name}", fontsize=9)
    style.user_legend(figure, groups)
    return figure


def _lags(run: Run) -> list[float]:
    return [job.finish - job.fluid_finish for job in run.jobs]


def _dots(
    axes: Axes, run: Run, groups: Sequence[Group], unit: style.Unit, late: style.Unit
) -> None:
    for group in groups:
        own = [job for job in run.jobs if job.user in group.users]
        axes.plot(
            [job.submit / unit.seconds for job in own],
            [(job.finish - job.fluid_finish) / late.seconds for job in own],
            "o",
            color=group.colour,
            markersize=4,
            markeredgewidth=0,
            alpha=0.85,
            zorder=style.depth(group),
            rasterized=len(run.jobs) > _AS_SHAPES,
        )


def _mark_bounds(
    axes: Axes,
    run: Run,
    name: str,
    limits: Sequence[float],
    unit: style.Unit,
    late: style.Unit,
) -> None:
    above = sum(lag > limit * (1 + 1e-9) for lag, limit in zip(_lags(run), limits, strict=True))
    shown = [limit / late.seconds for limit in limits]
    least, most = min(shown), max(shown)
    if least == most:
        axes.axhline(most, color=style.INK, linewidth=1.2, linestyle=(0, (4, 2)))
        beyond = style.figure_of(most)
    else:
        submits = [job.submit / unit.seconds for job in run.jobs]
        axes.plot(submits, shown, "_", color=style.INK, rasterized=len(limits) > _AS_SHAPES)
        beyond = f"{style.figure_of(least)} to {style.figure_of(most)}"
    what = "the bound" if is_kept(run) else "uwfq's bound"
    # Two lines, for three panels stand side by side.
    axes.set_title(
        f"{name}: {above:,} of {len(run.jobs):,} above\n{what}, {beyond} {late.name}", fontsize=9
    )
