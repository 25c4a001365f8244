"""``jobs``, ``job``, ``explain`` and ``cancel``: what became of what was submitted."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from uwfq_service import interruption
from uwfq_service.cli.connection import Connection, connected
from uwfq_service.cli.errors import Failure
from uwfq_service.cli.output import (
    emit,
    facts,
    number,
    output_option,
    seconds,
    since,
    table,
    terminal,
)
from uwfq_service.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from uwfq_client import Job, StageStatus, SyncClient

_STATES = ("waiting", "running", "succeeded", "failed", "cancelled")


@click.command()
@click.option(
    "--pool", default="", envvar="UWFQ_POOL", show_envvar=True, help="Only jobs of this pool."
)
@click.option("--user", default="", help="Only jobs of this user.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES),
    help="Only jobs in this state; may be repeated.",
)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, 2**32 - 1),
    default=50,
    show_default=True,
    help="Most jobs to list.",
)
@connected
@output_option
def jobs(
    connection: Connection,
    pool: str,
    user: str,
    states: tuple[str, ...],
    limit: int,
    output: str,
) -> None:
    """List jobs, newest first."""
    from uwfq_client import JobState

    with connection.blocking() as client:
        listed = client.list_jobs(
            pool=pool,
            user=user,
            states=[JobState(state) for state in states],
            page_size=min(limit, 1000),
        )
        # One more than asked for tells whether there are more.
        found = list(itertools.islice(listed, limit + 1))
    more = len(found) > limit
    parts: list[RenderableType] = [_listed(found[:limit])]
    if more:
        parts.append(f"there are older jobs; --limit {limit * 2} shows more")
    emit(output, {"jobs": found[:limit], "more": more}, *parts)


def _listed(found: Sequence[Job]) -> Table:
    """Jobs, with their pools where there are several."""
    rows = [job_row(job) for job in found]
    if len({job.pool for job in found}) < 2:
        return table(JOB_COLUMNS, rows, left=4)
    with_pools = [(job.pool, *row) for job, row in zip(found, rows, strict=True)]
    return table(("pool", *JOB_COLUMNS), with_pools, left=5)


#: What a list of jobs shows.
JOB_COLUMNS = (
    "job",
    "user",
    "kind",
    "state",
    "tasks",
    "running",
    "work",
    "submitted",
    "took",
)


def job_row(job: Job) -> tuple[str, ...]:
    """One line of a list of jobs."""
    return (
        job.job_id,
        job.user,
        job.kind or "-",
        job.state.value + (" (open)" if job.open and not job.ended else ""),
        f"{job.done_tasks}/{job.task_count}",
        str(job.running_tasks),
        f"{number(job.measured_work_slot_seconds)}/{number(job.estimated_work_slot_seconds)}",
        since(job.submitted_at),
        since(job.submitted_at, job.finished_at) if job.finished_at else "-",
    )


@click.command()
@click.argument("job_id", metavar="JOB")
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit 1 unless it succeeded.")
@connected
@output_option
def job(connection: Connection, job_id: str, wait: bool, output: str) -> None:
    """Show one job."""
    with connection.blocking() as client:
        found = client.get_job(job_id)
    if wait and not found.ended:
        with connection.patient() as client, resumable(job_id):
            found = watched(client, job_id)
    emit(output, {"job": found}, *job_parts(found))
    if wait:
        check(found)


def job_parts(job: Job) -> list[RenderableType]:
    """A job in full: its facts, then its stages."""
    pairs = [
        ("job", job.job_id),
        ("user", job.user),
        ("pool", job.pool),
        ("kind", job.kind or "-"),
        ("state", job.state.value + (", open" if job.open and not job.ended else "")),
    ]
    if job.cause:
        pairs.append(("cause", job.cause))
    if job.signature:
        pairs.append(("signature", job.signature))
    if job.labels:
        pairs.append(("labels", " ".join(f"{name}={job.labels[name]}" for name in job.labels)))
    pairs += [
        ("submitted", _instant(job.submitted_at)),
        ("started", _instant(job.started_at)),
        ("finished", _instant(job.finished_at)),
        ("took", since(job.submitted_at, job.finished_at) if job.finished_at else "-"),
        ("work measured", f"{number(job.measured_work_slot_seconds)} slot-seconds"),
        ("work charged", f"{number(job.estimated_work_slot_seconds)} slot-seconds"),
        ("virtual deadline", number(job.virtual_deadline)),
        ("failed attempts", str(job.failed_attempts)),
    ]
    columns = ("stage", "state", "tasks", "waiting", "running", "done", "measured", "estimated")
    rows = [
        (
            stage.stage,
            _stage_state(job, stage),
            str(stage.task_count),
            str(stage.waiting),
            str(stage.running),
            str(stage.done),
            number(stage.measured_work_slot_seconds),
            number(stage.estimated_work_slot_seconds),
        )
        for stage in job.stages
    ]
    return [facts(pairs), "", table(columns, rows, left=2)]


def _stage_state(job: Job, stage: StageStatus) -> str:
    if stage.done == stage.task_count:
        return "done"
    if job.ended or not (stage.waiting or stage.running):
        # With its job, or its engine has dropped it.
        return "over"
    return "ready" if stage.ready else "not ready"


def _instant(instant: dt.datetime | None) -> str:
    if instant is None:
        return "-"
    return instant.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def watched(client: SyncClient, job_id: str) -> Job:
    """Follow a job to its end, with a progress bar if somebody watches."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = terminal(stderr=True)
    last: Job | None = None
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task(printable(job_id), total=None, state="")
        for last in client.watch(job_id):
            progress.update(
                bar,
                completed=last.done_tasks,
                total=last.task_count,
                state=f"{last.state.value}, {last.running_tasks} running",
            )
    assert last is not None, "a watch begins with the job as it stands"
    return last


@contextlib.contextmanager
def resumable(job_id: str) -> Iterator[None]:
    """Say, when the wait is interrupted, that the job is not.

    SIGTERM interrupts it, too, or the terminal would not get its cursor back.
    """
    try:
        with interruption.interruptible():
            yield
    except KeyboardInterrupt:
        click.echo(
            f"\njob {job_id} goes on: `uwfq job {job_id} --wait` waits again, "
            f"`uwfq cancel {job_id}` ends it",
            err=True,
        )
        raise


def check(job: Job) -> None:
    """Raise unless the job has succeeded: the exit code of whoever waited for it."""
    if not job.succeeded:
        raise Failure(
            f"job {job.job_id} {job.state.value}" + (f": {job.cause}" if job.cause else "")
        )


@click.command(short_help="Say why a job waits.")
@click.argument("job_id", metavar="JOB")
@click.option(
    "--ahead",
    "max_ahead",
    metavar="N",
    type=click.IntRange(1, 100),
    default=10,
    show_default=True,
    help="Most of the jobs ahead to name.",
)
@connected
@output_option
def explain(connection: Connection, job_id: str, max_ahead: int, output: str) -> None:
    """Say why a job waits, who is ahead of it, and when it will be done."""
    with connection.blocking() as client:
        found = client.explain(job_id, max_ahead=max_ahead)
    job = found.job
    pairs = [
        ("job", f"{job.job_id} of {job.user}, {job.state.value}"),
        ("why", found.reason),
        ("position", str(found.position) if found.position else "- (nothing to launch)"),
        ("virtual deadline", number(job.virtual_deadline)),
        ("virtual time", number(found.virtual_time)),
        ("next task in", seconds(found.predicted_start_seconds)),
        ("finished in", seconds(found.predicted_finish_seconds)),
    ]
    parts: list[RenderableType] = [facts(pairs)]
    if found.ahead:
        rows = [
            (
                ahead.job_id,
                ahead.user,
                number(ahead.virtual_deadline),
                str(ahead.launchable_tasks),
                number(ahead.remaining_work_slot_seconds),
            )
            for ahead in found.ahead
        ]
        columns = ("ahead", "user", "virtual deadline", "waiting", "work left")
        parts += ["", table(columns, rows, left=2)]
    emit(output, {"explanation": found}, *parts)


@click.command(short_help="Cancel jobs.")
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@click.option("--reason", default="", help="Why, for people.")
@connected
@output_option
def cancel(connection: Connection, job_ids: tuple[str, ...], reason: str, output: str) -> None:
    """Cancel jobs: waiting tasks go at once, running ones are told to stop.

    A job that cannot be cancelled does not keep the others; the first refusal is told at the end.
    """
    from uwfq_client import DeadlineExceeded, Unavailable, UwfqError

    ended: list[Job] = []
    refused: UwfqError | None = None
    with connection.blocking() as client:
        for job_id in job_ids:
            try:
                ended.append(client.cancel(job_id, reason))
            except (Unavailable, DeadlineExceeded) as error:
                # That holds for the others as well, after as long a wait for each.
                refused = refused or error
                break
            except UwfqError as error:
                refused = refused or error
    rows = [(job.job_id, job.user, job.state.value, job.cause or "-") for job in ended]
    emit(output, {"jobs": ended}, table(("job", "user", "state", "cause"), rows, left=4))
    if refused:
        raise refused
