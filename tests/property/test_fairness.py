"""What fairness between users means, seen from outside: service received, order, work conservation.

The truth is always the tasks' real runtimes; what users declare may be anything.
"""

from __future__ import annotations

import random
from fractions import Fraction

import msgspec
import pytest

from tests.oracles.fluid import ZERO
from tests.oracles.subjects import CoreSubject
from tests.oracles.workloads import FAMILIES, JobPlan, Workload, one_stage, random_workload
from tests.oracles.world import Run, World
from uwfq_service.core.policy.uwfq import UwfqPolicy

SECOND = Fraction(1)


def play(workload: Workload, policy: str = "uwfq") -> Run:
    """Run ``workload`` under the core."""
    return World(workload, CoreSubject(workload, policy, number=float)).play()


def backlogged(
    user: str, jobs: int, tasks: int, *, declared: Fraction | None = None, task: Fraction = SECOND
) -> list[JobPlan]:
    """``jobs`` jobs of ``tasks`` tasks each at time 0, whatever the user says they cost."""
    return [
        JobPlan(
            f"{user}{number}",
            user,
            ZERO,
            one_stage("", "", 0, [task] * tasks).stages,
            declared=declared,
        )
        for number in range(jobs)
    ]


@pytest.mark.parametrize("weights", [(1, 2, 4), (1, 1, 1), (5, 1, 3)])
def test_backlogged_users_are_served_by_weight(weights: tuple[int, ...]) -> None:
    """While all have work waiting, service per weight differs by a few tasks at most."""
    names = [f"user{number}" for number in range(len(weights))]
    jobs = [job for name in names for job in backlogged(name, 30, 20)]
    workload = Workload(
        "weights", 7, tuple(jobs), dict(zip(names, map(Fraction, weights), strict=True))
    )
    run = play(workload)
    for end in (20, 40, 60):
        served = [run.service(name, ZERO, Fraction(end)) for name in names]
        shares = [Fraction(7 * end * weight, sum(weights)) for weight in weights]
        # A job of 20 and the slots' worth of tasks under way.
        assert all(abs(got - owed) <= 20 + 7 for got, owed in zip(served, shares, strict=True))


@pytest.mark.parametrize("pieces", [2, 10, 100])
def test_splitting_work_over_more_jobs_gains_nothing(pieces: int) -> None:
    """The same work in 1 or in 100 jobs gets the same total service, and is through as early."""
    others = backlogged("other", 50, 8)

    def served(jobs: int) -> tuple[Fraction, Fraction]:
        run = play(Workload("pieces", 4, (*backlogged("me", jobs, 200 // jobs), *others)))
        last = max(run.finish[name] for name in run.finish if name.startswith("me"))
        return last, run.service("me", ZERO, last)

    (last, service), (last_of_one, service_of_one) = served(pieces), served(1)
    assert service == service_of_one == 200
    # The other user's jobs of 8 on 4 slots, and a task on either side.
    assert abs(last - last_of_one) <= Fraction(8, 4) + 2


@pytest.mark.parametrize("factor", [Fraction(1, 10), Fraction(1, 3), Fraction(3)])
def test_what_a_user_declares_does_not_pay(factor: Fraction) -> None:
    """Over a busy period, service differs by a bounded amount whatever is declared.

    Forty jobs wait at once on either side: a gain per job would be forty times as large.
    """
    tasks, slots = 10, 4
    honest = backlogged("honest", 40, tasks, declared=Fraction(tasks))
    liar = backlogged("liar", 40, tasks, declared=tasks * factor)
    run = play(Workload("declared", slots, (*honest, *liar)))
    # A job as it is and one as it pretends to be, and the tasks under way.
    bound = tasks + tasks * max(factor, Fraction(1)) + 2 * slots
    for end in range(10, 160, 10):
        served = [run.service(user, ZERO, Fraction(end)) for user in ("honest", "liar")]
        assert abs(served[0] - served[1]) <= bound, f"after {end} s: {served}"


def test_lying_anew_does_not_outrun_old_debts() -> None:
    """Who submits one under-declared job after another pays for each before the next."""
    honest = backlogged("honest", 60, 10)
    liar = [
        JobPlan(
            f"liar{number}",
            "liar",
            Fraction(number),
            one_stage("", "", 0, [SECOND] * 10).stages,
            declared=SECOND,
        )
        for number in range(60)
    ]
    jobs = sorted((*honest, *liar), key=lambda job: job.submit)
    run = play(Workload("ever new lies", 4, tuple(jobs)))
    for end in range(20, 200, 20):
        served = [run.service(user, ZERO, Fraction(end)) for user in ("honest", "liar")]
        assert served[1] - served[0] <= 2 * 10 + 2 * 4, f"after {end} s: {served}"


def test_a_debt_is_not_forgiven_by_absence() -> None:
    """Who under-declared, left virtual time and comes back owes what was not charged."""
    debtor = JobPlan("lie", "debtor", ZERO, one_stage("", "", 0, [SECOND] * 40).stages)
    debtor = JobPlan(debtor.name, debtor.user, ZERO, debtor.stages, declared=Fraction(1, 10))
    honest = backlogged("honest", 10, 10)
    again = one_stage("again", "debtor", 1, [SECOND] * 40)
    run = play(Workload("debt", 2, (debtor, *honest, again)))
    served = [run.service(user, ZERO, Fraction(40)) for user in ("honest", "debtor")]
    assert abs(served[0] - served[1]) <= 20


@pytest.mark.parametrize("policy", ["fifo", "fair", "ujf", "cfq", "uwfq_paper", "uwfq"])
def test_no_slot_idles_while_something_is_launchable(policy: str) -> None:
    """After every event each free slot of a polling worker has been offered all that fits."""
    for seed in range(6):
        family = sorted(FAMILIES)[seed % len(FAMILIES)]
        workload = random_workload(family, seed, stages=2)
        subject = CoreSubject(workload, policy, number=float)
        world = World(workload, subject)
        (pool,) = subject.scheduler.pools.values()

        def watch(
            now: Fraction,
            world: World = world,
            subject: CoreSubject = subject,
            name: str = pool.name,
        ) -> None:
            assert not (world.free and subject.scheduler.has_launchable(name)), f"idle at {now}"

        world.watch = watch
        world.play()


def test_virtual_time_never_falls_and_stands_still_when_nobody_is_active() -> None:
    """Item 1, on floats, at every event of many workloads."""
    for seed in range(10):
        family = random.Random(seed).choice(sorted(FAMILIES))
        workload = random_workload(family, seed)
        subject = CoreSubject(workload, "uwfq", number=float)
        world = World(workload, subject)
        (pool,) = subject.scheduler.pools.values()
        policy = pool.policy
        assert isinstance(policy, UwfqPolicy)
        seen = [(0.0, 0.0, False)]

        def watch(
            now: Fraction,
            policy: UwfqPolicy = policy,
            seen: list[tuple[float, float, bool]] = seen,
        ) -> None:
            policy.advance(float(now))
            v, idle = policy.virtual_time(float(now)), not policy.active_users()
            _, before, was_idle = seen[-1]
            assert v >= before
            assert not (was_idle and idle) or v == before
            seen.append((float(now), v, idle))

        world.watch = watch
        world.play()


@pytest.mark.parametrize("policy", ["fair", "cfq", "uwfq_paper", "uwfq"])
def test_the_same_commands_give_the_same_events_byte_for_byte(policy: str) -> None:
    """Item 6: nothing depends on hashing, on memory addresses, or on chance."""
    encoded = []
    for _ in range(2):
        workload = random_workload("mixed", 3, stages=3, wide=True)
        subject = CoreSubject(workload, policy, number=float)
        World(workload, subject).play()
        encoded.append(msgspec.msgpack.encode(subject.events))
    assert encoded[0] == encoded[1]
