"""Finds the jar of the bridge that fits a Spark installation.

Spark's own classes change between its lines, and so do Scala's between 2.12 and 2.13: a jar that
fits neither fails late, with a ``NoSuchMethodError`` in the middle of a query.  So the choice is
made here, from the name of one file that every installation has: ``spark-core_<Scala>-<Spark>.jar``
in its directory ``jars``.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
from pathlib import Path
from typing import Final

#: The jars that there are: line of Spark and version of Scala, as in their names.
LINES: Final = (("3.5", "2.12"), ("3.5", "2.13"), ("4", "2.13"))

SUPPORTED: Final = "Spark 3.5 (Scala 2.12 or 2.13) and Spark 4.x (Scala 2.13)"

#: Where the wheel, or ``make jars`` in a checkout, puts them.
JARS: Final = Path(__file__).parent / "jars"

_CORE = re.compile(r"spark-core_(?P<scala>\d+\.\d+)-(?P<spark>\d+\.\d+\.\d+.*)\.jar")


class UnsupportedSpark(RuntimeError):
    """There is no Spark, or one that the bridge was not built for."""


class JarNotFound(RuntimeError):
    """This installation of ``uwfq`` was built without the jars."""


@dataclasses.dataclass(frozen=True, slots=True)
class Spark:
    """An installation of Spark.

    Attributes:
        home: the directory that holds ``jars``.
        version: of Spark, such as ``"3.5.9"``.
        scala: of Scala, such as ``"2.12"``.
    """

    home: Path
    version: str
    scala: str


def jar_path(pyspark: str | os.PathLike[str] | None = None) -> str:
    """The absolute path of the bridge's jar for a Spark installation.

    Args:
        pyspark: the directory of PySpark, or any other Spark home; without it ``SPARK_HOME``, and
            without that the PySpark that this interpreter would import.

    Raises:
        UnsupportedSpark: no Spark is there, or none that the bridge was built for.
        JarNotFound: this installation of ``uwfq`` has no jars.
    """
    spark = spark_at(pyspark)
    line, scala = line_of(spark.version, spark.scala)
    if (line, scala) not in LINES:
        raise UnsupportedSpark(
            f"{spark.home} holds Spark {spark.version} for Scala {spark.scala}; "
            f"the bridge is built for {SUPPORTED}"
        )
    found = sorted(JARS.glob(f"uwfq-spark-{line}_{scala}-*.jar"))
    if not found:
        raise JarNotFound(
            f"this installation of uwfq has no jar for Spark {line} and Scala {scala}: it was "
            "built without Java 17 or Maven; install a released wheel, or run `make jars` in a "
            "checkout"
        )
    return str(found[-1].resolve())


def line_of(version: str, scala: str) -> tuple[str, str]:
    """The line that a Spark belongs to; there may be no jar for it (see ``LINES``).

    >>> line_of("4.3.0", "2.13")
    ('4', '2.13')
    """
    major, minor, *_ = version.split(".")
    return (major if major == "4" else f"{major}.{minor}"), scala


def spark_at(home: str | os.PathLike[str] | None = None) -> Spark:
    """The installation in a directory, or the one that PySpark would use.

    Raises:
        UnsupportedSpark: no Spark is there.
    """
    directory = Path(home) if home is not None else _default_home()
    # A checkout of Spark has them where its assembly puts them.
    for jars in (directory / "jars", *directory.glob("assembly/target/scala-*/jars")):
        cores = (_CORE.fullmatch(path.name) for path in sorted(jars.glob("spark-core_*.jar")))
        for core in filter(None, cores):
            return Spark(directory, core["spark"], core["scala"])
    raise UnsupportedSpark(
        f"{directory} is no Spark installation (no jars/spark-core_*.jar); "
        f"the bridge needs {SUPPORTED}"
    )


def _default_home() -> Path:
    if home := os.environ.get("SPARK_HOME"):
        return Path(home)
    # Found, not imported: importing PySpark takes a second, and reads the environment.
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise UnsupportedSpark(
            f"no PySpark is installed and SPARK_HOME is not set; the bridge needs {SUPPORTED}"
        )
    return Path(spec.submodule_search_locations[0])
