"""``top``: who gets what now, in a table that changes in place.

A user's *share received* is measured: service received between two looks, divided by the time
between them.  The first look has nothing to compare with and shows the slots occupied now.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING, Any

import click

from uwfq_service import interruption
from uwfq_service.cli.connection import Connection, connected, pool_option
from uwfq_service.cli.errors import REFUSED, explained
from uwfq_service.cli.jobs import JOB_COLUMNS, job_row
from uwfq_service.cli.output import emit, number, output_option, table, terminal
from uwfq_service.cli.ranges import Number

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from uwfq_client import Client, Job, Pool, User

#: Users that are fetched: one page, for a screen shows fewer; and as many pages as it takes to find
#: all who have jobs, up to so many users, for each page has the service look through all of them.
_USERS = 1_000
_MOST_USERS = 20_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UserShare:
    """A user, with the share that was measured."""

    user: User
    share_received_slots: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a pool."""

    pool: Pool
    users: tuple[UserShare, ...]
    jobs: tuple[Job, ...]
    at: float

    def document(self) -> dict[str, Any]:
        """As one JSON document."""
        from uwfq_service.cli.output import plain

        return {
            "pool": self.pool,
            "users": [
                {**plain(each.user), "share_received_slots": each.share_received_slots}
                for each in self.users
            ],
            "jobs": self.jobs,
        }


@click.command(short_help="Watch a pool: users, shares, jobs.")
@click.option(
    "--interval",
    metavar="X",
    type=Number(min=0.1),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Look once and exit; so does --output json, and a pipe.")
@click.option(
    "--jobs",
    "most_jobs",
    metavar="N",
    type=click.IntRange(0, 1000),
    default=15,
    show_default=True,
    help="Most unfinished jobs to show.",
)
@pool_option
@connected
@output_option
def top(
    connection: Connection, pool: str, interval: float, once: bool, most_jobs: int, output: str
) -> None:
    """Watch a pool: its users, their shares, and their jobs.  Ctrl-C ends it."""
    console = terminal()
    # A dumb terminal cannot be painted anew, and would be shown nothing.
    if once or output == "json" or not console.is_terminal or console.is_dumb_terminal:
        look = asyncio.run(_look_once(connection, pool, most_jobs))
        emit(output, look.document(), *_parts(look, None))
        return
    # No error: it is how one leaves.  Whatever ends it, the terminal is left as it was.
    try:
        interruption.run(_watch(connection, pool, most_jobs, interval))
    except KeyboardInterrupt:
        click.echo()


async def _look_once(connection: Connection, pool: str, most_jobs: int) -> Look:
    async with connection.asynchronous() as client:
        return await _look(client, pool, most_jobs, None)


async def _look(client: Client, pool: str, most_jobs: int, before: Look | None) -> Look:
    from uwfq_client import JobState

    pool_now = await client.get_pool(pool)
    users = []
    found_jobs = 0
    async for user in client.list_users(pool=pool, page_size=_USERS):
        users.append(user)
        found_jobs += user.jobs
        if len(users) == _MOST_USERS or (len(users) >= _USERS and found_jobs >= pool_now.jobs):
            break
    jobs: list[Job] = []
    if most_jobs:
        unfinished = (JobState.WAITING, JobState.RUNNING)
        async for job in client.list_jobs(pool=pool, states=unfinished, page_size=most_jobs):
            jobs.append(job)
            if len(jobs) == most_jobs:
                break
    now = time.monotonic()
    earlier = {share.user.user: share.user for share in before.users} if before else {}
    shares = [
        UserShare(
            user=user,
            share_received_slots=_received(user, earlier.get(user.user), before, now),
        )
        for user in users
    ]
    # Whoever has something to run comes first, for an idle user may be one of thousands; then by
    # name, so that a line stays where it is while one reads it.
    shares.sort(key=lambda each: (not each.user.jobs, not each.user.active, each.user.user))
    return Look(pool=pool_now, users=tuple(shares), jobs=tuple(jobs), at=now)


def _received(user: User, earlier: User | None, before: Look | None, now: float) -> float:
    if earlier is None or before is None or now <= before.at:
        return float(user.running_slots)
    received = user.service_slot_seconds - earlier.service_slot_seconds
    return max(0.0, received / (now - before.at))


async def _watch(connection: Connection, pool: str, most_jobs: int, interval: float) -> None:
    """Look again and again; a service that is away is waited for."""
    from rich.console import Group
    from rich.live import Live

    from uwfq_client import UwfqError

    console = terminal()
    look: Look | None = None
    async with connection.asynchronous() as client:
        look = await _look(client, pool, most_jobs, None)
        with Live(
            Group(*_parts(look, console)), console=console, screen=True, auto_refresh=False
        ) as live:
            while True:
                await asyncio.sleep(interval)
                trouble = ""
                try:
                    look = await _look(client, pool, most_jobs, look)
                except UwfqError as error:
                    line, code = explained(error, connection.target)
                    if code == REFUSED:
                        raise
                    trouble = str(line)
                live.update(Group(*_parts(look, console, trouble)), refresh=True)


_COLUMNS = (
    "user",
    "weight",
    "share owed",
    "share received",
    "running",
    "waiting",
    "jobs",
    "lag",
)


def _parts(look: Look, screen: Console | None, trouble: str = "") -> list[RenderableType]:
    """What a screen can show, below what is wrong; all of it without a screen."""
    from rich.text import Text

    pool = look.pool
    heading = (
        f"pool {pool.pool}, {pool.policy}   slots {pool.running_slots}/{pool.slots} busy   "
        f"workers {pool.workers}   jobs {pool.jobs}   tasks waiting {number(pool.launchable_tasks)}"
        f"   virtual time {number(pool.virtual_time)}"
    )
    parts: list[RenderableType] = [Text(trouble, style="red")] if trouble else []
    parts.append(heading)
    users, jobs = list(look.users), list(look.jobs)
    # What is shown in place must not take more lines than were counted.
    one_line = screen is not None
    if screen is not None:
        # Two blanks, two table headings, a line that says what is left out; and those above.
        taken = 5 + sum(len(screen.render_lines(part)) for part in parts)
        room = max(2, screen.height - taken)
        jobs = jobs[: max(1, room // 2)]
        users = users[: max(1, room - len(jobs))]
    user_rows = [
        (
            share.user.user,
            number(share.user.weight),
            number(share.user.share_slots),
            number(share.share_received_slots),
            str(share.user.running_slots),
            str(share.user.launchable_tasks),
            str(share.user.jobs),
            number(share.user.lag_slot_seconds),
        )
        for share in users
    ]
    parts += ["", table(_COLUMNS, user_rows, one_line=one_line)]
    if len(users) < len(look.users):
        parts.append(f"… and {len(look.users) - len(users)} more users")
    if jobs:
        parts += ["", table(JOB_COLUMNS, map(job_row, jobs), left=4, one_line=one_line)]
    return parts
