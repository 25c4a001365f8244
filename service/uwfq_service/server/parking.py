"""Parked polls: workers that found nothing, and wait on the service for something to run.

They wait per pool in the order of their arrival.  When the pool has something launchable that needs
no more slots than a poll has, that poll is applied again, one after another, for as long as there
is something: so one new task wakes one worker, not five hundred, and one that is too wide for all
of them wakes nobody.  What is launchable may not be granted all the same (its user is close to the
cap); then the turn goes on to the others, a few in each drain, until all have been tried once since
the pool changed last.

A poll whose worker holds a lease that has become void is answered at once, so that the worker can
stop what nobody waits for.

A ranking poll waits for its pool's order to change instead.

A poll whose caller has gone (its future is cancelled) leaves at once: the places are for those who
wait.  Not every caller that has gone is known to have: a connection may break without a word.  But
a worker that polls under the same id again, or under a higher one, says so: its older polls are
ended then, which would otherwise take leases that nobody hears of.  But for those of a moment ago:
two workers that were given one name would go on ending each other's polls as fast as they can ask.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from uwfq_service.core import commands, events, replies
from uwfq_service.core.errors import SchedulerError
from uwfq_service.core.model import JobState
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.server.clock import Clock, Timer
from uwfq_service.server.outbox import Batch, told

#: So long a poll waits, though its worker has sent another one since.
UNTOUCHED_SECONDS: Final = 1.0
#: Polls that may be tried in vain in one drain, for tasks that fit none of them.
MISS_LIMIT: Final = 16


class Call:
    """A command and the future of its reply."""

    __slots__ = ("command", "future")

    def __init__(self, command: commands.Command, future: asyncio.Future[Any]) -> None:
        self.command = command
        self.future = future


class Poll(Call):
    """A NextTask that may be parked."""

    __slots__ = ("deadline", "first", "known_version", "parked_at", "timer")

    command: commands.NextTask

    def __init__(
        self, command: commands.NextTask, future: asyncio.Future[Any], known_version: int
    ) -> None:
        super().__init__(command, future)
        self.known_version = known_version
        #: Since when it waits, when to give up, and the call that then does; set when parked.
        self.parked_at = self.deadline = 0.0
        self.timer: Timer | None = None
        #: The answer that found nothing; its acknowledgements leave with the last one.
        self.first: replies.NextTaskReply | None = None

    def wait_no_longer(self) -> None:
        """Be answered with what there is when it is decided, not parked."""
        self.command = msgspec.structs.replace(self.command, wait=0.0)

    @property
    def slots(self) -> int:
        """The most slots that a lease may take."""
        command = self.command
        return min(command.slots, command.free_slots + command.prefetch)

    def satisfied_by(self, reply: replies.NextTaskReply) -> bool:
        """Whether the reply has something that is not worth waiting longer for."""
        if reply.ranking is not None:
            return reply.ranking.version != self.known_version
        return bool(reply.leases or reply.revoked)

    def answer(self, reply: replies.NextTaskReply) -> replies.NextTaskReply:
        """The reply, with the acknowledgements of what rode along on the first try."""
        first = self.first
        if first is None or not (first.done_acks or first.started_acks):
            return reply
        return msgspec.structs.replace(
            reply, done_acks=first.done_acks, started_acks=first.started_acks
        )


def _revokes(event: events.AnyEvent) -> bool:
    """Whether leases may have become void without a word of their workers."""
    if type(event) is events.JobEnded:
        return event.state != JobState.SUCCEEDED
    return type(event) is events.TaskFailed and event.timed_out


class _Pool:
    """The parked polls of one pool, oldest first."""

    __slots__ = ("lap", "leases", "rankings", "sizes")

    def __init__(self) -> None:
        self.leases: dict[Poll, None] = {}
        self.rankings: dict[Poll, None] = {}
        #: Polls still to be tried since the pool changed last; those tried in vain go to the end.
        self.lap = 0
        #: Slots of the polls for leases -> how many there are of them.
        self.sizes: Counter[int] = Counter()


class Parking:
    """Where polls wait."""

    def __init__(self, scheduler: Scheduler, clock: Clock, give_up: Callable[[Poll], None]) -> None:
        """``give_up`` is called with a poll whose wait is over; it is not parked any more."""
        self._scheduler = scheduler
        self._clock = clock
        self._give_up = give_up
        self._pools: dict[str, _Pool] = {}
        #: All that wait, by the futures of their replies; each calls ``_dropped`` when it is done.
        self._parked: dict[asyncio.Future[Any], Poll] = {}
        #: The same by pool and worker, oldest first.
        self._of_worker: dict[tuple[str, str], dict[Poll, None]] = {}

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._parked)

    def park(self, poll: Poll, reply: replies.NextTaskReply, now: float) -> None:
        """Let a poll wait that found nothing; ``reply`` says so."""
        command = poll.command
        poll.first = reply
        poll.parked_at, poll.deadline = now, now + command.wait
        poll.timer = self._clock.call_at(poll.deadline, lambda: self.end(poll))
        if command.done or command.started:
            poll.command = msgspec.structs.replace(command, done=(), started=())
        self._of_worker.setdefault((command.pool, command.worker_id), {})[poll] = None
        pool = self._pools.get(command.pool)
        if pool is None:
            pool = self._pools[command.pool] = _Pool()
        (pool.rankings if command.ranking else pool.leases)[poll] = None
        if not command.ranking:
            pool.sizes[poll.slots] += 1
        self._parked[poll.future] = poll
        poll.future.add_done_callback(self._dropped)

    def follow(self, poll: commands.NextTask, now: float) -> None:
        """End what waits of a worker that has sent ``poll`` after it.  O(polls of the worker)."""
        for older in list(self._of_worker.get((poll.pool, poll.worker_id), ())):
            if now - older.parked_at < UNTOUCHED_SECONDS:
                return
            if 0 < older.command.poll_id <= poll.poll_id:
                self.end(older)

    def end(self, poll: Poll) -> None:
        """Its wait is over."""
        self._leave(poll)
        self._give_up(poll)

    def send_away(self, pool: str, worker: str) -> None:
        """Answer the polls of a worker that has left.  O(polls of the worker)."""
        for poll in list(self._of_worker.get((pool, worker), ())):
            self.end(poll)

    def waiting(self, future: asyncio.Future[Any]) -> Poll | None:
        """The poll whose reply this is, if it waits."""
        return self._parked.get(future)

    def polls(self) -> list[Poll]:
        """All that wait."""
        return list(self._parked.values())

    def serve(self, batch: Batch, now: float, *, changed: bool) -> bool:
        """Apply polls again as far as there is something for them; True: there are more to try.

        ``changed``: something happened since the last time, so that all may be tried again.
        """
        if changed and any(map(_revokes, batch.events)):
            self._tell_of_revoked(batch, now)
        unfinished = False
        for name, pool in list(self._pools.items()):
            if pool.rankings:
                version = self._scheduler.order_version(name)
                for poll in [poll for poll in pool.rankings if poll.known_version != version]:
                    self._retry(poll, batch, now)
            if changed:
                pool.lap = len(pool.leases)
            if pool.lap and self._offer(name, pool, batch, now):
                unfinished = True
        return unfinished

    def _tell_of_revoked(self, batch: Batch, now: float) -> None:
        """Answer the polls of workers that have void leases.  O(parked polls)."""
        has_revoked = self._scheduler.has_revoked
        for name, pool in list(self._pools.items()):
            for poll in [poll for poll in pool.leases if has_revoked(name, poll.command.worker_id)]:
                # It may have been answered with another one of its worker.
                if poll in pool.leases:
                    self._retry(poll, batch, now)

    def _offer(self, name: str, pool: _Pool, batch: Batch, now: float) -> bool:
        """Offer what is launchable to the polls in turn; True: not all have been tried."""
        misses = 0
        scheduler = self._scheduler
        while pool.lap and any(scheduler.has_launchable(name, size) for size in pool.sizes):
            if misses == MISS_LIMIT:
                return True
            pool.lap -= 1
            poll = next(iter(pool.leases))
            fits = scheduler.has_launchable(name, poll.slots)
            if not fits or not self._retry(poll, batch, now):
                misses += fits
                del pool.leases[poll]
                pool.leases[poll] = None
        return False

    def _retry(self, poll: Poll, batch: Batch, now: float) -> bool:
        """Apply a poll again; False: there is still nothing for it, and it stays."""
        if poll.future.done():  # Dropped in this very turn, before any lease was granted to it.
            self._leave(poll)
            return True
        command = msgspec.structs.replace(poll.command, wait=max(0.0, poll.deadline - now))
        try:
            outcome = self._scheduler.apply(command, now)
        except SchedulerError as refusal:
            self._leave(poll)
            batch.decided.append((poll.future, None, told(refusal)))
            return True
        batch.events += outcome.events
        reply = outcome.reply
        assert isinstance(reply, replies.NextTaskReply), "a poll is answered as one"
        if not poll.satisfied_by(reply):
            return False
        for asked in self._sent_again(poll):
            self._leave(asked)
            batch.decided.append((asked.future, asked.answer(reply), None))
        return True

    def _sent_again(self, poll: Poll) -> list[Poll]:
        """The poll with its repeats that wait, too: only the latest may have a caller still."""
        number = poll.command.poll_id
        if not number or poll.command.ranking:
            return [poll]
        siblings = self._of_worker[poll.command.pool, poll.command.worker_id]
        return [
            each for each in siblings if each.command.poll_id == number and not each.command.ranking
        ]

    def _dropped(self, future: asyncio.Future[Any]) -> None:
        # One that left in the turn of its end is not there any more.
        if (poll := self._parked.get(future)) is not None:
            self._leave(poll)

    def _leave(self, poll: Poll) -> None:
        del self._parked[poll.future]
        poll.future.remove_done_callback(self._dropped)
        worker = poll.command.pool, poll.command.worker_id
        siblings = self._of_worker[worker]
        del siblings[poll]
        if not siblings:
            del self._of_worker[worker]
        pool = self._pools[poll.command.pool]
        del (pool.rankings if poll.command.ranking else pool.leases)[poll]
        if not poll.command.ranking:
            pool.sizes[poll.slots] -= 1
            if not pool.sizes[poll.slots]:
                del pool.sizes[poll.slots]
        if not pool.leases and not pool.rankings:
            del self._pools[poll.command.pool]
        if poll.timer is not None:
            poll.timer.cancel()
