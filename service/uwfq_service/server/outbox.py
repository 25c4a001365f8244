"""The outbox: replies that wait for the disk, and when the disk is asked.

    hold(events, replies) -> journal.append ... on_durable(n) -> replies up to n leave, in order

Everything that is held comes with the number of the last event that it may rest on.  That goes for
replies of commands that decided nothing, for refusals and for reads, too: a crash may still undo
what they rest on.  Observers (logs, metrics, watchers) hear of events when the replies leave.

**When to write.**  One batch is with the journal at a time; while it syncs, the next one gathers.
A sync costs the CPU of a call or two, for the writer's thread and the event loop wake each other.
And replies that leave together come back together, which the network code likes, too.  So many
callers better share one.  How many there are is not to be seen: most of their calls are on the way,
or wait for a processor.  So a write waits for a *quorum* of replies, and learns how many that is:

    quorum reached                         write; a little more next time
    half of it, then silence               nobody else is coming: write; a quarter less next time
    less than half, LONGEST_PAUSE is over  write; half of it next time

A quorum of a few is none, so whoever is alone does not wait for others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from uwfq_service.core.errors import SchedulerError
from uwfq_service.core.events import AnyEvent
from uwfq_service.store.journal import Journal

#: Told of events once they are on disk, in order.
Observer = Callable[[Sequence[AnyEvent]], None]

#: A reply or a refusal on its way out.
Decided = tuple[asyncio.Future[Any], Any, SchedulerError | None]

#: No write that has something to carry begins later than this after the one before, seconds.
LONGEST_PAUSE: Final = 0.015
#: Silence has lasted so long, seconds.
SILENCE: Final = 0.0015
#: The smallest quorum that is worth a pause.
SIBLINGS: Final = 4
#: Without a quorum, one is tried after so many writes that nobody waited for.
PROBE_EVERY: Final = 8


class Batch:
    """What was decided together: events for the journal, replies that wait for them."""

    __slots__ = ("decided", "events")

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.decided: list[Decided] = []


class Outbox:
    """See the module's picture.  ``broken`` is called at most once, when the journal fails."""

    def __init__(
        self,
        journal: Journal,
        observers: Sequence[Observer],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._journal = journal
        self._observers = tuple(observers)
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
        #: When the last of them came; when they are written in any case; the timer that looks.
        self._gathered_at = self._write_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: Replies that a write waits for, 0: none; if none, writes since there was one.
        self._quorum = self._unasked = 0
        #: Those who wait for the outbox to be empty, and for anything to happen.
        self._settlers: list[asyncio.Future[None]] = []
        self._change_waiters: list[asyncio.Future[None]] = []
        journal.on_durable = self._on_durable
        journal.on_failure = broken

    # -- in ----------------------------------------------------------------------------------------

    def hold(self, events: Sequence[AnyEvent], decided: list[Decided]) -> None:
        """Take in what was decided; replies leave when it is on disk, at once if it is."""
        if events:
            self.sequence += len(events)
            self._gathered += events
            self._gathered_at = self._loop.time()
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
                if self._gathered:
                    self._write()

    async def passes(self) -> None:
        """Return when all that was decided so far is on disk."""
        if self._journal.durable < self.sequence:
            future = self._loop.create_future()
            self.hold((), [(future, None, None)])
            await future

    # -- to disk -----------------------------------------------------------------------------------

    def _write(self) -> None:
        """Give the journal what has gathered, now or when there is a quorum."""
        if self._journal.durable < self._appended:
            return
        if self._sharing >= self._quorum:
            self._raise_quorum()
            self._write_now()
        elif self._timer is None:
            if self._loop.time() >= self._write_at:
                self._write_now()
            else:
                self._look_later(self._gathered_at + SILENCE)

    def _look_later(self, when: float) -> None:
        self._timer = self._loop.call_at(min(when, self._write_at), self._look)

    def _look(self) -> None:
        """Without a quorum: see whether it is time to write all the same."""
        self._timer = None
        now = self._loop.time()
        silent_at = self._gathered_at + SILENCE
        most_came = 2 * self._sharing >= self._quorum
        if now < self._write_at and not (most_came and now >= silent_at):
            self._look_later(now + SILENCE if now >= silent_at else silent_at)
            return
        if now >= silent_at or not most_came:
            fewer = self._quorum * (3 if most_came else 2) // 4
            self._quorum = fewer if fewer >= SIBLINGS else 0
        self._write_now()

    def _raise_quorum(self) -> None:
        if self._quorum:
            self._quorum = max(1 + self._quorum * 9 // 8, self._sharing // 2)
        else:
            self._unasked += 1
            if self._unasked >= PROBE_EVERY and self._sharing >= SIBLINGS:
                self._quorum = max(SIBLINGS, self._sharing // 2)
                self._unasked = 0

    def _write_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered and not self._closed:
            self._write_at = self._loop.time() + LONGEST_PAUSE
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
            waiter = self._loop.create_future()
            self._change_waiters.append(waiter)
            await waiter
        return True

    def dismiss(self) -> None:
        """Send those away who wait for changes."""
        self._dismissed = True
        _wake(self._change_waiters)

    async def empty(self) -> None:
        """Return when nothing is held, or when nothing will ever leave."""
        while self._held and not self._closed:
            waiter = self._loop.create_future()
            self._settlers.append(waiter)
            await waiter

    def flush(self) -> None:
        """Give the journal what has gathered, without waiting for its time."""
        self._write_now()

    def close(self) -> None:
        """Let nothing out any more."""
        self._closed = True
        _wake(self._settlers)
        self.dismiss()


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    """Let all go, those who have lost interest aside."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()
