"""How a worker ends: what it finishes, reports and gives back, over real gRPC."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from tests.integration.fake_service import FakeService, unavailable
from tests.integration.workers import EAGER, nothing
from uwfq_client import Task, UwfqError, Worker
from uwfq_client.session import Session


async def test_stop_finishes_and_reports_what_is_held(service: FakeService) -> None:
    """Queued leases run too: giving them back would cost the job an attempt."""
    service.add_job("j", 10)
    go = asyncio.Event()
    worker = Worker(service.target, slots=1, prefetch=3, retry=EAGER)

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        await go.wait()

    serving = asyncio.create_task(worker.serve())
    await service.until(lambda: len(service.leases) == 4)
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    go.set()
    await stopping
    await serving
    assert len(service.results) == 4
    assert not service.leases
    assert len(service.waiting) == 6


async def test_stop_fetches_leases_whose_answer_was_lost(service: FakeService) -> None:
    """Nothing is left behind at the service, not even what a broken poll was granted."""
    service.add_job("j", 2)
    service.lose("NextTask", times=1_000)
    worker = Worker(service.target, slots=2, retry=EAGER)
    ran: list[int] = []

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        ran.append(task.index)

    serving = asyncio.create_task(worker.serve())
    await service.until(lambda: len(service.leases) == 2)
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    service.faults["NextTask"].clear()
    await stopping
    await serving
    assert sorted(ran) == [0, 1]
    assert not service.leases


async def test_stop_gives_up_after_its_grace(service: FakeService) -> None:
    """What runs is reported as a retryable failure; what has not begun goes back unspent."""
    service.add_job("j", 3)
    worker = Worker(service.target, slots=1, prefetch=2, retry=EAGER)
    begun = asyncio.Event()

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with worker:
        await begun.wait()
        assert len(service.leases) == 3
        await worker.stop(grace_seconds=0.0)
    (result,) = service.results.values()
    assert result.failure.retryable
    assert service.left == {worker.worker_id: 2}


async def test_nothing_begins_after_the_grace(service: FakeService) -> None:
    """Not even what a poll was granted whose answer was lost: nobody would end it."""
    service.add_job("j", 2)
    service.lose("NextTask", times=1_000)
    worker = Worker(service.target, slots=2, retry=EAGER)
    ran: list[int] = []

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        ran.append(task.index)
        await asyncio.Event().wait()

    async with worker:
        await service.until(lambda: len(service.leases) == 2)
        stopping = asyncio.create_task(worker.stop(grace_seconds=0.0))
        polls = service.requests["NextTask"]
        enough = len(polls) + 5
        await service.until(lambda: service.requests["Leave"] or len(polls) > enough)
        service.faults["NextTask"].clear()
        async with asyncio.timeout(20):
            await stopping
    assert not ran
    assert service.left == {worker.worker_id: 2}


async def test_an_idle_worker_stops_at_once_though_its_poll_is_parked(
    service: FakeService,
) -> None:
    """Stopping calls the poll off."""
    worker = Worker(service.target, slots=1, poll_seconds=600.0, retry=EAGER)
    worker.handler("noop")(nothing)
    async with worker:
        await service.until(lambda: service.requests["NextTask"])
        async with asyncio.timeout(10.0):
            await worker.stop()


@pytest.mark.parametrize("hurry", [False, True])
async def test_a_worker_does_not_wait_for_a_service_that_hangs(
    service: FakeService, hurry: bool
) -> None:
    """One that owes nothing, or is in a hurry, ends before those lose patience who wait for it."""
    service.add_job("j", int(hurry))
    worker = Worker(service.target, slots=2, retry=EAGER)
    started = asyncio.Event()

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        started.set()
        await asyncio.Event().wait()

    async with worker:
        if hurry:
            await started.wait()
        await service.until(lambda: len(service.requests["NextTask"]) == 1 + hurry)
        service.silent = True
        async with asyncio.timeout(10.0):
            await worker.stop(grace_seconds=0.1 if hurry else None)
    assert not service.left


async def test_a_worker_takes_its_leave_after_all_else(service: FakeService) -> None:
    """Its last poll says so, once what it held is reported; nothing rides along."""
    service.add_job("j", 3)
    worker = Worker(service.target, slots=2, prefetch=1, retry=EAGER)
    go = asyncio.Event()

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        await go.wait()

    async with worker:
        await service.until(lambda: len(service.leases) == 3)
        stopping = asyncio.create_task(worker.stop())
        await asyncio.sleep(0)
        go.set()
        await stopping
    (leave,) = service.requests["Leave"]
    assert (leave.worker_id, leave.pool) == (worker.worker_id, "default")
    assert service.left == {worker.worker_id: 0}
    assert len(service.results) == 3


async def test_patience_with_a_silent_service_begins_anew_with_each_silence(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour ago it was away as well; that is no reason to lose the last result at once."""
    service.add_job("j", 2)
    worker = Worker(service.target, slots=2, retry=EAGER)
    go = [asyncio.Event(), asyncio.Event()]
    silences: list[float] = []
    is_hopeless = Session._is_hopeless

    def noted(session: Session, error: UwfqError, silent_since: float) -> bool:
        silences.append(silent_since)
        return is_hopeless(session, error, silent_since)

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        await go[task.index].wait()

    monkeypatch.setattr(Session, "_is_hopeless", noted)
    async with worker:
        await service.until(lambda: len(service.leases) == 2)
        stopping = asyncio.create_task(worker.stop())
        await asyncio.sleep(0)
        for index, refusals in enumerate((2, 1)):
            service.refuse("TaskDone", unavailable(), times=refusals)
            go[index].set()
            await service.until(lambda count=index + 1: len(service.results) == count)  # type: ignore[misc]
        await stopping
    first, still_the_first, second = silences
    assert first == still_the_first < second


async def test_a_service_that_is_away_does_not_hear_the_leave(service: FakeService) -> None:
    """A worker ends all the same: leaving is a courtesy, and its results were taken."""
    service.refuse("Leave", unavailable())
    worker = Worker(service.target, slots=1, retry=EAGER)
    worker.handler("noop")(nothing)
    async with worker:
        await service.until(lambda: service.requests["NextTask"])
    assert len(service.requests["Leave"]) == 1
    assert not service.left


async def test_a_worker_serves_again_after_a_stop(service: FakeService) -> None:
    """Its stop is not for ever."""
    worker = Worker(service.target, slots=1, retry=EAGER)
    worker.handler("noop")(nothing)
    for round_number in (1, 2):
        service.add_job(f"j{round_number}", 1)
        async with worker:
            await service.until(lambda n=round_number: len(service.results) == n)  # type: ignore[misc]


async def test_cancelling_serve_leaves_no_task_behind(service: FakeService) -> None:
    """An abrupt end stops the handlers and closes the connection."""
    service.add_job("j", 1)
    worker = Worker(service.target, slots=1, retry=EAGER)
    started, stopped = asyncio.Event(), asyncio.Event()

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    serving = asyncio.create_task(worker.serve())
    await started.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert stopped.is_set()
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not {name for name in names if name.startswith("uwfq")}


def never_ending(worker: Worker) -> asyncio.Event:
    """Have the worker's tasks go on for ever; set when the first has begun."""
    begun = asyncio.Event()

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        begun.set()
        await asyncio.Event().wait()

    return begun


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_a_block_that_is_broken_off_does_not_wait_for_what_runs(
    service: FakeService, error: type[BaseException]
) -> None:
    """Nobody would see the error, and no time-out would end the block, while a task goes on."""
    service.add_job("j", 2)
    worker = Worker(service.target, slots=1, prefetch=1, retry=EAGER)
    begun = never_ending(worker)

    async def block() -> None:
        async with worker:
            await begun.wait()
            raise error

    leaving = asyncio.create_task(block())
    assert await asyncio.wait([leaving], timeout=10) == ({leaving}, set())
    with pytest.raises(error):
        await leaving
    (result,) = service.results.values()
    assert result.failure.retryable
    assert service.left == {worker.worker_id: 1}


async def test_whoever_does_not_wait_for_a_graceful_stop_leaves_no_worker_behind(
    service: FakeService,
) -> None:
    """Its tasks would run on, where nobody hears how it ends."""
    service.add_job("j", 1)
    worker = Worker(service.target, slots=1, retry=EAGER)
    begun = never_ending(worker)

    async def block() -> None:
        async with worker:
            await begun.wait()

    leaving = asyncio.create_task(block())
    await service.until(lambda: service.leases)
    while not worker.stopping:  # noqa: ASYNC110  # Nothing tells of it.
        await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not {name for name in names if name.startswith("uwfq")}


async def test_a_signal_drains_and_a_second_one_gives_up(service: FakeService) -> None:
    """SIGTERM lets the worker finish; whoever is in a hurry sends another."""
    service.add_job("j", 1)
    started = asyncio.Event()
    worker = Worker(service.target, slots=1, retry=EAGER)

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        started.set()
        await asyncio.Event().wait()

    serving = asyncio.create_task(worker.serve(signals=True))
    await started.wait()
    polls = len(service.requests["NextTask"])
    os.kill(os.getpid(), signal.SIGTERM)
    # Draining: the poll that was parked, if any, is called off; the handler goes on.
    while not worker.stopping:  # noqa: ASYNC110  # The signal is heard in a turn of the loop.
        await asyncio.sleep(0)
    assert not serving.done()
    assert not service.results
    os.kill(os.getpid(), signal.SIGINT)
    await serving
    assert "stopped" in service.results[1].failure.message
    assert len(service.requests["NextTask"]) <= polls + 1


async def test_the_blocking_run_ends_by_request_from_another_thread(service: FakeService) -> None:
    """``request_stop`` may come from anywhere, even before ``serve``."""
    worker = Worker(service.target, slots=1, retry=EAGER)
    worker.handler("noop")(nothing)
    worker.request_stop()
    await worker.serve()
    serving = asyncio.create_task(worker.serve())
    await service.until(lambda: service.requests["NextTask"])
    await asyncio.to_thread(worker.request_stop)
    await serving


async def test_a_stop_that_comes_before_serve_is_heard(service: FakeService) -> None:
    """As where a task was made of ``serve``, and has not begun; it would serve for ever."""
    worker = Worker(service.target, slots=1, retry=EAGER)
    worker.handler("noop")(nothing)
    serving = asyncio.create_task(worker.serve())
    await worker.stop()
    await asyncio.wait_for(serving, 10)
    assert not service.requests["NextTask"]
    await worker.stop()  # It has ended: there is nothing to stop, and it may serve again.
    async with worker:
        await service.until(lambda: service.requests["NextTask"])


async def test_a_worker_may_serve_in_one_event_loop_after_another(service: FakeService) -> None:
    """Each ``asyncio.run`` has a loop of its own."""
    worker = Worker(service.target, slots=1, retry=EAGER)
    worker.handler("noop")(nothing)

    async def serve() -> None:
        async with worker:
            while not worker.stats.polls:  # noqa: ASYNC110  # Nothing tells of a poll.
                await asyncio.sleep(0.01)

    for _ in range(2):
        await asyncio.to_thread(asyncio.run, serve())


async def test_a_worker_may_be_stopped_from_another_event_loop(
    service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever stops it need not be where it serves; and may lose patience."""
    service.add_job("j", 1)
    started, go = asyncio.Event(), asyncio.Event()
    worker = Worker(service.target, slots=1, retry=EAGER)

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        started.set()
        await go.wait()

    serving = asyncio.create_task(worker.serve())
    await started.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.stop(), 0.01)
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(lambda: asyncio.run(asyncio.wait_for(worker.stop(), 0.01)))
    stopping = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(worker.stop())))
    go.set()
    await asyncio.wait_for(stopping, 10)
    await serving
    assert len(service.results) == 1
    assert not [each for each in caplog.records if each.name == "concurrent.futures"]


async def test_a_stop_while_it_begins_to_serve_again_is_heard(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the round before, whose event loop is closed."""
    worker = Worker(service.target, slots=1, retry=EAGER)
    worker.handler("noop")(nothing)

    class Late(Session):
        def __init__(self, *arguments: Any) -> None:
            worker.request_stop()
            super().__init__(*arguments)

    worker.request_stop()
    await asyncio.to_thread(lambda: asyncio.run(worker.serve()))
    monkeypatch.setattr("uwfq_client.worker.Session", Late)
    await worker.serve()
