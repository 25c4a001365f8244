"""``demo``: the options of the demo; what it does is ``uwfq_service.demo``'s subject."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uwfq_service.cli.errors import Failure
from uwfq_service.cli.output import emit, output_option, terminal
from uwfq_service.cli.ranges import Number

if TYPE_CHECKING:
    from uwfq_service.demo.display import Display


@click.command(short_help="Watch three users share this machine.")
@click.option(
    "--data",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the log files are kept.  [default: ~/.cache/uwfq-demo]",
)
@click.option(
    "--seconds",
    metavar="X",
    type=Number(1, 3600),
    help="How long each of the three phases should take.  [default: 22; with --quick 3]",
)
@click.option("--quick", is_flag=True, help="Small files and short phases: does it work here?")
@output_option
def demo(directory: Path | None, seconds: float | None, quick: bool, output: str) -> None:
    """Watch three users share this machine under three ways to schedule them.

    Starts the service and a worker per core, and lets the users search real log files: one with
    huge jobs, two with small ones that somebody waits for. First under Spark's FAIR policy, then
    under UWFQ, then under UWFQ with runtime partitioning; the same jobs at the same instants.
    """
    from uwfq_service.demo.phases import DemoFailed
    from uwfq_service.demo.run import Options, run

    options = Options(
        directory=directory,
        phase_seconds=seconds or (3.0 if quick else 22.0),
        quick=quick,
    )
    try:
        with _display(output) as display:
            outcome = run(options, display)
    except KeyboardInterrupt:
        click.echo("\ninterrupted; the service and the workers have been stopped", err=True)
        raise
    except DemoFailed as error:
        raise Failure(str(error)) from error
    if output == "json":
        emit(output, outcome.document())
        return
    from uwfq_service.demo.report import show

    show(outcome, terminal())


def _display(output: str) -> Display:
    from uwfq_service.demo.display import OnTerminal, Plain, Silent

    console = terminal()
    if output == "json":
        return Silent()
    return OnTerminal(console) if console.is_terminal else Plain(console)
