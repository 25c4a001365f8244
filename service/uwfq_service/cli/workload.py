"""``workload``: writes a workload file, drawn from a seed or made of what was recorded.

The document goes to stdout or, as a whole or not at all, to a file; stderr is for people.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from uwfq_service.cli.errors import REFUSED, Failure
from uwfq_service.cli.files import NamedPath, OutputFile, check_writable, keep_apart, writing
from uwfq_service.cli.output import emit, number, seconds, table, terminal
from uwfq_service.cli.ranges import POSITIVE, Number, seed_option
from uwfq_service.cli.workload_files import read_recorded, readable, tell_left_out
from uwfq_service.printable import printable

if TYPE_CHECKING:
    from uwfq_service.simulator.workload import Workload

#: What a workload may come from, one of which must be given.
_SOURCES: Final = {
    "names": "NAME",
    "listing": "--list",
    "google": "--from-google",
    "spark_logs": "--from-spark-log",
    "journal": "--from-journal",
}
#: Options that say more about a source, and the sources that they go with.
_GOES_WITH: Final = {
    "seed": ("names",),
    "slots": ("google", "spark_logs"),
    "work_scale": ("google",),
    "drop_above": ("google",),
    "pool": ("journal",),
}


@click.command(
    short_help="Write a workload file to simulate.",
    epilog="The file is JSON: users with weights, and jobs with their submission, stages and true "
    "task runtimes. `uwfq simulate` plays it, `uwfq replay` drives a live service with it.",
)
@click.argument("names", metavar="[NAME]", nargs=-1)
@click.option("--list", "listing", is_flag=True, help="List the names that there are.")
@seed_option("What NAME is drawn from; the same seed draws the same file.")
@click.option(
    "--from-google",
    "google",
    metavar="CSV",
    type=NamedPath(),
    help="Import a Google cluster trace in the tables of the Workflow Trace Archive.",
)
@click.option(
    "--work-scale",
    metavar="X",
    type=POSITIVE,
    help="With --from-google: work here per work in the trace.  [default: 15]",
)
@click.option(
    "--drop-above",
    metavar="X",
    type=Number(min=1),
    help="With --from-google: drop jobs above X times the median work.  [default: 5]",
)
@click.option(
    "--from-spark-log",
    "spark_logs",
    multiple=True,
    metavar="FILE",
    help="Import Spark event logs; more may follow: --from-spark-log logs/*.",
)
@click.option(
    "--from-journal",
    "journal",
    metavar="DIR",
    type=NamedPath(),
    help="Import what users submitted to a service, from its data directory.",
)
@click.option(
    "--slots",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    help="With --from-google or --from-spark-log: slots of the pool.  [default: 32, or what the "
    "executors had]",
)
@click.option("--pool", metavar="NAME", help="With --from-journal: which pool.  [default: default]")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=OutputFile(),
    default="-",
    help="Write to a file instead of stdout; always JSON; of --list with `-o json`.",
)
@click.pass_context
def workload(context: click.Context, /, output: Path, **options: Any) -> None:
    """Write a workload file: a built-in workload by its NAME, or an import.

    \b
      uwfq workload --list
      uwfq workload recurring --seed 7 > workload.json
      uwfq workload --from-spark-log logs/* -o workload.json
    """  # noqa: D301 - click wants the backspace itself
    source = _source(options)
    _refuse_strays(context, source)
    if source == "listing":
        origin = context.get_parameter_source("output")
        _list(output, as_json=origin is click.core.ParameterSource.COMMANDLINE)
        return
    from uwfq_service.simulator.workload import WorkloadError

    places = {"--output": output}
    keep_apart(_files_of(source, options), places)
    check_writable(places)
    try:
        made = _READERS[source](options)
    except WorkloadError as error:
        raise Failure(str(error), REFUSED) from error
    _write(made, output)
    _summarize(made)


def _source(options: dict[str, Any]) -> str:
    """Which of the sources was asked for."""
    given = [source for source in _SOURCES if options[source]]
    if given == ["names", "spark_logs"]:
        # Shells put the names of many files there.
        return "spark_logs"
    if not given:
        raise Failure(
            "which workload? give a NAME (--list shows them), --from-google, --from-spark-log or "
            "--from-journal",
            REFUSED,
        )
    if len(given) > 1:
        first, second = (_SOURCES[source] for source in given[:2])
        raise Failure(f"{first} and {second}: give one of them", REFUSED)
    return given[0]


def _files_of(source: str, options: dict[str, Any]) -> Sequence[str | Path]:
    """The files that a source is read from."""
    if source in {"google", "journal"}:
        return [options[source]]
    return [*options["spark_logs"], *options["names"]] if source == "spark_logs" else []


def _refuse_strays(context: click.Context, source: str) -> None:
    """Nobody should believe that an option did something that it did not."""
    for option, sources in _GOES_WITH.items():
        origin = context.get_parameter_source(option)
        if origin is click.core.ParameterSource.COMMANDLINE and source not in sources:
            flag = option.replace("_", "-")
            only = " or ".join(_SOURCES[name] for name in sources)
            raise Failure(f"--{flag}: goes with {only} only", REFUSED)


def _list(output: Path, *, as_json: bool) -> None:
    from uwfq_service.simulator.scenarios import SCENARIOS, about

    if str(output) != "-":
        raise Failure("--output: --list goes to stdout; as JSON with --output json", REFUSED)
    rows = [(name, about(name)) for name in SCENARIOS]
    emit(
        "json" if as_json else "table",
        {"workloads": [{"name": name, "about": text} for name, text in rows]},
        table(("name", "what happens"), rows, left=2),
    )


# --------------------------------------------------------------------- sources


def _built_in(options: dict[str, Any]) -> Workload:
    from uwfq_service.simulator.scenarios import UnknownScenario, scenario

    name, *more = options["names"]
    if more:
        raise Failure(f"{more[0]}: give one NAME, a file holds one workload", REFUSED)
    try:
        return scenario(name, options["seed"])
    except UnknownScenario as error:
        raise Failure(str(error), REFUSED) from error


def _from_google(options: dict[str, Any]) -> Workload:
    from uwfq_service.simulator.importers import google

    path: Path = options["google"]
    with readable(path):
        return google.read_google(
            path,
            slots=options["slots"] or google.SLOTS,
            work_scale=options["work_scale"] or google.WORK_SCALE,
            drop_above_medians=options["drop_above"] or google.DROP_ABOVE_MEDIANS,
        )


def _from_spark_logs(options: dict[str, Any]) -> Workload:
    from uwfq_service.simulator.importers.spark_log import read_spark_recording

    paths = [Path(name) for name in (*options["spark_logs"], *options["names"])]
    with readable(), _bar() as advance:
        recording = read_spark_recording(paths, slots=options["slots"], progress=advance)
    tell_left_out(str(recording.left_out))
    return recording.workload


def _from_journal(options: dict[str, Any]) -> Workload:
    return read_recorded(options["journal"], options["pool"] or "default", _bar("events"))


_READERS: Final[dict[str, Callable[[dict[str, Any]], Workload]]] = {
    "names": _built_in,
    "google": _from_google,
    "spark_logs": _from_spark_logs,
    "journal": _from_journal,
}


@contextlib.contextmanager
def _bar(things: str = "") -> Iterator[Callable[..., None]]:
    """Show how much has been read, of how much if that is known, while somebody watches."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

    console = terminal(stderr=True)
    columns = (
        (SpinnerColumn(), TextColumn(f"{{task.completed:,}} {things} read"))
        if things
        else (TextColumn("reading"), BarColumn(), TaskProgressColumn())
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        bar = progress.add_task("reading", total=None)

        def advance(done: int, total: int | None = None) -> None:
            progress.update(bar, completed=done, total=total)

        yield advance


# ---------------------------------------------------------------------- output


def _write(made: Workload, output: Path) -> None:
    from uwfq_service.simulator import files
    from uwfq_service.simulator.workload import dump

    document = dump(made)
    if str(output) == "-":
        click.echo(document, nl=False)
        return
    with writing("--output", output):
        files.write(output, document)


def _summarize(made: Workload) -> None:
    """One line, if somebody watches: the document itself is not for reading."""
    console = terminal(stderr=True)
    if not console.is_terminal:
        return
    from uwfq_service.simulator.outline import outline

    numbers = outline(made)
    load = (
        "all at once"
        if not numbers.span
        else f"load {'at most ' if numbers.closed else ''}{numbers.load:.2f} "
        f"over {seconds(numbers.span)}"
    )
    click.echo(
        f"{printable(made.name)}: {numbers.jobs:,} jobs with {numbers.tasks:,} tasks of "
        f"{numbers.users:,} users, {number(numbers.work, 0)} slot-seconds; {load} on "
        f"{made.slots:,} slots",
        err=True,
    )
