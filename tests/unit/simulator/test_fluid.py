"""The simulator's fluid cluster against the exact model, which is stepped in fractions."""

from __future__ import annotations

import random
import tracemalloc
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import pytest

from tests.oracles.documents import document
from tests.oracles.fluid import ZERO
from tests.oracles.fluid import FluidCluster as ExactCluster
from tests.oracles.workloads import random_workload
from uwfq_service.simulator.fluid import Arrival, Curve, fluid_cluster, service_curves
from uwfq_service.simulator.runs import Faults, Options
from uwfq_service.simulator.world import simulate

SEEDS = range(150)


class Story(NamedTuple):
    """What happens to a cluster."""

    slots: int
    weights: dict[str, float]
    arrivals: list[Arrival]
    #: (instant, slots from then on), ascending; there are slots in the end.
    capacity: list[tuple[float, int]]


def story(seed: int, *, changes: bool = False) -> Story:
    """A random one: on a grid of eighths, where instants coincide, or off it; short or long."""
    rng = random.Random(seed)
    scale = rng.choice([1, 1, 1000])
    users = [f"user{number}" for number in range(rng.randint(1, 5))]
    weights = {user: rng.choice([0.5, 1.0, 2.0, rng.uniform(0.01, 5)]) for user in users}

    def amount(value: float) -> float:
        return round(value * 8) / 8 if seed % 2 else value

    drafts = sorted(
        (
            amount(rng.uniform(0, 20) * scale),
            rng.choice(users),
            amount(rng.lognormvariate(1, 1.3) * scale),
        )
        for _ in range(rng.randint(1, 30))
    )
    arrivals = [(at, job, user, work) for job, (at, user, work) in enumerate(drafts)]
    slots = rng.randint(1, 8)
    capacity: list[tuple[float, int]] = []
    if changes:
        instants = sorted({amount(rng.uniform(0, 25) * scale) for _ in range(rng.randint(1, 8))})
        capacity = [(at, rng.randint(0, 8)) for at in instants]
        capacity.append((instants[-1] + scale, slots))
    return Story(slots, weights, arrivals, capacity)


def exact_finishes(told: Story) -> dict[str, Fraction]:
    """The finish of each job in the exact model, seconds."""
    exact = ExactCluster(told.slots)
    for user, weight in told.weights.items():
        exact.set_weight(ZERO, user, Fraction(weight))
    changes = list(told.capacity)
    for at, job, user, work in told.arrivals:
        while changes and changes[0][0] <= at:
            instant, slots = changes.pop(0)
            exact.set_slots(Fraction(instant), slots)
        exact.arrive(Fraction(at), str(job), user, Fraction(work))
    for instant, slots in changes:
        exact.set_slots(Fraction(instant), slots)
    exact.run_dry()
    return {name: job.finish for name, job in exact.jobs.items() if job.finish is not None}


@pytest.mark.parametrize("changes", [False, True], ids=["steady", "slots come and go"])
def test_jobs_finish_when_the_exact_model_says(changes: bool) -> None:
    """Whatever the arrivals, the weights and the slots (0 at times): to 1e-9 of the instant."""
    for seed in SEEDS:
        told = story(seed, changes=changes)
        finishes = fluid_cluster(told.arrivals, told.slots, told.capacity, told.weights).finishes
        exact = exact_finishes(told)
        assert exact
        for name, finish in exact.items():
            found = finishes[int(name)]
            assert found == pytest.approx(float(finish), rel=1e-9, abs=1e-9), f"seed {seed}: {name}"


def test_a_job_without_work_is_finished_when_it_arrives() -> None:
    """Also while others are being served, and while nobody is."""
    arrivals = [(0.0, 0, "a", 4.0), (1.0, 1, "b", 0.0), (9.0, 2, "a", 0.0)]
    finishes = fluid_cluster(arrivals, 1, [], {"a": 1.0, "b": 2.0}).finishes
    assert finishes == {0: 4.0, 1: 1.0, 2: 9.0}


def test_an_example_by_hand() -> None:
    """Of 4 slots, weight 3 gets 3 until b is away; then a's two jobs have 2 each."""
    arrivals = [(0.0, 0, "a", 4.0), (0.0, 1, "b", 6.0), (2.0, 2, "a", 3.0)]
    # At t = 2: b has its 6, a 2 of 4.  From then on 2 for each job of a: 2 left of one, 3 of the
    # other; at t = 3 the first is finished, and the last slot-second takes a quarter.
    cluster = fluid_cluster(arrivals, 4, [], {"a": 1.0, "b": 3.0}, curves=True)
    assert cluster.finishes == {0: 3.0, 1: 2.0, 2: 3.25}
    assert cluster.curves == {
        "a": [(0.0, 0.0), (2.0, 2.0), (3.0, 6.0), (3.25, 7.0)],
        "b": [(0.0, 0.0), (2.0, 6.0)],
    }


def test_slots_that_are_away_serve_nobody() -> None:
    """The rest waits until they are back."""
    finishes = fluid_cluster([(0.0, 0, "a", 4.0)], 2, [(1.0, 0), (5.0, 1)], {"a": 1.0}).finishes
    assert finishes == {0: 7.0}


# ---------------------------------------------------------------------- curves


def slope(curve: Curve, begin: float, end: float) -> float:
    """Service per second between two instants that have no corner between them."""
    middle = (begin + end) / 2
    for (left, before), (right, after) in pairwise(curve):
        if left <= middle <= right:
            return (after - before) / (right - left) if right > left else 0.0
    return 0.0


@pytest.mark.parametrize("changes", [False, True], ids=["steady", "slots come and go"])
def test_curves_rise_to_each_users_work_and_share_the_slots(changes: bool) -> None:
    """They never fall, end at the work, and together they never rise faster than the slots."""
    for seed in SEEDS:
        told = story(seed, changes=changes)
        curves = fluid_cluster(
            told.arrivals, told.slots, told.capacity, told.weights, curves=True
        ).curves
        for user, curve in curves.items():
            work = sum(arrival[3] for arrival in told.arrivals if arrival[2] == user)
            assert (curve[-1][1] if curve else 0.0) == pytest.approx(work, rel=1e-9), f"seed {seed}"
            assert all(
                left <= right and before <= after
                for (left, before), (right, after) in pairwise(curve)
            )
        # Between two corners of any curve every rate stands still.
        corners = sorted(
            {at for curve in curves.values() for at, _ in curve} | {at for at, _ in told.capacity}
        )
        for begin, end in pairwise(corners):
            if end - begin < 1e-6 * max(1.0, end):
                continue
            slots = next((s for at, s in reversed(told.capacity) if at <= begin), told.slots)
            served = sum(slope(curve, begin, end) for curve in curves.values())
            assert served <= slots * (1 + 1e-6), f"seed {seed}, from {begin} to {end}"


def test_the_curves_of_a_run_follow_its_workers() -> None:
    """``service_curves`` takes submissions and capacity as they were in the run."""
    workload = document(random_workload("mixed", 3))
    faults = Faults(worker_uptime=8.0, worker_downtime=3.0)
    run = simulate(workload, Options(workers=min(3, workload.slots), seed=2, faults=faults))
    assert run.capacity
    curves = service_curves(run)
    assert set(curves) == set(run.weights)
    for user, curve in curves.items():
        jobs = [job for job in run.jobs if job.user == user]
        assert curve[-1][1] == pytest.approx(sum(job.work for job in jobs))
        assert curve[-1][0] == pytest.approx(max(job.fluid_finish for job in jobs))


def test_curves_of_many_users_take_little_room() -> None:
    """A rate changes for all who are there; that it did is noted once, and not for each of them."""
    users = [f"user{number}" for number in range(1_000)]
    arrivals = [(float(number), number, user, 5.0) for number, user in enumerate(users)]
    tracemalloc.start()
    try:
        curves = fluid_cluster(arrivals, 2, [], dict.fromkeys(users, 1.0), curves=True).curves
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert curves["user0"][-1][1] == pytest.approx(5.0)
    assert len(curves["user500"]) > 400
    assert kept < 3_000_000
