"""Global virtual deadlines as two chains over the fluid cluster, recomputed from scratch.

``RemainingWorkChain`` (policy ``uwfq``).  Beside its fluid jobs each user has a serial server: it
serves the jobs one at a time in the order of F, at the user's weight per unit of V.  A job whose F
a correction has put off keeps its turn, unless it is said to lose it; one that leaves the fluid
cluster first keeps it, too.  ``owed`` is
what the server has left to do of a job.  A job's deadline is where V will stand when the server is
done with it.  Once the server is done, the deadline stays as it is.

``PaperChain`` (policy ``uwfq_paper``).  The chain starts at the V at which the user became active
and counts whole works, those of the jobs that have left since included.

Both keep one list per user and sort it whenever they look at it.
"""

from __future__ import annotations

from fractions import Fraction

from tests.oracles.fluid import ONE, ZERO, FluidCluster, FluidJob, FluidUser


class DeadlineOracle(FluidCluster):
    """A fluid cluster that gives every job a global virtual deadline."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        #: Deadlines that no longer move.
        self.kept: dict[str, Fraction] = {}

    def virtual_deadline(self, name: str) -> Fraction:
        """D of a job now; of one that has left, as last assigned."""
        job = self.jobs[name]
        return self._chained(job.user).get(name, self.kept.get(name, ZERO))

    def virtual_deadlines(self) -> dict[str, Fraction]:
        """D of every job now."""
        deadlines = dict(self.kept)
        for user in self.users.values():
            deadlines.update(self._chained(user))
        return deadlines

    def deadlines_in_order(self, user: str) -> list[tuple[str, Fraction]]:
        """The user's jobs in the virtual system with their deadlines, in the order of F."""
        return [(job.name, self.virtual_deadline(job.name)) for job in self.users[user].chain]

    def virtual_end(self, user: str) -> Fraction:
        """E: where V will stand when the user leaves, if nothing else happens to that user."""
        owner = self.users[user]
        return self.virtual_time + sum((job.left for job in owner.present), ZERO) / owner.weight

    def _chained(self, user: FluidUser) -> dict[str, Fraction]:
        """The deadlines that the chain of ``user`` implies at this instant."""
        raise NotImplementedError


class RemainingWorkChain(DeadlineOracle):
    """``uwfq``: D_k = V + (what the user's server owes to the first k jobs) / weight."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        #: What the serial server of a job's user has left to do of it, slot-seconds.
        self.owed: dict[str, Fraction] = {}
        #: The order in which it serves: (F, number) at the arrival, or an earlier one since.
        self.turns: dict[str, tuple[Fraction, int]] = {}
        #: Jobs of which the correction in hand has left nothing to do.
        self.emptied: list[FluidJob] = []

    def served(self, user: FluidUser) -> list[FluidJob]:
        """What the server has to do with: jobs that it owes for, in the order of their turns."""
        owed = [job for job in user.jobs if self.owed[job.name] > 0]
        return sorted(owed, key=lambda job: self.turns[job.name])

    def _chained(self, user: FluidUser) -> dict[str, Fraction]:
        deadlines = {}
        ahead = ZERO
        for job in self.served(user):
            ahead += self.owed[job.name]
            if self.owed[job.name] > 0:
                deadlines[job.name] = self.virtual_time + ahead / user.weight
        return deadlines

    def _arrived(self, job: FluidJob, *, was_active: bool) -> None:
        self.owed[job.name] = job.left
        self.turns[job.name] = job.order

    def _serving(self, user: FluidUser, stretch: Fraction) -> None:
        """Let the server work through the chain while V grows by ``stretch``."""
        moment, power = self.virtual_time, stretch * user.weight
        for job in self.served(user):
            served = min(power, self.owed[job.name])
            if served == 0:
                continue
            moment += served / user.weight
            power -= served
            self.owed[job.name] -= served
            if self.owed[job.name] == 0:
                self.kept[job.name] = moment
        assert power == 0, "the server owes as much as the fluid cluster does"

    def _up_to(self, job: FluidJob) -> Fraction:
        """What the server owes to those whose turn is not after that of ``job``."""
        turn = self.turns[job.name]
        return sum(
            (self.owed[o.name] for o in self.served(job.user) if self.turns[o.name] <= turn), ZERO
        )

    def _added(self, job: FluidJob, extra: Fraction, *, was_active: bool, keeps_turn: bool) -> None:
        self.owed[job.name] += extra
        if not keeps_turn:
            self.turns[job.name] = job.order

    def _taking(self, job: FluidJob, chain: list[FluidJob], total: Fraction) -> None:
        self.emptied = []
        turn = self.turns[job.name]
        served = self.served(job.user)
        behind = [other for other in served if self.turns[other.name] >= turn]
        ahead = [other for other in served if self.turns[other.name] < turn]
        for other in [*behind, *ahead]:
            taken = min(total, self.owed[other.name])
            total -= taken
            if taken and taken == self.owed[other.name]:
                self.emptied.append(other)
            self.owed[other.name] -= taken
        self._settle_emptied(self.emptied)

    def _taken(self, user: FluidUser) -> None:
        # Whose F has come down has its turn no later than that.
        for job in user.jobs:
            self.turns[job.name] = min(self.turns[job.name], job.order)
        self._settle_emptied([job for job in self.emptied if job.left > 0])

    def _settle_emptied(self, emptied: list[FluidJob]) -> None:
        """A job that the correction paid off keeps the deadline that the chain then implies."""
        for job in emptied:
            self.kept[job.name] = self.virtual_time + self._up_to(job) / job.user.weight


class PaperChain(DeadlineOracle):
    """``uwfq_paper``: D_k = S + (work of the jobs that left since, and of the first k) / weight."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        #: Whole work of each job, slot-seconds.
        self.work: dict[str, Fraction] = {}
        #: S: V when a user became active.
        self.since: dict[str, Fraction] = {}
        #: C: work of the user's jobs that have left since.
        self.gone: dict[str, Fraction] = {}

    def _chained(self, user: FluidUser) -> dict[str, Fraction]:
        deadlines = {}
        total = self.gone.get(user.name, ZERO)
        for job in user.chain:
            total += self.work[job.name]
            deadlines[job.name] = self.since[user.name] + total / user.weight
        return deadlines

    def _arrived(self, job: FluidJob, *, was_active: bool) -> None:
        self.work[job.name] = job.left
        if not was_active:
            self.since[job.user.name] = self.virtual_time
            self.gone[job.user.name] = ZERO

    def _left(self, user: FluidUser, chain: list[FluidJob], leaving: list[FluidJob]) -> None:
        for job in chain:
            if job in leaving:
                self.gone[user.name] += self.work[job.name]
                self.kept[job.name] = self.since[user.name] + self.gone[user.name] / user.weight

    def _reweighted(self, user: FluidUser, before: Fraction) -> None:
        """Start the chain where it would have started, had the weight always been the new one.

        Only then does it still end where the user leaves.
        """
        if user.active:
            served = (self.virtual_time - self.since[user.name]) * before
            self.since[user.name] = self.virtual_time - served / user.weight


class StageClock:
    """``cfq``: one level of virtual time, shared equally by the active stages.

    A stage is active from the instant it is launchable until V has grown by its work.
    """

    def __init__(self, slots: int) -> None:
        self.now = ZERO
        self.slots = slots
        self.virtual_time = ZERO
        self.deadlines: dict[tuple[str, int], Fraction] = {}

    def launchable(self, now: Fraction, job: str, stage: int, work: Fraction) -> None:
        """A stage of ``work`` slot-seconds can run from now on."""
        self.advance(now)
        self.deadlines[job, stage] = self.virtual_time + work

    def set_slots(self, now: Fraction, slots: int) -> None:
        """The cluster has another number of slots from now on."""
        self.advance(now)
        self.slots = slots

    def advance(self, now: Fraction) -> None:
        """Let V grow until ``now``, one stretch between two departures at a time."""
        while self.now < now:
            ahead = [end for end in self.deadlines.values() if end > self.virtual_time]
            if not ahead or self.slots == 0:
                self.now = now
                return
            pace = Fraction(self.slots, len(ahead)) * ONE
            stretch = min(min(ahead) - self.virtual_time, (now - self.now) * pace)
            self.virtual_time += stretch
            self.now += stretch / pace
