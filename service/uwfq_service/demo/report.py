"""The tables at the end of the demo."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uwfq_service.demo.results import (
    PhaseOutcome,
    disturbance,
    mean,
    mean_spent,
    percentile,
    summary,
)
from uwfq_service.demo.run import Outcome
from uwfq_service.demo.timeline import Spent
from uwfq_service.demo.workload import USERS

#: Characters of the longest bar.
_BAR = 22


def show(outcome: Outcome, console: Console) -> None:
    """Print what was found out."""
    phases = outcome.phases

    def line(text: str = "", style: str = "") -> None:
        console.print(text, style=style, highlight=False, soft_wrap=True)

    line()
    line("Response time in seconds, and its mean as a ratio to fair", "bold")
    line()
    console.print(_responses(phases))
    line()
    line("Where the time went, in seconds a job: waiting for a slot, running, neither", "bold")
    line()
    console.print(_spent(phases))
    line()
    for phase in phases:
        tasks = sum(job.tasks for job in phase.jobs)
        line(
            f"{phase.phase.name}: {tasks} tasks of {phase.work:.1f} slot-seconds in "
            f"{phase.makespan:.1f} s, slots {phase.busy:.0%} busy, "
            f"{phase.task_overhead * 1000:.0f} ms overhead a task, "
            f"measured / estimated work {phase.estimate_ratio:.2f} (median)"
        )
    line(
        f"All {len(phases[0].jobs)} answers were the same in all {len(phases)} phases. "
        f"{outcome.seconds:.0f} s in all."
    )
    line()
    line(summary(phases), "bold")
    if warning := disturbance(phases):
        line(warning, "bold yellow")


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _responses(phases: Sequence[PhaseOutcome]) -> Table:
    """Response times; the ratios are to the first phase."""
    reference = phases[0]
    table = _table()
    table.add_column("\nuser")
    table.add_column("\njobs", justify="right")
    for phase in phases:
        table.add_column(f"{phase.phase.name}\nmean", justify="right", no_wrap=True)
        table.add_column("\np95", justify="right")
        if phase is not reference:
            table.add_column("\nratio", justify="right")
    for user in USERS:
        row = [user, str(len(reference.of(user)))]
        for phase in phases:
            times = phase.responses(user)
            row += [f"{mean(times):.2f}", f"{percentile(times, 0.95):.2f}"]
            if phase is not reference:
                row.append(f"{mean(times) / mean(reference.responses(user)):.2f}")
        table.add_row(*row)
    return table


def _spent(phases: Sequence[PhaseOutcome]) -> Table:
    """Where the time went; the bars of one user are to one scale."""
    table = _table()
    for name in ("user", "phase"):
        table.add_column(name, no_wrap=True)
    for name in ("waiting", "running", "overhead"):
        table.add_column(name, justify="right")
    table.add_column("")
    for user in USERS:
        parts = [mean_spent(phase, user) for phase in phases]
        longest = max(spent.total for spent in parts)
        for position, (phase, spent) in enumerate(zip(phases, parts, strict=True)):
            table.add_row(
                "" if position else user,
                phase.phase.name,
                f"{spent.waiting:.2f}",
                f"{spent.running:.2f}",
                f"{spent.overhead:.2f}",
                _bar(spent, longest),
            )
    return table


def _bar(spent: Spent, longest: float) -> Text:
    """Waiting, running and overhead, side by side."""
    scale = _BAR / longest if longest else 0.0
    waiting = round(spent.waiting * scale)
    running = round((spent.waiting + spent.running) * scale) - waiting
    overhead = round(spent.total * scale) - waiting - running
    return Text.assemble(
        ("░" * waiting, "red"), ("█" * running, "green"), ("▒" * overhead, "yellow")
    )
