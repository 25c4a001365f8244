"""What `deploy/` promises, checked as far as it can be without a container engine."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from uwfq_service.cli.health import health
from uwfq_service.server.config import load

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"

Instruction = tuple[str, str]


@pytest.fixture(scope="module")
def stages() -> list[list[Instruction]]:
    """The Dockerfile's instructions, one list for each FROM (what precedes it left out)."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^#.*\n", "", text).replace("\\\n", " ")
    found: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest.strip()))
    return found


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    """The unit's settings: each name with its values, in order."""
    settings: dict[str, list[str]] = {}
    for line in (DEPLOY / "uwfq.service").read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#;[":
            name, _, value = line.partition("=")
            settings.setdefault(name, []).append(value)
    return settings


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file, parsed."""
    parsed: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return parsed


def values(stage: list[Instruction], word: str) -> list[str]:
    """What follows each ``word`` instruction of the stage."""
    return [rest for name, rest in stage if name == word]


def test_the_image_runs_as_an_unprivileged_user_with_a_health_check(
    stages: list[list[Instruction]],
) -> None:
    """The last USER of the final stage is a number other than root's, which orchestrators check."""
    final = stages[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", values(final, "USER")[-1])
    assert '["uwfq", "health"]' in values(final, "HEALTHCHECK")[-1]
    assert values(final, "STOPSIGNAL") == ["SIGTERM"]


def test_the_image_copies_only_what_exists_and_what_the_builder_is_sent(
    stages: list[list[Instruction]],
) -> None:
    """A renamed folder must not first show when somebody builds the image."""
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    copies = [
        word
        for stage in stages
        for rest in values(stage, "COPY")
        if not rest.startswith("--from")
        for word in shlex.split(rest)[:-1]
    ]
    assert copies
    assert [path for path in copies if not (ROOT / path).exists()] == []
    assert set(copies) == sent


def test_the_image_gets_every_package_of_the_wheel(stages: list[list[Instruction]]) -> None:
    """A package added to the wheel is added to the image's build, too."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = [rest for stage in stages for rest in values(stage, "COPY")]
    assert [path for path in packages if f"{path} {path}" not in copied] == []


def test_compose_builds_this_repository_and_keeps_the_data_in_a_volume(
    compose: dict[str, Any],
) -> None:
    """`docker compose up` from a checkout gives a service whose data outlives the container."""
    service = compose["services"]["uwfq"]
    context = (DEPLOY / service["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / service["build"]["dockerfile"]).is_file()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]
    assert service["image"] == f"uwfq:{version}"
    (mount,) = service["volumes"]
    volume, _, target = mount.partition(":")
    assert volume in compose["volumes"]
    assert target == "/var/lib/uwfq"


def test_compose_publishes_on_loopback_only_and_drops_privileges(compose: dict[str, Any]) -> None:
    """Without TLS configured, nobody beyond this host may reach the port."""
    service = compose["services"]["uwfq"]
    assert all(str(port).startswith("127.0.0.1:") for port in service["ports"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_the_health_checks_for_tls_that_are_shown_are_commands() -> None:
    """Nothing else reads these comments before somebody needs them."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r"(?m)^#\s+test: (.*)$", text)
    shown = [yaml.safe_load(line)[1:]]
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    shown += [shlex.split(line) for line in re.findall(r"--health-cmd '(.*)'", text)]
    assert len(shown) == 2
    for words in shown:
        assert words[:2] == ["uwfq", "health"]
        given = health.make_context("health", words[2:]).params
        assert given["ca"]
        assert given["server_name"]


def test_the_unit_listens_on_loopback_and_drains_on_stop(unit: dict[str, list[str]]) -> None:
    """Stopping sends SIGTERM and waits; an exit of 0 is not restarted, a crash is."""
    own = dict(word.split("=", 1) for line in unit["Environment"] for word in shlex.split(line))
    assert load(environ=own).listen.startswith("127.0.0.1:")
    assert unit["KillSignal"] == ["SIGTERM"]
    assert unit["Restart"] == ["on-failure"]
    assert unit["DynamicUser"] == ["yes"]


def test_settings_of_the_operator_win(
    unit: dict[str, list[str]], stages: list[list[Instruction]]
) -> None:
    """The unit and the image set theirs in the environment: options would win over it."""
    (command,) = unit["ExecStart"]
    assert shlex.split(command)[1:] == ["serve"]
    assert unit["EnvironmentFile"]
    final = stages[-1]
    assert json.loads(values(final, "CMD")[-1]) == ["serve"]
    own = dict(word.split("=", 1) for rest in values(final, "ENV") for word in shlex.split(rest))
    assert load(environ=own).listen == "0.0.0.0:7170"
    assert load(environ=own).data in values(final, "VOLUME")


def test_the_unit_lets_the_process_that_writes_snapshots_lower_its_priority(
    unit: dict[str, list[str]],
) -> None:
    """`@resources`, which is taken away, has it; what is allowed later is allowed."""
    filters = unit["SystemCallFilter"]
    denied = next(place for place, words in enumerate(filters) if "@resources" in words)
    assert filters[denied].startswith("~")
    assert any("setpriority" in words.split() for words in filters[denied + 1 :])


def test_the_unit_waits_for_the_time(unit: dict[str, list[str]]) -> None:
    """The service reads the clock once; what the machine shows at its boot may be years off."""
    for setting in ("After", "Wants"):
        assert "time-sync.target" in " ".join(unit[setting]).split()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit_and_finds_it_well_confined(tmp_path: Path) -> None:
    """No unknown setting, and an exposure below 2 of 10; also with the drop-in for TLS."""
    text = (DEPLOY / "uwfq.service").read_text(encoding="utf-8")
    (drop_in,) = re.findall(r"(?m)^#   \[Service\]\n((?:#   .+\n)+)", text)
    shown = re.sub(r"(?m)^#   ", "", drop_in)
    assert set(re.findall(r"UWFQ_\w+", shown)) == {"UWFQ_TLS_CERT", "UWFQ_TLS_KEY"}
    # The command is not installed where the test runs, and systemd looks.
    text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/sh", text)
    unit = tmp_path / "uwfq.service"
    unit.write_text(text.replace("\n[Service]\n", f"\n[Service]\n{shown}"), encoding="utf-8")
    for arguments in (["verify"], ["security", "--offline=true", "--threshold=20"]):
        done = subprocess.run(
            ["systemd-analyze", *arguments, str(unit)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Unknown" not in done.stderr
