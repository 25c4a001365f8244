"""A service's journal and nothing else, to be killed: appends for ever and reports what it hears.

    python -m tests.faults.journal_child DIRECTORY SEED [BYTES]

With BYTES, the kernel lets no file of the process grow beyond that.
Prints ``recovered N`` once, ``durable N`` per ``on_durable``, ``compacting`` when a snapshot is
being made and ``snapshot`` when one has been.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import sys
from pathlib import Path

import structlog

from tests.store.example_events import numbered
from tests.store.ledger import TALLY
from uwfq_service.core.settings import Settings
from uwfq_service.store import SqliteJournal, StoreOptions


def say(what: str) -> None:
    """Print a line with one system call: it is in the pipe or it is not."""
    os.write(1, f"{what}\n".encode())


def fail(error: BaseException) -> None:
    """End, so that the test sees a dead child rather than none."""
    os.write(2, f"{error!r}\n".encode())
    os._exit(3)


async def run(directory: Path, seed: int) -> None:
    """Append until killed."""
    chance = random.Random(seed)
    options = StoreOptions(snapshot_records=1_500, history_records=10**9)
    loop = asyncio.get_running_loop()
    journal = SqliteJournal(directory, loop, options=options, scheduler_type=TALLY)
    last = journal.recover(Settings(), lambda: 1.0).sequence
    assert journal._housekeeper is not None
    compaction = journal._housekeeper._compaction
    journal.on_durable = lambda sequence: say(f"durable {sequence}")
    journal.on_failure = fail
    say(f"recovered {last}")
    compacting, snapshots = False, 0
    while True:
        for _ in range(chance.randrange(4)):
            last = journal.append(numbered(last + 1, chance.choice([1, 1, 2, 10, 100])))
        # Slow enough for a few snapshots' worth of events per life, not hundreds.
        await asyncio.sleep(0.002)
        if compaction.running and not compacting:
            say("compacting")
        compacting = compaction.running
        if journal.stats().snapshots > snapshots:
            snapshots = journal.stats().snapshots
            say("snapshot")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if len(sys.argv) > 3:
        limit = int(sys.argv[3])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))
