"""A real server process on a data directory of its own: to be killed, stopped and started again."""

from __future__ import annotations

import asyncio
import collections
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

#: Longest that a start or a stop may take.
_PATIENCE_SECONDS: Final = 60.0


class ServerFailed(Exception):
    """The server did not start, or did not end as it should."""


class Server:
    """``uwfq serve`` with settings; keeps its address and its data over restarts."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        self._directory = directory
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._serving = asyncio.Event()
        #: Where it listens; the first start finds a free port.
        self.target = "127.0.0.1:0"
        self.log: collections.deque[str] = collections.deque(maxlen=40)

    async def start(self) -> None:
        """Start it; returns when it serves."""
        if self._process is not None:
            raise ServerFailed("the server runs already")
        options = [f"--set={key}={_written(value)}" for key, value in self._settings.items()]
        self._serving.clear()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uwfq_service.cli", "serve", "--log-format", "json"),
            *("--listen", self.target, "--data", str(self._directory / "data"), *options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read(self._process))
        serving = asyncio.create_task(self._serving.wait())
        await asyncio.wait(
            (serving, self._reader),
            timeout=_PATIENCE_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        serving.cancel()
        if not self._serving.is_set():
            raise ServerFailed("the server did not begin to serve")

    async def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL)."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end (SIGTERM); returns when it has."""
        code = await self._end(signal.SIGTERM)
        if code != 0:
            raise ServerFailed(f"the server ended with code {code} when asked to stop")

    async def close(self) -> None:
        """Whatever has happened, it runs no longer."""
        if self._process is not None:
            await self.kill()

    async def _end(self, sign: signal.Signals) -> int:
        process = self._process
        if process is None:
            raise ServerFailed("the server does not run")
        if process.returncode is None:
            process.send_signal(sign)
        try:
            code = await asyncio.wait_for(process.wait(), _PATIENCE_SECONDS)
        except TimeoutError:
            process.kill()
            raise ServerFailed("the server did not end when asked to stop") from None
        if self._reader is not None:
            await self._reader
        self._process = self._reader = None
        return code

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "it was started with a pipe"
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.log.append(line)
            if '"event":"serving"' in line:
                self.target = json.loads(line)["listen"]
                self._serving.set()


def _environment() -> dict[str, str]:
    """Ours without settings of UWFQ: a scenario says itself what it needs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("UWFQ_")}


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
