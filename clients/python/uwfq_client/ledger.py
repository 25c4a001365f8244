"""What a worker holds and what it owes: its leases, from grant to acknowledged report.

Picture one line of attempts moving through three rooms:

    grant -> QUEUED -> start -> RUNNING -> finish -> ENDED -> acknowledged -> forgotten

An attempt occupies slots in the first two rooms and owes a result in the third.  Each lease that
was granted is answered once, whatever happened: run, failed, revoked while it waited.  (Only a
worker that gives up leaves what has not begun to the service.)  A result leaves when the service
has acknowledged it, so a lost reply or a restart of the service loses nothing; reporting twice is
harmless, as the service counts each result once.

Pure bookkeeping: no I/O, no clock (``now`` in seconds, any steady origin), no threads.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from uwfq.v1 import types_pb2
from uwfq_client import convert
from uwfq_client.execution import Outcome, task_result
from uwfq_client.types import Task

#: Most results, starts or leases in one message, and most bytes of texts: below the limits.
_MOST_RESULTS: Final = 5000
_MOST_MESSAGE_BYTES: Final = 1 << 20

_TOO_LATE: Final = (types_pb2.TASK_RESULT_STATUS_STALE, types_pb2.TASK_RESULT_STATUS_UNKNOWN)

#: An attempt that started so much later than it was granted tells the service when it did: its
#: time in the queue is not to be charged.  Seconds.
_QUEUED_LONG: Final = 0.005


class Room(enum.Enum):
    """Where an attempt stands."""

    QUEUED = enum.auto()
    RUNNING = enum.auto()
    ENDED = enum.auto()


@dataclasses.dataclass(slots=True, eq=False)
class Attempt:
    """One lease and what became of it."""

    task: Task
    granted_at: float
    #: Seconds between renewals: a third of the lease, so that two may get lost.
    renew_every: float
    #: When the next one is due; infinite for a lease that is void.
    renew_at: float
    room: Room = Room.QUEUED
    started_at: float = 0.0
    #: Whether the service knows that it has started.
    announced: bool = False
    #: Whether a message has carried its result, and brought no answer.
    told: bool = False
    #: Why it is to stop; empty: it is not.
    stop_reason: str = ""
    #: Makes its handler stop, if that is possible.
    interrupt: Callable[[], object] | None = None


class Ledger:
    """The attempts of one worker.  ``slots`` run at once, ``prefetch`` more may queue."""

    def __init__(self, slots: int, prefetch: int) -> None:
        self.slots = slots
        self.prefetch = prefetch
        #: Slots of the attempts that run, and of those that run or queue.
        self.running_slots = 0
        self.held_slots = 0
        #: By lease, until acknowledged, in the order of their grants.
        self._attempts: dict[int, Attempt] = {}
        self._queue: collections.deque[Attempt] = collections.deque()
        #: Results that no message under way carries.
        self._unsent: collections.deque[types_pb2.TaskResult] = collections.deque()

    # -------------------------------------------------------------------------------- at a glance

    @property
    def free_slots(self) -> int:
        """Slots in which nothing runs."""
        return max(self.slots - self.running_slots, 0)

    @property
    def running(self) -> int:
        """Attempts that run."""
        return sum(attempt.room is Room.RUNNING for attempt in self._attempts.values())

    @property
    def queued(self) -> int:
        """Attempts that wait for a slot."""
        return len(self._queue)

    @property
    def owes(self) -> bool:
        """Whether there are results that no message under way carries."""
        return bool(self._unsent)

    @property
    def busy(self) -> bool:
        """Whether anything runs or queues."""
        return self.held_slots > 0

    @property
    def settled(self) -> bool:
        """Whether nothing is held and nothing is owed."""
        return not self._attempts

    @property
    def wants_work(self) -> bool:
        """Whether to ask for more leases: a slot is free, or half of the queue is used up.

        Half, so that a poll brings a batch and the rest of the queue bridges its round trip.
        """
        return self.slots + self.prefetch - self.held_slots > self.prefetch // 2

    # ------------------------------------------------------------------------- through the rooms

    def grant(self, leases: Iterable[types_pb2.TaskLease], now: float) -> float:
        """Queue new leases, in the service's order.  When the first of them wants a renewal."""
        earliest = math.inf
        for lease in leases:
            if lease.lease_id in self._attempts:
                continue  # Told twice: a poll was repeated whose answer had arrived.
            renew_every = lease.expires_in_seconds / 3
            attempt = Attempt(convert.task(lease), now, renew_every, now + renew_every)
            self._attempts[lease.lease_id] = attempt
            self._queue.append(attempt)
            self.held_slots += lease.slots
            earliest = min(earliest, attempt.renew_at)
        return earliest

    def start(self, now: float) -> Attempt | None:
        """The next attempt that fits the free slots, as running; ``None``: none does.

        Strictly in order: a large task that waits for slots must not be overtaken for ever.
        """
        if not self._queue:
            return None
        attempt = self._queue[0]
        # A task that is larger than the whole worker would wait for ever; let it run alone.
        if self.running_slots and self.running_slots + attempt.task.slots > self.slots:
            return None
        self._queue.popleft()
        attempt.room = Room.RUNNING
        attempt.started_at = now
        attempt.announced = now - attempt.granted_at < _QUEUED_LONG
        self.running_slots += attempt.task.slots
        return attempt

    def finish(self, attempt: Attempt, outcome: Outcome) -> bool:
        """Free the attempt's slots; from now on its result is owed.

        False when it had ended before: an attempt that was given up may still come to its end.
        """
        if attempt.room is Room.ENDED:
            return False
        task = attempt.task
        # First of all: should it fail, the attempt must not count as ended with nothing owed.
        result = task_result(task.lease_id, task.attempt, outcome)
        if attempt.room is Room.RUNNING:
            self.running_slots -= task.slots
        else:
            self._queue.remove(attempt)
        self.held_slots -= task.slots
        attempt.room = Room.ENDED
        attempt.interrupt = None
        self._unsent.append(result)
        return True

    def revoke(self, lease_ids: Iterable[int], reason: str) -> list[Attempt]:
        """The service wants these no more.  Returns the running ones, for the caller to interrupt.

        What still queued is answered at once; what has ended is reported all the same.
        """
        running: list[Attempt] = []
        for lease_id in lease_ids:
            attempt = self._attempts.get(lease_id)
            if attempt is None:
                continue
            if attempt.room is Room.QUEUED:
                self.finish(attempt, Outcome(0.0, failure=reason))
            elif attempt.room is Room.RUNNING and not attempt.stop_reason:
                attempt.stop_reason = reason
                running.append(attempt)
        return running

    def abandon_queue(self) -> None:
        """Forget what has not begun, without an answer: the service gives it to others."""
        for attempt in self._queue:
            self.held_slots -= attempt.task.slots
            attempt.room = Room.ENDED
            del self._attempts[attempt.task.lease_id]
        self._queue.clear()

    def held(self) -> list[Attempt]:
        """Everything that runs or queues, in the order of the grants."""
        return [each for each in self._attempts.values() if each.room is not Room.ENDED]

    # ------------------------------------------------------------------------------------ reports

    def take_results(self) -> list[types_pb2.TaskResult]:
        """Results for one message.  Follow with ``acknowledged`` or ``put_back``."""
        taken: list[types_pb2.TaskResult] = []
        message_bytes = 0
        while self._unsent and len(taken) < _MOST_RESULTS and message_bytes < _MOST_MESSAGE_BYTES:
            result = self._unsent.popleft()
            if result.HasField("failure"):
                message_bytes += len(result.failure.message)
            taken.append(result)
        return taken

    def put_back(self, results: Sequence[types_pb2.TaskResult]) -> None:
        """The message was lost, or nobody knows: its results are owed again."""
        for result in results:
            self._attempts[result.lease_id].told = True
        self._unsent.extendleft(reversed(results))

    def late(self, acks: Iterable[types_pb2.TaskResultAck]) -> int:
        """How many of these, acknowledged next, say that a result did not count.

        Of one that a lost message has carried nobody knows: the service may have had it from that.
        """
        return sum(
            ack.status in _TOO_LATE
            and (attempt := self._attempts.get(ack.lease_id)) is not None
            and not attempt.told
            for ack in acks
        )

    def acknowledged(
        self,
        results: Sequence[types_pb2.TaskResult],
        acks: Iterable[types_pb2.TaskResultAck],
    ) -> None:
        """The service has taken these in, whatever it thinks of them; the rest is owed again."""
        known = {ack.lease_id for ack in acks}
        for result in results:
            if result.lease_id in known:
                self._attempts.pop(result.lease_id, None)
            else:
                self._unsent.append(result)

    # ------------------------------------------------------------------------- starts and renewals

    def unannounced(self) -> list[Attempt]:
        """Attempts that run, but did not start when they were granted; as many as fit a message."""
        unannounced = (
            attempt
            for attempt in self._attempts.values()
            if attempt.room is Room.RUNNING and not attempt.announced
        )
        return list(itertools.islice(unannounced, _MOST_RESULTS))

    def next_renewal(self) -> float:
        """When the first lease wants more time; infinite: none does."""
        return min((attempt.renew_at for attempt in self._attempts.values()), default=math.inf)

    def due_for_renewal(self, now: float) -> list[int]:
        """Leases to renew with the one that is due: those at least half-way to their own time.

        Leases of results that are not acknowledged yet are among them.  As many as fit a message.
        """
        due = (
            lease_id
            for lease_id, attempt in self._attempts.items()
            if attempt.renew_at - attempt.renew_every / 2 <= now
        )
        return list(itertools.islice(due, _MOST_RESULTS))

    def renewed(self, lease_id: int, expires_in_seconds: float, now: float) -> None:
        """The service has extended a lease."""
        if (attempt := self._attempts.get(lease_id)) is not None:
            attempt.renew_every = expires_in_seconds / 3
            attempt.renew_at = now + attempt.renew_every

    def void(self, lease_id: int) -> None:
        """The service wants no more of this lease: there is nothing left to renew."""
        if (attempt := self._attempts.get(lease_id)) is not None:
            attempt.renew_at = math.inf
