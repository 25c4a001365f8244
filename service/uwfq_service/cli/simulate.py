"""``simulate``: shows what each policy would do to a workload.

Every workload is played under every policy by the service's own core, in simulated time.  Tables
go to stdout; the report, the pictures and the page go to files.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from uwfq_service import interruption
from uwfq_service.cli.errors import REFUSED, Failure
from uwfq_service.cli.files import (
    NamedPath,
    OutputFile,
    check_directory,
    check_writable,
    keep_apart,
    writing,
)
from uwfq_service.cli.output import show, terminal
from uwfq_service.cli.ranges import POSITIVE, Number, seed_option
from uwfq_service.cli.workload_files import check_cut, read_recorded, read_workload
from uwfq_service.core.policy import POLICIES
from uwfq_service.core.validation import MAX_SECONDS
from uwfq_service.printable import printable

if TYPE_CHECKING:
    from uwfq_service.simulator.runs import Options, Run
    from uwfq_service.simulator.workload import Workload

#: A part of all attempts.
_PART: Final = Number(0, 0.9)
_NOT_NEGATIVE: Final = Number(0, MAX_SECONDS)
_FEWER_FAULTS: Final = (
    "ask for fewer faults (--task-failures, --stragglers, --worker-uptime, --worker-downtime)"
)


@click.command(
    short_help="Play a workload under several policies.",
    epilog="FILE is a workload file (- for stdin); `uwfq workload` writes one: a built-in "
    "workload, a trace, Spark event logs. Estimates: exact; declared (the file's, else learned); "
    "learned by the service; none at all; noisy:SIGMA, the truth times a lognormal factor; "
    "scaled:FACTOR.",
)
@click.argument("files", metavar="[FILE]...", nargs=-1)
@click.option("--scenario", metavar="NAME", multiple=True, help="A built-in workload, by its name.")
@click.option(
    "--from-journal",
    "journal",
    metavar="DIR",
    type=NamedPath(),
    help="What a live service recorded in its data directory.",
)
@click.option("--pool", metavar="NAME", help="With --from-journal: the pool.  [default: default]")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    type=click.Choice(list(POLICIES)),
    help="A policy to play; may be given several times.  [default: all of them]",
)
@click.option(
    "--partitioning",
    type=click.Choice(["none", "runtime"]),
    default="none",
    show_default=True,
    help="Who cuts stages into tasks: the engine, as the file says, or the splitter.",
)
@click.option(
    "--atr",
    metavar="X",
    type=Number(0, MAX_SECONDS, min_open=True),
    default=0.75,
    show_default=True,
    help="Advisory task runtime, seconds.",
)
@click.option("--estimates", metavar="KIND", default="exact", show_default=True, help="See below.")
@click.option(
    "--slots", metavar="N", type=click.IntRange(1, 1_000_000), help="Instead of the file's."
)
@click.option(
    "--baseline",
    type=click.Choice(list(POLICIES)),
    help="Hold every run against this policy's: deadline violations and slacks.",
)
@seed_option("Seed of what is drawn: a --scenario, noisy estimates, faults.")
@click.option(
    "--task-overhead",
    metavar="X",
    type=_NOT_NEGATIVE,
    default=0.0,
    help="Seconds that a task holds its slot for beyond its runtime.",
)
@click.option(
    "--driver-gap",
    metavar="X",
    type=_NOT_NEGATIVE,
    default=0.0,
    help="Seconds of driver latency before every stage.",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    help="Workers that the slots belong to.  [default: 1]",
)
@click.option(
    "--task-failures", metavar="P", type=_PART, default=0.0, help="Part of the attempts that fail."
)
@click.option(
    "--stragglers",
    metavar="P",
    type=_PART,
    default=0.0,
    help="Part of the attempts that take longer, by --straggler-factor.",
)
@click.option(
    "--straggler-factor", metavar="X", type=Number(1, 1000), default=4.0, help="[default: 4]"
)
@click.option(
    "--worker-uptime", metavar="X", type=POSITIVE, help="Mean seconds until a worker is lost."
)
@click.option(
    "--worker-downtime",
    metavar="X",
    # Less, and a run of losses takes for ever to get anywhere.
    type=Number(1, MAX_SECONDS),
    default=30.0,
    help="Mean seconds until a lost worker is back.  [default: 30]",
)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=OutputFile(),
    help="Write the report as JSON; - or json: to stdout, instead of the tables.",
)
@click.option("--plots", metavar="DIR", type=NamedPath(), help="Draw SVG and PNG files there.")
@click.option(
    "--report",
    metavar="FILE",
    type=NamedPath(),
    help="Write tables and pictures as one HTML page.",
)
def simulate(
    files: Sequence[str],
    scenario: Sequence[str],
    journal: Path | None,
    pool: str | None,
    policies: Sequence[str],
    baseline: str | None,
    output: Path | None,
    plots: Path | None,
    report: Path | None,
    **options: Any,
) -> None:
    """Play workloads under several policies, and compare.

    \b
      uwfq simulate workload.json
      uwfq simulate --scenario mixed-sizes --policy uwfq --policy fair --partitioning runtime
      uwfq simulate last-night.json --estimates learned --baseline ujf --report report.html
      uwfq simulate --from-journal /var/lib/uwfq --estimates declared
    """  # noqa: D301 - click wants the backspace itself
    if pool is not None and journal is None:
        raise Failure("--pool: goes with --from-journal only", REFUSED)
    places = {"--output": output, "--report": report}
    keep_apart([*files, *([journal] if journal else [])], places | {"--plots": plots})
    workloads = _workloads(files, scenario, options["seed"], journal, pool or "default")
    # A policy that is asked for twice is played once.
    asked = list(dict.fromkeys(policies or POLICIES))
    wanted = [*asked, *([baseline] if baseline and baseline not in asked else [])]
    made = _options(options)
    _check(workloads, made)
    # Before hours of simulation, not after them.
    if str(report) == "-":
        raise Failure("--report -: a page does not go to stdout; name a file", REFUSED)
    check_writable(places)
    check_directory("--plots", plots)
    if plots is not None or report is not None:
        _need_the_extra()
    every = _play(workloads, wanted, made, keep_launches=bool(plots or report))
    runs = [run for run in every if run.options.policy in asked]
    baselines = [run for run in every if run.options.policy == baseline]
    # The figures first, for drawing may fail.  The tables last: whoever reads only their top
    # (`| head`) ends us, and wants the files still.
    on_stdout = str(output) == "-"
    if output is not None and not on_stdout:
        _save(runs, baselines, output)
    if plots is not None or report is not None:
        _draw(runs, baselines, plots, report)
    _show(runs, baselines, as_json=on_stdout)


# ------------------------------------------------------------------- what to play


def _workloads(
    files: Sequence[str], scenarios: Sequence[str], seed: int, journal: Path | None, pool: str
) -> list[Workload]:
    from uwfq_service.simulator.workload import WorkloadError

    workloads: list[Workload] = []
    try:
        workloads += [read_workload(name) for name in files]
        workloads += [_scenario(name, seed) for name in scenarios]
        if journal is not None:
            workloads.append(read_recorded(journal, pool))
    except WorkloadError as error:
        raise Failure(str(error), REFUSED) from error
    if not workloads:
        raise Failure("which workload? give a FILE, --scenario or --from-journal", REFUSED)
    names = [workload.name for workload in workloads]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Failure(f"two workloads are called {twice!r}; give one of them another name", REFUSED)
    return workloads


def _scenario(name: str, seed: int) -> Workload:
    from uwfq_service.simulator.scenarios import UnknownScenario, scenario

    try:
        return scenario(name, seed)
    except UnknownScenario as error:
        raise Failure(f"--scenario: {error}", REFUSED) from error


def _options(options: dict[str, Any]) -> Options:
    from uwfq_service.simulator.estimates import Estimates
    from uwfq_service.simulator.runs import Faults, Options, Partitioning

    try:
        Estimates(options["estimates"], options["seed"])
    except ValueError as error:
        raise Failure(f"--estimates: {error}", REFUSED) from error
    faults = Faults(
        **{
            key: options.pop(key)
            for key in (
                "task_failures",
                "stragglers",
                "straggler_factor",
                "worker_uptime",
                "worker_downtime",
            )
        }
    )
    partitioning = Partitioning(options.pop("partitioning"))
    return Options(partitioning=partitioning, faults=faults, **options)


def _check(workloads: Sequence[Workload], options: Options) -> None:
    for workload in workloads:
        slots = options.slots or workload.slots
        if options.workers > slots:
            raise Failure(
                f"--workers: {options.workers} is more than the {slots} slots of {workload.name}",
                REFUSED,
            )
        check_cut(workload, options)


def _need_the_extra() -> None:
    # As early, too.
    for package in ("matplotlib", "jinja2"):
        if importlib.util.find_spec(package) is None:
            raise Failure(f"--plots and --report need {package}; install uwfq[simulate]", REFUSED)


# --------------------------------------------------------------------- playing


def _play(
    workloads: Sequence[Workload], policies: Sequence[str], options: Options, *, keep_launches: bool
) -> list[Run]:
    import msgspec

    from uwfq_service.simulator.world import NeverDone
    from uwfq_service.simulator.world import simulate as play

    runs = []
    with _progress(len(workloads) * len(policies)) as (start, advance):
        for workload in workloads:
            for policy in policies:
                start(f"{workload.name}, {policy}")
                each = msgspec.structs.replace(options, policy=policy)
                try:
                    run = play(workload, each, keep_launches=keep_launches, progress=advance)
                except NeverDone as error:
                    line = f"{workload.name}, {policy}: {error}; {_FEWER_FAULTS}"
                    raise Failure(line, REFUSED) from error
                runs.append(run)
    return runs


@contextlib.contextmanager
def _progress(
    steps: int,
) -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """A bar over ``steps`` steps: call the first at the start of each, the second within it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = terminal(stderr=True)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task("", total=steps)
        begun = -1

        def start(what: str) -> None:
            nonlocal begun
            begun += 1
            progress.update(bar, description=printable(what), completed=begun)

        def advance(done: int, total: int) -> None:
            progress.update(bar, completed=begun + done / total)

        yield start, advance


# -------------------------------------------------------------------- results


def _save(runs: Sequence[Run], baselines: Sequence[Run], output: Path) -> None:
    from uwfq_service.simulator import report

    with writing("--output", output):
        report.write_json(output, report.document(runs, baselines))


def _show(runs: Sequence[Run], baselines: Sequence[Run], *, as_json: bool) -> None:
    from uwfq_service.simulator import report

    if as_json:
        click.echo(report.encode(report.document(runs, baselines)), nl=False)
        return
    show(terminal(), report.tables(runs, baselines))


def _draw(
    runs: Sequence[Run], baselines: Sequence[Run], directory: Path | None, page: Path | None
) -> None:
    from uwfq_service.simulator import plots
    from uwfq_service.simulator.fluid import service_curves
    from uwfq_service.simulator.html import write_html

    curves = [service_curves(run) for run in runs]
    with _progress(1) as (start, advance), interruption.deferred() as check:

        def advanced(done: int, total: int) -> None:
            check()
            advance(done, total)

        start("drawing")
        pictures = plots.draw(runs, curves, advanced=advanced)
    if directory is not None:
        with writing("--plots", directory):
            paths = plots.save(pictures, directory)
        click.echo(f"{len(paths)} files in {directory}", err=True)
    if page is not None:
        with writing("--report", page):
            write_html(page, runs, pictures, baselines)
        click.echo(f"report: {page}", err=True)
