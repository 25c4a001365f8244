"""What benchmarks and load tests share: a server in a process of its own, and statistics.

Server CPU is that of all its threads by the scheduler's own account, memory the peak of what was
resident; both are read from ``/proc``.
"""

from __future__ import annotations

import json
import random
import signal
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

#: Longest that a server may take to start or to stop, seconds.
PATIENCE: Final = 900.0


class ServerProcess:
    """A server that logs ``serving`` as a line of JSON once it does; started when made.

    Raises ``AssertionError`` with its log when it does not come up.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command = command
        self._log = log
        self.start_seconds = 0.0
        #: What the server said when it began to serve.
        self.said: dict[str, Any] = {}
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        began = time.monotonic()
        with self._log.open("wb") as log:
            process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stderr=log)
        while not self.said:
            assert process.poll() is None, self._log.read_text()
            assert time.monotonic() < began + PATIENCE, "the server does not come up"
            for line in self._log.read_text().splitlines():
                if '"serving"' in line:
                    self.said = json.loads(line)
            time.sleep(0.002)
        self.start_seconds = time.monotonic() - began
        return process

    @property
    def address(self) -> str:
        """Where it listens."""
        listen: str = self.said["listen"]
        return listen

    def restart(self) -> None:
        """Start again after ``kill``."""
        self.said = {}
        self.process = self._start()

    def kill(self) -> None:
        """End it without a chance to say anything."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop in an orderly way, and see that it was one."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self._log.read_text()

    def cpu_seconds(self) -> float:
        """CPU time of the process so far."""
        return cpu_seconds(self.process.pid)

    def resident_bytes(self) -> int:
        """Memory that the process occupies now."""
        return self._status_bytes("VmRSS")

    def peak_bytes(self) -> int:
        """Most memory that the process has occupied."""
        return self._status_bytes("VmHWM")

    def _status_bytes(self, field: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far, by the scheduler's own account (ns)."""
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        total += int(path.read_text().split()[0])
    return total / 1e9


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value below which that part of the (sorted) values lies; NaN of none."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


class Interval(NamedTuple):
    """A median, and where 95 % of the medians of resamples lie."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interval(values: Sequence[float]) -> Interval:
    """The median of some values with its 95 % bootstrap interval; the same on every call."""
    resampler = random.Random(0)
    medians = sorted(
        statistics.median(resampler.choices(values, k=len(values))) for _ in range(1000)
    )
    return Interval(statistics.median(values), quantile(medians, 0.025), quantile(medians, 0.975))
