"""The experiment as its reader starts it, in small: real Spark, real service, real scans."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from spark_bridge.demo.processes import environment

from tests.e2e.spark.lines import PATIENCE_SECONDS

pytestmark = [pytest.mark.needs("java"), pytest.mark.slow]


def test_scans_suit_the_machine_and_every_query_is_answered(tmp_path: Path) -> None:
    """One stock application, which is timed, and one with the bridge."""
    results = tmp_path / "results"
    options = ["--scheduler", "bridge-partitioning", "--seconds", "4", "--scans", "1"]
    files = ["--data", str(tmp_path / "tables"), "--results", str(results)]
    done = subprocess.run(
        [sys.executable, "-m", "spark_bridge.demo", *options, *files],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    (file,) = results.glob("*.json")
    figures = json.loads(file.read_text())
    assert f"hashing {figures['hashes_a_row']} times" in done.stderr
    (scheduler,) = figures["schedulers"].values()
    assert scheduler["short"]["queries"] == 4
    assert scheduler["long"]["queries"] == 2
