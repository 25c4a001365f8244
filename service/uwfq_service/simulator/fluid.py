"""The fluid reference: when an ideal, infinitely divisible cluster would have finished each job.

R slots are shared among the users who have work, by weight, and each user's share equally among
that user's jobs; a job's parallelism has no limit.  It is what ``algorithm.md`` calls the fluid
cluster, computed here from true work and from nothing that the core computes, so that the two can
be held against each other.

One loop over arrivals and departures: V is the service per unit of weight, U that per job of one
user; each user's next departure lies in one heap by its V.  O(log jobs) per arrival and departure.

Units: seconds, slot-seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
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


def service_curves(run: Run) -> dict[str, Curve]:
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
        #: All its service when V was ``noted_at``, and how it came to that.
        self.total = 0.0
        self.noted_at = 0.0
        self.curve: Curve = []


class FluidCluster:
    """The cluster in the making; ``fluid_cluster`` feeds it."""

    def __init__(self, slots: float, weights: Mapping[str, float], *, curves: bool = False) -> None:
        """``curves``: note each user's service over time, for a plot.  O(active users) a change."""
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
        self._curves = curves
        #: When each job is finished, by the number that ``arrive`` was given.
        self.finishes: dict[int, float] = {}

    def arrive(self, at: float, job: int, user: str, work: float) -> None:
        """``job`` brings ``work`` at the instant ``at``, which never falls."""
        self._run_until(at)
        owner = self._users[user]
        if not owner.jobs:
            # U stands still while its user has no work: being away earns nothing.
            owner.at = owner.noted_at = self._v
            self._active[user] = owner
            self._weight += Fraction(owner.weight)
        else:
            self._catch_up(owner)
        heappush(owner.jobs, (owner.served + work, job))
        self._await_departure(owner)
        self._note()

    def set_slots(self, at: float, slots: float) -> None:
        """The cluster has another number of slots from ``at`` on."""
        self._run_until(at)
        self._slots = slots
        self._note()

    def run_dry(self) -> None:
        """Finish everything."""
        self._run_until(math.inf)

    @property
    def curves(self) -> dict[str, Curve]:
        """Each user's service over time, once everything is finished."""
        return {user.name: user.curve for user in self._users.values()}

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
        """A rate changes: every curve that is not flat gets a corner."""
        if not self._curves:
            return
        for user in self._active.values():
            user.total += (self._v - user.noted_at) * user.weight
            user.noted_at = self._v
            corner = (self._now, user.total)
            if not user.curve or user.curve[-1] != corner:
                user.curve.append(corner)
