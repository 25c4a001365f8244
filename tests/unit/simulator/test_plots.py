"""The pictures: what they show is compared with the run, how they look is for people to judge."""

import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.unit.simulator.synthetic import busy, finished, run_of, straight_shares
from uwfq_service.simulator import plots
from uwfq_service.simulator.plots import lag, responses, service, slots, style
from uwfq_service.simulator.runs import Launch, Options, Partitioning, Run

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def drawn(runs: Sequence[Run], formats: Sequence[str] = ("svg",)) -> dict[str, dict[str, bytes]]:
    """All pictures of these runs: the content of their files by name and format."""
    made = plots.draw(runs, [straight_shares(run) for run in runs], formats=formats)
    return {plot.stem: plot.files for plot in made}


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files stay empty, for tests of which ones there are: rendering takes most of the time."""

    def nothing(figure: Figure, kind: str) -> bytes:
        return b""

    monkeypatch.setattr(style, "rendered", nothing)


def launched(launches: Sequence[Launch], jobs: int = 3) -> Run:
    """A run with these launches; job 0 is alice's, job 1 bob's, job 2 alice's, and so on."""
    return run_of(
        [finished(f"j{index}", user=("alice", "bob")[index % 2]) for index in range(jobs)],
        launches=launches,
        slots=max(launch.slot for launch in launches) + 1,
    )


def texts(svg: bytes) -> str:
    """All that is written in a picture."""
    return "\n".join(ET.fromstring(svg).itertext())


# -------------------------------------------------------------------------- files


def test_every_picture_is_a_file_named_after_workload_subject_and_policy(tmp_path: Path) -> None:
    """Names do not depend on anything else, and nothing half-written stays behind."""
    runs = [busy("uwfq", workload="Two users"), busy("fifo", workload="Two users")]
    directory = tmp_path / "made" / "for it"
    seen: list[tuple[int, int]] = []
    shares = [straight_shares(run) for run in runs]
    paths = plots.draw_all(runs, shares, directory, lambda done, total: seen.append((done, total)))
    stems = [
        "responses",
        "users",
        "lag",
        "service-uwfq",
        "slots-uwfq",
        "service-fifo",
        "slots-fifo",
    ]
    assert [path.name for path in paths] == [
        f"two-users-{stem}.{kind}" for stem in stems for kind in ("svg", "png")
    ]
    assert sorted(directory.iterdir()) == sorted(paths)
    assert seen == [(done, 7) for done in range(8)]
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(PNG_SIGNATURE)
        else:
            assert ET.parse(path).getroot().tag.endswith("svg")


def test_the_same_run_gives_the_same_bytes() -> None:
    """So that a picture in a repository changes only when what it shows does."""
    runs = [busy(jobs=6)]
    assert drawn(runs, ["svg", "png"]) == drawn(runs, ["svg", "png"])


def test_workloads_and_runs_with_similar_names_do_not_share_files(unrendered: None) -> None:
    """Names are made different, so that no picture is written over another."""
    runs = [
        busy(workload="a b", jobs=3),
        busy(workload="a-b", jobs=3),
        busy(workload="a b", jobs=3),
    ]
    assert [stem for stem in drawn(runs) if "slots" in stem] == [
        "a-b-slots-uwfq",
        "a-b-slots-uwfq-2",
        "a-b-2-slots-uwfq",
    ]


def test_without_launches_and_fluid_service_there_is_still_something_to_see(
    unrendered: None,
) -> None:
    """Jobs alone give three pictures, launches a fourth."""
    run = run_of([finished("a"), finished("b", user="bob", finish=2.0)])
    assert [plot.stem for plot in plots.draw([run], [{}])] == [
        "made-up-responses",
        "made-up-users",
        "made-up-lag",
    ]
    run.launches.append(Launch(0.0, 1.0, 0, 0, 0, 0))
    assert [plot.stem for plot in plots.draw([run], [{}])][3:] == ["made-up-slots-uwfq"]


def test_drawing_leaves_matplotlib_as_it_was_and_does_not_ask_it_for_a_style() -> None:
    """Neither does a user's own configuration change our pictures, nor do we change it."""
    plain = drawn([busy(jobs=5)])
    with mpl.rc_context({"text.usetex": True, "lines.linewidth": 9.0, "font.size": 30.0}):
        assert drawn([busy(jobs=5)]) == plain
        assert mpl.rcParams["lines.linewidth"] == 9.0
    assert "matplotlib.pyplot" not in sys.modules, "its global state needs a display, and leaks"


def test_names_are_drawn_as_they_are_written() -> None:
    """Mathematics, leading underscores, other alphabets, control characters, and too long ones."""
    names = ["$x_1^", "_hidden", "☃ 雪", "bad\x00\x1b[31m", "<b>&amp;", "a" * 300, "क\u200dष\uffff"]
    for name, files in drawn([busy(users=names)]).items():
        if not name.endswith("responses"):
            found = texts(files["svg"])
            assert "$x_1^" in found
            assert "_hidden" in found
            assert "☃ 雪" in found
            assert r"bad\x00\x1b[31m" in found
            assert "क\u200dष?" in found
            assert "<b>&amp;" in found
            assert "a" * 23 + "…" in found


def test_a_single_job_that_takes_no_time_can_be_drawn() -> None:
    """The smallest run there is."""
    run = run_of(
        [finished(finish=0.0, work=0.0, fluid_finish=0.0)], launches=[Launch(0.0, 0.0, 0, 0, 0, 0)]
    )
    assert len(drawn([run])) == 5


# -------------------------------------------------------------------- users, colours


def test_a_user_has_one_colour_in_all_runs_of_a_workload() -> None:
    """Whatever a policy did to them."""
    users = [f"user_{index}" for index in range(25)]
    groups = [style.groups_of([busy(policy, users=users)]) for policy in ("uwfq", "fifo")]
    assert groups[0] == groups[1]


def test_ten_users_have_ten_colours_and_an_eleventh_makes_others() -> None:
    """Nine keep their own then: those with the most work, in the order of the workload."""
    ten = [finished(f"j{index}", user=f"u{index}", work=1.0 + index) for index in range(10)]
    groups = style.groups_of([run_of(ten)])
    assert [group.name for group in groups] == [f"u{index}" for index in range(10)]
    assert len({group.colour for group in groups}) == 10
    groups = style.groups_of([run_of([*ten, finished("last", user="u10", work=5.5)])])
    assert [group.name for group in groups] == [
        *(f"u{index}" for index in range(2, 11)),
        "2 others",
    ][-10:]
    assert groups[-1].users == {"u0", "u1"}
    assert groups[-1].colour == style.OTHERS


def test_the_many_do_not_hide_the_single_users() -> None:
    """They come last in the legend, and lie at the bottom of the picture."""
    users = [f"u{index}" for index in range(12)]
    run = busy(users=users)
    with style.styled():
        figure = lag.lags([run], ["uwfq"], style.groups_of([run]))
    dots = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    *single, many = [line.get_zorder() for line in dots]
    assert many < min(single)


# ------------------------------------------------------------------------- responses


def lines(axes: Axes) -> list[tuple[list[float], list[float]]]:
    """The points of all lines."""
    return [
        (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in axes.get_lines()
    ]


def test_the_distribution_says_which_part_of_the_jobs_is_done_by_when() -> None:
    """Of four jobs one is done at once, three after 2 s, all after 5 s."""
    run = run_of([finished(f"j{index}", finish=took) for index, took in enumerate([2, 5, 1, 2])])
    with style.styled():
        (axes,) = responses.distribution([run], ["uwfq"]).axes
    assert lines(axes) == [([1, 1, 2, 2, 5], [0, 25, 50, 75, 100])]


def test_a_distribution_of_many_jobs_is_thinned_without_losing_its_ends() -> None:
    """More points than a screen has pixels would only make the file large."""
    run = run_of([finished(f"j{index}", finish=1.0 + index) for index in range(30_000)])
    with style.styled():
        (axes,) = responses.distribution([run], ["uwfq"]).axes
    ((times, parts),) = lines(axes)
    assert len(times) <= 1_001
    # In hours, for the longest response is one of them.
    assert (times[0], parts[0]) == (1.0 / 3600, 0.0)
    assert (times[-1], parts[-1]) == (30_000.0 / 3600, 100.0)
    assert all(
        part == pytest.approx(time * 12) for time, part in zip(times[1:], parts[1:], strict=True)
    )


def test_runs_of_one_policy_have_lines_of_their_own() -> None:
    """One colour per policy, one style per run of it."""
    runs = [
        busy(),
        busy(options=Options(partitioning=Partitioning.RUNTIME)),
        busy(options=Options(seed=1)),
    ]
    with style.styled():
        (axes,) = responses.distribution(runs, ["a", "b", "c"]).axes
    assert len({line.get_color() for line in axes.get_lines()}) == 1
    assert len({line.get_linestyle() for line in axes.get_lines()}) == 3


def test_dashes_tell_runtime_partitioning_from_none() -> None:
    """Where all runs are cut alike there is nothing to tell apart, and lines are whole."""
    cut = [
        busy(policy, options=Options(policy=policy, partitioning=Partitioning.RUNTIME))
        for policy in ("uwfq", "ujf")
    ]
    for runs, styles in ((cut, ["-", "-"]), ([busy(), *cut[1:]], ["-", "--"])):
        with style.styled():
            (axes,) = responses.distribution(runs, ["a", "b"]).axes
        assert [line.get_linestyle() for line in axes.get_lines()] == styles


@pytest.mark.parametrize(
    ("took", "label", "shown"),
    [
        (3e-5, "microseconds", 30),
        (0.05, "milliseconds", 50),
        (0.0, "seconds", 0),
        (50.0, "seconds", 50),
        (36_000.0, "hours", 10),
        (864_000.0, "days", 10),
    ],
)
def test_times_are_told_in_the_unit_that_suits_them(took: float, label: str, shown: float) -> None:
    """Labels of a dozen digits would run into each other."""
    run = run_of([finished("j", finish=took)])
    with style.styled():
        (axes,) = responses.distribution([run], ["uwfq"]).axes
    assert axes.get_xlabel() == f"response time, {label}"
    assert lines(axes)[0][0][-1] == pytest.approx(shown)


def test_an_axis_is_logarithmic_only_when_the_times_need_it() -> None:
    """Half of a line would be empty otherwise."""
    close = run_of([finished("a", finish=1.0), finished("b", finish=2.0)])
    far = run_of([finished("a", finish=1.0), finished("b", finish=2000.0)])
    with style.styled():
        scales = [responses.distribution([run], [""]).axes[0].get_xscale() for run in (close, far)]
    assert scales == ["linear", "log"]


@pytest.mark.parametrize(
    ("shortest", "longest", "label", "ticks"),
    [
        (0.8, 57_600.0, "", ["1 s", "10 s", "1 min", "10 min", "1 h", "10 h"]),
        (3e-7, 900.0, "", ["1 µs", "100 µs", "10 ms", "1 s", "1 min"]),
        (1e-6, 5e6, "", ["1 µs", "10 ms", "1 min", "1 d"]),
        # Where the numbers are plain, they stay.
        (0.2, 200.0, ", seconds", ["1", "10", "100"]),
        (1_800.0, 72_000.0, ", hours", ["0.5", "1", "2", "5", "10", "20"]),
    ],
)
def test_times_from_moments_to_days_are_told_in_units_of_their_own(
    shortest: float, longest: float, label: str, ticks: list[str]
) -> None:
    """Nobody knows how long 0.001 hours are, and 1e-06 is not read at a glance."""
    run = run_of([finished("a", finish=shortest), finished("b", finish=longest)])
    with style.styled():
        figure = responses.by_user([run], ["uwfq"], style.groups_of([run]))
        figure.draw_without_rendering()
    (axes,) = figure.axes
    assert figure.get_supxlabel().startswith(f"response time{label} (logarithmic); ")
    low, high = axes.get_xlim()
    shown = [
        tick.label1.get_text()
        for tick in axes.xaxis.get_major_ticks()
        if low <= tick.get_loc() <= high
    ]
    assert shown == ticks


# ----------------------------------------------------------------------------- slots


def test_neighbours_of_one_job_become_one_bar() -> None:
    """Different jobs, slots and long gaps keep bars apart, and so does a failure."""
    launches = [
        Launch(0.0, 1.0, 0, 0, 0, 0),
        Launch(1.0, 2.0, 0, 0, 0, 1),
        Launch(2.0, 3.0, 0, 2, 0, 0),
        Launch(5.0, 6.0, 0, 2, 0, 1),
        Launch(0.0, 1.0, 1, 1, 0, 0),
        Launch(1.0, 2.0, 1, 1, 0, 1, done=False),
    ]
    run = launched(launches)
    bars = slots.bars_of(run, style.groups_of([run]))
    assert [tuple(bar) for bar in bars] == [
        (0.0, 2.0, 0, 0),
        (2.0, 3.0, 0, 0),
        (5.0, 6.0, 0, 0),
        (0.0, 1.0, 1, 1),
        (1.0, 2.0, 1, -1),
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 4), st.integers(0, 4)),
        min_size=1,
        max_size=40,
    )
)
def test_bars_cover_what_the_launches_cover(plan: list[tuple[int, int, int, int]]) -> None:
    """Slot by slot and user by user, no time is lost and none is added."""
    clock = [0.0, 0.0, 0.0]
    launches = []
    for task, (slot, wait, length, job) in enumerate(plan):
        start = clock[slot] + wait
        clock[slot] = start + length
        launches.append(Launch(start, clock[slot], slot, job, 0, task))
    run = launched(launches, jobs=5)
    bars = slots.bars_of(run, style.groups_of([run]))
    assert len(bars) <= len(launches)
    for slot in range(3):
        for group in range(2):
            mine = [one for one in launches if one.slot == slot and one.job % 2 == group]
            own = [bar for bar in bars if bar.slot == slot and bar.group == group]
            assert sum(bar.end - bar.start for bar in own) == sum(
                one.end - one.start for one in mine
            )


def many(count: int, slot_count: int = 32) -> Run:
    """So many launches that no two neighbours belong to one user."""
    launches = [
        Launch(index // slot_count, index // slot_count + 0.9, index % slot_count, index % 7, 0, 0)
        for index in range(count)
    ]
    jobs = [
        finished(f"j{index}", user=f"u{index}", finish=count / slot_count) for index in range(7)
    ]
    return run_of(jobs, launches=launches, slots=slot_count)


def test_a_picture_of_many_launches_stays_small() -> None:
    """Shapes become an image where there would be too many."""
    sketches = []
    for count in (3_000, 25_000):
        run = many(count)
        with style.styled():
            sketches.append(style.rendered(slots.gantt(run, "uwfq", style.groups_of([run])), "svg"))
    assert all(len(sketch) < 500_000 for sketch in sketches)
    assert [b"<image" in sketch for sketch in sketches] == [False, True]


def test_a_pool_of_one_slot_has_one_tick() -> None:
    """There is no slot between 0 and 1."""
    run = run_of([finished("j")], launches=[Launch(0.0, 1.0, 0, 0, 0, 0)], slots=1)
    with style.styled():
        (axes,) = slots.gantt(run, "uwfq", style.groups_of([run])).axes
    bottom, top = axes.get_ylim()
    assert [tick for tick in axes.get_yticks() if top <= tick <= bottom] == [0]


# --------------------------------------------------------------------------- service


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=25
    )
)
def test_service_received_is_the_time_on_slots_so_far(plan: list[tuple[int, int, int]]) -> None:
    """At every instant: the sum over the user's launches of how long they have run by then."""
    launches = [
        Launch(start, start + length, task, job, 0, 0)
        for task, (start, length, job) in enumerate(plan)
    ]
    run = launched(launches)
    end = max(launch.end for launch in launches)
    run.jobs[0] = finished("j0", user="alice", finish=end + 1.0)
    found = service.served(run, style.groups_of([run]), {})
    for group, got in enumerate(found.received):
        expected = [
            sum(
                min(max(at - one.start, 0.0), one.end - one.start)
                for one in launches
                if one.job % 2 == group
            )
            for at in found.instants
        ]
        assert got == pytest.approx(np.array(expected))


def test_ahead_is_what_was_received_beyond_the_fluid_share() -> None:
    """Alice gets a slot for 2 s at once, and was due half a slot for 4 s."""
    run = run_of(
        [finished(user="alice", finish=2.0, fluid_finish=4.0)],
        launches=[Launch(0.0, 2.0, 0, 0, 0, 0)],
    )
    found = service.served(run, style.groups_of([run]), {"alice": [(0.0, 0.0), (4.0, 2.0)]})
    (ahead,) = found.ahead
    assert found.instants[0] == 0.0
    assert found.instants[-1] == 4.0
    assert ahead.max() == pytest.approx(1.0, abs=0.01)
    assert found.instants[ahead.argmax()] == pytest.approx(2.0, abs=0.01)
    assert ahead[-1] == pytest.approx(0.0)


def test_the_share_of_others_is_the_sum_of_theirs() -> None:
    """Twelve users with a slot-second each: three of them are others."""
    jobs = [finished(f"j{index}", user=f"u{index}") for index in range(12)]
    run = run_of(jobs, launches=[Launch(0.0, 1.0, index, index, 0, 0) for index in range(12)])
    curves = {f"u{index}": [(0.0, 0.0), (1.0, 1.0)] for index in range(12)}
    found = service.served(run, style.groups_of([run]), curves)
    assert [line[-1] for line in found.fluid] == pytest.approx([1.0] * 9 + [3.0])
    assert [line[-1] for line in found.received] == pytest.approx([1.0] * 9 + [3.0])


def test_the_sum_of_many_leaves_room_for_the_single_users() -> None:
    """A hundred users receive so much together that nobody else's line could be seen."""
    jobs = [finished(f"j{index}", user=f"u{index}") for index in range(109)]
    run = run_of(jobs, launches=[Launch(0.0, 1.0, index, index, 0, 0) for index in range(109)])
    groups = style.groups_of([run])
    with style.styled():
        figure = service.over_time("uwfq", groups, service.served(run, groups, {}), 1.0)
    assert figure.axes[0].get_ylim()[1] == pytest.approx(1.05)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[8:10] == ["u8", "100 others, off the scale"]


def test_the_small_difference_has_a_unit_of_its_own() -> None:
    """Half a minute ahead is not 0.0003 days where sums are of days."""
    run = run_of([finished(finish=864_000.0)], launches=[Launch(0.0, 864_000.0, 0, 0, 0, 0)])
    groups = style.groups_of([run])
    with style.styled():
        figure = service.over_time("uwfq", groups, service.served(run, groups, {}), 30.0)
    sums, difference = figure.axes
    assert sums.get_ylabel() == "service received, slot-days"
    assert difference.get_ylabel().endswith("slot-seconds")
    assert difference.get_ylim() == (-31.5, 31.5)


def test_curves_are_read_one_by_one_and_in_a_settled_order() -> None:
    """Those of thousands are too long to keep, and the last bit of a sum depends on its order."""

    class Curve(list[tuple[float, float]]):
        """A list that can be seen to be gone."""

    class Curves(dict[str, Curve]):
        """Makes curves when it is asked for them."""

        def get(self, user: str, default: object = None) -> Curve:
            assert sum(ref() is not None for ref in made) <= 1, "the one before may be there"
            asked.append(user)
            curve = Curve([(0.0, 0.0), (1.0, 1.0)])
            made.append(weakref.ref(curve))
            return curve

    asked: list[str] = []
    made: list[weakref.ref[Curve]] = []
    jobs = [finished(f"j{index}", user=f"u{index}", work=40.0 - index) for index in range(40)]
    run = run_of(jobs, launches=[Launch(0.0, 1.0, index, index, 0, 0) for index in range(40)])
    service.served(run, style.groups_of([run]), Curves())
    assert asked == sorted(asked[:9], key=lambda user: int(user[1:])) + sorted(asked[9:])
