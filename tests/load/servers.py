"""The servers under test, each a process of its own on a free port of the loopback."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.measuring import ServerProcess
from tests.load import noop_server

#: Leases and workers outlive a run, so that what is prepared does not expire before it is used.
UNLIMITED: Final = (
    "--set=scheduling.lease_seconds=3600",
    "--set=scheduling.worker_timeout=3600",
)


def start_service(scratch: Path, *options: str, data: Path | None = None) -> ServerProcess:
    """``uwfq serve``, durable, with its journal in ``data`` (else in a new directory)."""
    home = Path(tempfile.mkdtemp(dir=scratch, prefix="service-"))
    command = [sys.executable, "-m", "uwfq_service.cli", "serve", "--listen=127.0.0.1:0"]
    command += [f"--data={data or home / 'data'}", "--log-format=json", *options]
    return ServerProcess(command, home / "log")


def start_noop(scratch: Path, acceptors: int = 1) -> ServerProcess:
    """The same library with empty handlers."""
    log = Path(tempfile.mkdtemp(dir=scratch, prefix="noop-")) / "log"
    return ServerProcess([sys.executable, "-m", noop_server.__name__, str(acceptors)], log)
