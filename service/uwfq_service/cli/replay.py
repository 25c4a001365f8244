"""``replay``: drives a live service with a workload file, and reports as the simulator does."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from uwfq_service import interruption
from uwfq_service.cli.connection import Connection, connected_if_asked
from uwfq_service.cli.errors import REFUSED, Failure, explained
from uwfq_service.cli.files import OutputFile, check_writable, keep_apart, writing
from uwfq_service.cli.output import seconds, show, table, terminal
from uwfq_service.cli.ranges import POSITIVE, Number, seed_option
from uwfq_service.cli.workload_files import check_cut, read_workload
from uwfq_service.core.policy import POLICIES

if TYPE_CHECKING:
    from uwfq_client import Client, Tls
    from uwfq_service.simulator.replay import Handler, Overhead, PrivateService, Replay
    from uwfq_service.simulator.runs import Options, Run
    from uwfq_service.simulator.workload import Workload

#: Told how many jobs of how many have finished.
Progress = Callable[[int, int], None]

#: How long a worker keeps a result back for the next poll to take along, seconds: hardly, for at
#: speed 10 a user would wait ten times as long.
_REPORT_DELAY: Final = 0.001
#: How long a poll waits, seconds: so much longer the service counts a worker that has left.
_POLL_SECONDS: Final = 2.0
#: Overhead that is a larger part of a task's runtime than this deserves a remark.
_MUCH_OVERHEAD: Final = 0.1


@click.command(
    short_help="Drive a live service with a workload file.",
    epilog="FILE is a workload file (- for stdin); `uwfq workload` writes one.",
)
@click.argument("file", metavar="FILE")
@click.option(
    "--speed",
    metavar="X",
    # Within reason: a day of the workload in a tenth of a second, a second of it in eleven days.
    type=Number(1e-6, 1e6),
    default=1.0,
    show_default=True,
    help="How many times faster than real time passes.",
)
@click.option("--pool", metavar="NAME", help="With --target: the pool.  [default: default]")
@click.option(
    "--policy",
    type=click.Choice(list(POLICIES)),
    help="What orders the pool; with --target: what must.  [default: uwfq, or what does]",
)
@click.option(
    "--slots",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    help="Slots of the pool.  [default: as FILE says]",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(1, 1_000),
    default=1,
    show_default=True,
    help="Workers that share the slots; all in this process, where tasks sleep.",
)
@click.option(
    "--partitioning",
    type=click.Choice(["none", "runtime"]),
    default="none",
    show_default=True,
    help="Who cuts stages: FILE, or the service near the advisory task runtime.",
)
@click.option(
    "--atr",
    metavar="X",
    type=POSITIVE,
    default=0.75,
    show_default=True,
    help="Advisory task runtime, seconds of the workload.",
)
@click.option(
    "--estimates",
    default="exact",
    show_default=True,
    help="What submitters declare: exact, declared, learned, none, noisy:SIGMA, scaled:FACTOR.",
)
@seed_option("Seed of noisy estimates.")
@click.option("--compare", is_flag=True, help="Simulate it, too, and show both side by side.")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=OutputFile(),
    help="Write what was measured as JSON, in the format of the simulator; - or json: to stdout, "
    "instead of the tables.",
)
@connected_if_asked
def replay(
    connection: Connection | None,
    file: str,
    speed: float,
    pool: str | None,
    policy: str | None,
    slots: int | None,
    workers: int,
    partitioning: str,
    atr: float,
    estimates: str,
    seed: int,
    compare: bool,
    output: Path | None,
) -> None:
    """Drive a live service with the workload in FILE: real submissions, tasks that only sleep.

    \b
      uwfq replay workload.json --speed 10 --compare
      uwfq replay workload.json --target 127.0.0.1:7170 --pool test -o measured.json

    Without --target a service of our own is started, and ends with the command. With it, the pool
    must be idle and without workers, and let the users of FILE have all slots; they get the weights
    of FILE for as long as it takes. All times that are shown and written are those of the workload.
    """  # noqa: D301 - click wants the backspace itself
    from uwfq_service.simulator.runs import Options, Partitioning

    keep_apart([file], {"--output": output})
    workload = read_workload(file)
    _check_slots(workload, slots, workers)
    check_writable({"--output": output})
    if connection is None and pool is not None:
        raise Failure("--pool: goes with --target only; our own service has one pool", REFUSED)
    options = Options(
        policy=policy or "",
        partitioning=Partitioning(partitioning),
        atr=atr,
        estimates=_checked_estimates(estimates, seed),
        slots=slots,
        seed=seed,
        workers=workers,
    )
    check_cut(workload, options)
    # What the client has to say while a service goes down is not for the one who replays.
    logging.getLogger("uwfq_client").addHandler(logging.NullHandler())
    with interruption.interruptible():
        measured, overhead = _replayed(connection, pool or "default", workload, options, speed)
    _report(workload, measured, overhead, speed, compare=compare, output=output)


# ------------------------------------------------------------------- what is asked


def _check_slots(workload: Workload, slots: int | None, workers: int) -> None:
    if workers > (count := slots or workload.slots):
        raise Failure(f"--workers {workers}: there are only {count} slots to share", REFUSED)


def _checked_estimates(estimates: str, seed: int) -> str:
    from uwfq_service.simulator.estimates import Estimates

    try:
        Estimates(estimates, seed)
    except ValueError as error:
        raise Failure(f"--estimates {error}", REFUSED) from error
    return estimates


# ----------------------------------------------------------------------- the drive


def _replayed(
    connection: Connection | None, pool: str, workload: Workload, options: Options, speed: float
) -> tuple[Run, Overhead]:
    """The measured run, and what reality has added."""
    from uwfq_client import UwfqError
    from uwfq_service.demo.processes import ChildFailed
    from uwfq_service.simulator.replay import ReplayFailed, ReplayRefused, private_service

    try:
        if connection is not None:
            drive = _Drive(connection, None, pool, workload, options, speed)
            try:
                return drive.run()
            except UwfqError as error:
                line, code = explained(error, connection.target)
                raise Failure((line or str(error)) + drive.left_behind(), code) from error
        with private_service(options.policy or "uwfq", speed) as private:
            here = Connection(
                target=private.target, tls=False, ca=None, certificate=None, key=None, timeout=10.0
            )
            drive = _Drive(here, private, pool, workload, options, speed)
            try:
                return drive.run()
            except UwfqError:
                private.check_twice()
                raise
    except ReplayRefused as error:
        raise Failure(str(error), REFUSED) from error
    except (ReplayFailed, ChildFailed) as error:
        raise Failure(str(error)) from error
    except UwfqError as error:
        line, code = explained(error, "the private service")
        raise Failure(line or str(error), code) from error


class _Drive:
    """One replay, from the first call to the last."""

    def __init__(
        self,
        connection: Connection,
        private: PrivateService | None,
        pool: str,
        workload: Workload,
        options: Options,
        speed: float,
    ) -> None:
        self._connection = connection
        self._tls: Tls | bool = connection.credentials()
        self._private = private
        self._pool = pool
        self._workload = workload
        self._options = options
        self._speed = speed
        self._replay: Replay | None = None

    def run(self) -> tuple[Run, Overhead]:
        """See ``_replayed``."""
        try:
            with _progress_bar() as progress:
                return interruption.run(self._go(progress))
        except KeyboardInterrupt:
            click.echo(f"\ninterrupted; {self._aftermath()}", err=True)
            raise

    def _aftermath(self) -> str:
        cancelled, left = (
            (self._replay.cancelled, self._replay.left_open) if self._replay else (0, 0)
        )
        line = f"{cancelled} open jobs have been cancelled"
        return line + (f", {left} could not be" if left else "")

    def left_behind(self) -> str:
        """What a service that has gone will still hold when it is back, as the end of a line."""
        if not (left := self._replay.left_open if self._replay else 0):
            return ""
        return (
            f"; {left} open jobs of the replay could not be cancelled, and users may keep the "
            "weights of FILE"
        )

    async def _go(self, progress: Progress) -> tuple[Run, Overhead]:
        from uwfq_client import Client, RetryPolicy, Worker
        from uwfq_service.simulator.replay import Replay

        target = self._connection.target

        def make_worker(slots: int, handlers: Mapping[str, Handler]) -> Worker:
            return Worker(
                target,
                pool=self._pool,
                slots=slots,
                handlers=handlers,
                poll_seconds=_POLL_SECONDS,
                report_delay_seconds=_REPORT_DELAY,
                tls=self._tls,
            )

        async with Client(
            target,
            pool=self._pool,
            tls=self._tls,
            timeout=self._connection.timeout,
            retry=RetryPolicy(max_attempts=4),
        ) as client:
            await self._check_policy(client)
            self._replay = Replay(
                client,
                self._workload,
                self._options,
                make_worker,
                speed=self._speed,
                check=self._private.check if self._private else lambda: None,
                progress=progress,
            )
            run = await self._replay.run()
        return run, self._replay.overhead

    async def _check_policy(self, client: Client) -> None:
        """Our own service has the policy that was asked for; another one must have it."""
        if self._private is not None:
            await self._private.until_serving(client)
            return
        pool = await client.get_pool()
        if self._options.policy not in {"", pool.policy}:
            raise Failure(
                f"--policy {self._options.policy}: pool {pool.pool!r} has {pool.policy}, which "
                "only its service can change; leave the option out, or leave out --target",
                REFUSED,
            )


@contextlib.contextmanager
def _progress_bar() -> Iterator[Progress]:
    """Show how many jobs have finished, if somebody watches."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = terminal(stderr=True)
    with Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:
        bar = bars.add_task("jobs finished", total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


# ---------------------------------------------------------------------- the report


def _report(
    workload: Workload,
    measured: Run,
    overhead: Overhead,
    speed: float,
    *,
    compare: bool,
    output: Path | None,
) -> None:
    from uwfq_service.simulator.report import document, encode, tables, write_json

    if str(output) == "-":
        click.echo(encode(document([measured])), nl=False)
        return
    failure: Failure | None = None
    if output is not None:
        try:
            with writing("--output", output):
                write_json(output, document([measured]))
        except Failure as error:
            # What took so long to measure is shown at least.
            failure = error
    console = terminal()
    if compare:
        import msgspec

        from uwfq_service.simulator.replay.comparison import COLUMNS, side_by_side
        from uwfq_service.simulator.world import simulate

        simulated = simulate(workload, measured.options)
        with_overhead = msgspec.structs.replace(measured.options, task_overhead=overhead.per_task)
        rows = side_by_side(simulated, simulate(workload, with_overhead), measured)
        show(console, [table(COLUMNS, rows)])
    else:
        show(console, tables([measured]))
    console.print("\n" + _overhead(overhead, speed), soft_wrap=True)
    if failure is not None:
        raise failure


def _overhead(overhead: Overhead, speed: float) -> str:
    """What reality has added, and whether that was too much."""
    line = (
        f"a task held its slot for {seconds(overhead.per_task / speed)} beyond its runtime, "
        f"{seconds(overhead.per_task)} in the time of the workload"
    )
    if overhead.per_task > _MUCH_OVERHEAD * overhead.runtime:
        line += (
            f"; with {seconds(overhead.runtime)} for a task that says more about this machine than "
            "about the service: a lower --speed measures it better"
        )
    return line
