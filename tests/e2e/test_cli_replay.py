"""``uwfq replay`` as a user has it: a real service, real workers, a workload of seconds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import (
    PATIENCE_SECONDS,
    Ran,
    Running,
    complaint_of,
    service,
    started,
    uwfq,
    wait_until_serving,
)
from uwfq_client import SyncClient, UwfqError
from uwfq_service.cli import main
from uwfq_service.simulator.importers.journal import read_recording
from uwfq_service.simulator.workload import load

NOBODY = "127.0.0.1:9"

TINY: Mapping[str, Any] = {
    "version": 1,
    "name": "tiny",
    "slots": 4,
    "users": [{"user": "alice", "weight": 2.0}, {"user": "bob"}],
    "jobs": [
        {
            "job": "alice/etl",
            "user": "alice",
            "signature": "etl",
            "stages": [
                {"stage": "scan", "tasks": [2.0, 1.5, 3.0, 1.0, 2.5]},
                {"stage": "agg", "work": 6.0},
            ],
        },
        {
            "job": "bob/report",
            "user": "bob",
            "submit": 1.0,
            "estimate": 20.0,
            "stages": [{"stage": "scan", "tasks": [1.0, 2.0, 3.0, 4.0, 1.0, 2.0]}],
        },
        {
            "job": "alice/look",
            "user": "alice",
            "after": "alice/etl",
            "submit": 0.5,
            "stages": [
                {"stage": "a", "tasks": [1.0]},
                {"stage": "b", "tasks": [1.0, 1.0], "delay": 2.0},
            ],
        },
    ],
}

#: Far longer than any test is given.
ENDLESS: Mapping[str, Any] = {
    "version": 1,
    "name": "endless",
    "slots": 2,
    "users": [{"user": "alice", "weight": 5.0}],
    "jobs": [
        {"job": "j", "user": "alice", "stages": [{"stage": "a", "tasks": [1e5, 1e5, 1e5]}]},
        {"job": "k", "user": "alice", "stages": [{"stage": "a", "tasks": [1e5]}]},
        {"job": "later", "user": "alice", "submit": 1e5, "stages": [{"stage": "a", "work": 1}]},
    ],
}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A workload of about eight seconds."""
    return written(tmp_path / "tiny.json", TINY)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A workload that has to be interrupted."""
    return written(tmp_path / "endless.json", ENDLESS)


def written(path: Path, document: Mapping[str, Any]) -> Path:
    """A workload file."""
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def report_of(path: Path) -> Any:
    """The one run of a report."""
    (run,) = json.loads(path.read_text(encoding="utf-8"))
    return run


def check_tiny(run: Any) -> None:
    """What holds of a run of ``TINY`` on any machine, however busy it is."""
    jobs = {job["job"]: job for job in run["jobs"]}
    assert list(jobs) == ["alice/etl", "bob/report", "alice/look"]
    etl, report, look = jobs.values()
    assert etl["submit"] == pytest.approx(0.0, abs=1e-6)
    # Time begins when the first job has arrived, which may have taken longer than for this one.
    assert report["submit"] > 0.5
    # The user waits for the result; the driver needs two seconds between two stages of one.
    assert look["submit"] > etl["finish"]
    assert look["response"] >= 0.99 * (1.0 + 2.0 + 1.0)
    for job in run["jobs"]:
        assert job["submit"] <= job["first_start"] <= job["finish"]
        assert job["response"] == pytest.approx(job["finish"] - job["submit"])
        assert job["fluid_finish"] > job["submit"]
    # Nobody is quicker than on an idle pool, but by what a timer may be off.
    assert all(user["mean_slowdown"] >= 0.99 for user in run["users"])
    assert [job["work"] for job in run["jobs"]] == [16.0, 13.0, 3.0]
    assert etl["virtual_deadline"] == pytest.approx(16.0 / 2.0, rel=1e-3)


# ------------------------------------------------------------------ a service of our own


def test_a_private_service_is_driven_and_compared(tiny: Path, tmp_path: Path) -> None:
    """One command; nothing is left of the service."""
    output = tmp_path / "measured.json"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    ran = uwfq(
        *("replay", str(tiny), "--speed", "10", "--compare", "--output", str(output)),
        *("--workers", "2", "--policy", "uwfq"),
        # A configuration of another service, which must not matter here.
        env={"TMPDIR": str(temporary), "UWFQ_CONFIG": "/nowhere", "UWFQ_TARGET": NOBODY},
    )
    assert (ran.code, ran.err) == (0, "")
    run = report_of(output)
    check_tiny(run)
    assert (run["workload"], run["policy"], run["slots"]) == ("tiny", "uwfq", 4)
    assert (run["partitioning"], run["estimates"]) == ("none", "exact")
    heading, *rows = ran.out.splitlines()
    assert "simulated  with overhead  measured  difference" in heading
    (mean,) = (row.split() for row in rows if row.startswith("mean response"))
    assert float(mean[4]) == pytest.approx(run["summary"]["mean_response"], abs=1e-3)
    assert "in the time of the workload" in rows[-1]
    assert list(temporary.iterdir()) == []


def test_a_private_service_cuts_the_stages_if_it_is_asked_to(tiny: Path, tmp_path: Path) -> None:
    """The work stays what it is; the tables stand on stdout."""
    output = tmp_path / "measured.json"
    ran = uwfq(
        *("replay", str(tiny), "--speed", "10", "-o", str(output), "--policy", "fair"),
        *("--partitioning", "runtime", "--atr", "1", "--estimates", "declared"),
    )
    assert (ran.code, ran.err) == (0, "")
    run = report_of(output)
    assert (run["policy"], run["partitioning"], run["atr"]) == ("fair", "runtime", 1.0)
    assert sum(job["work"] for job in run["jobs"]) == 32.0
    assert [job["virtual_deadline"] for job in run["jobs"]] == [None] * 3
    assert "Response time, seconds" in ran.out
    assert "runtime partitioning near 1 s" in ran.out


def test_a_private_service_that_dies_is_said_in_one_line(endless: Path, tmp_path: Path) -> None:
    """Killed in the middle: nobody waits for it to come back."""
    with started("replay", str(endless), env={"TMPDIR": str(tmp_path)}) as running:
        socket = eventually(lambda: next(tmp_path.glob("uwfq-replay-*/uwfq.sock"), None))
        until_running(f"unix:{socket}")
        os.kill(process_of(running.process.pid), signal.SIGKILL)
        assert running.process.wait(PATIENCE_SECONDS) == 1
        assert complaint(running).startswith("error: the service process ended with exit code -9")
    assert list(tmp_path.glob("uwfq-replay-*")) == []


# ------------------------------------------------------------------ a service that runs


def test_a_service_that_runs_is_driven_and_left_as_it_was(tiny: Path, tmp_path: Path) -> None:
    """Twice, in a pool of its own; what it has journaled is the workload."""
    settings = ("--set", "pools.test.policy=cfq", "--set", "scheduling.worker_timeout=1")
    data = tmp_path / "data"
    with service("--data", str(data), *settings) as target:
        here = ("--target", target)
        assert uwfq("user", "set", "bob", "--weight", "7", "--pool", "test", *here).code == 0
        for number in range(2):
            output = tmp_path / f"measured-{number}.json"
            ran = replayed(tiny, *here, "--pool", "test", "--speed", "10", "-o", str(output))
            assert (ran.code, ran.err) == (0, "")
            assert report_of(output)["policy"] == "cfq"
            assert report_of(output)["slots"] == 4
        listed = uwfq("jobs", "--pool", "test", *here, "-o", "json").document["jobs"]
        assert len({job["job_id"] for job in listed}) == 6
        assert {job["state"] for job in listed} == {"succeeded"}
        users = uwfq("users", "--pool", "test", *here, "-o", "json").document["users"]
        assert {user["user"]: user["weight"] for user in users} == {"alice": 1.0, "bob": 7.0}
        # Beside the service, which goes on.
        recorded = read_recording(data, pool="test").workload
        assert uwfq("health", *here).code == 0
    check_recorded(recorded.jobs[:3], load(tiny).jobs, speed=10)
    assert recorded.slots == 4


def check_recorded(recorded: Any, given: Any, *, speed: float) -> None:
    """What was journaled is what was submitted, faster: tasks never end before their time."""
    by_name = {job.job.rpartition("/")[2]: job for job in recorded}
    for job in given:
        found = by_name[job.job.rpartition("/")[2]]
        assert (found.user, found.signature) == (job.user, job.signature)
        assert [stage.stage for stage in found.stages] == [stage.stage for stage in job.stages]
        for one, other in zip(found.stages, job.stages, strict=True):
            true = other.tasks or (other.total_work / 4,) * 4
            assert len(one.tasks) == len(true)
            for measured, runtime in zip(one.tasks, true, strict=True):
                assert measured * speed >= runtime * 0.999
            # It is counted from the end of the last task; the service hears of that a bit later.
            assert one.delay * speed >= other.delay * 0.5
        assert [stage.after for stage in found.stages] == [
            tuple(job.stages[index].stage for index in after) for after in job.stage_afters()
        ]


def test_a_pool_with_another_policy_or_without_rest_is_refused(tiny: Path) -> None:
    """Before anything is submitted, with what to do instead."""
    with service("--policy", "fair") as target:
        line = refusal(tiny, "--target", target, "--policy", "uwfq")
        assert "pool 'default' has fair, which only its service can change" in line
        assert "no-such-pool" in refusal(tiny, "--target", target, "--pool", "no-such-pool")
        assert uwfq("submit", "--tasks", "1", "--user", "x", "--target", target).code == 0
        line = refusal(tiny, "--target", target)
        assert "pool 'default' has 1 unfinished jobs" in line
        assert "--pool" in line


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_replay_leaves_no_open_job(endless: Path, sign: signal.Signals) -> None:
    """Whoever ends it, and be it the terminal: what was submitted is cancelled, nothing else."""
    with service() as target, started("replay", str(endless), "--target", target) as running:
        until_running(target)
        assert running.stop(sign) == 130
        assert "interrupted; 2 open jobs have been cancelled" in running.said()
        assert "Traceback" not in running.said()
        jobs = uwfq("jobs", "--target", target, "-o", "json").document["jobs"]
        assert [job["state"] for job in jobs] == ["cancelled", "cancelled"]
        users = uwfq("users", "--target", target, "-o", "json").document["users"]
        assert [user["weight"] for user in users] == [1.0]


def test_a_replay_in_the_background_of_a_script_can_be_ended(endless: Path) -> None:
    """A shell has Ctrl-C ignored there; `kill` still puts away what was begun."""
    with service() as target, contextlib.ExitStack() as stack:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            running = stack.enter_context(started("replay", str(endless), "--target", target))
        finally:
            signal.signal(signal.SIGINT, before)
        until_running(target)
        assert running.stop(signal.SIGTERM) == 130
        assert "interrupted; 2 open jobs have been cancelled" in running.said()
        assert "Traceback" not in running.said()


def test_a_service_that_is_killed_is_said_in_one_line(endless: Path, tmp_path: Path) -> None:
    """Where it was looked for, what it will find when it is back, and no traceback."""
    target = f"unix:{tmp_path}/socket"
    with started("serve", "--listen", target, "--data", f"{tmp_path}/data") as serving:
        wait_until_serving(target, serving)
        with started("replay", str(endless), "--target", target) as running:
            until_running(target)
            serving.process.kill()
            assert running.process.wait(PATIENCE_SECONDS) == 1
            line = complaint(running)
            assert f"no service answers at {target}" in line
            assert "; 2 open jobs of the replay could not be cancelled, and users may keep" in line


# ------------------------------------------------------------------------ asked wrongly


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no-such-file"], "no-such-file: No such file"),
        (["{broken}"], "is not JSON"),
        (["{strange}"], "jobs[0].stages[0].taks: is no key of a workload file"),
        (["{tiny}", "--speed", "0"], "--speed"),
        (["{tiny}", "--speed", "nan"], "--speed"),
        (["{tiny}", "--speed", "1e300"], "--speed"),
        (["{tiny}", "--workers", "5"], "--workers 5: there are only 4 slots to share"),
        (["{tiny}", "--slots", "2", "--workers", "3"], "there are only 2 slots"),
        (["{tiny}", "--slots", "0"], "--slots"),
        (["{tiny}", "--pool", "p"], "--pool: goes with --target only"),
        (["{tiny}", "--policy", "random"], "--policy"),
        (["{tiny}", "--estimates", "guessed"], "--estimates 'guessed' is no kind of estimates"),
        (["{tiny}", "--atr", "0"], "--atr"),
        (["/"], "/: is a directory; `uwfq workload` makes a workload of a service's data (--from-"),
        (["{tiny}", "--output", "no/such/place.json"], "--output no/such/place.json: No such file"),
        (["{tiny}", "--output", "/"], "--output /: Is a directory"),
        (["{tiny}", "--output", "{tiny}"], "tiny.json: is read as well; give another name"),
        (["{tiny}", "--target", "t", "--cert", "a.pem"], "--cert and --key: give both"),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_one_line(
    arguments: list[str],
    complaint: str,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, before a service is started."""
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    job = {"job": "j", "user": "u", "stages": [{"stage": "a", "taks": [1]}]}
    strange = written(tmp_path / "strange.json", {**TINY, "jobs": [job]})
    names = {"tiny": tiny, "broken": broken, "strange": strange}
    asked = (each.format(**names) for each in arguments)
    assert complaint in complaint_of(capsys, "replay", *asked)


def test_a_workload_can_come_from_stdin() -> None:
    """As for ``uwfq simulate``."""
    ran = uwfq("replay", "-", given='{"version": 2}')
    assert ran.code == 2
    assert ran.error == "error: stdin: version: is 2; this program reads version 1"


def test_a_device_is_written_to_as_it_is(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody but root may make a file beside it, and none is needed there."""
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    assert main(["replay", str(tiny), "--target", NOBODY, "--output", "/dev/null"]) == 1
    assert f"no service answers at {NOBODY}" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_what_was_measured_is_shown_where_it_cannot_be_written(tiny: Path) -> None:
    """It took as long as the workload takes."""
    ran = replayed(tiny, "--speed", "10", "--output", "/dev/full")
    assert ran.code == 1
    assert ran.error == "error: --output /dev/full: No space left on device"
    assert "Response time, seconds" in ran.out
    assert "beyond its runtime" in ran.out


def test_an_unreachable_service_is_said_in_one_line(tiny: Path) -> None:
    """Exit code 1: it may be there next time."""
    ran = replayed(tiny, "--target", NOBODY, "--timeout", "2")
    assert ran.code == 1
    assert f"no service answers at {NOBODY}" in ran.error


# ------------------------------------------------------------------------------ helpers


def replayed(file: Path, *arguments: str) -> Ran:
    """Replay to the end."""
    return uwfq("replay", str(file), *arguments)


def refusal(file: Path, *arguments: str) -> str:
    """Why a replay was refused."""
    ran = replayed(file, *arguments)
    assert ran.code == 2
    return ran.error


def complaint(running: Running) -> str:
    """The one line of a command that runs in the background."""
    (line,) = running.said().splitlines()
    return line


def until_running(target: str) -> None:
    """Return when both jobs that come at once have been submitted, and one of them runs."""

    def both() -> bool | None:
        with SyncClient(target, timeout=1.0) as client, contextlib.suppress(UwfqError):
            pool = client.get_pool()
            return (pool.jobs == 2 and pool.running_slots == 2) or None
        return None

    eventually(both)


def eventually(look: Callable[[], Any]) -> Any:
    """What there is to see, as soon as it is not ``None``."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (seen := look()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return seen


def process_of(parent: int) -> int:
    """The one process that this one has started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="utf-8")
    (child,) = map(int, children.split())
    return child
