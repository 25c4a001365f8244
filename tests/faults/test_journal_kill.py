"""kill -9 at random moments: whatever was acknowledged is still there, in its place.

``UWFQ_KILLS`` sets how often the process is killed. A failure names the seed of its round.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.command import PATIENCE_SECONDS
from tests.store.example_events import numbered
from tests.store.harness import open_sqlite
from tests.store.ledger import TALLY, tally_of
from uwfq_service.core.events import JobEnded
from uwfq_service.store import read_history

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("UWFQ_KILLS", "6"))

#: What the rounds wait for before the random rest of a life.
MOMENTS = ("durable", "compacting", "snapshot")


def killed_life(directory: Path, seed: int) -> tuple[int, int]:
    """Run a child and kill it; return the last number it recovered and the last it reported."""
    chance = random.Random(seed)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.journal_child", str(directory), str(seed)],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        # It appends for ever, whether the moment comes or not.
        limit = threading.Timer(PATIENCE_SECONDS, child.kill)
        limit.daemon = True
        limit.start()
        moment = MOMENTS[seed % len(MOMENTS)]
        lines = []
        for line in child.stdout:
            lines.append(line)
            if line.startswith(moment):
                break
        else:
            raise AssertionError(f"seed {seed}: it ended before it said {moment!r}")
        # Random in work done, then in time: within a commit, a sync, a step of housekeeping.
        lines += [child.stdout.readline() for _ in range(chance.randrange(20))]
        time.sleep(chance.random() * 0.05)
        child.kill()
        limit.cancel()
        lines += child.stdout
    numbers = {"recovered": 0, "durable": 0}
    for line in lines:
        if line.endswith("\n") and " " in line:
            what, number = line.split()
            numbers[what] = int(number)
    return numbers["recovered"], max(numbers.values())


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path: Path) -> None:
    """One directory lives through all kills."""
    acknowledged = 0
    for seed in range(KILLS):
        recovered, reported = killed_life(tmp_path, seed)
        assert recovered >= acknowledged, f"lost in the life before seed {seed}"
        acknowledged = reported
    watched = open_sqlite(tmp_path, scheduler_type=TALLY)
    watched.journal.close()
    last = watched.recovery.sequence
    assert last >= acknowledged > 0
    assert watched.recovery.scheduler.dump() == tally_of(numbered(1, last))
    # Nothing was trimmed, so the history is complete too.
    history = [event.job for event in read_history(tmp_path) if isinstance(event, JobEnded)]
    assert history == list(range(1, last + 1, 2))
    if len(MOMENTS) <= KILLS:
        assert watched.recovery.snapshot_sequence > 0, "one life in three ends after a snapshot"
