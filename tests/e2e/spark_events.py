"""Runs real Spark applications that leave event logs behind, and what Spark itself counted.

A script, started by ``test_spark_log_import.py``: it holds a JVM, whose state should die with it.

    spark_events.py DIRECTORY

Each application logs into a directory of its own under DIRECTORY.  What Spark counted is read from
its REST interface, which has it from other listeners than the log, and goes to ``counted.json``
there:

    {"<codec>": {"log": "<directory>", "user": "…", "jobs": […], "stages": […], "sql": […]}}
"""

from __future__ import annotations

import getpass
import json
import os
import sys
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark import InheritableThread, SparkConf, SparkContext
from pyspark.sql import DataFrame, SparkSession

SETTINGS = {
    "spark.master": "local[2]",
    "spark.ui.port": "0",
    "spark.ui.showConsoleProgress": "false",
    "spark.eventLog.enabled": "true",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.log.level": "OFF",
}


def session(name: str, directory: Path, codec: str, *, rolling: bool) -> SparkSession:
    """A new application that logs into the directory."""
    directory.mkdir()
    conf = SparkConf().setAll(list(SETTINGS.items())).setAppName(name)
    conf.set("spark.eventLog.dir", directory.as_uri())
    conf.set("spark.eventLog.rolling.enabled", str(rolling).lower())
    conf.set("spark.eventLog.compress", str(codec != "none").lower())
    if codec != "none":
        conf.set("spark.eventLog.compression.codec", codec)
    return SparkSession.builder.config(conf=conf).getOrCreate()


def counted(spark: SparkSession, directory: Path) -> dict[str, Any]:
    """What Spark's own listeners have counted in this application."""
    context = spark.sparkContext
    context._jsc.sc().listenerBus().waitUntilEmpty()
    base = f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}"

    def get(path: str) -> Any:
        with urllib.request.urlopen(f"{base}/{path}", timeout=30) as reply:
            return json.load(reply)

    return {
        "log": directory.name,
        "user": getpass.getuser(),
        "jobs": get("jobs"),
        "stages": get("stages?details=true"),
        "sql": get("sql?details=false&length=1000"),
    }


def joined(spark: SparkSession, hint: str, above: int) -> DataFrame:
    """A join whose sides are shuffled (``merge``), or one of them sent around (``broadcast``)."""
    left = spark.range(0, 200_000, 1, 4).selectExpr("id", "id % 100 AS k")
    right = spark.range(0, 1_000, 1, 3).selectExpr("id AS other", "id % 100 AS k").hint(hint)
    return left.join(right, "k").where(f"other > {above}").groupBy("k").count()


def as_user(context: SparkContext, name: str) -> None:
    """What this thread submits from now on is theirs."""
    context.setLocalProperty("spark.uwfq.user", name)
    # By which the test knows them in what Spark counted.
    context.setJobGroup(name, f"of {name}")


def alice(spark: SparkSession) -> None:
    """Adaptive queries, twice the same but for a literal."""
    as_user(spark.sparkContext, "alice")
    for above in (3, 500):
        joined(spark, "merge", above).collect()


def bob(spark: SparkSession) -> None:
    """Jobs of the RDD interface: with a shuffle, with its result used again, with an error."""
    context = spark.sparkContext
    as_user(context, "bob")
    pairs = context.parallelize(range(1_000), 6).map(lambda number: (number % 7, number))
    sums = pairs.reduceByKey(lambda one, other: one + other, 3)
    sums.count()
    sums.collect()
    # More than fits into a reply: the driver fetches it, and the slot is free meanwhile.
    context.parallelize([1], 1).map(lambda _: bytes(os.urandom(3 << 20))).collect()
    try:
        context.parallelize([0, 1], 2).map(lambda number: 1 // (1 - number)).collect()
    except Exception:  # noqa: BLE001 - Spark's, by way of its JVM.
        return
    raise AssertionError("it divided by zero")


def carol(spark: SparkSession) -> None:
    """Known by a tag, as those are who come through Spark Connect."""
    context = spark.sparkContext
    context.setJobGroup("carol_of_sales", "of carol")
    context.addJobTag("nightly")
    context.addJobTag(
        "SparkConnect_OperationTag_User_carol_of_sales"
        f"_Session_{uuid.uuid4()}_Operation_{uuid.uuid4()}"
    )
    joined(spark, "broadcast", 3).collect()


def dave(spark: SparkSession) -> None:
    """Known by a pool."""
    context = spark.sparkContext
    context.setJobGroup("dave", "of dave")
    context.setLocalProperty("spark.scheduler.pool", "dave")
    spark.range(0, 1_000, 1, 5).selectExpr("sum(id)").collect()


def side_by_side(spark: SparkSession, *users: Callable[[SparkSession], None]) -> None:
    """Let users ask at the same time, each in a thread with local properties of its own."""
    failed: list[BaseException] = []

    def guarded(user: Callable[[SparkSession], None]) -> None:
        try:
            user(spark)
        except BaseException as error:  # noqa: BLE001 - It is raised again.
            failed.append(error)

    threads = [InheritableThread(target=guarded, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def shared(directory: Path) -> dict[str, Any]:
    """One application for several users, with a rolling log of two files."""
    spark = session("shared", directory, "zstd", rolling=True)
    side_by_side(spark, alice, bob, carol, dave)
    jvm = spark.sparkContext._jsc.sc()
    jvm.listenerBus().waitUntilEmpty()
    jvm.eventLogger().get().logWriter().rollEventLogFile()
    spark.sparkContext.setJobGroup(getpass.getuser(), "of nobody in particular")
    frame = joined(spark, "merge", 7).cache()
    frame.count()
    frame.count()
    facts = counted(spark, directory)
    spark.stop()
    return facts


def small(directory: Path, codec: str) -> dict[str, Any]:
    """One user's application, which asks once."""
    spark = session(f"small-{codec}", directory, codec, rolling=codec == "lz4")
    spark.sparkContext.setJobGroup(getpass.getuser(), "of nobody in particular")
    spark.range(0, 1_000, 1, 3).selectExpr("id % 10 AS k").groupBy("k").count().collect()
    facts = counted(spark, directory)
    spark.stop()
    return facts


def main(directory: Path) -> None:
    """Run all applications."""
    facts = {"zstd": shared(directory / "zstd")}
    for codec in ("none", "lz4", "snappy", "lzf"):
        facts[codec] = small(directory / codec, codec)
    (directory / "counted.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
