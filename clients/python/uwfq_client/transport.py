"""One way to call the service, blocking or not.

The client is written once, as coroutines over a ``Transport``.  ``AsyncTransport`` suspends them
while an answer is under way.  ``BlockingTransport`` makes gRPC's blocking calls inside the same
``async def`` methods, which therefore never suspend: such a coroutine runs from its first line to
its last in a single step, without any event loop (``run_now``).

Why not an event loop in a thread behind the blocking client: ``grpc.aio`` shares one poller among
all loops of a process and reports spurious ``BlockingIOError``s when there are two (grpc#25364),
and a handler in a worker may well want to submit a job.
"""

# ruff: noqa: ASYNC109  # A time-out is sent along to the service, which honours it.

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Generator
from typing import Any, Protocol, TypeVar, cast

import grpc
import grpc.aio

from uwfq.v1 import admin_service_pb2_grpc, scheduler_service_pb2_grpc
from uwfq_client.channel import Endpoint
from uwfq_client.errors import from_rpc_error

Request = TypeVar("Request")
Response = TypeVar("Response")
T = TypeVar("T")


class Transport(Protocol):
    """Makes calls, and raises what goes wrong as ``UwfqError``.

    The stubs are typed as asyncio's; under the blocking transport their methods block.
    """

    @property
    def scheduler(self) -> scheduler_service_pb2_grpc.SchedulerServiceAsyncStub:
        """Stub of what submitters and workers call."""

    @property
    def admin(self) -> admin_service_pb2_grpc.AdminServiceAsyncStub:
        """Stub of what operators call."""

    async def unary(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float | None,
    ) -> Response:
        """Ask once."""

    def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        timeout: float | None,
    ) -> AsyncGenerator[Response, None]:
        """Ask once, for many answers.  Close it to cancel the call."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    async def aclose(self) -> None:
        """Drop the connection."""


class AsyncTransport:
    """Calls that suspend their coroutine.  Opens its channel at the first call, in that loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._closed = False
        self._channel: grpc.aio.Channel | None = None
        #: The event loop of the channel.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduler: scheduler_service_pb2_grpc.SchedulerServiceAsyncStub | None = None
        self._admin: admin_service_pb2_grpc.AdminServiceAsyncStub | None = None

    @property
    def scheduler(self) -> scheduler_service_pb2_grpc.SchedulerServiceAsyncStub:
        """Stub of what submitters and workers call."""
        channel = self._open()
        if self._scheduler is None:
            self._scheduler = scheduler_service_pb2_grpc.SchedulerServiceStub(channel)
        return self._scheduler

    @property
    def admin(self) -> admin_service_pb2_grpc.AdminServiceAsyncStub:
        """Stub of what operators call."""
        channel = self._open()
        if self._admin is None:
            self._admin = admin_service_pb2_grpc.AdminServiceStub(channel)
        return self._admin

    def _open(self) -> grpc.aio.Channel:
        _check_open(self._closed)
        loop = asyncio.get_running_loop()
        if self._channel is None:
            self._channel, self._loop = self._endpoint.async_channel(), loop
        elif loop is not self._loop:
            # gRPC would say that a loop is closed, or that some future is attached to another one.
            raise RuntimeError(
                "this client belongs to another event loop, that of its first call; "
                "make one for each loop, or a SyncClient for all"
            )
        return self._channel

    async def unary(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float | None,
    ) -> Response:
        """Ask once."""
        _check_open(self._closed)
        try:
            return await method(request, timeout=timeout)
        except asyncio.CancelledError:
            self._check_cancelled()
            raise
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    async def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        timeout: float | None,
    ) -> AsyncGenerator[Response, None]:
        """Ask once, for many answers."""
        _check_open(self._closed)
        call = method(request, timeout=timeout)
        try:
            async for response in call:
                yield response
        except asyncio.CancelledError:
            self._check_cancelled()
            raise
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()

    def _check_cancelled(self) -> None:
        """Say that it was our closing, not somebody's cancelling, that has ended a call.

        gRPC ends it as if the caller had been cancelled, and a task that ends so ends in silence.
        """
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            _check_open(self._closed)

    async def sleep(self, seconds: float) -> None:
        """Let other coroutines run for so long."""
        await asyncio.sleep(seconds)

    async def aclose(self) -> None:
        """Drop the connection; calls under way fail."""
        self._closed = True
        channel, self._channel = self._channel, None
        self._scheduler = self._admin = None
        if channel is not None:
            await channel.close(grace=None)


class BlockingTransport:
    """Calls that block their thread; any number of threads may share one."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._closed = False
        self._channel = endpoint.blocking_channel()
        # Their methods block, but look the same otherwise.
        self.scheduler: scheduler_service_pb2_grpc.SchedulerServiceAsyncStub = cast(
            Any, scheduler_service_pb2_grpc.SchedulerServiceStub(self._channel)
        )
        self.admin: admin_service_pb2_grpc.AdminServiceAsyncStub = cast(
            Any, admin_service_pb2_grpc.AdminServiceStub(self._channel)
        )

    async def unary(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float | None,
    ) -> Response:
        """Ask once; blocks."""
        _check_open(self._closed)
        try:
            return cast(Response, cast(Any, method)(request, timeout=timeout))
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    async def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        timeout: float | None,
    ) -> AsyncGenerator[Response, None]:
        """Ask once, for many answers; blocks for each."""
        _check_open(self._closed)
        call = cast(Any, method)(request, timeout=timeout)
        try:
            for response in call:
                yield response
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()

    async def sleep(self, seconds: float) -> None:
        """Block for so long."""
        time.sleep(seconds)  # noqa: ASYNC251  # Blocking is what this transport does.

    async def aclose(self) -> None:
        """Drop the connection; calls under way fail."""
        self._closed = True
        self._channel.close()


def _check_open(closed: bool) -> None:  # There is nothing else it could mean.
    if closed:
        raise RuntimeError("this client is closed")


def run_now(coroutine: Awaitable[T]) -> T:
    """Run a coroutine over a ``BlockingTransport``, which never suspends, to its end."""
    step = coroutine.__await__()
    try:
        next(step)
    except StopIteration as stop:
        return cast(T, stop.value)
    raise AssertionError("a coroutine over a blocking transport has suspended")


def iterate_now(stream: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """Go through an async generator over a ``BlockingTransport``."""
    try:
        while True:
            try:
                item = run_now(anext(stream))
            except StopAsyncIteration:
                return
            yield item
    finally:
        run_now(stream.aclose())
