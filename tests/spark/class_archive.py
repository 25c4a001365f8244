"""Archive the classes of a Spark, so that its JVMs start in two thirds of the time.

    PYTHON class_archive.py FILE

A script, run by ``make test`` with the interpreter of each line of Spark: a JVM would read, check
and link all of them from the jars at every start (JEP 350).  What a small application has loaded is
written down when it ends.  A JVM does without an archive that is not of its jars.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import SparkSession


def use(spark: SparkSession, directory: Path) -> None:
    """Do a little of everything: the first of each kind loads classes."""
    spark.range(1_000).write.parquet(str(directory / "table"))
    table = spark.read.parquet(str(directory / "table"))
    table.join(table.selectExpr("id % 7 AS id"), "id").groupBy("id").count().collect()
    pairs = spark.sparkContext.parallelize(range(4), 4).map(lambda number: (number % 2, number))
    pairs.reduceByKey(max).collect()


def main(archive: Path) -> None:
    """Run the application, and wait for its JVM to end."""
    with tempfile.TemporaryDirectory() as directory:
        spark = (
            SparkSession.builder.master("local[2]")
            .config(
                "spark.driver.extraJavaOptions",
                "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC "
                # It warns of every class that it leaves out.
                f'"-XX:ArchiveClassesAtExit={archive}" -Xlog:cds=error',
            )
            .config("spark.driver.host", "127.0.0.1")
            # Its own choice is whatever PATH calls python3.
            .config("spark.pyspark.python", sys.executable)
            .config("spark.ui.port", "0")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.log.level", "ERROR")
            .config("spark.sql.shuffle.partitions", "4")
            .config("spark.eventLog.enabled", "true")
            .config("spark.eventLog.dir", Path(directory).as_uri())
            .getOrCreate()
        )
        use(spark, Path(directory))
        gateway = SparkContext._gateway
        assert gateway is not None, "a session has started it"
        spark.stop()
        # It ends with its input.
        gateway.proc.stdin.close()
        gateway.proc.wait()
    if not archive.exists():
        sys.exit(f"error: the JVM has not written {archive}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
