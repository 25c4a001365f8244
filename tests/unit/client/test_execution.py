"""Running one handler, and how its end is told."""

from __future__ import annotations

import asyncio
import functools
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwfq_client import InputRange, Measurement, PermanentFailure, Task
from uwfq_client.execution import (
    Outcome,
    is_coroutine_handler,
    run_coroutine,
    run_handler,
    task_result,
)


def test_a_return_is_a_success_with_what_was_measured() -> None:
    """None measures nothing; a Measurement is sent as far as it is given."""
    assert run_handler(lambda _: None, Task()).failure is None
    outcome = run_handler(lambda _: Measurement(rows=3), Task())
    result = task_result(7, 2, outcome)
    assert (result.lease_id, result.attempt) == (7, 2)
    assert result.success.rows == 3
    assert not result.success.HasField("input_bytes")
    assert result.success.runtime_seconds >= 0


@pytest.mark.parametrize(
    ("error", "message", "retryable"),
    [
        (ValueError("bad"), "ValueError: bad", True),
        (PermanentFailure("no such column"), "no such column", False),
        (SystemExit(3), "SystemExit: 3", True),
        (GeneratorExit(), "GeneratorExit: ", True),
        (pytest.fail.Exception("odd"), "Failed: odd", True),
    ],
)
def test_an_exception_is_a_failure(error: BaseException, message: str, retryable: bool) -> None:
    """Even one that is no Exception: a handler must not end its worker, nor keep its slot."""

    def handler(task: Task) -> None:
        raise error

    async def coroutine(task: Task) -> None:
        raise error

    for outcome in (
        run_handler(handler, Task()),
        asyncio.run(run_coroutine(coroutine, Task())),
    ):
        assert (outcome.failure, outcome.retryable) == (message, retryable)
        assert "Traceback" in outcome.trace


def test_the_cancellation_of_something_else_is_a_failure_of_a_blocking_handler() -> None:
    """It comes out of ``asyncio.run``, say, when what the handler waits for was cancelled."""

    async def wait_for_a_cancelled_task() -> None:
        task = asyncio.create_task(asyncio.sleep(1))
        task.cancel()
        await task

    outcome = run_handler(lambda _: asyncio.run(wait_for_a_cancelled_task()), Task())
    assert outcome.failure is not None
    assert outcome.failure.startswith("CancelledError")
    assert outcome.retryable


def test_a_wrong_return_is_said_at_once() -> None:
    """A handler that returns rows instead of a Measurement has a bug that no retry mends."""
    outcome = run_handler(lambda _: 12, Task())  # type: ignore[arg-type, return-value]
    assert outcome.failure is not None
    assert "returned int" in outcome.failure
    assert not outcome.retryable


@pytest.mark.parametrize("value", [-1, 1 << 64, 1.5, 3.0, "3", float("nan"), [3], True])
@pytest.mark.parametrize("name", ["input_bytes", "rows"])
def test_a_measurement_that_cannot_be_reported_fails_the_task(name: str, value: Any) -> None:
    """For good, and with the field's name: the next attempt would measure the same."""

    def handler(task: Task) -> Measurement:
        return Measurement(**{name: value})

    async def coroutine(task: Task) -> Measurement:
        return Measurement(**{name: value})

    for outcome in (
        run_handler(handler, Task()),
        asyncio.run(run_coroutine(coroutine, Task())),
    ):
        assert outcome.failure is not None
        assert f"{name}={value!r}" in outcome.failure
        assert not outcome.retryable
        assert task_result(1, 1, outcome).HasField("failure")


def test_a_measurement_may_be_as_large_as_the_protocol_carries() -> None:
    """And of any type of whole numbers, such as numpy's."""

    class Whole:
        def __index__(self) -> int:
            return 7

    measured: Any = Whole()
    outcome = run_handler(lambda _: Measurement(input_bytes=(1 << 64) - 1, rows=measured), Task())
    success = task_result(1, 1, outcome).success
    assert (success.input_bytes, success.rows) == ((1 << 64) - 1, 7)


def test_an_exception_without_a_text_is_a_failure_like_any_other() -> None:
    """Its class is the handler's own, and may be broken."""

    class Silent(Exception):
        def __str__(self) -> str:
            raise ValueError

    def handler(task: Task) -> None:
        raise Silent

    outcome = run_handler(handler, Task())
    assert outcome.failure == "Silent: (its text cannot be had)"
    assert outcome.retryable


@given(st.text(max_size=3000))
def test_messages_are_cut_to_what_the_service_keeps(text: str) -> None:
    """At most 4 KiB, and still a text."""
    message = task_result(1, 1, Outcome(0.0, failure=text)).failure.message
    assert len(message.encode()) <= 4096
    assert text.startswith(message)


def test_a_message_may_hold_anything() -> None:
    """File names bring surrogates, which no protobuf text may hold."""
    assert task_result(1, 1, Outcome(0.0, failure="a\udcffb")).failure.message == "a?b"


def test_coroutine_handlers_are_told_apart() -> None:
    """Functions, partials and callable objects, of either kind."""

    async def coroutine(task: Task, extra: int = 0) -> None: ...
    def function(task: Task, extra: int = 0) -> None: ...

    class AsyncObject:
        async def __call__(self, task: Task) -> None: ...

    class Object:
        def __call__(self, task: Task) -> None: ...

    assert is_coroutine_handler(coroutine)
    assert is_coroutine_handler(functools.partial(coroutine, extra=1))
    assert is_coroutine_handler(AsyncObject())
    assert not is_coroutine_handler(function)
    assert not is_coroutine_handler(functools.partial(function, extra=1))
    assert not is_coroutine_handler(Object())


def test_a_task_travels_to_another_process() -> None:
    """With all its fields, but without the event that could not reach it there."""
    task = Task(
        job_id="j", labels={"a": "b"}, range=InputRange(0, 1, 2, 3), cancelled=threading.Event()
    )
    copy = pickle.loads(pickle.dumps(task))
    assert copy == task
    assert not copy.cancelled.is_set()


def test_nobody_can_cancel_a_task_without_an_event_of_its_own() -> None:
    """It is shared by all of them."""
    with pytest.raises(RuntimeError):
        Task().cancelled.set()


class Exits(Exception):
    """Its text ends the program, unless somebody is in the way."""

    def __str__(self) -> str:
        raise SystemExit(3)


async def test_the_text_of_a_failure_cannot_end_the_worker() -> None:
    """Not even by what ends an event loop."""

    def blocking(task: Task) -> None:
        raise Exits

    async def coroutine(task: Task) -> None:
        raise Exits

    for outcome in (run_handler(blocking, Task()), await run_coroutine(coroutine, Task())):
        assert outcome.failure == "Exits: (its text cannot be had)"
        assert outcome.retryable
