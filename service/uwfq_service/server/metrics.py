"""Metrics: counts of events, and a look at the pools, for Prometheus to scrape.

Two sources.  Counters follow the core's events, once they are on disk, as the log does; what they
cost per event is a dict lookup and an addition.  Gauges are read from the scheduler, the engine and
the journal at the moment of a scrape, so they cost nothing in between.

Users have no metrics of their own: there may be a hundred thousand.  ``ListUsers`` shows them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from uwfq_service.core import events as ev
from uwfq_service.core import views
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.server.clock import Clock
from uwfq_service.server.engine import Engine
from uwfq_service.server.logs import line_name
from uwfq_service.store.journal import Journal

log = structlog.get_logger(__name__)


class EventCounters:
    """Counts what happened since the service started; an observer of the engine."""

    def __init__(self) -> None:
        #: How many events of each kind, and how many tasks or leases they were about.
        self.events: dict[type[ev.Event], int] = dict.fromkeys(ev.AnyEvent.__args__, 0)
        self.leased = self.finished = self.expired = 0
        self.ended: dict[str, int] = dict.fromkeys(("succeeded", "failed", "cancelled"), 0)
        self.measured_work = 0.0

    def __call__(self, events: Sequence[ev.AnyEvent]) -> None:
        """Count ``events``."""
        counts = self.events
        for event in events:
            kind = type(event)
            counts[kind] += 1
            if kind is ev.TasksLeased:
                self.leased += len(event.tasks)  # type: ignore[union-attr]
            elif kind is ev.TasksFinished:
                self.finished += len(event.leases)  # type: ignore[union-attr]
            elif kind is ev.TasksRan:
                self.finished += len(event.tasks)  # type: ignore[union-attr]
            elif isinstance(event, ev.LeasesExpired) and not event.unstarted:
                self.expired += len(event.leases)
            elif isinstance(event, ev.JobEnded):
                self.ended[event.state] += 1
                self.measured_work += event.measured


#: Gauges of a pool: name, field of ``views.PoolStatus``, help.
_POOL_GAUGES: Final = (
    ("slots", "slots", "Live slots."),
    ("running_slots", "running_slots", "Slots that are occupied."),
    ("workers", "workers", "Live workers."),
    ("jobs", "jobs", "Unfinished jobs."),
    ("launchable_tasks", "launchable_tasks", "Tasks that could be launched now."),
    ("active_users", "active_users", "Users that are virtually active."),
    ("virtual_time", "virtual_time", "Global virtual time, slot-seconds per unit of weight."),
    ("task_overhead_seconds", "task_overhead", "Measured overhead per task."),
)

#: Counters and gauges of the journal: name, field of ``JournalStats``, help.
_JOURNAL_COUNTERS: Final = (
    ("appended_events", "appended", "Events that were decided, ever."),
    ("durable_events", "durable", "Events that are on disk, ever."),
    ("commits", "commits", "Syncs since the start."),
    ("snapshots", "snapshots", "Snapshots written since the start."),
    ("snapshot_failures", "snapshot_failures", "Attempts at a snapshot that failed."),
)
_JOURNAL_GAUGES: Final = (
    ("tail_events", "tail_records", "Events after the newest snapshot."),
    ("tail_bytes", "tail_bytes", "Their size."),
    ("snapshot_bytes", "snapshot_bytes", "Size of the newest snapshot."),
    ("history_events", "history_records", "Events in the history."),
)


class ServiceCollector(Collector):
    """Everything that is scraped, but for the process's own."""

    def __init__(
        self,
        counters: EventCounters,
        scheduler: Scheduler,
        engine: Engine,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._counters = counters
        self._scheduler = scheduler
        self._engine = engine
        self._journal = journal
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """See ``Collector``; runs on the event loop's thread."""
        yield from self._counted()
        yield from self._pools()
        load = (
            ("waiting_calls", self._engine.load, "Calls that wait for a decision or the disk."),
            ("parked_polls", self._engine.parked, "Long polls that wait for something to launch."),
        )
        for name, value, text in load:
            yield GaugeMetricFamily(f"uwfq_{name}", text, value=value)
        stats = self._journal.stats()
        for name, field, text in _JOURNAL_COUNTERS:
            value = getattr(stats, field)
            yield CounterMetricFamily(f"uwfq_journal_{name}", text, value=value)
        for name, field, text in _JOURNAL_GAUGES:
            value = getattr(stats, field)
            yield GaugeMetricFamily(f"uwfq_journal_{name}", text, value=value)

    def _counted(self) -> Iterator[Metric]:
        counters = self._counters
        family = CounterMetricFamily(
            "uwfq_events", "Events of the core by their name in the log.", labels=["event"]
        )
        for kind, count in counters.events.items():
            family.add_metric([line_name(kind)], count)
        yield family
        for name, value, text in (
            ("tasks_leased", counters.leased, "Leases granted."),
            ("tasks_finished", counters.finished, "Attempts that succeeded."),
            ("leases_expired", counters.expired, "Leases that nobody renewed."),
            ("work_slot_seconds", counters.measured_work, "Measured work of ended jobs."),
        ):
            yield CounterMetricFamily(f"uwfq_{name}", text, value=value)
        family = CounterMetricFamily("uwfq_jobs_ended", "Jobs by how they ended.", labels=["state"])
        for state, count in counters.ended.items():
            family.add_metric([state], count)
        yield family

    def _pools(self) -> Iterator[Metric]:
        now = self._clock.now()
        pools = [
            views.pool_status(self._scheduler, pool, now)
            for _, pool in sorted(self._scheduler.pools.items())
        ]
        for name, field, text in _POOL_GAUGES:
            family = GaugeMetricFamily(f"uwfq_pool_{name}", text, labels=["pool"])
            for pool in pools:
                family.add_metric([pool.pool], getattr(pool, field))
            yield family
        ratio = GaugeMetricFamily(
            "uwfq_pool_estimate_ratio",
            "Measured / estimated work of recent jobs.",
            labels=["pool", "quantile"],
        )
        for pool in pools:
            error = pool.estimate_error
            if not error.jobs:
                # Nothing was estimated, which is not to say that everything cost nothing.
                continue
            for quantile, value in (
                ("0.1", error.p10_ratio),
                ("0.5", error.p50_ratio),
                ("0.9", error.p90_ratio),
            ):
                ratio.add_metric([pool.pool, quantile], value)
        yield ratio


def registry(collector: ServiceCollector) -> CollectorRegistry:
    """What is scraped: the service's metrics, and the process's (CPU, memory, files)."""
    found = CollectorRegistry()
    found.register(collector)
    ProcessCollector(registry=found)
    return found


# -- the endpoint ----------------------------------------------------------------------------------

_REQUEST_LIMIT: Final = 8192
_REQUEST_SECONDS: Final = 5.0


class MetricsEndpoint:
    """Answers ``GET /metrics`` over HTTP/1.1, one request per connection.

    On the event loop, not in a thread: what it reads belongs to the loop.
    """

    def __init__(self, render: Callable[[], bytes]) -> None:
        self._render = render
        self._server: asyncio.Server | None = None
        #: The port that it listens on.
        self.port = 0

    @classmethod
    def of(cls, scraped: CollectorRegistry) -> MetricsEndpoint:
        """The endpoint of a registry."""
        return cls(lambda: generate_latest(scraped))

    async def start(self, host: str, port: int) -> None:
        """Listen; raises ``OSError``."""
        self._server = await asyncio.start_server(
            self._serve, host.strip("[]"), port, limit=_REQUEST_LIMIT
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Whoever does not ask properly, or does not listen, gets no answer, or no more of it.
            writer.transport.abort()
        finally:
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if path != b"/metrics":
            return _response("404 Not Found", "text/plain", b"metrics are at /metrics\n")
        if method not in {b"GET", b"HEAD"}:
            return _response("405 Method Not Allowed", "text/plain", b"use GET\n")
        body = self._render()
        return _response("200 OK", CONTENT_TYPE_LATEST, body, send=method == b"GET")


def _response(status: str, content_type: str, body: bytes, *, send: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if send else b"")
