"""A disk that takes no more: the journal says so once, and what it had acknowledged is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.store.example_events import numbered
from tests.store.harness import open_sqlite
from tests.store.ledger import TALLY, tally_of

ROOT = Path(__file__).resolve().parents[2]

#: No file may grow beyond this, by order of the kernel.
LIMIT_BYTES = 600_000


async def test_a_refused_write_stops_the_journal_and_loses_nothing(tmp_path: Path) -> None:
    """The write fails in the kernel, in the midst of a commit."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    finished = subprocess.run(  # noqa: ASYNC221 - nothing else runs
        [sys.executable, "-m", "tests.faults.journal_child", str(tmp_path), "1", str(LIMIT_BYTES)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 3, "it ended by on_failure"
    assert "disk" in finished.stderr
    durable = [line for line in finished.stdout.splitlines() if line.startswith("durable")]
    acknowledged = int(durable[-1].split()[1])
    # And when there is room again, the next service goes on; nothing has to be repaired by hand.
    watched = open_sqlite(tmp_path, scheduler_type=TALLY)
    last = watched.recovery.sequence
    assert last >= acknowledged > 0
    assert watched.recovery.scheduler.dump() == tally_of(numbered(1, last))
    await watched.until_durable(watched.journal.append(numbered(last + 1, 5000)))
    watched.journal.close()
    watched = open_sqlite(tmp_path, scheduler_type=TALLY)
    watched.journal.close()
    assert watched.recovery.scheduler.dump() == tally_of(numbered(1, last + 5000))
