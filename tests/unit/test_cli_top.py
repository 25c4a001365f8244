"""What ``uwfq top`` puts on a screen."""

import io

import pytest
from rich.console import Console, Group

from uwfq.v1 import types_pb2
from uwfq_client import convert
from uwfq_service.cli.top import Look, UserShare, _parts


def look(users: int, jobs: int) -> Look:
    """More than a screen shows."""
    pool = types_pb2.Pool(pool="analytics", policy="uwfq", slots=64, running_slots=64, workers=8)
    pool.jobs, pool.launchable_tasks, pool.virtual_time = jobs, 123_456, 1234.5
    shares = [
        UserShare(user=convert.user(types_pb2.User(user=f"u-{n}")), share_received_slots=1.0)
        for n in range(users)
    ]
    found = [
        convert.job(types_pb2.Job(job_id=f"j-{n}", state=types_pb2.JOB_STATE_WAITING))
        for n in range(jobs)
    ]
    return Look(pool=convert.pool(pool), users=tuple(shares), jobs=tuple(found), at=0.0)


@pytest.mark.parametrize("trouble", ["", "the service cannot be reached " * 5])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_screen_is_full_and_no_more(width: int, trouble: str) -> None:
    """Whatever wraps above the tables: the terminal cuts what is below the last line."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=24)
    lines = console.render_lines(Group(*_parts(look(40, 40), console, trouble)))
    assert len(lines) == 24
