"""Spark applications that many tests share, on every line of Spark, and a table of the faults.

One application for each configuration: a JVM takes seconds to start, a check takes less.  The tests
of one application run one after another and leave it as they found it: reachable, with no job open.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.certificates import make_certificates
from tests.e2e.spark.lines import PYTHONS, python_of
from tests.spark.application import Application, application, standalone_cluster
from uwfq_client import Tls

#: Line of Spark, fault, what came of it; in the order of the run.
_OUTCOMES: Final = pytest.StashKey[list[tuple[str, str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """No fault has been survived yet."""
    config.stash[_OUTCOMES] = []


@pytest.fixture(scope="session", params=sorted(PYTHONS))
def line(request: pytest.FixtureRequest) -> str:
    """Each line of Spark in turn."""
    found: str = request.param
    python_of(found)
    return found


@pytest.fixture(scope="session")
def local(line: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Two slots in the driver; a task may fail three times."""
    directory = tmp_path_factory.mktemp(f"local-{line}") / "app"
    with application(line, python_of(line), directory, master="local[2,4]", slots=2) as found:
        yield found


@pytest.fixture(scope="session")
def guarded(line: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """As ``local``, but each task needs a lease, and the service a certificate of the driver."""
    directory = tmp_path_factory.mktemp(f"guarded-{line}")
    keys = make_certificates(directory)
    mutual = Tls(ca=keys / "ca.pem", certificate=keys / "client.pem", key=keys / "client.key")
    with application(
        line,
        python_of(line),
        directory / "app",
        master="local[2,4]",
        slots=2,
        settings={
            "spark.uwfq.gate": "leases",
            "spark.uwfq.tls.ca": str(mutual.ca),
            "spark.uwfq.tls.certificate": str(mutual.certificate),
            "spark.uwfq.tls.key": str(mutual.key),
        },
        service_settings=(
            f"tls.cert={keys / 'server.pem'}",
            f"tls.key={keys / 'server.key'}",
            f"tls.client_ca={keys / 'ca.pem'}",
        ),
        tls=mutual,
    ) as found:
        yield found


@pytest.fixture(scope="session")
def local_cluster(line: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Two executors of one core, as processes of the driver's machine."""
    directory = tmp_path_factory.mktemp(f"cluster-{line}") / "app"
    with application(
        line,
        python_of(line),
        directory,
        master="local-cluster[2,1,1024]",
        slots=2,
        settings={"spark.executor.memory": "512m"},
    ) as found:
        yield found


@pytest.fixture(scope="session")
def standalone(line: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """A Master and two Workers; executors come and go as they are needed."""
    directory = tmp_path_factory.mktemp(f"standalone-{line}")
    python = python_of(line)
    settings = {
        "spark.executor.memory": "512m",
        "spark.executor.cores": "1",
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.timeout": "2s",
        "spark.dynamicAllocation.minExecutors": "0",
        "spark.dynamicAllocation.maxExecutors": "2",
        "spark.dynamicAllocation.schedulerBacklogTimeout": "1s",
        "spark.dynamicAllocation.executorIdleTimeout": "2s",
        "spark.speculation": "true",
        "spark.speculation.interval": "100ms",
        "spark.speculation.multiplier": "1.5",
        "spark.speculation.quantile": "0.5",
        # A task that is quick, but not the quickest, is none to be tried twice.
        "spark.speculation.minTaskRuntime": "2s",
    }
    with (
        standalone_cluster(python, directory / "cluster", ("127.0.0.1", "127.0.0.2")) as master,
        application(
            line, python, directory / "app", master=master, slots=2, settings=settings
        ) as found,
    ):
        yield found


class Fault:
    """What a test of a fault writes into the table that is printed at the end."""

    def __init__(self, line: str, name: str, outcomes: list[tuple[str, str, str]]) -> None:
        self._line, self._name, self._outcomes = line, name, outcomes
        self.outcome = ""

    def survived(self, outcome: str) -> None:
        """What Spark and the service did."""
        self._outcomes.append((self._line, self._name, outcome))


@pytest.fixture
def fault(request: pytest.FixtureRequest, line: str) -> Fault:
    """The row of this test."""
    name = request.node.originalname.removeprefix("test_").replace("_", " ")
    return Fault(line, name, request.config.stash[_OUTCOMES])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the faults and what came of each."""
    outcomes = config.stash[_OUTCOMES]
    if outcomes:
        terminalreporter.section("faults, and what came of them")
        width = max(len(name) for _, name, _ in outcomes)
        for line, name, outcome in sorted(outcomes):
            terminalreporter.write_line(f"Spark {line:<4} {name:<{width}}  {outcome}")
