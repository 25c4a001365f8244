"""What ``uwfq top`` looks at, and how much of it a screen shows."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from rich.console import Console, Group

from uwfq.v1 import types_pb2 as types
from uwfq_client import Client, Job, Pool, User, convert
from uwfq_service.cli import top


class FakeClient:
    """A pool of so many users, some of whom have a job."""

    def __init__(self, users: int, *busy: int) -> None:
        self.users = users
        self.busy = busy
        self.listed = 0

    async def get_pool(self, pool: str) -> Pool:
        return convert.pool(types.Pool(pool=pool, jobs=len(self.busy)))

    async def list_users(self, *, page_size: int, **_: Any) -> AsyncIterator[User]:
        assert page_size == 1000, "what the service gives at most"
        for number in range(self.users):
            self.listed += 1
            name = f"user-{number:06}"
            yield convert.user(types.User(user=name, jobs=int(number in self.busy)))

    async def list_jobs(self, **_: Any) -> AsyncIterator[Job]:
        for job in list[Job]():
            yield job


async def names(client: FakeClient) -> list[str]:
    """The users of a look, as they are shown."""
    look = await top._look(cast(Client, client), "default", 15, None)
    return [share.user.user for share in look.users]


async def test_whoever_has_a_job_is_shown_first() -> None:
    """However many others there are, who come before by name."""
    client = FakeClient(5_000, 3_999)
    shown = await names(client)
    assert shown[0] == "user-003999"
    assert client.listed == 4_000


@pytest.mark.parametrize(("users", "listed"), [(999, 999), (5_000, 1_000)])
async def test_of_those_who_have_none_one_page_is_enough(users: int, listed: int) -> None:
    """A screen has room for fewer."""
    client = FakeClient(users, 5)
    assert len(await names(client)) == client.listed == listed


async def test_there_is_an_end_to_the_search() -> None:
    """A job may have ended since the pool was looked at."""
    client = FakeClient(50_000, 49_000)
    assert len(await names(client)) == 20_000


def look(users: int, jobs: int) -> top.Look:
    """A busy pool."""
    pool = types.Pool(pool="analytics", policy="uwfq", slots=64, running_slots=64, workers=8)
    pool.jobs, pool.launchable_tasks, pool.virtual_time = jobs, 123_456, 1234.5
    shares = [
        top.UserShare(user=convert.user(types.User(user=f"u-{n}")), share_received_slots=1.0)
        for n in range(users)
    ]
    found = [
        convert.job(types.Job(job_id=f"j-{n}", state=types.JOB_STATE_WAITING)) for n in range(jobs)
    ]
    return top.Look(pool=convert.pool(pool), users=tuple(shares), jobs=tuple(found), at=0.0)


@pytest.mark.parametrize("trouble", ["", "the service cannot be reached " * 5])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_screen_is_full_and_no_more(width: int, trouble: str) -> None:
    """Whatever wraps above the tables: the terminal cuts what is below the last line."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=24)
    lines = console.render_lines(Group(*top._parts(look(40, 40), console, trouble)))
    assert len(lines) == 24
