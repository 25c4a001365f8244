"""The Work stream towards a caller that does not read."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq_service.core.commands import Command
from uwfq_service.core.replies import RenewReply
from uwfq_service.core.settings import Limits
from uwfq_service.server import work_stream
from uwfq_service.server.engine import Engine
from uwfq_service.server.rpc import Context
from uwfq_service.server.wire import LeaseEncoder
from uwfq_service.server.work_stream import WorkStream

#: Far more than a stream may have under way, and that limit.
ASKED = 100
LIMIT = 4


class PromptEngine:
    """Answers every call in the next turn of the loop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()

    def call(self, _: Command) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_result, RenewReply(renewals=()))
        return future

    def end_polls(self, futures: object) -> None:
        """It has none."""


class Caller:
    """Asks as fast as it is read, and takes answers only while ``reads`` is set."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.asked = 0
        self.answered: list[int] = []

    async def requests(self, request: rpc.WorkRequest) -> AsyncIterator[rpc.WorkRequest]:
        """The same request again and again, under numbers of their own."""
        for number in range(ASKED):
            self.asked += 1
            request.sequence = number
            yield request
            await asyncio.sleep(0)

    async def write(self, response: bytes) -> None:
        """See ``grpc.aio.ServicerContext``."""
        await self.reads.wait()
        self.answered.append(rpc.WorkResponse.FromString(response).sequence)


def stream_of(
    caller: Caller, request: rpc.WorkRequest, engine: PromptEngine | None = None
) -> WorkStream:
    """A stream that a caller asks the same on again and again."""
    return WorkStream(
        cast(Engine, engine or PromptEngine()),
        caller.requests(request),
        cast(Context, caller),
        LeaseEncoder(),
        Limits(),
        max_requests=LIMIT,
        max_poll_seconds=1,
    )


async def talk(request: rpc.WorkRequest) -> None:
    """Ask, refuse to read for a while, then read all."""
    caller = Caller()
    running = asyncio.create_task(stream_of(caller, request).run())
    for _ in range(10 * ASKED):
        await asyncio.sleep(0)
    # One answer more is on its way to the connection, and one request waits for its turn.
    assert caller.asked == LIMIT + 2
    caller.reads.set()
    await asyncio.wait_for(running, 30)
    assert sorted(caller.answered) == list(range(ASKED))


async def test_a_caller_that_does_not_read_is_not_read_either() -> None:
    """Answers that nobody takes count like requests under way; afterwards none is missing."""
    await talk(rpc.WorkRequest(renew_leases=rpc.RenewLeasesRequest(worker_id="w")))


async def test_answers_that_nobody_reads_are_not_made_into_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Leases with their payloads take megabytes, and a caller may leave hundreds of them."""
    encoded = []

    def encode(sequence: int, _: RenewReply) -> bytes:
        encoded.append(sequence)
        return rpc.WorkResponse(sequence=sequence).SerializeToString()

    monkeypatch.setattr(work_stream, "_renew_leases", encode)
    caller = Caller()
    request = rpc.WorkRequest(renew_leases=rpc.RenewLeasesRequest(worker_id="w"))
    running = asyncio.create_task(stream_of(caller, request).run())
    for _ in range(10 * ASKED):
        await asyncio.sleep(0)
    assert encoded == [0]
    caller.reads.set()
    await asyncio.wait_for(running, 30)
    assert len(encoded) == ASKED


async def test_refusals_that_nobody_reads_count_as_well() -> None:
    """They are answers too."""
    await talk(rpc.WorkRequest())


async def test_a_caller_that_has_gone_is_granted_nothing_more() -> None:
    """Its polls are taken back; only one that closes its side and listens has them answered."""

    class Gone(Caller):
        async def requests(self, request: rpc.WorkRequest) -> AsyncIterator[rpc.WorkRequest]:
            yield rpc.WorkRequest(renew_leases=rpc.RenewLeasesRequest(worker_id="w"))
            yield request
            await asyncio.Event().wait()

        async def write(self, response: bytes) -> None:
            raise ConnectionError("nobody is there")

    class ParkingEngine(PromptEngine):
        def __init__(self) -> None:
            super().__init__()
            self.polls: list[asyncio.Future[Any]] = []

        def poll(self, _: Command, *, known_version: int) -> asyncio.Future[Any]:
            self.polls.append(asyncio.get_running_loop().create_future())
            return self.polls[-1]

        def end_polls(self, futures: object) -> None:
            raise AssertionError("an answer may bring leases")

    engine = ParkingEngine()
    poll = rpc.NextTaskRequest(worker_id="w", slots=1, free_slots=1, wait_seconds=1)
    stream = stream_of(Gone(), rpc.WorkRequest(next_task=poll), engine)
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(stream.run(), 5)
    assert [each.cancelled() for each in engine.polls] == [True]
