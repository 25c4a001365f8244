"""Users whose declarations are wrong, and in the same way each time."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core.estimation import LEAST_DECLARATIONS, Estimator, Source
from uwfq_service.core.model import Job
from uwfq_service.core.replies import AckStatus


def run(core: Driver, user: str, name: str, spec: cmd.StageSpec, runtime: float) -> Job:
    """Let a job of one stage have run, alone, with ``runtime`` seconds for each of its tasks."""
    job = core.submit(user, name, spec)
    while not job.ended:
        (lease,) = core.poll()
        core.at(core.now + core.number(runtime))
        core.done(lease, runtime)
    return job


def habit(core: Driver, user: str, factor: float) -> None:
    """Let a user have declared ``LEAST_DECLARATIONS`` times; it took ``factor`` times as long."""
    for number in range(LEAST_DECLARATIONS):
        declared = 2.0 + number
        run(core, user, f"{user}-{factor}-{number}", stage("s", declared), declared * factor)


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_what_is_habitually_wrong_is_corrected(factor: float) -> None:
    """Charge, cut and answer are those of the work to expect."""
    core = Driver(slots=1)
    habit(core, "alice", factor)
    job = core.submit("alice", "next", cmd.StageSpec(stage="s", declared_work=12.0))
    assert job.work == pytest.approx(12.0 * factor)
    assert job.stages[0].work == pytest.approx(12.0 * factor)
    assert job.stages[0].spec.source == Source.CALIBRATED
    assert job.stages[0].task_count == math.ceil(round(12.0 * factor / 0.75, 6))
    assert job.declared_total == pytest.approx(12.0), "what was said is still known"


def test_the_tasks_of_a_list_and_the_whole_job_are_corrected_alike() -> None:
    """Wherever it is declared; stages that say nothing share what is left."""
    core = Driver(slots=1)
    habit(core, "alice", 4.0)
    listed = cmd.StageSpec(stage="a", cut=cmd.TaskList(count=2, task_work=(1.0, 3.0)))
    silent = cmd.StageSpec(stage="b", cut=cmd.TaskList(count=1))
    job = core.submit("alice", "next", listed, silent, declared_work=6.0)
    assert job.work == pytest.approx(24.0)
    assert [each.work for each in job.stages] == [pytest.approx(16.0), pytest.approx(8.0)]
    assert [job.stages[0].task_work(task) for task in range(2)] == [
        pytest.approx(4.0),
        pytest.approx(12.0),
    ]
    assert {each.spec.source for each in job.stages} == {Source.CALIBRATED}


def test_too_few_say_nothing() -> None:
    """One job that was wrong is not yet a habit."""
    core = Driver(slots=1)
    for number in range(LEAST_DECLARATIONS - 1):
        run(core, "alice", f"a{number}", stage("s", 2.0), 8.0)
    assert core.submit("alice", "next", stage("s", 2.0)).work == 2.0


def test_everybody_is_judged_by_their_own_declarations() -> None:
    """Nobody can make another's jobs look large, or small."""
    core = Driver(slots=1)
    habit(core, "alice", 100.0)
    assert core.submit("bob", "next", stage("s", 2.0)).work == 2.0


def test_noise_is_left_alone() -> None:
    """Now too low, now too high, by the same factor: nothing to agree upon."""
    core = Driver(slots=1)
    for number, factor in enumerate((4.0, 0.25, 3.0, 0.3, 5.0, 0.2)):
        run(core, "alice", f"a{number}", stage("s", 2.0), 2.0 * factor)
    assert core.submit("alice", "next", stage("s", 2.0)).work == 2.0


def test_only_what_most_agree_upon_counts() -> None:
    """Three in four took at least twice as long, so twice it is; a wild one changes nothing."""
    core = Driver(slots=1)
    for number, factor in enumerate((1.0, 2.0, 3.0, 4.0, 2.5, 900.0, 2.2, 3.5)):
        run(core, "alice", f"a{number}", stage("s", 2.0), 2.0 * factor)
    assert core.submit("alice", "next", stage("s", 2.0)).work == pytest.approx(4.0)


def test_a_habit_that_ends_is_soon_forgotten() -> None:
    """A few right declarations behind a lasting habit, and they are believed again."""
    core = Driver(slots=1)
    for number in range(16):
        run(core, "alice", f"low{number}", stage("s", 2.0), 8.0)
    for number in range(6):
        run(core, "alice", f"right{number}", stage("s", 2.0), 2.0)
    assert core.submit("alice", "next", stage("s", 2.0)).work == 2.0


def test_right_declarations_are_taken_to_the_last_digit() -> None:
    """Rounding, and a tenth more or less, are no habit."""
    core = Driver(slots=1, number=Fraction)
    for number in range(8):
        run(core, "alice", f"a{number}", stage("s", 3.0), 3.25)
    job = core.submit("alice", "next", stage("s", 3.0))
    assert job.work == Fraction(3)
    assert job.stages[0].spec.source == Source.DECLARED


@pytest.mark.parametrize("lost", [False, True])
def test_attempts_that_fail_are_not_held_against_the_declaration(*, lost: bool) -> None:
    """Their work is charged, but says nothing of how long a task takes."""
    core = Driver(slots=1)
    for number in range(LEAST_DECLARATIONS):
        job = core.submit("alice", f"a{number}", stage("s", 2.0, max_attempts=3))
        (lease,) = core.poll()
        core.at(core.now + (50.0 if lost else 20.0))
        assert core.fail(lease, 20.0) is (AckStatus.STALE if lost else AckStatus.ACCEPTED)
        while not job.ended:
            due = core.scheduler.next_wakeup()
            core.at(core.now + 1.0 if due is None else max(due, core.now))
            for again in core.poll():
                core.at(core.now + 2.0)
                core.done(again, 2.0)
    assert core.submit("alice", "next", stage("s", 2.0)).work == 2.0


def test_policies_that_do_not_correct_take_declarations_as_they_are() -> None:
    """The published algorithm, and those that it is compared with."""
    core = Driver("uwfq_paper", slots=1)
    habit(core, "alice", 4.0)
    assert core.submit("alice", "next", stage("s", 2.0)).work == 2.0


def test_an_open_job_keeps_what_it_came_with() -> None:
    """All its stages are corrected alike, after a restart as well."""
    core = Driver(slots=1)
    habit(core, "alice", 4.0)
    job = core.submit("alice", "open", stage("a", 2.0), open=True)
    habit(core, "alice", 1.0)
    core.reload()
    core.apply(cmd.AddStages(job_id="open", stages=(stage("b", 3.0),)))
    job = core.scheduler.job("open")
    assert [each.work for each in job.stages] == [pytest.approx(8.0), pytest.approx(12.0)]


def test_advice_is_what_an_admission_would_be() -> None:
    """Of the same user, whose habit is known."""
    core = Driver(slots=1)
    habit(core, "alice", 4.0)
    spec = cmd.StageSpec(stage="s", declared_work=3.0)
    advice = core.scheduler.split_stage(cmd.SplitStage(pool=POOL, user="alice", stage=spec))
    assert advice.work == pytest.approx(12.0)
    assert advice.task_count == 16


def test_nobody_drives_out_what_is_known_of_another() -> None:
    """However many signatures come by."""
    estimator = Estimator(prior_work=1.0, capacity=8)
    for _ in range(LEAST_DECLARATIONS):
        estimator.observe_declared("alice", 1.0, 3.0)
    for number in range(100):
        estimator.observe(f"q{number}", "bob", None, 1.0, predicted=None)
    assert estimator.calibration("alice") == pytest.approx(3.0)


def test_who_has_declared_nothing_for_longest_is_forgotten_first() -> None:
    """As many habits are kept as there may be cards."""
    estimator = Estimator(prior_work=1.0, capacity=4)

    def declare(user: str) -> None:
        for _ in range(LEAST_DECLARATIONS):
            estimator.observe_declared(user, 1.0, 3.0)

    for user in ("alice", "bob", "cy", "di", "alice", "new"):
        declare(user)
    known = {
        user for user in ("alice", "bob", "cy", "di", "new") if estimator.calibration(user) > 1
    }
    assert known == {"alice", "cy", "di", "new"}


def test_a_restart_knows_the_habit() -> None:
    """It is in the estimator's image."""
    estimator = Estimator(prior_work=1.0)
    for _ in range(LEAST_DECLARATIONS):
        estimator.observe_declared("alice", 1.0, 3.0)
    assert Estimator.load(estimator.dump()).calibration("alice") == pytest.approx(3.0)
