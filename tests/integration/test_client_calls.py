"""The client over real gRPC: what it sends, what it tries again, how it says what went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import grpc.aio
import pytest
from google.rpc import code_pb2

from tests.integration.fake_service import FakeService, Refusal, exhausted, unavailable
from uwfq.v1 import types_pb2
from uwfq_client import (
    Client,
    DeadlineExceeded,
    Input,
    InvalidArgument,
    JobFailed,
    JobState,
    Keepalive,
    NotFound,
    ResourceExhausted,
    RetryPolicy,
    Stage,
    SyncClient,
    Unavailable,
    UwfqError,
    Worker,
)
from uwfq_client.channel import Endpoint
from uwfq_client.transport import AsyncTransport

EAGER = RetryPolicy(max_attempts=50, initial_backoff_seconds=0.001, max_backoff_seconds=0.02)


@pytest.fixture
async def client(service: FakeService) -> AsyncIterator[Client]:
    """A client of it that is quick to try again."""
    async with Client(service.target, retry=EAGER) as client:
        yield client


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[grpc.aio.Channel]]]:
    """What was opened, while the garbage collector rests."""
    opened: list[weakref.ref[grpc.aio.Channel]] = []
    make = Endpoint.async_channel

    def async_channel(endpoint: Endpoint) -> grpc.aio.Channel:
        channel = make(endpoint)
        opened.append(weakref.ref(channel))
        return channel

    monkeypatch.setattr(Endpoint, "async_channel", async_channel)
    gc.disable()
    yield opened
    gc.enable()


async def test_a_submission_arrives_as_it_was_written(service: FakeService, client: Client) -> None:
    """What is given is sent, what is left out is not."""
    stages = [
        Stage("scan", input=Input([5, 6], splittable=True), payload=b"p", max_attempts=2),
        Stage("merge", after=["scan"], tasks=2, task_work_slot_seconds=[1.0, 2.0]),
    ]
    job = await client.submit(user="alice", kind="sum", stages=stages, labels={"a": "b"})
    assert (job.job_id, job.duplicate, job.virtual_deadline) == ("job-1", False, None)
    assert job.predicted_finish_seconds == 1.5
    sent = service.requests["SubmitJob"][0]
    assert (sent.pool, sent.user, sent.kind, dict(sent.labels)) == (
        "default",
        "alice",
        "sum",
        {"a": "b"},
    )
    assert not sent.HasField("job_weight")
    scan, merge = sent.stages
    assert list(scan.input.unit_sizes) == [5, 6]
    assert scan.max_attempts == 2
    assert not scan.HasField("slots_per_task")
    assert merge.tasks.count == 2
    assert list(merge.after) == ["scan"]


async def test_a_retried_submission_submits_once(service: FakeService, client: Client) -> None:
    """Each submission has a request id of its own, which its retries share."""
    service.lose("SubmitJob", times=2)
    first = await client.submit(user="alice", stages=[Stage("s", tasks=1)])
    second = await client.submit(user="alice", stages=[Stage("s", tasks=1)])
    assert len(service.jobs) == 2
    assert first.duplicate
    assert first.job_id != second.job_id
    ids = [request.request_id for request in service.requests["SubmitJob"]]
    assert len(set(ids)) == 2
    assert ids[0] == ids[1] == ids[2]


async def test_a_job_id_needs_no_request_id(service: FakeService, client: Client) -> None:
    """It makes the submission safe by itself; a new request id would look like other content."""
    await client.submit(user="alice", job_id="mine")
    assert service.requests["SubmitJob"][0].request_id == ""


async def test_a_refusal_names_its_fields(client: Client) -> None:
    """The details of the status are attributes."""
    with pytest.raises(InvalidArgument) as caught:
        await client.submit(user="")
    error = caught.value
    assert [violation.field for violation in error.field_violations] == ["user"]
    assert error.reason == "INVALID_FIELD"
    assert str(error) == "user: must not be empty"


async def test_what_is_not_found_is_named(client: Client) -> None:
    """``resource`` says what."""
    with pytest.raises(NotFound) as caught:
        await client.get_job("nope")
    assert caught.value.resource is not None
    assert (caught.value.resource.type, caught.value.resource.name) == ("job", "nope")


async def test_a_hint_to_come_back_is_honoured(
    service: FakeService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RESOURCE_EXHAUSTED with a RetryInfo is waited out, no shorter than it says."""
    waits: list[float] = []

    async def sleep(transport: AsyncTransport, seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(AsyncTransport, "sleep", sleep)
    service.add_job("j", 1)
    service.refuse("GetJob", exhausted(3.0), times=2)
    await client.get_job("j")
    assert len(waits) == 2
    assert min(waits) >= 3.0


async def test_a_limit_without_a_hint_is_raised_at_once(
    service: FakeService, client: Client
) -> None:
    """A size does not shrink by waiting."""
    service.refuse("GetJob", Refusal(8, "message too large"))
    with pytest.raises(ResourceExhausted):
        await client.get_job("j")
    assert len(service.requests["GetJob"]) == 1


async def test_no_wait_outlasts_the_time_out(service: FakeService, client: Client) -> None:
    """The last refusal is raised as soon as the next try would come too late."""
    service.refuse("GetJob", exhausted(60.0), times=5)
    with pytest.raises(ResourceExhausted) as caught:
        await client.get_job("j", timeout=5.0)
    assert caught.value.retry_after_seconds == 60.0
    assert len(service.requests["GetJob"]) == 1


async def test_tries_are_counted(service: FakeService) -> None:
    """``max_attempts=1`` means no retry."""
    service.refuse("GetJob", unavailable(), times=5)
    async with Client(service.target, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(Unavailable):
            await client.get_job("j")
    assert len(service.requests["GetJob"]) == 1


async def test_a_call_waits_for_a_restart(service: FakeService, client: Client) -> None:
    """While nobody listens, calls are tried again until their time-out."""
    service.add_job("j", 1)
    await client.get_job("j")
    await service.stop()
    asking = asyncio.create_task(client.get_job("j"))
    await asyncio.sleep(0.01)
    await service.start()
    assert (await asking).job_id == "j"


async def test_jobs_are_listed_page_by_page(service: FakeService) -> None:
    """A page is fetched when it is reached, and not before."""
    for number in range(5):
        service.add_job(f"j{number}", 1)
        service.jobs[f"j{number}"].pool = "p"
    async with Client(service.target, pool="p") as client:
        jobs = client.list_jobs(page_size=2)
        assert (await anext(jobs)).job_id == "j0"
        assert len(service.requests["ListJobs"]) == 1
        assert [job.job_id async for job in jobs] == ["j1", "j2", "j3", "j4"]
    assert [request.page_token for request in service.requests["ListJobs"]] == ["", "2", "4"]


async def test_states_are_sent_by_number(service: FakeService, client: Client) -> None:
    """The client's words and the protocol's numbers agree."""
    async for _ in client.list_jobs(states=[JobState.FAILED, JobState.RUNNING]):
        pass
    states = list(service.requests["ListJobs"][0].states)
    assert states == [types_pb2.JOB_STATE_FAILED, types_pb2.JOB_STATE_RUNNING]


async def test_a_watch_shows_each_change_until_the_end(
    service: FakeService, client: Client
) -> None:
    """Its first job is the state at once, its last the end."""
    service.add_job("j", 1)
    states = []
    async for job in client.watch("j"):
        states.append(job.state)
        if not job.ended:
            service.end_job("j", types_pb2.JOB_STATE_SUCCEEDED)
    assert states == [JobState.WAITING, JobState.SUCCEEDED]


async def test_a_wait_survives_a_restart(service: FakeService, client: Client) -> None:
    """The watch is begun anew."""
    service.add_job("j", 1)
    waiting = asyncio.create_task(client.wait("j"))
    await service.until(lambda: service.requests["WatchJob"])
    await service.restart()
    service.end_job("j", types_pb2.JOB_STATE_SUCCEEDED)
    assert (await waiting).succeeded


class Hasty(AsyncTransport):
    """Does not wait between tries, and keeps count of the seconds."""

    waited = 0.0

    async def sleep(self, seconds: float) -> None:
        self.waited += seconds
        await asyncio.sleep(0)


async def test_waiting_for_a_job_outlasts_any_outage(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a job by number of tries."""
    monkeypatch.setattr(Client, "_connect", staticmethod(Hasty))
    service.add_job("j", 1)
    service.end_job("j", types_pb2.JOB_STATE_SUCCEEDED)
    service.refuse("WatchJob", unavailable(), times=60)
    async with Client(service.target) as client:
        assert (await client.wait("j")).succeeded
        assert isinstance(client._transport, Hasty)
        assert client._transport.waited > 60.0


async def test_a_call_is_tried_for_as_long_as_its_time_out_says(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gives it hours, or for ever, waits out an outage of more than a minute."""
    monkeypatch.setattr(Client, "_connect", staticmethod(Hasty))
    service.refuse("SubmitJob", unavailable(), times=30)
    service.refuse("SubmitJob", exhausted(10.0), times=30)
    async with Client(service.target) as client:
        stages = [Stage("scan", tasks=1)]
        assert (await client.submit(user="alice", stages=stages, timeout=math.inf)).job_id
        assert isinstance(client._transport, Hasty)
        assert client._transport.waited > 360.0


async def test_waiting_for_a_job_tries_as_often_as_the_caller_says(service: FakeService) -> None:
    """A policy of one's own holds for every call."""
    service.add_job("j", 1)
    service.refuse("WatchJob", unavailable(), times=3)
    async with Client(service.target, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(Unavailable):
            await client.wait("j")


async def test_a_wait_ends_at_its_time_out(service: FakeService, client: Client) -> None:
    """With the error of a call that ran out of time."""
    service.add_job("j", 1)
    with pytest.raises(DeadlineExceeded):
        await client.wait("j", timeout=0.05)


async def test_a_checked_wait_raises_what_failed(service: FakeService, client: Client) -> None:
    """Like a process whose exit code is looked at."""
    service.add_job("j", 1)
    service.end_job("j", types_pb2.JOB_STATE_FAILED, "task 0 of stage 'scan': boom")
    assert (await client.wait("j")).state is JobState.FAILED
    with pytest.raises(JobFailed, match="boom") as caught:
        await client.wait("j", check=True)
    assert caught.value.job.job_id == "j"


async def test_cancelling_a_wait_cancels_its_call(service: FakeService, client: Client) -> None:
    """No stream is left open behind a caller's own time-out."""
    service.add_job("j", 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.wait("j")


async def test_operators_set_what_they_name(service: FakeService, client: Client) -> None:
    """A weight is sent, what stays as it is is not."""
    user = await client.set_user("alice", weight=2.5)
    assert (user.user, user.weight, user.max_running_slots) == ("alice", 2.5, None)
    assert not service.requests["SetUser"][0].HasField("max_running_slots")
    pools = await client.list_pools()
    assert [pool.policy for pool in pools] == ["uwfq"]


@pytest.mark.parametrize("seconds", [math.inf, 1e300, float(sys.maxsize), threading.TIMEOUT_MAX])
async def test_a_time_out_may_be_longer_than_anybody_waits(client: Client, seconds: float) -> None:
    """It is no instant that has passed, which gRPC would take it for."""
    assert await client.list_pools(timeout=seconds)


async def test_the_blocking_client_does_the_same(service: FakeService) -> None:
    """Submit, watch, list, cancel and errors, from a thread without an event loop."""

    def work() -> list[str]:
        log: list[str] = []
        with SyncClient(service.target, retry=EAGER, pool="p") as client:
            job = client.submit(user="alice", stages=[Stage("s", tasks=2)])
            for seen in client.watch(job.job_id):
                log.append(seen.state.value)
                if not seen.ended:
                    client.cancel(job.job_id, "enough")
            log.append(client.wait(job.job_id).cause)
            log.extend(each.job_id for each in client.list_jobs(page_size=1))
            try:
                client.get_job("nope")
            except NotFound:
                log.append("not found")
        return log

    service.lose("SubmitJob")
    service.refuse("WatchJob", unavailable(), times=2)
    log = await asyncio.to_thread(work)
    assert log == ["waiting", "cancelled", "enough", "job-1", "not found"]
    assert len(service.jobs) == 1


async def test_a_blocking_watch_can_be_left_early(service: FakeService) -> None:
    """Leaving the loop cancels the call."""
    service.add_job("j", 1)

    def work() -> str:
        with SyncClient(service.target) as client:
            for job in client.watch("j"):
                return job.job_id
        return ""

    assert await asyncio.to_thread(work) == "j"


async def test_a_blocking_watch_needs_no_thread(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a Ctrl-C comes between gRPC's call and gRPC's thread for it, no close ever returns."""
    service.add_job("j", 1)
    service.end_job("j", types_pb2.JOB_STATE_SUCCEEDED)

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    def work() -> list[JobState]:
        with SyncClient(service.target) as client:
            return [job.state for job in client.watch("j")]

    monkeypatch.setattr("grpc._channel._run_channel_spin_thread", interrupted)
    assert await asyncio.to_thread(work) == [JobState.SUCCEEDED]


async def test_closing_a_blocking_client_ends_a_watch_in_another_thread(
    service: FakeService,
) -> None:
    """With an error, as every call of a closed client."""
    service.add_job("j", 1)
    client = SyncClient(service.target, retry=RetryPolicy(max_attempts=1))
    waiting = asyncio.ensure_future(asyncio.to_thread(client.wait, "j"))
    await service.until(lambda: service.requests["WatchJob"])
    client.close()
    with pytest.raises((UwfqError, RuntimeError)):
        await waiting


async def test_a_closed_client_says_so(service: FakeService) -> None:
    """It does not quietly connect anew."""
    client = Client(service.target)
    await client.list_pools()
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await client.list_pools()
    blocking = SyncClient(service.target)
    blocking.close()
    with pytest.raises(RuntimeError, match="closed"):
        blocking.list_pools()


async def test_a_client_in_another_event_loop_says_so(client: Client) -> None:
    """That of ``asyncio.run``, the second time say; gRPC would tell of its own futures."""
    await client.list_pools()
    for call in (client.list_pools(), client.wait("j")):
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, call)
    await client.list_pools()


async def test_closing_a_client_fails_what_is_under_way(service: FakeService) -> None:
    """As a closed client fails: nobody has cancelled the callers, whom gRPC would let end so."""
    service.add_job("j", 1)
    service.refuse("GetJob", unavailable(), times=10)
    slow = RetryPolicy(initial_backoff_seconds=0.02)
    client = Client(service.target, retry=slow)

    async def consume() -> None:
        async for _ in client.watch("j"):
            pass

    calls = [client.wait("j"), consume(), client.get_job("j")]
    under_way = [asyncio.ensure_future(call) for call in calls]
    await service.until(
        lambda: len(service.requests["WatchJob"]) == 2 and service.requests["GetJob"]
    )
    await client.aclose()
    for ended in await asyncio.gather(*under_way, return_exceptions=True):
        assert isinstance(ended, RuntimeError)
        assert "closed" in str(ended)


async def test_a_cancelled_caller_stays_cancelled_though_its_client_was_closed(
    service: FakeService,
) -> None:
    """Else its task group would take it for failed."""
    service.add_job("j", 1)
    client = Client(service.target)
    waiting = asyncio.create_task(client.wait("j"))
    await service.until(lambda: service.requests["WatchJob"])
    waiting.cancel()
    await client.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_connection_that_is_closed_at_once_says_what_that_may_mean() -> None:
    """So does a service that wants TLS, or a certificate, and gRPC says only that it was closed."""

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Client(target, retry=RetryPolicy(max_attempts=1)) as client:
            with pytest.raises(Unavailable, match="does the service want TLS"):
                await client.get_job("j")


async def test_a_closed_client_leaves_no_connection_to_the_garbage_collector(
    service: FakeService, connections: list[weakref.ref[grpc.aio.Channel]]
) -> None:
    """Until that came by, gRPC would keep it, or try to make it, after errors, too."""
    service.add_job("j", 1)
    service.refuse("WatchJob", unavailable(), times=2)
    calls: list[Callable[[Client], Awaitable[object]]] = [
        lambda client: client.get_job("nope"),
        lambda client: client.get_job("j", timeout=0.0),
        lambda client: client.wait("nope"),
        lambda client: client.wait("j", timeout=0.1),
    ]
    for call in calls:
        client = Client(service.target, retry=EAGER)
        with contextlib.suppress(UwfqError):
            await call(client)
        await client.aclose()
    async with Worker(service.target, slots=1, handlers={"noop": lambda _: None}):
        await service.until(lambda: service.requests["NextTask"])
    service.refuse("NextTask", Refusal(code_pb2.NOT_FOUND, "no such pool"))
    worker = Worker(service.target, slots=1, handlers={"noop": lambda _: None})
    with contextlib.suppress(UwfqError):
        await worker.serve()
    assert [connection() for connection in connections] == [None] * 6


async def test_a_connection_that_has_gone_silent_is_dropped_when_the_keepalive_says_so() -> None:
    """Who takes bytes and answers none of them, pings neither, is given up after both times."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\4\0\0\0\0\0")  # Empty settings: all that a connection wants.
        while await reader.read(1 << 16):
            pass
        writer.close()
        await writer.wait_closed()
        dropped.set()

    dropped = asyncio.Event()
    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        keepalive = Keepalive(time_seconds=0.1, timeout_seconds=0.1)
        async with Client(target, keepalive=keepalive, retry=RetryPolicy(max_attempts=1)) as client:
            with pytest.raises(Unavailable, match="ping timeout"):
                await client.get_job("j", timeout=20)
        await dropped.wait()
