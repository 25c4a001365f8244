"""Workload files: what is read, and that writing loses nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.unit.simulator.documents import ABSENT, EXAMPLE, changed, workloads
from uwfq_service.simulator.workload import (
    JobSpec,
    StageSpec,
    Workload,
    WorkloadError,
    check,
    dump,
    load,
    parse,
)

JOB = ("jobs", 0)
STAGE = (*JOB, "stages", 0)

# ------------------------------------------------------------------ what is read


def test_a_byte_order_mark_is_passed_over() -> None:
    """Some editors write it before any text in UTF-8."""
    document = json.dumps(EXAMPLE)
    assert parse(document.encode("utf-8-sig")) == parse(document)


def test_a_document_is_read_as_it_stands() -> None:
    """Every key of the format arrives in its field; a number may be written without a point."""
    workload = parse(json.dumps(EXAMPLE))
    assert (workload.version, workload.name, workload.slots) == (1, "two users, one burst", 32)
    assert [(user.user, user.weight) for user in workload.users] == [("alice", 1.5), ("bob", 1.0)]
    first, second = workload.jobs
    assert first == JobSpec(
        job="alice/etl-1",
        user="alice",
        submit=0.0,
        after=None,
        signature="etl",
        input_bytes=4096,
        estimate=16.0,
        stages=(
            StageSpec(stage="scan", tasks=(0.5, 0.5, 0.75)),
            StageSpec(stage="agg", work=4.0, after=("scan",), delay=0.25),
        ),
    )
    assert (second.after, second.submit, second.stages[0].tasks) == ("alice/etl-1", 2.0, (1.0,))


def test_what_is_not_said_has_its_default() -> None:
    """As the format says: weight 1, at once, nobody waits, nothing declared, no delay."""
    document = {
        "version": 1,
        "name": "n",
        "slots": 1,
        "users": [{"user": "u"}],
        "jobs": [{"job": "j", "user": "u", "stages": [{"stage": "s", "work": 1}]}],
    }
    workload = parse(json.dumps(document))
    (user,), (job,) = workload.users, workload.jobs
    (stage,) = job.stages
    assert user.weight == 1.0
    assert (job.submit, job.after, job.signature) == (0.0, None, "")
    assert (job.input_bytes, job.estimate) == (None, None)
    assert (stage.tasks, stage.work, stage.after, stage.delay) == (None, 1.0, None, 0.0)


def test_users_need_not_be_listed() -> None:
    """One who is not has weight 1; the listed ones come first, the rest as they appear."""
    assert parse(changed("users", to=ABSENT)).weights == {"alice": 1.0}
    listed = parse(changed("users", to=[{"user": "zoe", "weight": 2}]))
    assert list(listed.weights.items()) == [("zoe", 2.0), ("alice", 1.0)]


def test_total_work_is_the_sum_of_tasks_and_totals() -> None:
    """Of a stage and of a job, without the error that adding one by one would make."""
    job = parse(json.dumps(EXAMPLE)).jobs[0]
    assert [stage.total_work for stage in job.stages] == [1.75, 4.0]
    assert job.total_work == 5.75
    assert StageSpec(stage="s", tasks=(0.1,) * 10).total_work == 1.0


@pytest.mark.parametrize(
    ("stages", "afters"),
    [
        # Absent: the one before it in the list.
        ([{}, {}, {}], [(), (0,), (1,)]),
        # Null is absent.
        ([{}, {"after": None}], [(), (0,)]),
        # Empty: none.
        ([{}, {"after": []}, {}], [(), (), (1,)]),
        # Named: those, in whatever order, however often, whether above or below.
        ([{}, {}, {"after": ["s1", "s0", "s1"]}], [(), (0,), (0, 1)]),
        ([{"after": ["s1"]}, {"after": []}], [(1,), ()]),
        # Named instead of the one before it, not besides.
        ([{}, {}, {"after": ["s0"]}], [(), (0,), (0,)]),
    ],
)
def test_stages_wait_for_what_the_format_says(
    stages: list[dict[str, Any]], afters: list[tuple[int, ...]]
) -> None:
    """Absent, empty and named `after` are three different things."""
    named = [{"stage": f"s{place}", "work": 1, **stage} for place, stage in enumerate(stages)]
    job = parse(changed("jobs", 0, "stages", to=named)).jobs[0]
    assert job.stage_afters() == afters


def test_a_job_may_wait_for_one_further_down() -> None:
    """The order of the file is that of arrivals at one instant, and nothing else."""
    jobs = [
        {"job": "b", "user": "u", "after": "a", "stages": [{"stage": "s", "work": 1}]},
        {"job": "a", "user": "u", "stages": [{"stage": "s", "work": 1}]},
    ]
    assert [job.after for job in parse(changed("jobs", to=jobs)).jobs] == ["a", None]


def test_values_at_the_edge_of_their_range_are_fine() -> None:
    """Limits are part of the range that they bound."""
    for path, values in {
        ("slots",): (1, 1_000_000),
        ("name",): ("n" * 256,),
        ("users", 0, "weight"): (0.001, 1_000_000),
        (*JOB, "job"): ("é" * 64,),
        (*JOB, "signature"): ("", "s" * 256),
        (*JOB, "submit"): (0, 1e12),
        (*JOB, "estimate"): (1e-300, 1e12),
        (*JOB, "input_bytes"): (0, (1 << 63) - 1),
        (*STAGE, "delay"): (0, 1e12),
        (*STAGE, "tasks"): ([0], [1e12]),
        (*JOB, "stages"): ([{"stage": "s", "work": 1e-300}], [{"stage": "s", "work": 1e12}]),
    }.items():
        for value in values:
            jobs_free_of_each_other = json.loads(changed(*path, to=value))
            del jobs_free_of_each_other["jobs"][1]
            parse(json.dumps(jobs_free_of_each_other))


# ----------------------------------------------------------- reading and writing


def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    """So that one of many can be found."""
    path = tmp_path / "two.json"
    path.write_text(changed("slots", to=0), encoding="utf-8")
    with pytest.raises(WorkloadError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: slots: is 0; it must be 1 to 1000000"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(WorkloadError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: is not JSON (Input data was truncated)"


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    """Not a refusal of its content."""
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.json")


@given(workload=workloads())
def test_what_is_written_is_read_again(workload: Workload) -> None:
    """To the last bit, and writing it again gives the same bytes."""
    check(workload)
    document = dump(workload)
    assert parse(document) == workload
    assert dump(parse(document)) == document


@given(workload=workloads())
def test_a_written_document_has_one_job_a_line(workload: Workload) -> None:
    """`diff` and `grep` work on it, and any other JSON reader agrees on what it says."""
    document = dump(workload)
    lines = [line.strip().rstrip(b",") for line in document.splitlines()]
    jobs = [line for line in lines if line.startswith(b'{"job":')]
    assert [json.loads(line)["job"] for line in jobs] == [job.job for job in workload.jobs]
    read = json.loads(document)
    assert list(read) == ["version", "name", "slots", "users", "jobs"]
    assert [job.get("submit", 0.0) for job in read["jobs"]] == [j.submit for j in workload.jobs]


def test_defaults_are_not_written() -> None:
    """But that a stage waits for none is no default."""
    stages = (StageSpec(stage="a", work=1.0), StageSpec(stage="b", work=1.0, after=()))
    jobs = (JobSpec(job="j", user="u", stages=stages),)
    document = json.loads(dump(Workload(version=1, name="n", slots=1, jobs=jobs)))
    assert document == {
        "version": 1,
        "name": "n",
        "slots": 1,
        "users": [],
        "jobs": [
            {
                "job": "j",
                "user": "u",
                "stages": [
                    {"stage": "a", "work": 1.0},
                    {"stage": "b", "work": 1.0, "after": []},
                ],
            }
        ],
    }
