"""Chance, and what it does to a run: attempts fail and straggle, workers are lost and come back."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any

import pytest

from tests.oracles.documents import document
from tests.oracles.workloads import FAMILIES, random_workload
from uwfq_service.core import commands as cmd
from uwfq_service.core.invariants import check
from uwfq_service.core.replies import Reply
from uwfq_service.simulator import world
from uwfq_service.simulator.faults import Chance
from uwfq_service.simulator.runs import Faults, Options, Partitioning, Run
from uwfq_service.simulator.workers import Workers
from uwfq_service.simulator.workload import JobSpec, StageSpec, Workload
from uwfq_service.simulator.world import POOL, WORKER_TIMEOUT, NeverDone, World, simulate

#: Everything at once, and often.
EVERYTHING = Faults(task_failures=0.1, stragglers=0.1, worker_uptime=15.0, worker_downtime=4.0)
#: After each of so many commands the core's state is looked through.
CHECK_EVERY = 5


class WatchedWorld(World):
    """Checks the core on the way, and notes its R."""

    def __init__(self, workload: Workload, options: Options) -> None:
        super().__init__(workload, options, keep_launches=True)
        self.commands = 0
        #: (instant, live slots in the world, in the core).
        self.slots_seen: list[tuple[float, int, int]] = []

    def _apply(self, command: cmd.Command) -> Reply:
        reply = super()._apply(command)
        self.commands += 1
        if self.commands % CHECK_EVERY == 0:
            check(self.scheduler, self._now)
        pool = self.scheduler.pools[POOL]
        self.slots_seen.append((self._now, self._workers.live_slots, pool.slots))
        return reply


def one_job(*tasks: float, slots: int = 1, **more: Any) -> Workload:
    """One job of one stage."""
    job = JobSpec(job="job", user="user", stages=(StageSpec(stage="s", tasks=tasks),), **more)
    return Workload(version=1, name="one", slots=slots, jobs=(job,))


def run_of(seed: int, policy: str, faults: Faults) -> tuple[Workload, Options]:
    """Several stages, cut and estimated in one way or another."""
    family = list(FAMILIES)[seed % len(FAMILIES)]
    workload = document(random_workload(family, seed, stages=3))
    options = Options(
        policy=policy,
        seed=seed,
        workers=min(3, workload.slots),
        partitioning=list(Partitioning)[seed % 2],
        estimates=["exact", "learned", "noisy:1", "none", "scaled:0.2"][seed % 5],
        driver_gap=0.25 * (seed % 3 == 1),
        task_overhead=0.1 * (seed % 3 == 2),
        faults=faults,
    )
    return workload, options


def done_once(workload: Workload, run: Run) -> None:
    """Assert that every task was done exactly once, in one stretch, with no slot used twice."""
    done = [(each.job, each.stage, each.task) for each in run.launches if each.done]
    assert len(done) == len(set(done))
    if run.options.partitioning is Partitioning.NONE:
        assert sorted(done) == [
            (job, stage, task)
            for job, spec in enumerate(workload.jobs)
            for stage, part in enumerate(spec.stages)
            for task in range(len(part.tasks or ()))
        ]
    by_slot: dict[int, list[tuple[float, float]]] = {}
    for each in run.launches:
        by_slot.setdefault(each.slot, []).append((each.start, each.end))
    assert set(by_slot) <= set(range(run.slots))
    for spans in by_slot.values():
        assert all(end <= begin for (_, end), (begin, _) in pairwise(sorted(spans)))


# ---------------------------------------------------------------------- chance


def test_nothing_goes_wrong_unless_it_is_asked_for() -> None:
    """And then chance is not even drawn."""
    chance = Chance(Faults(), 0)
    assert not chance.workers_come_and_go
    assert chance.uptime() is None
    assert [chance.attempt(2.0) for _ in range(100)] == [(2.0, False)] * 100
    assert not Faults().any


@pytest.mark.parametrize("part", [0.1, 0.5])
def test_so_many_attempts_fail_on_their_way(part: float) -> None:
    """Anywhere on it, evenly."""
    chance = Chance(Faults(task_failures=part), 1)
    drawn = [chance.attempt(2.0) for _ in range(4000)]
    failed = [runtime for runtime, fails in drawn if fails]
    assert len(failed) / len(drawn) == pytest.approx(part, abs=0.03)
    assert statistics.fmean(failed) == pytest.approx(1.0, abs=0.1)
    assert all(0 <= runtime < 2 for runtime in failed)
    assert {runtime for runtime, fails in drawn if not fails} == {2.0}


def test_so_many_attempts_straggle_by_the_factor() -> None:
    """The others take their time."""
    chance = Chance(Faults(stragglers=0.2, straggler_factor=5.0), 1)
    drawn = [chance.attempt(2.0)[0] for _ in range(4000)]
    assert set(drawn) == {2.0, 10.0}
    assert drawn.count(10.0) / len(drawn) == pytest.approx(0.2, abs=0.03)


def test_workers_stay_and_are_away_for_as_long_as_they_should_on_average() -> None:
    """Exponentially distributed: the deviation is the mean."""
    chance = Chance(Faults(worker_uptime=50.0, worker_downtime=5.0), 3)
    up = [chance.uptime() or 0.0 for _ in range(4000)]
    down = [chance.downtime() for _ in range(4000)]
    assert statistics.fmean(up) == pytest.approx(50, rel=0.06)
    assert statistics.stdev(up) == pytest.approx(50, rel=0.1)
    assert statistics.fmean(down) == pytest.approx(5, rel=0.06)


# ------------------------------------------------------------------- whole runs


@pytest.mark.parametrize("policy", ["fifo", "fair", "ujf", "cfq", "uwfq_paper", "uwfq"])
def test_everything_still_finishes_and_the_core_stays_consistent(policy: str) -> None:
    """Whatever goes wrong; the same seed goes wrong in the same way."""
    for seed in range(5):
        workload, options = run_of(seed, policy, EVERYTHING)
        run = WatchedWorld(workload, options).play()
        assert [job.job for job in run.jobs] == [job.job for job in workload.jobs]
        assert not all(launch.done for launch in run.launches)
        done_once(workload, run)
        assert run == simulate(workload, options, keep_launches=True)


@pytest.mark.parametrize("policy", ["fair", "uwfq"])
def test_without_faults_the_core_stays_consistent_too(policy: str) -> None:
    """And every attempt is done."""
    for seed in range(5):
        workload, options = run_of(seed, policy, Faults())
        run = WatchedWorld(workload, options).play()
        assert all(launch.done for launch in run.launches)
        assert not run.capacity
        done_once(workload, run)


def test_another_seed_has_other_bad_luck() -> None:
    """So that a run can be repeated with other chance."""
    workload = document(random_workload("mixed", 1))
    one, other = (simulate(workload, Options(seed=seed, faults=EVERYTHING)).jobs for seed in (1, 2))
    assert one != other


def test_bad_luck_costs_time() -> None:
    """Each kind by itself makes the last finish later."""
    workload = document(random_workload("heavy", 2))

    def last(faults: Faults) -> float:
        run = simulate(workload, Options(workers=workload.slots, faults=faults))
        return max(job.finish for job in run.jobs)

    undisturbed = last(Faults())
    assert last(Faults(task_failures=0.3)) > undisturbed
    assert last(Faults(stragglers=0.3)) > undisturbed
    assert last(Faults(worker_uptime=5.0, worker_downtime=20.0)) > undisturbed


def test_stragglers_take_so_much_longer() -> None:
    """All of them, here."""
    faults = Faults(stragglers=1.0, straggler_factor=3.0)
    (job,) = simulate(one_job(2.0, 1.0, slots=2), Options(faults=faults)).jobs
    assert job.finish == 6.0
    # What it is measured against is the job as it should have been.
    assert (job.work, job.alone) == (3.0, 2.0)


def test_the_core_follows_the_workers() -> None:
    """R is what is there, once a lost worker has been silent for long enough."""
    workload = Workload(
        version=1,
        name="long",
        slots=6,
        jobs=tuple(
            JobSpec(job=str(number), user="u", stages=(StageSpec(stage="s", tasks=(2.0,) * 60),))
            for number in range(5)
        ),
    )
    faults = Faults(worker_uptime=60.0, worker_downtime=60.0)
    watched = WatchedWorld(workload, Options(workers=3, seed=4, faults=faults))
    run = watched.play()
    assert len(run.capacity) >= 4
    assert all(before != after for (_, before), (_, after) in pairwise(run.capacity))
    changes = [0.0, *(at for at, _ in run.capacity)]
    settled = 0
    # At first the workers introduce themselves, one after another.
    for at, in_world, in_core in (seen for seen in watched.slots_seen if seen[0] > 0):
        since = max(change for change in changes if change <= at)
        if at - since > WORKER_TIMEOUT:
            assert in_core == in_world, f"at {at}"
            settled += 1
        else:
            # Those that went are still believed in; nobody else is.
            assert in_core >= in_world, f"at {at}"
    assert settled > 100


def test_what_a_lost_worker_ran_is_done_elsewhere() -> None:
    """After the silence has been noticed; the lost attempt shows in the launches."""
    workload = one_job(*[4.0] * 12, slots=2)
    faults = Faults(worker_uptime=10.0, worker_downtime=2.0)
    run = simulate(workload, Options(workers=2, faults=faults, seed=1), keep_launches=True)
    lost = [launch for launch in run.launches if not launch.done]
    assert lost
    assert {launch.end for launch in lost} <= {at for at, _ in run.capacity}
    for launch in lost:
        again = [other for other in run.launches if other.task == launch.task and other.done]
        assert [other.start > launch.end for other in again] == [True]


def test_a_task_that_never_gets_done_ends_the_run_with_its_name() -> None:
    """Workers that stay for a blink: better a line than an endless run."""
    faults = Faults(worker_uptime=0.001, worker_downtime=5.0)
    with pytest.raises(NeverDone, match="job 'job' never ends: stage 's' task 0"):
        simulate(one_job(1e3), Options(faults=faults))


def test_a_run_in_which_time_stands_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """No attempt uses up its lease when workers come and go at one and the same instant."""
    monkeypatch.setattr(world, "MAX_IDLE_EVENTS", 1000)
    faults = Faults(worker_uptime=1e-200, worker_downtime=1e-200)
    with pytest.raises(NeverDone, match="1,000 times without any task getting done, "):
        simulate(one_job(1e3), Options(faults=faults))


def test_a_run_that_gets_on_may_have_any_number_of_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """They count from the last task that was done."""
    faults = Faults(worker_uptime=10.0, worker_downtime=2.0)
    workload, options = one_job(*(1.0,) * 500), Options(faults=faults)
    losses = len(simulate(workload, options).capacity)
    limit = losses // 2
    monkeypatch.setattr(world, "MAX_IDLE_EVENTS", limit)
    assert len(simulate(workload, options).capacity) == losses > limit


def test_a_worker_that_comes_back_forgets_what_it_asked_for() -> None:
    """Polls are made once per name and number of free slots; names are not used again."""
    workers = Workers(slots=4, workers=2)
    for _ in range(100):
        workers.lose(0)
        back = workers.bring_back(0)
        assert workers.poll(back).worker_id == back.name
        assert workers.poll(back) is workers.poll(back)
    assert [len(worker.polls) for worker in workers.all] == [1, 0]
