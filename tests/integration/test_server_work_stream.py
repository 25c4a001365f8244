"""The Work stream: many requests under way, each answered once under its own number."""

import asyncio
from typing import Any, cast

import grpc
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from tests.integration.serving import Refusal, Service, result, serving, unpack, until
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types

Stream = grpc.aio.StreamStreamCall[rpc.WorkRequest, rpc.WorkResponse]


def poll(sequence: int, worker: str = "w", **fields: float) -> rpc.WorkRequest:
    """A request for one task."""
    ask = rpc.NextTaskRequest(worker_id=worker, slots=1, free_slots=1)
    ask.wait_seconds = fields.get("wait_seconds", 0)
    return rpc.WorkRequest(sequence=sequence, next_task=ask)


async def answer(stream: Stream) -> rpc.WorkResponse:
    """The next answer; there must be one."""
    response = await asyncio.wait_for(stream.read(), 5)
    assert isinstance(response, rpc.WorkResponse)
    return response


def open_stream(service: Service) -> Stream:
    """A new stream."""
    # The stubs' types ask for an iterator of requests; without one the caller writes them.
    stream: Stream = cast(Any, service.jobs).Work()
    return stream


async def test_tasks_are_leased_reported_and_renewed_over_one_stream() -> None:
    """The same messages as the unary calls, without a gap between them."""
    async with serving() as service:
        await service.submit(tasks=1)
        stream = open_stream(service)
        await stream.write(poll(1))
        (lease,) = (await answer(stream)).next_task.leases
        renew = rpc.RenewLeasesRequest(worker_id="w", lease_ids=[lease.lease_id])
        await stream.write(rpc.WorkRequest(sequence=2, renew_leases=renew))
        (renewal,) = (await answer(stream)).renew_leases.renewals
        assert renewal.status == rpc.LEASE_STATUS_RENEWED
        done = rpc.TaskDoneRequest(worker_id="w", results=[result(lease)])
        await stream.write(rpc.WorkRequest(sequence=3, task_done=done))
        last = await answer(stream)
        assert last.sequence == 3
        assert last.task_done.acks[0].status == types.TASK_RESULT_STATUS_ACCEPTED
        await stream.done_writing()
        assert not isinstance(await stream.read(), rpc.WorkResponse)
        assert await stream.code() is grpc.StatusCode.OK


async def test_a_parked_poll_does_not_hold_up_what_comes_after_it() -> None:
    """Answers come in the order of their decisions, not of their questions."""
    async with serving() as service:
        stream = open_stream(service)
        await stream.write(poll(1, "idle", wait_seconds=30))
        await stream.write(poll(2, "busy"))
        assert (await answer(stream)).sequence == 2
        await service.submit()
        late = await answer(stream)
        assert late.sequence == 1
        assert len(late.next_task.leases) == 1
        stream.cancel()


async def test_a_refused_request_leaves_the_stream_open() -> None:
    """It carries what the unary call's status would have been."""
    async with serving() as service:
        stream = open_stream(service)
        await stream.write(rpc.WorkRequest(sequence=7))
        await stream.write(rpc.WorkRequest(sequence=8, next_task=rpc.NextTaskRequest(pool="x")))
        errors = [(await answer(stream)) for _ in range(2)]
        assert [error.sequence for error in errors] == [7, 8]
        status = status_pb2.Status.FromString(errors[0].error.status)
        (violation,) = unpack(status, details.BadRequest).field_violations
        assert (errors[0].error.code, violation.field) == (3, "request")
        await stream.write(poll(9))
        assert (await answer(stream)).sequence == 9
        stream.cancel()


async def test_closing_its_side_ends_a_callers_polls_but_loses_no_answer() -> None:
    """Nothing more is asked for, so nothing is worth waiting for."""
    # They may be as many as the stream holds.
    async with serving(server__max_stream_requests=20) as service:
        stream = open_stream(service)
        for sequence in range(20):
            await stream.write(poll(sequence, wait_seconds=30))
        await stream.done_writing()
        async with asyncio.timeout(30):
            answered = {response.sequence async for response in stream}
        assert answered == set(range(20))
        assert service.server.engine.parked == 0


async def test_requests_under_way_are_limited_by_not_reading_on() -> None:
    """A caller that asks without end waits; it is not refused, and others are not hurt."""
    async with serving(server__max_stream_requests=4) as service:
        stream = open_stream(service)
        for sequence in range(6):
            await stream.write(poll(sequence, f"w{sequence}", wait_seconds=10))
        await service.parked(4)
        service.clock.advance(10)
        assert {(await answer(stream)).sequence for _ in range(4)} == {0, 1, 2, 3}
        await service.parked(2)
        stream.cancel()


async def test_a_broken_stream_takes_its_polls_along() -> None:
    """No lease goes to a caller that has gone."""
    async with serving() as service:
        stream = open_stream(service)
        await stream.write(poll(1, "gone", wait_seconds=30))
        await service.parked(1)
        stream.cancel()
        await service.parked(0)
        other = asyncio.ensure_future(service.poll("other", wait_seconds=30))
        await service.parked(1)
        await service.submit()
        assert len((await other).leases) == 1


async def test_a_stop_answers_what_was_asked_and_ends_the_stream() -> None:
    """With UNAVAILABLE, so that the caller knows to come back."""
    async with serving() as service:
        stream = open_stream(service)
        await stream.write(poll(1, wait_seconds=30))
        await service.parked(1)
        stopping = asyncio.ensure_future(service.server.stop())
        assert (await answer(stream)).sequence == 1
        try:
            await stream.read()
        except grpc.aio.AioRpcError as error:
            refusal = Refusal(error)
            assert refusal.code is grpc.StatusCode.UNAVAILABLE
            assert refusal.reason == "STOPPING"
        else:
            raise AssertionError("the stream went on")
        await stopping
        await until(stream.done)
