"""What is played: workloads as commands name them, and whether that has an end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from uwfq_service.cli.errors import REFUSED, Failure
from uwfq_service.cli.output import keep_logs_off_stdout

if TYPE_CHECKING:
    from uwfq_service.simulator.importers.journal import Progress
    from uwfq_service.simulator.runs import Options
    from uwfq_service.simulator.workload import Workload

#: Tasks of a run, and how many for each that the file has: with more than both it is not the
#: workload that makes a run last for many minutes under each policy.
_MOST_TASKS: Final = 2_000_000
_MOST_FOR_EACH: Final = 10

_NO_BAR: Final = contextlib.nullcontext()


def read_workload(name: str) -> Workload:
    """The workload in the file of that name, ``-``: on stdin; raises ``Failure``."""
    from uwfq_service.simulator.workload import WorkloadError, parse

    try:
        with click.open_file(name, "rb") as file:
            return parse(file.read(), source="stdin" if name == "-" else name)
    except WorkloadError as error:
        raise Failure(str(error), REFUSED) from error
    except IsADirectoryError as error:
        raise Failure(
            f"{name}: is a directory; `uwfq workload` makes a workload of a service's data "
            "(--from-journal) and of event logs of Spark (--from-spark-log)",
            REFUSED,
        ) from error
    except OSError as error:
        raise Failure(f"{name or 'FILE'}: {error.strerror}", REFUSED) from error


def read_recorded(
    directory: Path, pool: str, bar: AbstractContextManager[Progress | None] = _NO_BAR
) -> Workload:
    """What the service of that data directory has recorded; what is left out goes to stderr."""
    from uwfq_service.simulator.importers.journal import read_recording

    keep_logs_off_stdout()
    with readable(directory), bar as progress:
        recording = read_recording(directory, pool=pool, progress=progress)
    # Below the bar, not in it.
    tell_left_out(recording.left_out)
    return recording.workload


@contextlib.contextmanager
def readable(path: Path | None = None) -> Iterator[None]:
    """Say in one line that a file cannot be read."""
    try:
        yield
    except OSError as error:
        raise Failure(f"{error.filename or path}: {error.strerror}", REFUSED) from error


def tell_left_out(what: str) -> None:
    """Whoever simulates a part should not take it for the whole."""
    if what:
        click.echo(f"left out: {what}", err=True)


def check_cut(workload: Workload, options: Options) -> None:
    """Refuse a cut into more tasks than anybody waits for; raises ``Failure``."""
    from uwfq_service.simulator.outline import outline, recut_tasks
    from uwfq_service.simulator.runs import Partitioning

    if options.partitioning is not Partitioning.RUNTIME:
        return
    tasks = recut_tasks(workload, options)
    most = max(_MOST_TASKS, _MOST_FOR_EACH * outline(workload).tasks)
    if tasks > most:
        raise Failure(
            f"--atr {options.atr:g}: with {options.estimates} estimates {workload.name} is cut "
            f"into about {tasks:,} tasks, and no more than {most:,} are played; ask for "
            "longer ones",
            REFUSED,
        )
