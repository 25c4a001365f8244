"""Users of Spark's own servers, Connect and Thrift, are known without a word of theirs."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from spark_bridge.demo.processes import (
    PATIENCE_SECONDS,
    ROOT,
    Process,
    Service,
    environment,
    gone_after,
    spark_home_of,
)

from tests.conftest import IN_CI
from tests.e2e.spark.lines import python_of, quick_start
from tests.spark.application import UNFINISHED, configuration, until

#: What both users ask, and what they must be told.
QUESTION = "SELECT k, count(*) AS n FROM (SELECT id % 3 AS k FROM range(300)) GROUP BY k ORDER BY k"
ANSWER = [[0, 100], [1, 100], [2, 100]]

#: What a client may set to pass for another: the tag that Spark gives jobs of that user, and the
#: user by name; and to have its jobs count as a part of some other query, one that never ends here.
PASSES_FOR_ANOTHER = [
    f"spark.job.tags=SparkConnect_OperationTag_User_bob_Session_{uuid4()}_Operation_{uuid4()}",
    "spark.uwfq.user=bob",
    "spark.sql.execution.root.id=1000000",
]


def need(home: Path, jar: str, remedy: str) -> None:
    """Skip without a jar of Spark's; in CI fail."""
    if not list((home / "jars").glob(jar)):
        missing = f"{home.name} has no {jar}: {remedy}"
        if IN_CI:
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)


@contextlib.contextmanager
def server(
    python: str,
    directory: Path,
    service: Service,
    main: str,
    *,
    arguments: Sequence[str] = (),
    **settings: str,
) -> Iterator[Process]:
    """One of Spark's servers, with the bridge."""
    (directory / "events").mkdir(parents=True)
    home = spark_home_of(Path(python))
    options = configuration(python, directory, service, "local[2]") | settings
    # The line that says that it listens is no warning.
    options["spark.log.level"] = "INFO"
    confs = [word for key, value in options.items() for word in ("--conf", f"{key}={value}")]
    process = Process(
        main.rpartition(".")[2],
        [str(home / "bin" / "spark-submit"), "--class", main, *confs, "spark-internal", *arguments],
        directory / "server.log",
        environment(SPARK_HOME=str(home)),
        cwd=directory,  # Where the Thrift server makes its catalog.
    )
    with gone_after(process):
        yield process


def together(
    commands: dict[str, list[str]], env: dict[str, str], directory: Path
) -> dict[str, str]:
    """Run clients side by side; what each has printed."""
    running = {
        user: subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            cwd=directory,
        )
        for user, command in commands.items()
    }
    try:
        said = {
            user: process.communicate(timeout=PATIENCE_SECONDS) for user, process in running.items()
        }
    finally:
        for process in running.values():
            process.kill()
    for user, process in running.items():
        assert process.returncode == 0, said[user]
    return {user: out for user, (out, _) in said.items()}


def check_users(service: Service, users: set[str]) -> None:
    """Each of them has had jobs, nobody else has, and all of them ended well."""
    with service.client() as client:
        until(lambda: not list(client.list_jobs(states=UNFINISHED)), "no job is left open")
        jobs = list(client.list_jobs())
    assert set(Counter(job.user for job in jobs)) == users
    assert all(job.succeeded for job in jobs)


def test_connect_users(line: str, tmp_path: Path) -> None:
    """Clients of a Connect server, each by the name that its connection gives, whatever it sets."""
    python = python_of(line)
    need(spark_home_of(Path(python)), "spark-connect_*.jar", "run `make spark35`")
    client = [python, "-m", "tests.spark.connect_client"]
    with (
        Service(tmp_path) as service,
        server(
            python,
            tmp_path / "connect",
            service,
            "org.apache.spark.sql.connect.service.SparkConnectServer",
            **{"spark.connect.grpc.binding.port": "0"},
        ) as process,
    ):
        port = process.wait_for_line("Spark Connect server started at").rpartition(":")[2]
        users: dict[str, list[str]] = {"anna": [], "under_score": [], "eve": PASSES_FOR_ANOTHER}
        said = together(
            {
                user: [*client, f"sc://127.0.0.1:{port}/;user_id={user}", QUESTION, *settings]
                for user, settings in users.items()
            },
            environment(PYTHONPATH=str(ROOT)),
            tmp_path,
        )
        assert [json.loads(out) for out in said.values()] == [[ANSWER] * 3] * 3
        check_users(service, set(users))


def test_thrift_users(line: str, tmp_path: Path) -> None:
    """Two users of a Thrift server, by the names that they log in with in beeline."""
    python = python_of(line)
    home = spark_home_of(Path(python))
    need(home, "spark-hive-thriftserver_*.jar", "install PySpark from the package index")
    asked = [word for _ in range(3) for word in ("-e", QUESTION)]
    listen = [
        *("--hiveconf", "hive.server2.thrift.port=0"),
        *("--hiveconf", "hive.server2.thrift.bind.host=127.0.0.1"),
    ]
    with (
        Service(tmp_path) as service,
        server(
            python,
            tmp_path / "thrift",
            service,
            "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
            arguments=listen,
        ) as process,
    ):
        listens = process.wait_for_line("ThriftBinaryCLIService on port")
        port = listens.partition(" on port ")[2].split()[0]
        beeline = [
            *(str(home / "bin" / "beeline"), "--silent=true", "--outputformat=csv2"),
            *("--showHeader=false", "-u", f"jdbc:hive2://127.0.0.1:{port}/default", "-p", "secret"),
        ]
        users = {"bert", "clara"}
        said = together(
            {user: [*beeline, "-n", user, *asked] for user in users},
            environment(SPARK_HOME=str(home), SPARK_BEELINE_OPTS=quick_start(python)),
            tmp_path,
        )
        lines = [",".join(map(str, row)) for row in ANSWER] * 3
        for out in said.values():
            # Its input is no terminal, but it prompts nevertheless.
            rows = (row.rpartition("> ")[2] for row in out.splitlines())
            assert [row for row in rows if row.strip()] == lines
        check_users(service, users)
