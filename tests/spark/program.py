"""The shared Spark application that the tests talk to: queries and jobs of known work and result.

Started as ``python -m tests.spark.program`` in the environment of its Spark; ``wire.py`` says how
it is asked.  Tasks sleep: what they take is theirs, whatever else the machine does, and a count of
their slot-seconds says what each user was given.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from py4j.java_gateway import get_field
from pyspark import BarrierTaskContext, SparkConf, SparkContext, TaskContext
from pyspark.sql import SparkSession
from spark_bridge.demo import wire

#: Frames that were cached, by name.
_cached: dict[str, Any] = {}
#: Set: loops of this user end.
_enough: dict[str, threading.Event] = {}


def _session() -> SparkSession:
    found = SparkSession._instantiatedSession
    assert found is not None, "ask for `start` first"
    return found


def _context() -> SparkContext:
    return _session().sparkContext


def _ask_as(user: str, name: str) -> None:
    """What this thread asks from now on is this user's."""
    context = _context()
    context.setLocalProperty("spark.uwfq.user", user)
    context.setLocalProperty("spark.scheduler.pool", user)
    context.setJobGroup(name, name, interruptOnCancel=True)


def start(settings: dict[str, str]) -> str:
    """Start the application; the version of Spark."""
    conf = SparkConf().setAll(list(settings.items()))
    return SparkSession.builder.config(conf=conf).getOrCreate().version


def stop() -> None:
    """End it: its event log is complete then."""
    _session().stop()


def logged() -> None:
    """Wait until all listeners have heard of all that has happened, the event log's among them."""
    _context()._jsc.sc().listenerBus().waitUntilEmpty()


def _sql(tasks: int, milliseconds: int) -> int:
    """Two stages: ``tasks`` that sleep, and one that adds up what they read."""
    # The method gives no number, but takes its time for every row: one a task.
    nap = f"coalesce(length(java_method('java.lang.Thread', 'sleep', {milliseconds}L)), 0)"
    rested = f"SELECT id + 0 * {nap} AS id FROM range(0, {tasks}, 1, {tasks})"
    total: int = _session().sql(f"SELECT sum(id) FROM ({rested})").collect()[0][0]
    return total


def _rdd(tasks: int, milliseconds: int) -> int:
    """One stage of ``tasks`` that sleep."""

    def nap(number: int) -> int:
        time.sleep(milliseconds / 1_000)
        # For each task Spark 3.5 reads the contents of all archives in here anew, its own jar among
        # them, which takes some 60 ms.
        sys.path_importer_cache.clear()
        return number

    return int(_context().parallelize(range(tasks), tasks).map(nap).sum())


_KINDS = {"sql": _sql, "rdd": _rdd}


def ask(user: str, name: str, kind: str, tasks: int, milliseconds: int) -> int:
    """A query (``sql``) or a Spark job (``rdd``): the sum of the numbers below ``tasks``."""
    _ask_as(user, name)
    return _KINDS[kind](tasks, milliseconds)


def keep_asking(user: str, kind: str, tasks: int, milliseconds: int, queued: int) -> int:
    """Ask the same until told that it is enough, one runs and ``queued`` wait; how often."""
    enough = _enough.setdefault(user, threading.Event())
    answers: list[int] = []

    def loop(number: int) -> None:
        turn = 0
        while not enough.is_set():
            _ask_as(user, f"{user}-{number}-{turn}")
            answers.append(_KINDS[kind](tasks, milliseconds))
            turn += 1

    threads = [threading.Thread(target=loop, args=(number,)) for number in range(1 + queued)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) == {sum(range(tasks))}
    return len(answers)


def stop_asking(user: str) -> None:
    """End the loops of a user when what they have asked is answered."""
    _enough.setdefault(user, threading.Event()).set()


def _wait_for(gate: str) -> None:
    while not os.path.exists(gate):  # noqa: PTH110 - It runs in executors, thousands of times.
        time.sleep(0.01)


def hold(gate: str, slots: int) -> None:
    """Occupy ``slots`` slots until the file exists."""
    _ask_as("holder", "hold")
    _context().parallelize(range(slots), slots).foreach(lambda _: _wait_for(gate))


def _conversation() -> Any:
    """The bridge's, in the JVM."""
    jvm = _context()._jvm
    assert jvm is not None
    return jvm.io.uwfq.spark.Bridge.current().get().conversation()


def standings() -> dict[str, Any]:
    """What the bridge's last snapshot says."""
    found = _conversation().standings()
    return {
        "reachable": bool(found.reachable()),
        "jobs": sorted(found.deadlineByJob().keys()),
        "ranked_stages": int(found.rankByStage().size()),
    }


def figures() -> dict[str, int]:
    """What the bridge has counted."""
    found = _conversation().figures()
    names = (
        *("rpcs", "failedRpcs", "fallbacks", "rejoins", "provisionalPlacements"),
        *("roundRobinPlacements", "caughtErrors", "droppedFacts", "splits", "splitTimeouts"),
        "launchesWithoutLease",
    )
    # py4j makes numbers of counters.
    return {name: int(get_field(found, name)) for name in names}


# -- what the bridge costs -----------------------------------------------------------------------


def short_tasks(user: str, name: str, tasks: int) -> float:
    """A job of tasks with next to nothing to do; seconds."""
    _ask_as(user, name)
    begun = time.monotonic()
    # Of the JVM: a Python worker would cost more than what is measured.
    assert _context()._jsc.sc().range(0, tasks, 1, tasks).count() == tasks
    return time.monotonic() - begun


def ten_stages(user: str, name: str, rows: int) -> float:
    """A query that aggregates nine times, each by another key: ten stages; seconds."""
    _ask_as(user, name)
    begun = time.monotonic()
    frame = _session().range(0, rows, 1, 4).selectExpr("id AS k", "1 AS n")
    for number in range(9):
        frame = frame.selectExpr(f"(k * 31 + {number}) % {9_000 - 900 * number} AS k", "n")
        frame = frame.groupBy("k").agg({"n": "sum"}).withColumnRenamed("sum(n)", "n")
    assert frame.agg({"n": "sum"}).collect()[0][0] == rows
    return time.monotonic() - begun


# -- what can happen to a stage ------------------------------------------------------------------


def retried(user: str, name: str, tasks: int, marks: str) -> int:
    """A job each of whose tasks fails once."""
    _ask_as(user, name)

    def once(number: int) -> int:
        mark = Path(marks) / str(number)
        if not mark.exists():
            mark.touch()
            raise RuntimeError("the first attempt fails")
        return number

    return int(_context().parallelize(range(tasks), tasks).map(once).sum())


def failed(user: str, name: str) -> str:
    """A query that fails for good; what Spark says."""
    _ask_as(user, name)
    try:
        _session().sql("SELECT sum(raise_error(concat('no ', id))) FROM range(4)").collect()
    except Exception as error:  # noqa: BLE001 - Spark's, by way of its JVM.
        return str(error)
    raise AssertionError("it did not fail")


def cancelled(user: str, name: str, gate: str) -> str:
    """A job that waits for a file which never comes; what Spark says when it is cancelled."""
    _ask_as(user, name)
    try:
        _context().parallelize(range(4), 4).foreach(lambda _: _wait_for(gate))
    except Exception as error:  # noqa: BLE001 - As above.
        return str(error)
    raise AssertionError("it was not cancelled")


def cancel(group: str) -> None:
    """Cancel a group of jobs."""
    _context().cancelJobGroup(group)


def barrier(user: str, name: str, tasks: int) -> list[int]:
    """A stage whose tasks run all at once or not at all; what they have told each other."""
    _ask_as(user, name)

    def together(numbers: Any) -> Any:
        said = BarrierTaskContext.get().allGather(str(sum(numbers)))
        yield sum(map(int, said))

    found = _context().parallelize(range(tasks), tasks).barrier().mapPartitions(together)
    return found.collect()


def cached(user: str, name: str) -> list[int]:
    """One table, asked three times, kept in memory after the first."""
    _ask_as(user, name)
    frame = _session().range(0, 10_000, 1, 4).selectExpr("id", "id % 7 AS k").cache()
    try:
        return [frame.where("k = 3").count() for _ in range(3)]
    finally:
        frame.unpersist()


def saved(user: str, name: str, query: str) -> None:
    """Save what a query gives as a table, in the place of what the last one gave."""
    _ask_as(user, name)
    _session().sql(query).write.mode("overwrite").saveAsTable("saved")


def aggregated(user: str, name: str, directory: str, function: str, *, of: str) -> int | None:
    """Aggregate the rows of files; how many scans and shuffles of it the service had cut.

    ``None``: this Spark has no such function.
    """
    _ask_as(user, name)
    session = _session()
    if not session.catalog.functionExists(function):
        return None
    session.range(0, 10_000, 1, 1).write.mode("ignore").parquet(directory)
    session.conf.set("spark.uwfq.partitioning.minTaskBytes", "1b")
    before = figures()["splits"]
    session.read.parquet(directory).selectExpr(f"{function}({of})").collect()
    session.conf.unset("spark.uwfq.partitioning.minTaskBytes")
    return figures()["splits"] - before


def counted(user: str, name: str, source: dict[str, str]) -> int:
    """Count the rows of a table of a database, or of a query that is asked there.

    The database (Derby, in the driver's memory) has the tables ``one`` and ``two``.
    """
    url = "jdbc:derby:memory:shop;create=true"
    jvm = _context()._jvm
    assert jvm is not None
    jvm.System.setProperty("derby.stream.error.file", "/dev/null")
    _ask_as("writer", name + "-written")
    for table in ("one", "two"):
        _session().range(0, 10, 1, 1).write.mode("ignore").jdbc(url, table)
    _ask_as(user, name)
    return _session().read.format("jdbc").options(url=url, **source).load().count()


def streamed(user: str, name: str, directory: str, batches: int) -> dict[str, Any]:
    """A stream that counts the rows of files by key, one file a micro-batch; what it has added up.

    Each file has a row for each of seven keys.  ``runId`` is the group that Spark gives its jobs.
    """
    _ask_as("writer", name)
    for _ in range(batches):
        _session().range(0, 7, 1, 1).write.mode("append").parquet(directory)
    _ask_as(user, name)
    totals: list[int] = []

    def note(rows: Any, _: int) -> None:
        totals.append(rows.agg({"count": "sum"}).collect()[0][0])

    files = _session().readStream.schema("id long").option("maxFilesPerTrigger", 1)
    counts = files.parquet(directory).groupBy("id").count()
    stream = counts.writeStream.outputMode("complete").foreachBatch(note).start()
    stream.processAllAvailable()
    stream.stop()
    return {"totals": totals, "runId": str(stream.runId)}


def speculated(user: str, name: str, tasks: int, gate: str) -> int:
    """A job whose last task hangs on the first executor that takes it."""
    _ask_as(user, name)

    def hang(number: int) -> int:
        task = TaskContext.get()
        assert task is not None
        if number == tasks - 1 and task.attemptNumber() == 0:
            _wait_for(gate)
        return number

    return int(_context().parallelize(range(tasks), tasks).map(hang).sum())


def shuffled(user: str, name: str, tasks: int, loss: str) -> list[int]:
    """A shuffle that is read twice, with its files lost in between: the map stage runs again.

    ``loss``: the directory below which executors keep their files.
    """
    _ask_as(user, name)
    pairs = _context().parallelize(range(1_000), tasks).map(lambda number: (number % 7, number))
    sums = pairs.reduceByKey(lambda one, other: one + other, 3)
    assert sums.count() == 7
    files = [*Path(loss).rglob("shuffle_*.data"), *Path(loss).rglob("shuffle_*.index")]
    assert files, "the shuffle has left no files"
    for file in files:
        file.unlink()
    return sorted(total for _, total in sums.collect())


def executors() -> list[int]:
    """Process ids of the JVMs that run tasks now."""
    _ask_as("holder", "look")

    def parents(_: int) -> int:
        time.sleep(0.2)  # So that one executor does not take them all.
        daemon = Path(f"/proc/{os.getppid()}/stat").read_text()
        return int(daemon.rpartition(")")[2].split()[1])

    return sorted(set(_context().parallelize(range(4), 4).map(parents).collect()))


def executor_count() -> int:
    """Executors that are alive, the driver apart."""
    status = _context()._jsc.sc().statusTracker().getExecutorInfos()
    return len(status) - 1


if __name__ == "__main__":
    wire.serve(
        {
            action.__name__: action
            for action in (
                *(start, stop, logged, ask, keep_asking, stop_asking, hold, standings, figures),
                *(retried, failed, cancelled, cancel, barrier, cached, saved, counted, streamed),
                *(speculated, shuffled, executors, executor_count, short_tasks, ten_stages),
                aggregated,
            )
        }
    )
