"""The report as one page that stands on its own: it fetches nothing and runs no script.

The answer comes first, then the tables and the pictures behind it, then what each number means and
what exactly was run.
"""

from __future__ import annotations

import base64
import importlib.metadata
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec

from uwfq_service.printable import printable
from uwfq_service.simulator import files
from uwfq_service.simulator.answers import answer
from uwfq_service.simulator.naming import by_workload, labels, slugs
from uwfq_service.simulator.plots import Plot
from uwfq_service.simulator.report import baseline_of
from uwfq_service.simulator.runs import Run
from uwfq_service.simulator.tables import comparison, conditions

#: Users with a row of their own on the page.
_USERS_ON_A_PAGE: Final = 50
#: The anchor of the last part of the page, in the template.
_DEFINITIONS: Final = "definitions"


def write_html(
    path: Path, runs: Sequence[Run], plots: Sequence[Plot] = (), baselines: Sequence[Run] = ()
) -> None:
    """Write the page; ``plots`` are what ``plots.draw`` made of the same runs, as SVG or PNG.

    Raises ``OSError``, and leaves what was there as it was.
    """
    files.write(path, page(runs, plots, baselines).encode())


def page(runs: Sequence[Run], plots: Sequence[Plot] = (), baselines: Sequence[Run] = ()) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("uwfq_service.simulator"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # HTML has no place for what a terminal would obey: a browser leaves it out.
        finalize=lambda value: printable(value) if isinstance(value, str) else value,
    )
    environment.filters["unbroken"] = _unbroken
    groups = by_workload(runs)
    _, *anchors = slugs([_DEFINITIONS, *groups])
    return environment.get_template("report.html.j2").render(
        workloads=[
            _workload(anchor, group, plots, baseline_of(group[0], baselines))
            for anchor, group in zip(anchors, groups.values(), strict=True)
        ],
        against=sorted({baseline.options.policy for baseline in baselines}),
        version=importlib.metadata.version("uwfq"),
    )


def _workload(
    anchor: str, runs: Sequence[Run], plots: Sequence[Plot], baseline: Run | None
) -> dict[str, Any]:
    name = runs[0].workload
    headline, *sentences = answer(runs, baseline)
    return {
        "name": name,
        "anchor": anchor,
        "headline": headline,
        "sentences": sentences,
        "conditions": conditions(runs),
        "tables": comparison(runs, baseline, users=_USERS_ON_A_PAGE),
        "pictures": [_picture(plot) for plot in plots if plot.workload == name],
        "options": _options(runs),
    }


def _picture(plot: Plot) -> dict[str, str]:
    kind, content = next(iter(plot.files.items()))
    media = "image/svg+xml" if kind == "svg" else f"image/{kind}"
    return {
        "caption": plot.caption,
        "source": f"data:{media};base64,{base64.b64encode(content).decode()}",
    }


def _options(runs: Sequence[Run]) -> dict[str, Any]:
    """A row per option, with its value in each run."""
    columns = []
    for run in runs:
        options: dict[str, Any] = msgspec.to_builtins(run.options) | {"slots": run.slots}
        faults = options.pop("faults")
        columns.append(options | faults)
    return {
        "names": labels(runs),
        "rows": [
            (option.replace("_", " "), [_value(column[option]) for column in columns])
            for option in columns[0]
        ],
    }


def _value(value: object) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _unbroken(sentence: str) -> str:
    """The sentence with its numbers and their units on one line."""
    return re.sub(r"(?<=\d) (?=(s|%)(\W|$))", "\N{NO-BREAK SPACE}", sentence)
