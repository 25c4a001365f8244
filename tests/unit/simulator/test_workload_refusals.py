"""Workload files that are none: every refusal, with its exact place."""

import gzip
import json
import math
from typing import Any

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.simulator.documents import ABSENT, EXAMPLE, changed
from uwfq_service.simulator.workload import (
    JobSpec,
    StageSpec,
    Workload,
    WorkloadError,
    check,
    parse,
)

JOB = ("jobs", 0)
STAGE = (*JOB, "stages", 0)


def refusal(document: str | bytes) -> WorkloadError:
    """How a document is refused; that it is refused is part of the test."""
    with pytest.raises(WorkloadError) as caught:
        parse(document)
    return caught.value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("version",), 2, "is 2; this program reads version 1"),
        (("version",), "1", "expected `int`, got `str`"),
        (("name",), "", "must not be empty"),
        (("name",), "n" * 257, "is longer than 256 bytes"),
        (("slots",), 0, "is 0; it must be 1 to 1000000"),
        (("slots",), 1_000_001, "is 1000001; it must be 1 to 1000000"),
        (("slots",), 1.5, "expected `int`, got `float`"),
        (("slots",), True, "expected `int`, got `bool`"),
        (("users", 0), "alice", "expected `object`, got `str`"),
        (("users", 0, "user"), "", "must not be empty"),
        (("users", 1, "user"), "alice", "'alice' stands there twice"),
        (("users", 1, "weight"), 0, "is 0; it must be 0.001 to 1e+06"),
        (("users", 1, "weight"), -1, "is -1; it must be 0.001 to 1e+06"),
        (("users", 1, "weight"), 1e7, "is 1e+07; it must be 0.001 to 1e+06"),
        (("users", 1, "weight"), None, "expected `float`, got `null`"),
        (("jobs",), [], "must not be empty"),
        (("jobs",), {}, "expected `array`, got `object`"),
        ((*JOB, "job"), "", "must not be empty"),
        ((*JOB, "job"), "é" * 65, "is longer than 128 bytes"),
        (("jobs", 1, "job"), "alice/etl-1", "'alice/etl-1' stands there twice"),
        ((*JOB, "user"), "", "must not be empty"),
        ((*JOB, "user"), "u" * 129, "is longer than 128 bytes"),
        ((*JOB, "submit"), -0.5, "is -0.5; it must be 0 to 1e+12"),
        ((*JOB, "submit"), 1e13, "is 1e+13; it must be 0 to 1e+12"),
        ((*JOB, "submit"), "soon", "expected `float`, got `str`"),
        (("jobs", 1, "after"), "bob/etl-1", "there is no job 'bob/etl-1'"),
        ((*JOB, "signature"), "s" * 257, "is longer than 256 bytes"),
        ((*JOB, "input_bytes"), -1, "is -1; it must be 0 or more, below 2^63"),
        ((*JOB, "input_bytes"), 1 << 63, f"is {1 << 63}; it must be 0 or more, below 2^63"),
        ((*JOB, "input_bytes"), 1.5, "expected `int | null`, got `float`"),
        ((*JOB, "estimate"), 0, "is 0; it must be more than 0, at most 1e+12"),
        ((*JOB, "estimate"), 1e13, "is 1e+13; it must be more than 0, at most 1e+12"),
        ((*JOB, "stages"), [], "must not be empty"),
        ((*STAGE, "stage"), "", "must not be empty"),
        ((*JOB, "stages", 1, "stage"), "scan", "'scan' stands there twice"),
        ((*STAGE, "delay"), -1, "is -1; it must be 0 to 1e+12"),
        ((*STAGE, "tasks"), [], "must not be empty"),
        ((*STAGE, "tasks", 2), -0.1, "is -0.1; it must be 0 to 1e+12"),
        ((*STAGE, "tasks", 1), None, "expected `float`, got `null`"),
        ((*STAGE, "tasks"), [1e12, 1e12], "sum to 2e+12; at most 1e+12 is allowed"),
        ((*JOB, "stages", 1, "work"), -1, "is -1; it must be 0 to 1e+12"),
        ((*JOB, "stages", 1, "after", 0), "sort", "the job has no stage 'sort'"),
        ((*JOB, "stages", 1, "after"), "scan", "expected `array | null`, got `str`"),
    ],
)
def test_a_value_out_of_its_range_is_refused_with_its_place(
    path: tuple[str | int, ...], value: Any, message: str
) -> None:
    """The place is the way to the value, the message says what would be right."""
    error = refusal(changed(*path, to=value))
    assert (error.place, error.message) == (written(path), message)
    assert str(error) == f"{written(path)}: {message}"


def written(path: tuple[str | int, ...]) -> str:
    """``jobs[0].stages`` of its steps."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


@pytest.mark.parametrize(
    "path",
    [
        ("version",),
        ("name",),
        ("slots",),
        ("jobs",),
        ("users", 0, "user"),
        (*JOB, "job"),
        (*JOB, "user"),
        (*JOB, "stages"),
        (*STAGE, "stage"),
    ],
)
def test_a_key_that_is_required_is_missed(path: tuple[str | int, ...]) -> None:
    """The place is that of the key that is not there."""
    error = refusal(changed(*path, to=ABSENT))
    assert (error.place, error.message) == (written(path), "is missing")


@pytest.mark.parametrize("place", [(), ("users", 0), JOB, ("jobs", 1), STAGE])
@pytest.mark.parametrize("key", ["weigth", "a - at `$.slots", "two\nlines", ""])
def test_a_key_that_nobody_knows_is_refused(place: tuple[str | int, ...], key: str) -> None:
    """A misspelt key is an error wherever it stands, not a workload that does something else."""
    error = refusal(changed(*place, key, to=1))
    assert (error.place, error.message) == (written((*place, key)), "is no key of a workload file")


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"stage": "scan"}, "give either tasks or work"),
        ({"stage": "scan", "tasks": [1], "work": 1}, "give either tasks or work"),
        ({"stage": "scan", "tasks": None, "work": None}, "give either tasks or work"),
    ],
)
def test_a_stage_has_either_tasks_or_work(stage: dict[str, Any], message: str) -> None:
    """With both, one of them would be ignored; with neither there is nothing to do."""
    error = refusal(changed(*STAGE, to=stage))
    assert (error.place, error.message) == ("jobs[0].stages[0]", message)


@pytest.mark.parametrize(
    ("afters", "caught"),
    [
        ([["s0"]], 0),
        ([["s1"], ["s0"]], 0),
        # The second waits for the first because it does not say otherwise.
        ([["s1"], None], 0),
        ([[], ["s3"], ["s1"], ["s2"]], 1),
        # The first two only wait for the circle; they are not in it.
        ([["s1"], ["s2"], ["s3"], ["s2"]], 2),
        ([["s2"], [], ["s1", "s3"], ["s3"]], 3),
    ],
)
def test_stages_that_wait_for_each_other_are_refused(
    afters: list[list[str] | None], caught: int
) -> None:
    """The one that is named is the first of those in the circle, not one that waits for it."""
    stages = [
        {"stage": f"s{place}", "work": 1, "after": after} for place, after in enumerate(afters)
    ]
    error = refusal(changed(*JOB, "stages", to=stages))
    assert error.place == f"jobs[0].stages[{caught}].after"
    assert error.message == f"stage 's{caught}' waits for itself, directly or through others"


@pytest.mark.parametrize(
    ("afters", "caught"),
    [
        ([0], 0),
        ([1, 0], 0),
        ([None, 2, 3, 1], 1),
        # The first waits for the circle, and is not in it.
        ([1, 2, 1], 1),
        ([4, None, 3, 2, 2], 2),
    ],
)
def test_jobs_that_wait_for_each_other_are_refused(afters: list[int | None], caught: int) -> None:
    """None of them would ever be submitted, nor would those that wait for them."""
    jobs = [
        {
            "job": f"j{place}",
            "user": "u",
            "after": None if after is None else f"j{after}",
            "stages": [{"stage": "s", "work": 1}],
        }
        for place, after in enumerate(afters)
    ]
    error = refusal(changed("jobs", to=jobs))
    assert error.place == f"jobs[{caught}].after"
    assert error.message == f"job 'j{caught}' waits for itself, directly or through others"


@given(waits=st.lists(st.none() | st.integers(0, 7), min_size=1, max_size=8))
def test_a_circle_of_jobs_is_found_wherever_it_is(waits: list[int | None]) -> None:
    """Following `after` from every job, step by step, tells the same."""
    afters = [None if after is None else after % len(waits) for after in waits]

    def returns(start: int) -> bool:
        at = afters[start]
        for _ in afters:
            if at is None or at == start:
                break
            at = afters[at]
        return at == start

    stages = (StageSpec(stage="s", work=1.0),)
    jobs = tuple(
        JobSpec(
            job=f"j{job}", user="u", after=after if after is None else f"j{after}", stages=stages
        )
        for job, after in enumerate(afters)
    )
    workload = Workload(version=1, name="n", slots=1, jobs=jobs)
    circle = [job for job in range(len(jobs)) if returns(job)]
    try:
        check(workload)
    except WorkloadError as error:
        assert circle
        named = int(error.place.removeprefix("jobs[").removesuffix("].after"))
        assert named in circle
    else:
        assert not circle


def test_a_later_version_is_said_to_be_one() -> None:
    """Whatever else it contains: that its keys are unknown is a consequence, not the reason."""
    contents: list[dict[str, Any]] = [{"queues": []}, {"slots": "many"}, {}]
    for more in contents:
        error = refusal(json.dumps({**EXAMPLE, **more, "version": 2}))
        assert (error.place, error.message) == ("version", "is 2; this program reads version 1")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"workload",
        b'{"version": 1,}',
        json.dumps(EXAMPLE).encode() + b" {}",
        json.dumps(EXAMPLE).replace("16.0", "NaN").encode(),
        json.dumps(EXAMPLE).encode("utf-16"),
        b'{"version": 1, "name": "\xff"}',
        b'{"version": 1, "name": "\\ud800"}',
    ],
)
def test_what_is_not_json_is_said_to_be_none(document: bytes) -> None:
    """With the parser's reason; there is no place to name."""
    error = refusal(document)
    assert error.place == ""
    assert error.message.startswith("is not JSON (")


@pytest.mark.parametrize(
    ("codec", "document"),
    [
        ("gzip", gzip.compress(json.dumps(EXAMPLE).encode())),
        ("zstd", bytes(cramjam.zstd.compress(json.dumps(EXAMPLE).encode()))),
        ("lz4", b"LZ4Block\x25"),
        ("snappy", b"\x82SNAPPY\0\0"),
        ("lzf", b"ZV\1"),
    ],
)
def test_what_is_compressed_is_said_to_be(codec: str, document: bytes) -> None:
    """With what, and what to do: a workload is unpacked, a log of Spark goes elsewhere."""
    assert refusal(document).message == (
        f"is compressed with {codec}; unpack it first, or, if it is an event log of Spark, "
        "`uwfq workload --from-spark-log` reads it as it is"
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[]", "expected `object`, got `array`"),
        ("3", "expected `object`, got `int`"),
        ("[" * 100_000, "expected `object`, got `array`"),
        ('{"a":' * 100_000, "is no key of a workload file"),
        (
            '{"Event":"SparkListenerLogStart","Spark Version":"4.3.0"}\n{"Event":',
            "is an event log of Spark; `uwfq workload --from-spark-log` makes a workload of it",
        ),
    ],
)
def test_json_that_is_no_workload_is_refused(document: str, message: str) -> None:
    """Even where it is made to hurt."""
    assert refusal(document).message == message


def test_a_number_beyond_all_numbers_is_refused_with_its_place() -> None:
    """`1e999` is JSON, and no float."""
    error = refusal(json.dumps(EXAMPLE).replace("0.75", "1e999"))
    assert (error.place, error.message) == ("jobs[0].stages[0].tasks[2]", "number out of range")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_check_refuses_what_json_cannot_say(value: float) -> None:
    """Whoever makes a workload in Python has it checked by the same rules."""
    stage = StageSpec(stage="s", tasks=(1.0,))
    for job, place in (
        (JobSpec(job="j", user="u", submit=value, stages=(stage,)), "jobs[0].submit"),
        (JobSpec(job="j", user="u", estimate=value, stages=(stage,)), "jobs[0].estimate"),
        (
            JobSpec(job="j", user="u", stages=(StageSpec(stage="s", work=value),)),
            "jobs[0].stages[0].work",
        ),
        (
            JobSpec(job="j", user="u", stages=(StageSpec(stage="s", tasks=(1.0, value)),)),
            "jobs[0].stages[0].tasks[1]",
        ),
    ):
        with pytest.raises(WorkloadError) as caught:
            check(Workload(version=1, name="n", slots=1, jobs=(job,)))
        assert caught.value.place == place
