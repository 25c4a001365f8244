"""``spark``: what an operator of a shared Spark application needs from a terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from uwfq_service.cli.connection import DEFAULT_TARGET, Connection, connected_elsewhere
from uwfq_service.cli.errors import FAILED, REFUSED, Failure
from uwfq_service.cli.output import emit, output_option

if TYPE_CHECKING:
    from rich.table import Table

    from uwfq_spark.doctor import Finding

home_option = click.option(
    "--spark-home",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="The Spark that the jar is for.  [default: SPARK_HOME, else the installed PySpark]",
)


@click.group(short_help="Configure and examine a shared Spark application.")
def spark() -> None:
    """Configure and examine a shared Spark application."""


@spark.command()
@home_option
@output_option
def jar(spark_home: str | None, output: str) -> None:
    """Print the path of the bridge's jar, for `spark-submit --jars`."""
    from uwfq_spark import JarNotFound, UnsupportedSpark, jar_path

    try:
        path = jar_path(spark_home)
    except (JarNotFound, UnsupportedSpark) as error:
        raise Failure(str(error), REFUSED) from error
    emit(output, {"jar": path}, path)


@spark.command()
@click.option(
    "--target",
    default=DEFAULT_TARGET,
    envvar="UWFQ_TARGET",
    show_default=True,
    show_envvar=True,
    help="Where the service listens, as Spark's driver will reach it.",
)
@home_option
@output_option
def conf(target: str, spark_home: str | None, output: str) -> None:
    """Print the settings that add the bridge, as lines for `spark-defaults.conf`."""
    from uwfq_spark import JarNotFound, UnsupportedSpark, settings

    try:
        wanted = settings(target=target, pyspark=spark_home)
    except (JarNotFound, UnsupportedSpark, ValueError) as error:
        raise Failure(str(error), REFUSED) from error
    width = max(map(len, wanted))
    lines = "\n".join(f"{key:{width}}  {value}" for key, value in wanted.items())
    emit(output, wanted, lines)


@spark.command(short_help="Check whether the bridge is at work in a running application.")
@click.option(
    "--ui",
    metavar="URL",
    default="http://127.0.0.1:4040",
    show_default=True,
    help="The UI of the application's driver.",
)
@connected_elsewhere("what the application says")
@output_option
def doctor(ui: str, connection: Connection, output: str) -> int:
    """Check whether the bridge is at work in a running application, and say what to fix.

    Looks at the application through its UI, and at the service; changes neither. Exit 1 when
    there is a problem.
    """
    from uwfq_spark.doctor import examine, healthy
    from uwfq_spark.observation import (
        NoApplication,
        Observation,
        observe_application,
        observe_service,
    )

    try:
        application = observe_application(ui, timeout_seconds=connection.timeout)
    except ValueError as error:
        raise Failure(f"--ui: {error}", REFUSED) from error
    except NoApplication as error:
        raise Failure(f"{error}; --ui is the address of the driver's UI") from error
    target = connection.target or application.properties.get("spark.uwfq.target")
    service = None
    if target:
        service = observe_service(
            target, application, dataclasses.replace(connection, target=target).blocking
        )
    findings = examine(Observation(application=application, service=service))
    document = {
        "application_id": application.application_id,
        "name": application.name,
        "spark_version": application.spark_version,
        "healthy": healthy(findings),
        "findings": findings,
    }
    emit(output, document, _findings(findings))
    return 0 if healthy(findings) else FAILED


def _findings(findings: Sequence[Finding]) -> Table:
    """One line each, and one more for what to do about it."""
    from rich.table import Table
    from rich.text import Text

    from uwfq_spark.doctor import Status

    signs = {Status.OK: ("ok", ""), Status.PROBLEM: ("PROBLEM", "red"), Status.UNKNOWN: ("?", "")}
    shown = Table.grid(padding=(0, 2, 0, 0))
    for finding in findings:
        word, style = signs[finding.status]
        # Text, for an application may be called "[red]".
        shown.add_row(Text(word, style=style), Text(finding.check), Text(finding.what))
        if finding.remedy:
            shown.add_row("", "", Text(f"→ {finding.remedy}"))
    return shown
