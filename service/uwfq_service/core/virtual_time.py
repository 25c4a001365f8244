"""Virtual time: how far an ideal, perfectly divisible cluster would have got by now.

Picture a *fluid cluster* of R slots that serves every active user at once, each at a rate
proportional to its weight, and each user's share likewise among that user's jobs.

*Global virtual time* V is the service that one unit of weight has received there: it runs at
R / W, W being the summed weight of the virtually active users, and stands still when there are
none. ``FluidClock`` is V: it knows who is active and when each of them leaves.  What happens inside
one user's share is ``user_clock.py``'s.

Every clock is *anchored*: it stores its value at the last instant at which its rate changed, and
the value now is computed from there.  Looking at a clock therefore never changes it, not by a
rounding error either, and a replayed journal gives the same bits whatever was asked in between.

Units: instants in seconds; V in slot-seconds per unit of weight.  Weights are whole millionths
(``WEIGHT_SCALE``) so that sums stay exact.  All arithmetic works on ``float`` and on ``Fraction``
alike.

Source: Demers, Keshav and Shenker 1989; Parekh and Gallager 1993 (weights); UWFQ, arXiv:2510.15485.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from itertools import islice
from typing import Any, Final, Protocol

from uwfq_service.core.model import WEIGHT_SCALE

#: Two virtual times that differ by no more than this part of them are the same.
ROUNDING: Final = 1e-12
#: Members that a countdown looks at at a time: some two milliseconds, in which all others wait.
STEP_MEMBERS: Final = 2000

#: A virtual or real instant, or an amount of work: ``float``, or ``Fraction`` in exact tests.
Number = Any


class Member(Protocol):
    """Something that the fluid cluster serves until V reaches ``end``."""

    number: int
    weight: int
    exit_entry: tuple[Number, int, Any] | None

    @property
    def end(self) -> Number:
        """The V at which the member leaves, as far as is known."""

    def leave(self, end: Number) -> None:
        """V has reached ``end``: the member is served."""


class Countdown:
    """Finds out when V will be ``target`` if nobody else arrives: step by step, of many members.

    By then each member will have been served until its end, or the target if that is earlier, and
    R slots will have done nothing else:

        R x seconds = sum over members of weight x (min(end, target) - V)

    Where members change between two steps the answer is of no single instant.
    """

    __slots__ = ("_clock", "_furthest", "_left", "_service", "_target", "_value")

    def __init__(self, clock: FluidClock, target: Number, now: Number) -> None:
        """The clock must have been advanced to ``now``, from which on the seconds count."""
        self._clock = clock
        self._target = target
        self._value = self._furthest = clock.value(now)
        self._service = 0 * self._value
        self._left = iter(list(clock.active.values()) if target > self._value else ())

    def step(self) -> bool:
        """Count ``STEP_MEMBERS`` members at most; whether there are no more."""
        value, target = self._value, self._target
        service, furthest = self._service, self._furthest
        members = list(islice(self._left, STEP_MEMBERS))
        for member in members:
            end = member.end
            if end > furthest:
                furthest = end
            until = end if end < target else target
            if until > value:
                service += (until - value) * member.weight
        self._service, self._furthest = service, furthest
        return len(members) < STEP_MEMBERS

    @property
    def seconds(self) -> Number | None:
        """When all members are counted: seconds until V is the target; ``None``: never."""
        # A deadline and its user's end are sums over the same works, which may round differently.
        if self._target - self._furthest > ROUNDING * self._target:
            return None
        if not self._service:
            return self._service
        slots = self._clock.slots
        return self._service / (slots * WEIGHT_SCALE) if slots else None


class FluidClock:
    """Global virtual time of one pool.

    Members leave in the order of their virtual ends; the time in between is priced at the summed
    weight of those that were there.  Amortised O(log n) per departure.
    """

    __slots__ = ("_at", "_bound", "_due", "_exits", "_value", "active", "active_weight", "slots")

    def __init__(self, at: Number, zero: Number) -> None:
        self.slots = 0
        #: Summed weight of the active members, in millionths.
        self.active_weight = 0
        self.active: dict[int, Member] = {}
        #: The anchor: V was ``_value`` at ``_at``, and its rate has not changed since.
        self._at = at
        self._value = zero
        #: Heap of (virtual end, number, member).  A member has one valid entry, its ``exit_entry``,
        #: which may name an earlier end than the true one; it is then put right when it surfaces.
        self._exits: list[tuple[Number, int, Any]] = []
        #: Nobody leaves before this instant, nor before V is ``_bound``; ``None``: to be found out.
        self._due: Number | None = None
        self._bound: Number = zero

    def advance(self, now: Number) -> None:
        """Let every member leave whose virtual end V reaches by ``now``.

        Call it before any change: the time since the last call is priced at the weights of that
        time.
        """
        if self._due is not None and now < self._due:
            return
        while self.active_weight and self.slots:
            entry = self._next_exit()
            left_at = self._at + (entry[0] - self._value) * self.active_weight / (
                self.slots * WEIGHT_SCALE
            )
            if left_at > now:
                self._due, self._bound = left_at, entry[0]
                return
            self._at = max(self._at, left_at)
            self._value = max(self._value, entry[0])
            heappop(self._exits)
            member = entry[2]
            member.exit_entry = None
            del self.active[member.number]
            self.active_weight -= member.weight
            self._due = None
            member.leave(self._value)

    def value(self, now: Number) -> Number:
        """V at ``now``, up to which the clock must have been advanced."""
        if not self.active_weight or not self.slots:
            return self._value
        value = self._value + (now - self._at) * self.slots * WEIGHT_SCALE / self.active_weight
        bound = self._next_exit()[0] if self._due is None else self._bound
        # Rounding must not carry V past the next departure, or it would fall there.
        return bound if bound < value else value

    def enter(self, member: Member, now: Number) -> None:
        """``member`` becomes active and stays until V reaches ``member.end``."""
        self._anchor(now)
        self.active[member.number] = member
        self.active_weight += member.weight
        member.exit_entry = (member.end, member.number, member)
        heappush(self._exits, member.exit_entry)

    def end_changed(self, member: Member) -> None:
        """``member.end`` is another one than at the last call.  O(1) when it is later."""
        entry = member.exit_entry
        assert entry is not None, "only an active member has an end"
        if member.end < entry[0]:
            member.exit_entry = (member.end, member.number, member)
            heappush(self._exits, member.exit_entry)
            self._due = None
            self._compact()

    def stand_still(self, since: Number, now: Number) -> None:
        """V did not move from ``since`` until ``now``; nor from later on, if it is known later."""
        self.advance(since)
        # Somebody may have looked since then, and seen members leave.
        self._anchor(max(since, self._at))
        self._at = now

    def set_slots(self, slots: int, now: Number) -> None:
        """R is ``slots`` from ``now`` on; the clock must have been advanced to ``now``."""
        self._anchor(now)
        self.slots = slots

    def set_weight(self, member: Member, weight: int, now: Number) -> None:
        """An active member's weight is another one from ``now`` on."""
        self._anchor(now)
        self.active_weight += weight - member.weight
        member.weight = weight

    @property
    def anchored_at(self) -> Number:
        """The instant of the latest change of rate."""
        return self._at

    def _anchor(self, now: Number) -> None:
        """Start anew at ``now``, for the rate is about to change."""
        self._value = self.value(now)
        self._at = now
        self._due = None

    def _next_exit(self) -> tuple[Number, int, Any]:
        exits = self._exits
        while True:
            entry = exits[0]
            member = entry[2]
            if member.exit_entry is not entry:
                heappop(exits)
            elif member.end > entry[0]:
                later = (member.end, member.number, member)
                member.exit_entry = later
                heapreplace(exits, later)
            else:
                found: tuple[Number, int, Any] = entry
                return found

    def _compact(self) -> None:
        if len(self._exits) > 2 * len(self.active) + 64:
            self._exits = [entry for entry in self._exits if entry[2].exit_entry is entry]
            heapify(self._exits)

    def dump(self) -> list[Any]:
        """The anchor and R; members are dumped by their owner, in the order of ``active``."""
        return [self._at, self._value, self.slots, list(self.active)]

    @classmethod
    def load(cls, state: list[Any], members: dict[int, Member]) -> FluidClock:
        """The clock that ``dump`` was taken of."""
        clock = cls(state[0], state[1])
        clock.slots = state[2]
        for number in state[3]:
            member = members[number]
            clock.active[number] = member
            clock.active_weight += member.weight
            member.exit_entry = (member.end, number, member)
            clock._exits.append(member.exit_entry)
        heapify(clock._exits)
        return clock
