"""``worker --exec``: a worker for any language, which runs one command per task.

The contract of the command:

* its environment says what to do (``UWFQ_JOB_ID``, ``UWFQ_TASK_INDEX``,
  ``UWFQ_RANGE_BEGIN_UNIT`` …), its stdin is the stage's payload;
* exit code 0: done.  100 (or ``--permanent-exit-code``): failed, and no retry can help.  Any
  other: failed, worth another attempt.  The last line of its stderr is kept as the reason;
* when the attempt is not wanted any more (job cancelled, time limit) its process group gets
  SIGTERM, and SIGKILL if that does not help.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

import click

from uwfq_service.cli.connection import Connection, connected, pool_option
from uwfq_service.cli.errors import explained
from uwfq_service.cli.output import emit, facts, output_option, seconds
from uwfq_service.cli.ranges import Number

if TYPE_CHECKING:
    from uwfq_client import Task

#: sysexits and shells leave this number alone.
PERMANENT_EXIT_CODE: Final = 100
#: How long a command may take to end after SIGTERM, seconds.
_PATIENCE: Final = 5.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run for a task."""

    command: str
    permanent_exit_code: int
    #: Whether its stdout is kept apart from ours, which belongs to a JSON document.
    redirect: bool
    quiet: bool


@click.command(
    short_help="Run a command for every task.",
    epilog="A command's environment: " + "UWFQ_JOB_ID, _USER, _KIND, _SIGNATURE, _LABELS "
    "(JSON), _STAGE, _TASK_INDEX, _TASK_COUNT, _ATTEMPT, _SLOTS, _ESTIMATED_RUNTIME_SECONDS, "
    "_TIME_LIMIT_SECONDS (if any) and, for stages with an input, _RANGE_BEGIN_UNIT, "
    "_RANGE_BEGIN_OFFSET, _RANGE_END_UNIT, _RANGE_END_OFFSET. Its stdin is the payload.",
)
@click.option(
    "--exec", "command", required=True, metavar="CMD", help="The command, run by /bin/sh."
)
@click.option(
    "--slots",
    metavar="N",
    type=click.IntRange(min=1),
    help="Tasks to run at once.  [default: the cores]",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    help="The kind of job that the command is for; may be repeated.  [default: every kind]",
)
@click.option(
    "--prefetch",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Tasks to fetch ahead; gains on tiny tasks, costs fairness.",
)
@click.option(
    "--permanent-exit-code",
    metavar="N",
    type=click.IntRange(1, 255),
    default=PERMANENT_EXIT_CODE,
    show_default=True,
    help="Exit code that says: no retry can help.",
)
@click.option("--worker-id", help="Name of this worker; must be new at each start.")
@click.option(
    "--grace",
    metavar="X",
    type=Number(min=0),
    help="On Ctrl-C, longest to let tasks finish, seconds.  [default: until they are done]",
)
@click.option("--quiet", is_flag=True, help="No line per task.")
@pool_option
@connected
@output_option
def worker(
    connection: Connection,
    command: str,
    slots: int | None,
    kinds: tuple[str, ...],
    prefetch: int,
    permanent_exit_code: int,
    worker_id: str | None,
    grace: float | None,
    quiet: bool,
    pool: str,
    output: str,
) -> None:
    """Run a command for every task that the service hands out.

    \b
      uwfq worker --exec 'head -c 100'
      uwfq worker --exec ./count.sh --slots 4 --kind count

    The first Ctrl-C or SIGTERM lets running tasks finish, the second one does not.
    """  # noqa: D301 - click wants the backspace itself
    import uwfq_client

    program = Program(
        command=command,
        permanent_exit_code=permanent_exit_code,
        redirect=output == "json",
        quiet=quiet,
    )
    serving = uwfq_client.Worker(
        connection.target,
        pool=pool,
        slots=slots,
        prefetch=prefetch,
        worker_id=worker_id,
        tls=connection.credentials(),
    )

    async def handle(task: Task) -> None:
        await run_command(program, task)

    for number in (signal.SIGTERM, signal.SIGINT):
        # Until it runs, and then has handlers of its own: a stop that comes early counts, too.
        signal.signal(number, lambda *_: serving.request_stop())
    for kind in kinds or (None,):
        serving.handler(kind)(handle)
    _look_for_service(connection, pool)
    if not quiet:
        click.echo(f"worker {serving.worker_id} takes tasks of pool {pool}", err=True)
    begun = time.monotonic()
    serving.run(grace_seconds=grace)
    stats = serving.stats
    document = {
        "worker_id": serving.worker_id,
        "succeeded": stats.succeeded,
        "failed": stats.failed,
        "seconds": time.monotonic() - begun,
    }
    pairs = [
        ("worker", serving.worker_id),
        ("succeeded", str(stats.succeeded)),
        ("failed", str(stats.failed)),
        ("served for", seconds(time.monotonic() - begun)),
    ]
    emit(output, document, facts(pairs))


def _look_for_service(connection: Connection, pool: str) -> None:
    """Refuse a pool that does not exist; warn of a service that is not there (yet)."""
    from uwfq_client import DeadlineExceeded, Unavailable

    try:
        with connection.blocking() as client:
            client.get_pool(pool)
    except (Unavailable, DeadlineExceeded) as error:
        line, _ = explained(error, connection.target)
        click.echo(f"warning: {line}; waiting for it", err=True)


class CommandFailed(Exception):
    """A command ended with another exit code than 0; ``str()`` is its last line."""


async def run_command(program: Program, task: Task) -> None:
    """Run the command for one task; raises when it fails, and ends it when it is cancelled."""
    from uwfq_client import PermanentFailure

    begun = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        program.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=sys.stderr if program.redirect else None,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment(task)},
        # A group of its own, so that all of it can be ended, and Ctrl-C reaches only us.
        start_new_session=True,
    )
    assert process.stdin, "a pipe was asked for"
    assert process.stderr, "a pipe was asked for"
    reader = asyncio.create_task(_last_line(process.stderr))
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # A command need not read its payload.
            process.stdin.write(task.payload)
            await process.stdin.drain()
            process.stdin.close()
        code = await process.wait()
        # Something that it left in the background may hold stderr open: don't wait for that.
        await asyncio.wait([reader], timeout=1.0)
    except asyncio.CancelledError:
        await _end(process)
        _report(program, task, "stopped", begun)
        raise
    finally:
        reader.cancel()
    if code == 0:
        _report(program, task, "done", begun)
        return
    last = reader.result() if reader.done() and not reader.cancelled() else ""
    message = last or (
        f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    )
    _report(program, task, "failed", begun, message)
    if code == program.permanent_exit_code:
        raise PermanentFailure(message)
    raise CommandFailed(message)


async def _last_line(stream: asyncio.StreamReader) -> str:
    """Pass everything on to our stderr; the last line that says something."""
    last = b""
    tail = b""
    while chunk := await stream.read(65536):
        sys.stderr.buffer.write(chunk)
        sys.stderr.buffer.flush()
        *lines, tail = (tail + chunk)[-65536:].split(b"\n")
        last = next((line for line in reversed(lines) if line.strip()), last)
    return (tail if tail.strip() else last).decode(errors="replace").strip()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the command and whatever it has started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _PATIENCE)
            return


def environment(task: Task) -> dict[str, str]:
    """What the command is told about its task."""
    told = {
        "UWFQ_JOB_ID": task.job_id,
        "UWFQ_USER": task.user,
        "UWFQ_KIND": task.kind,
        "UWFQ_SIGNATURE": task.signature,
        "UWFQ_LABELS": json.dumps(dict(task.labels)),
        "UWFQ_STAGE": task.stage,
        "UWFQ_TASK_INDEX": str(task.index),
        "UWFQ_TASK_COUNT": str(task.task_count),
        "UWFQ_ATTEMPT": str(task.attempt),
        "UWFQ_SLOTS": str(task.slots),
        "UWFQ_ESTIMATED_RUNTIME_SECONDS": f"{task.estimated_runtime_seconds:.6g}",
    }
    if task.time_limit_seconds is not None:
        told["UWFQ_TIME_LIMIT_SECONDS"] = f"{task.time_limit_seconds:.6g}"
    if task.range is not None:
        told |= {
            "UWFQ_RANGE_BEGIN_UNIT": str(task.range.begin_unit),
            "UWFQ_RANGE_BEGIN_OFFSET": str(task.range.begin_offset),
            "UWFQ_RANGE_END_UNIT": str(task.range.end_unit),
            "UWFQ_RANGE_END_OFFSET": str(task.range.end_offset),
        }
    return told


def _report(program: Program, task: Task, what: str, begun: float, why: str = "") -> None:
    """One line about a task that has ended."""
    if program.quiet:
        return
    again = f" (attempt {task.attempt})" if task.attempt > 1 else ""
    took = seconds(time.monotonic() - begun)
    click.echo(
        f"{what:7} {task.job_id} {task.stage}[{task.index}]{again} {took}"
        + (f": {why}" if why else ""),
        err=True,
    )
