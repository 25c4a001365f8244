"""How many slots there were, in what becomes of Spark's event logs of one or more applications."""

from pathlib import Path

import pytest

from tests.unit.simulator import spark_log_lines as log
from tests.unit.simulator.spark_log_lines import Event
from uwfq_service.simulator.importers.spark_log import read_spark_recording
from uwfq_service.simulator.workload import WorkloadError


@pytest.mark.parametrize(
    ("beginning", "slots"),
    [
        ([log.executor_added("1", 5)], 5),
        ([log.executor_added("1", 5), log.environment(spark_task_cpus="2")], 2),
        # One is replaced, one is added, one registers again.
        (
            [
                log.executor_added("1", 4, 0),
                log.executor_removed("1", 100),
                log.executor_added("2", 4, 100),
                log.executor_added("3", 2, 200),
                log.executor_added("3", 2, 300),
            ],
            6,
        ),
        (
            [
                {
                    "Event": "SparkListenerResourceProfileAdded",
                    "Resource Profile Id": 1,
                    "Task Resource Requests": {"cpus": {"Amount": 4.0}, "gpu": {"Amount": 1.0}},
                },
                log.executor_added("1", 8, profile=1),
                log.executor_added("2", 8),
            ],
            10,
        ),
    ],
)
def test_slots_are_the_most_cores_there_were_by_cores_per_task(
    tmp_path: Path, beginning: list[Event], slots: int
) -> None:
    """Over time, as executors come and go."""
    path = log.written(tmp_path / "log", *log.simple_job(0, 500, 10), beginning=beginning)
    assert read_spark_recording([path]).workload.slots == slots
    assert read_spark_recording([path], slots=99).workload.slots == 99


def test_without_executors_slots_must_be_given(tmp_path: Path) -> None:
    """The refusal names the option."""
    path = log.written(tmp_path / "log", *log.simple_job(0, 0, 10), beginning=[log.app_start()])
    with pytest.raises(WorkloadError, match=r"log: slots: no executor is in the log; .*--slots"):
        read_spark_recording([path])
    assert read_spark_recording([path], slots=3).workload.slots == 3


@pytest.mark.parametrize("cpus", ["abc", "0", "-1", "nan", "1.5", ""])
def test_cores_per_task_that_are_no_number_are_refused(tmp_path: Path, cpus: str) -> None:
    """By file and key, also of one log among several; given slots, nobody asks for them."""
    beginning = [log.executor_added("1", 5), log.environment(spark_task_cpus=cpus)]
    good = log.written(tmp_path / "good", *log.simple_job(0, 0, 10))
    bad = log.written(tmp_path / "bad", *log.simple_job(0, 0, 10), beginning=beginning)
    for paths in ([bad], [good, bad]):
        with pytest.raises(WorkloadError) as caught:
            read_spark_recording(paths)
        assert str(caught.value) == (
            f"{bad}: spark.task.cpus: is {cpus!r}, not a whole number from 1; "
            "say how many slots (--slots)"
        )
        assert read_spark_recording(paths, slots=3).workload.slots == 3


def test_applications_share_the_pool_while_they_overlap(tmp_path: Path) -> None:
    """What one gave back before another began is there once; submissions keep their distance."""
    logs = []
    for number, begin in enumerate((0, 400, 2_000), start=1):
        beginning = [log.app_start(app=f"app-{number}"), log.executor_added("1", 4, begin)]
        jobs = log.simple_job(0, begin + 100, 500)
        logs.append(log.written(tmp_path / f"log-{number}", *jobs, beginning=beginning))
    workload = read_spark_recording(logs[::-1]).workload
    assert workload.slots == 8
    assert workload.name == "3 Spark applications"
    assert [(job.job, job.submit) for job in workload.jobs] == [
        ("app-1/job-0", 0.0),
        ("app-2/job-0", 0.4),
        ("app-3/job-0", 2.0),
    ]


@pytest.mark.parametrize(("end", "slots"), [(700, 4), (900, 8)])
def test_an_idle_application_keeps_its_executors_until_it_ends(
    tmp_path: Path, end: int, slots: int
) -> None:
    """Its last job was over long before the other application came, at 800."""
    first = log.written(tmp_path / "a", *log.simple_job(0, 0, 10), log.app_end(end))
    beginning = [log.executor_added("1", 4, 800), log.app_start(app="app-2")]
    second = log.written(tmp_path / "b", *log.simple_job(0, 800, 10), beginning=beginning)
    assert read_spark_recording([first, second]).workload.slots == slots
