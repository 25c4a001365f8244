"""The demo as a newcomer starts it: real files, real processes, and nothing left behind."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import PATIENCE_SECONDS, UWFQ, environment, uwfq
from uwfq_service.demo import dataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log files, shared by the runs: the second one must find the first one's."""
    return tmp_path_factory.mktemp("demo") / "logs"


@pytest.fixture(scope="module")
def document(logs: Path) -> Any:
    """What the quick demo found out, as JSON."""
    done = subprocess.run(
        [*UWFQ, "demo", "--quick", "--seconds", "2", "--data", str(logs), "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * PATIENCE_SECONDS,
        # Of a service of the user's: none of the demo's business.
        env=environment(UWFQ_TLS_CERT="/nowhere", UWFQ_CONFIG="/nowhere"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_all_phases_run_the_same_jobs_and_find_the_same_answers(document: Any) -> None:
    """However the work was cut and ordered: real work, so it can be checked."""
    assert [phase["policy"] for phase in document["phases"]] == ["fair", "uwfq", "uwfq"]
    assert [phase["partitioned"] for phase in document["phases"]] == [False, False, True]
    assert document["answers_equal"] is True
    jobs = [
        sorted(
            (job["job"], job["arrived_seconds"], job["rows"], job["digest"])
            for job in phase["jobs"]
        )
        for phase in document["phases"]
    ]
    assert jobs[0] == jobs[1] == jobs[2]
    assert {job["user"] for job in document["phases"][0]["jobs"]} == {"olga", "alice", "bob"}


def test_the_parts_of_the_response_times_add_up(document: Any) -> None:
    """Waiting, running and overhead: nothing is lost."""
    for phase in document["phases"]:
        for job in phase["jobs"]:
            parts = sum(job[f"{part}_seconds"] for part in ("waiting", "running", "overhead"))
            assert parts == pytest.approx(job["response_seconds"])
            assert job["running_seconds"] > 0


def test_a_second_run_finds_the_files_and_ends_with_tables(document: Any, logs: Path) -> None:
    """Not a terminal: plain lines, no escape codes; the tables and one sentence at the end."""
    before = {path.name: path.stat().st_mtime_ns for path in logs.iterdir()}
    ran = uwfq("demo", "--quick", "--seconds", "1", "--data", str(logs))
    assert ran.code == 0, ran.err
    assert "all there" in ran.out
    assert "\x1b" not in ran.out
    for word in ("Response time", "p95", "ratio", "waiting", "overhead", "olga", "alice", "bob"):
        assert word in ran.out
    assert "\nUnder uwfq + partitioning, the small jobs of alice and bob were answered" in ran.out
    assert {path.name: path.stat().st_mtime_ns for path in logs.iterdir()} == before


def test_damaged_and_missing_files_are_made_anew(tmp_path: Path) -> None:
    """A run that was interrupted must not spoil the next one."""
    shape = dataset.Shape(history_files=2, history_groups=2, today_files=1, today_groups=1)
    whole = dataset.prepare(tmp_path, shape, 2, lambda *_: None)
    assert whole.made == 3
    first, second = (file.path for file in whole.history)
    content = first.read_bytes()
    first.write_bytes(content[:-100])
    second.unlink()
    mended = dataset.prepare(tmp_path, shape, 2, lambda *_: None)
    assert mended.made == 2
    assert first.read_bytes() == content
    assert mended.history == whole.history


def test_a_directory_that_cannot_be_written_is_said_in_one_line() -> None:
    """Before anything is started."""
    ran = uwfq("demo", "--quick", "--data", "/proc/demo")
    assert ran.code == 1
    assert "/proc/demo" in ran.error


@pytest.fixture
def running_demo(logs: Path, tmp_path: Path, document: Any) -> Iterator[subprocess.Popen[str]]:
    """A demo whose workers are up, with a temporary directory of its own."""
    with subprocess.Popen(
        [*UWFQ, "demo", "--quick", "--seconds", "60", "--data", str(logs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(TMPDIR=str(tmp_path)),
        start_new_session=True,
    ) as process:
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not list(tmp_path.glob("uwfq-demo-*/worker-*.trace")):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process_and_no_file(
    running_demo: subprocess.Popen[str], tmp_path: Path, sign: signal.Signals
) -> None:
    """Ctrl-C in the middle: the service and all workers are gone when the prompt is back."""
    offspring = descendants(running_demo.pid)
    assert len(offspring) >= 2
    running_demo.send_signal(sign)
    out, _ = running_demo.communicate(timeout=PATIENCE_SECONDS)
    assert running_demo.returncode == 130
    assert "Traceback" not in out
    assert [pid for pid in offspring if alive(pid)] == []
    assert list(tmp_path.glob("uwfq-demo-*")) == []


def test_a_killed_demo_takes_its_processes_with_it(running_demo: subprocess.Popen[str]) -> None:
    """Even without a chance to clean up: the kernel ends the children."""
    offspring = descendants(running_demo.pid)
    running_demo.kill()
    running_demo.wait()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(alive(pid) for pid in offspring):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def descendants(pid: int) -> list[int]:
    """Processes that this one has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(child) for child in children.split()]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False
