"""The service goes away in the middle of a run: Spark goes on, and both find together again."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait

import pytest
from spark_bridge.demo.processes import PATIENCE_SECONDS

from tests.spark.application import Application, Queries
from tests.spark.conftest import Fault


@pytest.fixture
def app(local: Application) -> Iterator[Application]:
    """The application, with the service as it should be before and after."""
    local.joined()
    yield local
    local.service.send(signal.SIGCONT)
    local.joined()
    local.settled()


def in_the_middle(app: Application, fault: Callable[[], object]) -> Queries:
    """Let two users ask, and the fault happen when the first answer is there but not the last.

    However long the fault takes, the last is there after it.
    """
    gate = app.gate()
    last = app.driver.ask("hold", gate=str(gate), slots=1)
    asked: Queries = {}
    for user in ("alice", "bob"):
        for kind in ("sql", "rdd"):
            asked |= app.queries(user, 5, kind=kind)
    done, _ = wait(asked.values(), PATIENCE_SECONDS, FIRST_COMPLETED)
    assert done
    try:
        fault()
    finally:
        gate.touch()
    app.driver.value_of(last, what="hold")
    return asked


def answers_and_rejoins(app: Application, asked: Queries) -> None:
    """All answers are right, and what is asked next the service knows."""
    app.check(asked)
    app.joined()
    afterwards = app.queries("carol", 2)
    app.check(afterwards)
    app.settled()
    jobs = app.named()
    assert all(jobs[name].succeeded for name in afterwards)


def test_service_killed_and_started_when_all_is_over(app: Application, fault: Fault) -> None:
    """Spark orders by itself; the service, back with its journal, learns that all has ended."""
    asked = in_the_middle(app, app.service.kill)
    app.check(asked)
    app.service.start()
    answers_and_rejoins(app, asked)
    fault.survived("all answers right without it; rejoined, no job left open")


def test_service_restarted_with_its_journal(app: Application, fault: Fault) -> None:
    """Killed and back while queries run."""

    def restart() -> None:
        app.service.kill()
        app.service.start()

    answers_and_rejoins(app, in_the_middle(app, restart))
    fault.survived("all answers right; went on with what it knew, no job left open")


def test_service_replaced_by_one_that_knows_nothing(app: Application, fault: Fault) -> None:
    """Killed, and back without its journal, while queries run."""

    def replace() -> None:
        app.service.kill()
        app.service.start(fresh=True)

    answers_and_rejoins(app, in_the_middle(app, replace))
    fault.survived("all answers right; was told all again, no job left open")


def test_service_that_hangs(app: Application, fault: Fault) -> None:
    """SIGSTOP: calls neither fail nor come back."""
    asked = in_the_middle(app, lambda: app.service.send(signal.SIGSTOP))
    app.check(asked)
    before = app.driver.call("figures")["fallbacks"]
    app.service.send(signal.SIGCONT)
    answers_and_rejoins(app, asked)
    fault.survived(f"all answers right while it hung (fallbacks so far: {before}); rejoined")


@pytest.mark.needs("openssl")
def test_service_that_leases_every_task_killed(guarded: Application, fault: Fault) -> None:
    """No lease comes while it is away: Spark goes on without, and with them when it is back."""
    guarded.joined()
    asked = in_the_middle(guarded, guarded.service.kill)
    guarded.check(asked)
    guarded.service.start()
    answers_and_rejoins(guarded, asked)
    fault.survived("all answers right without leases; rejoined over TLS, no job left open")
