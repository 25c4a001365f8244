"""The ranking that an engine gets, which places tasks itself."""

from __future__ import annotations

from functools import partial

import pytest

from tests.oracles.counting import calls_of
from tests.oracles.driver import POOL, Driver, stage
from tests.oracles.picker import DEADLINE_POLICIES
from uwfq_service.core import commands as cmd
from uwfq_service.core.ranking import MAX_RANKED_STAGES
from uwfq_service.core.settings import Settings


def test_launch_now_respects_a_users_cap() -> None:
    """What the policy would launch now is no more than the user's cap allows, over all stages."""
    core = Driver()
    core.apply(cmd.SetUser(pool=POOL, user="ada", max_running_slots=3))
    core.submit("ada", "a1", stage("s", 1.0, 1.0), engine_id="e")
    core.submit("ada", "a2", stage("s", 1.0, 1.0, 1.0), engine_id="e")
    core.submit("bo", "b1", stage("s", 9.0, 9.0, 9.0), engine_id="e")
    ranking = core.rank("e", slots=5)
    launches = {ranked.job_id: ranked.launch_now for ranked in ranking.stages}
    assert launches == {"a1": 2, "a2": 1, "b1": 2}


def test_a_job_of_which_nothing_is_known_starts_with_one_task() -> None:
    """As it would be leased: the others' first tasks go before the rest of it."""
    core = Driver(slots=9)
    for user in ("ada", "bo"):
        core.submit(user, user, open=True, engine_id="e")
        for name in ("s", "t"):
            spec = cmd.StageSpec(stage=name, cut=cmd.TaskList(count=4))
            core.apply(cmd.AddStages(job_id=user, stages=(spec,)))
    core.submit("cy", "known", stage("s", 1.0), engine_id="e", declared_work=900.0)

    def launches(slots: int) -> dict[tuple[str, str], int]:
        ranked = core.rank("e", slots=slots).stages
        return {(r.job_id, r.stage): r.launch_now for r in ranked if r.launch_now}

    first = {("ada", "s"): 1, ("bo", "s"): 1, ("known", "s"): 1}
    assert launches(3) == first
    assert launches(9) == first | {("ada", "s"): 4, ("ada", "t"): 3}
    start = cmd.TaskStart(task=cmd.TaskRef(attempt=1, job_id="ada", stage="s"))
    core.renew("e", started=(start,))
    assert launches(2) == {("bo", "s"): 1, ("known", "s"): 1}


def test_stages_of_other_engines_and_of_workers_are_left_out() -> None:
    """An engine is told of its own jobs only."""
    core = Driver()
    core.submit("ada", "mine", stage("s", 1.0), engine_id="e")
    core.submit("ada", "theirs", stage("s", 1.0), engine_id="f")
    core.submit("ada", "leased", stage("s", 1.0))
    assert [ranked.job_id for ranked in core.rank("e", slots=9).stages] == ["mine"]


@pytest.mark.parametrize("policy", DEADLINE_POLICIES)
@pytest.mark.parametrize("idle", [True, False])
def test_what_waits_behind_an_engines_stages_makes_a_ranking_no_dearer(
    policy: str, *, idle: bool
) -> None:
    """Engine and workers may share a pool, and an engine asks several times a second."""

    def cost(others: int) -> int:
        core = Driver(policy, slots=4)
        core.rank("e", slots=4)
        if not idle:
            core.submit("ada", "mine", stage("s", 0.5), stage("t", 0.25), engine_id="e")
        for number in range(others):
            core.submit(f"user-{number % 3}", f"job-{number}", stage("s", 900.0))
        assert len(core.rank("e", slots=4).stages) == (0 if idle else 2)
        return calls_of(partial(core.rank, "e", slots=4))

    assert cost(500) < cost(5) + 50


def test_the_version_rises_when_the_order_changes() -> None:
    """An engine that has the version need not ask again."""
    core = Driver()
    core.submit("ada", "a", stage("s", 5.0, 5.0), engine_id="e")
    first = core.rank("e", slots=1).version
    assert core.rank("e", slots=1).version == first
    core.submit("bo", "b", stage("s", 1.0), engine_id="e")
    assert core.rank("e", slots=1).version > first


def test_the_version_rises_when_what_runs_changes_the_order() -> None:
    """Users of jobs that nobody has seen go by their running slots, of one user nothing goes by."""
    core = Driver(slots=9)

    def appear(user: str, job: str) -> None:
        core.submit(user, job, open=True, engine_id="e", signature=f"new {job}")
        spec = cmd.StageSpec(stage="s", cut=cmd.TaskList(count=5))
        core.apply(cmd.AddStages(job_id=job, stages=(spec,)))

    def task(job: str, index: int) -> cmd.TaskRef:
        return cmd.TaskRef(attempt=1, job_id=job, stage="s", task_index=index)

    appear("ada", "a")
    # Their first tasks say what the jobs may cost, and the order goes by slots from then on.
    core.report("e", task("a", 0), cmd.TaskSuccess(runtime=1))
    alone = core.rank("e", slots=9).version
    core.renew("e", started=(cmd.TaskStart(task=task("a", 1)),))
    assert core.rank("e", slots=9).version == alone
    appear("bo", "b")
    core.report("e", task("b", 0), cmd.TaskSuccess(runtime=9))
    before = core.rank("e", slots=9)
    assert [ranked.job_id for ranked in before.stages] == ["b", "a"]
    core.renew("e", started=tuple(cmd.TaskStart(task=task("b", index)) for index in (1, 2)))
    after = core.rank("e", slots=9)
    assert [ranked.job_id for ranked in after.stages] == ["a", "b"]
    assert after.version > before.version


@pytest.mark.parametrize("change", ["user leaves", "more slots"])
def test_the_version_rises_when_shares_change_the_order(change: str) -> None:
    """A user's unseen jobs let others go ahead once the user has its share of the slots."""
    core = Driver(slots=6)
    core.submit("ada", "a", open=True, engine_id="e", signature="new")
    spec = cmd.StageSpec(stage="s", cut=cmd.TaskList(count=5))
    core.apply(cmd.AddStages(job_id="a", stages=(spec,)))
    # The user's first job, which is known, stands in no other's way.
    for user, job, work in (("ada", "first", 0.5), ("bo", "bo", 400.0), ("cy", "cy", 2.0)):
        core.submit(user, job, stage("s", work), engine_id="e")

    def task(index: int) -> cmd.TaskRef:
        return cmd.TaskRef(attempt=1, job_id="a", stage="s", task_index=index)

    core.report("e", task(0), cmd.TaskSuccess(runtime=1))
    core.renew("e", started=tuple(cmd.TaskStart(task=task(index)) for index in (1, 2)))
    before = core.rank("e", slots=6)
    # Two slots are the share of one of three users.
    assert [ranked.job_id for ranked in before.stages] == ["first", "cy", "bo", "a"]
    assert core.rank("e", slots=6).version == before.version
    if change == "user leaves":
        core.at(2.0)
    else:
        core.apply(cmd.ConfigurePool(pool=POOL, fixed_slots=9))
    after = core.rank("e", slots=6)
    assert [ranked.job_id for ranked in after.stages] == ["first", "cy", "a", "bo"]
    assert core.scheduler.order_version(POOL) == after.version > before.version


def order(core: Driver) -> tuple[int, list[str]]:
    """The version of the order for the engine ``e``, and its jobs in that order."""
    ranking = core.rank("e", slots=4)
    assert core.scheduler.order_version(POOL) == ranking.version
    return ranking.version, [ranked.job_id for ranked in ranking.stages]


def a_before_b() -> tuple[Driver, int]:
    """Two users with a job each, and the version of their order."""
    core = Driver(slots=4)
    core.submit("ada", "a", stage("s", 10.0), engine_id="e")
    core.submit("bo", "b", stage("s", 15.0), engine_id="e")
    version, jobs = order(core)
    assert jobs == ["a", "b"]
    return core, version


def test_the_version_rises_when_a_weight_changes_the_order() -> None:
    """An engine in a long poll hears of it at once; a weight that stays the same tells nothing."""
    core, version = a_before_b()
    core.apply(cmd.SetUser(pool=POOL, user="bo", weight=1.0))
    assert order(core) == (version, ["a", "b"])
    core.apply(cmd.SetUser(pool=POOL, user="bo", weight=2.0))
    after, jobs = order(core)
    assert jobs == ["b", "a"]
    assert after > version


def test_the_version_rises_when_a_job_without_stages_puts_off_others() -> None:
    """Its user's jobs behind it wait longer from its arrival on, not from its first stage on."""
    core, version = a_before_b()
    core.submit("ada", "first", open=True, declared_work=8.0, engine_id="e")
    after, jobs = order(core)
    assert jobs == ["b", "a"]
    assert after > version


def test_the_version_rises_when_a_debt_puts_off_others() -> None:
    """What a job has used more than it was charged for all of its user's jobs wait for."""
    core = Driver(slots=4)
    core.submit("ada", "large", stage("s", *[1.0] * 8), engine_id="e")

    def run(index: int) -> None:
        ref = cmd.TaskRef(attempt=1, job_id="large", stage="s", task_index=index)
        core.report("e", ref, cmd.TaskSuccess(runtime=3.0))

    run(0)
    version, jobs = order(core)
    run(1)
    assert order(core) == (version, ["large"]), "nobody else is there"
    core.submit("ada", "small", stage("s", 2.0), engine_id="e")
    core.submit("bo", "b", stage("s", 10.0), engine_id="e")
    version, jobs = order(core)
    assert jobs == ["small", "b", "large"]
    charge = core.scheduler.job("large").work
    run(2)
    after, jobs = order(core)
    assert jobs == ["b", "small", "large"]
    assert core.scheduler.job("large").work == charge
    assert after > version


def test_the_version_rises_when_a_signature_is_seen() -> None:
    """A job is unseen no more when the first of its signature has ended, and goes by its deadline.

    Whether or not that tells anything new of its work.
    """
    core = Driver(slots=4, settings=Settings(prior_work=10.0))

    def task(job: str, index: int) -> cmd.TaskRef:
        return cmd.TaskRef(attempt=1, job_id=job, stage="s", task_index=index)

    for user, tasks, signature in (("ada", 5, "new"), ("cy", 2, "new"), ("di", 1, "other")):
        spec = cmd.StageSpec(stage="s", cut=cmd.TaskList(count=tasks))
        core.submit(user, user, spec, signature=signature, engine_id="e")
    core.submit("bo", "bo", stage("s", 40.0), engine_id="e")
    core.report("e", task("ada", 0), cmd.TaskSuccess(runtime=2.0))
    core.report("e", task("cy", 0), cmd.TaskSuccess(runtime=5.0))
    starts = [task("ada", 1), task("ada", 2), task("cy", 1)]
    core.renew("e", started=tuple(cmd.TaskStart(task=start) for start in starts))
    version, jobs = order(core)
    assert jobs == ["di", "bo", "ada"]
    core.report("e", task("cy", 1), cmd.TaskSuccess(runtime=5.0))
    after, jobs = order(core)
    assert jobs == ["ada", "di", "bo"]
    assert after > version


def test_a_ranking_has_no_more_stages_than_the_limit() -> None:
    """Whatever it asks for: an answer must fit into a message."""
    core = Driver()
    for number in range(MAX_RANKED_STAGES + 1):
        core.submit("ada", f"a{number}", stage("s", 1.0), engine_id="e")
    for most in (0, MAX_RANKED_STAGES + 1):
        ranking = core.ask("e", slots=1, free_slots=1, ranking=True, max_stages=most).ranking
        assert ranking is not None
        assert len(ranking.stages) == MAX_RANKED_STAGES
