"""Pace: how many calls are worth waiting for, before they are decided and written together.

A write costs the CPU of a call or two, for the writer's thread and the event loop wake each other.
Deciding call by call has its price as well, and replies that leave together come back together,
which the network code likes.  So many callers better share one turn.  How many there are is not to
be seen: most of their calls are on the way, or wait for a processor.  So a turn waits for a
*quorum* of calls, and learns how many that is:

    quorum reached                         go; a little more next time
    half of it, then silence               nobody else is coming: go; half of it next time
    less than half, LONGEST_PAUSE is over  go; half of it next time

With half of the callers in a quorum, the others keep the processor busy while those wait for the
disk; so it swings between half of them and all.

A quorum of a few is none, so whoever is alone does not wait for others.  Without one, calls share a
write only as far as they come while the one before is under way; when several do, a quorum is
tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

#: No call waits for others longer than this after the turn before, seconds.
LONGEST_PAUSE: Final = 0.015
#: Silence has lasted so long, seconds.
SILENCE: Final = 0.0015
#: The smallest quorum that is worth a pause.
SIBLINGS: Final = 4
#: Without a quorum, one is tried after so many writes that nobody waited for.
PROBE_EVERY: Final = 8


class Pace:
    """``go`` is called, without delay or later, when it is time for what has gathered."""

    def __init__(self, go: Callable[[], None]) -> None:
        self._go = go
        self._loop = asyncio.get_running_loop()
        #: Calls that a turn waits for, 0: none; if none, writes since there was one.
        self.quorum = 0
        self._unasked = 0
        #: Calls that have gathered, when the last of them came, and when they waited enough.
        self._waiting = 0
        self._came_at = self._go_by = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def came(self, waiting: int) -> None:
        """A call has come; with it so many wait."""
        quorum = self.quorum
        if waiting >= quorum:
            self._go()
            return
        now = self._came_at = self._loop.time()
        self._waiting = waiting
        if self._timer is None:
            if now >= self._go_by:
                self._go()
            else:
                self._look_later()
        elif waiting == (quorum + 1) // 2:
            # From here on silence counts.
            self._timer.cancel()
            self._look_later()

    def gone(self, together: int) -> None:
        """So many calls are being decided."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.quorum and together:
            if together >= self.quorum:
                self.quorum = max(1 + self.quorum * 9 // 8, together // 2)
            self._go_by = self._loop.time() + LONGEST_PAUSE

    def shared(self, replies: int) -> None:
        """So many replies share a write."""
        if not self.quorum:
            self._unasked += 1
            if self._unasked >= PROBE_EVERY and replies >= SIBLINGS:
                self._unasked = 0
                self.quorum = max(SIBLINGS, replies // 2)
                self._go_by = self._loop.time() + LONGEST_PAUSE

    @property
    def _most_came(self) -> bool:
        return 2 * self._waiting >= self.quorum

    def _look_later(self) -> None:
        when = self._go_by
        if self._most_came:
            when = min(when, self._came_at + SILENCE)
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        """There is no quorum: see whether it is time all the same."""
        self._timer = None
        now = self._loop.time()
        silent = now >= self._came_at + SILENCE
        if now < self._go_by and not (silent and self._most_came):
            self._look_later()
            return
        if silent or not self._most_came:
            self.quorum //= 2
            if self.quorum < SIBLINGS:
                self.quorum = 0
        self._go()
