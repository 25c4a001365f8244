"""A shared Spark application with the bridge, and the service that it asks; gone after the block.

What differs between the configurations is a dictionary of Spark's settings; what the tests do with
them is the same: ask as some user, look at the service, read the event log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

from spark_bridge.demo.processes import (
    PATIENCE_SECONDS,
    Driver,
    Process,
    Service,
    environment,
    gone_after,
    spark_home_of,
)

import uwfq_spark
from tests.e2e.spark.lines import quick_start
from tests.spark.event_log import Attempt, read
from uwfq_client import Job, JobState, Tls

UNFINISHED: Final = (JobState.WAITING, JobState.RUNNING)


def until(condition: Callable[[], bool], what: str, within: float = PATIENCE_SECONDS) -> None:
    """Return when the condition holds; it fails the test if that takes too long."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.05)


#: Name → its answer to come.
Queries = dict[str, Future[Any]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A running one."""

    line: str
    version: str
    directory: Path
    service: Service
    driver: Driver
    slots: int
    _numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def name(self, kind: str) -> str:
        """A name that no query of this application has had."""
        return f"{kind}-{next(self._numbers)}"

    def gate(self) -> Path:
        """A file that does not exist yet, for tasks to wait for."""
        return self.directory / self.name("gate")

    def queries(
        self, user: str, count: int, *, kind: str = "sql", tasks: int = 4, milliseconds: int = 100
    ) -> dict[str, Future[Any]]:
        """Ask many alike at once; name → its answer to come."""
        names = [self.name(user) for _ in range(count)]
        return {
            name: self.driver.ask(
                "ask", user=user, name=name, kind=kind, tasks=tasks, milliseconds=milliseconds
            )
            for name in names
        }

    def check(self, asked: Mapping[str, Future[Any]], *, tasks: int = 4) -> None:
        """Wait for all answers: each is the sum that it must be."""
        for name, answer in asked.items():
            assert self.driver.value_of(answer, what=name) == sum(range(tasks)), name

    def jobs(self, *states: JobState) -> list[Job]:
        """What the service knows, newest first."""
        with self.service.client() as client:
            return list(client.list_jobs(states=states))

    def named(self) -> dict[str, Job]:
        """The jobs that the service knows, by the names that they were asked under."""
        return {job.labels.get("group", ""): job for job in self.jobs()}

    def settled(self) -> None:
        """Wait until the service has no job left open."""
        until(lambda: not self.jobs(*UNFINISHED), "the service has no job left open")

    def joined(self) -> None:
        """Wait until the bridge and the service talk."""
        until(lambda: bool(self.driver.call("standings")["reachable"]), "the bridge has rejoined")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """All slots are occupied inside the block, so that what is asked there waits."""
        gate = self.gate()
        holding = self.driver.ask("hold", gate=str(gate), slots=self.slots)
        until(
            lambda: any(
                job.user == "holder" and sum(stage.running for stage in job.stages) == self.slots
                for job in self.jobs(JobState.RUNNING)
            ),
            "all slots are occupied",
        )
        try:
            yield
        finally:
            gate.touch()
        self.driver.value_of(holding, what="hold")

    def known(self, names: Sequence[str]) -> None:
        """Wait until the service has placed all of these, and the bridge knows their places."""

        def all_are() -> bool:
            jobs = self.named()
            if not all(name in jobs and jobs[name].stages for name in names):
                return False
            placed = set(self.driver.call("standings")["jobs"])
            return placed.issuperset(jobs[name].job_id for name in names)

        until(all_are, f"the service and the bridge know {', '.join(names)}")

    def attempts(self) -> list[Attempt]:
        """All that has run so far, and that Spark has heard of."""
        self.driver.call("logged")
        return read(self.directory / "events")


def configuration(python: str, directory: Path, service: Service, master: str) -> dict[str, str]:
    """Spark's settings for an application with the bridge, which keeps its files in a directory."""
    return {
        "spark.master": master,
        "spark.app.name": f"uwfq-{directory.name}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "WARN",
        "spark.driver.extraJavaOptions": quick_start(python),
        "spark.executor.extraJavaOptions": quick_start(python),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(directory / "local"),
        "spark.sql.warehouse.dir": str(directory / "warehouse"),
        "spark.sql.shuffle.partitions": "4",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (directory / "events").as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        **uwfq_spark.settings(
            target=service.target, pyspark=spark_home_of(Path(python)), stale_after="2s"
        ),
    }


@contextlib.contextmanager
def application(
    line: str,
    python: str,
    directory: Path,
    *,
    master: str,
    slots: int,
    settings: Mapping[str, str] | None = None,
    service_settings: Sequence[str] = (),
    tls: Tls | bool = False,
) -> Iterator[Application]:
    """Start service and application; ``settings`` are Spark's, ``tls`` is for our own clients."""
    directory.mkdir(parents=True)
    (directory / "events").mkdir()
    with Service(directory, *service_settings, tls=tls) as service:
        options = configuration(python, directory, service, master) | dict(settings or {})
        with Driver(python, "tests.spark.program", directory / "driver.log") as driver:
            version = driver.call("start", settings=options)
            running = Application(
                line=line,
                version=version,
                directory=directory,
                service=service,
                driver=driver,
                slots=slots,
            )
            # The first of each kind loads classes.
            for kind in ("sql", "rdd"):
                running.check(running.queries("warm", 1, kind=kind))
            yield running


@contextlib.contextmanager
def standalone_cluster(python: str, directory: Path, hosts: Sequence[str]) -> Iterator[str]:
    """A Master, and a Worker of one core on each host; the address of the Master.

    Spark tells executors apart by host when it speculates: addresses of the loopback network are
    as good as machines.
    """
    home = spark_home_of(Path(python))
    directory.mkdir(parents=True)
    env = environment(
        SPARK_HOME=str(home), SPARK_NO_DAEMONIZE="1", SPARK_DAEMON_JAVA_OPTS=quick_start(python)
    )
    start = [str(home / "bin" / "spark-class")]
    with contextlib.ExitStack() as stack:
        where = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        master = Process(
            "the Master",
            [*start, "org.apache.spark.deploy.master.Master", *where],
            directory / "master.log",
            env,
        )
        stack.enter_context(gone_after(master))
        # Of its own choice: a port that was free a moment ago may be taken by now.
        address = master.wait_for_line("Starting Spark master at ").rpartition(" ")[2]
        master.wait_for_line("I have been elected leader")
        for number, host in enumerate(hosts):
            where = ["--host", host, "--webui-port", "0", "--cores", "1", "--memory", "1g"]
            worker = Process(
                f"Worker {number}",
                [
                    *(*start, "org.apache.spark.deploy.worker.Worker", *where),
                    *("--work-dir", str(directory / f"worker-{number}"), address),
                ],
                directory / f"worker-{number}.log",
                env | {"SPARK_LOCAL_IP": host},
            )
            stack.enter_context(gone_after(worker))
            worker.wait_for_line("Successfully registered with master")
        yield address
