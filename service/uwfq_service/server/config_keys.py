"""Every setting of the service, as data: what it means, its range, where it may be given.

A setting has one dotted name.  In the TOML file it is a key of a table (``[log]``, ``level``), in
the environment ``UWFQ_LOG_LEVEL``, on the command line ``--set log.level=debug`` (the common ones
have an option of their own).  The help of ``uwfq serve`` and the checks at start read this table;
types and defaults come from the records that the values end up in.

Units stand in the help: seconds, bytes, slot-seconds.
"""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

from uwfq_service.core.policy import POLICIES
from uwfq_service.core.settings import Limits, Settings
from uwfq_service.store.options import StoreOptions


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Files of the server's identity; all empty: no TLS."""

    cert: str = ""
    key: str = ""
    client_ca: str = ""


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """How the shell behaves, and the limits that are its own."""

    max_inbox: int = 10_000
    max_parked_polls: int = 20_000
    max_stream_requests: int = 256
    max_watches: int = 1_000
    max_request_bytes: int = 16 * 1024 * 1024
    max_poll_seconds: float = 60.0
    drain_seconds: float = 10.0


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """What is logged, and how it looks."""

    level: str = "info"
    format: str = "auto"


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Where metrics are served."""

    listen: str = ""


#: The tables of the file, and the record that each fills.
SECTIONS: Final[dict[str, type[msgspec.Struct]]] = {
    "tls": Tls,
    "server": Serving,
    "scheduling": Settings,
    "limits": Limits,
    "store": StoreOptions,
    "log": Log,
    "metrics": Metrics,
}


class Key(msgspec.Struct, frozen=True):
    """One setting.  Ranges are inclusive, except that ``above`` is not."""

    name: str
    help: str
    type: type
    default: str | int | float | None
    low: float | None = None
    above: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def env(self) -> str:
        """The environment variable."""
        return "UWFQ_" + self.name.upper().replace(".", "_")

    @property
    def flag(self) -> str:
        """The option, for settings that have one of their own."""
        return "--" + self.name.replace(".", "-").replace("_", "-")

    @property
    def expects(self) -> str:
        """The values that are allowed, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.type is str:
            return "text"
        words = "a whole number" if self.type is int else "a number"
        if self.above is not None:
            words += f" above {plain(self.above)}"
        if self.low is not None:
            words += f" of at least {plain(self.low)}"
        if self.high is not None:
            words += f", at most {plain(self.high)}"
        return words

    def refuses(self, value: float) -> bool:
        """Whether a number is outside of the range."""
        return (
            (self.low is not None and value < self.low)
            or (self.above is not None and value <= self.above)
            or (self.high is not None and value > self.high)
        )


def plain(number: float) -> str:
    """A bound as people write it."""
    return f"{number:,.0f}" if number == int(number) else f"{number:g}"


def dotted(*parts: str) -> str:
    """A key as TOML and ``--set`` take it: what is no bare key goes into quotes."""
    return ".".join(
        part if re.fullmatch("[A-Za-z0-9_-]+", part) else json.dumps(part, ensure_ascii=False)
        for part in parts
    )


def _defaults(record: type[msgspec.Struct]) -> dict[str, object]:
    return {field.name: field.default for field in msgspec.structs.fields(record)}


def _key(
    name: str,
    text: str,
    *,
    default: str | float | None = None,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Key:
    section, _, field = name.rpartition(".")
    value = _defaults(SECTIONS[section])[field] if section else default
    assert isinstance(value, str | int | float), f"{name} must have a plain default"
    return Key(name, text, type(value), value, low, above, high, choices)


#: Of durations; the core takes no longer ones.
_LONG: Final = 1e9

#: Every setting outside of ``[pools]``, in the order of the help.
KEYS: Final[tuple[Key, ...]] = (
    _key(
        "listen",
        "Address to listen on: host:port, [ipv6]:port or unix:/path; port 0 picks a free one.",
        default="127.0.0.1:7170",
    ),
    _key(
        "data",
        "Directory of the journal, made if missing; :memory: keeps nothing.",
        default="./uwfq-data",
    ),
    _key("tls.cert", "Certificate chain of the server, a PEM file; turns TLS on."),
    _key("tls.key", "Private key of the certificate, a PEM file."),
    _key("tls.client_ca", "CA that clients must present a certificate of, a PEM file: mutual TLS."),
    _key(
        "log.level",
        "Least severe level that is logged.",
        choices=("debug", "info", "warning", "error"),
    ),
    _key(
        "log.format",
        "How a log line looks; auto: console on a terminal, else json.",
        choices=("auto", "console", "json"),
    ),
    _key("metrics.listen", "Address for Prometheus to scrape: host:port; empty: none."),
    _key(
        "server.drain_seconds", "Longest that a stop waits for calls under way.", low=0, high=3600
    ),
    _key("server.max_poll_seconds", "Longest that a long poll waits.", above=0, high=3600),
    _key(
        "server.max_inbox", "Calls that may wait for a decision or for the disk.", low=1, high=1e7
    ),
    _key("server.max_parked_polls", "Long polls that may wait at once.", low=1, high=1e7),
    _key("server.max_stream_requests", "Requests under way on one Work stream.", low=1, high=1e5),
    _key("server.max_watches", "Jobs that may be watched at once.", low=1, high=1e6),
    _key("server.max_request_bytes", "Size of one request message.", low=1024, high=2**31 - 1),
    _key(
        "scheduling.advisory_task_runtime",
        "How long a task should run, seconds; stages are cut by it.",
        above=0,
        high=_LONG,
    ),
    _key(
        "scheduling.overhead_budget",
        "Part of a task's runtime that its overhead may take before tasks are made longer.",
        above=0,
        high=1,
    ),
    _key(
        "scheduling.max_split_tasks",
        "Most tasks that the splitter cuts a stage into.",
        low=1,
        high=1e7,
    ),
    _key(
        "scheduling.prior_work",
        "Work of a job about which nothing is known, slot-seconds.",
        above=0,
        high=1e12,
    ),
    _key(
        "scheduling.lease_seconds",
        "A lease expires unless renewed within this.",
        above=0,
        high=86400,
    ),
    _key(
        "scheduling.worker_timeout",
        "A worker silent for so long beyond the wait of its poll, and without a lease that holds, "
        "is forgotten, seconds.",
        above=0,
        high=_LONG,
    ),
    _key(
        "scheduling.engine_timeout",
        "An engine silent for so long beyond the wait of its poll has its open jobs cancelled, "
        "seconds.",
        above=0,
        high=_LONG,
    ),
    _key(
        "scheduling.max_attempts",
        "Attempts that a task gets before its job fails.",
        low=1,
        high=100,
    ),
    _key(
        "scheduling.retry_backoff",
        "Wait before the first retry, seconds; doubles each time.",
        low=0,
        high=_LONG,
    ),
    _key(
        "scheduling.retry_backoff_max", "Longest wait before a retry, seconds.", low=0, high=_LONG
    ),
    _key(
        "scheduling.hold_after",
        "A task that needs more slots than were free for so long gets a worker held, seconds.",
        low=0,
        high=_LONG,
    ),
    _key(
        "scheduling.correction_threshold",
        "Relative change of a job's estimate below which nothing is corrected.",
        low=0,
        high=10,
    ),
    _key(
        "scheduling.retention_seconds",
        "Finished jobs are remembered for so long.",
        low=0,
        high=_LONG,
    ),
    _key(
        "scheduling.retention_jobs", "Finished jobs that are remembered at most.", low=0, high=1e8
    ),
    _key("limits.max_id_bytes", "Length of names and ids.", low=8, high=4096),
    _key("limits.max_signature_bytes", "Length of a signature.", low=8, high=65536),
    _key("limits.max_payload_bytes", "Size of a stage's payload.", low=0, high=2**24),
    _key("limits.max_labels", "Labels of a job.", low=0, high=10_000),
    _key("limits.max_labels_bytes", "Size of a job's labels together.", low=0, high=2**24),
    _key("limits.max_stages_per_job", "Stages of a job.", low=1, high=65_535),
    _key(
        "limits.max_dependencies",
        "Stages that are named in the `after` of those of one call.",
        low=1,
        high=1e8,
    ),
    _key("limits.max_tasks_per_stage", "Tasks of a stage.", low=1, high=1e8),
    _key(
        "limits.max_listed_tasks",
        "Tasks whose sizes or works, and units of input, are listed in one call.",
        low=1,
        high=1e8,
    ),
    _key("limits.max_input_units", "Units of a stage's input.", low=1, high=1e8),
    _key("limits.max_ranges", "Ranges that the inputs of one call are cut into.", low=1, high=1e8),
    # Our clients report so many results at once, and would never be rid of them.
    _key("limits.max_batch", "Results, starts or leases in one message.", low=5_000, high=1e6),
    _key("limits.max_leased_bytes", "Size of the leases in one answer.", low=1, high=2**31 - 1),
    _key(
        "limits.max_message_bytes", "Length of a failure's message that is kept.", low=0, high=2**20
    ),
    _key("limits.max_jobs_per_user", "Unfinished jobs of a user in a pool.", low=1, high=1e8),
    _key("limits.max_jobs_per_pool", "Unfinished jobs in a pool.", low=1, high=1e8),
    _key(
        "limits.max_users_per_pool",
        "Users of a pool; idle ones are forgotten when others come.",
        low=1,
        high=1e8,
    ),
    _key("limits.max_workers_per_pool", "Live workers of a pool.", low=1, high=1e6),
    _key("store.snapshot_records", "Events after which a snapshot is due.", low=1000, high=1e9),
    _key("store.snapshot_bytes", "Bytes of events after which one is due.", low=2**20, high=1e12),
    _key(
        "store.history_records",
        "Events kept behind snapshots for `uwfq simulate --from-journal`, at most.",
        low=0,
        high=1e10,
    ),
    _key("store.history_seconds", "Such events are kept for so long.", low=0, high=_LONG),
    _key("store.commit_records", "Most events in one commit.", low=1, high=1e5),
)

#: Settings of ``[pools.NAME]`` and ``[pools.NAME.users.USER]``: in the file or with ``--set``.
POOL_KEYS: Final[tuple[Key, ...]] = (
    Key("policy", "What orders the pool.", str, "uwfq", choices=tuple(POLICIES)),
    Key(
        "slots", "Size of the pool; absent: the slots of its live workers.", int, None, 1, None, 1e6
    ),
    Key(
        "advisory_task_runtime",
        "How long a task should run, seconds; absent: scheduling.advisory_task_runtime.",
        float,
        None,
        None,
        0,
        _LONG,
    ),
)
USER_KEYS: Final[tuple[Key, ...]] = (
    Key("weight", "Relative claim on the pool.", float, 1.0, 0.001, None, 1e6),
    Key("max_running_slots", "Most slots at once; 0: no cap.", int, 0, 0, None, 1e6),
    Key(
        "max_waiting_jobs",
        "Most unfinished jobs; 0: the service's limit.",
        int,
        0,
        0,
        None,
        2**32 - 1,
    ),
)
