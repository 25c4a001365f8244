"""What a service refuses, whoever calls: what it cannot read, and what is too much."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2 as details
from structlog.testing import capture_logs

from tests.fakes import ManualJournal
from tests.integration.serving import Service, methods, refused, serving, until
from uwfq.v1 import admin_service_pb2
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq_service.core.errors import SchedulerError
from uwfq_service.server.status import to_status


async def test_a_message_over_the_limit_is_refused() -> None:
    """With both sizes in the text."""
    async with serving(server__max_request_bytes=2000) as service:
        refusal = None
        try:
            await service.submit(kind="k" * 3000)
        except grpc.aio.AioRpcError as error:
            refusal = error
        assert refusal is not None
        assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "2000" in (refusal.details() or "")


#: Names that take three and nine bytes a character where a status has them in percent signs.
LONG_NAMES = ["j" * 100_000, "字" * 500, "😀" * 500]


@pytest.mark.parametrize("name", LONG_NAMES)
async def test_a_long_name_does_not_burst_the_status(name: str) -> None:
    """A refusal that quotes what was sent stays within what a client's HTTP/2 stack takes."""
    async with serving() as service:
        calls: list[tuple[str, Awaitable[Any]]] = [
            ("job_id", service.jobs.GetJob(rpc.GetJobRequest(job_id=name))),
            ("pool", service.jobs.ListJobs(rpc.ListJobsRequest(pool=name))),
            ("user", service.jobs.ListJobs(rpc.ListJobsRequest(user=name))),
            ("pool", service.admin.GetPool(admin_service_pb2.GetPoolRequest(pool=name))),
            ("pool", service.admin.ListUsers(admin_service_pb2.ListUsersRequest(pool=name))),
        ]
        for field, call in calls:
            refusal = await refused(call)
            assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
            (violation,) = refusal.detail(details.BadRequest).field_violations
            assert violation.field == field
            assert len(refusal.message) < 2000
            assert refusal.status.ByteSize() < 6000


#: The length of a text, and no text.
HALF_A_MESSAGE = b"\x0a\x7f"


async def test_what_cannot_be_read_is_refused_by_every_method(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is the caller's mistake, with details, and leaves no traceback in the log."""
    async with serving() as service:
        with capture_logs() as lines:
            for method in methods():
                refusal = await refused(_sent(service.channel, method, HALF_A_MESSAGE))
                assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT, method.name
                (violation,) = refusal.detail(details.BadRequest).field_violations
                assert violation.field == method.input_type.name
    assert lines == []
    assert caplog.records == []


async def test_text_that_is_not_utf_8_is_refused() -> None:
    """Some languages' protobuf sends it without a word."""
    async with serving() as service:
        (submit,) = (method for method in methods() if method.name == "SubmitJob")
        refusal = await refused(_sent(service.channel, submit, b"\x12\x02\xff\xfe"))
        assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
        assert "UTF-8" in refusal.message


async def _sent(channel: Any, method: MethodDescriptor, message: bytes) -> Any:
    """The answer to bytes, whatever they are."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming:
        stream = channel.stream_stream(path)()
        await stream.write(message)
        return await stream.read()
    if method.server_streaming:
        return await channel.unary_stream(path)(message).read()
    return await channel.unary_unary(path)(message)


#: What is refused by a look, as it is read, by a decision, and on a stream.
REFUSED: list[Callable[[Service], Awaitable[Any]]] = [
    lambda service: service.jobs.GetJob(rpc.GetJobRequest(job_id="nobody's")),
    lambda service: service.poll(wait_seconds=-1.0),
    lambda service: service.submit(pool="nowhere"),
    lambda service: service.jobs.WatchJob(rpc.WatchJobRequest(job_id="nobody's")).read(),
]


@pytest.mark.parametrize("call", REFUSED)
async def test_what_is_refused_is_not_left_to_the_garbage_collector(
    call: Callable[[Service], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error keeps its frames, and these the request: until it came, gigabytes of large ones."""
    refusals: list[weakref.ref[SchedulerError]] = []

    def noted(error: SchedulerError) -> Any:
        refusals.append(weakref.ref(error))
        return to_status(error)

    monkeypatch.setattr("uwfq_service.server.rpc.to_status", noted)
    async with serving() as service:
        gc.disable()
        try:
            await refused(call(service))
            await until(lambda: [refusal() for refusal in refusals] == [None])
        finally:
            gc.enable()


async def test_a_busy_service_says_when_to_try_again() -> None:
    """The inbox is full as long as the disk is behind."""
    journal = ManualJournal(held=False)
    async with serving(journal=journal, server__max_inbox=1) as service:
        journal.held = True
        first = asyncio.ensure_future(service.submit())
        await until(lambda: service.server.engine.load == 1)
        refusal = await refused(service.submit())
        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.reason == "BUSY"
        assert refusal.detail(details.RetryInfo).retry_delay.ToMilliseconds() > 0
        journal.sync()
        assert (await first).job_id
