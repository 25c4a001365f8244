"""The worker over real gRPC, against a service that misbehaves on demand."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import os
import random
import threading

import pytest

from tests.integration import client_handlers
from tests.integration.fake_service import FakeService, Refusal, exhausted, unavailable
from tests.integration.workers import EAGER, nothing
from uwfq_client import Client, Measurement, NotFound, PermanentFailure, RetryPolicy, Task, Worker
from uwfq_client.ledger import Ledger


async def test_every_task_is_run_and_reported_once(service: FakeService) -> None:
    """Whatever the number of slots, each lease gets one result, with what the handler measured."""
    service.add_job("j", 20, labels={"colour": "blue"}, payload=b"p")
    worker = Worker(service.target, slots=3, retry=EAGER)
    seen: list[Task] = []

    @worker.handler("noop")
    def handle(task: Task) -> Measurement:
        seen.append(task)
        return Measurement(input_bytes=7, rows=task.index)

    async with worker:
        await service.until(lambda: len(service.results) == 20)
    assert sorted(task.index for task in seen) == list(range(20))
    assert seen[0].labels == {"colour": "blue"}
    assert seen[0].payload == b"p"
    assert {result.success.rows for result in service.results.values()} == set(range(20))
    assert all(result.success.input_bytes == 7 for result in service.results.values())
    assert worker.stats.succeeded == 20


@pytest.mark.parametrize("seconds", [math.inf, 1e300])
async def test_a_poll_may_be_parked_for_longer_than_anybody_waits(
    service: FakeService, seconds: float
) -> None:
    """The service says how long it is; the call's deadline is no instant that has passed."""
    service.add_job("j", 1)
    worker = Worker(service.target, slots=1, poll_seconds=seconds, retry=EAGER)
    worker.handler("noop")(nothing)
    async with worker:
        await service.until(lambda: len(service.results) == 1)


@pytest.mark.parametrize("executor", ["thread", "inline"])
async def test_a_worker_never_runs_more_than_its_slots(service: FakeService, executor: str) -> None:
    """Prefetched leases wait in the worker until a slot is free."""
    service.add_job("j", 40)
    worker = Worker(service.target, slots=2, prefetch=10, executor=executor, retry=EAGER)  # type: ignore[arg-type]
    lock = threading.Lock()
    running = most = 0

    @worker.handler("noop")
    def handle(task: Task) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1

    async with worker:
        await service.until(lambda: len(service.results) == 40)
    assert most <= 2
    assert all(request.free_slots <= 2 for request in service.requests["NextTask"])


async def test_coroutine_handlers_run_side_by_side(service: FakeService) -> None:
    """As many coroutines as slots are under way at once."""
    service.add_job("j", 4)
    worker = Worker(service.target, slots=4, retry=EAGER)
    meeting = asyncio.Barrier(4)

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        await meeting.wait()

    async with worker:
        await service.until(lambda: len(service.results) == 4)


async def test_failures_are_reported_with_their_message(service: FakeService) -> None:
    """An exception is retryable, PermanentFailure is not, a missing handler is retryable."""
    service.add_job("raises", 1, kind="raises")
    service.add_job("permanent", 1, kind="permanent")
    service.add_job("unknown", 1, kind="unknown")
    worker = Worker(service.target, slots=1, retry=EAGER)

    @worker.handler("raises")
    def raises(task: Task) -> None:
        raise OSError("disk on fire")

    @worker.handler("permanent")
    async def permanent(task: Task) -> None:
        raise PermanentFailure("no such column")

    async with worker:
        await service.until(lambda: len(service.results) == 3)
    first, second, third = (service.results[lease].failure for lease in (1, 2, 3))
    assert (first.message, first.retryable) == ("OSError: disk on fire", True)
    assert (second.message, second.retryable) == ("no such column", False)
    assert third.message == "no handler for kind 'unknown'"
    assert third.retryable


@pytest.mark.parametrize("executor", ["thread", "inline"])
async def test_a_measurement_that_cannot_be_reported_does_not_stop_the_worker(
    service: FakeService, executor: str
) -> None:
    """The task fails for good; its slot serves the next one, and the worker can stop."""
    service.add_job("j", 2)
    worker = Worker(service.target, slots=1, executor=executor, retry=EAGER)  # type: ignore[arg-type]

    @worker.handler("noop")
    def handle(task: Task) -> Measurement:
        return Measurement(rows=task.index - 1)

    async with worker:
        await service.until(lambda: len(service.results) == 2)
    assert "rows=-1" in service.results[1].failure.message
    assert not service.results[1].failure.retryable
    assert service.results[2].HasField("success")
    assert not service.leases


async def test_a_handler_without_a_kind_takes_what_nobody_else_does(service: FakeService) -> None:
    """The handler of a job's own kind goes first."""
    service.add_job("a", 1, kind="a")
    service.add_job("b", 1, kind="b")
    worker = Worker(service.target, slots=1, executor="inline", retry=EAGER)
    calls: list[tuple[str, str]] = []

    @worker.handler()
    def anything(task: Task) -> None:
        calls.append(("anything", task.kind))

    @worker.handler("b")
    def only_b(task: Task) -> None:
        calls.append(("only_b", task.kind))

    async with worker:
        await service.until(lambda: len(service.results) == 2)
    assert calls == [("anything", "a"), ("only_b", "b")]


async def test_results_ride_on_the_next_poll(service: FakeService) -> None:
    """A busy worker needs one RPC per batch: no TaskDone while there is something to poll for."""
    service.add_job("j", 1000)
    worker = Worker(
        service.target,
        slots=1,
        prefetch=99,
        executor="inline",
        report_delay_seconds=60.0,
        retry=EAGER,
    )

    @worker.handler("noop")
    def handle(task: Task) -> None:
        pass

    async with worker:
        await service.until(lambda: len(service.results) == 1000)
    assert not service.requests["TaskDone"]
    # 10 with work, the one that is parked at the end, and the last one of a stopping worker.
    assert len(service.requests["NextTask"]) <= 14


async def test_a_result_does_not_wait_for_a_parked_poll(service: FakeService) -> None:
    """With a poll parked for the free slot, a result is reported by itself, at once."""
    service.add_job("j", 2)
    go = asyncio.Event()
    worker = Worker(service.target, slots=3, poll_seconds=600.0, retry=EAGER)

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        if task.index == 1:
            await go.wait()

    async with worker:
        await service.until(lambda: len(service.results) == 1)
        go.set()
        await service.until(lambda: len(service.results) == 2)
        assert len(service.requests["TaskDone"]) >= 1


async def test_polls_that_nobody_parks_come_ever_more_slowly(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few tries a policy allows: nothing has failed."""
    # On a busy machine the first answer takes as long as if the poll had been parked.
    monkeypatch.setattr("uwfq_client.session._HASTY_SECONDS", math.inf)
    once = RetryPolicy(max_attempts=1, initial_backoff_seconds=3600.0, max_backoff_seconds=3600.0)
    worker = Worker(service.target, slots=1, poll_seconds=0.0, retry=once)
    worker.handler("noop")(nothing)
    async with worker, Client(service.target) as client:
        await service.until(lambda: service.requests["NextTask"])
        for _ in range(50):
            await client.list_pools()
        assert len(service.requests["NextTask"]) == 1


async def test_a_parked_poll_is_asked_anew_when_more_slots_are_free(service: FakeService) -> None:
    """Else a task that needs all slots would wait for the parked poll to time out."""
    service.add_job("small", 2)
    go = asyncio.Event()
    worker = Worker(service.target, slots=3, poll_seconds=600.0, retry=EAGER)

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        if task.job_id == "small":
            await go.wait()

    async with worker:
        await service.until(lambda: len(service.requests["NextTask"]) == 2)
        go.set()
        await service.until(
            lambda: any(poll.free_slots == 3 for poll in service.requests["NextTask"][1:])
        )
        service.add_job("large", 1, slots=3)
        await service.until(lambda: len(service.results) == 3)


async def test_a_lost_answer_to_a_poll_loses_no_lease(service: FakeService) -> None:
    """The poll is repeated under its id and brings the same leases; each is run once."""
    service.add_job("j", 6)
    service.lose("NextTask", times=3)
    worker = Worker(service.target, slots=2, retry=EAGER)
    ran: list[int] = []

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        ran.append(task.lease_id)

    async with worker:
        await service.until(lambda: len(service.results) == 6)
    assert sorted(ran) == [1, 2, 3, 4, 5, 6]
    ids = [poll.poll_id for poll in service.requests["NextTask"]]
    assert ids[:4] == [1, 1, 1, 1]


async def test_lost_answers_to_reports_are_asked_for_again(service: FakeService) -> None:
    """A result is kept until it is acknowledged; reporting it twice counts once."""
    service.add_job("j", 8)
    service.lose("TaskDone", times=3)
    service.refuse("TaskDone", exhausted(0.001), times=3)
    worker = Worker(
        service.target, slots=8, retry=EAGER, report_delay_seconds=0.0, poll_seconds=600.0
    )

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        await asyncio.sleep(0.001 * task.index)

    async with worker:
        await service.until(lambda: len(service.results) == 8)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_gets_lost_each_task_runs_and_counts_once(
    service: FakeService, seed: int
) -> None:
    """Two of five calls fail, half of them after they were carried out."""
    rng = service.chaos = random.Random(seed)
    service.lease_seconds = 0.3
    service.add_job("j", 60)
    slots, prefetch = rng.randint(1, 4), rng.randint(0, 6)
    worker = Worker(
        service.target, slots=slots, prefetch=prefetch, report_delay_seconds=0.0, retry=EAGER
    )
    ran: list[int] = []

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        ran.append(task.index)
        await asyncio.sleep(0.002 * rng.random())

    async with worker:
        await service.until(lambda: len(service.results) == 60)
        service.chaos = None
    assert sorted(ran) == list(range(60))
    assert not service.leases


async def test_a_worker_outlives_a_restart_of_the_service(service: FakeService) -> None:
    """What ran meanwhile is reported afterwards, once, and work goes on."""
    service.add_job("before", 2)
    go, started, ended = asyncio.Event(), asyncio.Barrier(3), asyncio.Barrier(3)
    worker = Worker(service.target, slots=2, retry=EAGER)
    ran: list[str] = []

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        ran.append(task.job_id)
        if task.job_id == "before":
            await started.wait()
            await go.wait()
            await ended.wait()

    async with worker:
        await started.wait()
        await service.stop()
        go.set()
        await ended.wait()
        await service.start()
        service.add_job("after", 2)
        await service.until(lambda: len(service.results) == 4)
    assert ran == ["before", "before", "after", "after"]


async def test_leases_are_renewed_while_their_tasks_run(service: FakeService) -> None:
    """At a third of their time, all in one request."""
    service.lease_seconds = 0.15
    service.add_job("j", 3)
    worker = Worker(service.target, slots=3, retry=EAGER)
    go = asyncio.Event()

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        await go.wait()

    async with worker:
        await service.until(lambda: len(service.requests["RenewLeases"]) >= 3)
        go.set()
        await service.until(lambda: len(service.results) == 3)
    assert list(service.requests["RenewLeases"][0].lease_ids) == [1, 2, 3]


async def test_renewals_survive_refusals(service: FakeService) -> None:
    """A renewal that fails is tried again well before the lease is over."""
    service.lease_seconds = 0.15
    service.refuse("RenewLeases", unavailable(), times=2)
    service.add_job("j", 1)
    worker = Worker(service.target, slots=1, retry=EAGER)
    go = asyncio.Event()

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        await go.wait()

    async with worker:
        await service.until(lambda: len(service.requests["RenewLeases"]) >= 4)
        go.set()
    assert service.results[1].HasField("success")


@pytest.mark.parametrize("learned_by", ["renewal", "poll"])
async def test_a_revoked_lease_stops_its_coroutine(service: FakeService, learned_by: str) -> None:
    """The handler is cancelled, however the worker learns of it."""
    service.lease_seconds = 0.15 if learned_by == "renewal" else 30.0
    service.add_job("j", 1)
    # With both slots taken no poll is parked, so only a renewal can tell.
    worker = Worker(service.target, slots=1 if learned_by == "renewal" else 2, retry=EAGER)
    stopped = asyncio.Event()

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with worker:
        await service.until(lambda: service.leases)
        service.revoked.add(1)
        service.note()
        await stopped.wait()
        await service.until(lambda: service.results)
    assert "cancelled" in service.results[1].failure.message


async def test_a_revoked_lease_tells_its_thread(service: FakeService) -> None:
    """A thread cannot be stopped; ``task.cancelled`` asks it to return."""
    service.lease_seconds = 0.15
    service.add_job("j", 1)
    worker = Worker(service.target, slots=1, retry=EAGER)
    told: list[bool] = []

    @worker.handler("noop")
    def handle(task: Task) -> None:
        told.append(task.cancelled.wait(timeout=20.0))

    async with worker:
        await service.until(lambda: service.leases)
        service.revoked.add(1)
        await service.until(lambda: service.results)
    assert told == [True]


async def test_an_expired_lease_stops_its_handler(service: FakeService) -> None:
    """Another worker has the task by now."""
    service.lease_seconds = 0.15
    service.add_job("j", 1)
    worker = Worker(service.target, slots=1, retry=EAGER)
    stopped = asyncio.Event()

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with worker:
        await service.until(lambda: service.leases)
        service.leases.clear()
        await stopped.wait()


async def test_a_time_limit_stops_the_attempt(service: FakeService) -> None:
    """The worker enforces it by itself, so that the slot is free when the service thinks so."""
    service.add_job("j", 1, time_limit_seconds=0.02)
    worker = Worker(service.target, slots=1, retry=EAGER)

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        await asyncio.Event().wait()

    async with worker:
        await service.until(lambda: service.results)
    failure = service.results[1].failure
    assert failure.retryable
    assert "limit of 0.02 s" in failure.message


async def test_what_waiting_does_not_mend_ends_the_worker(service: FakeService) -> None:
    """A pool that does not exist is raised, not tried for ever."""
    service.refuse("NextTask", Refusal(5, "pool 'typo' does not exist"), times=10)
    worker = Worker(service.target, pool="typo", slots=1, retry=EAGER)
    worker.handler("noop")(nothing)
    with pytest.raises(NotFound, match="typo"):
        await worker.serve()


async def test_processes_run_handlers_and_report(service: FakeService) -> None:
    """Returns and exceptions travel back; the work is done elsewhere."""
    service.add_job("j", 4)
    worker = Worker(
        service.target,
        slots=1,
        executor="process",
        handlers={"noop": client_handlers.report_process},
        retry=EAGER,
    )
    async with worker:
        await service.until(lambda: len(service.results) == 4)
    assert service.results[1].success.rows not in {0, os.getpid()}
    assert "not in process" in service.results[2].failure.message
    assert not service.results[2].failure.retryable


async def test_a_process_that_dies_fails_its_task_only(service: FakeService) -> None:
    """The worker goes on with new processes; the task may be tried elsewhere."""
    service.add_job("j", 3)
    worker = Worker(
        service.target,
        slots=1,
        executor="process",
        handlers={"noop": client_handlers.die_once},
        retry=EAGER,
    )
    async with worker:
        await service.until(lambda: len(service.results) == 3)
    assert service.results[1].failure.retryable
    assert "BrokenProcessPool" in service.results[1].failure.message
    assert service.results[2].HasField("success")
    assert service.results[3].HasField("success")


async def test_an_executor_of_ones_own_is_used_and_left_alone(service: FakeService) -> None:
    """It may serve others, too."""
    service.add_job("j", 2)
    names: list[str] = []

    def handle(task: Task) -> None:
        names.append(threading.current_thread().name)

    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        worker = Worker(
            service.target, slots=1, executor=executor, handlers={"noop": handle}, retry=EAGER
        )
        async with worker:
            await service.until(lambda: len(service.results) == 2)
        assert executor.submit(len, "still").result() == 5
    assert all(name.startswith("mine") for name in names)


async def test_a_handler_is_registered_once(service: FakeService) -> None:
    """The second one would silently win."""
    worker = Worker(service.target, handlers={"noop": nothing})
    with pytest.raises(ValueError, match="already"):
        worker.handler("noop")(nothing)
    with pytest.raises(ValueError, match="needs a handler"):
        await Worker(service.target).serve()


async def test_a_defect_of_the_worker_is_not_swallowed(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that cannot go on must not look as if it had nothing to do."""

    def broken(*_: object) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr(Ledger, "grant", broken)
    service.add_job("j", 1)
    with pytest.raises(ZeroDivisionError):
        await Worker(service.target, slots=1, handlers={"noop": nothing}).serve()
