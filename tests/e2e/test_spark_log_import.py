"""The importer of Spark's event logs against real ones, and against what Spark itself counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.spark.lines import environment
from uwfq_service.simulator.importers.spark_log import SparkRecording, read_spark_recording
from uwfq_service.simulator.workload import Workload, WorkloadError, dump, parse

pytestmark = [pytest.mark.needs("java"), pytest.mark.slow]

SCRIPT = Path(__file__).with_name("spark_events.py")
#: A busy machine needs a minute; a hang should fail.
PATIENCE_SECONDS = 300.0

CODECS = ("zstd", "none", "lz4", "snappy", "lzf")

#: What the tasks of one stage took, milliseconds, by partition.
Runtimes = tuple[int, ...]


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the script has filled."""
    directory = tmp_path_factory.mktemp("spark")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env=environment("4"),
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return directory


@pytest.fixture(scope="module")
def counted(events: Path) -> dict[str, Any]:
    """What Spark counted, by codec."""
    facts: dict[str, Any] = json.loads((events / "counted.json").read_text(encoding="utf-8"))
    return facts


def activities(facts: dict[str, Any]) -> dict[str, tuple[str, list[Runtimes]]]:
    """Of each query, or Spark job without one: its user, and its stages that finished a task.

    All of it from Spark's REST interface: users by the groups of their jobs, stages by the Spark
    jobs that list them.
    """
    query_of = {
        job: f"sql-{query['id']}"
        for query in facts["sql"]
        for job in (*query["successJobIds"], *query["failedJobIds"])
    }
    stages = {
        stage["stageId"]: tuple(
            task["duration"] - task["gettingResultTime"]
            for task in sorted(stage["tasks"].values(), key=lambda task: int(task["partitionId"]))
            if task["status"] == "SUCCESS"
        )
        for stage in facts["stages"]
    }
    found: dict[str, tuple[str, list[Runtimes]]] = {}
    for job in sorted(facts["jobs"], key=lambda job: int(job["jobId"])):
        name = query_of.get(job["jobId"], f"job-{job['jobId']}")
        _, ran = found.setdefault(name, (job["jobGroup"], []))
        # One that was skipped has no tasks; one that ran counts for the first that lists it.
        ran += [taken for stage in job["stageIds"] if (taken := stages.pop(stage, ()))]
    return {name: (user, sorted(ran)) for name, (user, ran) in found.items() if ran}


def imported(workload: Workload) -> dict[str, tuple[str, list[Runtimes]]]:
    """The same of a workload."""
    return {
        job.job.partition("/")[2]: (
            job.user,
            sorted(tuple(round(task * 1000) for task in stage.tasks or ()) for stage in job.stages),
        )
        for job in workload.jobs
    }


def read(*paths: Path, slots: int | None = None) -> SparkRecording:
    """What becomes of these logs; a workload that reads back as the same."""
    recording = read_spark_recording(paths, slots=slots)
    assert parse(dump(recording.workload)) == recording.workload
    return recording


@pytest.mark.parametrize("codec", CODECS)
def test_a_workload_holds_what_spark_counted(
    events: Path, counted: dict[str, Any], codec: str
) -> None:
    """To the millisecond: every job, its user, and every task of every stage that ran."""
    recording = read(events / codec)
    assert imported(recording.workload) == activities(counted[codec])
    assert recording.workload.slots == 2
    left_out = recording.left_out
    assert (left_out.unfinished, left_out.lost_tasks, left_out.cut_files) == (0, 0, 0)


def test_jobs_belong_to_those_who_asked(events: Path, counted: dict[str, Any]) -> None:
    """Known by a property, by Connect's tag, by a pool, by who started the application."""
    recording = read(events / "zstd")
    me = counted["zstd"]["user"]
    jobs = Counter(job.user for job in recording.workload.jobs)
    # Bob's division failed; whether its other half had finished, Spark has said above.
    bob = jobs.pop("bob")
    assert bob in {3, 4}
    assert jobs == {"alice": 2, "carol_of_sales": 1, "dave": 1, me: 2}
    assert recording.left_out.without_work == 4 - bob
    assert recording.left_out.failed_attempts == 1


def test_a_large_result_is_fetched_from_a_free_slot(counted: dict[str, Any]) -> None:
    """One of bob's is: so the first test has compared runtimes without fetching."""
    fetched = [
        task
        for stage in counted["zstd"]["stages"]
        for task in stage["tasks"].values()
        if "resultFetchStart" in task
    ]
    assert fetched


def test_queries_have_their_shape(events: Path) -> None:
    """Both sides of a shuffled join first; the probing side after the build of a broadcast."""
    workload = read(events / "zstd").workload
    of = {user: [job for job in workload.jobs if job.user == user] for user in workload.weights}
    for job in of["alice"]:
        left, right, *rest = job.stages
        assert (left.after, right.after) == ((), ())
        assert rest[0].after == ("stage-0", "stage-1")
        assert {len(left.tasks or ()), len(right.tasks or ())} == {3, 4}
    build, probe, *_ = of["carol_of_sales"][0].stages
    assert (len(build.tasks or ()), build.after) == (3, ())
    assert (len(probe.tasks or ()), probe.after) == (4, ("stage-0",))
    for job in workload.jobs:
        assert all(stage.delay < 60 for stage in job.stages)


def test_a_query_is_recognized_with_other_literals(events: Path) -> None:
    """Alice asked twice; what the others asked is something else."""
    jobs = [job for job in read(events / "zstd").workload.jobs if job.signature.startswith("sql-")]
    alice = {job.signature for job in jobs if job.user == "alice"}
    assert len(alice) == 1
    assert alice.isdisjoint({job.signature for job in jobs if job.user != "alice"})
    small = {read(events / codec).workload.jobs[0].signature for codec in CODECS[1:]}
    assert len(small) == 1


def test_many_applications_are_one_workload(events: Path, counted: dict[str, Any]) -> None:
    """All at once: they ran one after another, on the same two cores."""
    workload = read(*(events / codec for codec in CODECS)).workload
    assert workload.slots == 2
    assert workload.name == f"{len(CODECS)} Spark applications"
    assert len(workload.jobs) == sum(len(activities(counted[codec])) for codec in CODECS)
    submits = [job.submit for job in workload.jobs]
    assert submits[0] == 0
    assert submits == sorted(submits)


@pytest.mark.parametrize("codec", CODECS)
def test_a_killed_application_leaves_its_beginning(
    events: Path, counted: dict[str, Any], codec: str, tmp_path: Path
) -> None:
    """What Spark had flushed by then is read, and that something is missing is told."""
    whole = sorted((events / codec).rglob("events_1_*")) or sorted((events / codec).iterdir())
    content = whole[0].read_bytes()
    cut = tmp_path / f"{whole[0].name}.inprogress"
    complete = imported(read(whole[0], slots=2).workload)
    finished = [
        _without_those_cut(cut, content[: len(content) * tenths // 10], complete)
        for tenths in (3, 6, 9)
    ]
    assert finished == sorted(finished)
    if codec == "zstd":
        assert 0 < finished[-1] < len(activities(counted[codec]))


def _without_those_cut(
    cut: Path, content: bytes, complete: dict[str, tuple[str, list[Runtimes]]]
) -> int:
    """How many jobs a log that was cut has, all of which the whole has as well."""
    cut.write_bytes(content)
    try:
        recording = read(cut, slots=2)
    except WorkloadError as error:
        if "1 file cut short" not in str(error):
            raise
        return 0
    assert recording.left_out.cut_files == 1
    found: Iterable[tuple[str, tuple[str, list[Runtimes]]]] = imported(recording.workload).items()
    assert all(complete[name] == job for name, job in found)
    return len(recording.workload.jobs)
