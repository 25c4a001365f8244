"""The engine: the one owner of the core, between the calls that wait and the disk.

Picture a clerk with an inbox, a ledger and an outbox:

    call() -> inbox -> drain: apply each, one ``now`` -> outbox -> journal, and back: reply
                         |
                         +-> parking: long polls that found nothing

A *drain* empties the inbox: it stamps the time once, applies the commands in order, and hands
their events and replies to the outbox as one batch.  It comes in the next turn of the event loop,
or, when many call, as soon as enough of them have (``pace.py``).  The next drain may run while the
disk is busy with that; replies leave in order, when what they rest on is on disk (``outbox.py``).
Long polls that found nothing are parked (``parking.py``).

When the journal fails, or the core breaks one of its own rules, the engine stops for good: no reply
leaves any more, and ``on_fatal`` hears why.

Everything runs on the event loop's thread; nothing here blocks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar, overload

import msgspec

from uwfq_service.core import commands, replies
from uwfq_service.core.errors import SchedulerError
from uwfq_service.core.events import AnyEvent
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.server.clock import Clock, Timer
from uwfq_service.server.outbox import Batch, Observer, Outbox, told
from uwfq_service.server.pace import Pace
from uwfq_service.server.parking import Call, Parking, Poll
from uwfq_service.server.status import Busy, Stopping
from uwfq_service.store.journal import Journal

T = TypeVar("T")

#: Commands applied in one drain; the rest waits a turn of the loop, so that the network is served.
DRAIN_LIMIT: Final = 256

#: Ticks do not come closer together, seconds: many things that are due share one.
TICK_PAUSE: Final = 0.01

#: A tick that comes so late, or its turn, seconds, shows that the process stood still: it was
#: suspended, or its machine was.
STOOD_STILL: Final = 2.0


class Engine:
    """Owns the scheduler.  See the module's picture."""

    def __init__(
        self,
        scheduler: Scheduler,
        journal: Journal,
        clock: Clock,
        *,
        max_inbox: int = 10_000,
        max_parked: int = 20_000,
        observers: Sequence[Observer] = (),
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._max_inbox = max_inbox
        self._max_parked = max_parked
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Call] = deque()
        self._drain_due = False
        #: What is being decided, while it is.
        self._deciding: Batch | None = None
        self._pace = Pace(self._schedule_drain)
        self._outbox = Outbox(journal, observers, self._pace.shared, self._fail)
        self._parking = Parking(scheduler, clock, self._give_up)
        self._tick_timer: Timer | None = None
        #: What it is for, and when it can fire at the earliest.
        self._tick_at = self._tick_expected = 0.0
        self._tick_due = False
        #: When it has fired, by the clock of the loop.
        self._tick_heard_at = 0.0
        #: Since when the process has stood still; ``None``: it has not.
        self._still_since: float | None = None
        self._ticked_at = 0.0
        #: Nothing is decided any more; ``on_fatal`` has heard why.
        self._halted = self._failed = False
        #: Set when nothing is accepted any more; for those who have calls under way.
        self.stopping = asyncio.Event()

    # -- asking ------------------------------------------------------------------------------------

    @overload
    def call(
        self,
        command: (
            commands.SubmitJob
            | commands.AddStages
            | commands.DropStages
            | commands.CloseJob
            | commands.CancelJob
        ),
    ) -> asyncio.Future[replies.JobReply]: ...
    @overload
    def call(self, command: commands.TaskDone) -> asyncio.Future[replies.TaskDoneReply]: ...
    @overload
    def call(self, command: commands.RenewLeases) -> asyncio.Future[replies.RenewReply]: ...
    @overload
    def call(self, command: commands.SetUser) -> asyncio.Future[replies.UserReply]: ...
    @overload
    def call(self, command: commands.ConfigurePool) -> asyncio.Future[replies.Done]: ...

    def call(self, command: commands.Command) -> asyncio.Future[Any]:
        """Ask for a decision; the reply comes when it is on disk.

        Raises ``Busy`` or ``Stopping`` at once.  Cancelling the future takes a command back that
        has not been applied yet; later it only means that nobody reads the reply.
        """
        future = self._loop.create_future()
        self._enqueue(Call(command, future))
        return future

    def poll(
        self, command: commands.NextTask, *, known_version: int = 0
    ) -> asyncio.Future[replies.NextTaskReply]:
        """As ``call``, but waits up to ``command.wait`` seconds for something to launch.

        In the ranking form it waits for a version other than ``known_version``.
        """
        if command.wait > 0 and self._parking.count >= self._max_parked:
            raise Busy("long polls are waiting", self._max_parked)
        future = self._loop.create_future()
        self._enqueue(Poll(command, future, known_version))
        return future

    def end_polls(self, futures: Iterable[asyncio.Future[Any]]) -> None:
        """Answer these polls with what there is, as if their wait were over.

        O(these + calls that wait for a decision).
        """
        wanted = set(futures)
        for call in self._inbox:
            if type(call) is Poll and call.future in wanted:
                call.wait_no_longer()
                self._schedule_drain()
        for future in wanted:
            if (poll := self._parking.waiting(future)) is not None:
                self._parking.end(poll)

    async def read(self, look: Callable[[Scheduler, float], T]) -> T:
        """What ``look(scheduler, now)`` sees, once everything that it may rest on is on disk.

        ``look`` must change nothing and must return values, not live objects.  Raises ``Busy`` or
        ``Stopping`` at once.
        """
        self._admit()
        return await self.read_admitted(look)

    async def read_admitted(self, look: Callable[[Scheduler, float], T]) -> T:
        """As ``read``, for a caller whose command has been decided: it is not refused any more.

        It would take that for the refusal of its command.
        """
        try:
            value = look(self._scheduler, self._clock.now())
        except SchedulerError:
            # That something does not exist may rest on its end, and that on the disk.
            await self._outbox.passes()
            raise
        await self._outbox.passes()
        return value

    def glance(self, look: Callable[[Scheduler], T]) -> T:
        """What ``look(scheduler)`` sees, at once, though a crash may yet undo what it rests on.

        For advice that nobody holds the service to.  ``look`` must change nothing.
        """
        self._admit()
        return look(self._scheduler)

    @property
    def sequence(self) -> int:
        """Number of the last event that was decided."""
        return self._outbox.sequence

    async def changed_since(self, sequence: int) -> None:
        """Return when events after ``sequence`` are on disk.  Raises ``Stopping``."""
        if not await self._outbox.changed_since(sequence):
            raise Stopping

    @property
    def load(self) -> int:
        """Calls that wait for a decision or for the disk."""
        return len(self._inbox) + self._outbox.load

    @property
    def parked(self) -> int:
        """Long polls that wait."""
        return self._parking.count

    def _admit(self) -> None:
        if self.stopping.is_set():
            raise Stopping
        if len(self._inbox) + self._outbox.load >= self._max_inbox:
            raise Busy("calls are waiting", self._max_inbox)

    def _enqueue(self, call: Call) -> None:
        self._admit()
        self._inbox.append(call)
        self._pace.came(len(self._inbox))

    def _schedule_drain(self) -> None:
        if not self._drain_due:
            self._drain_due = True
            self._loop.call_soon(self._drain)

    # -- deciding ----------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Apply what waits and hand over what was decided."""
        self._drain_due = False
        if self._halted:
            return
        now = self._clock.now()
        if self._tick_timer is not None and now >= self._tick_expected + STOOD_STILL:
            # The loop hears of its timers only after this turn.
            self._tick_timer.cancel()
            self._tick()
        batch = self._deciding = Batch()
        inbox = self._inbox
        self._pace.gone(len(inbox))
        try:
            ticked = self._tick_due
            if ticked:
                self._tick_due = False
                self._ticked_at = now
                if self._loop.time() >= self._tick_heard_at + STOOD_STILL:
                    # Between the tick and this turn.
                    self._still_since = self._tick_expected
                if self._still_since is not None:
                    # Signs of life wait in the sockets; nobody is silent who could not be heard.
                    batch.events += self._scheduler.recover(now, self._still_since).events
                    self._still_since = None
                batch.events += self._scheduler.apply(commands.Tick(), now).events
            for _ in range(min(len(inbox), DRAIN_LIMIT)):
                self._decide(inbox.popleft(), batch, now)
            if self._parking.count:
                changed = ticked or bool(batch.events)
                if self._parking.serve(batch, now, changed=changed):
                    self._schedule_drain()
            self._outbox.hold(batch.events, batch.decided)
            self._arm_tick()
        except Exception as bug:  # noqa: BLE001 - whatever it is, the core cannot be trusted now.
            self._fail(bug)
            return
        finally:
            self._deciding = None
        if inbox:
            self._schedule_drain()

    def _decide(self, call: Call, batch: Batch, now: float) -> None:
        if call.future.done():  # Its caller has gone.
            return
        if type(call) is Poll and call.command.poll_id and self._parking.count:
            self._parking.follow(call.command, now)
        try:
            outcome = self._scheduler.apply(call.command, now)
        except SchedulerError as refusal:
            batch.decided.append((call.future, None, told(refusal)))
            return
        batch.events += outcome.events
        reply = outcome.reply
        if type(call) is Poll and call.command.leaving:
            # An older poll of the same worker would bring it back.
            self._parking.send_away(call.command.pool, call.command.worker_id)
        if (
            isinstance(reply, replies.NextTaskReply)
            and type(call) is Poll
            and call.command.wait > 0
            and not self.stopping.is_set()
            and not call.satisfied_by(reply)
        ):
            self._parking.park(call, reply, now)
        else:
            batch.decided.append((call.future, reply, None))

    def _give_up(self, poll: Poll) -> None:
        """Its wait is over: answer with nothing, behind what is on its way to disk."""
        if self._halted:
            return
        reply = poll.first
        if reply is not None and reply.ranking is not None:
            # The order is what it was, but not how much of each stage is left.
            reply = msgspec.structs.replace(reply, ranking=self._scheduler.ranking(poll.command))
        if self._deciding is not None:
            # It rests on what is being decided.
            self._deciding.decided.append((poll.future, reply, None))
        else:
            self._outbox.hold((), [(poll.future, reply, None)])

    # -- time --------------------------------------------------------------------------------------

    def start(self, events: Sequence[AnyEvent] = ()) -> None:
        """Arm the first tick; ``events`` are what recovery decided."""
        self._outbox.hold(events, [])
        self._arm_tick()

    def _arm_tick(self) -> None:
        """See to it that a tick comes when the core is due.

        A timer that would fire too early is left as it is, for moving it costs more than a tick
        that finds nothing to do.
        """
        due = self._scheduler.next_wakeup()
        if due is None:
            return
        due = max(due, self._ticked_at + TICK_PAUSE)
        if self._tick_timer is not None:
            if self._tick_at <= due:
                return
            self._tick_timer.cancel()
        self._tick_at = due
        self._tick_expected = max(due, self._clock.now())
        self._tick_timer = self._clock.call_at(due, self._tick)

    def _tick(self) -> None:
        self._tick_timer = None
        self._tick_due = True
        self._tick_heard_at = self._loop.time()
        if self._clock.now() >= self._tick_expected + STOOD_STILL:
            self._still_since = self._tick_expected
        # With calls that wait for more it can wait as well.
        if not self._inbox:
            self._schedule_drain()

    # -- stopping ----------------------------------------------------------------------------------

    def stop_accepting(self) -> None:
        """Refuse new calls from now on; parked polls and watchers go with empty hands."""
        self.stopping.set()
        self._outbox.dismiss()
        for poll in self._parking.polls():
            self._parking.end(poll)

    async def settle(self) -> None:
        """Return when nothing waits for a decision or for the disk, or when nothing ever will."""
        while self._inbox and not self._halted:
            self._drain()
            await asyncio.sleep(0)
        self._outbox.flush()
        await self._outbox.empty()

    def close(self) -> None:
        """Give the journal the rest and let nothing out any more; the scheduler stands still."""
        self.stopping.set()
        self._halted = True
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        self._outbox.flush()
        self._outbox.close()

    def _fail(self, error: BaseException) -> None:
        """Stop for good: what has not left by now never will."""
        # A closed engine's last events may still be on their way to the disk.
        if not self._failed:
            self._failed = True
            self._outbox.close()
            self.close()
            self._on_fatal(error)
