"""Pace: how far apart turns are, so that many calls are decided and written together.

A turn (decide what waits, write it, answer) has a price beside that of its calls: the writer's
thread and the event loop wake each other and drive each other out of the processor's caches, which
costs as much as a call or two.  So many calls better share one.

Waiting for others is free as long as the event loop has other things to do meanwhile: reading
requests, sending answers.  Once it has time to spare, waiting only makes answers late.  So turns
keep a distance, the *pause*, and learn it from how busy the loop's thread is:

    busy, and several calls share a write   the pause becomes longer, up to LONGEST_PAUSE
    it has time to spare                    shorter, and then none

Few callers have soon all come.  So now and then a turn lets its pause pass and counts the *crowd*;
those after it go when as many have come, for nobody else is to be expected.  If fewer come, the
mean of both is the crowd: a turn that has counted very many takes most of the next pause, and few
come in the rest.  While a turn counts nothing is decided, so most go by the count of one before.  A
call that comes when the pause is over
already goes at once.  Without a pause calls share a write only as far as they come while the one
before is under way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

#: Turns are no further apart than this while calls wait, seconds.
LONGEST_PAUSE: Final = 0.015
#: The shortest pause that is one, seconds: the event loop's timers count milliseconds.
SHORTEST_PAUSE: Final = 0.002
#: The pause is considered anew after this time, seconds.
WINDOW: Final = 0.05
#: The crowd is counted anew after this time, seconds, and when the pause becomes longer.
COUNT_AGAIN: Final = 0.25
#: Part of the time that the loop's thread has a processor for: from here on it is busy, and below
#: this it has time to spare.  Under full load on two cores it has one for 0.64 to 0.85 of the
#: time, since gRPC's threads and its callers want them, too; so these lie below, and apart, lest a
#: pause come and go.
BUSY: Final = 0.6
SPARE: Final = 0.5
#: So many replies must share a write before a pause is tried.
SIBLINGS: Final = 3


class Pace:
    """``go`` is called, at once or later, when it is time for what has gathered."""

    def __init__(
        self, go: Callable[[], None], processor_time: Callable[[], float] = time.thread_time
    ) -> None:
        """``processor_time``: what the loop's thread has used so far, seconds."""
        self._go = go
        self._processor_time = processor_time
        self._loop = asyncio.get_running_loop()
        #: Seconds between turns; 0: none.
        self.pause = 0.0
        #: When the pause is over, and the call that then looks; set while calls wait for that.
        self._over_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: When the window began, and the processor time then.
        self._began = self._loop.time()
        self._used = processor_time()
        #: Calls that are waited for, 0 if they are to be counted anew, and when they were counted.
        self._crowd = 0
        self._counted_at = self._began
        self._passed = False
        #: Writes in this window, and the replies that shared them.
        self._writes = self._replies = 0

    def came(self, waiting: int) -> None:
        """A call has come; with it so many wait."""
        if not self.pause or 0 < self._crowd <= waiting:
            self._go()
        elif self._timer is None:
            if self._loop.time() >= self._over_at:
                self._go()
            else:
                self._timer = self._loop.call_at(self._over_at, self._over)

    def gone(self, together: int) -> None:
        """So many calls are being decided."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if together:
            now = self._loop.time()
            if self._passed:
                self._passed = False
                self._crowd = (self._crowd + together) // 2 if self._crowd else together
                self._counted_at = now
            if now >= self._began + WINDOW:
                self._learn(now)
            self._over_at = now + self.pause

    def shared(self, replies: int) -> None:
        """So many replies share a write."""
        self._writes += 1
        self._replies += replies

    def _over(self) -> None:
        self._timer = None
        self._passed = True
        self._go()

    def _learn(self, now: float) -> None:
        used = self._processor_time()
        busy = (used - self._used) / (now - self._began)
        pause = self.pause
        if busy < SPARE:
            self.pause = self.pause / 2 if self.pause > SHORTEST_PAUSE else 0.0
        elif busy >= BUSY and self._replies >= SIBLINGS * max(self._writes, 1):
            self.pause = min(max(4 * self.pause, SHORTEST_PAUSE), LONGEST_PAUSE)
        if self.pause > pause or now >= self._counted_at + COUNT_AGAIN:
            self._crowd = 0
        self._began, self._used = now, used
        self._writes = self._replies = 0
