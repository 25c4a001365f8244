"""A service of our own to drive: fresh, on a socket that nobody else can take, gone at the end.

Times pass faster in a replay, so what the service counts in seconds or in work is set to match:
what it assumes of a job that it knows nothing about, and how much of a task may be overhead.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from uwfq_client import Client, UwfqError
from uwfq_service.core.settings import Settings
from uwfq_service.demo.processes import ChildFailed, Children, children, directory_for_a_socket

#: How long the service may take to come up, seconds.
_START_SECONDS: Final = 30.0
#: How long the end of a process may take to show, seconds.
_END_SECONDS: Final = 1.0


class PrivateService(NamedTuple):
    """Where it listens, and how to find out that it is gone."""

    target: str
    #: Raises ``ChildFailed`` if it has ended.
    check: Callable[[], None]

    async def until_serving(self, client: Client) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self.check()
            with contextlib.suppress(UwfqError):
                await client.get_pool(timeout=1.0)
                return
            if time.monotonic() > deadline:
                raise ChildFailed(f"the service did not answer within {_START_SECONDS:.0f} s")
            await asyncio.sleep(0.05)

    def check_twice(self) -> None:
        """As ``check``, for when a call has failed: its process may be about to end."""
        deadline = time.monotonic() + _END_SECONDS
        while time.monotonic() < deadline:
            self.check()
            time.sleep(0.02)


@contextlib.contextmanager
def private_service(policy: str, speed: float) -> Iterator[PrivateService]:
    """Start a service; it and its data are gone after the block, whatever happens."""
    with (
        tempfile.TemporaryDirectory(prefix="uwfq-replay-", dir=directory_for_a_socket()) as name,
        children(Path(name)) as processes,
    ):
        target = f"unix:{Path(name) / 'uwfq.sock'}"
        _start(processes, target, Path(name), policy, speed)
        yield PrivateService(target, processes.check)


def _start(processes: Children, target: str, directory: Path, policy: str, speed: float) -> None:
    usual = Settings()
    settings = {
        "pools.default.policy": policy,
        "scheduling.prior_work": usual.prior_work / speed,
        # The overhead of a task is as long as ever, the task is not.
        "scheduling.overhead_budget": min(1.0, usual.overhead_budget * speed),
    }
    processes.start(
        "service",
        "uwfq_service.cli",
        [
            "serve",
            *("--listen", target, "--data", str(directory / "data"), "--log-level", "warning"),
            *(part for name, value in settings.items() for part in ("--set", f"{name}={value}")),
        ],
    )
