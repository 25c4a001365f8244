"""Built-in scenarios: the same seed, the same bytes; and each is what its name says.

The numbers in here are bands, so that a scenario can be redrawn without touching its test; except
those in ``DRAWN``: whoever changes what a seed draws changes what published results were about.
"""

import math
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest

from tests.shared_workloads import shared_workload
from uwfq_service.core.estimation import Estimator, Source
from uwfq_service.simulator.outline import outline
from uwfq_service.simulator.runs import Options
from uwfq_service.simulator.scenarios import SCENARIOS, UnknownScenario, about, scenario
from uwfq_service.simulator.workload import JobSpec, Workload, check, dump, load, parse
from uwfq_service.simulator.world import simulate

SEEDS = (0, 1, 2, 17)

#: What seed 0 draws: jobs, tasks, users, and work to the slot-second.
DRAWN = {
    "infrequent-users": (184, 18032, 4, 4612),
    "mixed-sizes": (20, 1960, 4, 1201),
    "all-large": (45, 9360, 5, 25801),
    "all-tiny": (4000, 10774, 12, 1273),
    "recurring": (1999, 23451, 10, 20563),
    "random": (257, 4254, 4, 347),
}


def by_user(workload: Workload) -> dict[str, list[JobSpec]]:
    """The jobs of each user, in their order."""
    jobs: dict[str, list[JobSpec]] = defaultdict(list)
    for job in workload.jobs:
        jobs[job.user].append(job)
    return jobs


# ------------------------------------------------------------------ all of them


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_a_workload(name: str, seed: int) -> None:
    """One that passes every check, survives writing and reading, and takes seconds to simulate."""
    workload = scenario(name, seed)
    check(workload)
    assert parse(dump(workload)) == workload
    assert outline(workload).tasks <= 60_000
    assert workload.name.startswith(name)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_seed_draws_the_same_bytes(name: str) -> None:
    """Whatever else draws random numbers in the meantime; and another seed draws others."""
    first = dump(scenario(name, 5))
    random.seed(1)
    assert dump(scenario(name, 5)) == first
    assert dump(scenario(name, 6)) != first
    # Results of two seeds are told apart by the name of the workload.
    assert scenario(name, 5).name != scenario(name, 6).name


@pytest.mark.parametrize("name", SCENARIOS)
def test_seed_0_draws_what_it_always_drew(name: str) -> None:
    """Published results name scenario and seed, and nothing else."""
    drawn = outline(scenario(name))
    assert (drawn.jobs, drawn.tasks, drawn.users, round(drawn.work)) == DRAWN[name]


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "mixed-sizes"])
def test_jobs_stand_in_the_order_of_their_submission(name: str) -> None:
    """Those whose submission is known beforehand; in `mixed-sizes` users tell one after another."""
    known = [job.submit for job in scenario(name).jobs if job.after is None]
    assert known == sorted(known)


def test_a_name_that_there_is_not_is_refused_with_the_nearest() -> None:
    """Or with all of them, when none is near."""
    with pytest.raises(UnknownScenario, match=r"'mixed-size'; did you mean mixed-sizes\?"):
        scenario("mixed-size")
    with pytest.raises(UnknownScenario, match="there are infrequent-users, mixed-sizes, all-large"):
        scenario("chess")
    with pytest.raises(UnknownScenario, match="chess"):
        about("chess")


def test_each_is_described_in_a_line_of_its_own() -> None:
    """`uwfq workload --list` shows it."""
    lines = [about(name) for name in SCENARIOS]
    assert len(set(lines)) == len(lines)
    assert all(30 <= len(line) <= 100 and not line.endswith(".") for line in lines)


# ------------------------------------------------- alike to the paper's workloads


@pytest.mark.parametrize("name", ["infrequent-users", "mixed-sizes"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_micro_scenario_is_like_the_recorded_one(name: str, seed: int) -> None:
    """As many jobs of as many users, with the same work in stages of the same shape."""
    recorded = load(shared_workload(f"{name}.json"))
    drawn = scenario(name, seed)
    assert drawn.slots == recorded.slots
    # Users stand in the same order in both, whatever they are called.
    theirs, ours = by_user(recorded), by_user(drawn)
    for user, other in zip(recorded.users, drawn.users, strict=True):
        assert len(ours[other.user]) == len(theirs[user.user])
        assert work_of(ours[other.user]) == pytest.approx(work_of(theirs[user.user]), rel=0.05)
        assert waits(ours[other.user]) == waits(theirs[user.user])
        for job, like in zip(ours[other.user], theirs[user.user], strict=True):
            assert_alike(job, like)


def work_of(jobs: Iterable[JobSpec]) -> float:
    """Slot-seconds."""
    return math.fsum(job.total_work for job in jobs)


def waits(jobs: Iterable[JobSpec]) -> list[bool]:
    """Which of the jobs are asked for when another one's result is there."""
    return [job.after is not None for job in jobs]


def assert_alike(job: JobSpec, like: JobSpec) -> None:
    """The same stages, each with about the same work, spread alike; about the same estimate."""
    assert job.stage_afters() == like.stage_afters()
    assert job.estimate == pytest.approx(like.estimate, rel=0.05)
    for stage, other in zip(job.stages, like.stages, strict=True):
        assert stage.tasks is not None
        assert other.tasks is not None
        assert stage.delay == other.delay
        assert len(stage.tasks) == len(other.tasks)
        assert stage.total_work == pytest.approx(other.total_work, rel=0.2)
        for share in (0.25, 0.5, 0.75):
            # The part of the work that the first tasks have.
            count = round(share * len(stage.tasks))
            first, same = sum(stage.tasks[:count]), sum(other.tasks[:count])
            assert first / stage.total_work == pytest.approx(same / other.total_work, abs=0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_frequent_users_submit_bursts_and_infrequent_ones_now_and_then(seed: int) -> None:
    """20 jobs every 30 s, within a quarter of a second; the others at no particular time."""
    for user, jobs in by_user(scenario("infrequent-users", seed)).items():
        if user.startswith("frequent"):
            bursts = Counter(int(job.submit // 30) for job in jobs)
            assert bursts == {0: 20, 1: 20, 2: 20, 3: 20}
            assert all(job.submit % 30 < 0.5 for job in jobs)
        else:
            gaps = [after.submit - job.submit for job, after in pairwise(jobs)]
            assert len(jobs) == 12
            assert statistics.stdev(gaps) > 0.3 * statistics.mean(gaps)


@pytest.mark.parametrize("seed", SEEDS)
def test_long_queries_follow_each_other(seed: int) -> None:
    """Each waits for the one before it, so that two of them compete at any time."""
    for user, jobs in by_user(scenario("mixed-sizes", seed)).items():
        if user.startswith("long"):
            assert [job.after for job in jobs] == [None, *(job.job for job in jobs[:-1])]
        else:
            assert all(job.after is None for job in jobs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seeds", "policies"),
    [
        ("infrequent-users", range(1), ("ujf", "uwfq")),
        # Its dozen short jobs come at random: what they meet is clear from a few seeds only.
        ("mixed-sizes", range(5), ("fair", "ujf", "cfq", "uwfq")),
    ],
)
def test_a_micro_scenario_leads_to_the_same_findings(
    name: str, seeds: range, policies: tuple[str, ...]
) -> None:
    """Simulated, both kinds of users wait about as long as they do with the recorded workload."""
    recorded = load(shared_workload(f"{name}.json"))
    drawn = [scenario(name, seed) for seed in seeds]
    for policy in policies:
        found = zip(*(mean_responses(workload, policy) for workload in drawn), strict=True)
        known = mean_responses(recorded, policy)
        assert [statistics.mean(kind) for kind in found] == pytest.approx(known, rel=0.35), policy


def mean_responses(workload: Workload, policy: str) -> list[float]:
    """Seconds: of the first two users, and of the other two, who are of another kind."""
    run = simulate(workload, Options(policy=policy, estimates="declared"))
    first = {user.user for user in workload.users[:2]}
    return [
        statistics.mean(job.response for job in run.jobs if (job.user in first) is is_first)
        for is_first in (True, False)
    ]


# ------------------------------------------------------------------ the extremes


@pytest.mark.parametrize("seed", SEEDS)
def test_all_large_is_too_much_for_a_while(seed: int) -> None:
    """Every job fills the pool for seconds; in the first half there are more than can be done."""
    workload = scenario("all-large", seed)
    assert min(job.total_work for job in workload.jobs) > 5 * workload.slots
    assert len(by_user(workload)) >= 4
    halfway = 400.0
    first = work_of(job for job in workload.jobs if job.submit < halfway)
    assert first / (halfway * workload.slots) > 1.2
    assert work_of(workload.jobs) - first < 0.8 * halfway * workload.slots


@pytest.mark.parametrize("seed", SEEDS)
def test_all_tiny_has_thousands_of_jobs_below_a_second(seed: int) -> None:
    """Even on a single slot."""
    workload = scenario("all-tiny", seed)
    assert len(workload.jobs) >= 2_000
    assert max(job.total_work for job in workload.jobs) < 1
    assert 0.8 < outline(workload).load < 1


# ----------------------------------------------------------------- learning users


@pytest.mark.parametrize("seed", SEEDS)
def test_recurring_signatures_come_back(seed: int) -> None:
    """Hundreds of them, most of them often enough to learn from; nobody declares anything."""
    workload = scenario("recurring", seed)
    assert 1_800 <= len(workload.jobs) <= 2_200
    assert 8 <= len(by_user(workload)) <= 12
    assert all(job.estimate is None and job.input_bytes and job.signature for job in workload.jobs)
    runs = Counter(job.signature for job in workload.jobs)
    assert 200 <= len(runs) <= 400
    assert sum(count for count in runs.values() if count >= 5) > 0.75 * len(workload.jobs)
    shared = defaultdict(set)
    for job in workload.jobs:
        shared[job.signature].add(job.user)
    assert sum(len(users) > 1 for users in shared.values()) >= 20


@pytest.mark.parametrize("seed", SEEDS)
def test_recurring_users_differ_in_activity_and_in_weight_of_work(seed: int) -> None:
    """Some ask all the time for little, some now and then for a lot."""
    jobs = by_user(scenario("recurring", seed))
    counts = sorted(len(own) for own in jobs.values())
    assert counts[-1] > 10 * counts[0]
    typical = sorted(statistics.median(job.total_work for job in own) for own in jobs.values())
    assert typical[-1] > 20 * typical[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_recurring_load_makes_queues(seed: int) -> None:
    """Less than the slots can do over the whole time, more than that in many a minute."""
    workload = scenario("recurring", seed)
    numbers = outline(workload)
    assert 0.8 <= numbers.load <= 0.9
    offered = [0.0] * (int(numbers.span // 10) + 1)
    for job in workload.jobs:
        offered[int((job.submit - workload.jobs[0].submit) // 10)] += job.total_work
    # A pool that wastes nothing, seen every ten seconds.
    backlog, backlogged = 0.0, 0
    for work in offered:
        backlog = max(0.0, backlog + work - 10 * workload.slots)
        backlogged += backlog > workload.slots
    assert 0.1 < backlogged / len(offered) < 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_recurring_work_can_be_learned(seed: int) -> None:
    """The service's own estimator comes to be right within a third or so, most of the time."""
    estimator = Estimator(prior_work=1.0)
    wrong: list[float] = []
    for job in scenario("recurring", seed).jobs:
        predicted = estimator.predict(job.signature, job.user, job.input_bytes)
        if predicted.source is Source.SIGNATURE_USER and predicted.observations >= 4:
            wrong.append(abs(math.log(job.total_work / predicted.work)))
        estimator.observe(
            job.signature,
            job.user,
            job.input_bytes,
            job.total_work,
            predicted=predicted.work,
        )
    assert len(wrong) > 600
    assert 0.05 < statistics.median(wrong) < 0.35


# -------------------------------------------------------------------- the mixture


def test_random_has_a_bit_of_everything() -> None:
    """Over a few seeds, each way of saying something is used."""
    drawn = [scenario("random", seed) for seed in range(12)]
    jobs = [job for workload in drawn for job in workload.jobs]
    stages = [stage for job in jobs for stage in job.stages]
    assert len({workload.slots for workload in drawn}) > 2
    assert len({len(workload.users) for workload in drawn}) > 4
    weights = Counter(user.weight for workload in drawn for user in workload.users)
    assert weights[1.0] < 0.5 * weights.total()
    wanted: dict[str, Callable[[JobSpec], bool]] = {
        "after": lambda job: job.after is not None,
        "estimate": lambda job: job.estimate is not None,
        "no estimate": lambda job: job.estimate is None,
        "input_bytes": lambda job: job.input_bytes is not None,
        "signature": lambda job: bool(job.signature),
    }
    for what, has in wanted.items():
        assert sum(map(has, jobs)) > 0.05 * len(jobs), what
    assert {len(job.stages) for job in jobs} == {1, 2, 3}
    assert {stage.after for stage in stages} == {None, (), ("a",), ("a", "b")}
    assert 0.1 < sum(stage.work is not None for stage in stages) / len(stages) < 0.3
    assert 0.2 < sum(stage.delay > 0 for stage in stages) / len(stages) < 0.4


@pytest.mark.parametrize("seed", range(6))
def test_random_sizes_have_a_heavy_tail(seed: int) -> None:
    """A tenth of the jobs has a third of the work, or more."""
    works = sorted((job.total_work for job in scenario("random", seed).jobs), reverse=True)
    assert sum(works[: len(works) // 10]) > 0.33 * sum(works)


def test_random_users_submit_in_bursts() -> None:
    """Many jobs follow the one before them at once, far more than chance would have it."""
    workload = scenario("random", 1)
    known = [job.submit for job in workload.jobs if job.after is None]
    gaps = [after - at for at, after in pairwise(known)]
    assert statistics.median(gaps) < 0.3 * statistics.mean(gaps)
