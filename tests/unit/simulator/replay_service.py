"""A service without a network and an event loop without waiting, for tests of the replay.

The loop's clock jumps to the next timer whenever nothing is left to do, so an hour passes in no
time, and the same test sees the same instants every time.  The service is the real engine with the
real handlers behind the real client; in between, messages are handed over instead of sent.
"""

# ruff: noqa: ASYNC109  # The time-outs are the client's.

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

from uwfq_client import Client, NotFound, RetryPolicy, Task, Unavailable
from uwfq_service.core import commands as cmd
from uwfq_service.core.errors import SchedulerError
from uwfq_service.core.model import Lease
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Limits, Settings
from uwfq_service.server.admin_rpc import AdminRpc
from uwfq_service.server.config_keys import Serving
from uwfq_service.server.engine import Engine
from uwfq_service.server.scheduler_rpc import SchedulerRpc
from uwfq_service.store.memory import MemoryJournal

T = TypeVar("T")

#: When the clock of a loop shows 0, seconds.
EPOCH = 1_700_000_000.0


class JumpingSelector(selectors.SelectSelector):
    """Never waits: where it should, the clock goes on by as much."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits, and nothing will ever happen"
            self.now += max(timeout, 0.0)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def in_no_time(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a loop whose clock jumps."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(coroutine)


class LoopClock:
    """The service's clock, by the loop's."""

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time()

    def call_at(self, when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_at(when - EPOCH, callback)


class _Names:
    """A stub whose methods are their names."""

    def __getattr__(self, name: str) -> str:
        return name


class HandedOver:
    """A ``Transport`` that calls the handlers of a service."""

    def __init__(self, service: FakeService) -> None:
        self._service = service
        self.scheduler = self.admin = cast(Any, _Names())

    async def unary(self, method: Any, request: Any, timeout: float | None) -> Any:
        # As if it took a moment to arrive: nothing happens before the caller has let go.
        await asyncio.sleep(0)
        if self._service.gone:
            raise Unavailable("Connection refused")
        name = "".join(f"_{each.lower()}" if each.isupper() else each for each in method)
        try:
            return await self._service.handler(name.lstrip("_"))(request, cast(Any, None))
        except SchedulerError as error:
            raise NotFound(str(error)) from error

    def stream(self, method: Any, request: Any, timeout: float | None) -> AsyncGenerator[Any, None]:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def aclose(self) -> None:
        pass


class FakeService:
    """A service in this process.  Make it with ``serving``."""

    def __init__(self, engine: Engine, scheduler: Scheduler) -> None:
        self.engine = engine
        self.scheduler = scheduler
        #: Whether it has gone away and answers nobody.
        self.gone = False
        self._rpcs = (SchedulerRpc(engine, LoopClock(), Serving(), Limits()), AdminRpc(engine))

    def handler(self, name: str) -> Callable[[Any, Any], Awaitable[Any]]:
        """What handles a method."""
        (found,) = (getattr(rpc, name) for rpc in self._rpcs if hasattr(rpc, name))
        return cast(Callable[[Any, Any], Awaitable[Any]], found)

    def client(self) -> Client:
        """A client that is connected to it."""
        client = Client("nowhere", retry=RetryPolicy(max_attempts=1))
        client._transport = HandedOver(self)
        return client

    def make_worker(
        self, slots: int, handlers: Mapping[str, Callable[[Task], Awaitable[None]]]
    ) -> FakeWorker:
        """A worker that serves it."""
        return FakeWorker(self.engine, slots, dict(handlers))

    def weights(self) -> dict[str, float]:
        """Of its users."""
        users = self.scheduler.pools["default"].users.values()
        return {user.name: user.weight / 1e6 for user in users}

    def workers(self) -> set[str]:
        """Those that it counts, by name."""
        return set(self.scheduler.pools["default"].workers)

    def unfinished(self) -> int:
        """Jobs that have not ended."""
        return self.scheduler.pools["default"].unfinished_jobs


@asynccontextmanager
async def serving(
    *, policy: str = "uwfq", fixed_slots: int | None = None, **settings: Any
) -> AsyncIterator[FakeService]:
    """A service with one pool, for the length of the block."""
    # Nobody renews leases here.
    patient: dict[str, Any] = {"lease_seconds": 1e8, "worker_timeout": 1e8}
    scheduler = Scheduler(Settings(**(patient | settings)))
    journal = MemoryJournal(asyncio.get_running_loop())

    def fail(error: BaseException) -> None:
        raise error

    engine = Engine(scheduler, journal, LoopClock(), on_fatal=fail)
    engine.start()
    await engine.call(cmd.ConfigurePool(pool="default", policy=policy, fixed_slots=fixed_slots))
    yield FakeService(engine, scheduler)
    engine.close()


class FakeWorker:
    """Asks whenever it has a free slot and something has changed."""

    _number = 0

    def __init__(
        self, engine: Engine, slots: int, handlers: dict[str, Callable[[Task], Awaitable[None]]]
    ) -> None:
        FakeWorker._number += 1
        self._name = f"worker-{FakeWorker._number}"
        self._engine = engine
        self._slots = self._free = slots
        self._handlers = handlers
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._gone = asyncio.Event()
        self._gone.set()

    async def serve(self) -> None:
        """See ``Serving``."""
        self._gone.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                while not self._stopping.is_set():
                    sequence = self._engine.sequence
                    await self._fill(tasks)
                    await self._until_something_happens(sequence)
            await self._engine.poll(
                cmd.NextTask(worker_id=self._name, slots=self._slots, free_slots=0, leaving=True)
            )
        finally:
            self._gone.set()

    async def stop(self, grace_seconds: float | None = None) -> None:
        """See ``Serving``; whatever the grace is, what runs is given up at its beginning."""
        self._stopping.set()
        if grace_seconds is not None:
            for task in self._running:
                task.cancel()
        await self._gone.wait()

    async def _fill(self, tasks: asyncio.TaskGroup) -> None:
        self._ended.clear()
        command = cmd.NextTask(worker_id=self._name, slots=self._slots, free_slots=self._free)
        for lease in (await self._engine.poll(command)).leases:
            self._free -= lease.slots
            task = tasks.create_task(self._run(lease))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _until_something_happens(self, sequence: int) -> None:
        waits = [self._stopping.wait(), self._ended.wait()]
        if self._free:
            waits.append(cast(Any, self._engine.changed_since(sequence)))
        waiting = [asyncio.ensure_future(wait) for wait in waits]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _run(self, lease: Lease) -> None:
        began = asyncio.get_running_loop().time()
        job = lease.stage.job
        task = Task(
            job_id=job.job_id, kind=job.kind, stage=lease.stage.name, index=lease.task, payload=b""
        )
        outcome: cmd.TaskSuccess | cmd.TaskFailure
        if handler := self._handlers.get(job.kind):
            await handler(task)
            outcome = cmd.TaskSuccess(runtime=asyncio.get_running_loop().time() - began)
        else:
            outcome = cmd.TaskFailure(message="no handler", retryable=False)
        ref = cmd.TaskRef(lease_id=lease.lease_id, attempt=lease.attempt)
        with contextlib.suppress(asyncio.CancelledError):
            await self._engine.call(
                cmd.TaskDone(
                    worker_id=self._name, results=(cmd.TaskResult(task=ref, outcome=outcome),)
                )
            )
        self._free += lease.slots
        self._ended.set()


def nearly(value: float | None, other: float | None) -> bool:
    """Whether two instants are the same to the microsecond, which is what a timestamp can tell."""
    if value is None or other is None:
        return value is other
    return math.isclose(value, other, rel_tol=1e-6, abs_tol=1e-4)
