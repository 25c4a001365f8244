"""A worker process whose handlers fork, as those do that use ``multiprocessing``."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from tests.e2e.command import PATIENCE_SECONDS, environment
from uwfq_client import Client, Stage
from uwfq_service.server.app import Server
from uwfq_service.server.config import load

WORKER = Path(__file__).with_name("forking_worker.py")


async def test_a_signal_to_what_a_handler_has_forked_is_not_the_workers() -> None:
    """It ends the child, as a pool ends its processes, and the worker goes on to the next task."""
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        Server(load({"listen": "127.0.0.1:0", "data": ":memory:"})) as server,
        Client(f"127.0.0.1:{server.port}") as client,
    ):
        job = await client.submit(user="ann", kind="fork", stages=[Stage("only", tasks=3)])
        worker = await asyncio.create_subprocess_exec(
            # The child has no use for gRPC, which could hang, or crash, in its own preparations.
            *(sys.executable, str(WORKER), f"127.0.0.1:{server.port}"),
            env=environment(GRPC_ENABLE_FORK_SUPPORT="0"),
        )
        try:
            done = await client.wait(job.job_id, check=True)
            assert done.failed_attempts == 0
            worker.send_signal(signal.SIGTERM)
            assert await worker.wait() == 0
        finally:
            if worker.returncode is None:
                worker.kill()
