"""The client and the worker against the service itself, in one process.

Real clocks, as the worker has one of its own; nothing here depends on how fast they run.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.certificates import make_certificates
from tests.integration.workers import EAGER
from tests.ports import free_port
from uwfq_client import (
    AlreadyExists,
    Client,
    EstimateSource,
    FailedPrecondition,
    Input,
    InvalidArgument,
    Job,
    JobFailed,
    JobState,
    Measurement,
    NotFound,
    PermanentFailure,
    RetryPolicy,
    Stage,
    SyncClient,
    Task,
    Tls,
    Unavailable,
    Worker,
)
from uwfq_service.server.app import Server
from uwfq_service.server.config import load


@asynccontextmanager
async def service(port: int = 0, **overrides: object) -> AsyncIterator[str]:
    """A service for the length of a block; where it listens."""
    settings = {name.replace("__", "."): value for name, value in overrides.items()}
    given = {"listen": f"127.0.0.1:{port}", "data": ":memory:", "scheduling.retry_backoff": 0.01}
    async with Server(load({**given, **settings})) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture
async def target() -> AsyncIterator[str]:
    """Where a service listens."""
    async with service() as target:
        yield target


@pytest.fixture
async def client(target: str) -> AsyncIterator[Client]:
    """A client of it."""
    async with Client(target, retry=EAGER) as client:
        yield client


async def until(client: Client, job_id: str, condition: Callable[[Job], bool]) -> Job:
    """Watch a job until something holds of it."""
    async for job in client.watch(job_id, timeout=20.0):
        if condition(job):
            return job
    raise AssertionError("the job ended without it")


async def test_a_job_goes_from_submission_to_its_end(target: str, client: Client) -> None:
    """The example of the README, with two stages and an input that the service cuts."""
    stages = [
        Stage(
            "scan",
            input=Input([1000, 3000], splittable=True),
            estimated_work_slot_seconds=6.0,
            payload=b"a,b",
        ),
        Stage("merge", after=["scan"], tasks=1, estimated_work_slot_seconds=0.1),
    ]
    job = await client.submit(user="alice", kind="sum", stages=stages, labels={"for": "test"})
    assert job.virtual_deadline is not None
    scan, merge = job.splits
    assert scan.task_count == len(scan.ranges) > 1
    assert merge.ranges == ()

    worker = Worker(target, slots=2, retry=EAGER)
    tasks: list[Task] = []

    @worker.handler("sum")
    def handle(task: Task) -> Measurement:
        tasks.append(task)
        return Measurement(input_bytes=10, rows=1)

    async with worker:
        done = await client.wait(job.job_id, timeout=20.0, check=True)
    assert (done.state, done.done_tasks) == (JobState.SUCCEEDED, scan.task_count + 1)
    assert done.labels == {"for": "test"}
    assert tasks[-1].stage == "merge"
    assert tasks[0].payload == b"a,b"
    assert {task.range for task in tasks[:-1]} == set(scan.ranges)
    assert done.finished_at is not None
    assert done.submitted_at <= done.finished_at


async def test_failures_are_tried_again_until_one_is_permanent(target: str, client: Client) -> None:
    """A retryable failure brings another attempt; a permanent one ends the job with its cause."""
    worker = Worker(target, slots=1, retry=EAGER)
    attempts: list[int] = []

    @worker.handler("flaky")
    async def flaky(task: Task) -> None:
        attempts.append(task.attempt)
        if task.attempt < 3:
            raise OSError("not yet")

    @worker.handler("broken")
    async def broken(task: Task) -> None:
        raise PermanentFailure("no such column")

    async with worker:
        job = await client.submit(user="alice", kind="flaky", stages=[Stage("s", tasks=1)])
        assert (await client.wait(job.job_id, timeout=20.0)).failed_attempts == 2
        job = await client.submit(user="alice", kind="broken", stages=[Stage("s", tasks=1)])
        with pytest.raises(JobFailed, match="no such column"):
            await client.wait(job.job_id, timeout=20.0, check=True)
    assert attempts == [1, 2, 3]


async def test_cancelling_a_job_stops_its_handlers() -> None:
    """The next renewal brings the news."""
    started, stopped = asyncio.Event(), asyncio.Event()

    async def endless(task: Task) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with (
        service(scheduling__lease_seconds=0.6) as target,
        Client(target, retry=EAGER) as client,
        Worker(target, slots=2, handlers={"endless": endless}, retry=EAGER),
    ):
        job = await client.submit(user="alice", kind="endless", stages=[Stage("s", tasks=1)])
        await started.wait()
        cancelled = await client.cancel(job.job_id, "enough")
        assert cancelled.state is JobState.CANCELLED
        async with asyncio.timeout(20.0):
            await stopped.wait()
        assert (await client.get_job(job.job_id)).cause == "enough"


async def test_a_failure_that_counted_is_not_said_to_come_too_late(
    target: str, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """It rode on the poll that a stop breaks off, so the worker cannot but say it once more."""
    caplog.set_level("INFO", "uwfq_client")
    worker = Worker(target, slots=1, retry=EAGER)

    @worker.handler("wrong")
    async def handle(task: Task) -> None:
        raise PermanentFailure("no")

    async with worker:
        job = await client.submit(user="alice", kind="wrong", stages=[Stage("s", tasks=1)])
        done = await client.wait(job.job_id, timeout=20.0)
    assert done.state is JobState.FAILED
    assert "too late" not in caplog.text


async def test_leases_are_renewed_for_as_long_as_a_task_runs() -> None:
    """A task may run for longer than its lease, which a busy machine must not let run out."""
    async with (
        service(scheduling__lease_seconds=2.0) as target,
        Client(target, retry=EAGER) as client,
    ):
        worker = Worker(target, slots=1, retry=EAGER)

        @worker.handler("slow")
        async def slow(task: Task) -> None:
            await asyncio.sleep(2.5)

        async with worker:
            job = await client.submit(user="alice", kind="slow", stages=[Stage("s", tasks=1)])
            done = await client.wait(job.job_id, timeout=20.0)
    assert done.succeeded
    assert done.failed_attempts == 0


async def test_batches_of_short_tasks_are_drained(target: str, client: Client) -> None:
    """Inline handlers with prefetch: every task once, few polls."""
    worker = Worker(target, slots=1, prefetch=199, executor="inline", retry=EAGER)
    ran: list[int] = []

    @worker.handler("noop")
    def noop(task: Task) -> None:
        ran.append(task.index)

    job = await client.submit(user="alice", kind="noop", stages=[Stage("s", tasks=5000)])
    async with worker:
        done = await client.wait(job.job_id, timeout=30.0)
    assert done.done_tasks == 5000
    assert sorted(ran) == list(range(5000))
    assert worker.stats.polls < 100


async def test_a_large_task_gets_the_slots_that_smaller_ones_free(
    target: str, client: Client
) -> None:
    """Without waiting for the poll that was parked when fewer were free."""
    worker = Worker(target, slots=3, poll_seconds=600.0, retry=EAGER)
    go = asyncio.Event()

    @worker.handler("small")
    async def small(task: Task) -> None:
        await go.wait()

    @worker.handler("large")
    async def large(task: Task) -> None:
        assert task.slots == 3

    async with worker:
        first = await client.submit(user="alice", kind="small", stages=[Stage("s", tasks=2)])
        await until(client, first.job_id, lambda job: job.running_tasks == 2)
        go.set()
        await client.wait(first.job_id, timeout=20.0)
        stages = [Stage("s", tasks=1, slots_per_task=3)]
        second = await client.submit(user="alice", kind="large", stages=stages)
        assert (await client.wait(second.job_id, timeout=20.0)).succeeded


async def test_a_stopping_worker_leaves_nothing_behind(target: str, client: Client) -> None:
    """What it held is done, and what it did not hold waits for others."""
    worker = Worker(target, slots=1, prefetch=3, retry=EAGER)
    started, go = asyncio.Event(), asyncio.Event()

    @worker.handler("k")
    async def handle(task: Task) -> None:
        started.set()
        await go.wait()

    job = await client.submit(user="alice", kind="k", stages=[Stage("s", tasks=10)])
    serving = asyncio.create_task(worker.serve())
    await started.wait()
    stopping = asyncio.create_task(worker.stop())
    go.set()
    await stopping
    await serving
    status = await client.get_job(job.job_id)
    assert (status.done_tasks, status.running_tasks) == (worker.stats.succeeded, 0)
    assert status.waiting_tasks == 10 - status.done_tasks > 0
    assert status.failed_attempts == 0
    assert (await client.get_pool()).workers == 0


async def test_a_restart_of_the_service_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Jobs, leases and results survive it; clients and workers wait it out."""
    data = str(tmp_path / "data")
    port = free_port()
    ran: list[tuple[str, int]] = []
    started, go = asyncio.Event(), asyncio.Event()
    worker = Worker(f"127.0.0.1:{port}", slots=2, prefetch=2, retry=EAGER)

    @worker.handler("k")
    async def handle(task: Task) -> None:
        ran.append((task.job_id, task.index))
        started.set()
        await go.wait()

    async with Client(f"127.0.0.1:{port}", retry=EAGER) as client:
        async with service(port, data=data):
            job = await client.submit(user="alice", kind="k", stages=[Stage("s", tasks=20)])
            serving = asyncio.create_task(worker.serve())
            await started.wait()
            waiting = asyncio.create_task(client.wait(job.job_id, timeout=30.0))
        go.set()
        async with service(port, data=data):
            done = await waiting
            await worker.stop()
            await serving
    assert done.succeeded
    assert done.failed_attempts == 0
    assert sorted(ran) == [(job.job_id, index) for index in range(20)]


async def test_refusals_are_typed(client: Client) -> None:
    """The service's own statuses, field by field."""
    with pytest.raises(InvalidArgument) as caught:
        await client.submit(user="alice", stages=[Stage("a", after=["b"], tasks=1)])
    assert "after" in caught.value.field_violations[0].field
    with pytest.raises(NotFound) as missing:
        await client.get_job("nope")
    assert missing.value.resource is not None
    assert missing.value.resource.name == "nope"
    await client.submit(user="alice", job_id="mine", stages=[Stage("s", tasks=1)])
    with pytest.raises(AlreadyExists):
        await client.submit(user="alice", job_id="mine", stages=[Stage("s", tasks=2)])
    with pytest.raises(FailedPrecondition):
        await client.add_stages("mine", [Stage("t", tasks=1)])


async def test_a_submission_may_be_repeated(client: Client) -> None:
    """By job id or by request id; the same content gives the same answer."""
    for name in ({"job_id": "mine"}, {"request_id": "once"}):
        first = await client.submit(user="alice", stages=[Stage("s", tasks=1)], **name)  # type: ignore[arg-type]
        again = await client.submit(user="alice", stages=[Stage("s", tasks=1)], **name)  # type: ignore[arg-type]
        assert first.job_id == again.job_id
        assert (first.duplicate, again.duplicate) == (False, True)


async def test_an_open_job_takes_stages_until_it_is_closed(client: Client, target: str) -> None:
    """Repeating the call that adds and closes changes nothing."""
    job = await client.submit(user="alice", kind="k", open=True)
    for _ in range(2):
        added = await client.add_stages(job.job_id, [Stage("a", tasks=2)])
        assert added.splits[0].task_count == 2
    assert (await client.get_job(job.job_id)).open
    assert not (await client.close_job(job.job_id)).open
    worker = Worker(target, slots=1, retry=EAGER)

    @worker.handler()
    def handle(task: Task) -> None:
        pass

    async with worker:
        assert (await client.wait(job.job_id, timeout=20.0)).succeeded


async def test_an_engine_plans_drops_and_finishes(client: Client) -> None:
    """Advice is what is done; a finished job ends whatever is left."""
    scan = Stage("scan", input=Input([1000], splittable=True), min_tasks=7, signature="scan")
    advice = await client.split_stage(scan, user="alice", signature="q")
    assert (advice.task_count, len(advice.ranges)) == (7, 7)
    counted = await client.split_stage(scan, user="alice", omit_ranges=True)
    assert (counted.task_count, counted.ranges) == (7, ())
    job = await client.submit(user="alice", signature="q", open=True, engine_id="engine")
    assert (await client.add_stages(job.job_id, [scan, Stage("more", tasks=2)])).splits[0] == advice
    dropped = await client.drop_stages(job.job_id, ["scan"])
    assert [stage.waiting for stage in dropped.stages] == [0, 2]
    assert dropped.stages[0].signature == "scan"
    assert dropped.stages[0].estimate_source is EstimateSource.PRIOR
    assert (await client.close_job(job.job_id, finished=True)).succeeded
    leased = await client.submit(user="alice", stages=[Stage("s", tasks=1)])
    with pytest.raises(FailedPrecondition):
        await client.drop_stages(leased.job_id, ["s"])


async def test_operators_see_users_and_pools(client: Client) -> None:
    """Settings are kept; an explanation names who is ahead."""
    user = await client.set_user("bob", weight=3.0, max_running_slots=2)
    assert (user.weight, user.max_running_slots) == (3.0, 2)
    user = await client.set_user("bob", max_running_slots=0)
    assert (user.weight, user.max_running_slots) == (3.0, None)
    jobs = [await client.submit(user=name, stages=[Stage("s", tasks=1)]) for name in ("bob", "eve")]
    users = [each.user async for each in client.list_users(page_size=1)]
    assert users == ["bob", "eve"]
    pool = await client.get_pool()
    assert (pool.policy, pool.jobs) == ("uwfq", 2)
    assert [each.pool for each in await client.list_pools()] == ["default"]
    told = await client.explain(jobs[1].job_id)
    assert told.position == 2
    assert [ahead.user for ahead in told.ahead] == ["bob"]
    listed = [job.job_id async for job in client.list_jobs(user="eve", states=[JobState.WAITING])]
    assert listed == [jobs[1].job_id]


async def test_a_handler_may_submit_jobs_of_its_own(target: str, client: Client) -> None:
    """With the blocking client, from its thread."""
    worker = Worker(target, slots=2, retry=EAGER)

    @worker.handler("parent")
    def parent(task: Task) -> None:
        with SyncClient(target) as own:
            child = own.submit(user=task.user, kind="child", stages=[Stage("s", tasks=1)])
            own.wait(child.job_id, timeout=20.0, check=True)

    @worker.handler("child")
    def child(task: Task) -> None:
        pass

    async with worker:
        job = await client.submit(user="alice", kind="parent", stages=[Stage("s", tasks=1)])
        assert (await client.wait(job.job_id, timeout=20.0)).succeeded


async def test_thousands_of_calls_at_once_are_all_taken_in(target: str) -> None:
    """Not one has to be tried again, though they come faster than the service looks."""
    async with Client(target, timeout=60.0, retry=RetryPolicy(max_attempts=1)) as client:
        pools = await asyncio.gather(*(client.get_pool() for _ in range(4_000)))
    assert len(pools) == 4_000


async def test_a_worker_has_a_slot_for_each_processor_that_it_may_use(
    client: Client, target: str
) -> None:
    """Not for each of the machine: others may have been given those."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mine)})
    try:
        worker = Worker(target, handlers={"k": _nothing})
    finally:
        os.sched_setaffinity(0, mine)
    async with worker:
        while not (pool := await client.get_pool()).slots:  # noqa: ASYNC110  # Nothing tells of it.
            await asyncio.sleep(0.01)
    assert pool.slots == 1


# ------------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an authority and what it has signed: a server and a client."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.needs("openssl")
async def test_mutual_tls_serves_who_shows_a_certificate(certificates: Path) -> None:
    """Who shows a certificate is served, by either client; who does not is not."""
    mutual = Tls(
        ca=certificates / "ca.pem",
        certificate=certificates / "client.pem",
        key=certificates / "client.key",
        server_name="server.test",
    )
    nameless = Tls(ca=certificates / "ca.pem", server_name="server.test")
    once = RetryPolicy(max_attempts=1)
    async with service(
        tls__cert=str(certificates / "server.pem"),
        tls__key=str(certificates / "server.key"),
        tls__client_ca=str(certificates / "ca.pem"),
    ) as target:
        async with Client(target, tls=mutual) as client:
            job = await client.submit(user="alice", kind="k", stages=[Stage("s", tasks=1)])
            async with Worker(target, tls=mutual, handlers={"k": _nothing}):
                assert (await client.wait(job.job_id, timeout=20.0)).succeeded
        with SyncClient(target, tls=mutual) as blocking:
            found = await asyncio.to_thread(blocking.get_job, job.job_id)
            assert found.succeeded
        for stranger in (nameless, False):
            async with Client(target, tls=stranger, retry=once) as client:
                with pytest.raises(Unavailable):
                    await client.get_pool()
        other_name = dataclasses.replace(mutual, server_name="other.test")
        await _assert_distrust(target, other_name, "Hostname Verification Check failed")
        await _assert_distrust(target, True, "CERTIFICATE_VERIFY_FAILED")
    async with service() as target:
        await _assert_distrust(target, mutual, "WRONG_VERSION_NUMBER")


async def _assert_distrust(target: str, tls: Tls | bool, why: str) -> None:
    """No waiting would mend it, so nobody waits."""
    async with Client(target, tls=tls, timeout=math.inf) as client:
        for call in (client.get_pool(), client.wait("j")):
            with pytest.raises(Unavailable, match=why):
                await asyncio.wait_for(call, 60)
    with SyncClient(target, tls=tls, timeout=3600.0) as blocking, pytest.raises(Unavailable):
        await asyncio.wait_for(asyncio.to_thread(blocking.get_pool), 60)


def _nothing(task: Task) -> None:
    """A handler for tests that are not about handlers."""
