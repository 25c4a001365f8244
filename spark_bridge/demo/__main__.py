"""The command line of the experiment."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import click
from spark_bridge.demo import dataset, report
from spark_bridge.demo.experiment import SCHEDULERS, Options, run
from spark_bridge.demo.plan import MAX_DEPTH, SCAN_SECONDS
from spark_bridge.demo.processes import ProcessFailed, spark_home_of

from uwfq_service.cli.app import run as run_command
from uwfq_spark import JarNotFound, UnsupportedSpark


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path(sys.executable),
    help="The interpreter whose PySpark runs.  [default: this one]",
)
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(4),
    default=14.0,
    show_default=True,
    help="For how long short queries arrive in a round.",
)
@click.option(
    "--scans",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="How many scans each long user has: with more, a round takes longer.",
)
@click.option(
    "--depth",
    type=click.IntRange(1, MAX_DEPTH),
    help="How often a scan hashes each row.  [default: timed, so that one alone takes "
    f"{SCAN_SECONDS:g} seconds]",
)
@click.option(
    "--slots", type=click.IntRange(1), default=2, show_default=True, help="Cores that Spark uses."
)
@click.option(
    "--atr",
    type=click.FloatRange(0.05, 60),
    default=1.5,
    show_default=True,
    help="Seconds that the bridge aims at for a task.",
)
@click.option(
    "--scheduler",
    "schedulers",
    type=click.Choice(list(SCHEDULERS)),
    multiple=True,
    help="Only this one; may be repeated.  [default: all]",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the tables are kept.  [default: the user's cache]",
)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write table, figures and pictures there.",
)
@click.option(
    "--event-logs",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep Spark's event logs there, for `uwfq simulate` and spark_bridge.demo.slot_time.",
)
def main(
    python: Path,
    rounds: int,
    seconds: float,
    scans: int,
    depth: int | None,
    slots: int,
    atr: float,
    schedulers: tuple[str, ...],
    data: Path | None,
    results: Path | None,
    event_logs: Path | None,
) -> None:
    """Compare stock Spark's schedulers with the bridge, on this machine."""
    if missing := [
        name for name in ("pyarrow", "matplotlib") if not importlib.util.find_spec(name)
    ]:
        raise click.ClickException(
            f"missing: {', '.join(missing)}; pip install 'uwfq[demo,simulate]'"
        )
    if event_logs is not None and event_logs.exists() and any(event_logs.iterdir()):
        raise click.BadParameter(f"{event_logs} is not empty", param_hint="'--event-logs'")
    for name, directory in (("--results", results), ("--event-logs", event_logs)):
        _make_directory(name, directory)
    begun = time.monotonic()

    def progress(text: str) -> None:
        click.echo(f"{time.monotonic() - begun:6.1f} s  {text}", err=True)

    try:
        options = Options(
            python=python,
            spark_home=spark_home_of(python),
            tables=dataset.prepare(data or dataset.default_directory(), progress),
            schedulers=schedulers or tuple(SCHEDULERS),
            rounds=rounds,
            slots=slots,
            arrival_seconds=seconds,
            scans=scans,
            depth=depth,
            advisory_task_runtime=atr,
            event_logs=event_logs.resolve() if event_logs else None,
        )
        outcome = run(options, progress)
    except (ProcessFailed, JarNotFound, UnsupportedSpark) as error:
        raise click.ClickException(str(error)) from error
    click.echo(report.table(report.document(outcome)))
    if results is not None:
        for file in report.write(outcome, results):
            progress(f"wrote {file}")


def _make_directory(option: str, directory: Path | None) -> None:
    """Find out before the rounds, not after them, that nothing can be written there."""
    try:
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = f"'{option}'"
        raise click.BadParameter(f"{directory}: {error.strerror}", param_hint=hint) from error


if __name__ == "__main__":
    sys.exit(run_command(main, "python -m spark_bridge.demo"))
