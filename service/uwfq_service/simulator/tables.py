"""Runs side by side as tables of text: what the terminal and the page both show.

A table has a row per run, or a row per user with a column per run.  The best figure of a comparison
is marked, unless all are as good as each other.

Units: seconds, slot-seconds; percent where it says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec

from uwfq_service.simulator import metrics
from uwfq_service.simulator.naming import labels
from uwfq_service.simulator.runs import Faults, Partitioning, Run


class Cell(NamedTuple):
    """One figure."""

    text: str
    #: Whether it is the best of those it is compared with.
    best: bool = False


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    #: How many columns, from the left, are names; the others are figures.
    left: int = 1
    #: What one needs to know to read it.
    note: str = ""


_Better = Literal["low", "high"]
_Show = Callable[[float], str]


def comparison(runs: Sequence[Run], baseline: Run | None = None, *, users: int) -> list[Table]:
    """The tables of the runs of one workload.

    At most ``users`` rows are about users: those with the most work, and one for all others.
    """
    names = labels(runs)
    summaries = [metrics.summary(run) for run in runs]
    tables = [
        _responses(names, summaries),
        _bands(names, summaries, runs),
        _cluster(names, summaries),
    ]
    if baseline is not None:
        tables += _against(names, runs, baseline)
    return [*tables, *_users(names, runs, users)]


def conditions(runs: Sequence[Run]) -> str:
    """What was run, in a line: the size of the workload, and the options that all runs share."""
    jobs = runs[0].jobs
    work = math.fsum(job.work for job in jobs)
    users = len({job.user for job in jobs})
    size = f"{_counted(len(jobs), 'job')} of {_counted(users, 'user')}, {amounts([work])(work)}"
    per_run = [_options(run) for run in runs]
    shared = [part for part in per_run[0] if all(part in parts for parts in per_run)]
    return ", ".join([f"{size} slot-seconds", *shared])


def _options(run: Run) -> list[str]:
    """The options of a run beside its policy, in words."""
    asked = run.options
    partitioned = asked.partitioning is Partitioning.RUNTIME
    parts = [
        _counted(run.slots, "slot"),
        f"runtime partitioning near {asked.atr:g} s" if partitioned else "no partitioning",
        f"{asked.estimates} estimates",
        f"seed {asked.seed}",
    ]
    if asked.task_overhead:
        parts.append(f"{asked.task_overhead:g} s overhead a task")
    if asked.driver_gap:
        parts.append(f"{asked.driver_gap:g} s between stages")
    if asked.workers > 1:
        parts.append(f"{asked.workers} workers")
    return parts + _faults(asked.faults)


def _faults(faults: Faults) -> list[str]:
    parts = []
    if faults.task_failures:
        parts.append(f"{faults.task_failures:.3g} of the attempts fail")
    if faults.stragglers:
        parts.append(f"{faults.stragglers:.3g} take {faults.straggler_factor:g} times as long")
    if faults.worker_uptime is not None:
        parts.append(
            f"workers stay {faults.worker_uptime:g} s, are away {faults.worker_downtime:g} s"
        )
    return parts


# ------------------------------------------------------------- the single tables


def _responses(names: Sequence[str], summaries: Sequence[metrics.Summary]) -> Table:
    columns = [
        ("mean", [each.mean_response for each in summaries]),
        ("p50", [each.p50 for each in summaries]),
        ("p95", [each.p95 for each in summaries]),
        ("p99", [each.p99 for each in summaries]),
        ("max", [each.max for each in summaries]),
        ("worst 10 %", [each.worst10 for each in summaries]),
    ]
    return _of_seconds("Response time, seconds", names, columns)


def _bands(
    names: Sequence[str], summaries: Sequence[metrics.Summary], runs: Sequence[Run]
) -> Table:
    by_size = [metrics.size_bands(run) for run in runs]
    cuts = [f"{low}-{high} %" for low, high in metrics.BANDS]
    columns = [
        (cuts[0], [each.band_0_80 for each in summaries]),
        (cuts[1], [each.band_80_95 for each in summaries]),
        (cuts[2], [each.band_95_100 for each in summaries]),
        *((f"size {cut}", [each[band] for each in by_size]) for band, cut in enumerate(cuts)),
    ]
    note = "Bands of the jobs sorted by response time; then of the jobs sorted by true work."
    return _of_seconds("Mean response by band, seconds", names, columns, note)


def _cluster(names: Sequence[str], summaries: Sequence[metrics.Summary]) -> Table:
    spans = [each.makespan for each in summaries]
    lags = [each.max_lag_over_fluid for each in summaries]
    return _by_run(
        "Cluster and fairness",
        names,
        [
            ("makespan, s", spans, "low", amounts(spans)),
            ("utilization", [each.utilization for each in summaries], "high", _percent),
            ("Jain", [each.jain_user_slowdown for each in summaries], "high", "{:.3f}".format),
            ("max lag, s", lags, "low", amounts(lags)),
        ],
        note=(
            "Jain: index over the users' mean slowdown, 1 is even. "
            "Max lag: the latest finish after that in the fluid cluster."
        ),
    )


def _against(names: Sequence[str], runs: Sequence[Run], baseline: Run) -> list[Table]:
    others = [
        (name, metrics.deadlines(run, baseline))
        for name, run in zip(names, runs, strict=True)
        if run.options != baseline.options
    ]
    if not others:
        return []
    found = [each for _, each in others]
    policy = baseline.options.policy
    table = _by_run(
        f"Against {policy}",
        [name for name, _ in others],
        [
            ("violations", [each.violations for each in found], "low", "{:,}".format),
            ("DVR", [each.dvr for each in found], "low", "{:.3f}".format),
            ("slacks", [each.slacks for each in found], "high", "{:,}".format),
            ("DSR", [each.dsr for each in found], "high", "{:.3f}".format),
        ],
        note=(
            f"Jobs that finish later than under {policy} (violations) and earlier (slacks). "
            f"DVR, DSR: by how much on average, relative to their response under {policy}."
        ),
    )
    return [table]


def _users(names: Sequence[str], runs: Sequence[Run], most: int) -> list[Table]:
    """A row per user, a column per run; the users and their work are the same in all runs."""
    per_run = [_folded(metrics.users(run), most) for run in runs]
    responses = [[user.mean_response for user in row] for row in zip(*per_run, strict=True)]
    slowdowns = [[user.mean_slowdown for user in row] for row in zip(*per_run, strict=True)]
    work = amounts([user.service for user in per_run[0]])

    def table(title: str, figures: Sequence[Sequence[float]], show: _Show, note: str) -> Table:
        rows = [
            [Cell(user.user), Cell(f"{user.jobs:,}"), Cell(work(user.service)), *_cells(row, show)]
            for user, row in zip(per_run[0], figures, strict=True)
        ]
        columns = ("user", "jobs", "work", *names)
        return Table(title=title, columns=columns, rows=rows, note=note)

    note = "Slowdown: response over the response of the job alone on the idle pool."
    return [
        table("Mean response by user, seconds", responses, amounts(*responses), ""),
        table("Mean slowdown by user", slowdowns, "{:,.2f}".format, note),
    ]


# ----------------------------------------------------------------------- helpers

#: A column of a table by run: its head, its figures, which of them are better, how they look.
_Column = tuple[str, Sequence[float], _Better, _Show]


def _by_run(title: str, names: Sequence[str], columns: Sequence[_Column], note: str = "") -> Table:
    filled = [_cells(values, show, better) for _, values, better, show in columns]
    return Table(
        title=title,
        columns=("policy", *(head for head, _, _, _ in columns)),
        rows=[[Cell(name), *(cells[row] for cells in filled)] for row, name in enumerate(names)],
        note=note,
    )


def _cells(values: Sequence[float], show: _Show, better: _Better = "low") -> list[Cell]:
    """The figures that are compared with each other; equal is what looks equal."""
    texts = [show(value) for value in values]
    best = texts[values.index(min(values) if better == "low" else max(values))]
    marked = len(set(texts)) > 1
    return [Cell(text, marked and text == best) for text in texts]


def _of_seconds(
    title: str, names: Sequence[str], columns: Sequence[tuple[str, Sequence[float]]], note: str = ""
) -> Table:
    show = amounts(*(values for _, values in columns))
    return _by_run(title, names, [(head, values, "low", show) for head, values in columns], note)


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"


def amounts(*columns: Sequence[float]) -> Callable[[float], str]:
    """How amounts that stand together are written: alike, the largest with four digits or more."""
    largest = max(abs(value) for values in columns for value in values)
    # Less than a microsecond is what rounding has left of nothing.
    size = largest if largest >= 1e-6 else 0.01
    digits = sum(size < limit for limit in (1e-4, 1e-3, 1e-2, 0.1, 1, 10, 1_000)) + 1
    return f"{{:z,.{digits}f}}".format


def _folded(users: Sequence[metrics.UserSummary], most: int) -> list[metrics.UserSummary]:
    """The users with the most work, and one line for all others."""
    if len(users) <= most:
        return list(users)
    ordered = sorted(users, key=lambda user: -user.service)
    named, others = ordered[: most - 1], ordered[most - 1 :]
    jobs = sum(user.jobs for user in others)
    return [
        *named,
        metrics.UserSummary(
            user=f"{len(others)} others",
            jobs=jobs,
            mean_response=math.fsum(user.mean_response * user.jobs for user in others) / jobs,
            mean_slowdown=math.fsum(user.mean_slowdown * user.jobs for user in others) / jobs,
            service=math.fsum(user.service for user in others),
        ),
    ]


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
