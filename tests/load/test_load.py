"""Each profile for a moment: what is counted, never how long it took."""

import json
import os
import subprocess
from pathlib import Path

import grpc
import pytest

from tests.bench.measuring import Interval
from tests.load import __main__ as command
from tests.load import calls, ghz, profiles, report, special
from tests.load.calls import PoolCount, Preparer
from tests.load.first_lease import first_lease
from tests.load.servers import UNLIMITED, start_noop, start_service
from tests.load.suite import IN_FLIGHT, STAND_INS, Suite
from uwfq.v1 import scheduler_service_pb2 as rpc

pytestmark = [pytest.mark.needs("go"), pytest.mark.slow]


@pytest.fixture
def player(tmp_path: Path) -> ghz.Ghz:
    """ghz, built if it has to be."""
    return ghz.Ghz(ghz.build(), tmp_path)


def ignore(_: str) -> None:
    """Nobody watches the progress."""


async def test_every_profile_brings_about_what_it_should(player: ghz.Ghz, tmp_path: Path) -> None:
    """A slice fails by itself when a call does, or when the service has counted otherwise."""
    suite = Suite(player, tmp_path, seconds=0.01)
    assert suite.plan(profiles.PROFILES) == len(suite.rows)
    steps: list[str] = []
    await suite.run(1, steps.append)
    assert len(steps) == len(suite.rows)
    rows = [report.figures(row) for row in suite.rows]
    names = [profile.name for profile in profiles.PROFILES]
    assert list(dict.fromkeys(row["profile"] for row in rows)) == [*names, *STAND_INS]
    for row, found in zip(suite.rows, rows, strict=True):
        (pair,) = row.pairs
        assert pair.service.calls == pair.noop.calls >= 30
        assert pair.service.tasks == pair.service.calls * row.profile.tasks_per_call
        assert len(pair.service.latencies) == (0 if row.profile.stream else pair.service.calls)
        assert pair.service.cpu_seconds > 0
        assert found["service"]["tasks_per_second"] > 0
    assert min(suite.peaks) > 10e6


async def test_calls_that_the_service_has_not_counted_are_found_out(
    player: ghz.Ghz, tmp_path: Path
) -> None:
    """The no-op server answers OK to everything; the service knows better."""
    pools = [f"--set=pools.{pool}.policy=uwfq" for pool in calls.POOLS]
    service, noop = start_service(tmp_path, *UNLIMITED, *pools), start_noop(tmp_path)
    try:
        async with grpc.aio.insecure_channel(service.address) as channel:
            preparer = Preparer(channel)
            for profile in profiles.PROFILES:
                sendings = await profile.prepare(preparer, 10)
                before = {each.pool: await preparer.count(each.pool) for each in sendings}
                outcome = await profile.run(player, noop.address, sendings, IN_FLIGHT[0])
                assert set(outcome.statuses) == {"OK"}
                with pytest.raises(AssertionError, match=r"has changed by .* which should be"):
                    await profiles.check(preparer, sendings, before)
    finally:
        service.kill()
        noop.kill()


async def test_a_result_for_a_lease_that_never_was_is_found_out(
    player: ghz.Ghz, tmp_path: Path
) -> None:
    """OK, says gRPC; only the acknowledgement inside says UNKNOWN."""
    service = start_service(tmp_path, *UNLIMITED, f"--set=pools.{calls.REPORTED}.policy=uwfq")
    try:
        async with grpc.aio.insecure_channel(service.address) as channel:
            preparer = Preparer(channel)
            (sending,) = await profiles.task_done(preparer, 10)
            before = {calls.REPORTED: await preparer.count(calls.REPORTED)}
            for message in sending.messages:
                assert isinstance(message, rpc.TaskDoneRequest)
                message.results[0].lease_id += 1_000_000
            outcome = await profiles.PROFILES[2].run(player, service.address, [sending], 2)
            assert outcome.statuses == {"OK": 10}
            with pytest.raises(AssertionError, match=r"has changed by .* which should be"):
                await profiles.check(preparer, [sending], before)
    finally:
        service.kill()


def by_hand(profile: str, target: str, **variables: str) -> None:
    """Make ten calls as the profile has them."""
    command = [str(ghz.build()), "--config", str(ghz.PROFILES / f"{profile}.json")]
    command += ["-n", "10", "-c", "2", "--connections", "1", target]
    env = {**os.environ, **variables}
    subprocess.run(command, cwd=ghz.ROOT, env=env, stdout=subprocess.DEVNULL, check=True)


async def test_what_is_called_by_hand_counts(tmp_path: Path) -> None:
    """As the README says: what was submitted is leased, and what was leased is reported."""
    service = start_service(tmp_path, *UNLIMITED)
    try:
        async with grpc.aio.insecure_channel(service.address) as channel:
            preparer = Preparer(channel)
            by_hand("submit_job", service.address)
            assert await preparer.count("default") == PoolCount(10, 10, 0)
            by_hand("next_task", service.address)
            assert await preparer.count("default") == PoolCount(10, 0, 10)
            first = first_lease(service.address)
            by_hand("task_done", service.address, FIRST_LEASE=str(first))
            assert await preparer.count("default") == PoolCount(0, 0, 0)
    finally:
        service.kill()


async def test_held_jobs_are_there_while_polls_are_measured(
    player: ghz.Ghz, tmp_path: Path
) -> None:
    """As many as were asked for wait, in a service that has recovered them."""
    found = await special.held(player, tmp_path, seconds=0.1, rounds=1, step=ignore, many=(20, 200))
    assert (found["users"], found["jobs"]) == (20, 200)
    assert found["p99_ms"].keys() == {"many", "few"}


async def test_idle_workers_are_all_alive_at_the_end(player: ghz.Ghz, tmp_path: Path) -> None:
    """They poll anew once within the window; nobody is forgotten."""
    found = await special.idle(player, tmp_path, step=ignore, workers=20, seconds=0.5)
    assert found["workers"] == 20


async def test_every_wake_up_has_its_task(player: ghz.Ghz, tmp_path: Path) -> None:
    """Each poll that is measured is answered by one lease."""
    found = await special.wake_up(player, tmp_path, seconds=0.3, step=ignore)
    assert found["wakes"] > 0


async def test_an_overload_is_refused_and_passes(player: ghz.Ghz, tmp_path: Path) -> None:
    """What is over the limit is refused with RetryInfo, and accepted when there is room."""
    found = await special.overload(player, tmp_path, seconds=0.01, step=ignore)
    assert found["statuses"].keys() == {"OK", "ResourceExhausted"}
    assert found["statuses"]["OK"] <= special.MAX_JOBS
    # Two bursts met a full backlog, some of them a full inbox, and nothing of them was accepted.
    refusals = found["refusals_with_retry_info"]
    assert refusals["BACKLOG_FULL, retry after 1000 ms"] > 0
    assert sum(refusals.values()) >= 2 * 10 * special.MAX_INBOX
    assert found["accepted_afterwards"] == special.MAX_JOBS // 2


def test_the_command_writes_both_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Markdown goes to standard output as well."""
    arguments = ["--profile", "next", "--seconds", "0.01", "--rounds", "1", "--output"]
    command.main([*arguments, str(tmp_path)])
    written = json.loads((tmp_path / "report.json").read_text())
    assert {row["profile"] for row in written["rows"]} == {"NextTask", *STAND_INS}
    text = (tmp_path / "report.md").read_text()
    assert capsys.readouterr().out == text
    assert "| NextTask | 200 |" in text
    assert len(written["aims"]) == 2 * len(IN_FLIGHT)


def test_aims_are_met_or_missed_by_their_figures() -> None:
    """Below an aim that says so is not at it; the others are met at the figure itself."""
    row = {
        "profile": "SubmitJob",
        "in_flight": 50,
        "tasks_per_call": 1,
        "rate_ratio": Interval(0.81, 0.7, 0.9),
        "cpu_ratio": Interval(1.26, 1.1, 1.4),
    }
    idle = {"workers": 500, "poll_seconds": special.POLL_SECONDS, "core_share": 0.02}
    found = report.aims([row], {"idle": idle})
    assert [aim.verdict for aim in found] == ["undecided", "undecided", "missed"]


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((1.14, 0.80, 4.50), "undecided"),
        ((2.5, 1.9, 3.0), "undecided"),
        ((1.1, 0.8, 2.0), "met"),
        ((2.5, 2.01, 3.0), "missed"),
    ],
)
def test_an_interval_meets_or_misses_an_aim_as_a_whole(
    interval: tuple[float, float, float], verdict: str
) -> None:
    """A median on the right side says nothing while the interval reaches across the aim."""
    held = {"jobs": 200, "users": 20, "p99_ratio": list(interval)}
    ratios = {"rate_ratio": [0.80, 0.80, 0.9], "cpu_ratio": [1.26, 1.26, 1.4]}
    row = {"profile": "TaskDone", "in_flight": 50, "tasks_per_call": 1, **ratios}
    rate, cpu, ratio = report.aims([row], {"held": held})
    assert (rate.verdict, cpu.verdict, ratio.verdict) == ("met", "missed", verdict)


def test_the_report_says_what_is_undecided() -> None:
    """In words, with what they mean; what is missed stands out."""
    verdicts = [report.Verdict.MET, report.Verdict.MISSED, report.Verdict.UNDECIDED]
    aims = [report.Aim(f"f{n}", "<= 2", "1", each)._asdict() for n, each in enumerate(verdicts)]
    about = {"machine": report.machine(), "date": "today", "ghz": "v0", "rounds": 1, "seconds": 1}
    text = report.markdown({**about, "rows": [], "special": {}, "aims": aims})
    table = [line.rpartition("| ")[2] for line in text.splitlines() if line.startswith("| f")]
    assert table == ["|", "met |", "**missed** |", "undecided |"]
    assert "undecided: the aim lies within it" in text


def test_messages_travel_behind_their_lengths() -> None:
    """Longer than one byte of a varint can say, too."""
    messages = [rpc.GetJobRequest(job_id="j" * length) for length in (1, 124, 126, 300, 20_000)]
    data = ghz.delimited(messages)
    found = []
    while data:
        size = shift = place = 0
        while True:
            byte = data[place]
            size |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if byte < 0x80:
                break
        found.append(rpc.GetJobRequest.FromString(data[place : place + size]))
        data = data[place + size :]
    assert found == messages


def test_changes_of_a_pool_are_differences() -> None:
    """Field by field, and below zero, too."""
    assert PoolCount(3, 2, 1) - PoolCount(1, 2, 4) == PoolCount(2, 0, -3)
