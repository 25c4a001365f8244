"""The report: the JSON that programs read to the letter, and the tables of the terminal."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.unit.simulator.documents import REPORTED
from tests.unit.simulator.synthetic import busy, finished, run_of, the_run_shown
from uwfq_service.simulator import report
from uwfq_service.simulator.naming import labels, slug, slugs
from uwfq_service.simulator.runs import Faults, Options, Partitioning, Run
from uwfq_service.simulator.tables import Cell, amounts, comparison


def keys_in_order(value: Any) -> Any:
    """The keys of objects, all the way down; values are of no interest."""
    if isinstance(value, dict):
        return [(key, keys_in_order(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [keys_in_order(inner) for inner in value]
    return None


def shown(runs: list[Run], baselines: list[Run] | None = None, width: int = 100) -> str:
    """What a terminal of this width shows."""
    console = Console(width=width, highlight=False, color_system=None)
    with console.capture() as captured:
        for part in report.tables(runs, baselines or []):
            console.print(part)
    return captured.get()


# ------------------------------------------------------------------------- JSON


def test_what_the_readme_shows_comes_out_to_the_letter() -> None:
    """Keys, their order, and all values."""
    found = json.loads(report.encode(report.document([the_run_shown()])))
    assert keys_in_order(found) == keys_in_order(REPORTED)
    assert found == REPORTED


def test_a_baseline_is_added_at_the_end() -> None:
    """Five keys, and nothing else of the report changes."""
    runs = [busy("uwfq"), busy("fifo")]
    plain = report.document(runs)
    compared = report.document(runs, [busy("fifo")])
    assert [list(run)[-1] for run in compared] == ["baseline", "baseline"]
    assert list(compared[0]["baseline"]) == ["policy", "violations", "slacks", "dvr", "dsr"]
    assert compared[1]["baseline"] == {
        "policy": "fifo",
        "violations": 0,
        "slacks": 0,
        "dvr": 0,
        "dsr": 0,
    }
    for run in compared:
        del run["baseline"]
    assert compared == plain


def test_a_baseline_is_that_of_the_runs_workload() -> None:
    """Runs of a workload without one have no such key."""
    runs = [busy(workload="one"), busy(workload="two", seed=1)]
    found = report.document(runs, [busy("fifo", workload="two", seed=1)])
    assert ["baseline" in run for run in found] == [False, True]


def test_what_is_absent_is_null() -> None:
    """Policies without virtual deadlines have none."""
    assert '"virtual_deadline":null' in report.encode(report.document([busy("fifo")])).decode()


def test_jobs_and_users_stand_one_a_line() -> None:
    """So that reports can be compared line by line."""
    text = report.encode(report.document([busy(jobs=5), busy("fifo", jobs=5)])).decode()
    assert len(json.loads(text)) == 2
    assert sum(line.startswith('      {"job":') for line in text.splitlines()) == 10


def test_names_survive_whatever_they_are() -> None:
    """Quotes, line breaks and other alphabets."""
    name = 'Zoë "$x_1$"\n☃'
    found = json.loads(report.encode(report.document([run_of([finished(user=name)])])))
    assert found[0]["users"][0]["user"] == name


def test_writing_a_report_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """A temporary name is used and gone; an older report is replaced."""
    path = tmp_path / "report.json"
    path.write_text("old")
    report.write_json(path, report.document([the_run_shown()]))
    assert list(tmp_path.iterdir()) == [path]
    assert json.loads(path.read_text())[0]["policy"] == "uwfq"


def test_a_report_that_is_written_anew_stays_as_private_as_it_was(tmp_path: Path) -> None:
    """Its rights are those that somebody gave it."""
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(0o600)
    report.write_json(path, [])
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["r" * 255, "名" * 85])
def test_a_report_may_have_any_name_that_a_file_may_have(tmp_path: Path, name: str) -> None:
    """The temporary one beside it is no longer."""
    path = tmp_path / name
    report.write_json(path, [])
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full: what was there stays, and nothing half-written is left."""
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        report.write_json(path, report.document([the_run_shown()]))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_goes_through_a_link_and_into_a_device(tmp_path: Path) -> None:
    """Neither is replaced by a file."""
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)
    report.write_json(link, [])
    assert link.is_symlink()
    assert json.loads(target.read_text()) == []
    report.write_json(Path("/dev/null"), [])
    assert Path("/dev/null").is_char_device()


# ----------------------------------------------------------------------- tables


def test_the_terminal_shows_the_policies_side_by_side() -> None:
    """A row per policy with the figures of the JSON, and the bands by true size."""
    lines = shown([busy("uwfq"), busy("fifo")]).splitlines()
    responses = lines.index("Response time, seconds")
    assert lines[responses + 1].split()[:5] == ["policy", "mean", "p50", "p95", "p99"]
    summary = report.document([busy("uwfq")])[0]["summary"]
    assert lines[responses + 2].split()[:2] == ["uwfq", f"{summary['mean_response']:.2f}"]
    assert lines[responses + 3].startswith("fifo ")
    assert any("size 95-100 %" in line for line in lines)


def test_tables_fit_a_terminal_of_80_columns() -> None:
    """With six policies, and without a figure cut short."""
    policies = ("uwfq", "uwfq_paper", "cfq", "ujf", "fair", "fifo")
    text = shown([busy(policy) for policy in policies], [busy("ujf")], width=80)
    assert "…" not in text


def test_the_best_figure_is_marked_unless_all_are_alike() -> None:
    """By style, so that a program that reads the table is not disturbed."""
    console = Console(width=100, highlight=False, force_terminal=True, color_system="standard")
    fast = run_of([finished(finish=1.0)], policy="uwfq")
    slow = run_of([finished(finish=2.0)], policy="fifo")
    with console.capture() as captured:
        for part in report.tables([fast, slow]):
            console.print(part)
    row = next(line for line in captured.get().splitlines() if line.startswith("uwfq"))
    assert row.count("\x1b[1;32m") == 6, "six statistics of one response, all better"
    with console.capture() as captured:
        for part in report.tables([fast, run_of([finished(finish=1.0)], policy="fifo")]):
            console.print(part)
    assert "\x1b[1;32m" not in captured.get()


def test_nothing_has_no_sign() -> None:
    """A lag of the last bits, to either side, looks the same, and neither is the best."""
    runs = [
        run_of([finished(finish=finish, fluid_finish=1.0)], policy=policy)
        for policy, finish in (("uwfq", 1.0 - 1e-15), ("fifo", 1.0 + 1e-15))
    ]
    table = next(table for table in comparison(runs, users=1) if "max lag, s" in table.columns)
    assert [row[-1] for row in table.rows] == [Cell("0.00000"), Cell("0.00000")]


@pytest.mark.parametrize(
    ("largest", "text"),
    [
        (0.0, "0.00000"),
        (1e-9, "0.00000"),
        (2.123e-5, "0.00002123"),
        (0.01234, "0.01234"),
        (0.5, "0.5000"),
        (12.5, "12.50"),
        (1234.5, "1,234.5"),
    ],
)
def test_amounts_are_told_in_four_digits(largest: float, text: str) -> None:
    """However small they are; what is less than a microsecond is rounding."""
    assert amounts([0.0, -largest], [largest])(largest) == text


def test_many_users_are_folded() -> None:
    """The ten rows are the nine with the most work, and one for all others, who add up."""
    users = [f"user_{index}" for index in range(30)]
    run = busy(users=users, jobs=200)
    lines = shown([run]).splitlines()
    start = lines.index("Mean response by user, seconds") + 2
    rows = [line.rsplit(maxsplit=3) for line in lines[start : start + 10]]
    assert rows[-1][0].endswith("others")
    assert sum(int(jobs) for _, jobs, _, _ in rows) == 200
    total = sum(float(work.replace(",", "")) for _, _, work, _ in rows)
    assert total == pytest.approx(sum(job.work for job in run.jobs))


def test_a_user_may_be_called_like_a_colour() -> None:
    """Names are text, not markup."""
    assert "[red]" in shown([run_of([finished(user="[red]")])])


def test_no_name_is_obeyed_by_the_terminal() -> None:
    """Names come from other people's logs: each stays on its line, and the terminal as it was."""
    slow = run_of([finished(user="\x1b[2J\nroot", finish=2.0)], workload="\x1b]0;mine\x07")
    text = shown([slow, run_of(slow.jobs, policy="fifo", workload=slow.workload)])
    assert not any(char in text for char in "\x1b\x07\x00")
    assert text.startswith("\\x1b]0;mine\\x07\n")
    assert sum(line.startswith("\\x1b[2J\\nroot ") for line in text.splitlines()) == 2


def test_a_workload_is_introduced_by_what_all_its_runs_share() -> None:
    """What they differ in stands in their names."""
    whole = busy(options=Options(policy="uwfq", seed=3))
    cut = busy(options=Options(policy="uwfq", partitioning=Partitioning.RUNTIME, seed=3))
    text = shown([whole, cut])
    assert "40 jobs of 3 users, 266.00 slot-seconds, 8 slots, exact estimates, seed 3" in text
    assert "uwfq-P" in text


def test_faults_are_told() -> None:
    """A run in which things went wrong must not be taken for a quiet one."""
    faults = Faults(task_failures=0.05, stragglers=0.01, worker_uptime=600.0)
    text = shown([busy(options=Options(workers=4, faults=faults))], width=200)
    assert "4 workers, 0.05 of the attempts fail, 0.01 take 4 times as long" in text
    assert "workers stay 600 s, are away 30 s" in text


# ------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([Options(policy="uwfq"), Options(policy="ujf")], ["uwfq", "ujf"]),
        (
            [Options(), Options(partitioning=Partitioning.RUNTIME)],
            ["uwfq", "uwfq-P"],
        ),
        ([Options(partitioning=Partitioning.RUNTIME)], ["uwfq"]),
        ([Options(atr=0.25), Options(atr=0.5)], ["uwfq 0.25 s", "uwfq 0.5 s"]),
        (
            [Options(estimates="exact"), Options(policy="ujf", estimates="noisy:0.5")],
            ["uwfq exact", "ujf noisy:0.5"],
        ),
        ([Options(seed=1), Options(seed=2)], ["uwfq seed 1", "uwfq seed 2"]),
        ([Options(), Options(driver_gap=1.0)], ["uwfq", "uwfq #2"]),
    ],
)
def test_runs_are_named_after_what_they_differ_in(
    options: list[Options], expected: list[str]
) -> None:
    """And no two have the same name."""
    assert labels([run_of([finished()], options=each) for each in options]) == expected


def test_a_slug_is_a_plain_file_name() -> None:
    """Whatever the workload is called; dots and slashes lead nowhere."""
    assert slug("two users, one burst") == "two-users-one-burst"
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("☃") == "unnamed"
    assert slug("uwfq_paper 0.5 s #2") == "uwfq_paper-0-5-s-2"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["A", "a", "A 2", "a"], ["a", "a-2", "a-2-2", "a-3"]),
        (["a", "b"], ["a", "b"]),
        # Cut to one and the same: the number must not be cut off again.
        (["x" * 90, "x" * 91, "x" * 92], ["x" * 80, "x" * 80 + "-2", "x" * 80 + "-3"]),
    ],
)
def test_no_two_slugs_are_the_same(texts: list[str], expected: list[str]) -> None:
    """Otherwise one picture would overwrite another."""
    assert slugs(texts) == expected
