"""The simulated world by hand: what happens at one instant, to jobs and stages, by options."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.oracles.documents import document
from tests.oracles.picker import DEADLINE_POLICIES, POLICIES
from tests.oracles.workloads import random_workload
from tests.unit.simulator.documents import REPORTED, SHOWN
from uwfq_service.simulator.report import document as report_of
from uwfq_service.simulator.runs import Options, Partitioning, Run
from uwfq_service.simulator.workload import JobSpec, StageSpec, UserSpec, Workload, dump, parse
from uwfq_service.simulator.world import simulate


def stage(name: str, *tasks: float, **more: Any) -> StageSpec:
    """A stage of these tasks."""
    return StageSpec(stage=name, tasks=tasks, **more)


def job(name: str, *stages: StageSpec, user: str = "user", **more: Any) -> JobSpec:
    """A job of these stages."""
    return JobSpec(job=name, user=user, stages=stages, **more)


def workload(*jobs: JobSpec, slots: int = 1, users: tuple[UserSpec, ...] = ()) -> Workload:
    """These jobs."""
    return Workload(version=1, name="by hand", slots=slots, users=users, jobs=jobs)


def played(given: Workload, **options: Any) -> Run:
    """The run, with its launches."""
    return simulate(given, Options(**options), keep_launches=True)


def finishes(run: Run) -> dict[str, float]:
    """When each job finished."""
    return {each.job: each.finish for each in run.jobs}


def started(run: Run) -> list[tuple[float, str, int]]:
    """What started when: the instant, the job, the stage."""
    return [(each.start, run.jobs[each.job].job, each.stage) for each in run.launches]


# ---------------------------------------------------------------------- repetition


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_workload_gives_the_same_run(policy: str) -> None:
    """Nothing depends on hashing or on addresses."""
    given = document(random_workload("mixed", 7, stages=3))
    assert played(given, policy=policy, workers=2) == played(given, policy=policy, workers=2)


# ---------------------------------------------------------------- what is shown


def test_the_workload_of_the_readme_is_reported_as_it_shows() -> None:
    """1.75 s of scan in four tasks of 0.4375 s, then 4 s in eight of 0.5 s."""
    run = simulate(parse(json.dumps(SHOWN)), Options(atr=0.5, partitioning=Partitioning.RUNTIME))
    assert report_of([run]) == REPORTED


def test_without_partitioning_the_engine_cuts_it() -> None:
    """Three tasks of up to 0.75 s, then one task of 0.125 s for every slot."""
    run = played(parse(json.dumps(SHOWN)))
    assert finishes(run) == {"alice/etl-1": 0.875}
    assert len(run.launches) == 3 + 32


# --------------------------------------------------------- what happens at one instant


def test_at_one_instant_completions_come_before_arrivals() -> None:
    """A slot that ends at the arrival is free by then, but is filled before it."""
    given = workload(
        job("running", stage("s", 1.0)),
        job("waiting", stage("s", 4.0), submit=0.5),
        # More urgent than the waiting one, and too late by the order of one instant.
        job("arriving", stage("s", 1.0), submit=1.0, user="other"),
    )
    assert [name for _, name, _ in started(played(given))] == ["running", "waiting", "arriving"]


def test_at_one_instant_arrivals_come_in_the_order_of_the_file() -> None:
    """And the free slots are filled after each of them, so the first gets both."""
    given = workload(
        job("large", stage("s", 4.0, 4.0)), job("small", stage("s", 1.0), user="z"), slots=2
    )
    assert started(played(given))[:2] == [(0.0, "large", 0), (0.0, "large", 0)]
    turned = turned_round(given)
    assert started(played(turned))[:2] == [(0.0, "small", 0), (0.0, "large", 0)]


def turned_round(given: Workload) -> Workload:
    """The same jobs, the last one first."""
    return workload(*reversed(given.jobs), slots=given.slots)


def test_at_one_instant_completions_come_in_the_order_of_their_starts() -> None:
    """The one that started first frees its slot, and its successor, first."""
    given = workload(
        job("a", stage("s", 2.0), stage("t", 1.0, 1.0), user="u"),
        job("b", stage("s", 1.0), stage("t", 1.0, 1.0), submit=1.0, user="v"),
        slots=2,
    )
    # Both first stages end at 2.  Under fifo the first end lets two tasks of "a" become
    # launchable, one of which takes the slot; the second end's slot goes to the other one.
    assert started(played(given, policy="fifo"))[2:4] == [(2.0, "a", 1), (2.0, "a", 1)]
    # Were "b" to end first, it would take that slot itself.
    given = workload(
        job("a", stage("s", 1.0), stage("t", 1.0, 1.0), submit=1.0, user="u"),
        job("b", stage("s", 2.0), stage("t", 1.0, 1.0), user="v"),
        slots=2,
    )
    assert started(played(given, policy="fifo"))[2:4] == [(2.0, "b", 1), (2.0, "b", 1)]


def test_at_one_instant_delayed_stages_come_between_completions_and_arrivals() -> None:
    """By fifo the delayed stage would lose to nobody who is there, and by uwfq to the arrival."""
    given = workload(
        job("delayed", stage("s", 0.5), stage("t", 8.0, delay=0.5)),
        job("arriving", stage("s", 0.25), submit=1.0, user="other"),
    )
    assert started(played(given)) == [
        (0.0, "delayed", 0),
        (1.0, "delayed", 1),
        (9.0, "arriving", 0),
    ]
    # The end at that instant frees its slot before the stage is there: the other job goes on,
    # though under fifo the stage would come first.
    given = workload(
        job("delayed", stage("s", 0.5), stage("t", 0.5, delay=0.5)),
        job("between", stage("s", 0.5, 0.5, 0.5), submit=0.5, user="other"),
    )
    assert started(played(given, policy="fifo")) == [
        (0.0, "delayed", 0),
        (0.5, "between", 0),
        (1.0, "between", 0),
        (1.5, "delayed", 1),
        (2.0, "between", 0),
    ]


def test_a_stage_without_delay_is_launchable_before_the_slot_is_filled() -> None:
    """The successor is there when the slot of its predecessor's last task runs free."""
    given = workload(
        job("first", stage("s", 1.0), stage("t", 1.0)),
        job("second", stage("s", 1.0), user="other"),
    )
    expected = [(0.0, "first", 0), (1.0, "first", 1), (2.0, "second", 0)]
    assert started(played(given, policy="fifo")) == expected


# ------------------------------------------------------------------ jobs and stages


def test_a_job_with_after_arrives_when_its_user_has_the_other_ones_result() -> None:
    """``submit`` is the delay then; a chain of them, told in any order."""
    given = workload(
        job("third", stage("s", 1.0), after="second", submit=0.0),
        job("second", stage("s", 1.0), after="first", submit=2.0),
        job("first", stage("s", 3.0), submit=1.0),
        job("other", stage("s", 0.5), submit=6.25, user="z"),
    )
    run = played(given)
    assert {each.job: each.submit for each in run.jobs} == {
        "first": 1.0,
        "second": 6.0,
        "third": 7.0,
        "other": 6.25,
    }
    # The other job waited; the third arrives at the end of the second, after the slot is filled.
    assert finishes(run) == {"first": 4.0, "second": 7.0, "other": 7.5, "third": 8.5}


def test_stages_side_by_side_and_those_that_wait_for_several() -> None:
    """``after``: [] waits for none, absent for the one before, a list for all of it."""
    given = workload(
        job(
            "diamond",
            stage("left", 2.0),
            stage("right", 3.0, after=()),
            stage("join", 1.0, after=("left", "right")),
            stage("last", 1.0),
        ),
        slots=4,
    )
    assert started(played(given)) == [
        (0.0, "diamond", 0),
        (0.0, "diamond", 1),
        (3.0, "diamond", 2),
        (4.0, "diamond", 3),
    ]


def test_delayed_stages_are_revealed_when_they_are_launchable() -> None:
    """The delay counts from the end of the last stage that is waited for, or from the arrival."""
    given = workload(
        job(
            "open",
            stage("late", 1.0, delay=0.5),
            stage("early", 1.0, after=()),
            stage("join", 1.0, after=("late", "early"), delay=0.25),
            stage("tail", 1.0),
        ),
        slots=4,
    )
    run = played(given)
    assert started(run) == [
        (0.0, "open", 1),
        (0.5, "open", 0),
        (1.75, "open", 2),
        (2.75, "open", 3),
    ]
    (only,) = run.jobs
    # The whole job is declared at once: its deadline is that of all its stages.
    assert (only.virtual_deadline, only.alone, only.first_start) == (4.0, 3.75, 0.0)


def test_a_job_whose_stages_are_all_delayed_is_not_over_before_they_come() -> None:
    """It is open until its last stage is there."""
    given = workload(job("slow", stage("a", 1.0, delay=1.0), stage("b", 1.0, delay=9.0)))
    assert finishes(played(given)) == {"slow": 12.0}


# ------------------------------------------------------------------------- options


def test_every_task_holds_its_slot_for_the_overhead() -> None:
    """Four tasks on two slots, 0.25 s more for each."""
    given = workload(job("job", stage("s", 1.0, 1.0, 1.0, 1.0)), slots=2)
    run = played(given, task_overhead=0.25)
    (only,) = run.jobs
    assert (only.finish, only.alone, only.work, only.fluid_finish) == (2.5, 2.5, 4.0, 2.0)
    assert {launch.end - launch.start for launch in run.launches} == {1.25}


def test_the_driver_takes_its_time_before_every_stage() -> None:
    """Beside the stage's own delay."""
    given = workload(job("job", stage("a", 1.0), stage("b", 1.0, delay=0.5)))
    run = played(given, driver_gap=0.25)
    assert started(run) == [(0.25, "job", 0), (2.0, "job", 1)]
    assert run.jobs[0].alone == 3.0


def test_slots_may_be_overridden() -> None:
    """A stage with a total is then cut into as many tasks."""
    given = workload(job("job", StageSpec(stage="s", work=8.0)), slots=2)
    assert finishes(played(given)) == {"job": 4.0}
    run = played(given, slots=8)
    assert (run.slots, len(run.launches), run.jobs[0].finish) == (8, 8, 1.0)


def test_slots_belong_to_workers_as_evenly_as_can_be() -> None:
    """With all workers there, how many there are changes nothing but names."""
    given = document(random_workload("bursts", 2))
    for workers in (1, given.slots):
        run = played(given, workers=workers)
        assert finishes(run) == finishes(played(given))
        assert {launch.slot for launch in run.launches} <= set(range(given.slots))


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_with_deadlines_report_them(policy: str) -> None:
    """The others have none."""
    run = played(workload(job("job", stage("s", 1.0))), policy=policy)
    assert run.jobs[0].virtual_deadline == (1.0 if policy in DEADLINE_POLICIES else None)


def test_weights_count() -> None:
    """Of two jobs that arrive together the one of the heavier user is more urgent."""
    jobs = [job(name, stage("s", *[1.0] * 4), user=name) for name in ("light", "heavy")]
    first = job("first", stage("s", 1.0), user="first")
    users = (UserSpec(user="heavy", weight=4.0),)
    run = played(workload(first, *jobs, users=users))
    assert finishes(run) == {"first": 1.0, "heavy": 5.0, "light": 9.0}
    assert run.weights == {"heavy": 4.0, "first": 1.0, "light": 1.0}


def test_learned_estimates_get_better() -> None:
    """Under runtime partitioning the hundredth job of a kind is cut as its work asks for."""
    jobs = [
        job(str(number), StageSpec(stage="s", work=8.0), submit=20.0 * number, signature="query")
        for number in range(30)
    ]
    run = played(
        workload(*jobs, slots=4), estimates="learned", partitioning=Partitioning.RUNTIME, atr=0.5
    )
    counts = [sum(launch.job == number for launch in run.launches) for number in range(30)]
    # With nothing known, a task for each slot; 8 slot-seconds are sixteen tasks.
    assert counts[0] == 4
    assert counts[-1] == 16


def test_a_size_that_is_not_said_is_not_taken_for_a_large_one() -> None:
    """A job of unknown size beside those that say theirs is cut as the middle one of its kind."""
    jobs = [
        job(
            str(number),
            stage("s", *[float(number % 3 + 1)] * 4),
            submit=20.0 * number,
            signature="query",
            input_bytes=None if number == 12 else 1000 * (number % 3 + 1),
        )
        for number in range(13)
    ]
    run = played(
        workload(*jobs, slots=4), estimates="learned", partitioning=Partitioning.RUNTIME, atr=0.5
    )
    counts = [sum(launch.job == number for launch in run.launches) for number in range(13)]
    assert counts[-4:] == [8, 16, 24, 16]


@pytest.mark.parametrize("partitioning", Partitioning)
@pytest.mark.parametrize("nothing", [stage("s", 0.0, 0.0), StageSpec(stage="s", work=0.0)])
def test_jobs_without_work_finish_at_once(nothing: StageSpec, partitioning: Partitioning) -> None:
    """When they are reached, that is; however a stage says that it has none."""
    given = workload(job("busy", stage("s", 2.0)), job("idle", nothing, submit=1.0))
    run = played(parse(dump(given)), partitioning=partitioning, atr=2.0)
    assert finishes(run) == {"busy": 2.0, "idle": 2.0}
    idle = run.jobs[1]
    assert (idle.work, idle.alone, idle.slowdown, idle.fluid_finish) == (0.0, 0.0, 1.0, 1.0)


# -------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(workload(job("j", stage("s", 1e12))), id="a task of 30,000 years"),
        pytest.param(workload(job("j", stage("s", 1.0), submit=1e12)), id="a late arrival"),
        pytest.param(
            workload(job("j", *(stage(f"s{number}", 1.0) for number in range(1001)))),
            id="many stages",
        ),
        pytest.param(
            workload(job("j", *(StageSpec(stage=str(n), work=1e12) for n in range(3)))),
            id="much work",
        ),
        pytest.param(
            workload(job("j", stage("s", 1.0), signature="ä" * 128, input_bytes=0), slots=20_000),
            id="a long signature",
        ),
    ],
)
def test_whatever_the_format_allows_can_be_played(given: Workload) -> None:
    """The limits that protect a service are no limits here."""
    for partitioning in Partitioning:
        options = Options(partitioning=partitioning, workers=given.slots, atr=1e9)
        (done,) = simulate(given, options).jobs
        assert done.response >= given.jobs[0].total_work / given.slots * (1 - 1e-9)


def test_progress_is_told_now_and_then() -> None:
    """Jobs that are finished, of all."""
    told: list[tuple[int, int]] = []
    given = workload(*(job(str(number), stage("s", 1.0)) for number in range(45)))
    simulate(given, Options(), progress=lambda done, total: told.append((done, total)))
    assert told == [(20, 45), (40, 45)]
