"""The event log of a run, played again by the simulator, ends its jobs in the order of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path

from spark_bridge.demo.processes import PATIENCE_SECONDS

from tests.e2e.command import uwfq
from tests.e2e.spark.lines import python_of
from tests.spark.application import Queries, application
from tests.spark.event_log import Attempt, read

#: A job, told from the others of its user, which are alike, by how many of them ended before.
Finish = tuple[str, int]

#: Measured on either line of Spark, beside a busy machine: 0.75 to 0.92.  FIFO's is 0.3 to 0.66.
LEAST_CORRELATION = 0.6


def rank_correlation(one: list[Finish], other: list[Finish]) -> float:
    """Spearman's rho of two orders of the same: 1 the same, −1 the reverse."""
    place = {name: number for number, name in enumerate(other)}
    count = len(one)
    off = sum((number - place[name]) ** 2 for number, name in enumerate(one))
    return 1 - 6 * off / (count * (count * count - 1))


def test_the_simulated_order_is_the_real_one(line: str, tmp_path: Path) -> None:
    """Users with queries of different sizes, in bursts; the simulator knows as much as the service.

    Under FIFO the same log ends its jobs in another order: it is not the arrivals alone that agree.
    """
    directory = tmp_path / "app"
    with application(line, python_of(line), directory, master="local[2]", slots=2) as app:
        asked: Queries = {}
        for user, count, tasks in (("big", 4, 10), ("middle", 5, 4), ("small", 5, 2)):
            burst = app.queries(user, count, tasks=tasks)
            app.known(list(burst))
            asked |= burst
        wait(asked.values(), PATIENCE_SECONDS, FIRST_COMPLETED)
        asked |= app.queries("late", 4, tasks=2, kind="rdd")
        _, unanswered = wait(asked.values(), PATIENCE_SECONDS)
        assert not unanswered
        app.settled()
        app.driver.call("stop")
    (log,) = (path for path in (directory / "events").iterdir() if path.suffix != ".crc")
    workload = tmp_path / "workload.json"
    done = uwfq("workload", "--from-spark-log", str(log), "-o", str(workload))
    assert done.code == 0, done.err
    real = real_order(directory / "events")
    found = {
        policy: rank_correlation(real, simulated_order(workload, policy))
        for policy in ("uwfq", "fair", "fifo")
    }
    print(f"Spark {line}: rank correlation of {len(real)} finishes with the simulator's: {found}")
    assert found["uwfq"] >= LEAST_CORRELATION
    assert found["uwfq"] > found["fifo"]


def counted(users: Iterable[str]) -> list[Finish]:
    """Whose job ended, and which of theirs."""
    so_far: Counter[str] = Counter()
    finishes = []
    for user in users:
        finishes.append((user, so_far[user]))
        so_far[user] += 1
    return finishes


def real_order(events: Path) -> list[Finish]:
    """The jobs as they ended, by their last task."""
    last: dict[str, Attempt] = {}
    for attempt in read(events):
        if attempt.job not in last or attempt.finished > last[attempt.job].finished:
            last[attempt.job] = attempt
    return counted(each.user for each in sorted(last.values(), key=lambda each: each.finished))


def simulated_order(workload: Path, policy: str) -> list[Finish]:
    """The jobs as they end in the simulator."""
    played = uwfq(
        *("simulate", str(workload), "--policy", policy, "--estimates", "learned", "-o", "-")
    )
    assert played.code == 0, played.err
    (run,) = played.document
    return counted(job["user"] for job in sorted(run["jobs"], key=lambda job: job["finish"]))
