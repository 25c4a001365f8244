"""How numbers look in tables, and tables on terminals that are too narrow for them."""

import io

import pytest
from rich.console import Console, RenderableType
from rich.table import Table

from tests.oracles.counting import calls_of
from tests.unit.simulator.synthetic import busy
from uwfq_service.cli.output import facts, number, show, table
from uwfq_service.columns import NarrowTable
from uwfq_service.printable import printable
from uwfq_service.simulator.report import tables

LONG = "arn:aws:sts::123456789012:assumed-role/analysts/alice@example.com"
ROW = ("job-17", LONG, "running", "12/3,456", "7,890.12")
COLUMNS = ("job", "user", "state", "tasks", "work")


def shown(width: int, *parts: RenderableType) -> list[str]:
    """The lines of a terminal of this width."""
    file = io.StringIO()
    show(Console(file=file, width=width, force_terminal=True, color_system=None), parts)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[2J\n", "a\\x1b[2J\\n"),
        ("user\u202enimda", "user\\u202enimda"),
        ("a\u2028b\u2066c", "a\\u2028b\\u2066c"),
        ("\u05d3\u05d5\u05d3 \u00e9 \u96ea", "\u05d3\u05d5\u05d3 \u00e9 \u96ea"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(name: str, shown: str) -> None:
    """A name can neither clear a screen nor pass for another; one in Hebrew is as it is."""
    assert printable(name) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0.0, "0"),
        (-2.0, "-2"),
        (1234.5, "1,234.50"),
        (-0.006, "-0.01"),
        (-1e-13, "0.00"),
        (1e-13, "0.00"),
    ],
)
def test_a_number_is_shown_as_people_read_it(value: float | None, shown: str) -> None:
    """Nothing has no sign, however little rounding has left of it."""
    assert number(value) == shown


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_narrow_terminal_shows_every_cell_whole(width: int) -> None:
    """However long a name is, what stands beside it is there, and so is all of the name."""
    lines = shown(width, table(COLUMNS, [ROW, ROW], left=3))
    text = " ".join(lines)
    for cell in (*COLUMNS, *(cell for cell in ROW if cell != LONG)):
        assert cell in text
    begin, end = lines[0].index("user"), lines[0].index("state")
    assert "".join(line[begin:end].strip() for line in lines[1:]) == 2 * LONG
    if width >= 60:
        assert max(map(len, lines)) <= width


def test_a_table_that_is_painted_in_place_has_a_line_for_each_row() -> None:
    """There names end early, and numbers are whole all the same."""
    lines = shown(60, table(COLUMNS, [ROW, ROW], left=3, one_line=True))
    assert len(lines) == 3
    assert lines[1].startswith("job-17  arn:aws:sts:")
    assert lines[1].endswith("…  running  12/3,456  7,890.12")


@pytest.mark.parametrize("one_line", [False, True])
@pytest.mark.parametrize("name", ["alice", "[red]", "日本語", "", LONG])
def test_a_table_that_fits_looks_as_rich_makes_it(
    name: str, one_line: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written without Rich's layout, and nobody sees that."""
    made = table(("job", "user", "", "work"), [("job-1", name, "", "1.50")], one_line=one_line)
    quick = shown(200, made)
    monkeypatch.setattr(NarrowTable, "__rich_console__", Table.__rich_console__)
    assert quick == shown(200, made)


def test_a_long_table_is_written_quickly() -> None:
    """A pool may have 200,000 users: some calls for a cell, where Rich's layout makes hundreds."""
    made = table(COLUMNS, [ROW] * 500, left=3)
    assert len(shown(200, made)) == 501
    assert calls_of(lambda: shown(200, made)) < 40 * 501 * len(COLUMNS)


def test_a_long_value_takes_several_lines() -> None:
    """A name without spaces is no reason to leave half of it out."""
    lines = shown(40, facts([("user", LONG), ("state", "running")]))
    assert "".join(line[5:].strip() for line in lines) == LONG + "running"


def test_the_report_of_a_simulation_keeps_its_figures() -> None:
    """A user with a long name does not cut everybody's."""
    run = busy(users=[LONG, "bob"])
    wide, narrow = shown(1000, *tables([run])), shown(60, *tables([run]))
    figures = [line.split()[1:] for line in wide if line.startswith("bob ")]
    assert len(figures) == 2
    assert [line.split()[1:] for line in narrow if line.startswith("bob ")] == figures
