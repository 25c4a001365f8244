"""The bridge as a newcomer has it: the wheel's jar in a real application, seen by the doctor."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import IN_CI
from tests.e2e.command import PATIENCE_SECONDS, started, uwfq, wait_until_serving
from tests.e2e.spark.lines import environment, every_line, python_of
from uwfq_client import SyncClient
from uwfq_spark import JarNotFound, jar_path
from uwfq_spark.jar import JARS

pytestmark = [pytest.mark.needs("java"), pytest.mark.slow]


@pytest.fixture(autouse=True)
def jar() -> None:
    """The jars are built; without them these tests are skipped."""
    try:
        jar_path()
    except JarNotFound as error:
        if IN_CI:
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.mark.parametrize("path", sorted(JARS.glob("*.jar")), ids=lambda path: path.stem)
def test_a_jar_holds_nothing_that_spark_or_a_user_may_have_too(path: Path) -> None:
    """What it depends on lies in packages of its own; Spark's package has our names alone."""
    ours = re.compile(
        r"io/uwfq/.+"
        r"|org/apache/spark/scheduler/(Uwfq|Gated|LaunchGate|RunningJobs|SlotCounter|TaskSetReader).*"
        r"|META-INF/(MANIFEST\.MF|NOTICE|services/io\.uwfq\..+)"
    )
    with zipfile.ZipFile(path) as jar_file:
        names = [name for name in jar_file.namelist() if not name.endswith("/")]
    assert [name for name in names if not ours.fullmatch(name)] == []


@contextlib.contextmanager
def tcp_service() -> Iterator[str]:
    """A running service that Spark can reach; its target."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        target = f"127.0.0.1:{free.getsockname()[1]}"
    with (
        tempfile.TemporaryDirectory(prefix="uwfq-") as directory,
        started("serve", "--listen", target, "--data", directory) as running,
    ):
        wait_until_serving(target, running)
        yield target


class Application:
    """A running ``application_script.py``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.ui: str = self._read()

    def step(self, name: str) -> Any:
        """Let it take a step; what that gave."""
        assert self._process.stdin
        print(name, file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the application has ended; its log is in the captured output"
        return json.loads(line)


@contextlib.contextmanager
def application(line: str, target: str, directory: Path) -> Iterator[Application]:
    """Run the script on a line of Spark."""
    script = Path(__file__).with_name("application_script.py")
    process = subprocess.Popen(
        [python_of(line), "-P", str(script), target, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(line),
    )
    try:
        yield Application(process)
        assert process.stdin
        process.stdin.close()
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def findings(ui: str, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The doctor's exit code, and what it has found by check."""
    ran = uwfq("spark", "doctor", "--ui", ui, "--timeout", "50", "--output", "json", *arguments)
    assert ran.out, ran.err
    return ran.code, {each["check"]: each for each in ran.document["findings"]}


@every_line
def test_the_doctor_follows_an_application_from_its_start_to_its_users(
    line: str, tmp_path: Path
) -> None:
    """A user is missed, then recognised; partitioning shows once a file was read."""
    with tcp_service() as target, application(line, target, tmp_path) as running:
        assert running.step("nobody") == 200_000
        code, found = findings(running.ui)
        assert code == 1
        problems = [check for check, each in found.items() if each["status"] == "problem"]
        assert problems == ["users"]
        assert "uwfq_spark.user" in found["users"]["remedy"]

        assert running.step("alice") == 7
        code, found = findings(running.ui)
        assert (code, {each["status"] for each in found.values()}) == (0, {"ok"}), found
        assert "by spark.uwfq.user" in found["users"]["what"]
        assert "alice" in found["users"]["what"]

        (standing,) = running.step("bob")
        assert standing.startswith("waits to be seen: 0 of 8 tasks done, ")

        with SyncClient(target) as client:
            weights = {job.user: job.job_weight for job in client.list_jobs()}
        assert weights == {"default": 1.0, "alice": 2.0, "bob": 1.0}


@pytest.mark.parametrize("line", ["4"])
def test_the_doctor_sees_that_the_service_is_away(line: str, tmp_path: Path) -> None:
    """Spark has started without it, and goes on."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        target = f"127.0.0.1:{closed.getsockname()[1]}"
    with application(line, target, tmp_path) as running:
        assert running.step("nobody") == 200_000
        code, found = findings(running.ui)
    assert code == 1
    for check in ("service, from the driver", "service, from here"):
        assert found[check]["status"] == "problem"
        assert "uwfq serve" in found[check]["remedy"]


_START = """
import sys
from pyspark.sql import SparkSession
from uwfq_spark.configuration import PLUGIN

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
builder.config("spark.uwfq.target", "127.0.0.1:1").config("spark.plugins", PLUGIN)
builder.config("spark.jars", sys.argv[1]).getOrCreate()
"""


@pytest.mark.parametrize(
    ("line", "wrong"), [("3.5", "3.5_2.13"), ("3.5", "4_2.13"), ("4", "3.5_2.13")]
)
def test_a_jar_for_another_spark_stops_the_start(line: str, wrong: str) -> None:
    """The message names the jar, what runs, and how to find the right one."""
    (jar,) = JARS.glob(f"uwfq-spark-{wrong}-*.jar")
    ran = subprocess.run(
        [python_of(line), "-P", "-c", _START, str(jar)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env=environment(line),
    )
    assert ran.returncode != 0
    # Spark logs it, and the program shows it.
    (message,) = {said.partition("UWFQ: ")[2] for said in ran.stderr.splitlines()} - {""}
    assert str(jar) in message
    assert f"this is Spark {line}" in message
    assert "`uwfq spark jar" in message


def test_without_an_application_there_is_nothing_to_examine() -> None:
    """A wrong address is refused; a silent one may answer later."""
    refused = uwfq("spark", "doctor", "--ui", "driver:4040")
    assert (refused.code, "--ui" in refused.error) == (2, True)
    silent = uwfq("spark", "doctor", "--ui", "http://127.0.0.1:1")
    assert (silent.code, "nothing answers" in silent.error) == (1, True)


def test_shells_are_told_the_jar_and_the_settings() -> None:
    """For ``spark-submit`` and for ``spark-defaults.conf``."""
    ran = uwfq("spark", "jar")
    assert (ran.code, ran.out.strip()) == (0, jar_path())
    ran = uwfq("spark", "conf", "--target", "scheduler:7170")
    lines = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert lines == {
        "spark.plugins": "io.uwfq.spark.UwfqPlugin",
        "spark.sql.extensions": "io.uwfq.spark.UwfqExtensions",
        "spark.jars": jar_path(),
        "spark.uwfq.target": "scheduler:7170",
    }
    ran = uwfq("spark", "conf", "--target", "unix:/run/uwfq.sock")
    assert (ran.code, "host:port" in ran.error) == (2, True)
    ran = uwfq("spark", "jar", "--spark-home", "/nowhere")
    assert (ran.code, "is no Spark installation" in ran.error) == (2, True)
