"""The tables at the end of the demo."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from uwfq_service.demo.results import PhaseOutcome, mean, mean_spent, percentile, summary
from uwfq_service.demo.run import Outcome
from uwfq_service.demo.workload import USERS


def show(outcome: Outcome, console: Console) -> None:
    """Print what was found out."""
    phases = outcome.phases
    console.print()
    console.print(_responses(phases))
    console.print()
    console.print(_spent(phases))
    console.print()
    for phase in phases:
        tasks = sum(job.tasks for job in phase.jobs)
        console.print(
            f"{phase.phase.name}: slots {phase.busy:.0%} busy for {phase.makespan:.1f} s, "
            f"{tasks} tasks, {phase.task_overhead * 1000:.0f} ms overhead a task, "
            f"measured / estimated work {phase.estimate_ratio:.2f} (median)",
            highlight=False,
            soft_wrap=True,
        )
    jobs = len(phases[0].jobs)
    console.print(
        f"All {jobs} answers were the same in all {len(phases)} phases. "
        f"{outcome.seconds:.0f} s in all.",
        highlight=False,
        soft_wrap=True,
    )
    console.print()
    console.print(summary(phases), style="bold", highlight=False, soft_wrap=True)


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )


def _responses(phases: Sequence[PhaseOutcome]) -> Table:
    """Response times; the ratios are to the first phase."""
    reference = phases[0]
    table = _table("Response time in seconds: mean, 95th percentile, mean as a ratio to fair")
    table.add_column("user")
    table.add_column("jobs", justify="right")
    for phase in phases:
        table.add_column(phase.phase.name, justify="right", no_wrap=True)
        table.add_column("p95", justify="right")
        if phase is not reference:
            table.add_column("ratio", justify="right")
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
    """Where the time went."""
    table = _table(
        "Where it went, in seconds a job: waiting for a slot, running, overhead (neither)"
    )
    table.add_column("user")
    for phase in phases:
        table.add_column(phase.phase.name, justify="right", no_wrap=True)
        table.add_column("run", justify="right")
        table.add_column("over", justify="right")
    for user in USERS:
        row = [user]
        for phase in phases:
            spent = mean_spent(phase, user)
            row += [f"{spent.waiting:.2f}", f"{spent.running:.2f}", f"{spent.overhead:.2f}"]
        table.add_row(*row)
    return table
