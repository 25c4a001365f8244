"""The command as a user has it: submit, work, look, explain, cancel; against a real service."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make_certificates
from tests.e2e.command import Ran, at_terminal, complaint_of, service, started, uwfq

#: What tells a terminal to show something else for a while, and no cursor.
OTHER_SCREEN_ON, OTHER_SCREEN_OFF = "\x1b[?1049h", "\x1b[?1049l"
CURSOR_HIDDEN, CURSOR_SHOWN = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A service that all tests of this module share; each has a pool or users of its own."""
    pools = [f"pools.{name}.policy=uwfq" for name in ("default", "idle", "weights", "cancel")]
    with service(*(word for pool in pools for word in ("--set", pool))) as address:
        yield address


@pytest.fixture(scope="module")
def worker(target: str) -> Iterator[None]:
    """A worker whose command does what the payload says."""
    with started("worker", "--target", target, "--slots", "2", "--exec", "sh -s"):
        yield


def submitted(target: str, *arguments: str, given: str = "") -> Ran:
    """Run `uwfq submit`."""
    return uwfq("submit", "--target", target, *arguments, given=given)


@pytest.mark.usefixtures("worker")
def test_a_command_is_run_for_every_task_with_its_environment(target: str, tmp_path: Path) -> None:
    """What UWFQ_… says is what the service said."""
    payload = f'env | grep ^UWFQ_ > "{tmp_path}/$UWFQ_TASK_INDEX"'
    ran = submitted(
        target,
        *("--user", "erin", "--kind", "env", "--job-id", "env-1", "--label", "team=red"),
        *("--tasks", "3", "--payload", payload, "--wait", "--output", "json"),
    )
    assert ran.code == 0, ran.err
    assert ran.document["job"]["state"] == "succeeded"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]
    told = dict(line.split("=", 1) for line in (tmp_path / "2").read_text().splitlines())
    assert told["UWFQ_JOB_ID"] == "env-1"
    assert told["UWFQ_USER"] == "erin"
    assert told["UWFQ_KIND"] == told["UWFQ_SIGNATURE"] == "env"
    assert told["UWFQ_STAGE"] == "run"
    assert (told["UWFQ_TASK_INDEX"], told["UWFQ_TASK_COUNT"], told["UWFQ_ATTEMPT"]) == (
        "2",
        "3",
        "1",
    )
    assert json.loads(told["UWFQ_LABELS"]) == {"team": "red"}
    assert "UWFQ_RANGE_BEGIN_UNIT" not in told


@pytest.mark.usefixtures("worker")
def test_files_are_cut_by_the_service_and_the_ranges_cover_them(
    target: str, tmp_path: Path
) -> None:
    """With `--input`, unit sizes come from real files and each task is told its range."""
    files = []
    for number in range(4):
        path = tmp_path / f"part-{number}.txt"
        path.write_text("x" * 1000, encoding="utf-8")
        files.append(str(path))
    script = tmp_path / "script"
    script.write_text(
        f'echo "$UWFQ_RANGE_BEGIN_UNIT $UWFQ_RANGE_END_UNIT" > "{tmp_path}/$UWFQ_TASK_INDEX.range"',
        encoding="utf-8",
    )
    ran = submitted(
        target,
        *("--user", "frank", "--work", "4", "--task-runtime", "2", "--payload-file", str(script)),
        *("--wait", "--output", "json", "--input", *files),
    )
    assert ran.code == 0, ran.err
    (split,) = ran.document["submitted"]["splits"]
    assert split["task_count"] == 2
    assert split["reason"] == "advisory_runtime"
    ranges = [path.read_text().split() for path in sorted(tmp_path.glob("*.range"))]
    assert ranges == [["0", "2"], ["2", "4"]]


@pytest.mark.usefixtures("worker")
def test_a_job_file_may_have_stages_that_depend_on_each_other(target: str, tmp_path: Path) -> None:
    """The second stage sees what the first one left."""
    job = {
        "user": "grace",
        "kind": "chain",
        "stages": [
            {"stage": "scan", "tasks": 3, "payload": f"touch {tmp_path}/$UWFQ_TASK_INDEX"},
            {
                "stage": "merge",
                "after": ["scan"],
                "tasks": {"count": 1},
                "payload": f"ls {tmp_path}/[0-9] | wc -l > {tmp_path}/count",
            },
        ],
    }
    ran = submitted(target, "--file", "-", "--wait", "--output", "json", given=json.dumps(job))
    assert ran.code == 0, ran.err
    assert (tmp_path / "count").read_text().strip() == "3"
    assert [stage["done"] for stage in ran.document["job"]["stages"]] == [3, 1]


@pytest.mark.parametrize(
    ("described", "options", "pool"),
    [({}, [], "sea"), ({"pool": "lake"}, [], "lake"), ({"pool": "lake"}, ["--pool", "bay"], "bay")],
)
def test_a_job_file_names_the_pool_unless_an_option_does(
    described: dict[str, str],
    options: list[str],
    pool: str,
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The environment is for those that do not; the service knows none of these pools."""
    monkeypatch.setenv("UWFQ_POOL", "sea")
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"stages": [{"stage": "a", "tasks": 1}], **described}))
    complaint = complaint_of(
        capsys, "submit", "--file", str(path), "--target", target, "--user", "heidi", *options
    )
    assert f"'{pool}'" in complaint


@pytest.mark.usefixtures("worker")
def test_a_failed_command_is_tried_again_and_its_last_line_is_the_cause(target: str) -> None:
    """Any exit code but 0 and the permanent one is worth another attempt."""
    ran = submitted(
        target,
        *("--user", "heidi", "--tasks", "1", "--max-attempts", "2", "--wait", "--output", "json"),
        *("--payload", "echo first >&2; echo 'disk on fire' >&2; exit 7"),
    )
    assert ran.code == 1
    job = ran.document["job"]
    assert (job["state"], job["failed_attempts"]) == ("failed", 2)
    assert "disk on fire" in job["cause"]
    assert "disk on fire" in ran.error


@pytest.mark.usefixtures("worker")
def test_exit_code_100_fails_the_job_at_once(target: str) -> None:
    """A command that knows better saves the retries."""
    ran = submitted(
        target,
        *("--user", "ivan", "--tasks", "1", "--max-attempts", "5", "--wait", "--output", "json"),
        *("--payload", "echo 'no such table' >&2; exit 100"),
    )
    assert ran.code == 1
    assert ran.document["job"]["failed_attempts"] == 1
    assert "no such table" in ran.document["job"]["cause"]


@pytest.mark.usefixtures("worker")
def test_a_time_limit_ends_the_command_and_all_that_it_started(target: str, tmp_path: Path) -> None:
    """The process group gets SIGTERM, so that no grandchild lives on."""
    ran = submitted(
        target,
        *("--user", "judy", "--tasks", "1", "--max-attempts", "1", "--task-timeout", "1"),
        *("--wait", "--output", "json"),
        *("--payload", f"trap 'touch {tmp_path}/told; exit 1' TERM; sleep 600 & wait"),
    )
    assert ran.code == 1
    assert ran.document["job"]["state"] == "failed"


def test_a_waiting_job_can_be_listed_shown_explained_and_cancelled(target: str) -> None:
    """Its whole life without any worker, as tables and as JSON."""
    common = ("--target", target, "--output", "json")
    ran = submitted(
        target, "--pool", "cancel", "--user", "mallory", "--tasks", "4", "--job-id", "stuck"
    )
    assert ran.code == 0, ran.err
    assert "stuck" in ran.out

    (listed,) = uwfq("jobs", "--user", "mallory", *common).document["jobs"]
    shown = uwfq("job", "stuck", *common).document["job"]
    explained = uwfq("explain", "stuck", *common).document["explanation"]
    assert listed["job_id"] == shown["job_id"] == explained["job"]["job_id"] == "stuck"
    assert shown["submitted_at"].endswith("Z")
    assert shown["started_at"] is None
    assert shown["stages"][0]["waiting"] == 4
    assert explained["reason"]
    for arguments in (["jobs"], ["job", "stuck"], ["explain", "stuck"]):
        table = uwfq(*arguments, "--target", target)
        assert table.code == 0, table.err
        assert "mallory" in table.out

    cancelled = uwfq("cancel", "stuck", "--reason", "no worker", *common).document["jobs"][0]
    assert (cancelled["state"], cancelled["cause"]) == ("cancelled", "no worker")
    waited = uwfq("job", "stuck", "--wait", "--target", target)
    assert waited.code == 1
    assert "stuck" in waited.error
    (stage,) = waited.out.split("\n\n")[-1].splitlines()[1:]
    assert stage.split()[:4] == ["run", "over", "4", "0"]


def test_jobs_of_several_pools_are_listed_with_their_pools(target: str) -> None:
    """Of one pool, whoever asks knows which it is."""
    for pool in ("idle", "cancel"):
        submitted(
            target, "--pool", pool, "--user", "ruth", "--tasks", "1", "--job-id", f"in-{pool}"
        )
    every = uwfq("jobs", "--user", "ruth", "--target", target).out.splitlines()
    assert [line.split()[:2] for line in every] == [
        ["pool", "job"],
        ["cancel", "in-cancel"],
        ["idle", "in-idle"],
    ]
    one = uwfq("jobs", "--user", "ruth", "--pool", "idle", "--target", target).out.splitlines()
    assert [line.split()[0] for line in one] == ["job", "in-idle"]


def test_a_job_that_cannot_be_cancelled_does_not_keep_the_others(target: str) -> None:
    """All of them are tried, and the first refusal is what the command ends with."""
    for name in ("first", "last"):
        job = ("--pool", "cancel", "--user", "mike", "--tasks", "1", "--job-id", name)
        assert submitted(target, *job).code == 0
    names = ("first", "unheard-of", "unheard-of-too", "last")
    ran = uwfq("cancel", *names, "--target", target, "--output", "json")
    assert ran.code == 2
    assert "'unheard-of'" in ran.error
    assert [job["job_id"] for job in ran.document["jobs"]] == ["first", "last"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_wait_leaves_the_job_alone_and_says_how_to_go_on(
    target: str, sign: signal.Signals
) -> None:
    """Ctrl-C ends the waiting, not the job, and the cursor is seen again."""
    name = f"patient-{sign.name}"
    job = ("--pool", "idle", "--user", "quentin", "--tasks", "1", "--job-id", name)
    with at_terminal("submit", "--target", target, *job, "--wait") as waiting:
        waiting.until_shown(name)
        waiting.process.send_signal(sign)
        assert waiting.until_ended() == 130
        assert f"uwfq job {name} --wait" in waiting.shown
        assert "Traceback" not in waiting.shown
        assert waiting.shown.rindex(CURSOR_HIDDEN) < waiting.shown.rindex(CURSOR_SHOWN)
    job_now = uwfq("job", name, "--target", target, "--output", "json").document["job"]
    assert job_now["state"] == "waiting"


def test_listing_stops_at_the_limit_and_says_so(target: str) -> None:
    """A page of a long list is not mistaken for all of it."""
    for _ in range(3):
        assert submitted(target, "--pool", "idle", "--user", "nina", "--tasks", "1").code == 0
    listing = ("jobs", "--user", "nina", "--target", target, "--output", "json")
    page = uwfq(*listing, "--limit", "2")
    assert (len(page.document["jobs"]), page.document["more"]) == (2, True)
    whole = uwfq(*listing)
    assert (len(whole.document["jobs"]), whole.document["more"]) == (3, False)


def test_weights_are_set_and_listed(target: str) -> None:
    """What is not given stays as it is; 0 lifts a cap."""
    common = ("--pool", "weights", "--target", target, "--output", "json")
    first = uwfq("user", "set", "oscar", "--weight", "2.5", "--max-running-slots", "3", *common)
    assert first.code == 0, first.err
    second = uwfq("user", "set", "oscar", "--max-running-slots", "0", *common).document["user"]
    assert (second["weight"], second["max_running_slots"]) == (2.5, None)
    (listed,) = uwfq("users", *common).document["users"]
    assert listed["weight"] == 2.5
    pools = uwfq("pools", "--target", target, "--output", "json").document["pools"]
    assert {pool["pool"] for pool in pools} == {"default", "idle", "weights", "cancel"}


def test_names_that_a_terminal_would_obey_are_shown_instead(target: str) -> None:
    """A user must not paint on an operator's screen, nor make two lines of one."""
    user, common = "mal\x1b[2J\x9b1m\nlory", ("--target", target)
    job = ("--job-id", "m\x1b]0;root\x07", "--kind", "\x1b[31m", "--label", "a=\x1b[8m")
    assert uwfq("submit", "--user", user, "--tasks", "1", *job, *common).code == 0
    listed = uwfq("jobs", "--user", user, *common)
    assert listed.out.splitlines()[1].startswith(
        r"m\x1b]0;root\x07  mal\x1b[2J\x9b1m\nlory  \x1b[31m"
    )
    asked = [uwfq(*command, job[1], *common) for command in (("job",), ("explain",), ("cancel",))]
    wrong = uwfq("job", "no such \x1b[2J", *common)
    assert "no such" in wrong.error
    for ran in (listed, *asked, wrong, uwfq("users", *common), uwfq("top", *common)):
        assert {"\x1b", "\x9b", "\x07"}.isdisjoint(ran.out + ran.err), ran


def test_top_looks_once_when_nobody_watches(target: str) -> None:
    """One JSON document, or one table in a pipe."""
    document: dict[str, Any] = uwfq("top", "--target", target, "--output", "json").document
    assert set(document) == {"pool", "users", "jobs"}
    table = uwfq("top", "--target", target)
    assert "share owed" in table.out
    assert "share received" in table.out
    coloured = uwfq("top", "--target", target, env={"FORCE_COLOR": "1", "TERM": "xterm"})
    assert "\x1b[1muser" in coloured.out
    with at_terminal("top", "--target", target, env={"TERM": "dumb"}) as dumb:
        assert dumb.until_ended() == 0
        assert "pool default, uwfq" in dumb.shown


def test_top_gives_the_terminal_back_when_it_is_told_to_end(target: str) -> None:
    """As `timeout 60 uwfq top` tells it."""
    with at_terminal("top", "--target", target) as top:
        top.until_shown("pool default, uwfq")
        top.process.send_signal(signal.SIGTERM)
        assert top.until_ended() == 0
        assert top.shown.rindex(OTHER_SCREEN_ON) < top.shown.rindex(OTHER_SCREEN_OFF)
        assert top.shown.rindex(CURSOR_HIDDEN) < top.shown.rindex(CURSOR_SHOWN)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["job", "unheard-of"], "unheard-of"),
        (["cancel", "unheard-of"], "unheard-of"),
        (["health", "--service", "unheard-of"], "unheard-of"),
        (["submit", "--tasks", "1", "--pool", "sea"], "sea"),
        (["users", "--pool", "sea"], "sea"),
        (["worker", "--exec", "true", "--pool", "sea"], "sea"),
        (["submit", "--tasks", "1", "--user", "u" * 200], "user"),
        (["submit", "--tasks", "1", "--payload-file", "-"], "payload"),
    ],
)
def test_what_the_service_refuses_is_said_in_one_line(
    target: str, arguments: list[str], complaint: str
) -> None:
    """Exit code 2: the same command would be refused again."""
    ran = uwfq(*arguments, "--target", target, given="x" * 70_000)
    assert ran.code == 2
    assert complaint in ran.error


def test_submitting_the_same_job_twice_is_safe_and_another_one_of_its_name_is_refused(
    target: str,
) -> None:
    """A job id is a promise."""
    job = ("--pool", "idle", "--user", "peggy", "--tasks", "2", "--job-id", "once")
    assert submitted(target, *job).code == 0
    again = submitted(target, *job, "--output", "json")
    assert again.document["submitted"]["duplicate"] is True
    other = submitted(target, *job, "--payload", "different")
    assert other.code == 2
    assert "once" in other.error


def test_serve_drains_on_sigterm_and_refuses_a_directory_in_use(tmp_path: Path) -> None:
    """Exit code 0 after a stop; one line for whoever starts a second one."""
    data = str(tmp_path / "data")
    arguments = ("serve", "--listen", "127.0.0.1:0", "--data", data)
    with started(*arguments) as first:
        first.until_said("serving")
        second = uwfq(*arguments)
        assert second.code == 1
        assert "in use" in second.error
        assert first.stop(signal.SIGTERM) == 0


def test_a_worker_stops_on_sigterm_and_sums_up(target: str) -> None:
    """What it has done, as one JSON document."""
    with started("worker", "--exec", "true", "--target", target, "--output", "json") as worker:
        worker.until_said("takes tasks")
        worker.process.send_signal(signal.SIGTERM)
        out, _ = worker.process.communicate(timeout=60)
        assert worker.process.returncode == 0, worker.said()
        assert json.loads(out)["failed"] == 0


@pytest.mark.needs("openssl")
def test_a_service_with_mutual_tls_answers_only_those_with_a_certificate(tmp_path: Path) -> None:
    """The command shows one with ``--cert``, or is turned away."""
    keys = make_certificates(tmp_path)
    ca, cert, key, service_cert, service_key = (
        str(keys / name)
        for name in ("ca.pem", "client.pem", "client.key", "server.pem", "server.key")
    )
    serving = ("serve", "--listen", "127.0.0.1:0", "--data", ":memory:", "--log-format", "json")
    tls = ("--tls-cert", service_cert, "--tls-key", service_key, "--tls-client-ca", ca)
    with started(*serving, *tls) as running:
        said = running.until_said('"event":"serving"')
        lines = map(json.loads, said.splitlines())
        target = next(line["listen"] for line in lines if line["event"] == "serving")
        mutual = ("--target", target, "--ca", ca, "--cert", cert, "--key", key)
        assert uwfq("pools", *mutual).code == 0
        assert uwfq("health", *mutual).code == 0
        # The certificate is not for this name of the host, as for a check inside a container.
        inside = (*mutual, "--target", "localhost" + target[target.rindex(":") :])
        assert uwfq("health", *inside).code == 1
        assert uwfq("health", *inside, "--server-name", "server.test").code == 0
        assert uwfq("health", *inside, "--server-name", "other.test").code == 1
        stranger = uwfq("pools", "--target", target, "--ca", ca)
        assert stranger.code == 1
        assert target in stranger.error
        assert uwfq("pools", "--target", target).code == 1
        # Each says what is wrong.
        wrong_ca = uwfq("pools", "--target", target, "--tls").error
        assert "(unable to get local issuer certificate)" in wrong_ca
        no_ca = uwfq("pools", "--target", target, "--ca", service_key)
        assert (no_ca.code, "server.key: holds no certificate" in no_ca.error) == (2, True)


def test_a_service_without_tls_is_not_spoken_to_in_tls() -> None:
    """The line says why nobody answers."""
    with started("serve", "--listen", "127.0.0.1:0", "--data", ":memory:") as running:
        said = running.until_said('"event":"serving"')
        lines = map(json.loads, said.splitlines())
        target = next(line["listen"] for line in lines if line["event"] == "serving")
        refused = uwfq("pools", "--target", target, "--tls")
        assert (refused.code, "does not speak TLS" in refused.error) == (1, True)
