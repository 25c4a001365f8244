"""Starts attempts in the slots of a worker, and brings their outcomes home.

Three ways to run a handler: a coroutine as a task of the event loop; a blocking function in an
executor; or *inline*, a blocking function on the loop itself, which costs next to nothing per task
and is right for handlers of a millisecond.  Everything here happens on the loop's thread, but for
``_from_executor``.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Iterable, Mapping

from uwfq_client.execution import (
    BlockingHandler,
    CoroutineHandler,
    ExecutorKind,
    Handler,
    Outcome,
    awaitable,
    blocking,
    is_coroutine_handler,
    make_executor,
    run_coroutine,
    run_handler,
)
from uwfq_client.ledger import Attempt, Ledger

log = logging.getLogger("uwfq_client")

#: How long inline handlers may keep the loop from its other duties (renewals, signals), seconds,
#: if each of them is shorter than that.
_INLINE_STRETCH = 0.02


class Launcher:
    """Runs what the ledger lets start; calls ``on_change`` once after every batch of endings."""

    def __init__(
        self,
        ledger: Ledger,
        handlers: Mapping[str | None, Handler],
        executor: ExecutorKind | concurrent.futures.Executor,
        on_change: Callable[[], None],
    ) -> None:
        self.succeeded = 0
        self.failed = 0
        self._ledger = ledger
        #: By kind (``None``: any other), whether it is a coroutine function, and the handler.
        self._handlers = {
            kind: (is_coroutine_handler(handler), handler) for kind, handler in handlers.items()
        }
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._kind = executor
        self._executor = self._new_executor()
        #: Time limits that are running, by lease.
        self._limits: dict[int, asyncio.TimerHandle] = {}
        #: Coroutines under way.
        self._tasks: set[asyncio.Task[Outcome]] = set()
        #: What threads have left for the loop; one wake-up may bring many.
        self._arrived: collections.deque[
            tuple[Attempt, concurrent.futures.Executor, concurrent.futures.Future[Outcome]]
        ] = collections.deque()
        self._woken = False
        self._again: asyncio.Handle | None = None

    # ------------------------------------------------------------------------------------ starting

    def launch(self) -> None:
        """Start what fits.  Inline handlers run to their end, and what their slots free, too."""
        self._again = None
        ended = False
        began = self._loop.time()
        while (attempt := self._ledger.start(self._loop.time())) is not None:
            ended |= self._start(attempt)
            if ended and self._loop.time() - began > _INLINE_STRETCH:
                # Let the loop look after its other duties, then go on.
                self._again = self._loop.call_soon(self.launch)
                break
        if ended:
            self._on_change()

    def _start(self, attempt: Attempt) -> bool:
        """Start one attempt; whether it has ended already."""
        task = attempt.task
        found = self._handlers.get(task.kind) or self._handlers.get(None)
        if found is None:
            # Another worker of the pool may have a handler: this one may be older, or newer.
            self._end(attempt, Outcome(0.0, failure=f"no handler for kind {task.kind!r}"))
            return True
        is_coroutine, handler = found
        if not is_coroutine and self._executor is None:
            self._end(attempt, run_handler(blocking(handler), task))
            return True
        if is_coroutine:
            self._spawn(awaitable(handler), attempt)
        elif not self._submit(self._executor, blocking(handler), attempt):
            return True
        if (limit := task.time_limit_seconds) is not None:
            self._limits[task.lease_id] = self._loop.call_later(limit, self._overdue, attempt)
        return False

    def _spawn(self, handler: CoroutineHandler, attempt: Attempt) -> None:
        running = self._loop.create_task(run_coroutine(handler, attempt.task))
        self._tasks.add(running)
        attempt.interrupt = running.cancel
        running.add_done_callback(lambda ended: self._coroutine_ended(attempt, ended))

    def _submit(
        self,
        executor: concurrent.futures.Executor | None,
        handler: BlockingHandler,
        attempt: Attempt,
    ) -> bool:
        """Hand an attempt to the executor; False: it would not take it."""
        assert executor is not None, "inline handlers are not submitted"
        attempt.task.cancelled = threading.Event()
        attempt.interrupt = attempt.task.cancelled.set
        try:
            future = executor.submit(run_handler, handler, attempt.task)
        except RuntimeError as error:  # Shut down, or broken: a process of it has died.
            self._end(attempt, self._executor_failed(executor, error))
            return False
        future.add_done_callback(lambda ended: self._from_executor(attempt, executor, ended))
        return True

    # -------------------------------------------------------------------------------------- ending

    def _coroutine_ended(self, attempt: Attempt, running: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(running)
        if running.cancelled():
            runtime = self._loop.time() - attempt.started_at
            reason = attempt.stop_reason or "the handler was cancelled"
            self._end(attempt, Outcome(runtime, failure=reason))
        elif (error := running.exception()) is not None:  # Ctrl-C, which ends the loop as well.
            self._end(attempt, Outcome(0.0, failure=_words(error)))
        else:
            self._end(attempt, running.result())
        self.launch()
        self._on_change()

    def _from_executor(
        self,
        attempt: Attempt,
        executor: concurrent.futures.Executor,
        future: concurrent.futures.Future[Outcome],
    ) -> None:
        """Runs in the executor's thread; wakes the loop unless it is being woken already."""
        self._arrived.append((attempt, executor, future))
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._collect)
            except RuntimeError:
                log.debug("a handler outlived its worker's event loop")

    def _collect(self) -> None:
        # First the flag: what arrives from here on wakes the loop anew, at worst for nothing.
        self._woken = False
        while self._arrived:
            attempt, executor, future = self._arrived.popleft()
            self._end(attempt, self._outcome(executor, future))
        self.launch()
        self._on_change()

    def _outcome(
        self,
        executor: concurrent.futures.Executor,
        future: concurrent.futures.Future[Outcome],
    ) -> Outcome:
        if future.cancelled():
            return Outcome(0.0, failure="the worker stopped before the task began")
        # Asked for, not raised: a KeyboardInterrupt from another thread is not ours to end by.
        error = future.exception()
        # Not the handler's, as a rule: pickling, a dead process.
        return future.result() if error is None else self._executor_failed(executor, error)

    def _executor_failed(
        self, executor: concurrent.futures.Executor, error: BaseException
    ) -> Outcome:
        broken = isinstance(error, concurrent.futures.BrokenExecutor)
        # All tasks of a broken pool end so; the first of them brings the new pool.
        if broken and executor is self._executor and isinstance(self._kind, str):
            executor.shutdown(wait=False)
            self._executor = self._new_executor()
        return Outcome(0.0, failure=_words(error))

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        reason = attempt.stop_reason
        if reason and outcome.failure not in (None, reason) and outcome.retryable:
            # How a handler puts it that it was told to stop says less than why it was.
            outcome.failure = f"{reason}: {outcome.failure}"
        if not self._ledger.finish(attempt, outcome):
            return
        if self._limits and (limit := self._limits.pop(attempt.task.lease_id, None)) is not None:
            limit.cancel()
        if outcome.failure is None:
            self.succeeded += 1
            return
        self.failed += 1
        task = attempt.task
        log.warning(
            "job %s stage %s task %d attempt %d failed: %s%s",
            task.job_id,
            task.stage,
            task.index,
            task.attempt,
            outcome.failure,
            f"\n{outcome.trace}" if outcome.trace else "",
        )

    # ------------------------------------------------------------------------------------ stopping

    def interrupt(self, attempts: Iterable[Attempt]) -> None:
        """Ask running handlers to stop; they end when they do."""
        for attempt in attempts:
            if attempt.interrupt is not None:
                attempt.interrupt()

    def _overdue(self, attempt: Attempt) -> None:
        reason = f"it ran longer than its limit of {attempt.task.time_limit_seconds} s"
        self.interrupt(self._ledger.revoke([attempt.task.lease_id], reason))

    def give_up(self, reason: str) -> None:
        """End what runs as failed (retryable), whether or not its handler can be stopped.

        What has not begun is left to the service: it was no attempt.
        """
        self._ledger.abandon_queue()
        for attempt in self._ledger.held():
            interrupt = attempt.interrupt
            runtime = self._loop.time() - attempt.started_at
            self._end(attempt, Outcome(runtime, failure=reason))
            if interrupt is not None:
                interrupt()
        self._on_change()

    async def close(self) -> None:
        """Release what runs handlers.  Waits for them unless they were given up."""
        if self._again is not None:
            self._again.cancel()
        for task in self._tasks:
            # One that was interrupted before is ending: once more would cut its cleaning up short.
            if not task.cancelling():
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        if self._executor is not None and isinstance(self._kind, str):
            # Idle by now; only a handler that was given up may still run, and is not waited for.
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _new_executor(self) -> concurrent.futures.Executor | None:
        if isinstance(self._kind, concurrent.futures.Executor):
            return self._kind
        return make_executor(self._kind, self._ledger.slots)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
