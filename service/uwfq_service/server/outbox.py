"""The outbox: replies that wait for the disk.

    hold(events, replies) -> journal.append ... on_durable(n) -> replies up to n leave, in order

Everything that is held comes with the number of the last event that it may rest on.  That goes for
replies of commands that decided nothing, for refusals and for reads, too: a crash may still undo
what they rest on.  Observers (logs, metrics, watchers) hear of events when the replies leave.

One batch is with the journal at a time; while it syncs, the next one gathers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from uwfq_service.core.errors import SchedulerError
from uwfq_service.core.events import AnyEvent
from uwfq_service.store.journal import Journal

#: Told of events once they are on disk, in order.
Observer = Callable[[Sequence[AnyEvent]], None]

#: A reply or a refusal on its way out.
Decided = tuple[asyncio.Future[Any], Any, SchedulerError | None]


class Batch:
    """What was decided together: events for the journal, replies that wait for them."""

    __slots__ = ("decided", "events")

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.decided: list[Decided] = []


def told(refusal: SchedulerError) -> SchedulerError:
    """A refusal as it is to be held: without the frames that it has passed.

    They lead to the batch and back to the refusal, a circle that would keep the command in memory
    until the garbage collector comes by.
    """
    return refusal.with_traceback(None)


class Outbox:
    """See the module's picture.

    ``shared`` is told how many replies share a write, when it begins; ``broken`` is called at most
    once, when the journal fails.
    """

    def __init__(
        self,
        journal: Journal,
        observers: Sequence[Observer],
        shared: Callable[[int], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._journal = journal
        self._observers = tuple(observers)
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._closed = self._dismissed = False
        #: (sequence that it needs, replies, events to tell of), in order.
        self._held: deque[tuple[int, list[Decided], Sequence[AnyEvent]]] = deque()
        #: Replies that are held.
        self.load = 0
        #: Number of the last event that was decided, and of the last that the journal was given.
        self.sequence = self._appended = journal.durable
        #: Events that the journal was not given yet, and the replies that will share their write.
        self._gathered: list[AnyEvent] = []
        self._sharing = 0
        #: Those who wait for the outbox to be empty, and for anything to happen.
        self._settlers: dict[asyncio.Future[None], None] = {}
        self._change_waiters: dict[asyncio.Future[None], None] = {}
        journal.on_durable = self._on_durable
        journal.on_failure = broken

    # -- in ----------------------------------------------------------------------------------------

    def hold(self, events: Sequence[AnyEvent], decided: list[Decided]) -> None:
        """Take in what was decided; replies leave when it is on disk, at once if it is."""
        if events:
            self.sequence += len(events)
            self._gathered += events
            self._sharing += len(decided)
            self.load += len(decided)
            self._held.append((self.sequence, decided, events))
            self._write()
        elif decided:
            self.load += len(decided)
            if self._journal.durable >= self.sequence:
                self._release(decided, events)
            else:
                self._sharing += len(decided)
                self._held.append((self.sequence, decided, events))

    async def passes(self) -> None:
        """Return when all that was decided so far is on disk."""
        if self._journal.durable < self.sequence:
            future = self._loop.create_future()
            self.hold((), [(future, None, None)])
            await future

    # -- to disk -----------------------------------------------------------------------------------

    def _write(self) -> None:
        """Give the journal what has gathered, unless it is busy."""
        if self._gathered and self._journal.durable >= self._appended:
            self.flush()

    def flush(self) -> None:
        """Give the journal what has gathered, even if it is busy."""
        if self._gathered and not self._closed:
            self._shared(self._sharing)
            self._sharing = 0
            events, self._gathered = self._gathered, []
            self._appended = self._journal.append(events)
            assert self._appended == self.sequence, "the journal numbers events without gaps"

    # -- out ---------------------------------------------------------------------------------------

    def _on_durable(self, sequence: int) -> None:
        if self._closed:
            return
        held = self._held
        while held and held[0][0] <= sequence:
            _, decided, events = held.popleft()
            self._release(decided, events)
        if self._gathered:
            self._write()
        elif not held:
            _wake(self._settlers)

    def _release(self, decided: list[Decided], events: Sequence[AnyEvent]) -> None:
        self.load -= len(decided)
        for future, reply, refusal in decided:
            if future.done():
                continue
            if refusal is None:
                future.set_result(reply)
            else:
                future.set_exception(refusal)
        if events:
            _wake(self._change_waiters)
            for observer in self._observers:
                self._tell(observer, events)

    def _tell(self, observer: Observer, events: Sequence[AnyEvent]) -> None:
        """Whatever befalls a log line, what was decided stands."""
        try:
            observer(events)
        except Exception as error:  # noqa: BLE001 - as above.
            self._loop.call_exception_handler(
                {"message": "an observer of events failed", "exception": error}
            )

    # -- waiting and ending ------------------------------------------------------------------------

    async def changed_since(self, sequence: int) -> bool:
        """Return True when events after ``sequence`` are on disk, False after ``dismiss``."""
        while self._journal.durable <= sequence:
            if self._dismissed:
                return False
            await self._wait_among(self._change_waiters)
        return True

    async def _wait_among(self, waiters: dict[asyncio.Future[None], None]) -> None:
        """Return when ``waiters`` are woken; one that is cancelled leaves nothing behind."""
        waiter = self._loop.create_future()
        waiters[waiter] = None
        try:
            await waiter
        finally:
            waiters.pop(waiter, None)

    def dismiss(self) -> None:
        """Send those away who wait for changes."""
        self._dismissed = True
        _wake(self._change_waiters)

    async def empty(self) -> None:
        """Return when nothing is held, or when nothing will ever leave."""
        while self._held and not self._closed:
            await self._wait_among(self._settlers)

    def close(self) -> None:
        """Let nothing out any more."""
        self._closed = True
        _wake(self._settlers)
        self.dismiss()


def _wake(waiters: dict[asyncio.Future[None], None]) -> None:
    """Let all go, those who have lost interest aside."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()
