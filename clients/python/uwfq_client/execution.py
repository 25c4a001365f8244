"""Running a handler once, and what came of it.

A handler's return, its exceptions and its runtime are turned into an ``Outcome`` right where it
runs (thread, process or event loop), so that the runtime is the handler's own and nothing that
cannot be pickled has to travel.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import inspect
import multiprocessing
import operator
import signal
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Final, Literal, cast

from uwfq.v1 import types_pb2
from uwfq_client.errors import PermanentFailure
from uwfq_client.types import Measurement, Task

BlockingHandler = Callable[[Task], Measurement | None]
CoroutineHandler = Callable[[Task], Awaitable[Measurement | None]]

#: Called once per attempt; a coroutine function runs on the event loop, any other in the executor.
Handler = BlockingHandler | CoroutineHandler

#: Where blocking handlers run.
ExecutorKind = Literal["thread", "process", "inline"]

#: What the service keeps of a failure's message, bytes.
_MESSAGE_BYTES: Final = 4096

#: The largest number that can be reported; the service takes all that the protocol carries.
_MOST_MEASURED: Final = (1 << 64) - 1


@dataclasses.dataclass(slots=True)
class Outcome:
    """How one attempt ended."""

    runtime_seconds: float
    measurement: Measurement | None = None
    #: Why it failed; ``None``: it succeeded.
    failure: str | None = None
    retryable: bool = True
    #: The handler's traceback, for the worker's log.
    trace: str = ""


def run_handler(handler: BlockingHandler, task: Task) -> Outcome:
    """Call a blocking handler.  Raises nothing that the handler raises, but ``KeyboardInterrupt``.

    An attempt without an outcome would keep its slot, and its lease, for ever.
    """
    began = time.perf_counter()
    try:
        measurement = handler(task)
    except KeyboardInterrupt:
        raise  # Of an inline handler it is the worker's Ctrl-C.
    except BaseException as error:  # noqa: BLE001  # Whatever it raises is its outcome.
        return _failed(error, time.perf_counter() - began)
    return _succeeded(measurement, time.perf_counter() - began)


async def run_coroutine(handler: CoroutineHandler, task: Task) -> Outcome:
    """Await a coroutine handler.  Lets its cancellation pass, and ``KeyboardInterrupt``."""
    began = time.perf_counter()
    try:
        measurement = await handler(task)
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001  # Whatever it raises is its outcome.
        return _failed(error, time.perf_counter() - began)
    return _succeeded(measurement, time.perf_counter() - began)


def _succeeded(measurement: object, runtime: float) -> Outcome:
    """A success, unless what was measured could not be reported: a bug that no retry mends."""
    if measurement is None:
        return Outcome(runtime)
    if not isinstance(measurement, Measurement):
        returned = type(measurement).__name__
        fault = f"the handler returned {returned}, not Measurement or None"
        return Outcome(runtime, failure=fault, retryable=False)
    for name, value in (("input_bytes", measurement.input_bytes), ("rows", measurement.rows)):
        if not _is_measured(value):
            fault = f"the handler measured {name}={value!r}, not a whole number from 0 to 2^64-1"
            return Outcome(runtime, failure=fault, retryable=False)
    return Outcome(runtime, measurement)


def _is_measured(value: object) -> bool:
    if value is None:
        return True
    if isinstance(value, bool):
        return False  # It is a whole number to Python, and none to protobuf.
    try:
        # As protobuf does: numpy's whole numbers are welcome, too.
        return 0 <= operator.index(value) <= _MOST_MEASURED  # type: ignore[arg-type]
    except TypeError:
        return False


def _failed(error: BaseException, runtime: float) -> Outcome:
    permanent = isinstance(error, PermanentFailure)
    try:
        text, trace = str(error), "".join(traceback.format_exception(error))
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # It is the handler's own class, and may do anything.
        text, trace = "(its text cannot be had)", ""
    # The text of our own exception is the message; of others, the type says half of it.
    text = text if permanent else f"{type(error).__name__}: {text}"
    return Outcome(
        runtime,
        failure=text,
        retryable=not permanent,
        trace=trace,
    )


def is_coroutine_handler(handler: Handler) -> bool:
    """Whether it runs on the event loop."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004  # An object may have an async __call__.
    )


def task_result(lease_id: int, attempt: int, outcome: Outcome) -> types_pb2.TaskResult:
    """What is reported to the service."""
    if outcome.failure is not None:
        return types_pb2.TaskResult(
            lease_id=lease_id,
            attempt=attempt,
            failure=types_pb2.TaskFailure(
                message=_cut(outcome.failure),
                retryable=outcome.retryable,
                runtime_seconds=outcome.runtime_seconds,
            ),
        )
    measured = outcome.measurement
    return types_pb2.TaskResult(
        lease_id=lease_id,
        attempt=attempt,
        success=types_pb2.TaskSuccess(
            runtime_seconds=outcome.runtime_seconds,
            input_bytes=measured.input_bytes if measured is not None else None,
            rows=measured.rows if measured is not None else None,
        ),
    )


def _cut(text: str) -> str:
    """At most what the service keeps, without half a character at the end."""
    # Surrogates (from file names) are no valid protobuf text.
    return text.encode("utf-8", "replace")[:_MESSAGE_BYTES].decode("utf-8", "ignore")


def make_executor(kind: ExecutorKind, slots: int) -> concurrent.futures.Executor | None:
    """The executor for blocking handlers; ``None``: they run inline."""
    if kind == "inline":
        return None
    if kind == "thread":
        return concurrent.futures.ThreadPoolExecutor(slots, thread_name_prefix="uwfq-task")
    return concurrent.futures.ProcessPoolExecutor(
        slots,
        # A forked child would inherit gRPC's threads' locks, but not the threads.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_leave_interrupts_to_the_worker,
    )


def _leave_interrupts_to_the_worker() -> None:
    """Ctrl-C reaches every process of a terminal; the worker decides what becomes of the tasks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def blocking(handler: Handler) -> BlockingHandler:
    """The same, typed as what ``is_coroutine_handler`` has found it to be."""
    return cast(BlockingHandler, handler)


def awaitable(handler: Handler) -> CoroutineHandler:
    """The same, typed as what ``is_coroutine_handler`` has found it to be."""
    return cast(CoroutineHandler, handler)
