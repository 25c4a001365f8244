"""User virtual time and the serial server: the two clocks of one user.

Inside a user's share the fluid cluster serves all of the user's jobs at once: U, *user virtual
time*, is what one unit of job weight has received.  A job that arrives with work L is through when
U reaches its *user deadline* F = U + L / job weight.

The *serial server* receives the same share but serves the jobs one after another, by (F, admission
number).  e is what it has left to do of a job, and the V at which it will be through is the job's
global virtual deadline D:

    V            D_1        D_2                    D_3 = E, the user's virtual end
    |--- e_1/w ---|-- e_2/w --|------- e_3/w -------|

Both are through with everything at the same V, for

    sum of e  =  sum of job weight x (F - U)  =  w x (E - V)

and every correction keeps it so.

A job that turns out to cost more keeps its *turn* at the serial server: the jobs behind it wait
longer, and other users do not pay.  Were it sent back behind those that look smaller now, a user
whose jobs are all under-estimated alike would have each of them begun and none of them finished.
Only a charge that was a guess, and most likely too high, says something when it is overtaken: the
job is one of the large ones, and gives way.

What such a job has *used* already is a *debt*, which the serial server works off before anything
else, so that all of the user's jobs wait for it.  Otherwise a user could go on declaring ever less
and run every new lie ahead of all old debts.

Units: work and e in slot-seconds; V in slot-seconds per unit of weight; U and F in slot-seconds per
unit of job weight.  Anchors and numbers as in ``virtual_time.py``.

Source: UWFQ, arXiv:2510.15485 (two levels, chained deadlines); Friedman and Henderson 2003 (the
serial server is no later than the fluid one); the chain over remaining work and the corrections are
ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any, Final

from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.ordered_sums import OrderedSums
from uwfq_service.core.virtual_time import Number

#: The debt's number in the order of the chain; no job has a negative one.
DEBT_NUMBER: Final = -1

#: A job's place in its user's order: user deadline, admission number, the job's clock.
JobKey = tuple[Number, int, "JobClock"]


class JobClock:
    """What virtual time knows of one job.

    It may outlive the job: the fluid cluster goes on serving what is left of its charge.
    """

    __slots__ = (
        "chained",
        "corrected",
        "deadline",
        "forgotten",
        "job",
        "key",
        "launchable",
        "number",
        "present",
        "probed",
        "running_slots",
        "turn",
        "weight",
    )

    def __init__(self, number: int, weight: int, job: Any = None) -> None:
        self.number = number
        #: Weight among its user's jobs, in millionths.
        self.weight = weight
        #: Whoever owns the clock may keep the job here.
        self.job = job
        #: (F, number, self): F is the user deadline.
        self.key: JobKey | None = None
        #: Likewise, with F as it was at first, or a lower one since: its turn in the chain.
        self.turn: JobKey | None = None
        #: Whether the job is in the virtual system: U has not reached F.
        self.present = False
        #: Whether the serial server has work of it left: e > 0.  After a correction, that may be so
        #: for a while after it has left the virtual system.
        self.chained = False
        #: D once the serial server is done with it; while ``chained`` it is computed.
        self.deadline: Number = None
        #: Whether it has turned out to cost more than it was charged for at first.
        self.corrected = False
        #: For the policy: whether it has a task to launch.
        self.launchable = False
        #: For the policy, while the charge is a guess: slots that its tasks occupy, and whether the
        #: first of them is still to say what the job costs.
        self.running_slots = 0
        self.probed = False
        #: Whether nobody will ask for it any more, once it has left.
        self.forgotten = False

    def let_go(self) -> None:
        """Drop the keys, which name the clock, if only they keep it.

        To be called when it has left the virtual system or the chain.
        """
        if self.forgotten and not self.present and not self.chained:
            self.key = self.turn = None


class UserClock:
    """User virtual time and the serial server of one user (policy ``uwfq``).

    Costs are O(log jobs), amortised, unless said otherwise.
    """

    __slots__ = (
        "_at",
        "_chain_at",
        "_present_weight",
        "_value",
        "chain",
        "debt",
        "debt_end",
        "displaced",
        "exit_entry",
        "number",
        "present",
        "weight",
    )

    def __init__(self, number: int, weight: int, zero: Number) -> None:
        self.number = number
        self.weight = weight
        self.exit_entry: tuple[Number, int, Any] | None = None
        #: The anchor: U was ``_value`` when V was ``_at``.
        self._value = zero
        self._at = zero
        #: V at which the first e of the chain was what is stored.
        self._chain_at = zero
        #: Jobs in the virtual system by (F, number); the values are their weights.
        packed = type(zero) is float
        self.present: OrderedSums[Any, Any] = OrderedSums(packed=packed)
        #: Their sum, in millionths: exact, so it need not be added up anew.
        self._present_weight = 0
        #: Jobs with e > 0 by their turns; the values are e.
        self.chain: OrderedSums[Any, Any] = OrderedSums(packed=packed)
        #: Stands in the chain, ahead of every job, while the user owes for work that was done.
        self.debt = JobClock(DEBT_NUMBER, WEIGHT_SCALE)
        self.debt.turn = (-inf, DEBT_NUMBER, self.debt)
        #: V at which the latest debt is worked off.  No job of the user is more urgent than that,
        #: not even one whose D is fixed: it was served, but at what it pretended to cost.
        self.debt_end = zero
        #: Jobs that have moved since somebody last took this list: into the chain, out of it, or to
        #: another place in it.
        self.displaced: list[JobClock] = []

    # -- looking --------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether the user is virtually active."""
        return self.exit_entry is not None

    def value(self, v: Number) -> Number:
        """U when V is ``v``, up to which the clock must have been synchronised."""
        front = self.present.front_keys
        if not front:
            return self._value
        value = self._value + (v - self._at) * self.weight / self._present_weight
        first = front[0][0]
        return first if first < value else value

    def value_at(self, v: Number) -> Number:
        """U when V is ``v``, without synchronising.  O(jobs that have left since)."""
        value, at, weight = self._value, self._at, self._present_weight
        for key, job_weight in self.present:
            left_at = at + (key[0] - value) * weight / self.weight
            if left_at > v:
                return min(value + (v - at) * self.weight / weight, key[0])
            value, at = max(value, key[0]), max(at, left_at)
            weight -= job_weight
        return value

    @property
    def end(self) -> Number:
        """E: the V at which the user leaves."""
        if not self.chain:
            return self._chain_at
        return self._chain_at + self.chain.total * WEIGHT_SCALE / self.weight

    def deadline(self, job: JobClock) -> Number:
        """D of a job that has arrived."""
        if not job.chained:
            return job.deadline
        return self._chain_at + self.chain.prefix_sum(job.turn) * WEIGHT_SCALE / self.weight

    def jobs(self) -> Iterator[JobClock]:
        """Those that are in the virtual system, then others that are in the chain."""
        for key, _ in self.present:
            yield key[2]
        for turn, _ in self.chain:
            job = turn[2]
            if not job.present and job is not self.debt:
                yield job

    def remaining(self, v: Number) -> Number:
        """Work of the user that the fluid cluster has not done when V is ``v``: the sum of e."""
        if not self.chain:
            return 0 * v
        left = self.chain.total - (v - self._chain_at) * self.weight / WEIGHT_SCALE
        return max(left, 0 * left)

    # -- changing -------------------------------------------------------------------------------

    def sync(self, v: Number) -> None:
        """Bring the user up to V = ``v``: jobs that are served or reached by then leave."""
        self._serve(v)
        present = self.present
        while present.front_keys:
            reached, _, job = present.front_keys[0]
            at = self._at + (reached - self._value) * self._present_weight / self.weight
            if at > v:
                return
            present.pop_first()
            self._present_weight -= job.weight
            if reached > self._value:
                self._value = reached
            if at > self._at:
                self._at = at
            self._departed(job)
            if job.forgotten:
                job.let_go()

    def arrive(self, job: JobClock, work: Number, v: Number) -> None:
        """``job`` brings ``work`` > 0 when V is ``v``; it gets F = U + work / job weight.

        Also for a job that had left and has turned out to cost more.
        """
        self.sync(v)
        self._value = self.value(v)
        self._at = v
        job.key = (self._value + work * WEIGHT_SCALE / job.weight, job.number, job)
        if job.turn is None:
            job.turn = job.key
        job.present = True
        self.present.add(job.key, job.weight)
        self._present_weight += job.weight
        self._chain_add(job, work, v)

    def correct(self, job: JobClock, change: Number, v: Number, *, keeps_turn: bool = True) -> None:
        """``job`` costs ``change`` more (or less, if negative) than it was charged for.

        More: it waits longer, and so do the jobs behind it; a job that had left comes back.  One
        that does not keep its turn goes behind those that look smaller now.  Less:
        what the fluid cluster has not served yet is taken back, from this job first, then from
        those behind it; the rest lapses, for absence earns no credit.
        """
        self.sync(v)
        if change > 0 and not keeps_turn:
            self._give_way(job, change, v)
            return
        if change > 0 and not job.present:
            self.arrive(job, change, v)
            return
        self._anchor(v)
        if change > 0:
            self._move(job, job.key[0] + change * WEIGHT_SCALE / job.weight)  # type: ignore[index]
            self._chain_add(job, change, v)
        elif change < 0 and self.chain:
            taken = -change
            if taken > self.chain.total:
                taken = self.chain.total
            owed = self.debt.chained
            paid_off = self._refund_server(job, taken)
            self._settle(paid_off)
            if owed:
                self._move_debt_end()
            self._refund_fluid(job, taken)
            if paid_off:
                self._settle([other for other in paid_off if other.present and not other.chained])
                for other in paid_off:
                    other.let_go()

    def _give_way(self, job: JobClock, change: Number, v: Number) -> None:
        """``job`` costs ``change`` > 0 more, and its turn is where its new F says."""
        self._anchor(v)
        work = self._unchain(job) + change
        finish = self._value
        if job.present:
            finish = job.key[0]  # type: ignore[index]
            self.present.remove(job.key)
            self._present_weight -= job.weight
        job.key = job.turn = (finish + change * WEIGHT_SCALE / job.weight, job.number, job)
        job.present = True
        self.present.add(job.key, job.weight)
        self._present_weight += job.weight
        self.displaced.append(job)
        self._chain_add(job, work, v)

    def set_weight(self, weight: int, v: Number) -> None:
        """The user's weight is another one from V = ``v`` on; e stays, the deadlines move."""
        self.sync(v)
        self._anchor(v)
        self.weight = weight
        if self.debt.chained:
            self._move_debt_end()

    def leave(self, end: Number) -> None:
        """V has reached the user's end: everything is served, U stays where it is."""
        self.sync(end)
        # What rounding has left is served, too.
        while self.chain:
            job = self.chain.pop_first()[0][2]
            job.chained, job.deadline = False, end
            self.displaced.append(job)
            job.let_go()
        while self.present:
            job = self.present.pop_first()[0][2]
            job.present = False
            self._value = max(self._value, job.key[0])
            job.let_go()
        self._present_weight = 0
        self._at = end

    # -- the serial server ----------------------------------------------------------------------

    def _serve(self, v: Number) -> None:
        chain = self.chain
        while chain.front_keys:
            done_at = self._chain_at + chain.front_values[0] * WEIGHT_SCALE / self.weight
            if done_at > v:
                return
            job = chain.pop_first()[0][2]
            self._chain_at = done_at
            job.chained, job.deadline = False, done_at
            self.displaced.append(job)
            if job.forgotten:
                job.let_go()

    def _anchor(self, v: Number) -> None:
        """Make both anchors stand at V = ``v``, up to which the clock must be synchronised."""
        self._value = self.value(v)
        self._at = v
        self._anchor_chain(v)

    def _anchor_chain(self, v: Number) -> None:
        chain = self.chain
        if chain.front_keys:
            served = (v - self._chain_at) * self.weight / WEIGHT_SCALE
            if served > 0:
                work = chain.front_values[0]
                chain.set_first(work - served if work > served else work * 0)
        self._chain_at = v

    def _chain_add(self, job: JobClock, work: Number, v: Number) -> None:
        chain = self.chain
        if job.chained:
            # It had left the virtual system before the server was through with it.
            chain.increase(job.turn, work)
            return
        front = chain.front_keys
        if not front:
            self._chain_at = v
        elif job.turn < front[0]:
            self._anchor_chain(v)
        chain.add(job.turn, work)
        job.chained = True

    def advance_debt(self, job: JobClock, charged: Number, used: Number, v: Number) -> bool:
        """Of the work that ``job`` is ``charged`` for it has ``used`` so much.

        What of that the serial server has not done yet becomes debt.  Whether there was any.
        """
        self.sync(v)
        if not job.chained:
            return False
        self._anchor_chain(v)
        left = self.chain.value(job.turn)
        owed = used - (charged - left)
        if owed > left:
            owed = left
        if owed <= 0:
            return False
        if owed < left:
            self.chain.set_value(job.turn, left - owed)
        else:
            self._unchain(job)
        self._owe(owed, v)
        if owed == left:
            job.deadline = self.debt_end
        self.displaced.append(job)
        return True

    def _owe(self, amount: Number, v: Number) -> None:
        """Let the serial server work off ``amount`` more before it goes on."""
        debt = self.debt
        if debt.chained:
            self.chain.set_first(self.chain.front_values[0] + amount)
        else:
            self._chain_add(debt, amount, v)
        self._move_debt_end()

    def _move_debt_end(self) -> None:
        """The debt, the weight or the anchor has changed: it is worked off at another V."""
        self.debt_end = self._chain_at
        if self.debt.chained:
            self.debt_end += self.chain.front_values[0] * WEIGHT_SCALE / self.weight

    def _unchain(self, job: JobClock) -> Number:
        if not job.chained:
            return 0 * self._value
        job.chained = False
        return self.chain.remove(job.turn)

    # -- corrections ----------------------------------------------------------------------------

    def _move(self, job: JobClock, finish: Number) -> None:
        """Give ``job`` another F; its turn stays."""
        self.present.remove(job.key)
        job.key = (finish, job.number, job)
        self.present.add(job.key, job.weight)
        self.displaced.append(job)

    def _settle(self, paid_off: list[JobClock]) -> None:
        """Fix the deadlines of jobs that a correction paid off where the chain has them now."""
        for job in paid_off:
            # The sum of nothing is a plain 0, which would make a float of a fraction.
            ahead = 0 * self._chain_at + self.chain.prefix_sum(job.turn)
            job.deadline = self._chain_at + ahead * WEIGHT_SCALE / self.weight

    def _refund_server(self, job: JobClock, amount: Number) -> list[JobClock]:
        """Take ``amount`` off e of ``job``, then off those behind it, then off the front ones.

        Returns the jobs that have no e left; their deadlines are still to be fixed.
        """
        paid_off: list[JobClock] = []
        chain = self.chain
        key = job.turn if job.chained else _key_after(chain, job.turn)
        while amount > 0 and chain:
            if key is None:
                key = chain.first()[0]
            work = chain.value(key)
            if work > amount:
                chain.set_value(key, work - amount)
                return paid_off
            behind = _key_after(chain, key)
            amount -= work
            refunded = key[2]
            chain.remove(key)
            refunded.chained = False
            paid_off.append(refunded)
            self.displaced.append(refunded)
            key = behind
        return paid_off

    def _refund_fluid(self, job: JobClock, amount: Number) -> None:
        """Take ``amount`` off F of ``job``, then of those behind it, then of the front ones."""
        present = self.present
        key = job.key if job.present else _key_after(present, job.key)
        while amount > 0 and present:
            if key is None:
                key = present.first()[0]
            refunded = key[2]
            owed = (key[0] - self._value) * refunded.weight / WEIGHT_SCALE
            chained, left = refunded.chained, self._unchain(refunded)
            if owed > amount:
                self._move(refunded, key[0] - amount * WEIGHT_SCALE / refunded.weight)
                amount = 0 * amount
            else:
                behind = _key_after(present, key)
                amount -= owed
                present.remove(key)
                self._present_weight -= refunded.weight
                refunded.present = False
                # F is reached: everybody else in the virtual system stands behind it from now on.
                refunded.key = (self._value, refunded.number, refunded)
                self.displaced.append(refunded)
                key = behind
            _advance_turn(refunded)
            if chained:
                # Also with nothing left, by rounding: its D is fixed when it is served.
                self.chain.add(refunded.turn, left)
                refunded.chained = True
            refunded.let_go()

    def _departed(self, job: JobClock) -> None:
        """U has reached F of ``job``; what the serial server has left of it keeps its turn."""
        job.present = False

    # -- snapshots ------------------------------------------------------------------------------

    def dump(self) -> list[Any]:
        """Everything but the jobs' own records, as plain values."""
        return [
            self.number,
            self.weight,
            # Where snapshots once had a sum of charges that nobody needs.
            0 * self._value,
            self._value,
            self._at,
            self._chain_at,
            self.debt_end,
            self.present.dump(_key_parts),
            self.chain.dump(_key_parts),
        ]

    @classmethod
    def load(cls, state: list[Any], jobs: dict[int, JobClock]) -> UserClock:
        """The clock that ``dump`` was taken of; ``jobs`` by number, with their keys and turns."""
        number, weight, _, value, at, chain_at, debt_end, present, chain = state
        clock = cls(number, weight, value)
        jobs = {**jobs, DEBT_NUMBER: clock.debt}
        clock._at, clock._chain_at, clock.debt_end = at, chain_at, debt_end
        packed = type(value) is float
        clock.present = OrderedSums.load(present, lambda key: jobs[key[1]].key, packed=packed)
        clock._present_weight = clock.present.total
        clock.chain = OrderedSums.load(chain, lambda key: jobs[key[1]].turn, packed=packed)
        clock.debt.chained = clock.debt.turn in clock.chain
        return clock


def _key_after(order: OrderedSums[Any, Any], key: JobKey | None) -> JobKey | None:
    """The key behind ``key``; ``None`` at the end."""
    item = order.next_after(key)
    return None if item is None else item[0]


def _advance_turn(job: JobClock) -> None:
    """Let a job whose F has come down have its turn as early as that says."""
    if job.key < job.turn:  # type: ignore[operator]
        job.turn = job.key


def _key_parts(key: JobKey) -> tuple[Number, int]:
    """What a snapshot keeps of a key; the rest is the job's clock."""
    return key[0], key[1]
