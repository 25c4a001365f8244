"""A worker: asks the service for tasks, runs a handler for each, reports how it went.

    worker = Worker("127.0.0.1:7170", slots=2)

    @worker.handler("sum")
    def sum_range(task: Task) -> Measurement:
        total = sum(read(task.payload, task.range))
        return Measurement(rows=total)

    worker.run()

A handler that raises has failed and is tried again, here or elsewhere, up to the stage's number of
attempts; ``PermanentFailure`` fails the job at once.  A task may run twice (its worker may have
been cut off while it ran), so handlers should be safe to repeat.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

from uwfq_client import checks
from uwfq_client.channel import DEFAULT_TARGET, Endpoint, Keepalive, Option, Tls
from uwfq_client.execution import ExecutorKind, Handler
from uwfq_client.retry import TIRELESS, RetryPolicy
from uwfq_client.session import Session, SessionOptions
from uwfq_client.signals import stopping

AnyHandler = TypeVar("AnyHandler", bound=Handler)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStats:
    """What a worker is doing and has done since it last began to serve."""

    #: Attempts that run, and that wait in the worker's queue.
    running: int = 0
    queued: int = 0
    #: Attempts that ended.
    succeeded: int = 0
    failed: int = 0
    #: Polls sent.
    polls: int = 0


class Worker:
    """Runs tasks of one pool, ``slots`` at a time; by default one for each processor it may use.

    ``executor`` says where blocking handlers run: ``"thread"`` (the default); ``"process"`` for
    pure Python that computes (handlers must be importable functions, and the script guarded by
    ``if __name__ == "__main__"``); ``"inline"`` on the event loop, for handlers of a millisecond or
    so; or an executor of your own, which the worker does not shut down.  ``async def`` handlers
    always run on the loop.

    ``prefetch`` is how many slots' worth of leases to queue beyond those that run.  With 0 (the
    default) the service decides as late as possible, which is fairest; short tasks are cheaper in
    batches of 100 and more.  ``max_batch`` bounds the leases of one poll.

    ``report_delay_seconds`` is how long a result may wait for the next poll to take it along.
    ``poll_seconds`` is how long a poll may be parked at the service when there is nothing to run.

    ``worker_id`` (made of host, process and chance unless it is given) must be new at each start
    and nobody else's: two workers of one id are given the same tasks.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        pool: str = "default",
        slots: int | None = None,
        handlers: Mapping[str, Handler] | None = None,
        executor: ExecutorKind | concurrent.futures.Executor = "thread",
        prefetch: int = 0,
        max_batch: int | None = None,
        worker_id: str | None = None,
        poll_seconds: float = 30.0,
        report_delay_seconds: float = 0.01,
        tls: Tls | bool = False,
        retry: RetryPolicy | None = None,
        keepalive: Keepalive | None = None,
        options: Sequence[Option] = (),
    ) -> None:
        slots = slots if slots is not None else _processors()
        checks.whole("slots", slots, least=1)
        checks.whole("prefetch", prefetch, least=0)
        if max_batch is not None:
            checks.whole("max_batch", max_batch, least=1)
        checks.duration("poll_seconds", poll_seconds)
        checks.duration("report_delay_seconds", report_delay_seconds)
        if isinstance(executor, str) and executor not in {"thread", "process", "inline"}:
            raise ValueError(f"executor {executor!r} is none of thread, process, inline")
        self.worker_id = worker_id or _new_worker_id()
        self._options = SessionOptions(
            endpoint=Endpoint(target, tls, keepalive or Keepalive(), options),
            pool=pool,
            worker_id=self.worker_id,
            slots=slots,
            prefetch=prefetch,
            max_batch=max_batch,
            poll_seconds=poll_seconds,
            report_delay_seconds=report_delay_seconds,
            executor=executor,
            retry=retry or TIRELESS,
        )
        self._handlers: dict[str | None, Handler] = {}
        for kind, handler in (handlers or {}).items():
            self.handler(kind)(handler)
        #: The session that serves, or the last one that did.
        self._session: Session | None = None
        self._serving = False
        self._stop_requested = False
        #: Done when it has ended to serve: of no event loop, as each round may have another.
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        #: What ``async with`` serves in.
        self._background: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------------------------ handlers

    def handler(self, kind: str | None = None) -> Callable[[AnyHandler], AnyHandler]:
        """Register a function for the jobs of a kind; without a kind, for all that have none.

        A task whose kind has no handler here fails, to be tried again, and its job with it in the
        end: all workers of a pool should have handlers for whatever is submitted there.

        >>> worker = Worker()
        >>> @worker.handler("sum")
        ... async def sum_range(task):
        ...     return Measurement(rows=12)
        """
        if callable(kind):
            raise TypeError("it is @worker.handler(kind), or @worker.handler() for all other kinds")

        def register(function: AnyHandler) -> AnyHandler:
            if not callable(function):
                raise TypeError(f"the handler for kind {kind!r} is {function!r}, and not callable")
            if kind in self._handlers:
                raise ValueError(f"there is a handler for kind {kind!r} already")
            self._handlers[kind] = function
            return function

        return register

    # ------------------------------------------------------------------------------------- serving

    def run(self, grace_seconds: float | None = None) -> None:
        """Serve until SIGTERM or SIGINT; the main program of a worker process, in its main thread.

        In another thread use ``asyncio.run(worker.serve())`` and ``request_stop``.

        The first signal lets it finish and report what it holds, at most for ``grace_seconds``
        (``None``: for as long as it takes); the second makes it give up at once, as ``stop`` does
        after its grace.  A *thread* that ignores ``task.cancelled`` still keeps the process from
        exiting until it returns, and so does a handler in another process, which cannot see it.
        """
        asyncio.run(self.serve(signals=True, grace_seconds=grace_seconds))

    async def serve(self, *, signals: bool = False, grace_seconds: float | None = None) -> None:
        """Serve until ``stop`` or ``request_stop``.

        Outages of the service are waited out.  Raises ``UwfqError`` when waiting would not help:
        no such pool, not permitted, not UWFQ.  Cancelling this coroutine stops at once; the leases
        that it held expire.
        """
        if self._serving:
            raise RuntimeError("this worker is serving already")
        if not self._handlers:
            raise ValueError("a worker needs a handler: @worker.handler(kind)")
        session = Session(self._options, self._handlers)
        # In this order: another thread that finds it serving stops this session, not the last one.
        self._ended = concurrent.futures.Future()
        self._session = session
        self._serving = True
        try:
            if self._stop_requested:
                session.request_stop()
            with stopping(session, grace_seconds) if signals else contextlib.nullcontext():
                await session.serve()
        finally:
            self._serving = self._stop_requested = False
            self._ended.set_result(None)

    def request_stop(self, grace_seconds: float | None = None) -> None:
        """Begin to stop, from any thread; ``serve`` and ``run`` return when all is reported.

        May come before ``serve``, which then returns at once.
        """
        self._stop_requested = True
        if self._session is not None and self._serving:
            self._session.loop.call_soon_threadsafe(self._session.request_stop, grace_seconds)

    async def stop(self, grace_seconds: float | None = None) -> None:
        """Stop, and wait until what was held is finished and reported; on any event loop.

        What is not finished within ``grace_seconds`` (``None``: whatever it takes) is given up:
        what runs is reported as failed, to be tried again; what has not begun goes back to the
        service, and was no attempt.  Not for handlers: they would wait for themselves.

        Before the first ``serve``, it makes that return at once.
        """
        if self._session is None:
            # It may be about to serve, in a task that has not begun.
            self.request_stop()
        elif self._serving:
            ended = self._ended
            self.request_stop(grace_seconds)
            # Others may wait for the same: whoever is cancelled here must not cancel it for them.
            await asyncio.shield(asyncio.wrap_future(ended))

    async def __aenter__(self) -> Self:
        """Serve in the background for the length of the block."""
        self._background = asyncio.create_task(self.serve(), name="uwfq-worker")
        await asyncio.sleep(0)  # Let it begin, so that `stop` finds it serving.
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; raises what ended the worker before.

        Gracefully, unless an error or a cancellation ends the block: neither is to wait for tasks
        that may run for hours, so what is held is given up.
        """
        assert self._background is not None, "__aexit__ comes after __aenter__"
        try:
            await self.stop(None if error is None else 0.0)
        except asyncio.CancelledError:
            self._background.cancel()
            await asyncio.wait([self._background])
            raise
        await self._background

    @property
    def stopping(self) -> bool:
        """Whether it serves and has been asked to stop."""
        return self._serving and self._session is not None and self._session.stopping

    @property
    def stats(self) -> WorkerStats:
        """What it is doing, and has done since it last began to serve."""
        session = self._session
        if session is None:
            return WorkerStats()
        return WorkerStats(
            running=session.ledger.running,
            queued=session.ledger.queued,
            succeeded=session.launcher.succeeded,
            failed=session.launcher.failed,
            polls=session.polls,
        )


def _processors() -> int:
    """Those that this process may run on, which a container or ``taskset`` may have restricted."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _new_worker_id() -> str:
    """One process, one id, new at each start; the service takes 128 bytes."""
    return f"{socket.gethostname()[:64]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
