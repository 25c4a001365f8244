"""The example in the client's README, as a newcomer would run it: three processes."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from uwfq_service.server.app import Server
from uwfq_service.server.config import load

README = Path(__file__).parents[2] / "clients" / "python" / "README.md"


def script(name: str, target: str) -> str:
    """One example of the README, for a service at ``target``."""
    found = re.search(rf"```python\n(# {name}\n.*?)```", README.read_text(), re.DOTALL)
    assert found is not None, f"the README has no {name}"
    return found[1].replace("127.0.0.1:7170", target)


async def test_the_example_in_the_readme_runs() -> None:
    """The job is done, the worker saw its eight tasks and ends cleanly on SIGTERM."""
    async with (
        asyncio.timeout(60),
        Server(load({"listen": "127.0.0.1:0", "data": ":memory:"})) as server,
    ):
        target = f"127.0.0.1:{server.port}"
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script("worker.py", target), stdout=PIPE
        )
        submit = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script("submit.py", target), stdout=PIPE
        )
        said, _ = await submit.communicate()
        assert submit.returncode == 0
        assert said.startswith(b"8 tasks took ")
        worker.send_signal(signal.SIGTERM)
        lines, _ = await worker.communicate()
        assert worker.returncode == 0
        assert lines.count(b"alice's task ") == 8
