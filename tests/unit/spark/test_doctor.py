"""Each thing that can be wrong is found, and its remedy with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from uwfq_client import EstimateError, Pool
from uwfq_service.core.policy import POLICIES
from uwfq_spark.configuration import EXTENSIONS, PLUGIN
from uwfq_spark.doctor import CHECKS, Finding, Status, examine, healthy
from uwfq_spark.observation import Application, Observation, Service

GAUGES: Mapping[str, float] = {
    "service.reachable": 1,
    "service.fallbacks": 0,
    "service.rejoins": 0,
    "placements.roundRobin": 0,
    "standings.ageSeconds": 0.84,
    "errors.caught": 0,
    "splits.applied": 30,
    "splits.timedOut": 1,
    "jobs.thrift": 0,
    "jobs.connect": 4,
    "jobs.property": 3,
    "jobs.default": 2,
}

PROPERTIES = {
    "spark.master": "spark://master:7077",
    "spark.plugins": f"org.acme.Plugin, {PLUGIN}",
    "spark.sql.extensions": EXTENSIONS,
    "spark.jars": "/opt/uwfq/uwfq-spark-4_2.13-0.1.0.jar",
    "spark.scheduler.mode": "FAIR",
    "spark.uwfq.target": "scheduler:7170",
}

POOL = Pool(
    pool="default",
    policy="uwfq",
    slots=8,
    fixed_slots=False,
    running_slots=3,
    workers=1,
    jobs=2,
    launchable_tasks=10,
    active_users=2,
    active_weight=2.0,
    virtual_time=1.0,
    advisory_task_runtime_seconds=0.75,
    estimate_error=EstimateError(jobs=0, p50_ratio=0, p10_ratio=0, p90_ratio=0),
    task_overhead_seconds=0.0,
)


def application(**changes: Any) -> Application:
    """One that is well, but for the changes; those of ``properties`` and ``gauges`` add up."""
    properties = {**PROPERTIES, **changes.pop("properties", {})}
    gauges = changes.pop("gauges", {})
    usual: dict[str, Any] = {
        "application_id": "app-1",
        "name": "shared",
        "spark_version": "4.0.4",
        "scala_version": "2.13",
        "properties": {key: value for key, value in properties.items() if value is not None},
        "jars": ["spark-core_2.13-4.0.4.jar"],
        "gauges": {**GAUGES, **gauges} if gauges is not None else None,
    }
    return Application(**{**usual, **changes})


def service(**changes: Any) -> Service:
    """One that answers."""
    usual: dict[str, Any] = {"target": "scheduler:7170", "pool": POOL, "users": {"ann": 3}}
    return Service(**{**usual, **changes})


def found(check: str, seen: Application, answered: Service | None = None) -> Finding:
    """What one check says."""
    findings = examine(Observation(application=seen, service=answered or service()))
    return next(each for each in findings if each.check == check)


def test_nothing_is_wrong_with_an_application_that_is_well() -> None:
    """Every check is sure of it."""
    findings = examine(Observation(application=application(), service=service()))
    assert [each.check for each in findings] == list(CHECKS)
    assert {each.status for each in findings} == {Status.OK}
    assert all(not each.remedy for each in findings)
    assert healthy(findings)


@pytest.mark.parametrize(
    ("check", "changes", "what", "remedy"),
    [
        (
            "plugin",
            {"properties": {"spark.plugins": "org.acme.Plugin"}},
            "does not name",
            "uwfq spark conf",
        ),
        ("plugin", {"gauges": None, "_gauges": {}}, "did not start", "UWFQ could not start"),
        (
            "jar",
            {"properties": {"spark.jars": "/opt/uwfq-spark-3.5_2.12-0.1.0.jar"}},
            "uwfq-spark-3.5_2.12-0.1.0.jar does not fit Spark 4.0.4 with Scala 2.13",
            "uwfq-spark-4_2.13-",
        ),
        ("jar", {"spark_version": "3.4.1"}, "Spark 3.4.1", "Spark 3.5 (Scala 2.12 or 2.13)"),
        (
            "jar",
            {"properties": {"spark.jars": None}, "_gauges": {}},
            "not there",
            "uwfq spark jar",
        ),
        (
            "executors",
            {
                "properties": {
                    "spark.jars": None,
                    "spark.driver.extraClassPath": "/opt/uwfq-spark-4_2.13-0.1.0.jar",
                }
            },
            "executors load the plugin's class",
            "--jars",
        ),
        (
            "scheduler",
            {"properties": {"spark.scheduler.mode": "FIFO"}},
            "FIFO",
            "load the bridge's plugin last",
        ),
        (
            "scheduler",
            {"properties": {"spark.scheduler.mode": None}, "_gauges": {}},
            "FIFO",
            "the problem above",
        ),
        ("extension", {"properties": {"spark.sql.extensions": None}}, "name", "uwfq spark conf"),
        (
            "service, from the driver",
            {"gauges": {"service.reachable": 0}},
            "does not reach scheduler:7170",
            "uwfq serve",
        ),
        (
            "service, from the driver",
            {"properties": {"spark.uwfq.target": None}},
            "not set",
            "host:port",
        ),
        (
            "users",
            {"gauges": {"jobs.connect": 0, "jobs.property": 0}},
            "all 2 go to 'default'",
            "uwfq_spark.user",
        ),
        (
            "users",
            {
                "gauges": {"jobs.connect": 0, "jobs.property": 0},
                "properties": {"spark.uwfq.userSources": "thrift, connect"},
            },
            "spark.uwfq.userSources is 'thrift, connect'",
            "add property",
        ),
        (
            "partitioning",
            {"gauges": {"splits.timedOut": 40}},
            "40 were not",
            "spark.uwfq.partitioning.timeout",
        ),
        ("partitioning", {"gauges": {"errors.planning": 2}}, "2 plans", "report"),
        (
            "partitioning",
            {"properties": {"spark.sql.adaptive.enabled": "false"}},
            "adaptive execution is off",
            "spark.sql.adaptive.enabled",
        ),
        ("fallbacks", {"gauges": {"errors.caught": 1}}, "1 errors of ours", "report"),
    ],
)
def test_a_problem_is_found_with_its_remedy(
    check: str, changes: dict[str, Any], what: str, remedy: str
) -> None:
    """One thing is wrong at a time."""
    changes = dict(changes)
    gauges = changes.pop("_gauges", None)
    seen = application(**changes)
    if gauges is not None:
        seen = dataclasses.replace(seen, gauges=gauges)
    finding = found(check, seen)
    assert finding.status is Status.PROBLEM
    assert what in finding.what
    assert remedy in finding.remedy
    assert not healthy([finding])


@pytest.mark.parametrize(
    ("check", "changes", "what"),
    [
        ("plugin", {"gauges": None}, "cannot be told without /metrics/json"),
        ("jar", {"properties": {"spark.jars": None}}, "a jar of another name"),
        ("scheduler", {"gauges": None}, "whether ours is the only one"),
        ("service, from the driver", {"gauges": None}, "does not tell"),
        ("users", {"gauges": None}, "tells nothing"),
        ("users", {"gauges": dict.fromkeys(GAUGES, 0)}, "no job has run yet"),
        ("partitioning", {"gauges": {"splits.applied": 0, "splits.timedOut": 0}}, "yet"),
        ("partitioning", {"gauges": {"splits.applied": 0, "splits.timedOut": 1}}, "yet"),
        (
            "partitioning",
            {"gauges": {"service.reachable": 0, "splits.timedOut": 40}},
            "the service does not answer",
        ),
        ("fallbacks", {"gauges": None}, "tells nothing"),
    ],
)
def test_what_cannot_be_told_is_no_problem(check: str, changes: dict[str, Any], what: str) -> None:
    """It says why."""
    finding = found(check, application(**changes))
    assert finding.status is Status.UNKNOWN
    assert what in finding.what
    assert healthy([finding])


@pytest.mark.parametrize(
    ("check", "changes", "what"),
    [
        ("executors", {"properties": {"spark.master": "local[4]"}}, "none but the driver"),
        ("executors", {"properties": {"spark.master": "local-cluster[2,1,1024]"}}, "get the jar"),
        (
            "partitioning",
            {"properties": {"spark.uwfq.partitioning.enabled": "False"}},
            "switched off",
        ),
        (
            "fallbacks",
            {"gauges": {"service.fallbacks": 2, "service.rejoins": 2, "placements.roundRobin": 5}},
            "lost 2 times and found again 2 times; 5 stages",
        ),
        ("service, from the driver", {}, "scheduler:7170, which last answered 0.8 s ago"),
        ("users", {}, "4 by Spark Connect, 3 by spark.uwfq.user, 2 by nobody; lately ann"),
    ],
)
def test_what_is_well_says_how(check: str, changes: dict[str, Any], what: str) -> None:
    """Also where somebody has chosen to go without."""
    finding = found(check, application(**changes))
    assert finding.status is Status.OK
    assert what in finding.what


def test_a_service_that_answers_the_driver_alone_is_no_problem() -> None:
    """Whoever asks may sit behind a firewall."""
    silent = service(error="connection refused", pool=None)
    finding = found("service, from here", application(), silent)
    assert (finding.status, "--target" in finding.remedy) == (Status.UNKNOWN, True)
    assert found("pool", application(), silent).status is Status.UNKNOWN
    lost = application(gauges={"service.reachable": 0})
    finding = found("service, from here", lost, silent)
    assert (finding.status, "uwfq serve" in finding.remedy) == (Status.PROBLEM, True)


@pytest.mark.parametrize(
    ("pool", "remedy"),
    [(None, "[pools.default]"), (dataclasses.replace(POOL, workers=0), "same service")],
)
def test_an_application_that_the_service_does_not_know_is_a_problem(
    pool: Pool | None, remedy: str
) -> None:
    """It talks to another service than was asked, or wants a pool that is not there."""
    finding = found("pool", application(), service(pool=pool))
    assert (finding.status, remedy in finding.remedy) == (Status.PROBLEM, True)


def test_a_pool_of_several_applications_is_a_problem() -> None:
    """They take each other's share; also one that was killed, as long as it may come back."""
    finding = found("pool", application(), service(pool=dataclasses.replace(POOL, workers=2)))
    assert finding.status is Status.PROBLEM
    assert "the application is not alone in the pool default, but one of 2" in finding.what
    assert "spark.uwfq.pool" in finding.remedy
    assert "scheduling.engine_timeout" in finding.remedy


def test_a_pool_that_is_not_there_is_no_fault_of_the_network() -> None:
    """The service refuses the application, so it counts as lost to it; the pool is what to fix."""
    seen = application(gauges={"service.reachable": 0})
    finding = found("service, from the driver", seen, service(pool=None))
    assert (finding.status, finding.remedy) == (Status.UNKNOWN, "")
    assert "scheduler:7170 takes nothing for a pool that it does not have" in finding.what


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_pool_that_is_not_ranked_is_no_fault_of_the_network(policy: str) -> None:
    """Of some policies the service gives no order; then it says so, and Spark takes turns."""
    ranked = POLICIES[policy].has_deadlines
    away = application(gauges={"service.reachable": 0})
    answered = service(pool=dataclasses.replace(POOL, policy=policy, workers=0))
    network = found("service, from the driver", away, answered)
    assert network.status is (Status.PROBLEM if ranked else Status.UNKNOWN)
    pool = found("pool", away, answered)
    assert pool.status is Status.PROBLEM
    assert (f"policy {policy}" in pool.what) is not ranked


def test_the_first_questions_of_an_application_may_come_too_late() -> None:
    """No problem is made of them, nor a remedy asked for."""
    seen = application(gauges={"splits.applied": 1, "splits.timedOut": 1})
    assert found("partitioning", seen).status is Status.OK
