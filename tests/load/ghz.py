"""ghz: built from its pinned Go module, run as a process, its report read back.

Each run is one configuration file: that of ``profiles/``, with the address, the number of calls
and the call data replaced.  The call data are binary (messages, each behind its length): ghz reads
them once and sends message *i* with call *i*, so every call has content of its own and no template
is rendered while it measures.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2
from google.protobuf.message import Message

from uwfq.v1 import scheduler_service_pb2

ROOT: Final = Path(__file__).resolve().parents[2]
MODULE: Final = Path(__file__).parent / "ghz"
PROFILES: Final = Path(__file__).parent / "profiles"
BINARY: Final = ROOT / "build" / "ghz"


def build() -> Path:
    """The ghz binary; built if it is missing or older than its module.

    Takes a minute or two the first time.  Raises ``SystemExit`` when there is no Go.
    """
    newest = max(path.stat().st_mtime for path in MODULE.iterdir())
    if not BINARY.exists() or BINARY.stat().st_mtime < newest:
        if shutil.which("go") is None:
            raise SystemExit("error: ghz is built with Go 1.24 or newer, and `go` is not on PATH")
        BINARY.parent.mkdir(parents=True, exist_ok=True)
        command = ["go", "build", "-trimpath", "-o", str(BINARY), "github.com/bojand/ghz/cmd/ghz"]
        subprocess.run(command, cwd=MODULE, check=True)
    return BINARY


class Outcome:
    """What ghz saw: how calls ended and how long they took."""

    def __init__(self, details: Sequence[dict[str, Any]] = ()) -> None:
        #: Calls by the name of their status.
        self.statuses = Counter(detail["status"] for detail in details)
        #: Seconds per call, in the order in which the calls ended.
        self.latencies = [detail["latency"] / 1e9 for detail in details]
        ended = [datetime.fromisoformat(each["timestamp"]).timestamp() for each in details]
        self._began = [end - took for end, took in zip(ended, self.latencies, strict=True)]
        self._ended = ended

    def __add__(self, other: Outcome) -> Outcome:
        """Both as one: they ran at the same time."""
        both = Outcome()
        both.statuses = self.statuses + other.statuses
        both.latencies = self.latencies + other.latencies
        both._began = self._began + other._began
        both._ended = self._ended + other._ended
        return both

    @property
    def calls(self) -> int:
        """Calls that ended, however they did."""
        return len(self.latencies)

    @property
    def seconds(self) -> float:
        """From the beginning of the first call to the end of the last."""
        span: float = max(self._ended) - min(self._began)
        return span


class Ghz:
    """Runs the binary; files go to a scratch directory."""

    def __init__(self, binary: Path, scratch: Path) -> None:
        self._binary = binary
        self._scratch = scratch
        self._protoset = scratch / "uwfq.protoset"
        self._protoset.write_bytes(_descriptors())

    async def run(
        self,
        profile: str,
        target: str,
        messages: Sequence[Message],
        *,
        in_flight: int,
        connections: int,
        **more: object,
    ) -> Outcome:
        """Send every message once; ``more`` are settings of ghz (``rps``, ``timeout``, ...).

        On a stream all messages go over one call.  Raises ``RuntimeError`` if ghz fails.
        """
        config = json.loads((PROFILES / f"{profile}.json").read_text())
        for by_hand in ("data", "proto", "import-paths"):
            del config[by_hand]
        with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
            here = Path(directory)
            (here / "messages").write_bytes(delimited(messages))
            streaming = "stream-call-count" in config
            config |= {
                "host": target,
                "protoset": str(self._protoset),
                "binary-file": str(here / "messages"),
                "total": 1 if streaming else len(messages),
                "concurrency": in_flight,
                "connections": connections,
                "count-errors": True,
                "format": "json",
                "output": str(here / "report"),
                **more,
            }
            if streaming:
                config["stream-call-count"] = len(messages)
            (here / "config.json").write_text(json.dumps(config))
            process = await asyncio.create_subprocess_exec(
                *(str(self._binary), "--config", str(here / "config.json")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                _, said = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            if process.returncode:
                raise RuntimeError(f"ghz: {said.decode()}")
            return Outcome(json.loads((here / "report").read_text())["details"] or ())


def delimited(messages: Sequence[Message]) -> bytes:
    """Messages, each behind its length as a varint."""
    parts = []
    for message in messages:
        encoded = message.SerializeToString()
        parts += [_varint(len(encoded)), encoded]
    return b"".join(parts)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _descriptors() -> bytes:
    """The service's file and all that it imports, dependencies first."""
    files = descriptor_pb2.FileDescriptorSet()
    seen = set()

    def add(file: Any) -> None:
        if file.name not in seen:
            seen.add(file.name)
            for dependency in file.dependencies:
                add(dependency)
            file.CopyToProto(files.file.add())

    add(scheduler_service_pb2.DESCRIPTOR)
    return files.SerializeToString()
