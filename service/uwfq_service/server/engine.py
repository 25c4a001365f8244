"""The engine: the one owner of the core, between the calls that wait and the disk.

Picture a clerk with an inbox, a ledger and an outbox:

    call() -> inbox -> drain: apply each, one ``now`` -> journal.append(events)
                                 |                            |
                                 +-> outbox: replies, held until the ledger has reached the disk

Each turn of the event loop at most one *drain* empties the inbox: it stamps the time once, applies
the commands in order, and hands all their events to the journal as one batch.  The next drain may
run while that batch is being synced; replies leave the outbox in order, when the journal says that
everything decided up to them is on disk.  That holds for replies of commands that decided nothing,
for refusals and for reads, too: they may rest on decisions that a crash would still undo.

*Parked polls* are long polls that found nothing.  They wait here, per pool and in order of arrival,
and are applied again when the core says that something can be launched: one after another, only as
many as there are tasks, so that one new task does not wake five hundred workers.

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
from uwfq_service.server.status import Busy, Stopping
from uwfq_service.store.journal import Journal

T = TypeVar("T")

#: Told of events once they are on disk, in order.
Observer = Callable[[Sequence[AnyEvent]], None]

#: Commands applied in one drain; the rest waits a turn of the loop, so that the network is served.
_DRAIN_LIMIT: Final = 256

#: Parked polls that may be tried in vain in one drain, for tasks that fit none of them.
_MISS_LIMIT: Final = 16

#: Ticks do not come closer together, seconds: many things that are due share one.
_TICK_PAUSE: Final = 0.01

#: When so many replies shared a write, the next one begins no sooner than the pause, seconds,
#: or, once as many have come again, after a last call for more.
_SIBLINGS: Final = 4
_WRITE_PAUSE: Final = 0.005
_LAST_CALL: Final = 0.0005


class _Call:
    """A command and the future of its reply."""

    __slots__ = ("command", "future")

    def __init__(self, command: commands.Command, future: asyncio.Future[Any]) -> None:
        self.command = command
        self.future = future


class _Poll(_Call):
    """A NextTask that may be parked."""

    __slots__ = ("deadline", "first", "known_version", "timer")

    command: commands.NextTask

    def __init__(
        self, command: commands.NextTask, future: asyncio.Future[Any], known_version: int
    ) -> None:
        super().__init__(command, future)
        self.known_version = known_version
        #: When to give up, and the call that then does; set when parked.
        self.deadline = 0.0
        self.timer: Timer | None = None
        #: The answer that found nothing; its acknowledgements leave with the last one.
        self.first: replies.NextTaskReply | None = None

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


class _Parked:
    """The parked polls of one pool, oldest first."""

    __slots__ = ("lap", "leases", "rankings")

    def __init__(self) -> None:
        self.leases: dict[_Poll, None] = {}
        self.rankings: dict[_Poll, None] = {}
        #: Polls still to be tried since the pool changed last; those tried in vain go to the end.
        self.lap = 0


#: A reply or a refusal on its way out.
_Decided = tuple[asyncio.Future[Any], Any, SchedulerError | None]


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
        self._journal = journal
        self._clock = clock
        self._max_inbox = max_inbox
        self._max_parked = max_parked
        self._observers = tuple(observers)
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()

        self._inbox: deque[_Call] = deque()
        self._drain_due = False
        #: Calls in the inbox and replies in the outbox.
        self._load = 0
        #: What waits for the disk: (sequence it needs, replies, events to tell of).
        self._outbox: deque[tuple[int, list[_Decided], Sequence[AnyEvent]]] = deque()
        #: Events that the journal has not been given yet, and when it may be, by the loop's time.
        self._unwritten: list[AnyEvent] = []
        self._write_at = 0.0
        #: Replies that shared the last write, and that will share the next one.
        self._shared = self._sharing = 0
        self._write_timer: asyncio.TimerHandle | None = None
        #: Number of the last event that was decided, and of the last that the journal has.
        self._sequence = self._appended = journal.durable
        self._parked: dict[str, _Parked] = {}
        self._parked_count = 0
        self._tick_timer: Timer | None = None
        self._tick_at = 0.0
        self._tick_due = False
        self._ticked_at = 0.0
        #: Set when nothing is accepted any more; for those who have calls under way.
        self.stopping = asyncio.Event()
        self._failure: BaseException | None = None
        #: Those who wait for the outbox to be empty, and for anything to happen.
        self._settlers: list[asyncio.Future[None]] = []
        self._change_waiters: list[asyncio.Future[None]] = []

        journal.on_durable = self._on_durable
        journal.on_failure = self._fail

    # -- asking ------------------------------------------------------------------------------------

    @overload
    def call(
        self,
        command: commands.SubmitJob | commands.AddStages | commands.CloseJob | commands.CancelJob,
    ) -> asyncio.Future[replies.JobReply]: ...
    @overload
    def call(self, command: commands.TaskDone) -> asyncio.Future[replies.TaskDoneReply]: ...
    @overload
    def call(self, command: commands.RenewLeases) -> asyncio.Future[replies.RenewReply]: ...
    @overload
    def call(
        self, command: commands.SetUser | commands.ConfigurePool
    ) -> asyncio.Future[replies.Done]: ...

    def call(self, command: commands.Command) -> asyncio.Future[Any]:
        """Ask for a decision; the reply comes when it is on disk.

        Raises ``Busy`` or ``Stopping`` at once.  Cancelling the future takes a command back that
        has not been applied yet; later it only means that nobody reads the reply.
        """
        future = self._loop.create_future()
        self._enqueue(_Call(command, future))
        return future

    def poll(
        self, command: commands.NextTask, *, known_version: int = 0
    ) -> asyncio.Future[replies.NextTaskReply]:
        """As ``call``, but waits up to ``command.wait`` seconds for something to launch.

        In the ranking form it waits for a version other than ``known_version``.
        """
        if command.wait > 0 and self._parked_count >= self._max_parked:
            raise Busy("long polls are waiting", self._max_parked)
        future = self._loop.create_future()
        self._enqueue(_Poll(command, future, known_version))
        return future

    def end_polls(self, futures: Iterable[asyncio.Future[Any]]) -> None:
        """Answer these polls with what there is, as if their wait were over.  O(parked polls)."""
        wanted = set(futures)

        def end() -> None:
            for poll in self._all_parked():
                if poll.future in wanted:
                    self._give_up(poll)

        # After the drain that a poll of this turn is waiting for.
        self._loop.call_soon(end)

    async def read(self, look: Callable[[Scheduler, float], T]) -> T:
        """What ``look(scheduler, now)`` sees, once everything that it may rest on is on disk.

        ``look`` must change nothing and must return values, not live objects.
        """
        self._admit()
        value = look(self._scheduler, self._clock.now())
        if self._journal.durable < self._sequence:
            future: asyncio.Future[T] = self._loop.create_future()
            self._load += 1
            self._outbox.append((self._sequence, [(future, value, None)], ()))
            await future
        return value

    @property
    def sequence(self) -> int:
        """Number of the last event that was decided."""
        return self._sequence

    async def changed_since(self, sequence: int) -> None:
        """Return when events after ``sequence`` are on disk.  Raises ``Stopping``."""
        while self._journal.durable <= sequence:
            if self.stopping.is_set():
                raise Stopping
            waiter = self._loop.create_future()
            self._change_waiters.append(waiter)
            await waiter

    @property
    def load(self) -> int:
        """Calls that wait for a decision or for the disk."""
        return self._load

    @property
    def parked(self) -> int:
        """Long polls that wait."""
        return self._parked_count

    def _admit(self) -> None:
        if self.stopping.is_set():  # A failed engine has stopped, too.
            raise Stopping
        if self._load >= self._max_inbox:
            raise Busy("calls are waiting", self._max_inbox)

    def _enqueue(self, call: _Call) -> None:
        self._admit()
        self._load += 1
        self._inbox.append(call)
        if not self._drain_due:
            self._schedule_drain()

    def _schedule_drain(self) -> None:
        self._drain_due = True
        self._loop.call_soon(self._drain)

    # -- deciding ----------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Apply what waits, journal what was decided, hold the replies back."""
        self._drain_due = False
        if self._failure is not None:
            return
        now = self._clock.now()
        events: list[AnyEvent] = []
        decided: list[_Decided] = []
        inbox = self._inbox
        try:
            ticked = self._tick_due
            if ticked:
                self._tick_due = False
                self._ticked_at = now
                events += self._scheduler.apply(commands.Tick(), now).events
            for _ in range(min(len(inbox), _DRAIN_LIMIT)):
                self._decide(inbox.popleft(), now, events, decided)
            if self._parked_count:
                self._serve_parked(now, events, decided, changed=ticked or bool(events))
            self._publish(events, decided)
            self._arm_tick()
        except Exception as bug:  # noqa: BLE001 - whatever it is, the core cannot be trusted now.
            self._fail(bug)
            return
        if inbox and not self._drain_due:
            self._schedule_drain()
        self._tell_settlers()

    def _decide(
        self, call: _Call, now: float, events: list[AnyEvent], decided: list[_Decided]
    ) -> None:
        if call.future.done():  # Its caller has gone.
            self._load -= 1
            return
        try:
            outcome = self._scheduler.apply(call.command, now)
        except SchedulerError as refusal:
            decided.append((call.future, None, refusal))
            return
        events += outcome.events
        reply = outcome.reply
        if (
            isinstance(reply, replies.NextTaskReply)
            and type(call) is _Poll
            and call.command.wait > 0
            and not self.stopping.is_set()
            and not call.satisfied_by(reply)
        ):
            self._park(call, reply, now)
        else:
            decided.append((call.future, reply, None))

    def _publish(self, events: Sequence[AnyEvent], decided: list[_Decided]) -> None:
        """Hand the events to the journal; let the replies go when it has them all."""
        if events:
            self._sequence += len(events)
            self._unwritten += events
            self._sharing += len(decided)
            self._write()
        elif not decided:
            return
        if self._journal.durable >= self._sequence:
            self._release(decided, events)
        else:
            self._outbox.append((self._sequence, decided, events))

    def _write(self) -> None:
        """Give the journal what it has not got, one batch at a time.

        While it syncs a batch the next one gathers here.  A sync costs as much as a call, so when
        several shared the last one, this one gathers for a few milliseconds at least, or until as
        many have come again.  A caller on its own never waits for others.
        """
        if self._journal.durable < self._appended:
            return
        now = self._loop.time()
        at = self._write_at if self._shared >= _SIBLINGS else now
        if self._sharing >= self._shared:
            at = min(at, now + _LAST_CALL)
        if at <= now:
            self._write_now()
        elif self._write_timer is None:
            self._write_timer = self._loop.call_at(at, self._write_now)
        elif at < self._write_timer.when():
            self._write_timer.cancel()
            self._write_timer = self._loop.call_at(at, self._write_now)

    def _write_now(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        events, self._unwritten = self._unwritten, []
        if events and self._failure is None:
            self._shared, self._sharing = self._sharing, 0
            self._write_at = self._loop.time() + _WRITE_PAUSE
            self._appended = self._journal.append(events)

    def _on_durable(self, sequence: int) -> None:
        outbox = self._outbox
        if self._failure is not None:
            return
        while outbox and outbox[0][0] <= sequence:
            _, decided, events = outbox.popleft()
            self._release(decided, events)
        if self._unwritten:
            self._write()
        self._tell_settlers()

    def _release(self, decided: list[_Decided], events: Sequence[AnyEvent]) -> None:
        self._load -= len(decided)
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

    # -- long polls --------------------------------------------------------------------------------

    def _park(self, poll: _Poll, reply: replies.NextTaskReply, now: float) -> None:
        command = poll.command
        poll.first = reply
        poll.deadline = now + command.wait
        poll.timer = self._clock.call_at(poll.deadline, lambda: self._give_up(poll))
        if command.done or command.started:
            poll.command = msgspec.structs.replace(command, done=(), started=())
        parked = self._parked.get(command.pool)
        if parked is None:
            parked = self._parked[command.pool] = _Parked()
        (parked.rankings if command.ranking else parked.leases)[poll] = None
        self._parked_count += 1
        self._load -= 1

    def _all_parked(self) -> list[_Poll]:
        return [
            poll for parked in self._parked.values() for poll in (*parked.leases, *parked.rankings)
        ]

    def _unpark(self, poll: _Poll) -> None:
        parked = self._parked[poll.command.pool]
        del (parked.rankings if poll.command.ranking else parked.leases)[poll]
        if not parked.leases and not parked.rankings:
            del self._parked[poll.command.pool]
        self._parked_count -= 1
        self._load += 1
        if poll.timer is not None:
            poll.timer.cancel()

    def _give_up(self, poll: _Poll) -> None:
        """The wait is over: answer with nothing, behind what is on its way to disk."""
        if self._failure is None:
            self._unpark(poll)
            self._publish((), [(poll.future, poll.first, None)])

    def _serve_parked(
        self, now: float, events: list[AnyEvent], decided: list[_Decided], *, changed: bool
    ) -> None:
        """Apply parked polls again, as far as there is something for them."""
        for pool, parked in list(self._parked.items()):
            if parked.rankings:
                version = self._scheduler.order_version(pool)
                for poll in [poll for poll in parked.rankings if poll.known_version != version]:
                    self._retry(poll, now, events, decided)
            if changed:
                parked.lap = len(parked.leases)
            if parked.lap:
                self._offer(pool, parked, now, events, decided)

    def _offer(
        self,
        pool: str,
        parked: _Parked,
        now: float,
        events: list[AnyEvent],
        decided: list[_Decided],
    ) -> None:
        """Offer what is launchable to the polls in turn, each at most once since the last change.

        A launchable task may fit none of the first polls (it needs more slots than they have), so
        the turn goes on until all have been tried, a few misses in each drain.
        """
        misses = 0
        while parked.lap and parked.leases and self._scheduler.has_launchable(pool):
            if misses == _MISS_LIMIT:
                if not self._drain_due:
                    self._schedule_drain()
                return
            parked.lap -= 1
            poll = next(iter(parked.leases))
            if not self._retry(poll, now, events, decided):
                misses += 1
                del parked.leases[poll]
                parked.leases[poll] = None

    def _retry(
        self, poll: _Poll, now: float, events: list[AnyEvent], decided: list[_Decided]
    ) -> bool:
        """Apply a parked poll again; False: there is still nothing for it, and it stays."""
        if poll.future.done():  # Dropped before any lease was granted to it.
            self._unpark(poll)
            self._load -= 1
            return True
        command = msgspec.structs.replace(poll.command, wait=max(0.0, poll.deadline - now))
        try:
            outcome = self._scheduler.apply(command, now)
        except SchedulerError as refusal:
            self._unpark(poll)
            decided.append((poll.future, None, refusal))
            return True
        events += outcome.events
        reply = outcome.reply
        assert isinstance(reply, replies.NextTaskReply), "a poll is answered as one"
        if not poll.satisfied_by(reply):
            return False
        self._unpark(poll)
        decided.append((poll.future, poll.answer(reply), None))
        return True

    # -- time --------------------------------------------------------------------------------------

    def start(self, events: Sequence[AnyEvent] = ()) -> None:
        """Arm the first tick; ``events`` are what recovery decided."""
        self._publish(events, [])
        self._arm_tick()

    def _arm_tick(self) -> None:
        """See to it that a tick comes when the core is due.

        A timer that would fire too early is left as it is, for moving it costs more than a tick
        that finds nothing to do.
        """
        due = self._scheduler.next_wakeup()
        if due is None:
            return
        due = max(due, self._ticked_at + _TICK_PAUSE)
        if self._tick_timer is not None:
            if self._tick_at <= due:
                return
            self._tick_timer.cancel()
        self._tick_at = due
        self._tick_timer = self._clock.call_at(due, self._tick)

    def _tick(self) -> None:
        self._tick_timer = None
        self._tick_due = True
        if not self._drain_due:
            self._schedule_drain()

    # -- stopping ----------------------------------------------------------------------------------

    def stop_accepting(self) -> None:
        """Refuse new calls from now on and let parked polls go with empty hands."""
        self.stopping.set()
        for poll in self._all_parked():
            self._give_up(poll)
        _wake(self._change_waiters)

    async def settle(self) -> None:
        """Return when nothing waits for a decision or for the disk, or when nothing ever will."""
        while (self._inbox or self._outbox) and self._failure is None:
            waiter = self._loop.create_future()
            self._settlers.append(waiter)
            await waiter

    def _tell_settlers(self) -> None:
        if self._settlers and not self._inbox and not self._outbox:
            _wake(self._settlers)

    def close(self) -> None:
        """Write the rest and cancel the tick.  The scheduler stands still from here."""
        self.stopping.set()
        self._write_now()
        if self._tick_timer is not None:
            self._tick_timer.cancel()

    def _fail(self, error: BaseException) -> None:
        """Stop for good: what has not left by now never will."""
        if self._failure is None:
            self._failure = error
            self.close()
            _wake(self._settlers)
            _wake(self._change_waiters)
            self._on_fatal(error)


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    """Let all go, those who have lost interest aside."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()
