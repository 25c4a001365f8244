"""Makes a data directory in which jobs wait.

    python -m tests.load.fill DATA USERS JOBS

They are admitted by the service's own engine and journalled, only not through gRPC: that takes
about a tenth of a millisecond a job.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

from tests.load import calls
from uwfq_service.core.settings import Limits
from uwfq_service.server import app, convert, logs
from uwfq_service.server.config import load

#: Enough that no slice runs out of them.
TASKS_PER_JOB: Final = 1_000
_AT_ONCE: Final = 1_000
LIMITS: Final = Limits()


async def fill(data: Path, users: int, jobs: int) -> None:
    """Let so many jobs of so many users wait in the pool for leases."""
    logs.configure("error", "json")
    settings = {"listen": "127.0.0.1:0", "data": str(data)}
    config = load({**settings, f"pools.{calls.LEASED}.policy": "uwfq"})
    requests = calls.submissions(calls.LEASED, jobs, tasks=TASKS_PER_JOB)
    for number, request in enumerate(requests):
        request.user = f"user-{number % users}"
    async with app.Server(config) as server:
        for begin in range(0, jobs, _AT_ONCE):
            batch = requests[begin : begin + _AT_ONCE]
            await asyncio.gather(
                *(server.engine.call(convert.submit_job(each, LIMITS)) for each in batch)
            )


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
