"""``uwfq simulate`` as a user has it: JSON to the letter, tables, pictures, refusals, findings."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import complaint_of, uwfq
from tests.shared_workloads import shared_workload
from tests.unit.simulator.documents import REPORTED, SHOWN
from tests.unit.simulator.journals import Past, stage
from uwfq_service.cli import main
from uwfq_service.core.policy import POLICIES
from uwfq_service.simulator.runs import Options, Partitioning
from uwfq_service.simulator.scenarios import scenario
from uwfq_service.simulator.workload import Workload, dump, load
from uwfq_service.simulator.world import simulate


def written(path: Path, **changes: Any) -> str:
    """The README's workload as a file, with some of its keys changed."""
    path.write_text(json.dumps({**SHOWN, **changes}), encoding="utf-8")
    return str(path)


def in_order(document: Any) -> Any:
    """A document whose objects are lists of pairs, so that the order of keys counts."""
    return json.loads(json.dumps(document), object_pairs_hook=list)


def reported(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What ``--output -`` prints."""
    assert main(["simulate", *arguments, "--output", "-"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


# -------------------------------------------------------------------------- JSON


def test_the_report_is_what_the_readme_shows_to_the_letter(tmp_path: Path) -> None:
    """Every key, in its order, with its value; and no table beside it."""
    path = written(tmp_path / "w.json")
    ran = uwfq(
        *("simulate", path, "--policy", "uwfq", "--partitioning", "runtime", "--atr", "0.5"),
        *("--output", "-"),
    )
    assert (ran.code, ran.err) == (0, "")
    assert in_order(ran.document) == in_order(REPORTED)


def test_a_workload_can_come_from_stdin() -> None:
    """A pipe from ``uwfq workload``, say."""
    ran = uwfq("simulate", "-", "--policy", "fifo", "-o", "-", given=json.dumps(SHOWN))
    assert (ran.code, ran.err) == (0, "")
    assert [run["policy"] for run in ran.document] == ["fifo"]


def test_every_policy_is_played_on_every_workload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object each, workload by workload; a policy that is asked for twice is played once."""
    paths = [written(tmp_path / f"{name}.json", name=name) for name in ("one", "two")]
    found = reported(capsys, *paths)
    assert [(run["workload"], run["policy"]) for run in found] == [
        (name, policy) for name in ("one", "two") for policy in POLICIES
    ]
    some = ["--policy", "ujf", "--policy", "fifo", "--policy", "ujf"]
    assert [run["policy"] for run in reported(capsys, paths[0], *some)] == ["ujf", "fifo"]


def test_options_are_reported_and_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Slots, cut, estimates, seed; and those that have no key of their own."""
    path = written(tmp_path / "w.json")
    asked = ["--policy", "uwfq", "--slots", "2", "--estimates", "scaled:2", "--seed", "7"]
    (run,) = reported(capsys, path, *asked)
    assert (run["slots"], run["estimates"], run["seed"], run["partitioning"], run["atr"]) == (
        2,
        "scaled:2",
        7,
        "none",
        0.75,
    )
    # Scan: 0.5 and 0.5, then 0.75; then 2 s on either slot.
    assert run["jobs"][0]["finish"] == 3.25
    assert run["jobs"][0]["virtual_deadline"] == 11.5
    (run,) = reported(capsys, path, *asked, "--task-overhead", "0.25", "--driver-gap", "1")
    assert run["jobs"][0]["finish"] == 1 + 0.75 + 1.0 + 1 + 2.25
    (run,) = reported(capsys, path, *asked, "--stragglers", "0.9", "--straggler-factor", "100")
    assert run["jobs"][0]["finish"] > 50


def test_a_baseline_adds_deadlines_and_is_not_shown_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under a key of its own, behind all others."""
    path = written(tmp_path / "w.json")
    (run,) = reported(capsys, path, "--policy", "uwfq", "--baseline", "ujf")
    assert list(run)[-2:] == ["users", "baseline"]
    assert list(run["baseline"]) == ["policy", "violations", "slacks", "dvr", "dsr"]
    assert run["baseline"]["policy"] == "ujf"


def test_the_same_seed_gives_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With everything that chance decides."""
    arguments = ["--scenario", "random", "--policy", "uwfq", "--estimates", "noisy:0.5"]
    arguments += ["--task-failures", "0.1", "--workers", "4", "--worker-uptime", "60"]
    texts = []
    for seed in ("1", "1", "2"):
        path = tmp_path / "out.json"
        assert main(["simulate", *arguments, "--seed", seed, "-o", str(path)]) == 0
        texts.append(path.read_bytes())
    capsys.readouterr()
    assert texts[0] == texts[1] != texts[2]


# ------------------------------------------------------------- tables, pictures, pages


def test_tables_go_to_stdout_and_the_report_to_its_file(tmp_path: Path) -> None:
    """Policies side by side; the file is written at once or not at all."""
    target = tmp_path / "out.json"
    ran = uwfq("simulate", written(tmp_path / "w.json"), "--output", str(target))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("two users, one burst\n")
    assert "1 job of 1 user" in ran.out
    for policy in POLICIES:
        assert re.search(rf"^{policy} .*\d", ran.out, re.MULTILINE), policy
    assert len(json.loads(target.read_bytes())) == len(POLICIES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "w.json"]


@pytest.mark.parametrize("stdout", ["-", "json"])
def test_the_report_goes_to_stdout_in_the_place_of_the_tables(tmp_path: Path, stdout: str) -> None:
    """`--output json` as everywhere; there is no file of that name."""
    ran = uwfq("simulate", written(tmp_path / "w.json"), "--output", stdout, cwd=tmp_path)
    assert len(json.loads(ran.out)) == len(POLICIES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.json"]


def test_the_report_is_there_when_pictures_cannot_be_drawn(tmp_path: Path) -> None:
    """What took hours is written before what may fail."""
    target = tmp_path / "out.json"
    ran = uwfq(
        *("simulate", written(tmp_path / "w.json"), "--output", str(target)),
        *("--plots", "/proc/nowhere"),
    )
    assert (ran.code, ran.out) == (2, "")
    assert len(json.loads(target.read_bytes())) == len(POLICIES)


def test_pictures_and_a_page_are_drawn(tmp_path: Path) -> None:
    """SVG and PNG of each picture; a page that stands alone, with tables and pictures."""
    plots, page = tmp_path / "plots", tmp_path / "page.html"
    ran = uwfq(
        *("simulate", "--scenario", "mixed-sizes", "--policy", "uwfq", "--policy", "fair"),
        *("--plots", str(plots), "--report", str(page)),
    )
    assert ran.code == 0, ran.err
    files = sorted(plots.iterdir())
    assert f"{len(files)} files in {plots}" in ran.err
    assert f"report: {page}" in ran.err
    assert {path.suffix for path in files} == {".svg", ".png"}
    assert [path.stem for path in files if path.suffix == ".svg"] == [
        path.stem for path in files if path.suffix == ".png"
    ]
    for path in files:
        begin = path.read_bytes()[:200]
        assert begin.startswith(b"\x89PNG" if path.suffix == ".png" else b"<?xml"), path
        assert path.stat().st_size > 3000, path
    text = page.read_text(encoding="utf-8")
    assert text.lower().startswith("<!doctype html>")
    for part in ("mixed-sizes", "uwfq", "fair", "<table", "data:image/"):
        assert part in text


def test_a_recording_is_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a service lived through, by its journal; what is left out is told."""
    past = Past(pool="night", slots=2)
    past.submit("etl", stage("read", 2), user="ada")
    past.run(slots=2, seconds=3.0)
    past.submit("late", stage("read"))
    data = str(past.write(tmp_path / "data"))
    asked = ["simulate", "--from-journal", data, "--pool", "night", "--policy", "uwfq", "-o", "-"]
    assert main(asked) == 0
    out, err = capsys.readouterr()
    (run,) = json.loads(out)
    assert [(job["user"], job["response"]) for job in run["jobs"]] == [("ada", 3.0)]
    assert err == "left out: 1 job not finished\n"


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "which workload? give a FILE, --scenario or --from-journal"),
        (["no-such.json"], "no-such.json: No such file or directory"),
        ([""], "FILE: No such file or directory"),
        (["."], ".: is a directory; `uwfq workload` makes a workload of a service's data (--from"),
        (["broken.json"], "broken.json: is not JSON"),
        (["w.json.gz"], "w.json.gz: is compressed with gzip; unpack it first, or, if it is an eve"),
        (["unknown.json"], "unknown.json: jobs[0].colour: is no key of a workload file"),
        (["weight.json"], "weight.json: users[0].weight: is -1"),
        (["w.json", "w.json"], "two workloads are called 'two users, one burst'"),
        (["--scenario", "chess"], "--scenario: no scenario is called 'chess'"),
        (["--from-journal", "no-such-dir"], "no-such-dir"),
        (["--from-journal", ""], "'--from-journal': is empty"),
        (["w.json", "--pool", "night"], "--pool: goes with --from-journal only"),
        (["w.json", "--policy", "lottery"], "--policy"),
        (["w.json", "--baseline", "lottery"], "--baseline"),
        (["w.json", "--partitioning", "some"], "--partitioning"),
        (["w.json", "--estimates", "perfect"], "--estimates: 'perfect' is no kind of estimates"),
        (["w.json", "--estimates", "noisy:-1"], "--estimates: 'noisy:-1': '-1' must be a number"),
        (["w.json", "--atr", "0"], "--atr"),
        (["w.json", "--output", "table"], "--output"),
        (["w.json", "--atr", "nan"], "--atr"),
        (["w.json", "--atr", "1e10"], "--atr"),
        (["w.json", "--slots", "0"], "--slots"),
        (["w.json", "--seed", "-1"], "--seed"),
        (["w.json", "--task-overhead", "-1"], "--task-overhead"),
        (["w.json", "--driver-gap", "1e300"], "--driver-gap"),
        (["w.json", "--workers", "0"], "--workers"),
        (["w.json", "--workers", "33"], "--workers: 33 is more than the 32 slots of two users"),
        (["w.json", "--slots", "2", "--workers", "3"], "--workers: 3 is more than the 2 slots"),
        (["w.json", "--task-failures", "1"], "--task-failures"),
        (["w.json", "--stragglers", "-0.1"], "--stragglers"),
        (["w.json", "--straggler-factor", "0.5"], "--straggler-factor"),
        (["w.json", "--worker-uptime", "0"], "--worker-uptime"),
        (["w.json", "--worker-downtime", "inf"], "--worker-downtime"),
        (["w.json", "--worker-downtime", "1e-200"], "--worker-downtime': 1e-200 is not in the ra"),
        (
            ["--scenario", "random", "--partitioning", "runtime", "--atr", "1e-9"],
            "--atr 1e-09: with exact estimates random is cut into about 50,700,000 tasks, and no m",
        ),
        (["w.json", "--output", "no-such-dir/out.json"], "--output no-such-dir/out.json: No such"),
        (["w.json", "--output", "."], "--output .: Is a directory"),
        (["w.json", "--report", "-"], "--report -: a page does not go to stdout; name a file"),
        (["w.json", "--output", "./w.json"], "--output w.json: is read as well; give another name"),
        (["-", "w.json", "--report", "w.json"], "--report w.json: is read as well; give another"),
        (["w.json", "-o", "x", "--report", "x"], "--report x: is what --output names, too; give"),
        (
            ["w.json", "--report", "x", "--plots", "x"],
            "--plots x: is what --report names, too; give",
        ),
        (["w.json", "--report", "no-such-dir/page.html"], "--report no-such-dir/page.html: No"),
        (["w.json", "--plots", ""], "'--plots': is empty"),
        (["w.json", "--plots", "w.json"], "--plots w.json: is read as well; give another name"),
        (["w.json", "--plots", "broken.json"], "--plots broken.json: Not a directory"),
        (["w.json", "--plots", "w.json/plots"], "--plots w.json/plots: Not a directory"),
        (
            ["w.json", "--policy", "fifo", "--worker-uptime", "1e-9", "--slots", "1"],
            "two users, one burst, fifo: job 'alice/etl-1' never ends: stage 'scan' task ",
        ),
        (
            ["w.json", "--policy", "fifo", "--worker-uptime", "1e-200", "--slots", "1"],
            "; ask for fewer faults (--task-failures, --stragglers, --worker-uptime, --worker-d",
        ),
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
    written(tmp_path / "w.json")
    written(tmp_path / "weight.json", users=[{"user": "alice", "weight": -1}])
    written(tmp_path / "unknown.json", jobs=[{**SHOWN["jobs"][0], "colour": "red"}])
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    (tmp_path / "w.json.gz").write_bytes(gzip.compress((tmp_path / "w.json").read_bytes()))
    before = sorted(tmp_path.iterdir())
    assert complaint in complaint_of(capsys, "simulate", *arguments)
    assert sorted(tmp_path.iterdir()) == before


def test_a_refused_run_leaves_the_report_that_was_there(tmp_path: Path) -> None:
    """An old report is better than half a new one."""
    target = tmp_path / "out.json"
    target.write_text("old", encoding="utf-8")
    ran = uwfq("simulate", "-", "--output", str(target), given='{"version": 2}')
    assert ran.code == 2
    assert ran.error == "error: stdin: version: is 2; this program reads version 1"
    assert target.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize("option", ["--output", "--report", "--plots"])
def test_a_directory_that_must_not_be_written_is_refused_at_once(
    option: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not after hours of simulation."""
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    monkeypatch.setattr("uwfq_service.simulator.world.simulate", None)
    path = tmp_path / "out"
    assert main(["simulate", "--scenario", "mixed-sizes", option, str(path)]) == 2
    assert capsys.readouterr().err == f"error: {option} {path}: Permission denied\n"


# ----------------------------------------------------------------- what it finds


def runs_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The reports by policy."""
    return {run["policy"]: run for run in reported(capsys, *arguments)}


@pytest.mark.parametrize("estimates", ["declared", "exact"])
def test_most_jobs_of_the_trace_are_answered_in_a_third_of_the_time(
    estimates: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Re-cut, the fastest 80 % of the responses are 70 % shorter than under user-job fairness."""
    path = str(shared_workload("google-homogeneous.json"))
    runs = runs_of(
        capsys,
        *(path, "--policy", "uwfq", "--policy", "ujf"),
        *("--partitioning", "runtime", "--estimates", estimates),
    )
    ours, theirs = (runs[policy]["summary"]["band_0_80"] for policy in ("uwfq", "ujf"))
    assert ours <= 0.30 * theirs


def recorded() -> list[Workload]:
    """The workload beside the repository."""
    return [load(shared_workload("infrequent-users.json"))]


def built_in() -> list[Workload]:
    """Four seeds of the scenario: what a dozen jobs meet varies by a fifth from seed to seed."""
    return [scenario("infrequent-users", seed) for seed in range(4)]


def infrequent(workload: Workload) -> set[str]:
    """The users who submit now and then."""
    jobs = Counter(job.user for job in workload.jobs)
    return {user for user, count in jobs.items() if count < max(jobs.values()) / 2}


@pytest.mark.parametrize("workloads", [recorded, built_in])
@pytest.mark.parametrize(("partitioning", "most"), [("none", 1.8), ("runtime", 2.5)])
def test_infrequent_users_are_answered_almost_as_if_they_were_alone(
    workloads: Callable[[], list[Workload]], partitioning: str, most: float
) -> None:
    """However busy the others are; what is cut finer is faster alone, so the ratio is larger.

    A report does not say how long each job takes alone, so this looks at the run.
    """
    options = Options(partitioning=Partitioning(partitioning))
    jobs = [
        job
        for workload in workloads()
        for job in simulate(workload, options).jobs
        if job.user in infrequent(workload)
    ]
    assert jobs
    assert math.fsum(job.response for job in jobs) <= most * math.fsum(job.alone for job in jobs)


@pytest.mark.parametrize("workloads", [recorded, built_in])
def test_infrequent_users_wait_a_fifth_of_what_they_wait_under_others(
    workloads: Callable[[], list[Workload]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Policies that know no users let them queue behind the bursts."""
    others = ("fair", "cfq", "fifo")
    asked = [word for policy in ("uwfq", *others) for word in ("--policy", policy)]
    workload, path = workloads()[0], tmp_path / "w.json"
    path.write_bytes(dump(workload))
    means = {
        policy: statistics.mean(
            job["response"] for job in run["jobs"] if job["user"] in infrequent(workload)
        )
        for policy, run in runs_of(capsys, str(path), *asked).items()
    }
    assert all(means[policy] >= 5 * means["uwfq"] for policy in others), means
