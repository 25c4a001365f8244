"""Which stages wait for which, and what a query is called, in what becomes of Spark's event logs.

Spark says which stages a stage reads from; what else its driver waited for has to be seen.
"""

from pathlib import Path

import pytest

from tests.unit.simulator import spark_log_lines as log
from tests.unit.simulator.spark_log_lines import Event
from uwfq_service.simulator.importers.spark_log import read_spark_recording
from uwfq_service.simulator.workload import JobSpec


def jobs_of(tmp_path: Path, *events: Event) -> tuple[JobSpec, ...]:
    """The jobs that these events make."""
    return read_spark_recording([log.written(tmp_path / "log", *events)]).workload.jobs


def waits(job: JobSpec) -> list[tuple[str, tuple[str, ...] | None, float]]:
    """Of each stage: its name, what it waits for, and its delay."""
    return [(stage.stage, stage.after, stage.delay) for stage in job.stages]


# ----------------------------------------------------------------- dependencies


def test_a_stage_waits_for_its_parents(tmp_path: Path) -> None:
    """And is late by what passed between the end of the last and its submission, at least 0."""
    left, right, join = log.stage(0), log.stage(1), log.stage(2, [0, 1])
    (job,) = jobs_of(
        tmp_path,
        log.job_start(0, 0, join, left, right),
        log.submitted(left, 5),
        log.submitted(right, 6),
        log.task_end(1, 0, 6, 106),
        log.completed(right, 107),
        log.task_end(0, 0, 6, 206),
        log.completed(left, 207),
        # The driver's events have clocks of their own: 206 is before 207.
        *log.ran(join, 206, 50),
        log.job_end(0, 260),
    )
    assert waits(job) == [
        ("stage-0", (), 0.005),
        ("stage-1", (), 0.006),
        ("stage-2", ("stage-0", "stage-1"), 0.0),
    ]


def test_a_stage_waits_through_skipped_ones(tmp_path: Path) -> None:
    """A parent whose output is there already is skipped; what it waited for, may have run."""
    scan, skipped, last = log.stage(0), log.stage(1, [0]), log.stage(2, [1])
    (job,) = jobs_of(
        tmp_path,
        log.job_start(0, 0, scan, skipped, last),
        *log.ran(scan, 0, 100),
        *log.ran(last, 130, 100),
        log.job_end(0, 230),
    )
    assert waits(job)[1] == ("stage-1", ("stage-0",), 0.03)


def test_an_adaptive_query_announces_its_stages_anew(tmp_path: Path) -> None:
    """What the second Spark job calls stage 9 is what the first ran as stage 0: the same RDD."""
    query = {"spark_sql_execution_id": "1", "spark_sql_execution_root_id": "1"}
    map_stage, other = log.stage(0, rdd=50), log.stage(1, rdd=51)
    alias, result = log.stage(9, rdd=50), log.stage(10, [9])
    (job,) = jobs_of(
        tmp_path,
        log.job_start(0, 0, map_stage, **query),
        log.job_start(1, 0, other, **query),
        *log.ran(map_stage, 0, 100),
        log.job_end(0, 101),
        # Not through with it when the result is asked for, so the result does not wait for it.
        log.submitted(other, 0),
        log.job_start(2, 105, alias, result, **query),
        *log.ran(result, 106, 10),
        log.job_end(2, 120),
        log.task_end(1, 0, 0, 130),
        log.completed(other, 130),
        log.job_end(1, 130),
    )
    assert waits(job) == [
        ("stage-0", (), 0.0),
        ("stage-1", (), 0.0),
        ("stage-2", ("stage-0",), 0.006),
    ]


def test_a_driver_that_waits_in_silence_is_seen_to_wait(tmp_path: Path) -> None:
    """A broadcast: its Spark job ends, then the next begins, and no parent says why.

    Without that the second would begin at a fixed time, however late the first is.
    """
    query = {"spark_sql_execution_id": "1"}
    read, build, probe = log.stage(0), log.stage(1, [0]), log.stage(2)
    (job,) = jobs_of(
        tmp_path,
        log.query_start(1, 0),
        log.job_start(0, 10, read, build, **query),
        *log.ran(read, 10, 100),
        *log.ran(build, 111, 100),
        log.job_end(0, 211),
        # All of its stages are skipped, so there is nothing in it to wait for.
        log.job_start(1, 215, log.stage(3), **query),
        log.job_end(1, 216),
        log.job_start(2, 220, probe, **query),
        *log.ran(probe, 221, 100),
        log.job_end(2, 321),
        log.query_end(1, 325),
    )
    assert waits(job) == [
        ("stage-0", (), 0.01),
        ("stage-1", ("stage-0",), 0.001),
        ("stage-2", ("stage-1",), 0.01),
    ]


def test_jobs_of_the_rdd_interface_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Each is a job of its own; that one came after the other may be chance."""
    jobs = jobs_of(tmp_path, *log.simple_job(0, 0, 100), *log.simple_job(1, 200, 100))
    assert [waits(job) for job in jobs] == [[("stage-0", (), 0.0)]] * 2


def test_a_stage_without_a_finished_task_is_passed_over(tmp_path: Path) -> None:
    """Who waited for it, waits for what it waited for."""
    scan, empty, last = log.stage(0), log.stage(1, [0]), log.stage(2, [1])
    (job,) = jobs_of(
        tmp_path,
        log.job_start(0, 0, scan, empty, last),
        *log.ran(scan, 0, 100),
        *log.ran(empty, 110),
        *log.ran(last, 130, 100),
        log.job_end(0, 230),
    )
    assert waits(job) == [("stage-0", (), 0.0), ("stage-2", ("stage-0",), 0.03)]


def test_a_stage_that_two_jobs_need_belongs_to_the_first(tmp_path: Path) -> None:
    """Spark runs it once, for the job that has run for longer; the other only waits for it."""
    shared, one, two = log.stage(0), log.stage(1, [0]), log.stage(2, [0])
    first, second = jobs_of(
        tmp_path,
        log.job_start(0, 0, shared, one),
        log.job_start(1, 5, shared, two),
        *log.ran(shared, 6, 100),
        *log.ran(one, 107, 10),
        log.job_end(0, 117),
        *log.ran(two, 107, 20),
        log.job_end(1, 127),
    )
    assert [stage.tasks for stage in first.stages] == [(0.1,), (0.01,)]
    assert [stage.tasks for stage in second.stages] == [(0.02,)]
    assert waits(second) == [("stage-0", (), 0.102)]


# --------------------------------------------------- events that Spark has dropped


@pytest.mark.parametrize("end_is_told", [True, False])
def test_a_stage_whose_submission_was_dropped_is_known_by_its_tasks(
    tmp_path: Path, end_is_told: bool
) -> None:
    """It began with its first task, or when its end says that it did."""
    scan, last = log.stage(0, tasks=2), log.stage(1, [0])
    ends = [log.completed(scan, 300, submitted_at=10)] if end_is_told else []
    (job,) = jobs_of(
        tmp_path,
        log.job_start(0, 0, scan, last),
        log.task_end(0, 1, 20, 220),
        log.task_end(0, 0, 30, 300),
        *ends,
        *log.ran(last, 310, 100),
        log.job_end(0, 410),
    )
    assert [stage.tasks for stage in job.stages] == [(0.27, 0.2), (0.1,)]
    begin = 0.01 if end_is_told else 0.02
    assert waits(job) == [("stage-0", (), begin), ("stage-1", ("stage-0",), 0.01)]


def test_a_stage_whose_end_was_dropped_ends_with_its_last_task(tmp_path: Path) -> None:
    """Otherwise the next would be late by all that this one took."""
    scan, last = log.stage(0, tasks=2), log.stage(1, [0])
    (job,) = jobs_of(
        tmp_path,
        log.job_start(0, 0, scan, last),
        *log.ran(scan, 0, 100, 200)[:-1],
        *log.ran(last, 330, 100),
        log.job_end(0, 430),
    )
    assert waits(job)[1] == ("stage-1", ("stage-0",), 0.03)


def test_tasks_of_stages_that_nobody_announced_are_none_of_a_job(tmp_path: Path) -> None:
    """A straggler of a job that is over, or of one from before the log."""
    first, second = jobs_of(
        tmp_path,
        *log.simple_job(0, 0, 100),
        log.task_end(7, 0, 50, 150),
        *log.simple_job(1, 200, 100),
        log.task_end(8, 0, 250, 350),
    )
    assert [stage.tasks for job in (first, second) for stage in job.stages] == [(0.1,), (0.1,)]


# ------------------------------------------------------------------- signatures


def scan(name: str, literal: str, number: int, path: str = "/lake/2026-11-25") -> Event:
    """The physical plan of a filter over a scan, as Spark 4 logs it."""
    condition = f"(isnotnull(country#{number}) AND (country#{number} = {literal}))"
    leaf = {
        "nodeName": "Scan parquet",
        "simpleString": f"FileScan parquet [country#{number},sum#{number + 1}L] Batched: true, "
        f"DataFilters: [{condition}], Format: Parquet, PushedFilters: [EqualTo(country,{literal})]",
        "children": [],
        "metadata": {"Location": f"InMemoryFileIndex(1 paths)[file:{path}]", "Format": "Parquet"},
        "metrics": [{"name": "rows", "accumulatorId": number, "metricType": "sum"}],
    }
    return {
        "nodeName": name,
        "simpleString": f"{name} {condition}, [plan_id={number}]",
        "children": [leaf],
        "metadata": {},
    }


def signature(tmp_path: Path, plan: Event) -> str:
    """What a query with this plan is known by."""
    query = {"spark_sql_execution_id": "1"}
    start, end = log.query_start(1, 0, plan=plan), log.query_end(1, 200)
    (job,) = jobs_of(tmp_path, start, *log.simple_job(0, 0, 100, **query), end)
    return job.signature


def test_a_query_is_known_by_its_plan_without_literals(tmp_path: Path) -> None:
    """Not by ids or yesterday's path either, but by operators, columns, functions, source."""
    today = signature(tmp_path, scan("Filter", "Norway", 17))
    assert today.startswith("sql-")
    assert signature(tmp_path, scan("Filter", "18", 4)) == today
    assert signature(tmp_path, scan("Filter", "Norway", 17, "/lake/2026-11-26")) == today
    assert signature(tmp_path, scan("Filter", "Norway", 17, "/pond/2026-11-25")) != today
    assert signature(tmp_path, scan("Project", "Norway", 17)) != today
    other = scan("Filter", "Norway", 17)
    for old, new in (("isnotnull(", "isnull("), ("country#", "county#"), ("=", "<")):
        changed = dict(other, simpleString=other["simpleString"].replace(old, new))
        assert signature(tmp_path, changed) != today, new


@pytest.mark.parametrize("ending", ["-c000.json", ".c000.snappy.parquet"])
def test_a_stream_is_known_by_the_directory_of_its_files(tmp_path: Path, ending: str) -> None:
    """A micro-batch names the files that are new, as many as there are."""
    one, other = (
        f"/lake/part-0000{number}-{uuid}{ending}"
        for number, uuid in enumerate(
            ("18e8b38a-6674-4fdf-b926-f938a2c0de11", "9B036C26-C4A5-4317-AAF6-792B74EEACB0")
        )
    )
    stream = signature(tmp_path, scan("Filter", "Norway", 17, one))
    for paths in (other, f"{one}, file:{other}", f"{one}, file:{other}, ..."):
        assert signature(tmp_path, scan("Filter", "Norway", 17, paths)) == stream, paths
    elsewhere = one.replace("lake", "pond")
    for paths in (elsewhere, f"{one}, file:{elsewhere}", "/lake/party-9b036c26.json"):
        assert signature(tmp_path, scan("Filter", "Norway", 17, paths)) != stream, paths


def test_a_plan_too_deep_to_decode_is_done_without(tmp_path: Path) -> None:
    """Iterative programs build them; the query is then known by its call sites."""
    nested = '{"nodeName":"Project","children":[' * 20_000 + "]}" * 20_000
    path = log.written(tmp_path / "log")
    start = log.text(log.query_start(1, 0, plan={}))
    with path.open("ab") as file:
        file.write(start.replace(b'"sparkPlanInfo":{}', b'"sparkPlanInfo":' + nested.encode()))
        query = log.simple_job(0, 50, 100, spark_sql_execution_id="1")
        file.write(log.text(*query, log.query_end(1, 200)))
    (job,) = read_spark_recording([path]).workload.jobs
    assert (job.job, job.signature) == ("app-1/sql-1", "count at etl.py:7")


def test_many_call_sites_are_cut_to_what_a_signature_may_be(tmp_path: Path) -> None:
    """And stay apart when they differ beyond the cut; a site counts once."""
    signatures = set()
    for last in ("one", "two"):
        stages = [log.stage(n, name=f"süß {n // 2} at etl.py:{n // 2}") for n in range(40)]
        stages.append(log.stage(40, name=last))
        events = [event for info in stages for event in log.ran(info, 0, 5)]
        (job,) = jobs_of(tmp_path, log.job_start(0, 0, *stages), *events, log.job_end(0, 300))
        assert job.signature.startswith("süß 0 at etl.py:0 > süß 1 at")
        assert len(job.signature.encode()) <= 256
        signatures.add(job.signature)
    assert len(signatures) == 2
