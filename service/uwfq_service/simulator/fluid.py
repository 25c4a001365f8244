"""The fluid reference: when an ideal, infinitely divisible cluster would have finished each job.

R slots are shared among the users who have work, by weight, and each user's share equally among
that user's jobs; a job's parallelism has no limit.  The core has such a cluster of its own
(``core/virtual_time.py``); this one is computed from true work and from nothing that the core
computes, so that the two can be held against each other.

One loop over arrivals and departures: V is the service per unit of weight, U that per job of one
user; each user's next departure lies in one heap by its V.  O(log jobs) per arrival and departure.

Units: seconds, slot-seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from heapq import heappop, heappush

from uwfq_service.simulator.runs import Run

#: One user's service so far as a line through points (instant, slot-seconds).
Curve = list[tuple[float, float]]
#: A job that arrives: the instant, its number, its user, its work.
Arrival = tuple[float, int, str, float]


def fluid_cluster(
    arrivals: Iterable[Arrival],
    slots: int,
    capacity: Sequence[tuple[float, int]],
    weights: Mapping[str, float],
    *,
    curves: bool = False,
) -> FluidCluster:
    """The cluster when it has finished everything.

    ``arrivals`` in the order of time; ``capacity``: (instant, slots from then on), ascending,
    after ``slots`` at first.
    """
    cluster = FluidCluster(slots, weights, curves=curves)
    changes = deque(capacity)
    for at, job, user, work in arrivals:
        while changes and changes[0][0] <= at:
            cluster.set_slots(*changes.popleft())
        cluster.arrive(at, job, user, work)
    for at, left in changes:
        cluster.set_slots(at, left)
    cluster.run_dry()
    return cluster


def service_curves(run: Run) -> Mapping[str, Curve]:
    """What the fluid cluster gives each user over time, for the jobs of ``run`` as they came."""
    arrivals = sorted((job.submit, index, job.user, job.work) for index, job in enumerate(run.jobs))
    return fluid_cluster(arrivals, run.slots, run.capacity, run.weights, curves=True).curves


class _User:
    """One user in the fluid cluster."""

    def __init__(self, name: str, weight: float) -> None:
        self.name = name
        self.weight = weight
        #: Service per job (U) when V was ``at``.
        self.served = 0.0
        self.at = 0.0
        #: Heap of (U at which it is finished, job).
        self.jobs: list[tuple[float, int]] = []
        #: Number of the valid entry in the heap of departures.
        self.entry = 0
        #: Corners of the clock at which it came, left, came again…
        self.stays: list[int] = []


class ServiceCurves(Mapping[str, Curve]):
    """Each user's service over time, from the cluster's clock: made when it is asked for.

    With every change of a rate there is a corner in the curve of every user who is there: too many
    to keep for all of them.
    """

    def __init__(self, clock: Curve, users: Mapping[str, _User]) -> None:
        """``clock``: V at every instant at which its rate changes."""
        self._clock = clock
        self._users = users

    def __getitem__(self, name: str) -> Curve:
        """The curve of one user.  O(corners while it was there)."""
        user = self._users[name]
        curve: Curve = []
        before = 0.0
        for came, left in zip(user.stays[::2], user.stays[1::2], strict=True):
            begin = self._clock[came][1]
            curve += [
                (at, before + (v - begin) * user.weight) for at, v in self._clock[came : left + 1]
            ]
            before = curve[-1][1]
        return curve

    def __iter__(self) -> Iterator[str]:
        return iter(self._users)

    def __len__(self) -> int:
        return len(self._users)


class FluidCluster:
    """The cluster in the making; ``fluid_cluster`` feeds it."""

    def __init__(self, slots: float, weights: Mapping[str, float], *, curves: bool = False) -> None:
        """``curves``: note what each user's service over time follows from, for a plot."""
        self._slots = slots
        self._users = {name: _User(name, weight) for name, weight in weights.items()}
        self._active: dict[str, _User] = {}
        #: Summed weight of the active users; exact, so that it comes back to 0.
        self._weight = Fraction(0)
        self._now = 0.0
        self._v = 0.0
        #: Heap of (V at which a user's next job is finished, entry, user).
        self._departures: list[tuple[float, int, _User]] = []
        self._entries = 0
        #: (instant, V) wherever a rate changes; ``None``: nobody wants curves.
        self._clock: Curve | None = [] if curves else None
        #: When each job is finished, by the number that ``arrive`` was given.
        self.finishes: dict[int, float] = {}

    def arrive(self, at: float, job: int, user: str, work: float) -> None:
        """``job`` brings ``work`` at the instant ``at``, which never falls."""
        self._run_until(at)
        owner = self._users[user]
        self._note()
        if not owner.jobs:
            # U stands still while its user has no work: being away earns nothing.
            owner.at = self._v
            self._active[user] = owner
            self._weight += Fraction(owner.weight)
            self._note_stay(owner)
        else:
            self._catch_up(owner)
        heappush(owner.jobs, (owner.served + work, job))
        self._await_departure(owner)

    def set_slots(self, at: float, slots: float) -> None:
        """The cluster has another number of slots from ``at`` on."""
        self._run_until(at)
        self._slots = slots
        self._note()

    def run_dry(self) -> None:
        """Finish everything."""
        self._run_until(math.inf)

    @property
    def curves(self) -> ServiceCurves:
        """Each user's service over time, once everything is finished."""
        return ServiceCurves(self._clock or [], self._users)

    def _run_until(self, at: float) -> None:
        while self._active and self._slots:
            v, entry, user = self._departures[0]
            if user.entry != entry:
                heappop(self._departures)
                continue
            leaves = self._now + (v - self._v) * float(self._weight) / self._slots
            if leaves > at:
                break
            self._v, self._now = v, max(self._now, leaves)
            self._depart(user)
        if at < math.inf:
            if self._active:
                self._v += (at - self._now) * self._slots / float(self._weight)
            self._now = at

    def _depart(self, user: _User) -> None:
        heappop(self._departures)
        self._catch_up(user)
        # To the last bit what it was promised: rounding must not keep its next job waiting.
        user.served, job = heappop(user.jobs)
        self.finishes[job] = self._now
        self._note()
        if user.jobs:
            self._await_departure(user)
        else:
            del self._active[user.name]
            self._weight -= Fraction(user.weight)
            self._note_stay(user)

    def _catch_up(self, user: _User) -> None:
        user.served += (self._v - user.at) * user.weight / len(user.jobs)
        user.at = self._v

    def _await_departure(self, user: _User) -> None:
        self._entries += 1
        user.entry = self._entries
        left = max(0.0, user.jobs[0][0] - user.served)
        heappush(
            self._departures, (self._v + left * len(user.jobs) / user.weight, user.entry, user)
        )

    def _note(self) -> None:
        """A rate changes: the clock gets a corner."""
        if self._clock is None:
            return
        corner = (self._now, self._v)
        if not self._clock or self._clock[-1] != corner:
            self._clock.append(corner)

    def _note_stay(self, user: _User) -> None:
        """A user comes or leaves at the last corner."""
        if self._clock is not None:
            user.stays.append(len(self._clock) - 1)
