"""Which jar fits which Spark."""

import subprocess
import sys
from pathlib import Path

import pytest

import uwfq_spark
from tests.unit.spark.installations import built, spark_home
from uwfq_spark import JarNotFound, UnsupportedSpark, jar_path


@pytest.mark.parametrize(
    ("core", "jar"),
    [
        ("2.12-3.5.0", "uwfq-spark-3.5_2.12-0.1.0.jar"),
        ("2.12-3.5.9", "uwfq-spark-3.5_2.12-0.1.0.jar"),
        ("2.13-3.5.9", "uwfq-spark-3.5_2.13-0.1.0.jar"),
        ("2.13-4.0.4", "uwfq-spark-4_2.13-0.1.0.jar"),
        ("2.13-4.3.0", "uwfq-spark-4_2.13-0.1.0.jar"),
        ("2.13-4.4.0-preview1", "uwfq-spark-4_2.13-0.1.0.jar"),
    ],
)
def test_the_jar_fits_the_version_of_spark_and_of_scala(
    core: str, jar: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both stand in the name of Spark's core, whatever else lies beside it."""
    jars = built(tmp_path / "built", monkeypatch)
    assert jar_path(spark_home(tmp_path / "spark", core)) == str(jars / jar)


@pytest.mark.parametrize("core", ["2.12-3.4.4", "2.13-5.0.0", "2.12-4.0.0", "2.11-3.5.0"])
def test_a_spark_that_no_jar_fits_is_refused_with_those_that_there_are(
    core: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather at once than with a NoSuchMethodError in the middle of a query."""
    built(tmp_path / "built", monkeypatch)
    scala, _, version = core.partition("-")
    with pytest.raises(UnsupportedSpark) as refusal:
        jar_path(spark_home(tmp_path / "spark", core))
    assert f"Spark {version} for Scala {scala}" in str(refusal.value)
    assert "Spark 3.5 (Scala 2.12 or 2.13) and Spark 4.x (Scala 2.13)" in str(refusal.value)


def test_a_directory_without_spark_is_named(tmp_path: Path) -> None:
    """A typing error in a path shows the path."""
    with pytest.raises(UnsupportedSpark, match="is no Spark installation") as refusal:
        jar_path(tmp_path / "elsewhere")
    assert str(tmp_path / "elsewhere") in str(refusal.value)


def test_spark_home_comes_before_the_installed_pyspark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with PySpark itself: it starts the Spark of SPARK_HOME."""
    jars = built(tmp_path / "built", monkeypatch)
    monkeypatch.setenv("SPARK_HOME", str(spark_home(tmp_path / "spark", "2.12-3.5.2")))
    assert jar_path() == str(jars / "uwfq-spark-3.5_2.12-0.1.0.jar")


def test_the_installed_pyspark_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The development environment has PySpark 4.3."""
    jars = built(tmp_path / "built", monkeypatch)
    monkeypatch.delenv("SPARK_HOME", raising=False)
    assert jar_path() == str(jars / "uwfq-spark-4_2.13-0.1.0.jar")


def test_a_wheel_without_jars_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was built where Maven or Java were missing."""
    monkeypatch.setattr("uwfq_spark.jar.JARS", tmp_path)
    with pytest.raises(JarNotFound, match="make jars"):
        jar_path(spark_home(tmp_path / "spark", "2.13-4.0.4"))


def test_importing_the_package_imports_neither_pyspark_nor_grpc() -> None:
    """It is imported by every notebook, and by commands that only ask for a path."""
    code = (
        "import sys, uwfq_spark; uwfq_spark.jar.spark_at();"
        "print([name for name in ('pyspark', 'grpc', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_everything_that_is_promised_is_there() -> None:
    """The names in ``__all__`` exist."""
    assert all(hasattr(uwfq_spark, name) for name in uwfq_spark.__all__)
