"""All pictures of all workloads, as the bytes of files and as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from matplotlib.figure import Figure

from uwfq_service.simulator import files
from uwfq_service.simulator.naming import by_workload, labels, slugs
from uwfq_service.simulator.plots import lag, responses, service, slots, style
from uwfq_service.simulator.plots.service import FluidService
from uwfq_service.simulator.runs import Run

FORMATS: Final = ("svg", "png")

Advanced = Callable[[int, int], None]


def _unwatched(done: int, total: int) -> None:
    """Nobody wants to know how far it is."""


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """One picture."""

    workload: str
    #: Name of its files, without the ending.
    stem: str
    #: What it shows, for those who cannot see it too.
    caption: str
    #: The content of its file by format.
    files: dict[str, bytes]


class _Sketch(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that is yet to be drawn."""

    workload: str
    stem: str
    caption: str
    draw: Callable[[], Figure]


def draw_all(
    runs: Sequence[Run],
    fluid_services: Sequence[FluidService],
    directory: Path,
    advanced: Advanced = _unwatched,
) -> list[Path]:
    """Draw everything into ``directory``, as SVG and PNG; returns the files.

    Raises ``OSError`` when it cannot be written.
    """
    return save(draw(runs, fluid_services, advanced=advanced), directory)


def save(plots: Sequence[Plot], directory: Path) -> list[Path]:
    """Write pictures into ``directory``, which is made if need be; raises ``OSError``."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for plot in plots:
        for kind, content in plot.files.items():
            paths.append(directory / f"{plot.stem}.{kind}")
            files.write(paths[-1], content)
    return paths


def draw(
    runs: Sequence[Run],
    fluid_services: Sequence[FluidService],
    *,
    formats: Sequence[str] = FORMATS,
    advanced: Advanced = _unwatched,
) -> list[Plot]:
    """Draw everything, as files of these ``formats``.

    ``fluid_services`` holds for each run what its users got in the fluid cluster; ``advanced(done,
    total)`` is called as pictures become ready.  Without launches there is no picture of a run's
    slots; without them or a fluid service (an empty one), none of its service.  A second or so per
    picture.
    """
    fluid_of = {id(run): fluid for run, fluid in zip(runs, fluid_services, strict=True)}
    workloads = by_workload(runs)
    sketches = [
        sketch
        for stem, group in zip(slugs(list(workloads)), workloads.values(), strict=True)
        for sketch in _sketches(stem, group, [fluid_of[id(run)] for run in group])
    ]
    plots = []
    for done, sketch in enumerate(sketches):
        advanced(done, len(sketches))
        with style.styled():
            figure = sketch.draw()
            content = {kind: style.rendered(figure, kind) for kind in formats}
        plots.append(
            Plot(
                workload=sketch.workload,
                stem=sketch.stem,
                caption=sketch.caption,
                files=content,
            )
        )
    advanced(len(sketches), len(sketches))
    return plots


def _sketches(stem: str, runs: Sequence[Run], fluids: Sequence[FluidService]) -> Iterator[_Sketch]:
    """The pictures of one workload: those that compare its runs, then those of each run."""
    groups = style.groups_of(runs)
    names = labels(runs)
    what = f"of {runs[0].workload} under {', '.join(names)}"

    def sketch(name: str, caption: str, draw: Callable[[], Figure]) -> _Sketch:
        return _Sketch(workload=runs[0].workload, stem=f"{stem}-{name}", caption=caption, draw=draw)

    yield sketch(
        "responses",
        f"Part of the jobs {what} that is done within a time",
        partial(responses.distribution, runs, names),
    )
    yield sketch(
        "users",
        f"Response times by user {what}",
        partial(responses.by_user, runs, names, groups),
    )
    yield sketch(
        "lag",
        f"Delay of the jobs {what} over the fluid cluster, and the bound on it",
        partial(lag.lags, runs, names, groups),
    )
    lines = [
        service.served(run, groups, fluid) if run.launches and fluid else None
        for run, fluid in zip(runs, fluids, strict=True)
    ]
    # One scale for all runs, so that the pictures can be compared.
    most_ahead = max(
        (float(np.abs(ahead).max()) for served in lines if served for ahead in served.ahead),
        default=0.0,
    )
    for run, name, file_name, served in zip(runs, names, slugs(names), lines, strict=True):
        if served is not None:
            yield sketch(
                f"service-{file_name}",
                f"Service by user of {run.workload} under {name}, and the fluid share",
                partial(service.over_time, name, groups, served, most_ahead),
            )
        if run.launches:
            yield sketch(
                f"slots-{file_name}",
                f"Slots of {run.workload} under {name} over time, by user",
                partial(slots.gantt, run, name, groups),
            )
