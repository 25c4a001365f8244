"""Runs the rounds: two fresh Spark applications in each, stock and with the bridge.

Each of them runs two schedulers, one after the other, with the same arrivals; every other round
goes backwards.  So what the machine does beside us, and what an application is spared that has run
for a while, changes all figures alike.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from spark_bridge.demo.plan import (
    TIMED_DEPTH,
    Arrival,
    Class,
    arrivals,
    depth_for,
    long_question,
    rehearsal,
)
from spark_bridge.demo.processes import Driver, ProcessFailed, Service

import uwfq_spark

#: How each scheduler is called, in the order of the tables.
SCHEDULERS: Final[Mapping[str, str]] = {
    "fifo": "stock FIFO",
    "fair": "stock FAIR, a pool per user",
    "bridge": "bridge, order alone",
    "bridge-partitioning": "bridge, order and partitioning",
}

#: The applications, and which schedulers each runs.  Spark's FIFO is what its FAIR mode makes of
#: jobs that name no pool: they are all in one, and in the order of their arrival there.
APPLICATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "stock": ("fifo", "fair"),
    "bridge": ("bridge", "bridge-partitioning"),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one query."""

    name: str
    kind: Class
    asked_seconds: float
    answered_seconds: float

    @property
    def response_seconds(self) -> float:
        """From asking to having the rows."""
        return self.answered_seconds - self.asked_seconds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One scheduler in one round."""

    scheduler: str
    round: int
    answers: tuple[Answer, ...]

    @property
    def makespan_seconds(self) -> float:
        """From the first question to the last answer."""
        return max(answer.answered_seconds for answer in self.answers)

    def responses(self, kind: Class) -> list[float]:
        """Response times of a class, seconds."""
        return [answer.response_seconds for answer in self.answers if answer.kind == kind]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller may choose."""

    python: Path
    #: Spark's home: the directory of PySpark.
    spark_home: Path
    tables: Mapping[str, Path]
    schedulers: tuple[str, ...] = tuple(SCHEDULERS)
    rounds: int = 1
    slots: int = 2
    #: For how long short queries arrive.
    arrival_seconds: float = 14.0
    #: How many scans each long user has.
    scans: int = 2
    #: How often they hash each row; ``None``: what suits the machine.
    depth: int | None = None
    #: Seconds that the bridge aims at for a task.  A short query waits for a long one's tasks to
    #: end, before each of its two stages; each task more costs some hundredths of a second.
    advisory_task_runtime: float = 1.5
    #: Where the event logs stay; ``None``: nowhere.
    event_logs: Path | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All rounds."""

    spark_version: str
    slots: int
    depth: int
    advisory_task_runtime: float
    runs: tuple[Run, ...]


def run(options: Options, progress: Callable[[str], None]) -> Outcome:
    """Run all rounds.

    Raises ``ProcessFailed`` when a process fails, a query fails, or the schedulers' answers differ,
    and ``JarNotFound`` or ``UnsupportedSpark`` if there is no bridge for this Spark.
    """
    if not set(options.schedulers).isdisjoint(APPLICATIONS["bridge"]):
        # Now, and not when stock Spark has run for a minute.
        uwfq_spark.jar_path(options.spark_home)
    depth = options.depth or _suitable_depth(options, progress)
    plan = arrivals(options.arrival_seconds, options.scans, depth)
    runs: list[Run] = []
    rows: dict[str, Any] = {}
    version = ""
    total = options.rounds * len(options.schedulers)
    for number in range(options.rounds):
        step = -1 if number % 2 else 1
        for name, schedulers in list(APPLICATIONS.items())[::step]:
            wanted = [each for each in schedulers[::step] if each in options.schedulers]
            if not wanted:
                continue
            progress(f"{name} Spark: starting, rehearsing")
            with _application(options, name, number, depth) as (found, driver):
                version = found
                for scheduler in wanted:
                    progress(f"[{len(runs) + 1}/{total}] {SCHEDULERS[scheduler]}")
                    answers = _answers(driver, scheduler, plan)
                    _compare(rows, answers, scheduler)
                    runs.append(_run_of(scheduler, number, plan, answers))
                    progress(f"      {len(answers)} queries in {runs[-1].makespan_seconds:.1f} s")
    return Outcome(
        spark_version=version,
        slots=options.slots,
        depth=depth,
        advisory_task_runtime=options.advisory_task_runtime,
        runs=tuple(runs),
    )


def _suitable_depth(options: Options, progress: Callable[[str], None]) -> int:
    """How deep long scans have to be here, by one that is timed in an application of its own."""
    progress("stock Spark: starting, timing a scan")
    unlogged = dataclasses.replace(options, event_logs=None)
    with _application(unlogged, "stock", 0, TIMED_DEPTH) as (_, driver):
        (seconds,) = driver.call("rehearse", queries=[long_question(TIMED_DEPTH, 0.0)])
    depth = depth_for(seconds)
    progress(f"      {seconds:.1f} s; hashing {depth} times instead of {TIMED_DEPTH}")
    return depth


@contextlib.contextmanager
def _application(
    options: Options, name: str, number: int, depth: int
) -> Iterator[tuple[str, Driver]]:
    """An application that has rehearsed: its version of Spark, and its driver."""
    with tempfile.TemporaryDirectory(prefix="uwfq-") as scratch, contextlib.ExitStack() as stack:
        directory = Path(scratch)
        settings = {
            "spark.master": f"local[{options.slots}]",
            "spark.app.name": f"uwfq-demo-{name}",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "WARN",
            # Otherwise the optimizing compiler takes more of a young application's processor time
            # than its tasks do, and when it does so differs from run to run.  An application that
            # has run for hours is through with that.  And the collector would work beside the
            # tasks, on the same few cores, when it sees fit; in the gigabyte that is Spark's
            # default it does so 130 times in a run.
            "spark.driver.memory": "3g",
            "spark.driver.extraJavaOptions": (
                "-XX:TieredStopAtLevel=1 -XX:+UseParallelGC -Xms3g -Xmn2g"
            ),
            # With the default, 200, each task would open 200 files to write ten rows.
            "spark.sql.shuffle.partitions": "8",
            **_scheduling(options, name, directory, stack),
        }
        if options.event_logs is not None:
            log = options.event_logs / f"{name}-{number}"
            log.mkdir(parents=True)
            settings |= {
                "spark.eventLog.enabled": "true",
                "spark.eventLog.dir": log.as_uri(),
            }
        driver = stack.enter_context(
            Driver(options.python, "spark_bridge.demo.driver", directory / "driver.log")
        )
        tables = {table: str(path) for table, path in options.tables.items()}
        version: str = driver.call("start", settings=settings, tables=tables)
        driver.call("rehearse", queries=rehearsal(depth))
        yield version, driver
        driver.call("stop")


def _answers(driver: Driver, scheduler: str, plan: list[Arrival]) -> list[dict[str, Any]]:
    """What the driver says of each query of a run."""
    partitioning = str(scheduler == "bridge-partitioning").lower()
    answers: list[dict[str, Any]] = driver.call(
        "run",
        label=scheduler,
        arrivals=[dataclasses.asdict(arrival) for arrival in plan],
        settings={"spark.uwfq.partitioning.enabled": partitioning},
        pools=scheduler == "fair",
        within=600,
    )
    return answers


def _scheduling(
    options: Options, name: str, directory: Path, stack: contextlib.ExitStack
) -> dict[str, str]:
    """The settings in which the applications differ; starts the service where one is needed."""
    if name == "stock":
        return {
            "spark.scheduler.mode": "FAIR",
            "spark.scheduler.allocation.file": str(_pools_file(directory)),
        }
    atr = f"pools.default.advisory_task_runtime={options.advisory_task_runtime}"
    service = stack.enter_context(Service(directory, atr))
    return uwfq_spark.settings(target=service.target, pyspark=options.spark_home)


def _pools_file(directory: Path) -> Path:
    """A pool for each user, with equal weights and fair inside as well."""
    users = sorted({arrival.user for arrival in arrivals(2.0, 1, 1)})
    pools = "".join(
        f"<pool name={quoteattr(user)}><schedulingMode>FAIR</schedulingMode>"
        "<weight>1</weight><minShare>0</minShare></pool>"
        for user in users
    )
    file = directory / "fairscheduler.xml"
    file.write_text(f"<allocations>{pools}</allocations>", encoding="utf-8")
    return file


def _compare(rows: dict[str, Any], answers: list[dict[str, Any]], scheduler: str) -> None:
    """Raise ``ProcessFailed`` unless every query has the rows that it had before."""
    for answer in answers:
        if "error" in answer:
            raise ProcessFailed(f"{answer['name']} failed under {scheduler}: {answer['error']}")
        if rows.setdefault(answer["name"], answer["rows"]) != answer["rows"]:
            raise ProcessFailed(f"{answer['name']} has other rows under {scheduler}")


def _run_of(scheduler: str, number: int, plan: list[Arrival], answers: list[dict[str, Any]]) -> Run:
    kinds = {arrival.name: arrival.kind for arrival in plan}
    return Run(
        scheduler=scheduler,
        round=number,
        answers=tuple(
            Answer(
                name=answer["name"],
                kind=kinds[answer["name"]],
                asked_seconds=answer["asked"],
                answered_seconds=answer["answered"],
            )
            for answer in answers
        ),
    )
