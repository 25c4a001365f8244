"""The importer of Spark's event logs, a rule at a time, on logs written by hand."""

from pathlib import Path

import pytest

from tests.unit.simulator import spark_log_lines as log
from tests.unit.simulator.spark_log_lines import Event
from uwfq_service.simulator.importers.spark_log import (
    SparkRecording,
    read_spark_recording,
)
from uwfq_service.simulator.workload import JobSpec, Workload, WorkloadError, dump, parse
from uwfq_spark.users import counted_as

SESSION = "0b32e7e8-236a-4957-9fce-993a587d9554"
OPERATION = "01a21477-311e-7085-b99b-67d33457812b"


def recorded(tmp_path: Path, *events: Event) -> SparkRecording:
    """What becomes of an application with four slots and these events."""
    return read_spark_recording([log.written(tmp_path / "log", *events)])


def imported(tmp_path: Path, *events: Event) -> Workload:
    """As ``recorded``, if nobody asks what was left out."""
    return recorded(tmp_path, *events).workload


def only_job(tmp_path: Path, *events: Event) -> JobSpec:
    """The one job that the events make."""
    (job,) = imported(tmp_path, *events).jobs
    return job


# ------------------------------------------------------------------------- jobs


def test_a_log_becomes_a_workload(tmp_path: Path) -> None:
    """Jobs by submission, seconds from the first; the document reads back as the same."""
    first = log.stage(0, tasks=2)
    second = log.stage(1, [0], name="collect at etl.py:9")
    workload = imported(
        tmp_path,
        log.job_start(0, 5_000, first, second),
        *log.ran(first, 5_020, 1_500, 0),
        *log.ran(second, 6_550, 250),
        log.job_end(0, 6_900),
        *log.simple_job(2, 7_000, 10),
    )
    assert (workload.name, workload.slots) == ("nightly", 4)
    assert workload.weights == {"erin": 1.0}
    one, two = workload.jobs
    assert (one.job, one.user, one.submit) == ("app-1/job-0", "erin", 0.0)
    assert one.signature == "count at etl.py:7 > collect at etl.py:9"
    assert [(s.stage, s.tasks, s.after, s.delay) for s in one.stages] == [
        ("stage-0", (1.5, 0.0), (), 0.02),
        ("stage-1", (0.25,), ("stage-0",), 0.03),
    ]
    assert (two.job, two.submit) == ("app-1/job-2", 2.0)
    assert parse(dump(workload)) == workload


def test_a_query_is_one_job_whatever_it_submits(tmp_path: Path) -> None:
    """The Spark jobs of an execution, and of those that it causes, belong to the root."""
    workload = imported(
        tmp_path,
        log.query_start(7, 1_000),
        log.query_start(8, 1_100, root=7),
        *log.simple_job(0, 1_500, 100, spark_sql_execution_id="7", spark_sql_execution_root_id="7"),
        *log.simple_job(1, 1_700, 200, spark_sql_execution_id="8", spark_sql_execution_root_id="7"),
        # Before Spark 3.4 there is no root: it is the execution, or what the log says of it.
        *log.simple_job(2, 2_000, 300, spark_sql_execution_id="8"),
        log.query_end(8, 2_300),
        log.query_end(7, 2_300),
        *log.simple_job(3, 3_000, 400, spark_sql_execution_id="9"),
    )
    assert [(job.job, job.submit) for job in workload.jobs] == [
        ("app-1/sql-7", 0.0),
        ("app-1/sql-9", 2.0),
    ]
    assert [stage.tasks for stage in workload.jobs[0].stages] == [(0.1,), (0.2,), (0.3,)]
    # From the beginning of the query, planning included.
    assert workload.jobs[0].stages[0].delay == 0.5


def test_jobs_that_failed_keep_what_they_had_finished(tmp_path: Path) -> None:
    """The pool spent that time on them; without any they are left out, as unfinished ones are."""
    failing = log.stage(0, tasks=3)
    hopeless, endless = log.stage(1), log.stage(2)
    recording = recorded(
        tmp_path,
        log.job_start(0, 0, failing),
        log.submitted(failing, 0),
        log.task_end(0, 2, 0, 500),
        log.task_end(0, 1, 0, 300, reason="ExceptionFailure"),
        log.task_end(0, 0, 0, 310, reason="TaskKilled"),
        log.completed(failing, 510, "Job aborted"),
        log.job_end(0, 520, failed=True),
        log.job_start(1, 0, hopeless),
        log.submitted(hopeless, 0),
        log.task_end(1, 0, 0, 100, reason="ExceptionFailure"),
        log.job_end(1, 100, failed=True),
        log.job_start(2, 0, endless),
        *log.ran(endless, 0, 900),
        log.job_end(44, 1_000),
    )
    (job,) = recording.workload.jobs
    assert [stage.tasks for stage in job.stages] == [(0.5,)]
    left_out = recording.left_out
    assert (left_out.without_work, left_out.unfinished, left_out.cut_off) == (1, 1, 1)
    assert (left_out.failed_attempts, left_out.killed_attempts) == (2, 1)
    assert str(left_out) == (
        "1 job not finished, 1 job without any finished task, 1 Spark job older than the log, "
        "2 failed attempts, 1 killed attempt"
    )


def test_a_query_has_not_ended_before_it_says_so(tmp_path: Path) -> None:
    """Between two of its Spark jobs an application can be killed; its size is not known then."""
    recording = recorded(
        tmp_path,
        log.query_start(1, 0),
        log.query_start(2, 0, root=1),
        *log.simple_job(0, 10, 100, spark_sql_execution_id="1"),
        log.query_end(2, 200),
        *log.simple_job(1, 200, 100),
    )
    assert [job.job for job in recording.workload.jobs] == ["app-1/job-1"]
    assert recording.left_out.unfinished == 1


def test_a_log_without_finished_work_is_refused(tmp_path: Path) -> None:
    """The refusal says what there was instead."""
    with pytest.raises(WorkloadError, match=r"log: holds no finished job \(1 job not finished\)"):
        imported(tmp_path, log.job_start(0, 0, log.stage(0)))
    with pytest.raises(WorkloadError, match=r"no finished job \(none was submitted\)"):
        imported(tmp_path)


# ------------------------------------------------------------------------ users


@pytest.mark.parametrize(
    ("properties", "user"),
    [
        ({}, "erin"),
        ({"spark_scheduler_pool": "default"}, "erin"),
        ({"spark_scheduler_pool": "reports"}, "reports"),
        ({"spark_jobGroup_id": "g-1", "spark_scheduler_pool": "reports"}, "thea"),
        ({"spark_jobGroup_id": "g-2"}, "theo"),
        ({"spark_jobGroup_id": "g-3"}, "erin"),
        (
            {
                "spark_job_tags": "nightly,SparkConnect_OperationTag_User_zoe_Session_at_sales"
                f"_Session_{SESSION}_Operation_{OPERATION},SparkConnect_SessionTag_User_x",
                "spark_jobGroup_id": "g-1",
            },
            "zoe_Session_at_sales",
        ),
        (
            {"spark_job_tags": f"SparkConnect_OperationTag_User_z_Session_1_Operation_{OPERATION}"},
            "erin",
        ),
        ({"spark_uwfq_user": "uma", "spark_jobGroup_id": "g-1"}, "uma"),
        ({"uwfq_user": "ursa", "spark_uwfq_user": "uma"}, "ursa"),
        ({"spark_uwfq_user": ""}, "erin"),
        ({"uwfq_user": " \t", "spark_uwfq_user": " uma "}, "uma"),
    ],
)
def test_the_user_is_the_surest_there_is(
    tmp_path: Path, properties: dict[str, str], user: str
) -> None:
    """The property, Connect's tag, the Thrift server's group, the pool, the application."""
    thrift = "org.apache.spark.sql.hive.thriftserver.ui.SparkListenerThriftServer"
    start = log.job_start(0, 0, log.stage(0), **properties)
    job = only_job(
        tmp_path,
        {"Event": f"{thrift}SessionCreated", "ip": "", "sessionId": "s", "userName": "theo"},
        {
            "Event": f"{thrift}OperationStart",
            "sessionId": "s",
            "groupId": "g-1",
            "userName": "thea",
        },
        {"Event": f"{thrift}OperationStart", "sessionId": "s", "groupId": "g-2", "userName": ""},
        start,
        *log.ran(log.stage(0), 0, 100),
        log.job_end(0, 100),
    )
    assert job.user == user


#: What Spark Connect says of a job of zoe's.
ZOE = f"SparkConnect_OperationTag_User_zoe_Session_{SESSION}_Operation_{OPERATION}"


@pytest.mark.parametrize(
    ("properties", "user"),
    [
        ({"spark_uwfq_user": "uma"}, "uma"),
        ({}, "clara"),
        ({"spark_job_tags": ZOE, "spark_uwfq_user": "uma"}, "zoe"),
        ({"spark_job_tags": f"{ZOE},{ZOE.replace('zoe', 'uma')}"}, "clara"),
        ({"spark_job_tags": ZOE.replace("zoe", "uma"), "uwfq_connectUser": "zoe"}, "zoe"),
        ({"spark_job_tags": ZOE, "uwfq_connectUser": "", "spark_uwfq_user": "uma"}, "erin"),
        ({"spark_jobGroup_id": "g-1", "spark_uwfq_user": "uma"}, "thea"),
        ({"spark_jobGroup_id": "g-9", "uwfq_thriftUser": "thea"}, "thea"),
        ({"spark_jobGroup_id": "g-9", "spark_uwfq_user": "uma"}, "erin"),
    ],
)
def test_users_of_an_application_with_the_bridge_are_those_that_it_counted(
    tmp_path: Path, properties: dict[str, str], user: str
) -> None:
    """Whom a server names comes before what a client says of itself."""
    thrift = "org.apache.spark.sql.hive.thriftserver.ui.SparkListenerThriftServer"
    servers: list[Event] = [
        {"Event": f"{thrift}SessionCreated", "ip": "", "sessionId": "s", "userName": "thea"},
        {"Event": f"{thrift}OperationStart", "sessionId": "s", "groupId": "g-1", "userName": ""},
    ]
    settings = log.environment(
        spark_plugins="acme.Plugin,io.uwfq.spark.UwfqPlugin", spark_uwfq_user="clara"
    )
    job = only_job(
        tmp_path,
        settings,
        *(servers if "spark_jobGroup_id" in properties else ()),
        *log.simple_job(0, 0, 100, **properties),
    )
    assert job.user == user


def test_the_order_of_the_sources_is_the_applications(tmp_path: Path) -> None:
    """Where it was set."""
    settings = log.environment(
        spark_plugins="io.uwfq.spark.UwfqPlugin", spark_uwfq_userSources="Property, connect"
    )
    both = {"spark_job_tags": ZOE, "spark_uwfq_user": "uma"}
    assert only_job(tmp_path, settings, *log.simple_job(0, 0, 100, **both)).user == "uma"


@pytest.mark.parametrize("key", ["spark_uwfq_user", "spark_scheduler_pool"])
def test_long_names_are_those_that_the_service_knows(tmp_path: Path, key: str) -> None:
    """As the bridge makes them: two that begin alike are told apart."""
    one, other = "cn=" + 60 * "é" + 20 * "a", "cn=" + 60 * "é" + 20 * "b"
    jobs = imported(
        tmp_path,
        *log.simple_job(0, 0, 100, **{key: one}),
        *log.simple_job(1, 100, 100, **{key: other}),
    ).jobs
    assert [job.user for job in jobs] == [counted_as(one), counted_as(other)]
    assert jobs[0].user != jobs[1].user


@pytest.mark.parametrize(
    "properties",
    [
        {"spark_sql_execution_root_id": "mine"},
        {"spark_sql_execution_root_id": "7", "uwfq_rootIsSet": "7"},
    ],
)
def test_a_query_that_a_session_has_made_up_is_none(
    tmp_path: Path, properties: dict[str, str]
) -> None:
    """Its jobs stand alone, as in the service."""
    assert only_job(tmp_path, *log.simple_job(3, 0, 100, **properties)).job == "app-1/job-3"


def test_pools_of_one_name_are_told_apart_by_their_owners(tmp_path: Path) -> None:
    """Two people's applications each have a pool `etl`; `adhoc` is one person's only."""
    logs = []
    for user, app, pools in (
        ("erin", "app-1", ("etl", "adhoc")),
        ("fay", "app-2", ("etl",)),
        ("erin", "app-3", ("adhoc",)),
    ):
        jobs = [
            event
            for job, pool in enumerate(pools)
            for event in log.simple_job(job, 10 * job, 5, spark_scheduler_pool=pool)
        ]
        beginning = [log.executor_added("1", 1), log.app_start(user, app)]
        logs.append(log.written(tmp_path / app, *jobs, beginning=beginning))
    users = {job.job: job.user for job in read_spark_recording(logs).workload.jobs}
    assert users == {
        "app-1/job-0": "erin/etl",
        "app-2/job-0": "fay/etl",
        "app-1/job-1": "adhoc",
        "app-3/job-0": "adhoc",
    }


def test_who_started_an_application_may_stand_in_its_environment_only(tmp_path: Path) -> None:
    """Without a name in either place it is unknown."""
    jobs = log.simple_job(0, 0, 100)
    for beginning, user in (
        ([log.environment(), log.app_start(user="")], "frank"),
        ([log.app_start(user="")], "unknown"),
    ):
        path = log.written(tmp_path / "log", *jobs, beginning=beginning)
        assert [job.user for job in read_spark_recording([path], slots=1).workload.jobs] == [user]


# ------------------------------------------------------------------------ tasks


def test_a_task_is_its_slot_from_launch_until_it_is_free(tmp_path: Path) -> None:
    """Not the executor's run time; and a large result is fetched when the slot is free again."""
    info = log.stage(0, tasks=3)
    job = only_job(
        tmp_path,
        log.job_start(0, 0, info),
        log.submitted(info, 0),
        log.task_end(0, 2, 100, 400),
        log.task_end(0, 0, 100, 900, fetching=350),
        # The clock was set back.
        log.task_end(0, 1, 100, 90),
        log.completed(info, 900),
        log.job_end(0, 900),
    )
    assert job.stages[0].tasks == (0.25, 0.0, 0.3)


def test_of_a_stage_that_was_tried_again_the_later_attempts_count(tmp_path: Path) -> None:
    """Task indices of a retry begin at 0 again: partitions tell which tasks they replace."""
    info, again = log.stage(0, tasks=3), log.stage(0, tasks=2, attempt=1)
    after = log.stage(1, [0])
    job = only_job(
        tmp_path,
        log.job_start(0, 0, info, after),
        *log.ran(info, 10, 100, 200, 300, input_bytes=5),
        log.submitted(after, 620),
        log.completed(after, 700, "FetchFailed"),
        log.submitted(again, 710),
        log.task_end(0, 1, 710, 750, attempt=1, index=0, input_bytes=5),
        log.task_end(0, 2, 710, 760, attempt=1, index=1),
        # A straggler of the first attempt, and the news that its output is lost.
        log.task_end(0, 2, 0, 999, attempt=0),
        log.task_end(0, 0, 0, 100, reason="Resubmitted"),
        log.completed(again, 760),
        log.submitted(log.stage(1, [0], attempt=1), 761),
        log.task_end(1, 0, 761, 861, attempt=1),
        log.completed(log.stage(1, [0], attempt=1), 861),
        log.job_end(0, 861),
    )
    assert [stage.tasks for stage in job.stages] == [(0.1, 0.04, 0.05), (0.1,)]
    # What came before the retry: the retry is no driver's latency.
    assert [stage.delay for stage in job.stages] == [0.01, 0.01]
    # Read once, as far as the job is concerned.
    assert job.input_bytes == 15


def test_what_is_computed_again_after_a_loss_is_no_work_of_the_job(tmp_path: Path) -> None:
    """A later job skips two stages; then their executor dies, and it runs them after all.

    So Spark 4.3 logs it: the stage that fails to fetch was submitted first.
    """
    oldest, skipped, last = log.stage(5), log.stage(6, [5], tasks=2), log.stage(7, [6])
    recording = recorded(
        tmp_path,
        log.job_start(0, 0, oldest, skipped, last),
        log.submitted(last, 1),
        log.task_end(7, 0, 1, 20, reason="FetchFailed"),
        log.completed(last, 20, "FetchFailed"),
        *log.ran(oldest, 30, 400),
        *log.ran(skipped, 430, 500, 600),
        *log.ran(log.stage(7, [6], attempt=1), 1_530, 70, attempt=1),
        log.job_end(0, 1_600),
    )
    (job,) = recording.workload.jobs
    assert [(stage.tasks, stage.after) for stage in job.stages] == [((0.07,), ())]
    assert recording.left_out.recomputed_tasks == 3
    assert str(recording.left_out) == "1 failed attempt, 3 tasks done again after a loss"


def test_logs_older_than_partition_ids_go_by_index(tmp_path: Path) -> None:
    """Spark 3.2 and before."""
    info = log.stage(0, tasks=2)
    ends = [log.task_end(0, -1, 0, 100, index=1), log.task_end(0, -1, 0, 200, index=0)]
    del ends[0]["Task Info"]["Partition ID"]
    job = only_job(
        tmp_path,
        log.job_start(0, 0, info),
        log.submitted(info, 0),
        *ends,
        log.completed(info, 200),
        log.job_end(0, 200),
    )
    assert job.stages[0].tasks == (0.2, 0.1)


def test_before_partition_ids_a_retry_computes_what_is_missing(tmp_path: Path) -> None:
    """Its indices begin at 0 again; what finished before keeps its place, what is new has one.

    Of five tasks, 0, 2 and 3 finished; the retry computes 1 and 4, and once more one that is lost.
    """
    info, again = log.stage(0, tasks=5), log.stage(0, tasks=3, attempt=1)
    ends = [
        *(log.task_end(0, 0, 0, 100 + index, index=index) for index in (0, 2, 3)),
        *(log.task_end(0, 0, 0, 200 + index, index=index, attempt=1) for index in (2, 0, 1)),
    ]
    for end in ends:
        del end["Task Info"]["Partition ID"]
    recording = recorded(
        tmp_path,
        log.job_start(0, 0, info),
        log.submitted(info, 0),
        *ends[:3],
        log.completed(info, 110, "FetchFailed"),
        log.submitted(again, 120),
        *ends[3:],
        log.completed(again, 202),
        log.job_end(0, 202),
    )
    (job,) = recording.workload.jobs
    assert job.stages[0].tasks == (0.202, 0.2, 0.102, 0.103, 0.201)
    assert not recording.left_out.lost_tasks


def test_tasks_whose_end_was_not_logged_are_counted(tmp_path: Path) -> None:
    """A busy Spark drops events; a stage that succeeded had all its tasks."""
    info = log.stage(0, tasks=5)
    recording = recorded(
        tmp_path, log.job_start(0, 0, info), *log.ran(info, 0, 1, 2, 3), log.job_end(0, 9)
    )
    assert recording.left_out.lost_tasks == 2
    assert str(recording.left_out) == "2 tasks whose end Spark did not log"


def test_input_is_what_a_job_reads_from_outside_of_itself(tmp_path: Path) -> None:
    """From storage, at any stage; and of shuffles, only what an earlier job wrote."""
    scan, agg = log.stage(1), log.stage(2, [1])
    reuse = log.stage(4, [3])
    jobs = imported(
        tmp_path,
        log.job_start(0, 0, scan, agg),
        *log.ran(scan, 0, 10, 10, input_bytes=300),
        *log.ran(agg, 20, 10, shuffle_bytes=70, input_bytes=1),
        log.job_end(0, 30),
        log.job_start(1, 40, log.stage(3), reuse),
        *log.ran(reuse, 40, 10, shuffle_bytes=70),
        log.job_end(1, 50),
        *log.simple_job(5, 60, 10),
    ).jobs
    assert [job.input_bytes for job in jobs] == [601, 70, None]
