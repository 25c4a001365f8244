"""The fluid cluster (UJF), stepped from event to event.

Picture a cluster of R slots that can be divided without limit.  At every moment each active user
gets a part of R by weight, and each of the user's active jobs a part of that by job weight.  A job
is active until it has received its work.  That is all; the rest is bookkeeping:

- global virtual time V: the service that one unit of user weight has received;
- user virtual time U: the service that one unit of job weight has received from that user;
- user deadline F of a job: the U at which it will have received its work.

The model keeps what each job has left to receive and nothing else about it, so F is derived here
(F = U + left / job weight) where the algorithm stores it.

Units: seconds, slot-seconds, slot-seconds per unit of weight; all exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

ZERO = Fraction(0)
ONE = Fraction(1)


@dataclass(slots=True, eq=False)
class FluidJob:
    """One job in the fluid cluster."""

    name: str
    user: FluidUser
    #: Position in the order of arrival: the tie-breaker.
    number: int
    job_weight: Fraction
    #: Fluid work that it has still to receive; 0: it has left the virtual system.
    left: Fraction
    #: U of its user when it left last.
    left_at: Fraction = ZERO
    #: When it left last, seconds.
    finish: Fraction | None = None

    @property
    def user_deadline(self) -> Fraction:
        """F: the user virtual time at which it leaves (or left)."""
        if self.left == 0:
            return self.left_at
        return self.user.virtual_time + self.left / self.job_weight

    @property
    def order(self) -> tuple[Fraction, int]:
        """Place among the jobs of its user."""
        return (self.user_deadline, self.number)


@dataclass(slots=True, eq=False)
class FluidUser:
    """One user in the fluid cluster."""

    name: str
    weight: Fraction = ONE
    #: U: never reset, and standing still while the user has no active job.
    virtual_time: Fraction = ZERO
    jobs: list[FluidJob] = field(default_factory=list)

    @property
    def present(self) -> list[FluidJob]:
        """The jobs in the virtual system."""
        return [job for job in self.jobs if job.left > 0]

    @property
    def chain(self) -> list[FluidJob]:
        """The jobs in the virtual system, in the order in which they will leave it."""
        return sorted(self.present, key=lambda job: job.order)

    @property
    def active(self) -> bool:
        """Whether any job is in the virtual system."""
        return any(job.left > 0 for job in self.jobs)

    @property
    def speed(self) -> Fraction:
        """How fast U grows while V grows: the user's weight over the summed weight of its jobs."""
        return self.weight / sum((job.job_weight for job in self.present), ZERO)


class FluidCluster:
    """R slots shared among active users, and each share among the user's active jobs.

    Every method takes the instant it happens at; instants never fall.
    """

    def __init__(self, slots: int) -> None:
        self.now = ZERO
        self.slots = slots
        self.virtual_time = ZERO
        self.users: dict[str, FluidUser] = {}
        self.jobs: dict[str, FluidJob] = {}

    # What happens to the cluster.

    def arrive(
        self, now: Fraction, name: str, user: str, work: Fraction, job_weight: Fraction = ONE
    ) -> FluidJob:
        """A job of ``work`` slot-seconds arrives."""
        self.advance(now)
        owner = self.users.setdefault(user, FluidUser(user))
        was_active = owner.active
        job = FluidJob(name, owner, len(self.jobs), job_weight, left=work)
        self.jobs[name] = job
        owner.jobs.append(job)
        self._arrived(job, was_active=was_active)
        return job

    def set_weight(self, now: Fraction, user: str, weight: Fraction) -> None:
        """``user`` has another weight from now on."""
        self.advance(now)
        owner = self.users.setdefault(user, FluidUser(user))
        before, owner.weight = owner.weight, weight
        self._reweighted(owner, before)

    def set_slots(self, now: Fraction, slots: int) -> None:
        """The cluster has another number of slots from now on."""
        self.advance(now)
        self.slots = slots

    def add_work(
        self, now: Fraction, name: str, extra: Fraction, *, keeps_turn: bool = True
    ) -> None:
        """A job turns out to need ``extra`` more; if it had left, it comes back with that.

        ``keeps_turn``: see ``deadlines.py``.
        """
        self.advance(now)
        job = self.jobs[name]
        was_active = job.user.active
        job.left += extra
        job.finish = None
        self._added(job, extra, was_active=was_active, keeps_turn=keeps_turn)

    def take_work(self, now: Fraction, name: str, less: Fraction) -> None:
        """A job turns out to need ``less`` less.

        What it has not left to give is taken from the jobs behind it, then from those ahead from
        the front, as far as there is anything; the rest lapses.
        """
        self.advance(now)
        job = self.jobs[name]
        chain = job.user.chain
        ring = ring_from(job, chain)
        total = min(less, sum((other.left for other in chain), ZERO))
        self._taking(job, chain, total)
        for other in ring:
            taken = min(total, other.left)
            other.left -= taken
            total -= taken
        self._depart(job.user, chain, ring)
        self._taken(job.user)

    # Time.

    def advance(self, now: Fraction) -> None:
        """Serve until ``now``, one stretch between two departures at a time."""
        assert now >= self.now, "time never runs back"
        while self.now < now:
            active = [user for user in self.users.values() if user.active]
            if not active or self.slots == 0:
                self.now = now
                return
            pace = self.slots / sum((user.weight for user in active), ZERO)
            until_departure = min(
                min(job.left / job.job_weight for job in user.present) / user.speed
                for user in active
            )
            stretch = min(until_departure, (now - self.now) * pace)
            self.now += stretch / pace
            self._run(active, stretch)

    def run_dry(self) -> None:
        """Serve until every job has its work."""
        while any(user.active for user in self.users.values()):
            assert self.slots > 0, "a cluster without slots never runs dry"
            work = sum((job.left for job in self.jobs.values()), ZERO)
            self.advance(self.now + work / self.slots)

    def _run(self, active: list[FluidUser], stretch: Fraction) -> None:
        """Let V grow by ``stretch``, up to the next departure at most."""
        for user in active:
            self._serving(user, stretch)
        self.virtual_time += stretch
        for user in active:
            chain, gain = user.chain, stretch * user.speed
            user.virtual_time += gain
            for job in chain:
                job.left -= gain * job.job_weight
            self._depart(user, chain)

    def _depart(
        self, user: FluidUser, chain: list[FluidJob], order: list[FluidJob] | None = None
    ) -> None:
        """Let those of ``chain``, which is in order, leave that have received all.

        They leave in that order, or in another ``order``.
        """
        leaving = [job for job in order or chain if job.left == 0 and job in chain]
        for job in leaving:
            job.left_at = user.virtual_time
            job.finish = self.now
        if leaving:
            self._left(user, chain, leaving)

    # What the chains of deadlines, built upon this, want to know.

    def _arrived(self, job: FluidJob, *, was_active: bool) -> None: ...

    def _reweighted(self, user: FluidUser, before: Fraction) -> None: ...

    def _added(
        self, job: FluidJob, extra: Fraction, *, was_active: bool, keeps_turn: bool
    ) -> None: ...

    def _taking(self, job: FluidJob, chain: list[FluidJob], total: Fraction) -> None: ...

    def _taken(self, user: FluidUser) -> None: ...

    def _serving(self, user: FluidUser, stretch: Fraction) -> None: ...

    def _left(self, user: FluidUser, chain: list[FluidJob], leaving: list[FluidJob]) -> None: ...


def ring_from(job: FluidJob, chain: list[FluidJob]) -> list[FluidJob]:
    """``chain`` from ``job`` on to its end, then from its front; all of it if ``job`` has left."""
    behind = [other for other in chain if other.order > job.order]
    ahead = [other for other in chain if other.order < job.order]
    return [job, *behind, *ahead] if job in chain else [*behind, *ahead]
