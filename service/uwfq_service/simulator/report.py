"""What a run reports: JSON for programs, tables for the terminal.

The JSON is the format that the README beside this shows, an array with an object per run; other
programs read it by the letter, so nothing is added to it.  What people want to see beside that
stands in the tables only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import RenderableType
from rich.text import Text

from uwfq_service.columns import NarrowTable
from uwfq_service.printable import printable
from uwfq_service.simulator import files, metrics
from uwfq_service.simulator.answers import answer
from uwfq_service.simulator.naming import by_workload
from uwfq_service.simulator.runs import FinishedJob, Run
from uwfq_service.simulator.tables import Table, comparison, conditions

#: Lists of a report that are written with one element a line.
_ROWS: Final = ("jobs", "users")
#: Users with a row of their own on a terminal; the JSON has all of them.
_USERS_ON_A_TERMINAL: Final = 10


def document(runs: Sequence[Run], baselines: Sequence[Run] = ()) -> list[dict[str, Any]]:
    """The report as JSON values, in the order of the runs.

    ``baselines`` has one run, at most, of each workload; every run of that workload is held against
    it, under the key ``baseline``.
    """
    return [_of_run(run, baseline_of(run, baselines)) for run in runs]


def baseline_of(run: Run, baselines: Sequence[Run]) -> Run | None:
    """The baseline of a run's workload, if there is one."""
    return next((other for other in baselines if other.workload == run.workload), None)


def _of_run(run: Run, baseline: Run | None) -> dict[str, Any]:
    options = run.options
    found: dict[str, Any] = {
        "workload": run.workload,
        "policy": options.policy,
        "slots": run.slots,
        "partitioning": options.partitioning.value,
        "atr": options.atr,
        "estimates": options.estimates,
        "seed": options.seed,
        "jobs": [_of_job(job) for job in run.jobs],
        "summary": msgspec.to_builtins(metrics.summary(run)),
        "users": msgspec.to_builtins(metrics.users(run)),
    }
    if baseline is not None:
        found["baseline"] = msgspec.to_builtins(metrics.deadlines(run, baseline))
    return found


def _of_job(job: FinishedJob) -> dict[str, Any]:
    return {
        "job": job.job,
        "user": job.user,
        "submit": job.submit,
        "first_start": job.first_start,
        "finish": job.finish,
        "work": job.work,
        "response": job.response,
        "virtual_deadline": job.virtual_deadline,
        "fluid_finish": job.fluid_finish,
    }


def write_json(path: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Write a ``document``; raises ``OSError``, and leaves what was there as it was."""
    files.write(path, encode(found))


def encode(found: Sequence[Mapping[str, Any]]) -> bytes:
    """The text of a ``document``: a line per key, and one per job and user."""
    return b"[\n" + b",\n".join(_encode_run(each) for each in found) + b"\n]\n"


def _encode_run(found: Mapping[str, Any]) -> bytes:
    lines = []
    for key, value in found.items():
        if key in _ROWS:
            rows = b",\n".join(b"      " + msgspec.json.encode(row) for row in value)
            lines.append(b'    "%s": [\n%s\n    ]' % (key.encode(), rows))
        else:
            lines.append(b'    "%s": %s' % (key.encode(), msgspec.json.encode(value)))
    return b"  {\n" + b",\n".join(lines) + b"\n  }"


# ------------------------------------------------------------------ the terminal


def tables(runs: Sequence[Run], baselines: Sequence[Run] = ()) -> list[RenderableType]:
    """What the terminal shows, one below the other: per workload, its runs side by side."""
    parts: list[RenderableType] = []
    for workload, group in by_workload(runs).items():
        if parts:
            parts.append("")
        parts.append(Text(printable(workload), style="bold underline"))
        parts.append(Text(conditions(group), style="dim"))
        baseline = baseline_of(group[0], baselines)
        parts += ["", *(Text(printable(sentence)) for sentence in answer(group, baseline))]
        for table in comparison(group, baseline, users=_USERS_ON_A_TERMINAL):
            parts += ["", Text(table.title, style="bold"), _rendered(table)]
            if table.note:
                parts.append(Text(table.note, style="dim"))
    return parts


def _rendered(table: Table) -> RenderableType:
    made = NarrowTable(header_style="dim")
    for position, head in enumerate(table.columns):
        cells = [printable(row[position].text) for row in table.rows]
        made.add(head, cells, name=position < table.left)
    for row in table.rows:
        # Text, for a user may be called "[red]".
        made.add_row(
            *(Text(printable(cell.text), style="bold green" if cell.best else "") for cell in row)
        )
    return made
