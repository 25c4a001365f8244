"""The life of an open job whose engine places its tasks itself, as Spark drives one."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.oracles.counting import Counted, calls_of
from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core import events as ev
from uwfq_service.core.errors import InvalidField, NotFound, TasksAreLeased
from uwfq_service.core.invariants import check
from uwfq_service.core.model import Job, JobState
from uwfq_service.core.replies import AckStatus, NextTaskReply
from uwfq_service.core.settings import Settings
from uwfq_service.core.views import job_status

ENGINE = "spark-1"


def lease_poll(core: Driver) -> None:
    """The engine asks for leases, and gets none."""
    assert not core.poll(ENGINE, slots=2)


@pytest.mark.parametrize("polls", ["before", "after", "both"])
def test_an_engine_that_polls_for_leases_takes_its_jobs_along(polls: str) -> None:
    """Its silence cancels them, for nobody else may run their tasks."""
    core = Driver()
    if polls != "after":
        lease_poll(core)
    core.submit("ann", "q", open=True, engine_id=ENGINE)
    assert core.scheduler.pools[POOL].slots == (0 if polls == "after" else 2)
    if polls != "before":
        lease_poll(core)
    core.reload()
    core.at(Settings().engine_timeout - 1)
    assert not core.scheduler.job("q").ended
    core.at(Settings().engine_timeout + 60)
    assert core.scheduler.job("q").state is JobState.CANCELLED


class Engine:
    """An engine of four slots with one open query."""

    def __init__(self, **job: Any) -> None:
        self.core = Driver(settings=Settings(prior_work=50.0))
        self.core.rank(ENGINE, slots=4)
        self.core.submit("ann", "q", open=True, engine_id=ENGINE, **job)

    @property
    def job(self) -> Job:
        """The query."""
        return self.core.scheduler.job("q")

    def add(self, name: str, tasks: int, **fields: Any) -> None:
        """A stage reveals itself."""
        spec = cmd.StageSpec(stage=name, cut=cmd.TaskList(count=tasks), **fields)
        self.core.apply(cmd.AddStages(job_id="q", stages=(spec,)))
        self.check()

    def begin(self, stage: str, *tasks: int, attempt: int = 1) -> list[AckStatus]:
        """Tasks have begun."""
        starts = tuple(cmd.TaskStart(task=at(stage, task, attempt)) for task in tasks)
        poll = self.core.ask(ENGINE, slots=4, free_slots=0, ranking=True, started=starts)
        self.check()
        return [ack.status for ack in poll.started_acks]

    def end(
        self, stage: str, *tasks: int, ran: float = 1.0, attempt: int = 1, good: bool = True
    ) -> list[AckStatus]:
        """Attempts have ended."""
        outcome = (
            cmd.TaskSuccess(runtime=ran) if good else cmd.TaskFailure(message="oh", runtime=ran)
        )
        found = [self.core.report(ENGINE, at(stage, task, attempt), outcome) for task in tasks]
        self.check()
        return found

    def run(self, stage: str, *tasks: int, ran: float = 1.0) -> None:
        """Tasks begin, run and end well."""
        self.begin(stage, *tasks)
        self.core.at(self.core.now + ran)
        assert set(self.end(stage, *tasks, ran=ran)) == {AckStatus.ACCEPTED}

    def drop(self, *stages: str) -> None:
        """Stages will not be finished."""
        self.core.apply(cmd.DropStages(job_id="q", stages=stages))
        self.check()

    def close(self, *, finished: bool = False) -> None:
        """The query is over."""
        self.core.apply(cmd.CloseJob(job_id="q", finished=finished))
        self.check()

    def leave(self, **fields: Any) -> NextTaskReply:
        """The engine says goodbye."""
        reply = self.core.ask(ENGINE, slots=0, free_slots=0, leaving=True, **fields)
        self.check()
        return reply

    def check(self) -> None:
        """Every cross-cutting truth, before and after a restart."""
        check(self.core.scheduler, self.core.now)


def at(stage: str, task: int, attempt: int = 1) -> cmd.TaskRef:
    """One attempt of the query."""
    return cmd.TaskRef(job_id="q", stage=stage, task_index=task, attempt=attempt)


def test_an_engine_renews_what_it_was_leased_and_nothing_that_it_placed() -> None:
    """Of the numbers of its own attempts it was never told."""
    engine = Engine()
    engine.add("s", 2)
    engine.begin("s", 0, 1)
    assert engine.core.renew(ENGINE) == ()
    engine.core.submit("bo", "leased", stage("s", 1.0))
    (lease,) = engine.core.poll(ENGINE, slots=4)
    assert [renewal.lease_id for renewal in engine.core.renew(ENGINE)] == [lease.lease_id]


def test_an_engine_is_told_of_no_lease_when_an_attempt_runs_over_its_time_limit() -> None:
    """Its own attempts are none: at its next report of that one it hears that it is stale."""
    engine = Engine()
    engine.add("s", 1, task_timeout=2.0)
    engine.begin("s", 0)
    engine.core.at(3.0)
    assert engine.job.failed_attempts == 1
    assert engine.core.renew(ENGINE) == ()
    assert engine.core.ask(ENGINE, slots=4, free_slots=4).revoked == ()
    assert engine.end("s", 0) == [AckStatus.STALE]


@pytest.mark.parametrize("told", ["begins", "has ended"])
def test_an_attempt_began_no_earlier_than_its_job(told: str) -> None:
    """However long it has run by the engine's clock: nothing is charged for before it was asked."""
    engine = Engine()
    engine.core.at(10.0)
    engine.core.submit("ann", "late", stage("s", 1.0, 1.0), engine_id=ENGINE)
    ref = cmd.TaskRef(job_id="late", stage="s", task_index=0, attempt=1)
    engine.core.at(12.0)
    if told == "begins":
        engine.core.renew(ENGINE, started=(cmd.TaskStart(task=ref, running=7.0),))
    else:
        engine.core.report(ENGINE, ref, cmd.TaskFailure(message="oh", runtime=7.0))
    job = engine.core.scheduler.job("late")
    assert job.started_at == 10.0
    engine.check()


class TestTheEnd:
    def test_a_query_that_ran_no_task_has_succeeded(self) -> None:
        """Closed without a stage; and it cost nothing."""
        engine = Engine(signature="s")
        engine.close()
        assert (engine.job.state, engine.job.work) == (JobState.SUCCEEDED, 0)
        assert not engine.core.scheduler.state.estimators[POOL].knows("s"), "and says nothing"

    def test_a_query_ends_with_its_last_task_once_it_is_closed(self) -> None:
        """Not before, however many stages are through."""
        engine = Engine()
        for name in ("5.0", "7.0"):
            engine.add(name, 2)
            engine.run(name, 0, 1)
            assert not engine.job.ended
        engine.close()
        assert engine.job.state is JobState.SUCCEEDED
        assert engine.job.measured == 4.0

    @pytest.mark.parametrize("restart", [False, True])
    def test_a_finished_query_ends_whatever_is_left_of_it(self, restart: bool) -> None:
        """A stage that nobody waits for any more, attempts that still run."""
        engine = Engine()
        engine.add("5.0", 4)
        engine.run("5.0", 0)
        engine.begin("5.0", 1)
        engine.core.at(engine.core.now + 2.0)
        if restart:
            engine.core.reload()
        engine.close(finished=True)
        assert engine.job.state is JobState.SUCCEEDED
        assert engine.job.measured == 3.0, "what ran until then was service"
        assert engine.end("5.0", 1, ran=2.0) == [AckStatus.STALE]
        assert not engine.core.rank(ENGINE, slots=4).stages
        engine.close(finished=True)

    def test_a_finished_query_teaches_its_signature_by_what_it_took(self) -> None:
        """What was left of it counts neither as work nor as a wrong estimate."""
        engine = Engine(signature="s")
        engine.add("5.0", 4, declared_work=400.0)
        engine.run("5.0", 0, 1, ran=2.0)
        engine.close(finished=True)
        estimator = engine.core.scheduler.state.estimators[POOL]
        assert estimator.predict("s", "ann", None).work == pytest.approx(4.0)
        assert estimator.error.jobs == 0

    def test_only_an_engine_can_say_that_it_is_through(self) -> None:
        """What is leased is known to be done when its results are in."""
        core = Driver(slots=1)
        core.submit("ann", "leased", cmd.StageSpec(stage="s", declared_work=1.0))
        with pytest.raises(TasksAreLeased):
            core.apply(cmd.CloseJob(job_id="leased", finished=True))
        with pytest.raises(TasksAreLeased):
            core.apply(cmd.DropStages(job_id="leased", stages=("s",)))

    def test_a_cancelled_query_pays_for_what_ran(self) -> None:
        """Attempts under way end with it, and are told so."""
        engine = Engine()
        engine.add("5.0", 3)
        engine.begin("5.0", 0, 1)
        engine.core.at(3.0)
        engine.core.cancel("q", "given up")
        assert (engine.job.state, engine.job.measured) == (JobState.CANCELLED, 6.0)
        assert engine.end("5.0", 0, 1) == [AckStatus.STALE] * 2


class TestAttempts:
    @pytest.mark.parametrize("late", [True, False])
    def test_a_second_attempt_may_win(self, late: bool) -> None:
        """The loser is superseded, however it ended, and charged."""
        engine = Engine()
        engine.add("5.0", 2)
        engine.begin("5.0", 0)
        engine.core.at(4.0)
        assert engine.begin("5.0", 0, attempt=2) == [AckStatus.ACCEPTED]
        engine.core.at(5.0)
        assert engine.end("5.0", 0, ran=1.0, attempt=2) == [AckStatus.ACCEPTED]
        assert engine.end("5.0", 0, ran=5.0, good=late) == [AckStatus.SUPERSEDED]
        assert (engine.job.measured, engine.job.stages[0].done) == (6.0, 1)

    def test_a_result_that_comes_twice_is_charged_once(self) -> None:
        """Also while a rival of the attempt that won still runs."""
        engine = Engine()
        engine.add("5.0", 2)
        engine.begin("5.0", 0)
        engine.begin("5.0", 0, attempt=2)
        assert engine.end("5.0", 0) == [AckStatus.ACCEPTED]
        assert engine.end("5.0", 0) == [AckStatus.SUPERSEDED]
        assert engine.job.measured == 1.0
        assert engine.end("5.0", 0, attempt=2) == [AckStatus.SUPERSEDED]
        assert engine.end("5.0", 0, attempt=2) == [AckStatus.SUPERSEDED]
        assert engine.job.measured == 2.0
        assert not engine.core.scheduler.state.leases

    def test_a_start_that_comes_after_its_end_begins_nothing(self) -> None:
        """A poll that is repeated brings its starts once more."""
        engine = Engine()
        engine.add("5.0", 3)
        engine.run("5.0", 0)
        engine.begin("5.0", 1)
        engine.end("5.0", 1, good=False)
        engine.begin("5.0", 1, attempt=2)
        engine.end("5.0", 1, attempt=2)
        for repeated in ((0, 1), (1, 1), (1, 2)):
            task, attempt = repeated
            assert engine.begin("5.0", task, attempt=attempt) == [AckStatus.STALE]
        assert not engine.core.scheduler.state.leases

    def test_a_task_that_was_done_may_be_run_again(self) -> None:
        """Its executor is lost, and with it what it wrote: a later attempt is charged."""
        engine = Engine()
        engine.add("5.0", 2)
        engine.run("5.0", 0)
        assert engine.begin("5.0", 0, attempt=2) == [AckStatus.ACCEPTED]
        assert engine.end("5.0", 0, attempt=2) == [AckStatus.SUPERSEDED]
        assert engine.job.measured == 2.0

    def test_failures_that_come_out_of_order_count_once_each(self) -> None:
        """The later attempt failed first."""
        engine = Engine()
        engine.add("5.0", 1)
        engine.begin("5.0", 0)
        engine.begin("5.0", 0, attempt=2)
        for attempt in (2, 1, 2, 1):
            engine.end("5.0", 0, attempt=attempt, good=False)
        assert (engine.job.measured, engine.job.failed_attempts) == (2.0, 2)
        engine.begin("5.0", 0, attempt=3)
        assert engine.end("5.0", 0, attempt=3) == [AckStatus.ACCEPTED]

    def test_what_was_never_announced_is_told_apart(self) -> None:
        """A task that waits counts; a job or a stage that is not there must be submitted first."""
        engine = Engine()
        engine.add("5.0", 1)
        assert engine.end("5.0", 0) == [AckStatus.ACCEPTED]
        assert engine.end("6.0", 0) == [AckStatus.UNKNOWN]
        lost = cmd.TaskRef(job_id="lost", stage="5.0", attempt=1)
        assert engine.core.report(ENGINE, lost, cmd.TaskSuccess(runtime=1.0)) is AckStatus.UNKNOWN


class TestDroppedStages:
    def test_a_stage_that_is_tried_again_is_charged_once(self) -> None:
        """What was left of the first try is not added to what the second one takes."""
        engine = Engine()
        engine.add("5.0", 10, declared_work=100.0)
        engine.run("5.0", *range(4), ran=10.0)
        engine.add("5.1", 6, declared_work=60.0)
        assert engine.job.work == pytest.approx(160.0)
        engine.drop("5.0")
        assert engine.job.work == pytest.approx(100.0)
        assert [r.stage for r in engine.core.rank(ENGINE, slots=4).stages] == ["5.1"]
        engine.run("5.1", *range(6), ran=10.0)
        engine.close()
        assert (engine.job.state, engine.job.measured) == (JobState.SUCCEEDED, 100.0)

    @pytest.mark.parametrize("good", [True, False])
    @pytest.mark.parametrize("restart", [True, False])
    def test_attempts_that_run_go_on_and_end_the_stage(self, good: bool, restart: bool) -> None:
        """Well or not: nothing of it waits again."""
        engine = Engine()
        engine.add("5.0", 4)
        engine.begin("5.0", 0)
        engine.drop("5.0")
        engine.close()
        assert not engine.job.ended, "it waits for what runs"
        if restart:
            engine.core.reload()
        assert engine.end("5.0", 0, good=good) == [AckStatus.ACCEPTED]
        assert engine.job.state is JobState.SUCCEEDED
        assert engine.job.measured == 1.0

    def test_a_dropped_task_is_not_begun(self) -> None:
        """Its result is late; the status shows that nothing waits."""
        engine = Engine()
        engine.add("5.0", 4)
        engine.run("5.0", 0)
        engine.drop("5.0", "5.0")
        assert engine.end("5.0", 2) == [AckStatus.STALE]
        (stage,) = job_status(engine.job, engine.core.now).stages
        assert (stage.waiting, stage.running, stage.done) == (0, 0, 1)
        engine.drop("5.0")
        assert len(engine.core.events_of(ev.StagesDropped)) == 1

    def test_a_start_that_comes_late_is_charged_and_ends_nothing_twice(self) -> None:
        """Spark had launched it before it gave the stage up."""
        engine = Engine()
        engine.add("5.0", 2)
        engine.drop("5.0")
        assert engine.begin("5.0", 1) == [AckStatus.ACCEPTED]
        assert engine.end("5.0", 1, ran=3.0) == [AckStatus.SUPERSEDED]
        engine.close()
        assert (engine.job.state, engine.job.measured) == (JobState.SUCCEEDED, 3.0)

    @pytest.mark.parametrize("good", [True, False])
    def test_the_last_rival_of_a_dropped_stage_ends_the_query(self, good: bool) -> None:
        """Its task is done already, so nothing but its own end is waited for."""
        engine = Engine()
        engine.add("5.0", 2)
        engine.begin("5.0", 0)
        engine.begin("5.0", 0, attempt=2)
        engine.core.at(1.0)
        assert engine.end("5.0", 0) == [AckStatus.ACCEPTED]
        engine.drop("5.0")
        engine.close()
        assert not engine.job.ended
        engine.core.at(2.0)
        assert engine.end("5.0", 0, attempt=2, ran=2.0, good=good) == [AckStatus.SUPERSEDED]
        assert engine.job.state is JobState.SUCCEEDED
        assert engine.job.measured == 3.0

    def test_uneven_tasks_are_dropped_at_what_they_were_estimated_at(self) -> None:
        """What ran first were the large ones."""
        engine = Engine()
        cut = cmd.TaskList(count=3, task_work=(70.0, 20.0, 10.0))
        spec = cmd.StageSpec(stage="5.0", cut=cut)
        engine.core.apply(cmd.AddStages(job_id="q", stages=(spec,)))
        engine.begin("5.0", 1)
        engine.drop("5.0")
        assert engine.job.dropped_work == 80.0
        assert engine.end("5.0", 1, good=False) == [AckStatus.ACCEPTED]
        assert engine.job.dropped_work == 100.0

    def test_what_waited_for_a_dropped_stage_waits_no_more(self) -> None:
        """Its engine says that it is over."""
        engine = Engine()
        engine.add("5.0", 2)
        engine.add("6.0", 1, after=("5.0",))
        engine.drop("5.0")
        assert [r.stage for r in engine.core.rank(ENGINE, slots=4).stages] == ["6.0"]

    def test_a_stage_that_is_not_there_is_named(self) -> None:
        """And nothing is dropped beside it."""
        engine = Engine()
        engine.add("5.0", 2)
        with pytest.raises(NotFound, match=r"stage '6\.0'"):
            engine.drop("5.0", "6.0")
        with pytest.raises(InvalidField, match="stages: must not be empty"):
            engine.drop()
        assert engine.job.stages[0].waiting == 2


class TestTheCharge:
    def test_the_whole_stands_until_the_stages_exceed_it(self) -> None:
        """Stages that come one by one are part of it, not beside it."""
        engine = Engine(declared_work=100.0)
        for number in range(4):
            engine.add(f"{number}.0", 3, declared_work=30.0)
            assert engine.job.work == pytest.approx(max(100.0, 30.0 * (number + 1)))
        for number in range(4):
            engine.run(f"{number}.0", 0, 1, 2, ran=10.0)
        assert engine.job.work == pytest.approx(120.0)
        engine.close()
        assert engine.job.work == pytest.approx(120.0)

    def test_the_whole_of_a_known_signature_is_not_outweighed_by_guesses(self) -> None:
        """Three stages of which nothing is known, and a query that took 8 before."""
        engine = Engine(signature="s")
        engine.add("1.0", 2)
        engine.run("1.0", 0, 1, ran=4.0)
        engine.close()
        engine.core.submit("ann", "q2", open=True, engine_id=ENGINE, signature="s")
        job = engine.core.scheduler.job("q2")
        assert job.work == pytest.approx(8.0)
        for name in ("2.0", "3.0", "4.0"):
            spec = cmd.StageSpec(stage=name, cut=cmd.TaskList(count=2))
            engine.core.apply(cmd.AddStages(job_id="q2", stages=(spec,)))
            assert job.work == pytest.approx(8.0)
        started = tuple(
            cmd.TaskStart(task=cmd.TaskRef(job_id="q2", stage="2.0", task_index=task))
            for task in range(2)
        )
        engine.core.ask(ENGINE, slots=4, free_slots=2, ranking=True, started=started)
        engine.core.at(engine.core.now + 3.0)
        assert job.work == pytest.approx(8.0)
        engine.core.at(engine.core.now + 3.0)
        assert job.work >= 11.0, "what runs has exceeded it"

    def test_unknown_stages_of_an_unknown_query_share_one_guess(self) -> None:
        """Not fifty slot-seconds for each."""
        engine = Engine(signature="s")
        for name in ("1.0", "2.0", "3.0"):
            engine.add(name, 5)
        assert engine.job.work == 50.0

    def test_what_is_known_of_the_stages_counts_though_nothing_is_of_the_query(self) -> None:
        """It may exceed the guess."""
        engine = Engine(signature="s")
        engine.add("1.0", 5, declared_work=80.0)
        engine.add("2.0", 5)
        assert engine.job.work == pytest.approx(80.0)

    def test_what_the_first_of_its_kind_took_is_held_against_an_open_job(self) -> None:
        """From above as from below, and results on the way do not undo it."""
        for runtime in (90.0, 2.0):
            engine = Engine(signature="s")
            engine.add("1.0", 2, declared_work=1.0)
            engine.core.submit("bob", "first", open=True, engine_id=ENGINE, signature="s")
            spec = cmd.StageSpec(stage="x", cut=cmd.TaskList(count=1))
            engine.core.apply(cmd.AddStages(job_id="first", stages=(spec,), close=True))
            ref = cmd.TaskRef(job_id="first", stage="x", attempt=1)
            engine.core.report(ENGINE, ref, cmd.TaskSuccess(runtime=runtime))
            assert engine.job.work == pytest.approx(runtime)
            engine.run("1.0", 0, ran=0.5)
            assert engine.job.work == pytest.approx(runtime)
            engine.core.reload()
            engine.run("1.0", 1, ran=0.5)
            assert engine.job.work == pytest.approx(runtime)
            engine.close()
            assert engine.job.work == 1.0


class TestGoodbyes:
    def test_an_engine_that_leaves_takes_its_jobs_along(self) -> None:
        """What rides on its last poll counts, then it is forgotten at once."""
        engine = Engine()
        engine.add("5.0", 2)
        result = cmd.TaskResult(task=at("5.0", 0), outcome=cmd.TaskSuccess(runtime=2.0))
        reply = engine.leave(done=(result,))
        assert [ack.status for ack in reply.done_acks] == [AckStatus.ACCEPTED]
        assert (engine.job.state, engine.job.measured) == (JobState.CANCELLED, 2.0)
        assert engine.job.cause == f"engine {ENGINE!r} has left"
        assert not engine.core.scheduler.pools[POOL].workers
        engine.leave()

    def test_what_is_over_makes_a_goodbye_no_dearer(self) -> None:
        """Only what the engine leaves behind is looked at."""

        def cost(finished: int) -> int:
            engine = Engine()
            for number in range(finished):
                engine.core.submit("ann", f"j{number}", open=True, engine_id=ENGINE)
                engine.core.apply(cmd.CloseJob(job_id=f"j{number}", finished=True))
            engine.core.reload()
            goodbye = partial(engine.core.ask, ENGINE, slots=0, free_slots=0, leaving=True)
            return calls_of(goodbye)

        assert cost(200) < cost(2) + 50


def test_many_tasks_that_failed_make_results_no_slower() -> None:
    """Which of them a result means is found without a look at each."""
    tasks = 1000
    engine = Engine()
    engine.add("s", tasks, declared_work=float(tasks))
    failure = cmd.TaskFailure(message="executor lost", runtime=0.5)
    for attempt, outcome in ((1, failure), (2, cmd.TaskSuccess(runtime=0.5))):
        Counted.compared = 0
        results = tuple(
            cmd.TaskResult(
                task=cmd.TaskRef(job_id="q", stage="s", task_index=Counted(task), attempt=attempt),
                outcome=outcome,
            )
            for task in reversed(range(tasks))
        )
        reply = engine.core.ask(ENGINE, slots=4, free_slots=0, ranking=True, done=results)
        assert {ack.status for ack in reply.done_acks} == {AckStatus.ACCEPTED}
        assert Counted.compared < 100 * tasks
    check(engine.core.scheduler, engine.core.now)
    assert engine.job.stages[0].done == tasks
