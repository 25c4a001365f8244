"""The composition root: builds the service, starts it, drains it.

    config -> journal -> recovered scheduler -> engine -> RPC services -> port

``Server`` is one service inside a running event loop; tests use it with port 0 and a
``MemoryJournal``.  ``run`` is a whole process: it also sets up logs, signals and the garbage
collector.

A stop goes from the outside in: health says NOT_SERVING, new calls are refused as UNAVAILABLE,
what waits is answered (long polls with nothing), the journal gets a snapshot if much has happened,
and the process ends with 0.  When the disk or the core fails nothing more is answered, and it ends
with 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import resource
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from uwfq_service.core.commands import ConfigurePool, SetUser
from uwfq_service.core.errors import SchedulerError
from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.replies import Done, UserReply
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.server import logs, metrics
from uwfq_service.server.acceptors import Acceptors
from uwfq_service.server.admin_rpc import AdminRpc
from uwfq_service.server.certificates import Certificates
from uwfq_service.server.clock import Clock, SystemClock
from uwfq_service.server.config import Config, ConfigError, PoolConfig
from uwfq_service.server.config_keys import dotted
from uwfq_service.server.engine import DRAIN_LIMIT, Engine
from uwfq_service.server.outbox import Observer
from uwfq_service.server.rpc import Handlers
from uwfq_service.server.scheduler_rpc import SchedulerRpc
from uwfq_service.store.journal import Jitter, Journal
from uwfq_service.store.memory import MemoryJournal
from uwfq_service.store.sqlite import SqliteJournal

log = structlog.get_logger(__name__)

#: Calls that are answered already get this long to be written out, seconds.
_FLUSH_SECONDS: Final = 1.0

#: Users who are named in one line of the log.
_MOST_USERS_TOLD: Final = 10

#: What the wall clock may be behind the last event, seconds, before that is worth a word.
_CLOCK_TOLERANCE: Final = 5.0


class ServiceFailed(Exception):
    """The service broke while it started; ``Server.failure`` and the log say why."""


class _Interrupted(BaseException):
    """A stop was asked for while the state was recovered; nobody has been promised anything."""


class Server:
    """One service: ``async with Server(config) as server: ... server.port``.

    ``journal`` and ``clock`` are the tests' to replace, ``handlers`` are served beside our own.
    """

    def __init__(
        self,
        config: Config,
        *,
        journal: Journal | None = None,
        clock: Clock | None = None,
        jitter: Jitter | None = None,
        observers: Sequence[Observer] = (),
        handlers: Sequence[grpc.GenericRpcHandler[Any, Any]] = (),
    ) -> None:
        self.config = config
        self._journal = journal
        self._clock = clock
        self._jitter = jitter or (lambda: random.uniform(0.5, 1.0))
        self._observers = tuple(observers)
        self._extra_handlers = tuple(handlers)
        self._health = HealthServicer()
        self._grpc: Acceptors | None = None
        self._engine: Engine | None = None
        self._scheduler: Scheduler | None = None
        #: Set when the service should end, for whatever reason.
        self._end = asyncio.Event()
        self._stopped = False
        self._hanging_up: asyncio.Future[None] | None = None
        #: Where metrics are served, if they are.
        self.metrics: metrics.MetricsEndpoint | None = None
        #: What broke the service.
        self.failure: BaseException | None = None
        #: The port that it listens on.
        self.port = 0

    @property
    def engine(self) -> Engine:
        """The engine of the started service."""
        assert self._engine is not None, "the server has not been started"
        return self._engine

    @property
    def journal(self) -> Journal:
        """The journal of the started service."""
        assert self._journal is not None, "the server has not been started"
        return self._journal

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # -- starting ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover the state, apply the configuration, listen.

        Raises ``ConfigError`` for what only shows now, ``StoreError`` for an unusable journal, and
        ``ServiceFailed`` when the first write fails.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        config = self.config
        if self._journal is None:
            self._journal = _open_journal(config)
        recovery = self._journal.recover(config.scheduling, self._jitter)
        # Before anything is decided: a service that cannot listen leaves no trace.
        acceptors = self._grpc = Acceptors(config.listen, channel_options(config))
        self.port = self._bind(acceptors)
        clock = self._clock or _system_clock(recovery.instant)
        scheduler = self._scheduler = recovery.scheduler
        counters = metrics.EventCounters()
        counting = (counters,) if config.metrics.listen else ()
        self._engine = Engine(
            scheduler,
            self._journal,
            clock,
            max_inbox=config.server.max_inbox,
            max_parked=config.server.max_parked_polls,
            observers=(_event_log(config, scheduler), *counting, *self._observers),
            on_fatal=self._fail,
        )
        if config.metrics.listen:
            collector = metrics.ServiceCollector(
                counters, scheduler, self._engine, self._journal, clock
            )
            await self._expose(collector)
        self._engine.start(scheduler.recover(clock.now(), recovery.instant).events)
        await self._apply_pools()
        await self._serve(acceptors, clock)
        log.info(
            "serving",
            listen=self.address,
            metrics=_address(config.metrics.listen, self.metrics.port) if self.metrics else "",
            data=config.data,
            tls=config.secure,
            pools=[pool.configure.pool for pool in config.pools],
            recovered_events=recovery.sequence,
            recovery_seconds=round(recovery.seconds, 3),
        )
        configured = {pool.configure.pool for pool in config.pools}
        left_over = (
            f"{dotted('pools', name)} is not configured any more: the pool stays as it was, with "
            "its jobs and its users' settings"
            for name in scheduler.pools
            if name not in configured
        )
        for warning in (*config.warnings, *left_over):
            log.warning("configuration", warning=warning)
        for pool in config.pools:
            self._tell_kept_settings(pool, scheduler)

    def _tell_kept_settings(self, configured: PoolConfig, scheduler: Scheduler) -> None:
        """Say who has settings that the configuration does not name: ``SetUser`` may have set them.

        Or it named them once: what is taken out of it is not taken back.
        """
        named = {user.user: user for user in configured.users}
        pool = configured.configure.pool
        kept = []
        for user in scheduler.pools[pool].users.values():
            given = named.get(user.name, SetUser(user=user.name))
            if (
                (user.weight != WEIGHT_SCALE and given.weight is None)
                or (user.max_running_slots and given.max_running_slots is None)
                or (user.max_waiting_jobs and given.max_waiting_jobs is None)
            ):
                kept.append(user.name)
        if kept:
            log.info(
                "user_settings_kept", pool=pool, count=len(kept), users=kept[:_MOST_USERS_TOLD]
            )

    async def _apply_pools(self) -> None:
        """Bring about the pools and users of the configuration."""
        # Each would wait for the disk by itself; those that are decided together wait once.
        at_once = min(DRAIN_LIMIT, self.config.server.max_inbox)
        for pool in self.config.pools:
            name = pool.configure.pool
            steps: list[ConfigurePool | SetUser] = [pool.configure, *pool.users]
            try:
                for begin in range(0, len(steps), at_once):
                    replies = [
                        self.engine.call(command) for command in steps[begin : begin + at_once]
                    ]
                    await self._unless_failed(asyncio.gather(*replies))
            except SchedulerError as error:
                raise ConfigError([f"{dotted('pools', name)}: {error}"]) from None

    async def _unless_failed(self, replies: asyncio.Future[list[Done | UserReply]]) -> None:
        """Wait for replies that will never come if the service breaks meanwhile."""
        failed = asyncio.create_task(self._end.wait())
        await asyncio.wait((replies, failed), return_when=asyncio.FIRST_COMPLETED)
        failed.cancel()
        if self.failure is not None:
            raise ServiceFailed from self.failure
        await replies

    async def _expose(self, collector: metrics.ServiceCollector) -> None:
        """Let Prometheus scrape."""
        self.metrics = metrics.MetricsEndpoint.of(metrics.registry(collector))
        host, _, port = self.config.metrics.listen.rpartition(":")
        try:
            await self.metrics.start(host, int(port))
        except OSError as error:
            where = self.config.metrics.listen
            raise ConfigError([f"metrics.listen: cannot listen on {where}: {error}"]) from None

    async def _serve(self, acceptors: Acceptors, clock: Clock) -> None:
        log_calls = self.config.log.level == "debug"
        services = (
            SchedulerRpc(self.engine, clock, self.config.server, self.config.scheduling.limits),
            AdminRpc(self.engine),
        )
        names = []
        generic = []
        for service in services:
            handlers = Handlers(service.NAME, log_calls=log_calls)
            service.register(handlers)
            names.append(service.NAME)
            generic.append(handlers.generic())
        reflected = [*names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]

        def register(server: grpc.aio.Server) -> None:
            server.add_generic_rpc_handlers([*generic, *self._extra_handlers])
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
            reflection.enable_server_reflection([*reflected, reflection.SERVICE_NAME], server)

        acceptors.add(register)
        await acceptors.start()
        for name in names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def _bind(self, acceptors: Acceptors) -> int:
        config = self.config
        try:
            # One for each server, for it is each that notices when the files change.
            credentials = (
                (lambda: Certificates(config.tls).credentials()) if config.secure else None
            )
            return acceptors.bind(credentials)
        except (RuntimeError, OSError) as error:
            raise ConfigError([f"listen: cannot listen on {config.listen}: {error}"]) from None

    @property
    def address(self) -> str:
        """Where it listens, with the port that was picked."""
        return _address(self.config.listen, self.port)

    # -- running -----------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """Ask for an orderly end; ``wait`` returns."""
        self._end.set()

    async def wait(self) -> None:
        """Return when a stop was asked for, or when the service cannot go on (see ``failure``)."""
        await self._end.wait()

    def _fail(self, error: BaseException) -> None:
        """Nothing is answered any more, so nobody should go on waiting for an answer."""
        self.failure = error
        self._end.set()
        if self._grpc is not None:
            self._hanging_up = asyncio.ensure_future(self._grpc.stop(None))
        log.error(
            "service_failed",
            error=str(error) or repr(error),  # A MemoryError says nothing.
            remedy="what was acknowledged is on disk; mend the cause and start again",
            exc_info=error,
        )

    # -- stopping ----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Drain and let go of everything.  Stopping twice does nothing."""
        if self._stopped:
            return
        self._stopped = True
        if self._engine is not None:
            with contextlib.suppress(TimeoutError):
                # One who watches it and takes in nothing must not keep us.
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._health.enter_graceful_shutdown()
            self._engine.stop_accepting()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.config.server.drain_seconds):
                    await self._engine.settle()
        if self._grpc is not None:
            await self._grpc.stop(None if self.failure else _FLUSH_SECONDS)
        if self._engine is not None:
            self._engine.close()
        if self.metrics is not None:
            await self.metrics.stop()
        if self._journal is not None:
            # Of a core that broke its own rules no snapshot is taken.
            self._journal.close(None if self.failure else self._scheduler)


def _address(listen: str, port: int) -> str:
    return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"


def _open_journal(config: Config) -> Journal:
    loop = asyncio.get_running_loop()
    if config.in_memory:
        return MemoryJournal(loop)
    return SqliteJournal(Path(config.data), loop, options=config.store)


def _system_clock(last: float) -> Clock:
    """The real clock, no earlier than the ``last`` event."""
    ahead = last - time.time()
    if ahead > _CLOCK_TOLERANCE:
        log.warning(
            "clock_set_back",
            seconds=round(ahead, 3),
            remedy="times go on from the last event, and are so far ahead until a later start",
        )
    return SystemClock(not_before=last)


def _event_log(config: Config, scheduler: Scheduler) -> logs.EventLog:
    jobs = scheduler.state.jobs_by_number

    def job_name(number: int) -> str | None:
        job = jobs.get(number)
        return job.job_id if job else None

    return logs.EventLog(logs.LEVELS[config.log.level], job_name)


#: Far more than can come between two turns of the event loop.
_MAX_PENDING_CALLS: Final = 100_000


def channel_options(config: Config) -> list[tuple[str, Any]]:
    """Options of the gRPC server."""
    return [
        ("grpc.max_receive_message_length", config.server.max_request_bytes),
        # What we have decided to say must not be refused by ourselves.
        ("grpc.max_send_message_length", -1),
        # A caller that vanished without closing its connection is noticed within 40 s.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A minute by default, and it is this one that gRPC obeys.
        ("grpc.http2.ping_timeout_ms", 10_000),
        # Clients may ping while they wait in a long poll, or between calls.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        # gRPC would cancel calls without a word, once 1,000 have come that we have not taken in.
        # Of more than `server.max_inbox` each is refused with the reason, and when to come back.
        ("grpc.server.max_pending_requests", _MAX_PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING_CALLS),
    ]


def run(config: Config) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP; the process's exit status."""
    _occupy_standard_streams()
    raise_descriptor_limit()
    logs.configure(config.log.level, config.log.format)
    try:
        return asyncio.run(_run(config))
    except _Interrupted:  # While the loop made its first turn.
        return 0


def _occupy_standard_streams() -> None:
    """Let no file or socket of ours become standard error, where libraries write."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def raise_descriptor_limit() -> None:
    """Take as many descriptors as the system allows: each connection needs one.

    What most shells and containers give unless asked for more, 1,024, is there for ``select``,
    which nothing here uses.  One connection too many would wait in the kernel without a word.
    """
    # A sandbox may forbid it, and some systems allow less than they say.
    with contextlib.suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _run(config: Config) -> int:
    server = Server(config)
    loop = asyncio.get_running_loop()
    stops = [signal.SIGTERM, signal.SIGINT]
    # The terminal has closed.  Under ``nohup`` that is ignored.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        stops.append(signal.SIGHUP)
    try:
        with contextlib.suppress(ServiceFailed, _Interrupted):
            # The loop stands still while a long journal is replayed, and would hear of a stop
            # afterwards: until it turns for the first time a signal ends what is under way.
            for name in stops:
                signal.signal(name, _interrupt)
                loop.call_soon(loop.add_signal_handler, name, server.request_stop)
            await server.start()
            tune_garbage_collector()
            await server.wait()
        if server.failure is None:
            log.info("draining")
    finally:
        started = time.monotonic()
        await server.stop()
    if server.failure is not None:
        return 1
    log.info("stopped", seconds=round(time.monotonic() - started, 3))
    return 0


def _interrupt(*_: object) -> None:
    raise _Interrupted


def tune_garbage_collector() -> None:
    """Keep pauses short with millions of live objects: 6-15 ms where the defaults take seconds.

    What recovery built is moved out of the collector's sight.  It stays on, because each call
    leaves a few cyclic objects behind in the gRPC library.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 1_000_000)
