"""A Spark application with the bridge, that does what its standard input says.

A script, started by ``test_bridge.py``: each line of input is a step below, and each step prints
one JSON document.  It runs on every line of Spark, in that line's environment.

    application_script.py TARGET DIRECTORY
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark import InheritableThread
from pyspark.sql import SparkSession

import uwfq_spark


def nobody(spark: SparkSession, directory: Path) -> Any:
    """Runs a query, and does not say whose; leaves a table of several files behind."""
    rows = spark.range(0, 200_000, 1, 4)
    rows.write.mode("overwrite").parquet(str(directory / "table"))
    return rows.count()


def alice(spark: SparkSession, directory: Path) -> Any:
    """Runs a query over the table as a user."""
    with uwfq_spark.user("alice", weight=2):
        table = spark.read.parquet(str(directory / "table"))
        return table.selectExpr("id % 7 AS k").groupBy("k").count().count()


def bob(spark: SparkSession, directory: Path) -> Any:
    """Asks where a job stands that ends only once its standing was seen."""
    seen = directory / "seen"

    def wait(number: int) -> int:
        while not seen.exists():
            time.sleep(0.05)
        return number

    with uwfq_spark.user("bob"):
        spark.sparkContext.setJobDescription("waits to be seen")
        numbers = spark.sparkContext.parallelize(range(8), 8).map(wait)
        thread = InheritableThread(target=numbers.count)
        thread.start()
        found: list[uwfq_spark.Standing] = []
        while not any(standing.running_tasks for standing in found):
            found = uwfq_spark.standings()
        seen.touch()
        thread.join()
        spark.sparkContext.setJobDescription("")
    return [str(standing) for standing in found]


STEPS: dict[str, Callable[[SparkSession, Path], Any]] = {
    each.__name__: each for each in (nobody, alice, bob)
}


def main(target: str, directory: Path) -> None:
    """Start the application, take its steps, and stop it."""
    builder = (
        SparkSession.builder.master("local[2]")
        .appName("bridged")
        .config("spark.ui.port", "0")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "4")
    )
    # Longer than a busy machine lets a query wait; and the table is small.
    spark = uwfq_spark.configure(
        builder, target=target, partitioning_timeout="30s", partitioning_min_task_bytes="1k"
    ).getOrCreate()
    print(json.dumps(spark.sparkContext.uiWebUrl), flush=True)
    for line in sys.stdin:
        print(json.dumps(STEPS[line.strip()](spark, directory)), flush=True)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
