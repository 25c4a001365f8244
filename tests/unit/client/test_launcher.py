"""How what runs handlers is released."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.client_handlers import interrupt_itself
from uwfq.v1 import types_pb2
from uwfq_client import Task
from uwfq_client.execution import ExecutorKind
from uwfq_client.launcher import Launcher
from uwfq_client.ledger import Ledger


async def test_a_handler_that_was_interrupted_may_clean_up_while_its_worker_closes() -> None:
    """It is asked to stop once: a second time would end its cleaning up half-way."""
    begun, asked, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    cleaned = False

    async def handle(task: Task) -> None:
        nonlocal cleaned
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            asked.set()
            await go.wait()
            cleaned = True

    ledger = Ledger(slots=1, prefetch=0)
    launcher = Launcher(ledger, {None: handle}, "thread", lambda: None)
    ledger.grant([types_pb2.TaskLease(lease_id=1, slots=1, attempt=1)], now=0.0)
    launcher.launch()
    await begun.wait()
    launcher.give_up("the worker was stopped")
    await asked.wait()
    closing = asyncio.create_task(launcher.close())
    await asyncio.sleep(0)
    go.set()
    await closing
    assert cleaned


@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_an_interrupt_in_an_executor_fails_its_attempt_only(executor: ExecutorKind) -> None:
    """It cannot be the worker's Ctrl-C, and an attempt without an end would keep its slot."""
    ended = asyncio.Event()
    ledger = Ledger(slots=1, prefetch=0)
    launcher = Launcher(ledger, {None: interrupt_itself}, executor, ended.set)
    ledger.grant([types_pb2.TaskLease(lease_id=1, slots=1, attempt=1)], now=0.0)
    launcher.launch()
    await ended.wait()
    (result,) = ledger.take_results()
    assert result.failure.message == "KeyboardInterrupt: no"
    assert result.failure.retryable
    await launcher.close()


async def test_a_thread_that_was_told_to_stop_has_failed_for_that_reason() -> None:
    """How its handler puts it says less to whoever reads why the job has failed."""
    ended = asyncio.Event()

    def handle(task: Task) -> None:
        task.cancelled.wait(20)
        raise RuntimeError("stopped")

    ledger = Ledger(slots=1, prefetch=0)
    launcher = Launcher(ledger, {None: handle}, "thread", ended.set)
    lease = types_pb2.TaskLease(lease_id=1, slots=1, attempt=1, time_limit_seconds=0.01)
    ledger.grant([lease], now=0.0)
    launcher.launch()
    await ended.wait()
    (result,) = ledger.take_results()
    assert result.failure.message == "it ran longer than its limit of 0.01 s: RuntimeError: stopped"
    await launcher.close()
