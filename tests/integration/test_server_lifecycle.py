"""Starting, being reached, stopping: the service as operators see it."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, cast

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from tests.fakes import FakeClock, ManualJournal
from tests.integration.serving import Service, refused, serving, until
from uwfq.v1 import admin_service_pb2
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Limits
from uwfq_service.server import app
from uwfq_service.server.admin_rpc import AdminRpc
from uwfq_service.server.app import Server, ServiceFailed
from uwfq_service.server.config import ConfigError, load
from uwfq_service.server.rpc import Handlers
from uwfq_service.server.scheduler_rpc import SchedulerRpc
from uwfq_service.store.memory import MemoryJournal

SERVING = health_pb2.HealthCheckResponse.SERVING


# -- being there ----------------------------------------------------------------------------------


def test_every_method_of_the_protocol_has_a_handler() -> None:
    """A method that is added to the protos and not here answers UNIMPLEMENTED; this finds it."""
    nothing = cast(Any, None)
    for descriptor, service in (
        (rpc.DESCRIPTOR, SchedulerRpc(nothing, nothing, load().server, Limits())),
        (admin_service_pb2.DESCRIPTOR, AdminRpc(nothing)),
    ):
        name = service.NAME.rpartition(".")[2]
        handlers = Handlers(service.NAME, log_calls=False)
        service.register(handlers)
        assert handlers.methods == set(descriptor.services_by_name[name].methods_by_name)


async def test_health_answers_for_the_whole_and_for_each_service() -> None:
    """Probes and load balancers ask by name, or for all."""
    async with serving() as service:
        health = cast(Any, health_pb2_grpc.HealthStub(service.channel))
        for name in ("", "uwfq.v1.SchedulerService", "uwfq.v1.AdminService"):
            check = health_pb2.HealthCheckRequest(service=name)
            assert (await health.Check(check)).status == SERVING


async def test_reflection_names_the_services() -> None:
    """So that grpcurl works without our protos."""
    async with serving() as service:
        stub = cast(Any, reflection_pb2_grpc.ServerReflectionStub)(service.channel)
        call = stub.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await call.read()
        names = {each.name for each in answer.list_services_response.service}
        assert {"uwfq.v1.SchedulerService", "uwfq.v1.AdminService"} <= names
        await call.done_writing()


async def test_a_second_service_on_the_same_port_is_an_error() -> None:
    """It names the key; two services must not share the load by accident."""
    async with serving() as service:
        config = load({"listen": f"127.0.0.1:{service.server.port}", "data": ":memory:"})
        with pytest.raises(ConfigError, match="listen: cannot listen"):
            await Server(config).start()


async def test_a_second_service_on_the_same_path_is_an_error(tmp_path: Path) -> None:
    """The first one would go on where nobody finds it; what a dead one left is in nobody's way."""
    config = load({"listen": f"unix:{tmp_path}/u", "data": ":memory:"})
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/u")
    async with Server(config):
        with pytest.raises(ConfigError, match=r"listen: cannot listen .* in use"):
            await Server(config).start()
        async with grpc.aio.insecure_channel(config.listen) as channel:
            health = cast(Any, health_pb2_grpc.HealthStub(channel))
            assert (await health.Check(health_pb2.HealthCheckRequest())).status == SERVING


async def test_whichever_connection_a_call_comes_by_it_is_the_same_service() -> None:
    """Connections are dealt out to several acceptors; each knows every service."""
    own_connection = [("grpc.use_local_subchannel_pool", 1)]
    async with serving() as service, contextlib.AsyncExitStack() as stack:
        for number in range(1, 17):
            channel = await stack.enter_async_context(
                grpc.aio.insecure_channel(service.server.address, options=own_connection)
            )
            health = cast(Any, health_pb2_grpc.HealthStub(channel))
            assert (await health.Check(health_pb2.HealthCheckRequest())).status == SERVING
            other = Service(service.server, service.clock, channel)
            assert (await other.submit()).job_id == f"job-{number}"


async def test_a_user_that_the_core_refuses_stops_the_start(tmp_path: Path) -> None:
    """With the pool's name in the message: how many users it has, a configuration cannot know."""
    settings = {"listen": "127.0.0.1:0", "data": str(tmp_path), "limits.max_users_per_pool": 1}
    async with Server(load({**settings, "pools.default.users.alice.weight": 2})):
        pass
    config = load({**settings, "pools.default.users.bob.weight": 2})
    with pytest.raises(ConfigError, match=r"pools\.default: .* raise limits\.max_users_per_pool"):
        await Server(config).start()


@pytest.mark.parametrize("max_inbox", [10_000, 20])
async def test_the_users_of_a_configuration_share_syncs(max_inbox: int) -> None:
    """The first start with thousands would take their number times what the disk takes for one."""
    users = {f"pools.default.users.user-{number}.weight": 2 for number in range(100)}
    more = {"listen": "127.0.0.1:0", "data": ":memory:", "server.max_inbox": max_inbox}
    journal = MemoryJournal(asyncio.get_running_loop())
    async with Server(load({**more, **users}), journal=journal) as server:
        assert server.engine.glance(lambda core: len(core.pools["default"].users)) == 100
        assert journal.stats().commits <= 101 // min(100, max_inbox) + 2


async def test_a_disk_that_fails_at_the_first_write_ends_the_start() -> None:
    """Rather than waiting for an answer that never comes."""
    journal = ManualJournal()
    server = Server(load({"listen": "127.0.0.1:0", "data": ":memory:"}), journal=journal)
    starting = asyncio.ensure_future(server.start())
    await until(lambda: bool(journal.events))
    journal.fail(OSError("no space left on device"))
    with pytest.raises(ServiceFailed):
        await asyncio.wait_for(starting, 30)
    assert journal.closed_with == [None]


def test_a_service_takes_as_many_descriptors_as_it_may_have() -> None:
    """A shell gives 1,024 unless it is asked for more, and each worker takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard // 2, hard))
        app.raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_service_listens_on_a_unix_socket(tmp_path: Path) -> None:
    """Where file permissions say who may call."""
    address = f"unix:{tmp_path}/uwfq.sock"
    async with (
        Server(load({"listen": address, "data": ":memory:"})) as server,
        grpc.aio.insecure_channel(address) as channel,
    ):
        assert server.address == address
        service = Service(server, FakeClock(), channel)
        assert (await service.submit()).job_id


async def test_a_caller_that_vanished_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is open and takes bytes, but answers no ping."""
    hastened = [  # A hundred times.
        (name, value // 100 if name.endswith("_ms") else value)
        for name, value in app.channel_options(load())
    ]
    monkeypatch.setattr(app, "channel_options", lambda _: hastened)
    async with serving() as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.server.port)
        settings, acknowledged = b"\0\0\0\4\0\0\0\0\0", b"\0\0\0\4\1\0\0\0\0"
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + acknowledged)
        async with asyncio.timeout(10):
            while await reader.read(1 << 16):
                pass
        writer.close()


# -- stopping -------------------------------------------------------------------------------------


async def test_a_stop_answers_what_waits_and_refuses_what_comes() -> None:
    """Parked polls return empty, the journal gets its snapshot, health says so first."""
    journal = ManualJournal(held=False)
    async with serving(
        journal=journal, pools__default__policy="uwfq", pools__idle__policy="uwfq"
    ) as service:
        journal.held = True
        health = cast(Any, health_pb2_grpc.HealthStub(service.channel))
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        poll = asyncio.ensure_future(service.poll(pool="idle", wait_seconds=30))
        await service.parked(1)
        journal.sync()
        submitted = asyncio.ensure_future(service.submit())
        await until(lambda: service.server.engine.load == 1)

        stopping = asyncio.ensure_future(service.server.stop())
        assert (await watch.read()).status != SERVING
        refusal = await refused(service.submit())
        assert refusal.code is grpc.StatusCode.UNAVAILABLE
        assert refusal.reason == "STOPPING"
        assert refusal.detail(details.RetryInfo).retry_delay.ToMilliseconds() > 0
        assert not submitted.done()
        assert not poll.done(), "even an empty answer must not overtake the disk"
        journal.sync()
        assert (await submitted).job_id
        assert not (await poll).leases
        watch.cancel()
        await stopping
        (closed_with,) = journal.closed_with
        assert isinstance(closed_with, Scheduler)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_stop_does_not_wait_for_the_recovery(
    sign: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long journal takes minutes to replay, and whoever stops the service kills it after one."""
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {name: signal.signal(name, signal.SIG_DFL) for name in signals}

    def recover(*_: object) -> NoReturn:
        os.kill(os.getpid(), sign)
        for _step in range(1000):  # Python looks for signals between its steps.
            pass
        pytest.fail("the recovery went on")

    monkeypatch.setattr(MemoryJournal, "recover", recover)
    try:
        with capture_logs() as lines:
            assert await app._run(load({"listen": "127.0.0.1:0", "data": ":memory:"})) == 0
        assert [line["event"] for line in lines] == ["draining", "stopped"]
    finally:
        for name, handler in before.items():
            asyncio.get_running_loop().remove_signal_handler(name)
            signal.signal(name, handler)


async def test_a_watcher_of_health_without_room_does_not_hold_up_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HTTP/2 lets a caller say that it takes in no byte, and then keep its connection for ever."""
    monkeypatch.setattr(app, "_FLUSH_SECONDS", 0.05)
    async with serving() as service:
        _, writer = await asyncio.open_connection("127.0.0.1", service.server.port)
        writer.write(watch_without_room())
        watched = cast(Any, service.server._health)._server_watchers
        await until(lambda: "" in watched and watched[""].locked())
        async with asyncio.timeout(30):
            await service.server.stop()
        writer.close()


def watch_without_room() -> bytes:
    """What an HTTP/2 client sends that calls ``Health.Watch`` with a window of 0 bytes."""

    def frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
        return struct.pack(">HBBBI", 0, len(content), kind, flags, stream) + content

    def text(value: str) -> bytes:
        return bytes([len(value)]) + value.encode()

    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Watch",
        ":authority": "anybody",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    settings, data, head = 4, 0, 1
    initial_window = struct.pack(">HI", 4, 0)
    literals = b"".join(b"\0" + text(name) + text(value) for name, value in headers.items())
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + frame(settings, 0, 0, initial_window)
        + frame(head, 4, 1, literals)
        + frame(data, 1, 1, bytes(5))
    )


#: Commands that are answered with the state that they led to.
ANSWERED_WITH_STATE: list[Callable[[Service], Awaitable[Message]]] = [
    lambda service: service.jobs.CancelJob(rpc.CancelJobRequest(job_id="j")),
    lambda service: service.jobs.CloseJob(rpc.CloseJobRequest(job_id="j")),
    lambda service: service.jobs.DropStages(rpc.DropStagesRequest(job_id="j", stages=["s"])),
    lambda service: service.admin.SetUser(admin_service_pb2.SetUserRequest(user="a", weight=2)),
]


@pytest.mark.parametrize("call", ANSWERED_WITH_STATE)
async def test_what_was_decided_during_a_stop_is_not_answered_with_a_refusal(
    call: Callable[[Service], Awaitable[Message]],
) -> None:
    """STOPPING says that nothing was decided; here the command is on disk."""
    journal = ManualJournal(held=False)
    async with serving(journal=journal) as service:
        engine = rpc.NextTaskRequest(worker_id="e", slots=1, free_slots=1)
        engine.ranking.SetInParent()
        await service.jobs.NextTask(engine)
        stage = types.StageSpec(stage="s", tasks=types.TaskList(count=1))
        await service.jobs.SubmitJob(
            rpc.SubmitJobRequest(user="a", job_id="j", engine_id="e", open=True, stages=[stage])
        )
        journal.held = True
        answer = asyncio.ensure_future(call(service))
        await until(lambda: service.server.engine.load == 1)
        stopping = asyncio.ensure_future(service.server.stop())
        await service.server.engine.stopping.wait()
        journal.sync()
        assert (await answer).ByteSize()
        await stopping


async def test_a_disk_that_never_comes_back_does_not_hold_up_a_stop_for_ever() -> None:
    """What it never confirmed is never answered."""
    journal = ManualJournal(held=False)
    async with serving(journal=journal, server__drain_seconds=0.05) as service:
        journal.held = True
        submitted = asyncio.ensure_future(service.submit())
        await until(lambda: service.server.engine.load == 1)
        await service.server.stop()
        with pytest.raises(grpc.aio.AioRpcError):
            await submitted


async def test_a_failed_write_ends_the_service_without_an_answer() -> None:
    """The caller sees a broken connection, not a reply that the disk does not have."""
    journal = ManualJournal(held=False)
    async with serving(journal=journal) as service:
        journal.held = True
        submitted = asyncio.ensure_future(service.submit())
        await until(lambda: service.server.engine.load == 1)
        error = OSError("no space left on device")
        journal.fail(error)
        await asyncio.wait_for(service.server.wait(), 1)
        assert service.server.failure is error
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await submitted
        assert caught.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        await service.server.stop()
        assert journal.closed_with == [None], "no snapshot is taken of what was not written"


class DyingJournal(ManualJournal):
    """Its disk, behind already, breaks while the journal is being closed."""

    def __init__(self) -> None:
        super().__init__(held=False)
        self.error = OSError("no space left on device")

    def close(self, scheduler: Scheduler | None = None) -> None:
        """See ``Journal``."""
        self.fail(self.error)


async def test_a_write_that_fails_after_the_drain_is_a_failure_of_the_service() -> None:
    """What was decided and is lost must not look like an orderly end, in the log or outside."""
    journal = DyingJournal()
    async with serving(journal=journal, server__drain_seconds=0.05) as service:
        journal.held = True
        submitted = asyncio.ensure_future(service.submit())
        await until(lambda: service.server.engine.load == 1)
        with capture_logs() as lines:
            await service.server.stop()
        assert service.server.failure is journal.error
        assert [line["event"] for line in lines] == ["service_failed"]
        with pytest.raises(grpc.aio.AioRpcError):
            await submitted
