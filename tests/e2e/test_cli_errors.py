"""What the command says when it is asked wrongly, or when nobody answers."""

import os
import subprocess
from pathlib import Path
from typing import IO

import pytest

from tests.e2e.command import PATIENCE_SECONDS, UWFQ, complaint_of, uwfq
from uwfq_service.cli import main
from uwfq_service.server.config_keys import KEYS

NOBODY = "127.0.0.1:9"
#: Longer than the name of any file: merely to look whether it is there fails.
LONG = 300 * "x"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["fly"], "No such command 'fly'"),
        (["jobs", "--fast"], "No such option"),
        (["jobs", "--output", "xml"], "--output"),
        (["jobs", "--limit", "0"], "--limit"),
        (["job"], "Missing argument 'JOB'"),
        (["explain", "j", "--ahead", "1000"], "--ahead"),
        (["user", "set", "alice"], "nothing to set: give --weight"),
        (["user", "set", "alice", "--weight", "0"], "--weight"),
        (["user", "set", "alice", "--weight", "nan"], "--weight"),
        (["submit"], "give --tasks, --input, --work or --file"),
        (["submit", "--tasks", "0"], "--tasks"),
        (["submit", "--tasks", "3", "left.txt"], "left.txt: input files go after --input"),
        (["submit", "--tasks", "3", "--work", "-1"], "--work"),
        (["submit", "--tasks", "3", "--label", "nonsense"], "write it as NAME=VALUE"),
        (["submit", "--tasks", "3", "--splittable"], "--splittable"),
        (["submit", "--input", "no-such-file"], "no-such-file: No such file"),
        (["submit", "--input", "/"], "/ is not a file"),
        (["submit", "--input", "/dev/null", "--tasks", "2"], "--tasks: cannot be combined"),
        (["submit", "--tasks", "1", "--payload", "a", "--payload-file", "b"], "one of them"),
        (["submit", "--tasks", "1", "--payload-file", "no-such-file"], "No such file"),
        (["submit", "--file", "no-such-file"], "no-such-file: No such file"),
        (["worker"], "--exec"),
        (["worker", "--exec", " "], "--exec: is empty"),
        (["worker", "--exec", "true", "--slots", "0"], "--slots"),
        (["serve", "--policy", "random"], "--policy"),
        (["serve", "--set", "nonsense"], "write it as KEY=VALUE"),
        (["serve", "--set", "log.levl=debug"], "did you mean log.level?"),
        (["serve", "--listen", "everywhere"], "listen: must be host:port"),
        (["serve", "--config", "no-such-file"], "no-such-file"),
        (["serve", "--config", ""], "'UWFQ_CONFIG'): is empty"),
        (["serve", "--tls-cert", "no-such-file"], "tls.key: must be given too"),
        (["jobs", "--cert", "a.pem"], "--cert and --key: give both"),
        (["jobs", "--ca", "no-such-file"], "no-such-file: No such file"),
        (["jobs", "--ca", ""], "'UWFQ_CA_FILE'): is empty"),
        (["jobs", "--cert", "", "--key", ""], "'UWFQ_CERT_FILE'): is empty"),
        (["jobs", "--server-name", ""], "'--server-name': is empty"),
        (["jobs", "--limit", "99999999999999999999"], "--limit"),
        (["jobs", "--user", "\udcff"], r"'\udcff' is not UTF-8 text"),
        (["cancel", "a\udcff"], r"'a\udcff' is not UTF-8 text"),
        (["health", "--service", "\udcff"], "is not UTF-8 text"),
        (["submit", "--tasks", "1", "--payload", "\udcff" * 90], "…' is not UTF-8 text"),
        (["submit", "--tasks", "1", "--label", "a=\udcff"], "is not UTF-8 text"),
        (["submit", "--tasks", "1", "--min-tasks", "99999999999"], "--min-tasks"),
        (["submit", "--tasks", "1", "--max-tasks", "99999999999"], "--max-tasks"),
        (["worker", "--exec", "true", "--slots", "99999999999"], "--slots"),
        (["worker", "--exec", "true", "--prefetch", "99999999999"], "--prefetch"),
        (["jobs", "--target", ""], "is empty; give host:port or unix:/path"),
        (["replay", "no-such-file", "--target", ""], "is empty; give host:port or unix:/path"),
        (["replay", "no-such-file", "--ca", "ca.pem"], "--ca: goes with --target only"),
        (["jobs", "--target", "127.0.0.1:65537"], "--target"),
        (["jobs", "--target", "[::1]:0"], "port 0 must be 1 to 65535"),
        (["jobs", "--target", "http://127.0.0.1:7170"], "is a URL; give host:port, no more"),
        (["jobs", "--timeout", "1e10"], "--timeout"),
        (["demo", "--seconds", "0"], "--seconds"),
        (["top", "--interval", "0"], "--interval"),
        (["simulate", "--scenario", "random", "-o", LONG], "--output xxx"),
        (["simulate", "--scenario", "random", "--report", LONG], "--report xxx"),
        (["simulate", "--scenario", "random", "--plots", LONG], "--plots xxx"),
        (["replay", LONG, "-o", LONG], "x: is read as well"),
        (["serve", "--check", "--tls-cert", LONG, "--tls-key", LONG], "tls.cert: cannot reach"),
        (["serve", "--data", LONG], "cannot be reached: File name too long"),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that names the option or the field."""
    assert complaint in complaint_of(capsys, *arguments)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "truncated"),
        ('{"stages": [{"stage": "a", "tasks": "many"}]}', "$.stages[0].tasks"),
        ('{"stages": [{"stage": "a", "task": 3}]}', "unknown field `task`"),
        ('{"user": "a"}', "missing required field `stages`"),
        ('{"stages": [{"stage": "a", "tasks": 1, "input": {"unit_sizes": [1]}}]}', "not both"),
        ('{"stages": [{"stage": "a", "input": {}}]}', "either files or unit_sizes"),
        ('{"stages": [{"stage": "a", "payload": 1, "payload_base64": ""}]}', "not both"),
        ('{"stages": [{"stage": "a", "payload_base64": "?"}]}', "not base64"),
        ('{"stages": [{"stage": "a", "tasks": -1}]}', "$.stages[0].tasks"),
        ('{"stages": [{"stage": "a", "tasks": 4294967296}]}', "$.stages[0].tasks"),
        ('{"stages": [{"stage": "a", "tasks": {"count": -1}}]}', "$.stages[0].tasks.count"),
        ('{"stages": [{"stage": "a", "tasks": {"task_bytes": [1, -1]}}]}', "tasks.task_bytes[1]"),
        ('{"stages": [{"stage": "a", "max_attempts": -1}]}', "$.stages[0].max_attempts"),
        ('{"stages": [{"stage": "a", "input": {"unit_sizes": [-1]}}]}', "input.unit_sizes[0]"),
        ('{"stages": [{"stage": "a", "input": {"files": ["a\\u0000b"]}}]}', "embedded null"),
        ('{"input_bytes": 18446744073709551616, "stages": []}', "$.input_bytes"),
        ('{"stages": [{"stage": "a", "payload": ' + "[" * 100_000, "recursion depth"),
    ],
)
def test_a_job_file_that_is_none_is_refused_with_the_place(
    text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt name is an error, not a job that does something else."""
    path = tmp_path / "job.json"
    path.write_text(text, encoding="utf-8")
    assert main(["submit", "--file", str(path)]) == 2
    assert complaint in capsys.readouterr().err


def test_options_that_describe_a_job_do_not_go_with_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody should have to guess which of the two won."""
    path = tmp_path / "job.json"
    path.write_text('{"stages": [{"stage": "a", "tasks": 1}]}', encoding="utf-8")
    assert main(["submit", "--file", str(path), "--tasks", "3", "--target", NOBODY]) == 2
    assert "--tasks: cannot be combined with --file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["jobs"],
        ["submit", "--tasks", "1"],
        ["submit", "--tasks", "1", "--wait", "--output", "json"],
        ["top", "--once"],
        ["health"],
    ],
)
def test_an_unreachable_service_is_said_in_one_line(arguments: list[str]) -> None:
    """Exit code 1: the same command may work later."""
    ran = uwfq(*arguments, "--target", NOBODY)
    assert ran.code == 1
    assert ran.out == ""
    assert NOBODY in ran.error
    assert len(ran.error) < 200


def test_without_a_command_it_shows_what_there_is() -> None:
    """As an error, for a script that calls it so is broken."""
    ran = uwfq()
    assert ran.code == 2
    assert "Commands:" in ran.err


def test_the_version_is_that_of_the_package() -> None:
    """One line to put into a bug report."""
    ran = uwfq("--version")
    assert (ran.code, ran.out.split()[0], ran.err) == (0, "uwfq", "")


def test_serve_shows_its_configuration_without_starting() -> None:
    """`--check` is for the pipeline that rolls a configuration out: every setting, by its key."""
    ran = uwfq("serve", "--check", "--policy", "fair", "--output", "json")
    assert ran.code == 0
    document = ran.document
    assert document.pop("pools") == {
        "default": {"policy": "fair", "slots": None, "advisory_task_runtime": None, "users": {}}
    }
    assert document.pop("warnings") == []
    shown = {
        f"{name}.{inner}" if inner else name
        for name, value in document.items()
        for inner in (value if isinstance(value, dict) else [""])
    }
    assert shown == {key.name for key in KEYS}


def test_what_serve_shows_can_be_set() -> None:
    """Whoever copies a line of `--check` into an option sets just that."""
    given = [
        *("--set", 'pools."a.b".slots=3', "--set", 'pools."a.b".users."uid=bob".weight=2.5'),
        *("--set", "store.snapshot_records=2000", "--set", "limits.max_labels=7"),
    ]
    first = uwfq("serve", "--check", *given)
    rows = [line.split() for line in first.out.splitlines()[1:]]
    again = [
        word for row in rows if len(row) == 2 and row[1] != "-" for word in ("--set", "=".join(row))
    ]
    assert len(again) > 2 * len(given)
    assert uwfq("serve", "--check", *again).out == first.out


def test_a_document_is_in_utf_8_whatever_the_locale() -> None:
    """A name that the terminal cannot show is not to reach a program as a question mark."""
    given = ("--set", 'pools."\u0142\u00f3d\u017a".slots=3', "--output", "json")
    ran = uwfq("serve", "--check", *given, env={"PYTHONIOENCODING": "latin-1"})
    assert set(ran.document["pools"]) == {"\u0142\u00f3d\u017a"}


@pytest.mark.parametrize("arguments", [["simulate", "-"], ["submit", "--file", "-"]])
def test_a_closed_stdin_is_an_empty_one(arguments: list[str]) -> None:
    """As a program may leave it to those that it starts."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *UWFQ, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Input data was truncated" in done.stderr


def printed_to(stdout: int | IO[str], arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """A command that has printed to that file."""
    return subprocess.run(
        [*UWFQ, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


@pytest.mark.parametrize(
    "arguments", [["serve", "--check"], ["serve", "--check", "-o", "json"], ["workload", "--list"]]
)
def test_a_reader_that_has_seen_enough_is_no_failure(arguments: list[str]) -> None:
    """As in ``uwfq jobs | head -3``, under ``set -o pipefail``."""
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    done = printed_to(writing_end, arguments)
    os.close(writing_end)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["workload", "--list"], ["serve", "--check", "-o", "json"]])
def test_output_for_which_there_is_no_room_is_said_in_one_line(arguments: list[str]) -> None:
    """A full disk is no defect of the command, and shows no traceback."""
    with Path("/dev/full").open("w") as full:
        done = printed_to(full, arguments)
    expected = "error: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, expected)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [
        ["workload", "mixed-sizes", "--output"],
        ["simulate", "--scenario", "mixed-sizes", "--policy", "fifo", "--output"],
    ],
)
def test_a_full_disk_is_not_asked_wrongly(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command may work later."""
    assert main([*arguments, "/dev/full"]) == 1
    assert capsys.readouterr().err == "error: --output /dev/full: No space left on device\n"
