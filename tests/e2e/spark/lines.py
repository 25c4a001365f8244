"""The lines of Spark that the bridge is built for, and how a script runs on one of them.

Spark 4.x is PySpark of the development environment.  Spark 3.5 has an environment of its own,
``.venv-spark35``, which ``make spark35`` builds.  A script runs in a process of its own: it holds a
JVM, whose state should die with it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from spark_bridge.demo import processes

from tests.conftest import IN_CI

ROOT: Final = Path(__file__).resolve().parents[3]

#: The interpreter of each line.
PYTHONS: Final = {"4": Path(sys.executable), "3.5": ROOT / ".venv-spark35" / "bin" / "python"}

#: A busy machine needs a minute; a hang should fail.
PATIENCE_SECONDS: Final = 300.0

every_line = pytest.mark.parametrize("line", sorted(PYTHONS))


def python_of(line: str) -> str:
    """The interpreter that imports PySpark of this line; without it the test is skipped."""
    python = PYTHONS[line]
    if not python.exists():
        missing = f"no PySpark {line} for tests: run `make spark35`"
        if IN_CI:
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    return str(python)


def quick_start(python: str | Path) -> str:
    """Options for the JVMs of an interpreter's Spark, which here end soon after their start.

    Half of that they would spend on optimizing what runs once, and a third of the rest on reading
    Spark's classes, unless `make test` has archived them (``tests/spark/class_archive.py``).
    """
    options = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    archive = Path(python).parents[1] / "spark-classes.jsa"
    return f'{options} "-XX:SharedArchiveFile={archive}"' if archive.exists() else options


def environment(line: str) -> dict[str, str]:
    """Of a program that runs on a line of Spark."""
    python = PYTHONS[line]
    # Spark's own choice for its workers is whatever PATH calls python3.
    return processes.environment(SPARK_SUBMIT_OPTS=quick_start(python), PYSPARK_PYTHON=str(python))


def run(line: str, script: Path, *arguments: str) -> str:
    """Run a script on a line of Spark; what it printed. It fails the test if the script fails."""
    done = subprocess.run(
        # -P: what lies beside the script must not hide what is installed.
        [python_of(line), "-P", str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env=environment(line),
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
    return done.stdout
