"""A journal as a workload: what a service has recorded, read back as what its users did."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.store.real_life import HASTY, Life
from tests.unit.simulator.journals import EPOCH, Past, Taped, stage, write
from uwfq_service.core import commands as cmd
from uwfq_service.core import events as ev
from uwfq_service.simulator.importers.journal import jobs_of, read_recording
from uwfq_service.simulator.importers.recorder import Recorder
from uwfq_service.simulator.runs import Options
from uwfq_service.simulator.workload import (
    JobSpec,
    StageSpec,
    UserSpec,
    Workload,
    WorkloadError,
    dump,
    parse,
)
from uwfq_service.simulator.world import World
from uwfq_service.store.pools import PoolRecord, read_pools
from uwfq_service.store.schema import DATABASE_NAME


def imported(past: Past, directory: Path) -> Workload:
    """What a service with this past has recorded."""
    return read_recording(past.write(directory), pool=past.pool).workload


def only_job(past: Past, directory: Path) -> JobSpec:
    """The one job of it."""
    (job,) = imported(past, directory).jobs
    return job


# ------------------------------------------------------------------ the whole


def random_workload(seed: int) -> Workload:
    """Some jobs with dependent stages whose times need no more than microseconds."""
    chance = random.Random(seed)

    def one_job(number: int) -> JobSpec:
        names = [f"s{index}" for index in range(chance.randrange(1, 5))]
        return JobSpec(
            job=f"j{number}",
            user=chance.choice(["ann", "bo", "cy"]),
            submit=round(number * chance.uniform(0, 1.5), 6) if number else 0.0,
            signature=chance.choice(["", "etl"]),
            input_bytes=chance.choice([None, 5000]),
            stages=tuple(
                StageSpec(
                    stage=name,
                    tasks=tuple(chance.uniform(0, 2) for _ in range(chance.randrange(1, 9))),
                    after=tuple(chance.sample(names[:index], chance.randrange(index + 1))),
                )
                for index, name in enumerate(names)
            ),
        )

    jobs = sorted(map(one_job, range(12)), key=lambda job: job.submit)
    users = {job.user: 1.0 + len(job.user) for job in jobs}
    return Workload(
        version=1,
        name="made up",
        slots=4,
        users=tuple(UserSpec(user=user, weight=weight) for user, weight in users.items()),
        jobs=tuple(jobs),
    )


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("policy", ["uwfq", "fair"])
@pytest.mark.parametrize("seed", range(4))
def test_what_a_simulated_service_journals_is_the_workload_that_it_was_given(
    seed: int, policy: str, compacted: bool, tmp_path: Path
) -> None:
    """There and back: however it was scheduled, and whether or not the history has moved."""
    given = random_workload(seed)
    # None of the jobs declares anything, and so none must be found to have.
    world = World(given, Options(policy=policy, estimates="declared"))
    world.scheduler = tape = Taped(world.scheduler.settings)
    world.play()
    write(tmp_path, tape.tape, tape if compacted else None)
    found = read_recording(tmp_path).workload
    assert found.slots == given.slots
    assert found.weights == given.weights
    assert found.jobs == tuple(_as_recorded(job) for job in given.jobs)
    assert parse(dump(found)) == found


def _as_recorded(job: JobSpec) -> JobSpec:
    """Dependencies are recorded in the order of the stages."""
    stages = (
        msgspec.structs.replace(stage, after=tuple(sorted(stage.after or ())))
        for stage in job.stages
    )
    return msgspec.structs.replace(job, stages=tuple(stages))


# ------------------------------------------------------------------- jobs


def test_a_job_that_ended_badly_keeps_the_work_that_was_done(tmp_path: Path) -> None:
    """The pool has spent the time; a job that never got any is only counted."""
    past = Past()
    past.submit("half", stage("a", 3), stage("b", 1, after=("a",)))
    past.run(seconds=2.0)
    past.submit("none", stage("a", 1), user="bo")
    past.do(cmd.CancelJob(job_id="half"))
    past.do(cmd.CancelJob(job_id="none"))
    recording = read_recording(past.write(tmp_path))
    (job,) = recording.workload.jobs
    assert job.job == "half"
    assert job.stages == (StageSpec(stage="a", tasks=(2.0,), after=()),)
    assert [user.user for user in recording.workload.users] == ["alice"]
    assert (recording.unfinished, recording.without_work, recording.cut_off) == (0, 1, 0)
    assert recording.left_out == "1 job without any finished task"


def test_a_job_that_has_not_ended_is_left_out_and_counted(tmp_path: Path) -> None:
    """Nobody knows its size; the time of the workload begins with the first job that is in it."""
    past = Past()
    past.submit("long", stage("a", 5))
    past.run(seconds=1.0)
    past.submit("short", stage("a", 1), user="bo", declared_work=1.0)
    for _ in range(3):
        past.run(seconds=1.0)
    recording = read_recording(past.write(tmp_path))
    assert [(job.job, job.submit) for job in recording.workload.jobs] == [("short", 0.0)]
    assert recording.left_out == "1 job not finished"


def test_jobs_older_than_the_history_are_counted(tmp_path: Path) -> None:
    """A history drops its oldest events, whatever they belong to."""
    past = Past()
    past.submit("old", stage("a", 2))
    past.run(seconds=1.0)
    past.submit("new", stage("a", 1))
    past.run(seconds=1.0)
    past.run(seconds=1.0)
    past.write(tmp_path, compacted=True)
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection:
        (kept,) = connection.execute(
            "SELECT max(seq) FROM history WHERE kind = 5"  # JobAdmitted
        ).fetchone()
        connection.execute("DELETE FROM history WHERE seq < ?", (kept,))
        connection.commit()
    recording = read_recording(tmp_path)
    assert [job.job for job in recording.workload.jobs] == ["new"]
    assert recording.cut_off == 1
    # The worker came before the history begins, and is still there.
    assert recording.workload.slots == 1


def test_attempts_that_led_to_nothing_are_no_work(tmp_path: Path) -> None:
    """A failure, an expired lease and a retry: the true runtime is that of the one that counted."""
    past = Past(retry_backoff=0.0, lease_seconds=5.0)
    past.submit("j", stage("a", 2))
    failing, expiring = past.poll("w", slots=2)
    past.at(1)
    failure = cmd.TaskFailure(message="no such file", runtime=1.0)
    result = cmd.TaskResult(task=cmd.TaskRef(lease_id=failing), outcome=failure)
    past.do(cmd.TaskDone(worker_id="w", results=(result,)))
    past.at(6)
    again = past.poll("v", slots=2)
    past.at(9)
    # What the silent worker says now comes too late.
    past.done("w", {expiring: 8.0})
    past.done("v", dict(zip(again, (2.5, 3.0), strict=True)))
    assert only_job(past, tmp_path).stages[0].tasks == (2.5, 3.0)


def test_a_wide_task_becomes_tasks_of_one_slot_each(tmp_path: Path) -> None:
    """The work stays; that they ran at once is lost."""
    past = Past()
    past.submit("j", stage("wide", 2, slots_per_task=3))
    past.run(slots=6, seconds=4.0)
    job = only_job(past, tmp_path)
    assert job.stages[0].tasks == (4.0,) * 6
    assert job.total_work == 2 * 3 * 4.0


def test_of_rival_attempts_the_first_to_finish_counts(tmp_path: Path) -> None:
    """An engine that speculates; its attempts have no leases of their own to be told apart by."""
    past = Past()
    past.submit("j", stage("map", 1), engine_id="spark")
    refs = [
        cmd.TaskRef(job_id="j", stage="map", task_index=0, attempt=attempt) for attempt in (1, 2)
    ]
    starts = tuple(cmd.TaskStart(task=ref) for ref in refs)
    past.poll("spark", slots=2, ranking=True, started=starts)
    for seconds, ref in ((3.0, refs[1]), (4.0, refs[0])):
        past.at(seconds)
        done = cmd.TaskResult(task=ref, outcome=cmd.TaskSuccess(runtime=seconds))
        past.poll("spark", slots=2, ranking=True, done=(done,))
    assert only_job(past, tmp_path).stages[0].tasks == (3.0,)


def test_what_comes_after_a_dropped_stage_follows_it(tmp_path: Path) -> None:
    """Its engine gave it up half-way, and went on two seconds later."""
    past = Past()
    past.submit("j", stage("5.0", 2), engine_id="spark", open=True)

    def ran(name: str) -> None:
        ref = cmd.TaskRef(job_id="j", stage=name)
        done = cmd.TaskResult(task=ref, outcome=cmd.TaskSuccess(runtime=1.0))
        past.poll("spark", slots=2, ranking=True, done=(done,))

    past.at(1)
    ran("5.0")
    past.do(cmd.DropStages(job_id="j", stages=("5.0",)))
    past.at(3)
    past.do(cmd.AddStages(job_id="j", stages=(stage("7.0"),)))
    past.at(4)
    ran("7.0")
    past.do(cmd.CloseJob(job_id="j", finished=True))
    (job,) = read_recording(past.write(tmp_path, compacted=True)).workload.jobs
    first, second = job.stages
    assert first.tasks == (1.0,)
    assert (second.after, second.delay) == (("5.0",), 2.0)


def test_an_id_that_was_taken_again_stays_unique(tmp_path: Path) -> None:
    """A service forgets what ended long ago; a workload does not."""
    past = Past(retention_seconds=1.0)
    for _ in range(2):
        past.submit("nightly", stage("a"))
        past.run(seconds=1.0)
        past.at(past.now - EPOCH + 10)
    assert [job.job for job in imported(past, tmp_path).jobs] == ["nightly", "nightly#2"]


@pytest.mark.parametrize("name", ["j" * 128, "名" * 42 + "jj"])
def test_a_long_id_that_was_taken_again_is_cut_short(tmp_path: Path, name: str) -> None:
    """The service took all 128 bytes of it, and so does a workload."""
    past = Past(retention_seconds=1.0)
    for _ in range(2):
        past.submit(name, stage("a"))
        past.run(seconds=1.0)
        past.at(past.now - EPOCH + 10)
    first, second = (job.job for job in imported(past, tmp_path).jobs)
    assert first == name
    assert second.endswith("#2")
    assert name.startswith(second.removesuffix("#2"))


def test_an_id_that_was_taken_again_is_no_other_jobs(tmp_path: Path) -> None:
    """Somebody may have thought of the same way to tell them apart."""
    past = Past(retention_seconds=1.0)
    for name in ("nightly#3", "nightly", "nightly"):
        past.submit(name, stage("a"))
        past.run(seconds=1.0)
        past.at(past.now - EPOCH + 10)
    names = [job.job for job in imported(past, tmp_path).jobs]
    assert names == ["nightly#3", "nightly", "nightly##3"]


# ---------------------------------------------------------------- stages that come later


def test_a_stage_that_was_added_later_has_the_delay_of_its_driver(tmp_path: Path) -> None:
    """From the end of what it waits for to its addition; waiting for a slot is no delay."""
    past = Past()
    past.submit("q", stage("scan"), open=True)
    past.submit("other", stage("a"), user="bo")
    past.run(seconds=2.0)  # scan, until 2
    past.at(2.25)
    past.do(cmd.AddStages(job_id="q", stages=(stage("agg", after=("scan",)),)))
    past.at(3.0)
    past.run(slots=2, seconds=1.0)  # both, until 4
    past.at(4.5)
    # Nothing is named, but its driver has seen the result of all that there was.
    past.do(cmd.AddStages(job_id="q", stages=(stage("sort"),), close=True))
    past.run(seconds=1.0)
    job = next(job for job in imported(past, tmp_path).jobs if job.job == "q")
    assert [(spec.stage, spec.after, spec.delay) for spec in job.stages] == [
        ("scan", (), 0.0),
        ("agg", ("scan",), 0.25),
        ("sort", ("agg",), 0.5),
    ]


def test_a_stage_that_was_added_in_time_has_no_delay(tmp_path: Path) -> None:
    """It waits for a stage that still ran when it was added; or for nothing, since a second ago."""
    past = Past()
    past.submit("q", stage("scan"), open=True)
    (scan,) = past.poll()
    past.at(1)
    more = (stage("agg", after=("scan",)), stage("sort", after=("agg",)), stage("side"))
    past.do(cmd.AddStages(job_id="q", stages=more, close=True))
    past.at(2)
    past.done("w", {scan: 2.0})
    for _ in range(3):
        past.run(seconds=1.0)
    job = only_job(past, tmp_path)
    assert [(spec.stage, spec.after, spec.delay) for spec in job.stages] == [
        ("scan", (), 0.0),
        ("agg", ("scan",), 0.0),
        ("sort", ("agg",), 0.0),
        ("side", (), 1.0),
    ]


def test_what_a_dropped_stage_waited_for_is_waited_for_by_those_behind_it() -> None:
    """Spark drops a stage whose input is lost before a task of it ends, and makes it anew."""
    recorder = Recorder("default")

    def added(at: float, name: str, after: tuple[int, ...] = ()) -> None:
        spec = ev.AdmittedStage(stage=name, after=after, task_count=1, work=1.0, source="declared")
        recorder.note(ev.StagesAdded(at=at, job=1, stages=(spec,)))

    def ran(at: float, stage: int, runtime: float) -> None:
        recorder.note(ev.TasksRan(at=at, job=1, stage=stage, tasks=(0,), runtimes=(runtime,)))

    recorder.note(
        ev.JobAdmitted(at=100.0, pool="default", job=1, job_id="a", user="u", work=3.0, open=True)
    )
    added(100.0, "scan")
    ran(110.0, 0, 10.0)
    added(110.5, "sum")
    recorder.note(ev.StagesDropped(at=111.0, job=1, stages=(1,)))
    added(112.0, "scan again")
    ran(122.0, 2, 10.0)
    added(122.0, "sum again", after=(1, 2))
    ran(126.0, 3, 4.0)
    recorder.note(ev.JobEnded(at=126.0, job=1, state="succeeded"))
    scan, again, total = jobs_of(recorder.ended)[0].stages
    assert (scan.after, again.after, total.after) == ((), ("scan",), ("scan", "scan again"))
    assert (scan.delay, again.delay, total.delay) == (0.0, 2.0, 0.0)


# -------------------------------------------------------------- estimates and sizes


@pytest.mark.parametrize(
    ("more", "estimate"),
    [
        ({"declared_work": 9.0}, 9.0),
        ({}, None),
        ({"open": True}, None),
    ],
)
def test_the_estimate_is_what_was_declared(
    more: dict[str, Any], estimate: float | None, tmp_path: Path
) -> None:
    """Of the service's own guesses nothing is taken for a declaration."""
    past = Past()
    past.submit("j", stage("a"), **more)
    past.run()
    past.do(cmd.CloseJob(job_id="j"))
    assert only_job(past, tmp_path).estimate == estimate


def test_stages_that_declare_everything_make_an_estimate(tmp_path: Path) -> None:
    """Declared by stage or by task; one that says nothing leaves the whole unknown."""
    past = Past()
    past.submit("all", stage("a", task_work=(1.5,)), stage("b", declared_work=2.0))
    past.submit("some", stage("a", task_work=(1.5,)), stage("b"))
    past.run(slots=4)
    assert [job.estimate for job in imported(past, tmp_path).jobs] == [3.5, None]


def test_the_size_is_the_jobs_or_else_what_its_stages_read(tmp_path: Path) -> None:
    """For the estimator."""
    past = Past()
    scan = cmd.StageSpec(stage="a", cut=cmd.InputDescriptor(unit_sizes=(30, 12)))
    past.submit("told", scan, input_bytes=99)
    past.submit("summed", scan)
    past.submit("silent", stage("a"))
    past.run(slots=9)
    assert [job.input_bytes for job in imported(past, tmp_path).jobs] == [99, 42, None]


# --------------------------------------------------------------------- the pool


def test_weights_are_those_that_hold_now(tmp_path: Path) -> None:
    """A later setting wins; who was never set has weight 1."""
    past = Past()
    for weight in (3.0, 2.5):
        past.do(cmd.SetUser(pool="default", user="bo", weight=weight))
    past.do(cmd.SetUser(pool="default", user="idle", weight=9.0))
    for user in ("alice", "bo"):
        past.submit(user, stage("a"), user=user)
        past.run()
    assert imported(past, tmp_path).users == (
        UserSpec(user="alice", weight=1.0),
        UserSpec(user="bo", weight=2.5),
    )


def test_a_fixed_pool_has_the_slots_that_it_was_given(tmp_path: Path) -> None:
    """Whoever worked for it."""
    past = Past(slots=7)
    past.submit("j", stage("a"))
    past.run(slots=2)
    assert imported(past, tmp_path).slots == 7


def test_other_pools_have_the_same_numbers_and_do_not_matter(tmp_path: Path) -> None:
    """Jobs of two pools at once: each pool is a workload."""
    past = Past(pool="batch")
    past.do(cmd.ConfigurePool(pool="default"))
    past.submit("theirs", stage("a", 2), pool="default", user="bo")
    past.submit("ours", stage("a"))
    past.run(slots=3, seconds=2.0)
    past.pool = "default"
    past.run("v", slots=5, seconds=1.0)
    past.write(tmp_path)
    batch, default = (read_recording(tmp_path, pool=pool).workload for pool in ("batch", "default"))
    assert ([job.job for job in batch.jobs], batch.slots) == (["ours"], 3)
    assert ([job.job for job in default.jobs], default.slots) == (["theirs"], 5)
    assert batch.name == f"{tmp_path.name}/batch"


def slots_after(*changes: tuple[float, str, int]) -> int:
    """The slots of a pool in which a job ran from 0 to 10 while workers came and went."""
    recorder = Recorder("p")
    spec = ev.AdmittedStage(stage="a", task_count=1, work=1.0, source="prior")
    happened: list[ev.AnyEvent] = [
        ev.JobAdmitted(at=0.0, pool="p", job=1, job_id="j", user="u", work=1.0, stages=(spec,)),
        ev.JobEnded(at=10.0, job=1, state="succeeded"),
    ]
    for at, worker, slots in changes:
        happened.append(
            ev.WorkerJoined(at=at, pool="p", worker=worker, slots=slots)
            if slots
            else ev.WorkerLost(at=at, pool="p", worker=worker)
        )
    for event in sorted(happened, key=lambda event: event.at):
        recorder.note(event)
    now = {worker: slots for _, worker, slots in changes if slots}
    return recorder.usual_slots(now)


@pytest.mark.parametrize(
    ("changes", "slots"),
    [
        pytest.param([(-5, "a", 4)], 4, id="one worker all along"),
        pytest.param([(-5, "a", 4), (3, "b", 2)], 6, id="more for most of the time"),
        pytest.param([(-5, "a", 4), (8, "b", 2)], 4, id="more at the end"),
        pytest.param([(0, "a", 4), (5, "b", 4), (6, "a", 0)], 4, id="a restart seen twice"),
        pytest.param([(0, "a", 4), (2, "a", 0), (9, "b", 8)], 4, id="nobody for long"),
        pytest.param([(0, "a", 4), (1, "a", 6)], 6, id="announced anew"),
        pytest.param([(12, "a", 4)], 1, id="nobody but what leases held"),
    ],
)
def test_a_pool_of_workers_has_the_slots_that_it_had_for_most_of_the_time(
    changes: list[tuple[float, str, int]], slots: int
) -> None:
    """The median over the time in which there were any: restarts and late growth do not show."""
    assert slots_after(*changes) == slots


def test_without_any_word_of_workers_the_most_slots_that_were_leased_count(tmp_path: Path) -> None:
    """As in a history from before workers were part of it; expired leases hold nothing."""
    past = Past(lease_seconds=5.0, worker_timeout=6.0)
    past.submit("j", stage("a", 3))
    past.poll("silent", slots=2)
    past.at(6)
    past.run("w", slots=3, seconds=1.0)
    workers = (ev.WorkerJoined, ev.WorkerLost, ev.WorkerLeft)
    tape = past.scheduler.tape
    past.scheduler.tape = [event for event in tape if not isinstance(event, workers)]
    assert imported(past, tmp_path).slots == 3


@pytest.mark.parametrize("seed", range(3))
def test_pools_stand_as_the_scheduler_has_them(seed: int, tmp_path: Path) -> None:
    """From events alone, from a snapshot, and from a snapshot with events after it."""
    life = Life(seed, Taped(HASTY)).live(120)
    tape = [event for batch in life.batches for event in batch]
    (tmp_path / "events").mkdir()
    (tmp_path / "snapshot").mkdir()
    write(tmp_path / "events", tape)
    write(tmp_path / "snapshot", tape, life.scheduler)
    expected = {
        name: PoolRecord(
            fixed_slots=pool.fixed_slots,
            workers={worker.name: worker.slots for worker in pool.workers.values()},
            weights={user.name: user.weight / 1e6 for user in pool.users.values()},
        )
        for name, pool in life.scheduler.pools.items()
    }
    assert read_pools(tmp_path / "snapshot") == expected
    known = read_pools(tmp_path / "events")
    assert {name: pool.workers for name, pool in known.items()} == {
        name: pool.workers for name, pool in expected.items()
    }
    for name, pool in known.items():
        full = dict.fromkeys(expected[name].weights, 1.0) | pool.weights
        assert full == expected[name].weights


@pytest.mark.parametrize("after", [0, 40])
def test_a_snapshot_that_cannot_be_read_is_damage(after: int, tmp_path: Path) -> None:
    """Not an empty directory, nor a pool that nobody has configured."""
    life = Life(0, Taped(HASTY)).live(120)
    tape = [event for batch in life.batches for event in batch]
    write(tmp_path, tape, life.scheduler)
    write(tmp_path, tape[:after])
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection, connection:
        connection.execute("UPDATE chunks SET content = substr(content, 1, 100)")
    with pytest.raises(WorkloadError, match="restore the data directory from a backup"):
        read_recording(tmp_path, pool=next(iter(life.scheduler.pools)))


@pytest.mark.parametrize("stage_number", [1, 99])
def test_a_record_that_contradicts_others_is_damage(stage_number: int, tmp_path: Path) -> None:
    """A byte that has changed on the disk may leave a record that can be read."""
    past = Past(slots=2)
    past.submit("etl", stage("read", 2))
    past.run(slots=2, seconds=3.0)
    past.scheduler.tape = [
        msgspec.structs.replace(event, stage=stage_number)
        if isinstance(event, ev.TasksLeased)
        else event
        for event in past.scheduler.tape
    ]
    past.write(tmp_path / "data")
    with pytest.raises(WorkloadError, match="contradicts itself; restore the data directory"):
        read_recording(tmp_path / "data")
