"""Workload files as commands name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from uwfq_service.cli.errors import REFUSED, Failure

if TYPE_CHECKING:
    from uwfq_service.simulator.workload import Workload


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
