"""What each further task of a query costs Spark: the query cut coarsely and finely, in turn.

    python -m tests.bench.bench_spark_cuts [--pairs 9] [--python .venv-spark35/bin/python]

Stock Spark with one slot scans the large table of `make spark-demo`, in two tasks and in one for
each row group.  The difference in time, by the difference in tasks, is what one more task costs: of
a scan whose rows are all filtered out, and of one that writes a shuffle.  Each in an application
with Spark's defaults, and in ones that open fewer files for a shuffle.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from spark_bridge.demo import dataset
from spark_bridge.demo.plan import Arrival
from spark_bridge.demo.processes import Driver

COARSE, FINE = 2, dataset.LONG_GROUPS
QUERIES = {
    "no rows": "SELECT count(*) FROM history WHERE amount > 2",
    "shuffle": "SELECT user_id % 10 AS bucket, count(*) FROM history GROUP BY user_id % 10",
}
#: What an application is given beside Spark's defaults.
SETTINGS: dict[str, dict[str, str]] = {
    "Spark's defaults": {},
    "8 shuffle partitions": {"spark.sql.shuffle.partitions": "8"},
    "bypassMergeThreshold 0": {"spark.shuffle.sort.bypassMergeThreshold": "0"},
}
#: Pairs before it counts: Java compiles what is hot.
WARM_UP = 2


def seconds(driver: Driver, sql: str, tasks: int, table_bytes: int) -> float:
    """How long a query takes that is cut into so many tasks."""
    (answer,) = driver.call(
        "run",
        label="cuts",
        arrivals=[dataclasses.asdict(Arrival("query", "alice", "long", 0.0, sql))],
        settings={
            "spark.sql.files.maxPartitionBytes": str(table_bytes // tasks + 1),
            "spark.sql.files.openCostInBytes": "1",
        },
        pools=False,
    )
    return float(answer["answered"] - answer["asked"])


def further_tasks(driver: Driver, sql: str, table_bytes: int, pairs: int) -> list[float]:
    """Seconds of each further task, by pairs of the query that take turns."""
    found = []
    for number in range(WARM_UP + pairs):
        order = (COARSE, FINE) if number % 2 else (FINE, COARSE)
        took = {tasks: seconds(driver, sql, tasks, table_bytes) for tasks in order}
        found.append((took[FINE] - took[COARSE]) / (FINE - COARSE))
    return found[WARM_UP:]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--python", default=sys.executable, help="whose PySpark runs")
    options = parser.parse_args()
    tables = dataset.prepare(dataset.default_directory(), print)
    arguments: dict[str, Any] = {"tables": {name: str(file) for name, file in tables.items()}}
    print("milliseconds of each further task, medians (middle half)")
    for name, settings in SETTINGS.items():
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uwfq-")))
            log = directory / "driver.log"
            driver = stack.enter_context(Driver(options.python, "spark_bridge.demo.driver", log))
            common = {
                "spark.master": "local[1]",
                "spark.ui.enabled": "false",
                "spark.ui.showConsoleProgress": "false",
                "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseParallelGC",
            }
            version = driver.call("start", settings=common | settings, **arguments)
            for kind, sql in QUERIES.items():
                size = tables["history"].stat().st_size
                costs = further_tasks(driver, sql, size, options.pairs)
                low, middle, high = (1e3 * each for each in statistics.quantiles(costs, n=4))
                print(f"{version:<6} {name:<24} {kind:<8} {middle:6.1f} ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
