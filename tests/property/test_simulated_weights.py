"""What users are served while all of them have work waiting: in the simulator, over ten minutes.

Service is measured by what ran: every launch, clipped at the horizon.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import combinations

import pytest

from uwfq_service.simulator.runs import Options, Run
from uwfq_service.simulator.workload import JobSpec, StageSpec, UserSpec, Workload
from uwfq_service.simulator.world import simulate

SLOTS = 7
MINUTES = 10
HORIZON = 60.0 * MINUTES
WEIGHTS = {"one": 1.0, "two": 2.0, "four": 4.0}
#: A job: so many tasks of so many seconds.
TASKS, RUNTIME = 10, 1.5
WORK = TASKS * RUNTIME


def backlog(weights: Mapping[str, float], said: Mapping[str, float], *, ever_new: bool) -> Workload:
    """Users who have jobs waiting until the horizon and beyond.

    ``said``: what each says a job costs, over what it does.  ``ever_new``: a few jobs wait at any
    time and others follow as soon as one is done; otherwise everything waits from the beginning.
    """
    jobs: list[JobSpec] = []
    waiting = 4
    for user, weight in weights.items():
        needed = SLOTS * HORIZON * weight / sum(weights.values()) / WORK
        for number in range(int(needed * 1.3) + 2 * waiting):
            follows = ever_new and number >= waiting
            jobs.append(
                JobSpec(
                    job=f"{user}-{number}",
                    user=user,
                    after=f"{user}-{number - waiting}" if follows else None,
                    estimate=WORK * said.get(user, 1.0),
                    stages=(StageSpec(stage="s", tasks=(RUNTIME,) * TASKS),),
                )
            )
    users = tuple(UserSpec(user=user, weight=weight) for user, weight in weights.items())
    return Workload(version=1, name="backlog", slots=SLOTS, users=users, jobs=tuple(jobs))


@cache
def exact_run(*, ever_new: bool) -> Run:
    """Everybody declares the truth."""
    workload = backlog(WEIGHTS, {}, ever_new=ever_new)
    return simulate(workload, Options(), keep_launches=True)


def service(run: Run, until: float) -> dict[str, float]:
    """Slot-seconds that each user was served until then."""
    served = dict.fromkeys(run.weights, 0.0)
    for launch in run.launches:
        served[run.jobs[launch.job].user] += max(0.0, min(launch.end, until) - launch.start)
    return served


def all_backlogged(run: Run) -> bool:
    """Whether everybody had something waiting until the horizon."""
    last: dict[str, float] = {}
    for launch in run.launches:
        user = run.jobs[launch.job].user
        last[user] = max(last.get(user, 0.0), launch.start)
    return min(last.values()) > HORIZON


@pytest.mark.parametrize("ever_new", [False, True], ids=["all at once", "one after another"])
def test_service_is_in_the_ratio_of_the_weights(ever_new: bool) -> None:
    """Weights 1 : 2 : 4, within 2 %; and at every minute within a few tasks."""
    run = exact_run(ever_new=ever_new)
    assert all_backlogged(run)
    served = service(run, HORIZON)
    assert sum(served.values()) == pytest.approx(SLOTS * HORIZON)
    total = sum(WEIGHTS.values())
    for user, weight in WEIGHTS.items():
        assert served[user] == pytest.approx(SLOTS * HORIZON * weight / total, rel=0.02), user
    for minute in range(1, MINUTES):
        served = service(run, 60.0 * minute)
        for user, weight in WEIGHTS.items():
            owed = SLOTS * 60.0 * minute * weight / total
            # A job, and the slots' worth of tasks under way.
            assert abs(served[user] - owed) <= WORK + SLOTS * RUNTIME, f"{user}, minute {minute}"


#: What each user says a job costs, over what it does.
SAID = {"honest": 1.0, "under": 0.1, "over": 10.0}


def too_far_apart(weights: Mapping[str, float], *, ever_new: bool) -> list[str]:
    """When two users' service per weight differs by more than it may, as sentences."""
    workload = backlog(weights, SAID, ever_new=ever_new)
    run = simulate(workload, Options(estimates="declared"), keep_launches=True)
    assert all_backlogged(run)
    found = []
    for instant in range(10, int(HORIZON) + 1, 10):
        served = service(run, float(instant))
        for one, other in combinations(weights, 2):
            apart = abs(served[one] / weights[one] - served[other] / weights[other])
            # A job as it is, one as the bolder pretends it to be, and the tasks under way.
            bound = WORK + WORK * max(1.0, SAID[one], SAID[other]) + 2 * SLOTS * RUNTIME
            if apart > bound:
                found.append(f"after {instant} s {one} and {other} are {apart:g} apart")
    return found


@pytest.mark.parametrize(
    "weights",
    [
        {"honest": 1.0, "under": 1.0, "over": 1.0},
        {"honest": 1.0, "under": 2.0, "over": 4.0},
        {"honest": 4.0, "under": 1.0, "over": 2.0},
    ],
)
def test_what_users_declare_does_not_pay(weights: dict[str, float]) -> None:
    """One says a tenth of the truth, one ten times as much: service per weight stays together.

    The difference is bounded: it does not grow with the minutes, nor with the jobs.
    """
    assert not too_far_apart(weights, ever_new=True)


def test_hundreds_of_lies_at_once_do_not_change_that() -> None:
    """The same bound when all jobs are there from the beginning."""
    assert not too_far_apart({"honest": 1.0, "under": 1.0}, ever_new=False)


def test_the_bound_is_not_met_by_a_policy_that_believes() -> None:
    """Without the correction of estimates the one who says a tenth gets ten times as much."""
    workload = backlog({"honest": 1.0, "under": 1.0}, {"under": 0.1}, ever_new=False)
    run = simulate(workload, Options(policy="uwfq_paper", estimates="declared"), keep_launches=True)
    served = service(run, HORIZON / 2)
    assert served["under"] - served["honest"] > 5 * (2 * WORK + 2 * SLOTS * RUNTIME)
