"""The demo's figures: where time went, percentiles, and the jobs that all phases share."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwfq_client import InputRange
from uwfq_service.demo import sizing, timeline, workload
from uwfq_service.demo.dataset import Dataset, LogFile
from uwfq_service.demo.query import Answer
from uwfq_service.demo.results import (
    PHASES,
    JobOutcome,
    Phase,
    PhaseOutcome,
    differing,
    disturbance,
    percentile,
    summary,
)
from uwfq_service.demo.timeline import Spent, TaskRun


def run(job: str, begun: float, ended: float) -> TaskRun:
    """A task that ran from one instant to another."""
    return TaskRun(job=job, stage="scan", begun=begun, ended=ended)


def test_time_is_running_when_a_task_runs_waiting_when_others_fill_the_slots_else_overhead() -> (
    None
):
    """The three parts of a response time, on two slots."""
    runs = [run("other", 0, 4), run("other", 1, 3), run("mine", 3.5, 5)]
    assert timeline.spent({"mine": (0.5, 6.0)}, runs, slots=2) == {
        # 0.5-1 a slot is free, 1-3 none is, 3-3.5 one is again, 3.5-5 it runs, 5-6 it is reported.
        "mine": Spent(waiting=2.0, running=1.5, overhead=0.5 + 0.5 + 1.0)
    }


def test_two_tasks_of_a_job_at_once_count_once() -> None:
    """Running time is time, not slot-seconds."""
    runs = [run("mine", 0, 2), run("mine", 1, 3)]
    assert timeline.spent({"mine": (0, 3)}, runs, slots=2)["mine"] == Spent(
        waiting=0, running=3, overhead=0
    )


@given(
    runs=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(0, 9)), max_size=20
    ),
    windows=st.dictionaries(
        st.sampled_from("abcd"), st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=4
    ),
    slots=st.integers(1, 3),
)
def test_the_parts_add_up_to_the_response_time(
    runs: list[tuple[str, int, int]], windows: dict[str, tuple[int, int]], slots: int
) -> None:
    """No instant is lost, none is counted twice; each agrees with a second-by-second account."""
    known = [run(job, begun, begun + length) for job, begun, length in runs]
    asked = {job: (float(at), float(at + length)) for job, (at, length) in windows.items()}
    found = timeline.spent(asked, known, slots)
    for job, (arrived, ended) in asked.items():
        parts = [0.0, 0.0, 0.0]
        for second in range(int(arrived), int(ended)):
            now = [each.job for each in known if each.begun <= second < each.ended]
            parts[0 if job in now else 1 if len(now) >= slots else 2] += 1
        assert found[job] == Spent(running=parts[0], waiting=parts[1], overhead=parts[2])
        assert found[job].total == ended - arrived


def test_the_busy_share_counts_only_what_lies_between_the_instants() -> None:
    """Warm-up and shutdown lie outside."""
    runs = [run("a", -1, 1), run("b", 3, 9)]
    assert timeline.busy_share(runs, 0, 4, slots=1) == pytest.approx(0.5)


def test_a_torn_last_line_of_a_trace_is_dropped(tmp_path: Path) -> None:
    """A worker may be killed while it writes."""
    path = tmp_path / "worker-0.trace"
    whole = '{"job": "a", "stage": "scan", "begun": 1.0, "ended": 2.0}\n'
    path.write_text(whole + whole[:20], encoding="utf-8")
    assert timeline.read_traces([path]) == [run("a", 1.0, 2.0)]


def test_the_95th_percentile_is_a_time_that_occurred() -> None:
    """Nearest rank: of 20 values the 19th, of few the largest."""
    assert percentile([float(number) for number in range(1, 21)], 0.95) == 19
    assert percentile([3.0, 1.0, 2.0], 0.95) == 3


def dataset(scale: sizing.Scale) -> Dataset:
    """Files that are only described."""
    shape = scale.shape

    def files(kind: str, count: int, groups: int) -> tuple[LogFile, ...]:
        return tuple(
            LogFile(path=Path(f"/logs/{kind}-{number}"), group_bytes=(1000 + number,) * groups)
            for number in range(count)
        )

    return Dataset(
        history=files("history", shape.history_files, shape.history_groups),
        today=files("today", shape.today_files, shape.today_groups),
        made=0,
    )


SIZES = sizing.Sizes(
    history_groups=5, huge_searches=20, small_searches=10, parse_seconds=0.05, match_seconds=0.004
)


@pytest.mark.parametrize("slots", [1, 2, 16, 64])
def test_both_cuts_cover_the_same_row_groups_exactly_once(slots: int) -> None:
    """By file or by the service's ranges, a job reads the same, whatever the machine."""
    scale = sizing.scale_for(slots, 25.0, quick=False)
    for job in workload.plan(dataset(scale), scale, SIZES):
        by_file, by_service = (
            job.stages(Path("/results"), partitioned=partitioned, runtime=0.25)[0]
            for partitioned in (False, True)
        )
        assert by_file.tasks == len(job.files)
        assert by_service.input is not None
        units = len(by_service.input.unit_sizes)
        assert sum(by_file.task_bytes) == sum(by_service.input.unit_sizes)
        read = [
            unit
            for index in range(by_file.tasks)
            for unit in workload.units_of(by_file.payload, index, None)
        ]
        whole = InputRange(begin_unit=0, begin_offset=0, end_unit=units, end_offset=0)
        assert read == workload.units_of(by_service.payload, 0, whole)
        assert len(set(read)) == len(read) == units
        # A service refuses larger ones.
        assert len(by_file.payload) < 64 * 1024


def test_arrivals_are_the_same_each_time_and_the_names_are_unique() -> None:
    """The arrivals are part of the experiment, not of its noise."""
    scale = sizing.scale_for(2, 25.0, quick=False)
    first, second = (workload.plan(dataset(scale), scale, SIZES) for _ in range(2))
    assert first == second
    warm_up = workload.warm_up(first)
    names = [job.name for job in [*first, *warm_up]]
    assert len(set(names)) == len(names)
    # Two stages each: enough that `fair` compares stage numbers of two digits from then on.
    assert 2 * len(warm_up) >= 10
    assert {job.user for job in warm_up} == set(workload.USERS)


def outcome(
    phase: Phase, *, small: float = 1.0, huge: float = 9.0, work: float = 20.0, digest: str = "a"
) -> PhaseOutcome:
    """A phase in which each user's one job took so long."""
    return PhaseOutcome(
        phase=phase,
        jobs=tuple(
            JobOutcome(
                name=f"{user}-1",
                user=user,
                arrived=0.0,
                tasks=1,
                spent=Spent(waiting=0.0, running=huge if user == "olga" else small, overhead=0.0),
                estimated=1.0,
                measured=1.0,
                answer=Answer(rows=1, groups=1, digest=digest),
            )
            for user in workload.USERS
        ),
        makespan=10.0,
        busy=1.0,
        task_overhead=0.0,
        work=work,
    )


FAIR, UWFQ, LAST = PHASES


@pytest.mark.parametrize(
    ("before", "after", "change"), [(6.0, 1.5, "4.0 times faster"), (1.5, 6.0, "4.0 times slower")]
)
def test_the_sentence_at_the_end_says_what_was_seen(
    before: float, after: float, change: str
) -> None:
    """Also on a machine where it went the other way."""
    said = summary([outcome(FAIR, small=before), outcome(UWFQ), outcome(LAST, small=after, huge=8)])
    assert f"answered {change} than under fair ({after:.2f} s instead of {before:.2f} s" in said
    assert "olga's huge ones took 8.0 s instead of 9.0 s" in said


def test_a_machine_that_was_busy_with_something_else_is_told_of() -> None:
    """The same tasks take as long in all phases, unless others take the processors."""
    assert not disturbance([outcome(FAIR), outcome(UWFQ, work=24.0), outcome(LAST)])
    said = disturbance([outcome(FAIR), outcome(UWFQ, work=40.0), outcome(LAST)])
    assert "2.0 times as long under uwfq as under fair" in said


def test_answers_that_differ_are_found_out() -> None:
    """The phases do the same work, or it is no comparison."""
    assert not differing([outcome(FAIR), outcome(LAST)])
    assert differing([outcome(FAIR), outcome(LAST, digest="b")]) == ["alice-1", "bob-1", "olga-1"]


@pytest.mark.parametrize(("match_seconds", "groups"), [(0.001, 16), (0.2, 3)])
def test_on_a_slow_machine_jobs_read_less_rather_than_search_for_nothing(
    match_seconds: float, groups: int
) -> None:
    """Two patterns at least in each row group, and as much work as was planned."""
    scale = sizing.scale_for(2, 20.0, quick=False)
    sizes = sizing._sizes(scale, 0.05, match_seconds)
    assert sizes.history_groups == groups
    assert sizes.huge_searches >= 2
    file = groups * (0.05 + sizes.huge_searches * match_seconds)
    planned = 0.78 * 0.9 * 20.0 * 2 / (3 * 6)
    assert file == pytest.approx(planned, rel=0.2)
