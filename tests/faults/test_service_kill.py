"""kill -9 under load: no acknowledged submit and no acknowledged result is ever lost.

The long run is ``python -m tests.faults.kill_loop --kills 50``.  ``UWFQ_KILLS`` sets how often
this one kills; a failure prints its seed.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults.kill_loop import kill_loop

KILLS = int(os.environ.get("UWFQ_KILLS", "6"))


@pytest.mark.slow
async def test_nothing_that_a_client_was_told_is_lost_to_kill_9(tmp_path: Path) -> None:
    """One service lives through all kills; what it holds in the end is what it said."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    loop = await kill_loop(tmp_path, KILLS, seed)
    print(loop.report())  # noqa: T201 - as above
    assert loop.faultless, loop.report()
    assert loop.ledger.jobs
    assert loop.ledger.accepted
    assert loop.service.lines["snapshot_written"], "compaction was part of it"
