"""``uwfq workload``: scenarios and imports as a user gets them."""

import json
import os
import pty
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import PATIENCE_SECONDS, UWFQ, complaint_of, environment, uwfq
from tests.shared_workloads import shared_workload
from tests.unit.simulator.journals import Past, stage
from uwfq_service.cli import main
from uwfq_service.simulator.scenarios import SCENARIOS, scenario
from uwfq_service.simulator.workload import Workload, dump, load, parse

TRACE = """\
user_id,workflow_id,task_id,ts_submit,runtime,resource_run_time
7,1,0,1000,2000,2000
8,2,0,3500,4000,1000
8,2,1,3500,4000,1000
9,3,0,3600,90000,90000
"""


def printed(capsys: pytest.CaptureFixture[str]) -> Workload:
    """The workload on stdout, after a command that had nothing to complain about."""
    out, err = capsys.readouterr()
    assert err == ""
    return parse(out)


# ------------------------------------------------------------------- scenarios


def test_a_scenario_goes_to_stdout() -> None:
    """The document and nothing else, so that `>` makes a file of it."""
    ran = uwfq("workload", "mixed-sizes", "--seed", "3")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.encode() == dump(scenario("mixed-sizes", 3))


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_can_be_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To a file, which then has all of it and stands alone."""
    path = tmp_path / "made.json"
    assert main(["workload", name, "--output", str(path)]) == 0
    assert capsys.readouterr().out == ""
    assert load(path) == scenario(name)
    assert list(tmp_path.iterdir()) == [path]


def test_the_list_names_each_scenario_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of the catalogue."""
    assert main(["workload", "--list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "what", "happens"]
    assert [line.split()[0] for line in lines] == list(SCENARIOS)
    assert all(len(line.split()) > 5 for line in lines)


def test_the_list_is_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """As with every other command; it used to be the table, whatever was asked for."""
    assert main(["workload", "--list", "--output", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)["workloads"]
    assert [each["name"] for each in listed] == list(SCENARIOS)
    assert all(each["about"] for each in listed)


# ------------------------------------------------------------------ recordings


def test_a_trace_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the paper's numbers, or with others."""
    path = tmp_path / "trace.csv"
    path.write_text(TRACE, encoding="utf-8")
    assert main(["workload", "--from-google", str(path)]) == 0
    made = printed(capsys)
    assert (made.name, made.slots) == ("trace", 32)
    # Of 2, 2 and 90 slot-seconds the last is dropped.
    assert [(job.user, job.total_work) for job in made.jobs] == [("user_1", 30.0), ("user_2", 30.0)]
    options = ["--slots", "4", "--work-scale", "0.5", "--drop-above", "45"]
    assert main(["workload", "--from-google", str(path), *options]) == 0
    made = printed(capsys)
    assert made.slots == 4
    assert [job.total_work for job in made.jobs] == [1.0, 1.0, 45.0]


def test_the_trace_of_the_paper_is_imported(capsys: pytest.CaptureFixture[str]) -> None:
    """All 97 jobs of it."""
    path = shared_workload("google-homogeneous.csv")
    assert main(["workload", "--from-google", str(path)]) == 0
    assert len(printed(capsys).jobs) == 97


def test_a_journal_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the service's users submitted to one of its pools, and how much of it is missing."""
    past = Past(pool="night", slots=2)
    past.submit("etl", stage("read", 2), user="ada")
    past.run(slots=2, seconds=3.0)
    past.submit("late", stage("read"))
    data = past.write(tmp_path / "data")
    assert main(["workload", "--from-journal", str(data), "--pool", "night"]) == 0
    out, err = capsys.readouterr()
    (job,) = parse(out).jobs
    assert (job.user, job.stages[0].tasks) == ("ada", (3.0, 3.0))
    assert err == "left out: 1 job not finished\n"


@pytest.mark.parametrize(
    "command", [["workload"], ["simulate", "--policy", "fifo", "--output", "-"]]
)
def test_what_is_logged_of_a_journal_is_no_part_of_the_document(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A snapshot that is damaged, while the events that it stands for are still there."""
    past = Past(slots=2)
    past.submit("etl", stage("read", 2))
    past.run(slots=2)
    data = past.write(tmp_path / "data")
    with closing(sqlite3.connect(data / "uwfq.db")) as connection, connection:
        connection.execute(
            "INSERT INTO snapshots (seq, at, version, bytes, crc32, complete)"
            " SELECT max(seq), 0, 1, 9, 9, 1 FROM events"
        )
    assert main([*command, "--from-journal", str(data)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)
    assert "snapshot_damaged" in err


def event(name: str, **fields: Any) -> dict[str, Any]:
    """An event as Spark logs it; ``_`` in a field's name is a space there."""
    spaced = {key.replace("_", " "): value for key, value in fields.items()}
    return {"Event": f"SparkListener{name}", **spaced}


def spark_log(path: Path, app: str, user: str) -> Path:
    """The log of an application with one job of one task, which took 2 s of 4 cores."""
    about_stage = {
        "Stage ID": 0,
        "Stage Attempt ID": 0,
        "Stage Name": "count",
        "Number of Tasks": 1,
        "Parent IDs": [],
        "Submission Time": 1_000,
    }
    about_task = {"Task ID": 0, "Index": 0, "Attempt": 0, "Launch Time": 1_000}
    times = {"Finish Time": 3_000, "Failed": False, "Killed": False}
    events = [
        event("LogStart", Spark_Version="3.5.0"),
        event("ApplicationStart", App_Name=app, App_ID=app, Timestamp=0, User=user),
        event(
            "ExecutorAdded",
            Timestamp=1,
            Executor_ID="1",
            Executor_Info={"Host": "h", "Total Cores": 4},
        ),
        event(
            "JobStart", Job_ID=0, Submission_Time=1_000, Stage_Infos=[about_stage], Stage_IDs=[0]
        ),
        event("StageSubmitted", Stage_Info=about_stage),
        event(
            "TaskEnd",
            Stage_ID=0,
            Stage_Attempt_ID=0,
            Task_End_Reason={"Reason": "Success"},
            Task_Info=about_task | times,
        ),
        event("StageCompleted", Stage_Info=about_stage | {"Completion Time": 3_000}),
        event("JobEnd", Job_ID=0, Completion_Time=3_000, Job_Result={"Result": "JobSucceeded"}),
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in events), encoding="utf-8")
    return path


def test_spark_logs_are_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of many applications at once, as a shell names them: the option once, then all files."""
    logs = [spark_log(tmp_path / f"app-{user}", f"app-{user}", user) for user in ("ada", "bob")]
    for arguments in (
        ["--from-spark-log", str(logs[0]), str(logs[1])],
        ["--from-spark-log", str(logs[0]), "--from-spark-log", str(logs[1])],
    ):
        assert main(["workload", *arguments]) == 0
        made = printed(capsys)
        assert made.slots == 8
        assert [(job.user, job.total_work) for job in made.jobs] == [("ada", 2.0), ("bob", 2.0)]
    assert main(["workload", "--from-spark-log", str(logs[0]), "--slots", "3"]) == 0
    assert printed(capsys).slots == 3


# ----------------------------------------------------------------- what people see


@pytest.mark.parametrize(
    ("name", "seed", "line"),
    [
        (
            "mixed-sizes",
            0,
            "20 jobs with 1,960 tasks of 4 users, 1,201 slot-seconds; load at most 1.77 over 21 s",
        ),
        (
            "all-large-4",
            4,
            "45 jobs with 9,360 tasks of 5 users, 25,564 slot-seconds; load 1.03 over 13 min",
        ),
    ],
)
def test_a_terminal_gets_a_line_about_the_workload(name: str, seed: int, line: str) -> None:
    """Somebody who redirects the document sees what is in it."""
    watcher, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [*UWFQ, "workload", name.removesuffix("-4"), "--seed", str(seed)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=terminal,
            check=True,
            timeout=PATIENCE_SECONDS,
            env=environment(TERM="xterm", COLUMNS="200"),
        )
        said = os.read(watcher, 10_000).decode()
    finally:
        os.close(terminal)
        os.close(watcher)
    parse(done.stdout)
    assert said.strip() == f"{name}: {line} on 32 slots"


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "which workload? give a NAME (--list shows them), --from-google"),
        (["chess"], "no scenario is called 'chess'; there are infrequent-users, mixed-sizes"),
        (["recuring"], "no scenario is called 'recuring'; did you mean recurring?"),
        (["random", "recurring"], "recurring: give one NAME"),
        (["random", "--list"], "NAME and --list: give one of them"),
        (["--list", "-o", "list.json"], "--output: --list goes to stdout"),
        (["--from-google", "a", "--from-journal", "b"], "--from-google and --from-journal: give"),
        (["random", "--seed", "-1"], "--seed"),
        (["random", "--seed", "x"], "--seed"),
        (["--from-google", "a", "--seed", "1"], "--seed: goes with NAME only"),
        (["random", "--slots", "3"], "--slots: goes with --from-google or --from-spark-log only"),
        (["random", "--work-scale", "3"], "--work-scale: goes with --from-google only"),
        (["random", "--pool", "night"], "--pool: goes with --from-journal only"),
        (["--from-google", "a", "--work-scale", "0"], "--work-scale"),
        (["--from-google", "a", "--drop-above", "0.5"], "--drop-above"),
        (["--from-google", "a", "--drop-above", "nan"], "--drop-above"),
        (["--from-google", "no-such.csv"], "no-such.csv: No such file or directory"),
        (["--from-google", "."], ".: Is a directory"),
        (["--from-google", "/dev/null"], "/dev/null: line 1: the header has no column user_id"),
        (["--from-journal", "no-such-dir"], "no-such-dir"),
        (["--from-spark-log", "no-such-log"], "no-such-log"),
        (["random", "-o", "no-such-dir/made.json"], "--output no-such-dir/made.json: No such file"),
        (["random", "-o", "."], "--output .: Is a directory"),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_one_line(
    arguments: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 2, nothing on stdout, and no file."""
    monkeypatch.chdir(tmp_path)
    assert complaint in complaint_of(capsys, "workload", *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--from-google"], ["--from-spark-log", "a.csv"]])
def test_what_is_imported_is_not_written_over(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trace may be the only copy."""
    path = tmp_path / "trace.csv"
    path.write_text(TRACE, encoding="utf-8")
    again = tmp_path / "again.csv"
    again.symlink_to(path)
    assert main(["workload", *arguments, str(path), "-o", str(again)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: --output {again}: is read as well; give another name"
    assert path.read_text(encoding="utf-8") == TRACE


@pytest.mark.parametrize("arguments", [["workload"], ["simulate", "--policy", "fifo"]])
def test_a_journal_is_not_written_over(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the file nor anything else in its directory."""
    past = Past()
    past.submit("etl", stage("read", 2))
    past.run(slots=2, seconds=3.0)
    data = past.write(tmp_path / "data")
    before = (data / "uwfq.db").read_bytes()
    asked = [*arguments, "--from-journal", str(data), "-o", str(data / "uwfq.db")]
    assert main(asked) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: --output {data / 'uwfq.db'}: is read as well; give another name"
    assert (data / "uwfq.db").read_bytes() == before


def test_a_setting_of_a_spark_log_that_is_no_number_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its file and its key."""
    path = spark_log(tmp_path / "app", "app", "ada")
    setting = event("EnvironmentUpdate", Spark_Properties={"spark.task.cpus": "abc"})
    path.write_text(f"{path.read_text('utf-8')}{json.dumps(setting)}\n", encoding="utf-8")
    assert main(["workload", "--from-spark-log", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: spark.task.cpus: is 'abc', not a whole number")


def test_a_failed_import_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    """The old document is better than half a new one."""
    path, broken = tmp_path / "made.json", tmp_path / "trace.csv"
    path.write_text("old", encoding="utf-8")
    broken.write_text(TRACE + "9,4,0,soon,1,1\n", encoding="utf-8")
    ran = uwfq("workload", "--from-google", str(broken), "-o", str(path))
    assert ran.code == 2
    assert ran.error.endswith("trace.csv: line 6, column ts_submit: 'soon' is no number")
    assert path.read_text(encoding="utf-8") == "old"
