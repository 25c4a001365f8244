"""What happens to stages and executors in any long run, under the bridge."""

from __future__ import annotations

import os
import signal

from tests.spark.application import Application, Queries, until
from tests.spark.conftest import Fault
from uwfq_client import JobState


def test_tasks_that_fail_once(local: Application, fault: Fault) -> None:
    """Spark tries again; the service counts the failures."""
    marks = local.gate()
    marks.mkdir()
    name = local.name("retried")
    got = local.driver.call("retried", user="alice", name=name, tasks=4, marks=str(marks))
    assert got == sum(range(4))
    local.settled()
    job = local.named()[name]
    assert job.succeeded
    assert job.failed_attempts == 4
    fault.survived("right; 4 failed attempts counted, job succeeded")


def test_query_that_fails(local: Application, fault: Fault) -> None:
    """It has ended for the service as well."""
    name = local.name("failed")
    assert "no " in local.driver.call("failed", user="alice", name=name)
    local.settled()
    job = local.named()[name]
    assert job.ended
    assert not job.succeeded
    fault.survived(f"the error reached its user; job {job.state.name.lower()}")


def test_cancelled_job_group(local: Application, fault: Fault) -> None:
    """Its slots go to the others, whose answers are right."""
    name = local.name("cancelled")
    gate = local.gate()
    hanging = local.driver.ask("cancelled", user="alice", name=name, gate=str(gate))
    until(lambda: name in local.named(), "the service knows the job")
    asked = local.queries("bob", 2)
    local.driver.call("cancel", group=name)
    assert "cancel" in local.driver.value_of(hanging)
    local.check(asked)
    gate.touch()
    local.settled()
    assert local.named()[name].state is JobState.CANCELLED
    fault.survived("the others' answers right; job cancelled")


def test_barrier_stage(local: Application, fault: Fault) -> None:
    """All its tasks at once, beside other users' queries that want the slots."""
    asked = local.queries("bob", 4)
    name = local.name("barrier")
    got = local.driver.call("barrier", user="alice", name=name, tasks=2)
    assert got == [1, 1]
    local.check(asked)
    local.settled()
    assert local.named()[name].succeeded
    fault.survived("right, beside four queries of another user")


def test_cached_table(local: Application, fault: Fault) -> None:
    """Read from memory from the second time on."""
    asked = local.queries("bob", 2)
    name = local.name("cached")
    want = len(range(3, 10_000, 7))
    assert local.driver.call("cached", user="alice", name=name) == [want] * 3
    local.check(asked)
    local.settled()
    fault.survived("three right counts")


def test_lost_shuffle_files(local_cluster: Application, fault: Fault) -> None:
    """A fetch fails, and Spark runs the map stage again: a new attempt, another stage to us."""
    name = local_cluster.name("shuffled")
    asked = local_cluster.queries("bob", 2)
    got = local_cluster.driver.call(
        "shuffled",
        user="alice",
        name=name,
        tasks=4,
        loss=str(local_cluster.directory / "local"),
    )
    assert got == sorted(sum(range(first, 1_000, 7)) for first in range(7))
    local_cluster.check(asked)
    local_cluster.settled()
    again = {
        attempt.stage
        for attempt in local_cluster.attempts()
        if attempt.name == name and attempt.stage_attempt > 0
    }
    assert again, "no stage was tried again"
    fault.survived(f"right; {len(again)} stages tried again")


def test_executor_killed(local_cluster: Application, fault: Fault) -> None:
    """In the middle of a run; Spark starts another one."""
    victim, *_ = local_cluster.driver.call("executors")
    asked: Queries = {}
    for user in ("alice", "bob"):
        asked |= local_cluster.queries(user, 3)
    until(lambda: any(answer.done() for answer in asked.values()), "the first answer")
    os.kill(victim, signal.SIGKILL)
    local_cluster.check(asked)
    local_cluster.settled()
    lost = [
        attempt
        for attempt in local_cluster.attempts()
        if attempt.name in asked and not attempt.succeeded
    ]
    fault.survived(f"all answers right; {len(lost)} attempts lost with it")


def test_dynamic_allocation(standalone: Application, fault: Fault) -> None:
    """Executors come with the work, go when there is none, and come again."""

    def count() -> int:
        return int(standalone.driver.call("executor_count"))

    for _ in range(2):
        asked = standalone.queries("alice", 3) | standalone.queries("bob", 3)
        with standalone.held():  # So that the first does not do it all while the second starts.
            assert count() == 2
        standalone.check(asked)
        standalone.settled()
        until(lambda: count() == 0, "no executor without work")
    fault.survived("all answers right; executors 0 → 2 → 0 → 2 → 0")


def test_speculative_execution(standalone: Application, fault: Fault) -> None:
    """A task that hangs on one executor is done by another."""
    name = standalone.name("speculated")
    gate = standalone.gate()
    got = standalone.driver.call("speculated", user="alice", name=name, tasks=4, gate=str(gate))
    gate.touch()
    assert got == sum(range(4))
    standalone.settled()
    assert standalone.named()[name].succeeded
    until(
        lambda: any(each.name == name and each.speculative for each in standalone.attempts()),
        "Spark has logged the second attempt",
    )
    fault.survived("right, by the second attempt; the first was killed")
