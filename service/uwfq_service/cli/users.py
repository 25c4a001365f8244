"""``users``, ``user set`` and ``pools``: what an operator looks at and sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from uwfq_service.cli.connection import Connection, connected, pool_option
from uwfq_service.cli.errors import REFUSED, Failure
from uwfq_service.cli.output import emit, facts, number, output_option, seconds, table
from uwfq_service.cli.ranges import Number

if TYPE_CHECKING:
    from rich.table import Table

    from uwfq_client import Pool, User


@click.command()
@pool_option
@connected
@output_option
def users(connection: Connection, pool: str, output: str) -> None:
    """List the users of a pool."""
    with connection.blocking() as client:
        found = list(client.list_users(pool=pool, page_size=1000))
    rows = [
        (
            user.user,
            number(user.weight),
            number(user.share_slots),
            str(user.running_slots),
            str(user.launchable_tasks),
            str(user.jobs),
            number(user.service_slot_seconds),
            number(user.lag_slot_seconds),
            _cap(user.max_running_slots),
            _cap(user.max_waiting_jobs),
        )
        for user in found
    ]
    columns = (
        "user",
        "weight",
        "share owed",
        "running",
        "waiting",
        "jobs",
        "service",
        "lag",
        "max running",
        "max jobs",
    )
    emit(output, {"users": found}, table(columns, rows))


def _cap(value: int | None) -> str:
    return "-" if value is None else str(value)


@click.group()
def user() -> None:
    """Set what a user is entitled to (`user set`)."""


@user.command("set")
@click.argument("name")
@click.option(
    "--weight",
    metavar="X",
    type=Number(0.001, 1_000_000),
    help="Relative claim on the pool.",
)
@click.option(
    "--max-running-slots",
    metavar="N",
    type=click.IntRange(0, 1_000_000),
    help="Most slots at once; 0 lifts the cap.",
)
@click.option(
    "--max-waiting-jobs",
    metavar="N",
    type=click.IntRange(0, 2**32 - 1),
    help="Most unfinished jobs; 0 for the service's limit.",
)
@pool_option
@connected
@output_option
def user_set(connection: Connection, name: str, pool: str, output: str, **settings: Any) -> None:
    """Set the weight or the caps of user NAME; what is not given stays as it is."""
    if all(value is None for value in settings.values()):
        raise Failure(
            "nothing to set: give --weight, --max-running-slots or --max-waiting-jobs", REFUSED
        )
    with connection.blocking() as client:
        changed = client.set_user(name, pool=pool, **settings)
    emit(output, {"user": changed}, _user_facts(changed))


def _user_facts(user: User) -> Table:
    return facts(
        (
            ("user", user.user),
            ("pool", user.pool),
            ("weight", number(user.weight)),
            ("max running slots", _cap(user.max_running_slots)),
            ("max waiting jobs", _cap(user.max_waiting_jobs)),
        )
    )


@click.command()
@connected
@output_option
def pools(connection: Connection, output: str) -> None:
    """List the pools."""
    with connection.blocking() as client:
        found = client.list_pools()
    columns = (
        "pool",
        "policy",
        "slots",
        "running",
        "waiting",
        "workers",
        "jobs",
        "active users",
        "task runtime",
        "overhead",
        "measured/estimated",
    )
    emit(output, {"pools": found}, table(columns, map(_pool_row, found), left=2))


def _pool_row(pool: Pool) -> tuple[str, ...]:
    error = pool.estimate_error
    return (
        pool.pool,
        pool.policy,
        f"{pool.slots}{' (fixed)' if pool.fixed_slots else ''}",
        str(pool.running_slots),
        str(pool.launchable_tasks),
        str(pool.workers),
        str(pool.jobs),
        str(pool.active_users),
        seconds(pool.advisory_task_runtime_seconds),
        seconds(pool.task_overhead_seconds),
        f"{error.p50_ratio:.2f} ({error.p10_ratio:.2f}-{error.p90_ratio:.2f})"
        if error.jobs
        else "-",
    )
