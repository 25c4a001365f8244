"""How ``uwfq worker`` runs commands and ends them: real processes, which tell of themselves.

What a command writes to a named pipe is an event for the test, and the pipe's end is another one:
nobody who could have held it is alive any more.
"""

import asyncio
import ctypes
import dataclasses
import errno
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import PATIENCE_SECONDS, service, started, uwfq
from uwfq_client import Task
from uwfq_service.cli import command
from uwfq_service.cli.command import CommandFailed, Program, run_command

#: Longer than any test may take.
FOREVER = "sleep 600"


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What commands write to a named pipe."""

    path: Path
    reader: asyncio.StreamReader

    async def line(self) -> str:
        """The next line."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self.reader.readline()).decode().strip()

    async def silent(self) -> bool:
        """True when all that held the pipe are gone."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.read() == b""


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    """A named pipe, open for reading."""
    path = tmp_path / "told"
    os.mkfifo(path)
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), file
    )
    yield Told(path, reader)
    transport.close()


def running(text: str, payload: bytes = b"") -> asyncio.Task[None]:
    """A command under way, as for a task of a worker."""
    program = Program(command=text, permanent_exit_code=100, redirect=True, quiet=True)
    return asyncio.create_task(run_command(program, Task(payload=payload)))


async def ended(task: asyncio.Task[None]) -> BaseException | None:
    """How it has ended; in time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.wait([task])
    return asyncio.CancelledError() if task.cancelled() else task.exception()


@pytest.mark.parametrize("code", [0, 3])
async def test_a_command_ends_when_it_exits_not_when_its_background_does(
    told: Told, code: int
) -> None:
    """Its slot is free, and its last line is known; the rest may go on writing to its stderr."""
    background = f"sh -c 'echo $$ > {told.path}; exec {FOREVER} > {told.path}'"
    task = running(f"{background} & echo first >&2; echo 'disk on fire' >&2; exit {code}")
    error = await ended(task)
    process = int(await told.line())
    os.kill(process, signal.SIGKILL)  # It must be there.
    if code == 0:
        assert error is None
    else:
        assert isinstance(error, CommandFailed)
        assert str(error) == "disk on fire"


class Gone(io.BytesIO):
    """Standard error whose reader has ended."""

    def write(self, _: object) -> int:
        """See ``io.BytesIO``."""
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("there", [False, True])
async def test_a_command_succeeds_though_nobody_takes_in_what_is_said(
    quiet: bool, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's reader may have gone, its disk be full, or stderr be closed: lines are lost."""
    stderr = io.TextIOWrapper(Gone(), write_through=True) if there else None
    monkeypatch.setattr(sys, "stderr", stderr)
    program = Program(command="echo x >&2", permanent_exit_code=100, redirect=False, quiet=quiet)
    assert await ended(asyncio.create_task(run_command(program, Task()))) is None


async def test_a_command_need_not_read_its_payload() -> None:
    """However much of it there is."""
    assert await ended(running("exit 0", payload=b"x" * (1 << 20))) is None
    assert await ended(running("test $(wc -c) = 1048576", payload=b"x" * (1 << 20))) is None


async def test_what_a_command_has_started_ends_with_it_though_it_ignores_the_signal(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell goes at SIGTERM, its child does not: the group gets SIGKILL after some patience."""
    monkeypatch.setattr(command, "_PATIENCE", 0.1)
    task = running(f"(trap '' TERM; echo deaf; exec {FOREVER}) > {told.path} & wait")
    assert await told.line() == "deaf"
    task.cancel()
    assert isinstance(await ended(task), asyncio.CancelledError)
    assert await told.silent()


async def test_what_a_command_has_started_may_end_in_peace(told: Told) -> None:
    """It is given the same time as the command itself, and not longer than it takes."""
    child = "trap 'echo tidy; exit' TERM; echo ready; while :; do sleep 0.01; done"
    task = running(f"({child}) > {told.path} & wait")
    assert await told.line() == "ready"
    task.cancel()
    assert isinstance(await ended(task), asyncio.CancelledError)
    assert await told.line() == "tidy"
    assert await told.silent()


@pytest.mark.skipif(sys.platform != "linux", reason="no other system has subreapers")
async def test_a_worker_that_inherits_orphans_does_not_wait_for_their_remains(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As process 1 of a container does: dead and not reaped, they still count as the group's."""
    monkeypatch.setattr(command, "_PATIENCE", 2 * PATIENCE_SECONDS)
    set_child_subreaper = 36
    assert ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0) == 0
    try:
        task = running(f"{FOREVER} & {FOREVER} & echo ready > {told.path}; wait")
        assert await told.line() == "ready"
        task.cancel()
        assert isinstance(await ended(task), asyncio.CancelledError)
    finally:
        ctypes.CDLL(None).prctl(set_child_subreaper, 0, 0, 0, 0)


async def test_a_command_that_is_to_end_at_once_is_killed(told: Told) -> None:
    """Cancelled a second time, nobody is there to see whether it heeds SIGTERM."""
    task = running(
        # In the background, for a shell does not heed a trap before its foreground has ended.
        f"exec > {told.path}; trap 'echo asked' TERM; {FOREVER} & echo ready; "
        "while :; do wait; sleep 0.01; done"
    )
    assert await told.line() == "ready"
    task.cancel()
    assert await told.line() == "asked"
    task.cancel()
    assert isinstance(await ended(task), asyncio.CancelledError)
    assert await told.silent()


async def test_a_command_that_is_cancelled_while_it_starts_takes_its_children_along(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have some before the worker has been told that it runs."""
    start, told_of = command._started, asyncio.Event()

    async def slowly(*arguments: Any) -> Any:
        made = await start(*arguments)
        await told_of.wait()
        return made

    monkeypatch.setattr(command, "_started", slowly)
    task = running(f"(echo ready; exec {FOREVER}) > {told.path} & wait")
    assert await told.line() == "ready"
    task.cancel()
    await asyncio.sleep(0)
    told_of.set()
    assert isinstance(await ended(task), asyncio.CancelledError)
    assert await told.silent()


@pytest.mark.parametrize("how", ["second Ctrl-C", "end of the grace"])
async def test_a_worker_that_gives_up_leaves_no_command_behind(told: Told, how: str) -> None:
    """Not even one that ignores SIGTERM."""
    grace = ("--grace", "0.1") if how == "end of the grace" else ()
    deaf = f"exec > {told.path}; trap '' TERM; echo ready; {FOREVER}"
    with service() as target:
        worker = ("worker", "--target", target, "--slots", "1", "--exec", deaf, *grace)
        with started(*worker) as serving:
            job = ("--user", "ruth", "--tasks", "1", "--max-attempts", "1")
            assert uwfq("submit", "--target", target, *job).code == 0
            assert await told.line() == "ready"
            serving.process.send_signal(signal.SIGINT)
            if not grace:
                serving.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(serving.process.wait, PATIENCE_SECONDS) == 0
            assert "stopping; tasks to finish first: 1" in serving.said()
            assert await told.silent()


@pytest.mark.usefixtures("terminal")
async def test_a_worker_whose_terminal_closes_finishes_its_tasks(told: Told) -> None:
    """Its commands do not hear of that: they would run on without a worker, and be run again."""
    slow = f"exec > {told.path}; echo ready; sleep 1"
    with service() as target:
        with started("worker", "--target", target, "--slots", "1", "--exec", slow) as serving:
            job = ("--user", "ruth", "--tasks", "1", "--max-attempts", "1", "--job-id", "j")
            assert uwfq("submit", "--target", target, *job).code == 0
            assert await told.line() == "ready"
            serving.process.send_signal(signal.SIGHUP)
            assert await asyncio.to_thread(serving.process.wait, PATIENCE_SECONDS) == 0
            assert await told.silent()
        assert uwfq("job", "j", "--wait", "--target", target).code == 0


@pytest.mark.parametrize("code", [1, 100])
def test_a_command_that_fails_is_told_in_lines_without_our_traceback(code: int) -> None:
    """Whoever wrote the command finds nothing of theirs in it."""
    failing = f"echo no such table >&2; exit {code}"
    with service() as target, started("worker", "--target", target, "--exec", failing) as worker:
        job = ("--user", "ruth", "--tasks", "1", "--max-attempts", "1", "--wait")
        assert uwfq("submit", "--target", target, *job).code == 1
        assert worker.stop() == 0
        said = worker.said()
    assert "no such table" in said
    assert "attempt 1 failed" in said
    assert "Traceback" not in said
