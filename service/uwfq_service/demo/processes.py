"""The processes that the demo starts, and the promise that none of them outlives it.

Three nets, each for the holes of the one before: the demo stops its children itself, also on
Ctrl-C and SIGTERM; each child runs in a session of its own, so that a Ctrl-C on the terminal does
not tear the service from under the workers first; and on Linux the kernel kills the children if
the demo dies without a chance to do anything (``kill -9``).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

#: prctl(2): the signal that a process gets when its parent dies.
_PR_SET_PDEATHSIG: Final = 1
#: How long a child may take to end by itself, seconds.
_PATIENCE: Final = 5.0


class ChildFailed(Exception):
    """A process of the demo ended by itself; ``str()`` says which and what it said last."""


class Children:
    """Processes that end when the block does, newest first."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, module: str, arguments: Sequence[str]) -> None:
        """Run ``python -m module arguments``; what it prints goes to ``<logs>/<name>.log``."""
        # Settings in our environment are for another service.
        env = {name: value for name, value in os.environ.items() if not name.startswith("UWFQ_")}
        parent = str(os.getpid())
        command = [sys.executable, "-m", __name__, parent, module, *arguments]
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=env,
            )
        self._running.append((name, process))

    def check(self) -> None:
        """Raise ``ChildFailed`` if one has ended: none should before it is told to."""
        for name, process in self._running:
            if (code := process.poll()) is not None:
                said = (self._logs / f"{name}.log").read_text(errors="replace").splitlines()
                last = f": {said[-1]}" if said else ""
                raise ChildFailed(f"the {name} process ended with exit code {code}{last}")

    def stop(self) -> None:
        """End them all: politely, then by force."""
        # The workers go before the service, so that they can hand in what they hold.
        *workers, service = reversed(self._running) if self._running else [None]
        for group in ([w for w in workers if w], [service] if service else []):
            for _, process in group:
                process.terminate()
            deadline = time.monotonic() + _PATIENCE
            for _, process in group:
                try:
                    process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._running.clear()


def directory_for_a_socket() -> str:
    """Where temporary files go, unless that is too long for the path of a socket (107 bytes)."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) < 70 else "/tmp"  # noqa: S108 - a name that is new


@contextlib.contextmanager
def children(logs: Path) -> Iterator[Children]:
    """Start processes inside the block; they are gone after it, whatever happens."""
    group = Children(logs)
    try:
        yield group
    finally:
        group.stop()


def _become(parent: int, module: str, arguments: Sequence[str]) -> None:
    """Turn this process into ``python -m module``, tied to the life of ``parent``."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return  # It died while we started.
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
