"""What is read off a run, against figures worked out by hand and slow definitions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.simulator.synthetic import busy, finished, run_of, the_run_shown, with_responses
from uwfq_service.simulator import metrics
from uwfq_service.simulator.metrics import Deadlines, Summary, UserSummary

durations = st.lists(st.integers(1, 1000).map(float), min_size=1, max_size=150)


def test_the_example_of_the_format_comes_out_as_printed() -> None:
    """One job: every statistic of the response time is its response."""
    summary = metrics.summary(the_run_shown())
    assert summary == Summary(
        mean_response=0.9375,
        p50=0.9375,
        p95=0.9375,
        p99=0.9375,
        max=0.9375,
        worst10=0.9375,
        band_0_80=0.9375,
        band_80_95=0.9375,
        band_95_100=0.9375,
        makespan=0.9375,
        # 5.75 slot-seconds of work, 32 x 0.9375 = 30 slot-seconds of slots: 0.19 as printed.
        utilization=5.75 / 30,
        jain_user_slowdown=1.0,
        # The fluid cluster takes 5.75 / 32 = 0.1796875 s.
        max_lag_over_fluid=0.7578125,
    )
    assert round(summary.utilization, 2) == 0.19


def test_the_example_of_the_format_lists_the_user_who_has_a_job() -> None:
    """Bob has a weight and no job: there is nothing to say of him."""
    assert metrics.users(the_run_shown()) == [
        UserSummary(user="alice", jobs=1, mean_response=0.9375, mean_slowdown=1.0, service=5.75)
    ]


def test_a_summary_of_twenty_jobs_worked_out_by_hand() -> None:
    """Responses 1 to 20, out of order: 16, 3 and 1 jobs in the bands, 2 in the worst tenth."""
    summary = metrics.summary(with_responses([float(7 * index % 20 + 1) for index in range(20)]))
    assert summary.mean_response == 10.5
    assert (summary.p50, summary.p95, summary.p99, summary.max) == (10, 19, 20, 20)
    assert summary.worst10 == 19.5
    assert (summary.band_0_80, summary.band_80_95, summary.band_95_100) == (8.5, 18, 20)


def test_the_worst_tenth_is_rounded_up() -> None:
    """Two of eleven jobs, one of four."""
    assert metrics.summary(with_responses([float(n) for n in range(1, 12)])).worst10 == 10.5
    assert metrics.summary(with_responses([1.0, 2.0, 3.0, 4.0])).worst10 == 4.0


@given(durations, st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(
    values: list[float], percent: int
) -> None:
    """Nearest rank, straight from its definition."""
    enough = [
        value
        for value in values
        if Fraction(sum(other <= value for other in values), len(values)) >= Fraction(percent, 100)
    ]
    assert metrics.percentile(sorted(values), percent) == min(enough)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (6, (4, 1, 1)),
        (10, (8, 1, 1)),
        (97, (77, 15, 5)),
        (174, (139, 26, 9)),
        (1000, (800, 150, 50)),
    ],
)
def test_every_job_is_in_exactly_one_band(count: int, sizes: tuple[int, int, int]) -> None:
    """174 is what the paper's tables count, cut after 139 and 165."""
    line = [float(4**index % 1009) for index in range(count)]
    low, middle, high = metrics.banded(line)
    assert low * sizes[0] == pytest.approx(sum(line[: sizes[0]]))
    assert middle * sizes[1] == pytest.approx(sum(line[sizes[0] : -sizes[2]]))
    assert high * sizes[2] == pytest.approx(sum(line[-sizes[2] :]))


@pytest.mark.parametrize(
    ("line", "bands"),
    [
        ([3], (3, 3, 3)),
        ([3, 4], (3, 4, 4)),
        ([3, 4, 5], (3.5, 5, 5)),
        ([3, 4, 5, 6], (4, 6, 6)),
        ([3, 4, 5, 6, 7], (4.5, 7, 7)),
    ],
)
def test_a_band_without_a_job_is_told_by_the_job_at_its_lower_cut(
    line: list[float], bands: tuple[float, float, float]
) -> None:
    """Programs that read reports find a number in every band, however few the jobs."""
    assert metrics.banded(line) == bands


def test_bands_by_size_hold_the_jobs_of_a_size_whatever_they_took() -> None:
    """The largest job is answered first here, so it is the fastest and still the last band."""
    jobs = [
        finished(f"j{size}", work=float(size), finish=float(21 - size))
        for size in (20, *range(1, 20))
    ]
    assert metrics.size_bands(run_of(jobs)) == (12.5, 3, 1)


def test_jobs_of_one_size_are_banded_in_the_order_of_the_workload() -> None:
    """So that the same jobs are compared under every policy."""
    first_slow = [finished(f"j{index}", finish=9.0 if index < 4 else 1.0) for index in range(6)]
    assert metrics.size_bands(run_of(first_slow)) == (9, 1, 1)


def test_makespan_and_utilization_count_from_the_first_submission() -> None:
    """Three slot-seconds within two seconds on four slots."""
    jobs = [
        finished("b", submit=11.0, finish=12.0, work=2.0),
        finished("a", submit=10.0, finish=11.5, work=1.0),
    ]
    summary = metrics.summary(run_of(jobs, slots=4))
    assert summary.makespan == 2.0
    assert summary.utilization == 3 / 8


def test_jobs_that_take_no_time_leave_the_slots_idle() -> None:
    """Nothing is divided by a makespan of nothing."""
    summary = metrics.summary(run_of([finished(submit=1.0, finish=1.0, work=0.0, alone=0.0)]))
    assert (summary.makespan, summary.utilization, summary.jain_user_slowdown) == (0, 0, 1)


def test_the_lag_is_negative_when_every_job_beats_the_fluid_cluster() -> None:
    """It is a maximum over the jobs, not a maximum with 0."""
    jobs = [finished("a", fluid_finish=3.0), finished("b", fluid_finish=1.5)]
    assert metrics.summary(run_of(jobs)).max_lag_over_fluid == -0.5


def test_users_stand_in_the_order_of_the_workload() -> None:
    """Means are over the user's own jobs; the slowdown is against the job alone."""
    jobs = [
        finished("b1", user="bob", finish=6.0, work=2.0, alone=2.0),
        finished("a1", user="alice", submit=1.0, finish=2.0, work=0.5, alone=0.5),
        finished("b2", user="bob", submit=2.0, finish=4.0, work=3.0, alone=2.0),
    ]
    run = run_of(jobs)
    run.weights.clear()
    run.weights.update({"alice": 2.0, "bob": 1.0, "carol": 1.0})
    assert metrics.users(run) == [
        UserSummary(user="alice", jobs=1, mean_response=1.0, mean_slowdown=2.0, service=0.5),
        UserSummary(user="bob", jobs=2, mean_response=4.0, mean_slowdown=2.0, service=5.0),
    ]


def test_jains_index_is_over_the_users_mean_slowdown() -> None:
    """Slowdowns 1, 1 of alice and 3 of bob: (1 + 3)^2 / (2 x (1 + 9)); not over three jobs."""
    jobs = [
        finished("a1", user="alice", finish=1.0),
        finished("a2", user="alice", finish=1.0),
        finished("b1", user="bob", finish=3.0),
    ]
    assert metrics.summary(run_of(jobs)).jain_user_slowdown == 0.8


@given(durations)
def test_jains_index_lies_between_one_nth_and_one(values: list[float]) -> None:
    """It is 1 when all are equal, and blind to the unit."""
    index = metrics.jain(values)
    assert 1 / len(values) <= index * (1 + 1e-12)
    assert index <= 1 + 1e-12
    assert metrics.jain([4 * value for value in values]) == index
    assert metrics.jain([values[0]] * len(values)) == pytest.approx(1)


def test_jains_index_has_no_largest_slowdown() -> None:
    """A task of next to nothing that waits for long: its square has no place in a float."""
    assert metrics.jain([1.0, 1e200]) == 0.5
    assert metrics.jain([0.0, 0.0]) == 1.0


def test_later_than_the_baseline_violates_and_earlier_is_slack() -> None:
    """Given 4, 2, 5 and 1 s: 2 s late, 1 s late, 1 s early, on time."""
    baseline = run_of(
        [
            finished("late", submit=0.0, finish=4.0),
            finished("too late", submit=1.0, finish=3.0),
            finished("early", submit=0.0, finish=5.0),
            finished("on time", submit=0.0, finish=1.0),
        ],
        policy="ujf",
    )
    run = run_of(
        [
            finished("on time", submit=0.0, finish=1.0 + 1e-12),
            finished("early", submit=0.0, finish=4.0),
            finished("late", submit=0.0, finish=6.0),
            finished("too late", submit=1.0, finish=4.0),
        ]
    )
    assert metrics.deadlines(run, baseline) == Deadlines(
        policy="ujf", violations=2, slacks=1, dvr=(2 / 4 + 1 / 2) / 2, dsr=1 / 5
    )


def test_late_is_late_however_far_from_the_start() -> None:
    """Submissions may be counted from 1970: a second is one still, and the last bits are none."""
    then = 1.75e9
    baseline = run_of(
        [
            finished("late", submit=then, finish=then + 4.0),
            finished("early", submit=then, finish=then + 4.0),
            finished("on time", submit=then, finish=then + 4.0),
        ],
        policy="ujf",
    )
    run = run_of(
        [
            finished("late", submit=then, finish=then + 5.0),
            finished("early", submit=then, finish=then + 3.0),
            finished("on time", submit=then, finish=then + 4.0 + 1e-5),
        ]
    )
    assert metrics.deadlines(run, baseline) == Deadlines(
        policy="ujf", violations=1, slacks=1, dvr=1 / 4, dsr=1 / 4
    )


def test_a_run_has_neither_violation_nor_slack_against_itself() -> None:
    """All ratios are 0, not undefined."""
    run = busy("fifo")
    assert metrics.deadlines(run, run) == Deadlines(
        policy="fifo", violations=0, slacks=0, dvr=0.0, dsr=0.0
    )


def test_a_run_and_its_baseline_change_places() -> None:
    """What violates one way has slack the other way."""
    one, other = busy("uwfq"), busy("fifo")
    there, back = metrics.deadlines(one, other), metrics.deadlines(other, one)
    assert (there.violations, there.slacks) == (back.slacks, back.violations)
    assert there.violations > 0
    assert there.slacks > 0


def test_a_job_that_took_no_time_in_the_baseline_counts_without_a_ratio() -> None:
    """Later than at once is late, by no finite ratio."""
    baseline = run_of([finished("a", finish=0.0), finished("b", finish=2.0)], policy="ujf")
    run = run_of([finished("a", finish=1.0), finished("b", finish=3.0)])
    found = metrics.deadlines(run, baseline)
    assert (found.violations, found.dvr) == (2, 0.5)


def test_a_job_that_waits_for_another_is_measured_by_the_time_it_had_in_the_baseline() -> None:
    """It is asked for after its deadline here, and still has a ratio that makes sense."""
    baseline = run_of([finished("b", submit=1.0, finish=2.0)], policy="ujf")
    run = run_of([finished("b", submit=3.0, finish=4.0)])
    assert metrics.deadlines(run, baseline).dvr == 2.0


def test_a_baseline_of_another_workload_is_our_mistake() -> None:
    """Nobody gets deadlines from a run of other jobs."""
    with pytest.raises(AssertionError, match="same workload"):
        metrics.deadlines(run_of([finished("a")]), run_of([finished("b")]))


def test_a_mean_is_rounded_once() -> None:
    """Ten times a tenth is one: sums do not drift with the number of jobs."""
    assert metrics.mean([0.1] * 10) == 0.1
