"""Stages that say what they run: histories of their own, and what they are used for."""

from __future__ import annotations

import msgspec
import pytest

from tests.oracles.driver import POOL, Driver
from uwfq_service.core import commands as cmd
from uwfq_service.core.admission import fingerprint, job_fingerprint
from uwfq_service.core.estimation import Estimator, Source
from uwfq_service.core.invariants import check
from uwfq_service.core.settings import Settings

MIB = 1 << 20


def scan(name: str, *mebibytes: int, signature: str = "scan") -> cmd.StageSpec:
    """A stage of tasks that read so much each."""
    task_bytes = tuple(size * MIB for size in mebibytes)
    cut = cmd.TaskList(count=len(task_bytes), task_bytes=task_bytes)
    return cmd.StageSpec(stage=name, cut=cut, signature=signature)


def run_all(core: Driver, *, seconds: float) -> None:
    """Let a worker run whatever there is, each task for so long."""
    while leases := core.poll("w", slots=4):
        core.at(core.now + seconds)
        for lease in leases:
            core.done(lease, seconds)
        check(core.scheduler, core.now)


class TestTheChain:
    def test_a_stages_signature_goes_before_that_of_its_job(self) -> None:
        """The nearest thing that is known of it decides."""
        estimator = Estimator(prior_work=5.0)
        estimator.observe("q", "ann", None, 7.0, predicted=None, stage="s")
        asked = {"stage": "s", "stage_signature": "scan"}
        job = estimator.predict("q", "ann", None, **asked)
        assert job.work == pytest.approx(7.0)
        assert job.source == Source.SIGNATURE_USER
        estimator.observe_stage("scan", "bob", None, 2.0)
        others = estimator.predict("q", "ann", None, **asked)
        assert others.work == pytest.approx(2.0)
        assert others.source == Source.SIGNATURE
        estimator.observe_stage("scan", "ann", None, 3.0)
        assert estimator.predict("q", "ann", None, **asked).source == Source.SIGNATURE_USER

    def test_an_unknown_stage_is_guessed_from_what_others_took_for_their_bytes(self) -> None:
        """Of the user, else of the pool: names that never recur do not stand in the way."""
        estimator = Estimator(prior_work=5.0)
        for size in (1, 2, 4):
            estimator.observe_stage(f"s{size}", "ann", size * MIB, size * 3.0)
        new = {"stage": "9.0", "stage_signature": "new"}
        ann = estimator.predict("q", "ann", 8 * MIB, **new)
        assert ann.work == pytest.approx(24.0)
        assert ann.source == Source.USER
        assert estimator.predict("q", "bob", 8 * MIB, **new).source == Source.POOL
        # One that says nothing of itself is known by its name alone.
        assert estimator.predict("q", "ann", 8 * MIB, stage="9.0").source == Source.PRIOR

    @pytest.mark.parametrize("name", ["same", "a/b", "jobs", "stages", "/s"])
    def test_jobs_and_stages_of_one_signature_know_nothing_of_each_other(self, name: str) -> None:
        """There are two drawers, and a restart keeps them apart."""
        estimator = Estimator(prior_work=5.0)
        estimator.observe_stage(name, "ann", None, 2.0)
        estimator.observe(name, "ann", None, 300.0, predicted=None)
        estimator = Estimator.load(msgspec.msgpack.decode(msgspec.msgpack.encode(estimator.dump())))
        assert estimator.predict(name, "ann", None).work == pytest.approx(300.0)
        stage = estimator.predict("", "ann", None, stage="s", stage_signature=name)
        assert stage.work == pytest.approx(2.0)
        lone = Estimator(prior_work=5.0)
        lone.observe_stage(name, "ann", None, 2.0)
        assert not lone.knows(name)
        assert lone.predict(name, "ann", None).source == Source.PRIOR

    def test_a_history_from_before_there_were_two_drawers_is_that_of_jobs(self) -> None:
        """An older snapshot's cards name no drawer."""
        estimator = Estimator(prior_work=5.0)
        estimator.observe("q", "ann", None, 7.0, predicted=None)
        image = estimator.dump()
        assert all(len(card) == 4 for card in image["cards"]), "and still do not"
        assert Estimator.load(image).predict("q", "ann", None).work == pytest.approx(7.0)


class TestTheService:
    def test_a_finished_stage_teaches_its_signature(self) -> None:
        """Under whatever name it comes again, in whatever job, and by its bytes."""
        core = Driver(slots=4)
        core.submit("ann", "j1", open=True, signature="q1")
        core.apply(cmd.AddStages(job_id="j1", stages=(scan("3.0", 1, 1),)))
        run_all(core, seconds=2.0)
        core.submit("ann", "j2", open=True, signature="q2")
        core.apply(cmd.AddStages(job_id="j2", stages=(scan("8.0", 2, 4),)))
        (stage,) = core.scheduler.job("j2").stages
        assert stage.spec.source == Source.SIGNATURE_USER
        assert stage.work == pytest.approx(12.0)

    def test_one_that_was_not_finished_teaches_nothing(self) -> None:
        """Half of its tasks are not what it takes."""
        core = Driver(slots=1)
        core.submit("ann", "j1", open=True)
        core.apply(cmd.AddStages(job_id="j1", stages=(scan("3.0", 1, 1),)))
        (lease,) = core.poll("w")
        core.done(lease, 2.0)
        core.cancel("j1")
        question = cmd.SplitStage(pool=POOL, user="ann", stage=scan("x", 1))
        assert core.scheduler.split_stage(question).source == Source.PRIOR

    def test_the_only_stage_of_a_job_teaches_both_signatures(self) -> None:
        """Of the stage at its end, and of the job; open or not."""
        for is_open in (False, True):
            core = Driver(slots=4)
            core.submit("ann", "j1", scan("3.0", 1, 1), open=is_open, signature="q")
            run_all(core, seconds=2.0)
            core.apply(cmd.CloseJob(job_id="j1"))
            estimator = core.scheduler.state.estimators[POOL]
            assert estimator.predict("q", "ann", None).work == pytest.approx(4.0)
            known = estimator.predict("", "ann", 2 * MIB, stage="x", stage_signature="scan")
            assert known.work == pytest.approx(4.0)

    def test_the_signature_is_content(self) -> None:
        """Another one under the same name is a conflict; none is what it always was."""
        spec = cmd.StageSpec(
            stage="scan", cut=cmd.TaskList(count=2, task_bytes=(3, 4)), payload=b"x"
        )
        # What a release before there were signatures has written down.
        assert fingerprint(spec).hex() == "a5fdf25b41c56251df37064c1a1ab36c"
        job = cmd.SubmitJob(user="ann", signature="q", stages=(spec,), open=True)
        assert job_fingerprint(job).hex() == "3c34eb17a2d976a67c3542fa2e501273"
        assert fingerprint(msgspec.structs.replace(spec, signature="s")) != fingerprint(spec)

    def test_a_restart_remembers_signatures(self) -> None:
        """In jobs that run, and in histories."""
        core = Driver(slots=4)
        core.submit("ann", "j1", scan("3.0", 1, 1), open=True)
        core.reload()
        run_all(core, seconds=2.0)
        core.reload()
        question = cmd.SplitStage(pool=POOL, user="ann", stage=scan("x", 1))
        assert core.scheduler.split_stage(question).work == pytest.approx(2.0)


class TestAdvice:
    def test_a_large_unknown_input_is_cut_for_all_slots(self) -> None:
        """While nothing is known, the slots are what decides."""
        core = Driver(slots=6)
        cut = cmd.InputDescriptor(unit_sizes=(1 << 40,), splittable=True)
        question = cmd.SplitStage(pool=POOL, user="ann", stage=cmd.StageSpec(stage="s", cut=cut))
        advice = core.scheduler.split_stage(question)
        assert (advice.task_count, advice.reason, advice.source) == (6, "guess", Source.PRIOR)

    def test_of_a_large_unknown_input_other_stages_say_how_much_it_is(self) -> None:
        """Never fewer tasks than slots, but more when there is that much to do."""
        core = Driver(slots=4, settings=Settings(advisory_task_runtime=1.0))
        core.submit("ann", "j1", scan("3.0", 1, 1), open=True)
        run_all(core, seconds=2.0)
        for mebibytes, tasks in ((1, 4), (100, 200)):
            cut = cmd.InputDescriptor(unit_sizes=(mebibytes * MIB,), splittable=True)
            spec = cmd.StageSpec(stage="s", cut=cut, signature="never seen")
            advice = core.scheduler.split_stage(cmd.SplitStage(pool=POOL, user="ann", stage=spec))
            assert (advice.task_count, advice.source) == (tasks, Source.USER)
