"""Directories that look like Spark, and a package that looks as if it had been built with jars."""

from pathlib import Path

import pytest

from uwfq_spark import jar


def spark_home(directory: Path, core: str) -> Path:
    """A Spark home of which there is only the file that tells its version."""
    (directory / "jars").mkdir(parents=True)
    (directory / "jars" / f"spark-core_{core}.jar").touch()
    # Its name begins alike and says nothing about Spark's version.
    (directory / "jars" / "spark-common-utils_2.13-9.9.9.jar").touch()
    return directory


def built(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a jar for every line, in the place of the package's own."""
    directory.mkdir()
    for line, scala in jar.LINES:
        (directory / f"uwfq-spark-{line}_{scala}-0.1.0.jar").touch()
    monkeypatch.setattr(jar, "JARS", directory)
    return directory
