"""The command ``uwfq`` as a user has it: real processes, their output, their exit codes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from uwfq_client import SyncClient, UwfqError
from uwfq_service.cli import main

#: Longest that anything here may take; a hang fails instead of blocking the run.
PATIENCE_SECONDS = 60.0

UWFQ = (sys.executable, "-m", "uwfq_service.cli")


@dataclasses.dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed, as the one JSON document that it must be."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """What it complained about: one line, without a traceback."""
        (line,) = self.err.splitlines()
        assert line.startswith("error: ")
        return line


def environment(**more: str) -> dict[str, str]:
    """Ours without settings of UWFQ, so that the tests see the defaults."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("UWFQ_")}
    return ours | more


def uwfq(
    *arguments: str, given: str = "", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Ran:
    """Run a command to its end."""
    done = subprocess.run(
        [*UWFQ, *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env=environment(**(env or {})),
        cwd=cwd,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def complaint_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The complaint of a command that is asked wrongly, run in this process.

    Exit code 2, one line on stderr, nothing on stdout.
    """
    code = main(arguments)
    ran = Ran(code, *capsys.readouterr())
    assert ran.out == ""
    assert ran.code == 2, ran.err
    return ran.error


@dataclasses.dataclass(slots=True)
class Running:
    """A command that goes on until it is told to stop."""

    process: subprocess.Popen[str]
    log: Path

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end; the exit code."""
        self.process.send_signal(sign)
        return self.process.wait(PATIENCE_SECONDS)

    def said(self) -> str:
        """What it has printed to stderr so far."""
        return self.log.read_text(encoding="utf-8")

    def until_said(self, words: str) -> str:
        """Return what it has printed to stderr as soon as the words are there."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words not in (said := self.said()):
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        return said


@contextlib.contextmanager
def started(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Run a command in the background; it is gone after the block."""
    with tempfile.TemporaryDirectory(prefix="uwfq-") as directory:
        log = Path(directory) / "stderr"
        with log.open("w") as file:
            process = subprocess.Popen(
                [*UWFQ, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env=environment(**(env or {})),
                start_new_session=True,
            )
        with process:
            try:
                yield Running(process, log)
            finally:
                process.kill()


@dataclasses.dataclass(slots=True)
class AtTerminal:
    """A command at a terminal, and what that has been told to show."""

    process: subprocess.Popen[bytes]
    terminal: int
    shown: str = ""

    def until_shown(self, words: str) -> None:
        """Return as soon as the words have been written."""
        while words not in self.shown:
            assert self._read(), self.shown

    def until_ended(self) -> int:
        """Read all that comes; the exit code."""
        while self._read():
            pass
        return self.process.wait(PATIENCE_SECONDS)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.terminal], [], [], PATIENCE_SECONDS)
        assert ready, self.shown
        try:
            chunk = os.read(self.terminal, 65536)
        except OSError:  # Nobody has the other end any more.
            return False
        self.shown += chunk.decode(errors="replace")
        return bool(chunk)


@contextlib.contextmanager
def at_terminal(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[AtTerminal]:
    """Run a command at a terminal of its own; it is gone after the block."""
    ours, its = pty.openpty()
    try:
        process = subprocess.Popen(
            [*UWFQ, *arguments],
            stdin=its,
            stdout=its,
            stderr=its,
            env=environment(**{"TERM": "xterm", **(env or {})}),
            start_new_session=True,
        )
        os.close(its)
        with process:
            try:
                yield AtTerminal(process, ours)
            finally:
                process.kill()
    finally:
        os.close(ours)


@contextlib.contextmanager
def service(*arguments: str) -> Iterator[str]:
    """A running service with a journal of its own; its target."""
    # Short, for the path of a socket is limited to 107 bytes.
    with tempfile.TemporaryDirectory(prefix="uwfq-") as name:
        target = f"unix:{name}/socket"
        with started("serve", "--listen", target, "--data", f"{name}/data", *arguments) as running:
            wait_until_serving(target, running)
            yield target


def wait_until_serving(target: str, running: Running) -> None:
    """Return when the service answers; fail with its log if it ends before."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _answers(target):
        assert running.process.poll() is None, running.said()
        assert time.monotonic() < deadline, running.said()


def _answers(target: str) -> bool:
    # Each `uwfq health` would take as long to start as the service does.
    try:
        with SyncClient(target) as client:
            client.list_pools(timeout=0.5)
    except UwfqError:
        return False
    return True
