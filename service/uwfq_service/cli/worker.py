"""``worker --exec``: a worker for any language, which runs one command per task.

The contract of the command:

* its environment says what to do (``UWFQ_JOB_ID``, ``UWFQ_TASK_INDEX``,
  ``UWFQ_RANGE_BEGIN_UNIT`` …), its stdin is the stage's payload;
* exit code 0: done.  100 (or ``--permanent-exit-code``): failed, and no retry can help.  Any
  other: failed, worth another attempt.  The last line of its stderr is kept as the reason;
* when the attempt is not wanted any more (job cancelled, time limit) its process group gets
  SIGTERM, and SIGKILL if that does not help;
* it ends when it exits, whatever it has left in the background.
"""

from __future__ import annotations

import logging
import signal
import time
from typing import TYPE_CHECKING, Final

import click

from uwfq_service.cli.command import Program, run_command
from uwfq_service.cli.connection import Connection, connected, pool_option
from uwfq_service.cli.errors import REFUSED, Failure, explained
from uwfq_service.cli.output import emit, facts, output_option, seconds
from uwfq_service.cli.ranges import Number
from uwfq_service.printable import printable

if TYPE_CHECKING:
    from uwfq_client import Task

#: sysexits and shells leave this number alone.
PERMANENT_EXIT_CODE: Final = 100


@click.command(
    short_help="Run a command for every task.",
    epilog="A command's environment: UWFQ_JOB_ID, _USER, _KIND, _SIGNATURE, _LABELS (JSON), "
    "_STAGE, _TASK_INDEX, _TASK_COUNT, _ATTEMPT, _SLOTS, _ESTIMATED_RUNTIME_SECONDS, "
    "_TIME_LIMIT_SECONDS (if any) and, for stages with an input, _RANGE_BEGIN_UNIT, "
    "_RANGE_BEGIN_OFFSET, _RANGE_END_UNIT, _RANGE_END_OFFSET. Its stdin is the payload.",
)
@click.option(
    "--exec", "command", required=True, metavar="CMD", help="The command, run by /bin/sh."
)
@click.option(
    "--slots",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    help="Tasks to run at once.  [default: the cores]",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    help="The kind of job that the command is for; may be repeated. Tasks of other kinds fail "
    "here: give them another pool.  [default: every kind]",
)
@click.option(
    "--prefetch",
    metavar="N",
    type=click.IntRange(0, 1_000_000),
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

    The first Ctrl-C or SIGTERM, or the end of the terminal, lets running tasks finish; the second
    one does not.
    """  # noqa: D301 - click wants the backspace itself
    import uwfq_client

    if not command.strip():
        # The shell would do nothing, successfully, for every task: an unset variable, most likely.
        raise Failure("--exec: is empty; give the command to run for a task", REFUSED)
    _log_line_by_line()
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
    # The terminal has closed: commands have none, and would run on.  `nohup` has it ignored.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: serving.request_stop(grace))
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


class _FirstLine(logging.Formatter):
    """Leaves out the traceback of a failed task: of our code, where the command has failed."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name there
        """The message up to the end of its first line."""
        return printable(super().formatMessage(record).partition("\n")[0])


def _log_line_by_line() -> None:
    """Have what the client says on stderr, one line each."""
    handler = logging.StreamHandler()
    handler.setFormatter(_FirstLine())
    client = logging.getLogger("uwfq_client")
    client.addHandler(handler)
    client.setLevel(logging.INFO)


def _look_for_service(connection: Connection, pool: str) -> None:
    """Refuse a pool that does not exist; warn of a service that is not there (yet)."""
    from uwfq_client import DeadlineExceeded, Unavailable

    try:
        with connection.blocking() as client:
            client.get_pool(pool)
    except (Unavailable, DeadlineExceeded) as error:
        line, _ = explained(error, connection.target)
        click.echo(f"warning: {line}; waiting for it", err=True)
