"""A real ``uwfq serve`` that is killed and started again on the same directory and port."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any, Final

from tests.e2e.command import PATIENCE_SECONDS, UWFQ, environment
from tests.ports import free_port

#: Small thresholds: a snapshot is due every thousand events.  Leases end soon, so that the tasks of
#: workers that vanished come back while the loop runs.
SETTINGS: Final[dict[str, object]] = {
    "store.snapshot_records": 1_000,
    "store.snapshot_bytes": 2**20,
    "scheduling.lease_seconds": 2.0,
    "scheduling.worker_timeout": 2.0,
    "scheduling.retry_backoff": 0.05,
    "scheduling.max_attempts": 100,
    "scheduling.retention_jobs": 1_000,
    "pools.default.users.user-1.weight": 2,
    "pools.default.users.user-2.weight": 0.5,
}


class KilledService:
    """The process, and what it says."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.target = f"127.0.0.1:{free_port()}"
        #: Set while the service is up, as far as anyone can know.
        self.serving = asyncio.Event()
        #: Names of log lines, over all lives; the lines at the end of the last one.
        self.lines: Counter[str] = Counter()
        self.tail: deque[str] = deque(maxlen=50)
        #: Log lines that say that something went wrong, and those that say that we are to blame.
        self.complaints: list[str] = []
        self.errors: list[str] = []
        self.start_seconds: list[float] = []
        self.recovery_seconds: list[float] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._said: dict[str, asyncio.Event] = {}

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The running process."""
        assert self._process is not None, "the service has not been started"
        return self._process

    async def spawn(self) -> None:
        """Start the process; it does not serve yet."""
        self._said = {"serving": self.serving, "snapshot_written": asyncio.Event()}
        settings = [f"--set={name}={value}" for name, value in SETTINGS.items()]
        self._process = await asyncio.create_subprocess_exec(
            *UWFQ,
            "serve",
            f"--listen={self.target}",
            f"--data={self.directory}",
            "--log-format=json",
            *settings,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
        )
        self._reader = asyncio.create_task(self._read(self._process.stderr))

    async def start(self) -> None:
        """Start, and return when it serves.  Fails with its log if it does not."""
        began = time.monotonic()
        await self.spawn()
        await self.wait_for("serving", PATIENCE_SECONDS)
        assert self.serving.is_set(), f"the service does not come up:\n{self.log()}"
        self.start_seconds.append(time.monotonic() - began)

    async def wait_for(self, line: str, seconds: float) -> None:
        """Return when the service has said ``line``, has ended, or ``seconds`` have passed."""
        said = asyncio.create_task(self._said[line].wait())
        ended = asyncio.create_task(self.process.wait())
        await asyncio.wait({said, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        said.cancel()
        ended.cancel()

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None, "the process was started with a pipe"
        async for line in stream:
            text = line.decode(errors="replace").rstrip()
            self.tail.append(text)
            self._note(text)

    def _note(self, text: str) -> None:
        try:
            said: dict[str, Any] = json.loads(text)
        except ValueError:
            self.complaints.append(text)
            return
        event = said["event"]
        self.lines[event] += 1
        if said.get("level") not in {"info", "debug"}:
            self.complaints.append(text)
        if said.get("level") == "error":
            self.errors.append(text)
        if event == "serving":
            self.recovery_seconds.append(said["recovery_seconds"])
        if event in self._said:
            self._said[event].set()

    async def end(self, sign: signal.Signals) -> int:
        """Send a signal, and wait for the end; the exit status."""
        self.serving.clear()
        if self.process.returncode is None:
            self.process.send_signal(sign)
        status = await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)
        if self._reader is not None:
            # A compaction that outlives the service for a moment holds no end of this pipe open
            # for longer than that.
            await asyncio.wait_for(self._reader, PATIENCE_SECONDS)
        # Once more: the last lines may have been those of its start.
        self.serving.clear()
        return status

    def log(self) -> str:
        """The end of what it has said."""
        return "\n".join(self.tail)

    def compactions(self) -> list[int]:
        """Ids of the compaction processes that run for the service."""
        found = []
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            try:
                found += [int(pid) for pid in path.read_text().split()]
            except OSError:  # The thread has ended meanwhile.
                continue
        return found


def is_running(pid: int) -> bool:
    """Whether the process is there and does something."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def until_gone(pids: list[int]) -> None:
    """Return when the processes have ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        # They are children of another process: there is nothing to wait on.
        while any(is_running(pid) for pid in pids):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
