"""What all RPC handlers share: refusals become statuses, calls are logged when anyone looks.

Wrapping a handler costs a tenth of what a gRPC interceptor does, so this is done here, once, when
the services are put together.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final, NoReturn, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError, Message

from uwfq_service.core.errors import InvalidField, SchedulerError
from uwfq_service.server.status import DETAILS_KEY, to_status

Context = grpc.aio.ServicerContext[Any, Any]
Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response")
Unary = Callable[[Request, Context], Awaitable[Response]]
Streaming = Callable[[Request, Context], AsyncIterator[Response]]

#: Set to the request id that a caller sends along, for its own logs and ours.
REQUEST_ID_HEADER = "x-request-id"

log = structlog.get_logger(__name__)


#: Code, message and trailing metadata.
Ending = tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]

#: What a caller hears of our mistakes.
INTERNAL: Final = (grpc.StatusCode.INTERNAL, "a mistake in the service; its log says more")


def nobody_listens(error: BaseException | None) -> bool:
    """Whether an answer could not be sent because its caller has gone: nobody's mistake.

    Told by its name, for the library keeps the class to itself, and by what it says: the same class
    tells of wrong use.
    """
    return type(error).__name__ == "ExecuteBatchError" and "execute_batch" in str(error)


def caller(method: str, context: Context) -> dict[str, str]:
    """Who has called what, as the log says it."""
    told = {"method": method, "peer": context.peer()}
    for name, value in context.invocation_metadata() or ():
        if name == REQUEST_ID_HEADER:
            told["request_id"] = str(value)
    return told


def ending(method: str, context: Context, error: Exception) -> Ending:
    """How the call ends: a refusal with its details, a mistake of ours without its cause.

    Raises ``error`` again if nobody is left to be told.
    """
    if isinstance(error, SchedulerError):
        code, message, status = to_status(error)
        return code, message, ((DETAILS_KEY, status.SerializeToString()),)
    if nobody_listens(error):
        raise error
    log.error("call_failed", **caller(method, context), exc_info=error)
    return *INTERNAL, ()


async def abort(context: Context, end: Ending) -> NoReturn:
    """End the call so, without an answer before it: gRPC's clients may then try it again.

    gRPC keeps what is raised here together with the call, and that keeps the frames it has passed,
    until the garbage collector comes by.  So neither the error behind it nor the request, which may
    be large, is to be in one of them: leave the ``except`` first.
    """
    await context.abort(*end)


def read(kind: type[Request], message: bytes) -> Request:
    """The request in what a caller has sent.

    Read by ourselves: gRPC would say UNKNOWN to the caller, and log a traceback.
    """
    try:
        return kind.FromString(message)
    except DecodeError:
        name = kind.DESCRIPTOR.name
        raise InvalidField(
            name, f"is no {name} in protobuf's encoding, with text in UTF-8"
        ) from None


class _Requests(AsyncIterator[Request]):
    """The requests of a stream, read one by one."""

    def __init__(self, kind: type[Request], messages: AsyncIterator[bytes]) -> None:
        self._kind = kind
        self._messages = aiter(messages)

    async def __anext__(self) -> Request:
        return read(self._kind, await anext(self._messages))


class Handlers:
    """Collects the handlers of one service, wrapped."""

    def __init__(self, service: str, *, log_calls: bool) -> None:
        self.service = service
        self._log_calls = log_calls
        self._methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    @property
    def methods(self) -> frozenset[str]:
        """Names of the methods so far."""
        return frozenset(self._methods)

    def generic(self) -> grpc.GenericRpcHandler[Any, Any]:
        """All of them, for ``grpc.aio.Server.add_generic_rpc_handlers``."""
        return grpc.method_handlers_generic_handler(self.service, self._methods)

    def unary(
        self,
        method: str,
        request: type[Request],
        response: type[Message] | None,
        handler: Unary[Request, Response],
    ) -> None:
        """Add a method with one request and one response; ``None``: the handler returns bytes."""

        async def call(message: bytes, context: Context) -> Response:
            try:
                return await handler(read(request, message), context)
            except Exception as error:  # noqa: BLE001 - the caller must not see our tracebacks.
                end = ending(method, context, error)
            del message
            return await abort(context, end)

        self._methods[method] = grpc.unary_unary_rpc_method_handler(
            _logged_call(method, call) if self._log_calls else call,
            response_serializer=response.SerializeToString if response else None,
        )

    def server_stream(
        self,
        method: str,
        request: type[Request],
        response: type[Message],
        handler: Streaming[Request, Response],
    ) -> None:
        """Add a method with one request and a stream of responses."""

        async def call(message: bytes, context: Context) -> AsyncIterator[Response]:
            try:
                async for item in handler(read(request, message), context):
                    yield item
                return
            except Exception as error:  # noqa: BLE001 - as above.
                end = ending(method, context, error)
            del message
            await abort(context, end)

        self._methods[method] = grpc.unary_stream_rpc_method_handler(
            _logged_stream(method, call) if self._log_calls else call,
            response_serializer=response.SerializeToString,
        )

    def two_way_stream(
        self,
        method: str,
        request: type[Request],
        handler: Callable[[AsyncIterator[Request], Context], Awaitable[None]],
    ) -> None:
        """Add a method with a stream each way; the handler reads messages and writes bytes."""

        async def call(messages: AsyncIterator[bytes], context: Context) -> None:
            try:
                await handler(_Requests(request, messages), context)
                return
            except Exception as error:  # noqa: BLE001 - as above.
                end = ending(method, context, error)
            await abort(context, end)

        self._methods[method] = grpc.stream_stream_rpc_method_handler(
            _logged_call(method, call) if self._log_calls else call,
            response_serializer=None,
        )


@contextlib.contextmanager
def _closing_line(method: str, context: Context) -> Iterator[None]:
    """Log how a call ended; only used when that line would be written.

    One that its caller gave up, or whose time was over, is CANCELLED.
    """
    started = time.perf_counter()
    ended = "CANCELLED"
    with structlog.contextvars.bound_contextvars(**caller(method, context)):
        try:
            yield
            ended = "OK"
        finally:
            code = getattr(context.code(), "name", None) or ended
            log.debug("call_done", code=code, seconds=round(time.perf_counter() - started, 6))


def _logged_call(
    method: str, call: Callable[[Any, Context], Awaitable[Response]]
) -> Callable[[Any, Context], Awaitable[Response]]:
    async def logged(message: Any, context: Context) -> Response:
        with _closing_line(method, context):
            return await call(message, context)

    return logged


def _logged_stream(
    method: str, call: Callable[[Any, Context], AsyncIterator[Response]]
) -> Callable[[Any, Context], AsyncIterator[Response]]:
    async def logged(message: Any, context: Context) -> AsyncIterator[Response]:
        with _closing_line(method, context):
            async for item in call(message, context):
                yield item

    return logged
