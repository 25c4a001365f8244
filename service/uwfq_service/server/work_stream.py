"""The Work stream: NextTask, TaskDone and RenewLeases without a round trip between them.

Requests are taken in as they come, each is answered when its own decision is on disk, in whatever
order that is.  The number of those under way and of answers that are still to be sent is limited by
not reading on, but for one request that waits for its turn: a caller that does not read its answers
is slowed down by its own connection, and one that closes its side is heard though its polls fill
the stream.  No task is made per request; the future of each reply puts it into the stream's outbox,
and one writer turns it into bytes (of leases that may be megabytes) when its turn has come, and
sends them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import grpc
import structlog

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq_service.core.errors import InvalidField, SchedulerError
from uwfq_service.core.settings import Limits
from uwfq_service.server import convert
from uwfq_service.server.engine import Engine
from uwfq_service.server.rpc import INTERNAL, Context, caller
from uwfq_service.server.status import Stopping, to_status
from uwfq_service.server.wire import LeaseEncoder, task_done_response, work_response

log = structlog.get_logger(__name__)

#: Makes the WorkResponse for a reply.
Encode = Callable[[int, Any], bytes]


class WorkStream:
    """One stream, from its first request to its last answer."""

    def __init__(
        self,
        engine: Engine,
        requests: AsyncIterator[rpc.WorkRequest],
        context: Context,
        leases: LeaseEncoder,
        limits: Limits,
        *,
        max_requests: int,
        max_poll_seconds: float,
    ) -> None:
        self._engine = engine
        self._requests = requests
        self._context = context
        self._leases = leases
        self._limits = limits
        self._max_requests = max_requests
        self._max_poll_seconds = max_poll_seconds
        self._under_way: set[asyncio.Future[Any]] = set()
        self._outbox: deque[tuple[int, Encode, Any]] = deque()
        #: Set whenever an answer has been put into the outbox, or the last one is out.
        self._answered = asyncio.Event()
        #: Set whenever an answer has been sent.
        self._room = asyncio.Event()
        self._reading = True

    async def run(self) -> None:
        """Serve the stream until the caller has closed its side and has every answer.

        When the service stops, what was asked is answered still; then raises ``Stopping``.
        """
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        stopping = asyncio.create_task(self._engine.stopping.wait())
        try:
            await asyncio.wait((reader, writer, stopping), return_when=asyncio.FIRST_COMPLETED)
            # A message that cannot be read, or an answer that nobody takes, ends the stream.
            for side in (reader, writer):
                if side.done():
                    side.result()
            self._reading = False
            self._answered.set()
            # Nothing more is asked for, so nothing is worth waiting for.
            self._engine.end_polls(self._under_way)
            await writer
            if not reader.done():
                raise Stopping
        finally:
            for task in (reader, writer, stopping, *self._under_way):
                task.cancel()

    async def _read(self) -> None:
        async for request in self._requests:
            while len(self._under_way) + len(self._outbox) >= self._max_requests:
                self._room.clear()
                await self._room.wait()
            self._take(request)

    async def _write(self) -> None:
        outbox = self._outbox
        while True:
            while outbox:
                await self._context.write(self._encoded(*outbox.popleft()))
                self._room.set()
            if not self._reading and not self._under_way:
                return
            self._answered.clear()
            await self._answered.wait()

    def _take(self, request: rpc.WorkRequest) -> None:
        """Hand one request to the engine and arrange for its answer."""
        sequence = request.sequence
        future: asyncio.Future[Any]
        try:
            match request.WhichOneof("request"):
                case "next_task":
                    poll = request.next_task
                    wait = convert.wait_seconds(poll, self._max_poll_seconds)
                    future = self._engine.poll(
                        convert.next_task(poll, wait, self._limits),
                        known_version=poll.ranking.known_version,
                    )
                    encode = self._next_task
                case "task_done":
                    done = convert.task_done(request.task_done, self._limits)
                    future = self._engine.call(done)
                    encode = _task_done
                case "renew_leases":
                    renewal = convert.renew_leases(request.renew_leases, self._limits)
                    future = self._engine.call(renewal)
                    encode = _renew_leases
                case _:
                    raise InvalidField("request", "set next_task, task_done or renew_leases")
        except SchedulerError as error:
            self._send(sequence, _refusal, error)
            return
        self._under_way.add(future)
        future.add_done_callback(partial(self._answer, sequence, encode))

    def _answer(self, sequence: int, encode: Encode, future: asyncio.Future[Any]) -> None:
        self._under_way.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._send(sequence, encode, future.result())
        elif isinstance(error, SchedulerError):
            self._send(sequence, _refusal, error)

    def _next_task(self, sequence: int, reply: Any) -> bytes:
        return work_response(
            sequence, rpc.WorkResponse.NEXT_TASK_FIELD_NUMBER, self._leases.response(reply)
        )

    def _send(self, sequence: int, encode: Encode, reply: Any) -> None:
        self._outbox.append((sequence, encode, reply))
        self._answered.set()

    def _encoded(self, sequence: int, encode: Encode, reply: Any) -> bytes:
        try:
            return encode(sequence, reply)
        except Exception:
            # One answer that we fail to write is no reason to let the caller wait for it.
            log.exception("call_failed", **caller("Work", self._context))
            return _error(sequence, *INTERNAL)


def _task_done(sequence: int, reply: Any) -> bytes:
    return work_response(
        sequence, rpc.WorkResponse.TASK_DONE_FIELD_NUMBER, task_done_response(reply)
    )


def _renew_leases(sequence: int, reply: Any) -> bytes:
    return rpc.WorkResponse(
        sequence=sequence, renew_leases=convert.renew_leases_response(reply)
    ).SerializeToString()


def _refusal(sequence: int, error: Any) -> bytes:
    """As the unary call would have been refused."""
    code, message, status = to_status(error)
    return _error(sequence, code, message, status.SerializeToString())


def _error(sequence: int, code: grpc.StatusCode, message: str, status: bytes = b"") -> bytes:
    number: int = code.value[0]
    error = rpc.WorkError(code=number, message=message, status=status)
    return rpc.WorkResponse(sequence=sequence, error=error).SerializeToString()
