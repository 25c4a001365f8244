"""A service under test: real gRPC on 127.0.0.1, a journal in memory, a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.fakes import FakeClock
from uwfq.v1 import admin_service_pb2, admin_service_pb2_grpc, scheduler_service_pb2_grpc
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.server.app import Server
from uwfq_service.server.config import load
from uwfq_service.store.journal import Journal
from uwfq_service.store.memory import MemoryJournal

Detail = TypeVar("Detail", bound=Message)


class Service:
    """A started service, its clock, and stubs that call it."""

    def __init__(self, server: Server, clock: FakeClock, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.clock = clock
        self.channel = channel
        self.jobs = scheduler_service_pb2_grpc.SchedulerServiceStub(channel)
        self.admin = admin_service_pb2_grpc.AdminServiceStub(channel)

    async def submit(
        self, user: str = "ann", tasks: int = 1, **fields: Any
    ) -> rpc.SubmitJobResponse:
        """Submit a job of one stage."""
        stage = types.StageSpec(stage="only", tasks=types.TaskList(count=tasks))
        return await self.jobs.SubmitJob(rpc.SubmitJobRequest(user=user, stages=[stage], **fields))

    async def poll(
        self, worker: str = "w", slots: int = 1, *, deadline: float = 5.0, **fields: Any
    ) -> rpc.NextTaskResponse:
        """Ask for work with all slots free."""
        fields.setdefault("free_slots", slots)
        return await self.jobs.NextTask(
            rpc.NextTaskRequest(worker_id=worker, slots=slots, **fields), timeout=deadline
        )

    async def parked(self, count: int) -> None:
        """Return when so many long polls wait."""
        await until(lambda: self.server.engine.parked == count)


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; the event loop runs meanwhile."""
    async with asyncio.timeout(30):
        # The condition is about the inside of a service, which has no event for a test.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(*, journal: Journal | None = None, **overrides: object) -> AsyncIterator[Service]:
    """A service on a free port; ``overrides`` are settings with ``__`` for the dot."""
    settings = {name.replace("__", "."): value for name, value in overrides.items()}
    config = load({"listen": "127.0.0.1:0", "data": ":memory:", **settings})
    clock = FakeClock()
    journal = journal or MemoryJournal(asyncio.get_running_loop())
    async with (
        Server(config, journal=journal, clock=clock, jitter=lambda: 1.0) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield Service(server, clock, channel)


@asynccontextmanager
async def durable(data: Path, clock: FakeClock | None = None) -> AsyncIterator[Service]:
    """A service that keeps its state in ``data``."""
    config = load({"listen": "127.0.0.1:0", "data": str(data)})
    clock = clock or FakeClock()
    async with (
        Server(config, clock=clock) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield Service(server, clock, channel)


def result(lease: types.TaskLease, runtime: float = 0.5) -> types.TaskResult:
    """A success of the lease's attempt."""
    return types.TaskResult(
        lease_id=lease.lease_id,
        attempt=lease.attempt,
        success=types.TaskSuccess(runtime_seconds=runtime),
    )


def methods() -> list[MethodDescriptor]:
    """All methods of our services."""
    return [
        method
        for file in (rpc.DESCRIPTOR, admin_service_pb2.DESCRIPTOR)
        for service in file.services_by_name.values()
        for method in service.methods
    ]


class Refusal:
    """The status of a call that was refused, taken apart."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        self.message = error.details() or ""
        #: An error has all of a call that is looked at here.
        self.status: status_pb2.Status = rpc_status.from_call(cast(Any, error))

    def detail(self, kind: type[Detail]) -> Detail:
        """The detail of that type; there must be one."""
        return unpack(self.status, kind)

    @property
    def reason(self) -> str:
        """The stable reason."""
        return self.detail(error_details_pb2.ErrorInfo).reason


def unpack(status: status_pb2.Status, kind: type[Detail]) -> Detail:
    """The detail of that type in a status."""
    for packed in status.details:
        detail = kind()
        if packed.Unpack(detail):
            return detail
    raise AssertionError(f"no {kind.DESCRIPTOR.name} in {status}")


async def refused(call: Awaitable[Any]) -> Refusal:
    """Await a call that must be refused."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return Refusal(error)
    raise AssertionError(f"was answered: {answer}")
