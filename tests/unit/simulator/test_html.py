"""The page: that it stands on its own, and that its sentences are true."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.unit.simulator.synthetic import busy, finished, run_of
from uwfq_service.simulator import html
from uwfq_service.simulator.answers import answer
from uwfq_service.simulator.plots import Plot
from uwfq_service.simulator.runs import Faults, Options, Run

#: Tags that are never closed.
VOID = {"meta", "img", "br", "link"}


class Reader(HTMLParser):
    """Reads a page: its text, its attributes, and whether every tag is closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data.split()

    @property
    def text(self) -> str:
        """All that one reads, with single spaces."""
        return " ".join(self.words)

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute, wherever it stands."""
        return [value for name, value in self.attributes if name == attribute]


PICTURE = Plot(
    workload="busy",
    stem="busy-responses",
    caption='Jobs of "busy" <soon>',
    files={"svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>'},
)


def test_the_page_stands_on_its_own() -> None:
    """It fetches nothing and runs nothing: all references lead into the page itself."""
    runs = [busy("uwfq"), busy("ujf"), busy("fifo", workload="another")]
    page = html.page(runs, [PICTURE], [busy("ujf")])
    reader = Reader(page)
    references = [value for name in ("src", "href", "srcset") for value in reader.values(name)]
    assert references
    assert all(value.startswith(("data:", "#")) for value in references)
    assert {"script", "link", "iframe", "object"}.isdisjoint(reader.tags)
    assert not re.search(r"url\(|@import", page)
    anchors = {"#" + value for value in reader.values("id")}
    assert {value for value in references if value.startswith("#")} <= anchors


def test_pictures_are_part_of_the_page() -> None:
    """Those of the workload, with words for people who cannot see them."""
    reader = Reader(html.page([busy()], [PICTURE]))
    (source,) = reader.values("src")
    kind, _, content = source.partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert ET.fromstring(base64.b64decode(content)).tag.endswith("svg")
    assert reader.values("alt") == ['Jobs of "busy" <soon>']
    assert not Reader(html.page([busy(workload="other")], [PICTURE])).values("src")


def test_rows_are_headed_and_what_scrolls_has_a_name_and_can_be_reached() -> None:
    """For those who listen to a page, or have no mouse; a table is wider than a small screen."""
    runs = [busy("uwfq"), busy("ujf")]
    reader = Reader(html.page(runs, [PICTURE]))
    tables = reader.tags.count("table")
    assert reader.values("scope").count("row") == reader.tags.count("tr") - tables
    scrolling = reader.values("class").count("scroll")
    assert scrolling == tables + reader.tags.count("img")
    assert reader.values("tabindex") == ["0"] * scrolling
    assert reader.values("role") == ["region"] * scrolling
    assert set(reader.values("aria-label")) >= {"Response time, seconds", PICTURE.caption}


def test_the_answer_comes_before_the_tables() -> None:
    """Who reads one line only has read the right one."""
    text = Reader(html.page([busy("uwfq"), busy("ujf")])).text
    sentence = answer([busy("uwfq"), busy("ujf")])[0]
    assert 0 < text.index(sentence) < text.index("Response time, seconds")


def test_names_are_text() -> None:
    """A user or a workload may be called like a tag."""
    bad = '<script>alert("1")</script>'
    page = html.page([busy(users=[bad, "bob"], workload=bad)])
    reader = Reader(page)
    assert "script" not in reader.tags
    assert reader.text.count('<script>alert("1")</script>') >= 3


def test_characters_that_a_page_has_no_place_for_are_written_out() -> None:
    """A browser leaves them out, and two users would look like one."""
    run = run_of([finished("j", user="ann\0\n\x1b")], workload="night\0")
    page = html.page([run])
    assert "\0" not in page
    assert "\x1b" not in page
    text = Reader(page).text
    assert r"ann\x00\n\x1b" in text
    assert r"night\x00" in text


def test_every_link_has_a_place_of_its_own() -> None:
    """Also when a workload is called like another part of the page."""
    runs = [busy(workload="definitions"), busy(workload="Definitions"), busy(workload="other")]
    reader = Reader(html.page(runs))
    places = reader.values("id")
    assert len(set(places)) == len(places) == 4
    assert reader.values("href") == [f"#{place}" for place in places]


def test_every_option_of_every_run_is_told() -> None:
    """What is needed to do it again."""
    options = Options(policy="uwfq", estimates="noisy:0.5", seed=7, faults=Faults(stragglers=0.25))
    text = Reader(html.page([busy(options=options), busy("fifo")])).text
    for told in ("estimates noisy:0.5 exact", "seed 7 0", "stragglers 0.25 0", "slots 8 8"):
        assert told in text


def test_deadlines_are_explained_when_there_are_any() -> None:
    """DVR and DSR mean nothing without a baseline."""
    assert "DVR" not in Reader(html.page([busy("uwfq")])).text
    text = Reader(html.page([busy("uwfq")], (), [busy("ujf")])).text
    assert "(finish − deadline) / (deadline − submission)" in text
    assert "violations DVR slacks DSR" in text


def test_the_page_is_written_at_once(tmp_path: Path) -> None:
    """It replaces an older one, and nothing else is left."""
    path = tmp_path / "report.html"
    path.write_text("old")
    html.write_html(path, [busy()])
    assert path.read_text(encoding="utf-8") == html.page([busy()])
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------------ sentences


def pair(ours: float, theirs: float, policies: tuple[str, str] = ("uwfq", "ujf")) -> list[Run]:
    """Two runs of a job that takes this long."""
    return [
        run_of([finished(finish=took, fluid_finish=1.0)], policy=policy)
        for took, policy in zip((ours, theirs), policies, strict=True)
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        (1.0, 2.1, "2.1x shorter than under ujf: 1.000 s instead of 2.100 s."),
        (3.0, 2.0, "1.5x longer than under ujf: 3.000 s instead of 2.000 s."),
        (2.0, 2.1, "1.05x shorter than under ujf: 2.000 s instead of 2.100 s."),
        (2.0, 2.01, "about the same as under ujf: 2.000 s instead of 2.010 s."),
        (0.0, 1.0, "∞x shorter than under ujf: 0.000 s instead of 1.000 s."),
        (0.0, 0.0, "about the same as under ujf: 0.00000 s instead of 0.00000 s."),
    ],
)
def test_the_first_sentence_compares_the_means(ours: float, theirs: float, told: str) -> None:
    """Ours with what people know, in one ratio above 1."""
    assert answer(pair(ours, theirs))[0] == f"Under uwfq the mean response is {told}"


def test_one_run_is_described_by_itself() -> None:
    """There is nothing to compare it with."""
    run = run_of([finished(f"j{index}", finish=1.0 + index) for index in range(4)], policy="fair")
    (sentence,) = answer([run])
    assert sentence == (
        "Under fair a job takes 2.500 s on average; half of the jobs are done within 2.000 s, "
        "95 % within 4.000 s."
    )


def test_the_reference_is_the_fairest_that_people_know() -> None:
    """The baseline if there is one, else ujf, else fair, else fifo."""
    runs = {policy: busy(policy) for policy in ("fifo", "fair", "ujf", "uwfq")}
    everything = list(runs.values())
    assert "under ujf:" in answer(everything)[0]
    assert "under fair:" in answer([runs["fifo"], runs["fair"], runs["uwfq"]])[0]
    assert "under fifo:" in answer(everything, baseline=busy("fifo"))[0]
    assert "under fifo:" in answer([runs["uwfq"]], baseline=busy("fifo"))[0]
    assert "on average" in answer([runs["fifo"]], baseline=busy("fifo"))[0]


def test_without_ours_the_fastest_is_told_about() -> None:
    """And a policy of ours that is not the fastest says so."""
    assert answer(pair(1.0, 2.0, ("cfq", "fair")))[0].startswith("Under cfq the mean response is 2")
    slower = answer(pair(2.0, 1.0, ("uwfq", "cfq")))
    assert slower[-1] == "The shortest mean response of all has cfq: 1.000 s."


def test_small_and_large_jobs_and_users_are_told_apart() -> None:
    """Ten jobs: the small ones of bob twice as fast, the largest one of alice twice as slow."""

    def run(policy: str, small: float, large: float) -> Run:
        jobs = [finished(f"b{index}", user="bob", finish=small) for index in range(9)]
        return run_of([*jobs, finished("a", user="alice", work=9.0, finish=large)], policy=policy)

    sentences = answer([run("uwfq", 1.0, 8.0), run("ujf", 2.0, 4.0)])
    assert sentences[1] == (
        "The smallest 80 % of the jobs are done 2.0x sooner, the largest 5 % take 2.0x as long."
    )
    assert sentences[2] == "1 of 2 users wait less on average, 1 longer (at most 2.00x: alice)."


def test_the_latest_job_is_told_and_a_run_may_be_on_time() -> None:
    """A negative lag is no delay."""
    assert answer(pair(0.5, 3.0))[3] == (
        "Held against an ideal cluster that serves all users at once, the latest job is on time "
        "under uwfq, 2.000 s late under ujf."
    )


def test_a_lag_of_the_last_bits_is_none() -> None:
    """Nor is one that is nothing beside the other: nobody is 0.0 s late."""
    ours = run_of([finished(finish=1.0 + 1e-15, fluid_finish=1.0)])
    for theirs, told in ((1.0 + 2e-15, "on time under ujf"), (5000.0, "4,999.0 s late under ujf")):
        other = run_of([finished(finish=theirs, fluid_finish=1.0)], policy="ujf")
        assert f"the latest job is on time under uwfq, {told}" in " ".join(answer([ours, other]))


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        (
            (1.0,),
            (2.0,),
            (
                "1 of 1 jobs finish earlier, by 50 % of their response there on average, "
                "and none later"
            ),
        ),
        (
            (3.0,),
            (2.0,),
            (
                "1 of 1 jobs finish later, by 50 % of their response there on average, "
                "and none earlier"
            ),
        ),
        (
            (1.0, 5.0),
            (2.0, 4.0),
            (
                "1 of 2 jobs finish earlier, by 50 % of their response there on average, "
                "and 1 later, by 25 %"
            ),
        ),
        ((2.0,), (2.0,), "no job finishes at another time"),
    ],
)
def test_deadlines_are_told_when_there_is_a_baseline(
    ours: tuple[float, ...], theirs: tuple[float, ...], told: str
) -> None:
    """How many jobs gain and lose, and how much of their response there; nothing of none."""
    runs = [
        run_of(
            [finished(f"j{index}", finish=took) for index, took in enumerate(responses)],
            policy=policy,
        )
        for policy, responses in (("uwfq", ours), ("ujf", theirs))
    ]
    assert answer(runs, runs[1])[-1] == f"Against ujf, {told}."


def test_users_who_all_wait_as_long_are_told_of_at_once() -> None:
    """Instead of none who waits less and none who waits longer."""
    assert answer(pair(2.0, 2.0))[2] == "Every user waits about as long on average."
