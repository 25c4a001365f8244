"""The Spark application of the experiment: starts a session, then lets queries arrive in it.

Started as ``python -m spark_bridge.demo.driver`` in the environment of its Spark, and told what to
do through ``wire.py``.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from pyspark import SparkConf
from pyspark.sql import SparkSession
from spark_bridge.demo import wire

#: The application's one session, from `start` on; threads have no active one of their own.
_started: list[SparkSession] = []


def _session() -> SparkSession:
    assert _started, "ask for `start` first"
    return _started[0]


def start(settings: dict[str, str], tables: dict[str, str]) -> str:
    """Start the application, and name the tables; the version of Spark."""
    conf = SparkConf().setAll(list(settings.items()))
    spark = SparkSession.builder.config(conf=conf).getOrCreate()
    _started.append(spark)
    for name, path in tables.items():
        spark.read.parquet(path).createOrReplaceTempView(name)
    return spark.version


def rehearse(queries: list[str]) -> list[float]:
    """Run queries one after another; the seconds that each took."""
    _ask_as("rehearsal")
    seconds = []
    for query in queries:
        begun = time.monotonic()
        _session().sql(query).collect()
        seconds.append(time.monotonic() - begun)
    return seconds


def run(
    label: str, arrivals: list[dict[str, Any]], settings: dict[str, str], pools: bool
) -> list[dict[str, Any]]:
    """Let the queries arrive, each in a thread of its own; what became of each.

    Spark shows each as ``label: name``.  ``settings`` are the session's; ``pools``: each user's
    stages are in a pool of stock Spark's.
    """
    for key, value in settings.items():
        _session().conf.set(key, value)
    begun = time.monotonic()
    answers: list[dict[str, Any]] = []

    def ask(arrival: dict[str, Any]) -> None:
        _ask_as(arrival["user"], pool=arrival["user"] if pools else None)
        _session().sparkContext.setJobDescription(f"{label}: {arrival['name']}")
        time.sleep(max(0.0, begun + arrival["at_seconds"] - time.monotonic()))
        asked = time.monotonic()
        try:
            rows = sorted(list(row) for row in _session().sql(arrival["sql"]).collect())
            answer: dict[str, Any] = {"rows": rows}
        except Exception as error:  # noqa: BLE001 - It is the experiment's to judge.
            answer = {"error": str(error)}
        times = {"asked": asked - begun, "answered": time.monotonic() - begun}
        answers.append({"name": arrival["name"], **times, **answer})

    threads = [threading.Thread(target=ask, args=(arrival,)) for arrival in arrivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def stop() -> None:
    """End the application: its event log is complete then."""
    _session().stop()


def _ask_as(user: str, pool: str | None = None) -> None:
    """What this thread asks from now on is this user's to the bridge; and in a pool, or in none."""
    context = _session().sparkContext
    context.setLocalProperty("spark.uwfq.user", user)
    context.setLocalProperty("spark.scheduler.pool", pool)  # type: ignore[arg-type]  # None removes it.


if __name__ == "__main__":
    wire.serve({"start": start, "rehearse": rehearse, "run": run, "stop": stop})
