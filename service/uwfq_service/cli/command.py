"""One command for one task: started, listened to, and ended with all that it has started.

Picture a process group, led by the shell that runs the command.  The leader's exit is the end of
the command.  What it leaves in the background may go on, and write to its stderr, but holds no
slot.  Only a command that is *ended* takes its whole group along: SIGTERM, some patience, then
SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final, cast

import click

from uwfq_service.cli.output import seconds
from uwfq_service.printable import printable

if TYPE_CHECKING:
    from uwfq_client import Task

#: How long a command, and what it has started, may take to end after SIGTERM, seconds.
_PATIENCE: Final = 5.0
#: How often to look whether the rest of its group has ended, seconds.
_LOOK_EVERY: Final = 0.02
#: More than a pipe holds, so that one read takes all that has been written.
_PIPE_BYTES: Final = 1 << 20
#: Whoever takes in our stderr may have gone, or its disk be full: no task fails of that.
_LOSSY: Final = contextlib.suppress(OSError)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run for a task."""

    command: str
    permanent_exit_code: int
    #: Whether its stdout is kept apart from ours, which belongs to a JSON document.
    redirect: bool
    quiet: bool


class CommandFailed(Exception):
    """A command ended with another exit code than 0; ``str()`` is its last line."""


async def run_command(program: Program, task: Task) -> None:
    """Run the command for one task; raises when it fails, and ends it when it is cancelled.

    Cancelled once more while it is being ended, it is killed at once.
    """
    from uwfq_client import PermanentFailure

    begun = time.monotonic()
    stderr = _Stderr()
    starting = asyncio.create_task(_started(program, task, stderr.writing_end))
    starting.add_done_callback(lambda _: os.close(stderr.writing_end))
    try:
        # Shielded: cancelled while it starts a process, asyncio ends that one, and not its group.
        transport, leader = await asyncio.shield(starting)
        # A command need not read its payload.
        stdin = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        stdin.write(task.payload)
        stdin.close()
        await leader.exited.wait()
    except asyncio.CancelledError:
        transport, leader = await starting
        await _end(transport.get_pid(), leader)
        _report(program, task, "stopped", begun)
        raise
    stderr.pass_on()
    code = transport.get_returncode()
    assert code is not None, "it has exited"
    if code == 0:
        _report(program, task, "done", begun)
        return
    message = stderr.last_line or (
        f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    )
    _report(program, task, "failed", begun, message)
    if code == program.permanent_exit_code:
        raise PermanentFailure(message)
    raise CommandFailed(message)


class _Leader(asyncio.SubprocessProtocol):
    """Tells when the command itself has exited.

    ``asyncio.subprocess.Process.wait`` would tell, in some releases of Python, when its pipes have
    been closed as well: by everything that it has left in the background.
    """

    def __init__(self) -> None:
        self.exited = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def process_exited(self) -> None:
        self._transport.close()
        self.exited.set()


async def _started(
    program: Program, task: Task, stderr: int
) -> tuple[asyncio.SubprocessTransport, _Leader]:
    return await asyncio.get_running_loop().subprocess_exec(
        _Leader,
        "/bin/sh",
        "-c",
        program.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=sys.stderr if program.redirect else None,
        stderr=stderr,
        env={**os.environ, **environment(task)},
        # A group of its own, so that all of it can be ended, and Ctrl-C reaches only us.
        start_new_session=True,
    )


class _Stderr:
    """A command's stderr: all of it is passed on to ours, and its last line is kept.

    A pipe of our own, for one of asyncio's does not tell when everything has been read that a
    command wrote before it exited, if something in the background may still write more.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reading_end, self.writing_end = os.pipe()
        self._closed = False
        #: The last line that says something, and the beginning of the next one.
        self._last = b""
        self._tail = b""
        os.set_blocking(self._reading_end, False)
        self._loop.add_reader(self._reading_end, self.pass_on)

    @property
    def last_line(self) -> str:
        """The last line so far that says something; empty: there is none."""
        last = self._tail if self._tail.strip() else self._last
        return last.decode(errors="replace").strip()

    def pass_on(self) -> None:
        """Pass on what has been written by now."""
        if self._closed:
            return
        try:
            chunk = os.read(self._reading_end, _PIPE_BYTES)
        except BlockingIOError:
            return
        if not chunk:
            self._closed = True
            self._loop.remove_reader(self._reading_end)
            os.close(self._reading_end)
            return
        *lines, tail = (self._tail + chunk).split(b"\n")
        self._tail = tail[-65536:]
        self._last = next((line for line in reversed(lines) if line.strip()), self._last)
        with _LOSSY:
            if sys.stderr is not None:
                sys.stderr.buffer.write(chunk)
                sys.stderr.buffer.flush()


async def _end(group: int, leader: _Leader) -> None:
    """End the command and whatever it has started."""
    _signal(group, signal.SIGTERM)
    try:
        async with asyncio.timeout(_PATIENCE):
            await leader.exited.wait()
            while _lives(group):  # noqa: ASYNC110  # Nothing tells of its end.
                await asyncio.sleep(_LOOK_EVERY)
    except (TimeoutError, asyncio.CancelledError) as reason:
        # Also when nobody has the time to wait: what is left now would run on without a worker.
        _signal(group, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await leader.exited.wait()
        if isinstance(reason, asyncio.CancelledError):
            raise


def _signal(group: int, sign: signal.Signals) -> None:
    # It has ended, or what is left of it belongs to another user.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sign)


def _lives(group: int) -> bool:
    """Whether anything is left of a group whose leader has exited."""
    # A worker that is process 1 of a container inherits its orphans, which count until reaped.
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def environment(task: Task) -> dict[str, str]:
    """What the command is told about its task."""
    told = {
        "UWFQ_JOB_ID": task.job_id,
        "UWFQ_USER": task.user,
        "UWFQ_KIND": task.kind,
        "UWFQ_SIGNATURE": task.signature,
        "UWFQ_LABELS": json.dumps(dict(task.labels)),
        "UWFQ_STAGE": task.stage,
        "UWFQ_TASK_INDEX": str(task.index),
        "UWFQ_TASK_COUNT": str(task.task_count),
        "UWFQ_ATTEMPT": str(task.attempt),
        "UWFQ_SLOTS": str(task.slots),
        "UWFQ_ESTIMATED_RUNTIME_SECONDS": f"{task.estimated_runtime_seconds:.6g}",
    }
    if task.time_limit_seconds is not None:
        told["UWFQ_TIME_LIMIT_SECONDS"] = f"{task.time_limit_seconds:.6g}"
    if task.range is not None:
        told |= {
            "UWFQ_RANGE_BEGIN_UNIT": str(task.range.begin_unit),
            "UWFQ_RANGE_BEGIN_OFFSET": str(task.range.begin_offset),
            "UWFQ_RANGE_END_UNIT": str(task.range.end_unit),
            "UWFQ_RANGE_END_OFFSET": str(task.range.end_offset),
        }
    return told


def _report(program: Program, task: Task, what: str, begun: float, why: str = "") -> None:
    """One line about a task that has ended."""
    if program.quiet:
        return
    again = f" (attempt {task.attempt})" if task.attempt > 1 else ""
    took = seconds(time.monotonic() - begun)
    line = f"{what:7} {task.job_id} {task.stage}[{task.index}]{again} {took}"
    with _LOSSY:
        click.echo(printable(line + (f": {why}" if why else "")), err=True)
