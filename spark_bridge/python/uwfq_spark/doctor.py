"""Examines a running Spark application: is the bridge at work, and what should be fixed.

Each check is a function of what was observed (``observation``) and finds one thing: it is all
right, there is a problem and a remedy, or it cannot be told (yet).  The order is that of cause and
effect, so the first problem is the one to fix first.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Sequence
from typing import Final

from uwfq_spark.configuration import EXTENSIONS, PLUGIN
from uwfq_spark.jar import LINES, SUPPORTED, line_of
from uwfq_spark.observation import Observation


class Status(enum.StrEnum):
    """What a check has found."""

    OK = "ok"
    PROBLEM = "problem"
    #: It cannot be told, or not yet.
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found.

    Attributes:
        check: its name.
        status: how it stands.
        what: what was seen, in a sentence.
        remedy: what to do about it; empty when nothing is wrong.
    """

    check: str
    status: Status
    what: str
    remedy: str = ""


Verdict = tuple[Status, str] | tuple[Status, str, str]


def examine(seen: Observation) -> list[Finding]:
    """Every finding, causes before effects."""
    return [Finding(name, *check(seen)) for name, check in CHECKS.items()]


def _plugin(seen: Observation) -> Verdict:
    application = seen.application
    if not _listed(application.properties.get("spark.plugins", ""), PLUGIN):
        return (
            Status.PROBLEM,
            f"spark.plugins of {application.name} does not name {PLUGIN}",
            "start the application with the settings that `uwfq spark conf` prints",
        )
    if application.gauges is None:
        return (
            Status.UNKNOWN,
            "it is configured; whether it runs cannot be told without /metrics/json",
            "leave spark.metrics.conf.*.sink.servlet as it is by default",
        )
    if not application.gauges:
        return (
            Status.PROBLEM,
            "it is configured, and did not start",
            'look into the driver\'s log for "UWFQ could not start"',
        )
    return Status.OK, f"it runs in {application.name} ({application.application_id})"


def _jar(seen: Observation) -> Verdict:
    application = seen.application
    found = re.search(
        r"uwfq-spark-(?P<line>[\d.]+)_(?P<scala>[\d.]+)-[^,/]*\.jar",
        ",".join([application.properties.get("spark.jars", ""), *application.jars]),
    )
    wanted = line_of(application.spark_version, application.scala_version)
    running = f"Spark {application.spark_version} with Scala {application.scala_version}"
    if wanted not in LINES:
        return Status.PROBLEM, f"this is {running}", f"the bridge is built for {SUPPORTED}"
    fitting = "uwfq-spark-{}_{}".format(*wanted)
    if found is None:
        if application.gauges:
            return Status.UNKNOWN, "the plugin was loaded from a jar of another name"
        return Status.PROBLEM, "it is not there", "add `--jars $(uwfq spark jar)`"
    if (found["line"], found["scala"]) != wanted:
        return Status.PROBLEM, f"{found[0]} does not fit {running}", f"take {fitting}-*.jar"
    return Status.OK, f"{found[0]} fits {running}"


def _executors(seen: Observation) -> Verdict:
    properties = seen.application.properties
    if properties.get("spark.master", "").startswith("local") and not properties.get(
        "spark.master", ""
    ).startswith("local-cluster"):
        return Status.OK, "there are none but the driver"
    from_driver = "uwfq-spark-" in properties.get("spark.driver.extraClassPath", "")
    to_executors = any(
        "uwfq-spark-" in properties.get(key, "")
        for key in ("spark.jars", "spark.yarn.dist.jars", "spark.executor.extraClassPath")
    )
    if from_driver and not to_executors:
        return (
            Status.PROBLEM,
            "executors load the plugin's class too, and only the driver has the jar on its path",
            "use spark.jars (`--jars`) in the place of spark.driver.extraClassPath",
        )
    return Status.OK, "they get the jar"


def _scheduler(seen: Observation) -> Verdict:
    mode = seen.application.properties.get("spark.scheduler.mode", "FIFO")
    if mode == "FAIR" and not seen.application.gauges:
        # Many set it for pools of their own.
        return (
            Status.UNKNOWN,
            "Spark schedules by pools; nothing tells whether ours is the only one",
        )
    if mode == "FAIR":
        return Status.OK, "Spark schedules by pools, and ours is the only one"
    return (
        Status.PROBLEM,
        f"spark.scheduler.mode is {mode}",
        "the plugin sets FAIR when it starts: see the problem above"
        if not seen.application.gauges
        else "another plugin sets it back; load the bridge's plugin last",
    )


def _extension(seen: Observation) -> Verdict:
    if _listed(seen.application.properties.get("spark.sql.extensions", ""), EXTENSIONS):
        return Status.OK, "it is in spark.sql.extensions"
    return (
        Status.PROBLEM,
        f"spark.sql.extensions does not name {EXTENSIONS}",
        "queries stay as Spark cuts them: start with the settings that `uwfq spark conf` prints",
    )


def _driver_to_service(seen: Observation) -> Verdict:
    gauges = seen.application.gauges or {}
    target = seen.application.properties.get("spark.uwfq.target", "")
    if not target:
        return Status.PROBLEM, "spark.uwfq.target is not set", "set it to the service's host:port"
    if "service.reachable" not in gauges:
        return Status.UNKNOWN, f"the plugin does not tell whether it reaches {target}"
    if not gauges["service.reachable"]:
        if seen.service is not None and not seen.service.error and seen.service.pool is None:
            return Status.UNKNOWN, f"{target} takes nothing for a pool that it does not have"
        if _unranked(seen):
            return Status.UNKNOWN, f"{target} ranks nothing in a pool of this policy"
        return (
            Status.PROBLEM,
            f"the driver does not reach {target}; Spark goes on by itself, users take turns",
            "is `uwfq serve` running there, and does the network let the driver through?",
        )
    age_seconds = gauges.get("standings.ageSeconds", 0.0)
    return Status.OK, f"the driver reaches {target}, which last answered {age_seconds:.1f} s ago"


def _here_to_service(seen: Observation) -> Verdict:
    service = seen.service
    if service is None:
        return Status.UNKNOWN, "nobody says where it is", "give --target"
    if not service.error:
        return Status.OK, f"{service.target} answers"
    if (seen.application.gauges or {}).get("service.reachable"):
        return (
            Status.UNKNOWN,
            f"{service.target} does not answer here, though it does to the driver",
            "give --target as it is reached from here; this hides what the service knows",
        )
    return (
        Status.PROBLEM,
        f"{service.target} does not answer ({service.error})",
        "is `uwfq serve` running there?",
    )


def _pool(seen: Observation) -> Verdict:
    service = seen.service
    if service is None or service.error:
        return Status.UNKNOWN, "the service was not asked"
    name = seen.application.properties.get("spark.uwfq.pool", "default")
    pool = service.pool
    if pool is None:
        return (
            Status.PROBLEM,
            f"the service has no pool {name}",
            f"add [pools.{name}] to its configuration, or set spark.uwfq.pool to one that it has",
        )
    if _unranked(seen):
        return (
            Status.PROBLEM,
            f"the pool {name} runs policy {pool.policy}, whose order changes with every launch",
            f"let it run one that ranks for engines: {', '.join(_RANKING_POLICIES)}",
        )
    if not pool.workers:
        return (
            Status.PROBLEM,
            f"the service knows of no application in the pool {name}",
            "see that spark.uwfq.target and --target mean the same service",
        )
    facts = f"{name}: policy {pool.policy}, {pool.slots} slots, {pool.jobs} open jobs"
    if pool.workers > 1:
        # Their slots add up, and what a user has open in one counts against that user in another.
        what = f"the application is not alone in the pool {name}, but one of {pool.workers}"
        wait = "one that was killed goes after scheduling.engine_timeout, two minutes by default"
        return Status.PROBLEM, what, f"give each a pool of its own (spark.uwfq.pool); {wait}"
    return Status.OK, facts


#: Those whose order an engine can go by until it has the next.
_RANKING_POLICIES: Final = ("uwfq", "uwfq_paper", "cfq")


def _unranked(seen: Observation) -> bool:
    """Whether the service refuses to rank anything in the pool, because of its policy."""
    pool = seen.service.pool if seen.service is not None else None
    return pool is not None and pool.policy not in _RANKING_POLICIES


def _users(seen: Observation) -> Verdict:
    gauges = seen.application.gauges
    if not gauges:
        return Status.UNKNOWN, "the plugin tells nothing"
    jobs = {
        name.removeprefix("jobs."): int(count)
        for name, count in gauges.items()
        if name.startswith("jobs.") and count
    }
    default_user = seen.application.properties.get("spark.uwfq.defaultUser", "default")
    if not jobs:
        return Status.UNKNOWN, "no job has run yet"
    told = ", ".join(f"{count} by {_SOURCES.get(name, name)}" for name, count in jobs.items())
    if set(jobs) == {"default"}:
        sources = seen.application.properties.get("spark.uwfq.userSources")
        if sources is not None and not _listed(sources.lower(), "property"):
            whose = f"all {jobs['default']} jobs go to {default_user!r}"
            return (
                Status.PROBLEM,
                f"no source knows a user: {whose}, and spark.uwfq.userSources is {sources!r}",
                "add property there, if the submitter may say whose they are",
            )
        return (
            Status.PROBLEM,
            f"nobody says whose jobs they are: all {jobs['default']} go to {default_user!r}",
            "submit them inside `with uwfq_spark.user(...)`, or let users connect by name",
        )
    known = seen.service.users if seen.service else {}
    who = f"; lately {', '.join(sorted(known))}" if known else ""
    return Status.OK, f"jobs whose user was told: {told}{who}"


_SOURCES: Final = {
    "thrift": "the Thrift server",
    "connect": "Spark Connect",
    "property": "spark.uwfq.user",
    "default": "nobody",
}


#: Before a JVM has loaded what it takes to ask, answers come too late.
_FEW_TIMEOUTS: Final = 3


def _partitioning(seen: Observation) -> Verdict:
    properties = seen.application.properties
    gauges = seen.application.gauges or {}
    if properties.get("spark.uwfq.partitioning.enabled", "true").lower() == "false":
        return Status.OK, "switched off by spark.uwfq.partitioning.enabled"
    applied, timed_out = gauges.get("splits.applied", 0), gauges.get("splits.timedOut", 0)
    seen_so_far = f"{applied:.0f} scans and shuffles were cut as the service said"
    if gauges.get("errors.planning"):
        return (
            Status.PROBLEM,
            f"{gauges['errors.planning']:.0f} plans were left alone after an error of ours",
            "please report the warnings of UWFQ in the driver's log",
        )
    if timed_out > _FEW_TIMEOUTS and timed_out > applied / 10:
        if not gauges.get("service.reachable", 1):
            return Status.UNKNOWN, f"{seen_so_far}; the service does not answer"
        return (
            Status.PROBLEM,
            f"{seen_so_far}, and {timed_out:.0f} were not since no answer came in time",
            "raise spark.uwfq.partitioning.timeout, or bring the service nearer",
        )
    if properties.get("spark.sql.adaptive.enabled", "true").lower() == "false":
        return (
            Status.PROBLEM,
            f"{seen_so_far}; shuffles never are, for adaptive execution is off",
            "leave spark.sql.adaptive.enabled as it is by default",
        )
    if not applied:
        return Status.UNKNOWN, "no scan or shuffle has been cut yet"
    return Status.OK, seen_so_far


def _fallbacks(seen: Observation) -> Verdict:
    gauges = seen.application.gauges
    if not gauges:
        return Status.UNKNOWN, "the plugin tells nothing"
    if errors := gauges.get("errors.caught", 0):
        return (
            Status.PROBLEM,
            f"{errors:.0f} errors of ours were kept from Spark's scheduler",
            "please report the warnings of UWFQ in the driver's log",
        )
    lost, found = gauges.get("service.fallbacks", 0), gauges.get("service.rejoins", 0)
    alone = gauges.get("placements.roundRobin", 0)
    if lost or alone:
        times = f"the service was lost {lost:.0f} times and found again {found:.0f} times"
        return Status.OK, f"{times}; {alone:.0f} stages were placed without it"
    return Status.OK, "none: the service has ordered everything"


#: By name, causes before effects.
CHECKS: Final[dict[str, Callable[[Observation], Verdict]]] = {
    "plugin": _plugin,
    "jar": _jar,
    "executors": _executors,
    "scheduler": _scheduler,
    "extension": _extension,
    "service, from the driver": _driver_to_service,
    "service, from here": _here_to_service,
    "pool": _pool,
    "users": _users,
    "partitioning": _partitioning,
    "fallbacks": _fallbacks,
}


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether there is no problem; what cannot be told is none."""
    return all(finding.status is not Status.PROBLEM for finding in findings)


def _listed(names: str, name: str) -> bool:
    return name in (each.strip() for each in names.split(","))
