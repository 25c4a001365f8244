"""How calls end: refused, by a mistake of ours, or because their caller has gone."""

import asyncio
import weakref
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # Its stubs know it not.
from structlog.testing import capture_logs

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq_service.core.errors import InvalidField
from uwfq_service.server.rpc import Context, Handlers


class Peer:
    """A context that notes how its call was aborted."""

    def __init__(self) -> None:
        self.aborted: grpc.StatusCode | None = None

    async def abort(self, code: grpc.StatusCode, *_: object) -> None:
        """See ``grpc.aio.ServicerContext``."""
        self.aborted = code
        raise grpc.aio.AbortError

    def code(self) -> grpc.StatusCode | None:
        """See ``grpc.aio.ServicerContext``."""
        return self.aborted

    def peer(self) -> str:
        """See ``grpc.aio.ServicerContext``."""
        return "ipv4:127.0.0.1:1"

    def invocation_metadata(self) -> tuple[()]:
        """See ``grpc.aio.ServicerContext``."""
        return ()


async def _stream(peer: Peer, error: BaseException | None, *, log_calls: bool = False) -> None:
    """Serve a stream whose handler ends with ``error``."""

    async def handler(_: AsyncIterator[rpc.WorkRequest], __: Context) -> None:
        if error is not None:
            raise error

    async def requests() -> AsyncIterator[bytes]:
        yield b""

    handlers = Handlers("s", log_calls=log_calls)
    handlers.two_way_stream("Work", rpc.WorkRequest, handler)
    method = cast(Any, handlers)._methods["Work"]  # As gRPC would find it.
    await method.stream_stream(requests(), cast(Context, peer))


async def test_a_caller_that_has_gone_is_no_mistake_of_ours() -> None:
    """A worker that is killed leaves an answer that cannot be sent, and no line in the log."""
    gone = cygrpc.ExecuteBatchError('Failed "execute_batch": (…)')
    peer = Peer()
    with capture_logs() as lines, pytest.raises(cygrpc.ExecuteBatchError):
        await _stream(peer, gone)
    assert (lines, peer.aborted) == ([], None)


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), cygrpc.ExecuteBatchError("Failed grpc_call_start_batch: 8")]
)
async def test_a_mistake_of_ours_is_logged(error: Exception) -> None:
    """That of using the library wrongly, too."""
    peer = Peer()
    with capture_logs() as lines, pytest.raises(grpc.aio.AbortError):
        await _stream(peer, error)
    assert [line["event"] for line in lines] == ["call_failed"]
    assert peer.aborted is grpc.StatusCode.INTERNAL


async def _refuse(_: rpc.GetJobRequest, __: Context) -> Any:
    raise InvalidField("job_id", "is refused")


async def _refuse_stream(_: rpc.WatchJobRequest, context: Context) -> AsyncIterator[Any]:
    yield await _refuse(rpc.GetJobRequest(), context)


async def test_what_a_refused_call_raises_does_not_lead_to_its_request() -> None:
    """For gRPC keeps it, and a request may be large."""
    handlers = Handlers("s", log_calls=False)
    handlers.unary("GetJob", rpc.GetJobRequest, None, _refuse)
    handlers.server_stream("WatchJob", rpc.WatchJobRequest, rpc.WatchJobResponse, _refuse_stream)
    methods = cast(Any, handlers)._methods  # As gRPC would find them.
    context = cast(Context, Peer())
    for call in (
        methods["GetJob"].unary_unary,
        lambda message, context: anext(methods["WatchJob"].unary_stream(message, context)),
    ):
        message = memoryview(b"")  # Bytes that can be watched.
        kept = weakref.ref(message)
        under_way = call(message, context)
        del message
        with pytest.raises(grpc.aio.AbortError) as raised:
            await under_way
        del under_way
        assert raised.value.__context__ is None, "it would keep what was refused"
        assert kept() is None


@pytest.mark.parametrize(
    ("error", "code"),
    [(None, "OK"), (asyncio.CancelledError(), "CANCELLED"), (ZeroDivisionError(), "INTERNAL")],
)
async def test_the_closing_line_says_how_a_call_ended(
    error: BaseException | None, code: str
) -> None:
    """One that was given up is not said to have gone well."""
    with capture_logs() as lines:
        try:
            await _stream(Peer(), error, log_calls=True)
        except (asyncio.CancelledError, grpc.aio.AbortError):
            assert error is not None
    (done,) = [line for line in lines if line["event"] == "call_done"]
    assert done["code"] == code
