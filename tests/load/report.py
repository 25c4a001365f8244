"""The report: one document of JSON, and the same for people in Markdown."""

from __future__ import annotations

import enum
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import google.protobuf
import grpc

from tests.bench.measuring import interval, quantile
from tests.load.special import POLL_SECONDS
from tests.load.suite import STAND_INS, Row, Slice

#: Aims for two cores.
RATE_RATIO: Final = 0.80
CPU_RATIO: Final = 1.25
TASKS_PER_SECOND: Final = 50_000
TASK_CPU_US: Final = 25.0
HELD_RATIO: Final = 2.0
IDLE_SHARE: Final = 0.02
WAKE_MS: Final = 10.0

_VERDICTS: Final = (
    "Met or missed: the whole interval is, where there is one; undecided: the aim lies within it."
)


class Verdict(enum.StrEnum):
    """Whether an aim is met: only if the whole interval says so, where the figure has one."""

    MET = enum.auto()
    MISSED = enum.auto()
    #: The aim lies within the interval: it takes more rounds, or a quieter machine, to tell.
    UNDECIDED = enum.auto()


class Aim(NamedTuple):
    """One line of the table of aims."""

    figure: str
    aim: str
    measured: str
    verdict: Verdict


def machine() -> dict[str, Any]:
    """What it ran on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "grpcio": grpc.__version__,  # type: ignore[attr-defined,unused-ignore]
        "protobuf": google.protobuf.__version__,
    }


def figures(row: Row) -> dict[str, Any]:
    """Medians over the rounds, percentiles over all calls, ratios pair by pair."""

    def of(slices: Sequence[Slice]) -> dict[str, Any]:
        latencies = sorted(each for taken in slices for each in taken.latencies)

        def middle(read: Callable[[Slice], float]) -> float:
            return statistics.median(read(each) for each in slices)

        return {
            "calls_per_second": middle(lambda each: each.calls / each.seconds),
            "tasks_per_second": middle(lambda each: each.rate),
            "cpu_seconds_per_1000_calls": middle(lambda each: each.cpu_seconds / each.calls * 1e3),
            "cpu_us_per_task": middle(lambda each: each.cpu_us),
            "ghz_cpu_us_per_task": middle(lambda each: each.ghz_cpu_us),
            "latency_ms": {
                f"p{part}": quantile(latencies, part / 100) * 1e3 for part in (50, 95, 99)
            }
            if latencies
            else None,
        }

    def ratio(read: Callable[[Slice], float]) -> list[float]:
        return list(interval([read(pair.service) / read(pair.noop) for pair in row.pairs]))

    return {
        "profile": row.name,
        "in_flight": None if row.profile.stream else row.in_flight,
        "tasks_per_call": row.profile.tasks_per_call,
        "calls": sum(pair.service.calls for pair in row.pairs),
        "service": of([pair.service for pair in row.pairs]),
        "noop": of([pair.noop for pair in row.pairs]),
        "rate_ratio": ratio(lambda each: each.rate),
        "cpu_ratio": ratio(lambda each: each.cpu_us),
        "latency_ratio": None
        if row.profile.stream
        else {
            f"p{part}": interval(
                [
                    quantile(sorted(pair.service.latencies), part / 100)
                    / quantile(sorted(pair.noop.latencies), part / 100)
                    for pair in row.pairs
                ]
            ).median
            for part in (50, 95, 99)
        },
    }


def aims(rows: Sequence[dict[str, Any]], special: dict[str, Any]) -> list[Aim]:
    """The aims whose figures were measured."""
    found = []
    for row in rows:
        where = f"{row['profile']}, {row['in_flight']} in flight"
        if row["profile"] in {"SubmitJob", "NextTask", "TaskDone"}:
            rate, cpu = row["rate_ratio"], row["cpu_ratio"]
            found += [
                Aim(f"{where}: rate / no-op", f">= {RATE_RATIO:.2f}", _of3(rate),
                    _verdict(rate, lambda each: each >= RATE_RATIO)),
                Aim(f"{where}: CPU / no-op", f"<= {CPU_RATIO}", _of3(cpu),
                    _verdict(cpu, lambda each: each <= CPU_RATIO)),
            ]  # fmt: skip
        elif row["tasks_per_call"] > 1:
            rate, cpu = row["service"]["tasks_per_second"], row["service"]["cpu_us_per_task"]
            found += [
                Aim(f"{row['profile']}: tasks per second", f">= {TASKS_PER_SECOND:,}",
                    f"{rate:,.0f}", _verdict([rate], lambda each: each >= TASKS_PER_SECOND)),
                Aim(f"{row['profile']}: server CPU per task", f"<= {TASK_CPU_US:g} us",
                    f"{cpu:.1f} us", _verdict([cpu], lambda each: each <= TASK_CPU_US)),
            ]  # fmt: skip
    if "held" in special:
        held = special["held"]
        what = f"NextTask p99 with {held['jobs']:,} jobs of {held['users']:,} users / with few"
        ratio = held["p99_ratio"]
        verdict = _verdict(ratio, lambda each: each <= HELD_RATIO)
        found.append(Aim(what, f"<= {HELD_RATIO:g}", _of3(ratio), verdict))
    # Shorter polls are renewed more often; the aim is about those of the client.
    if "idle" in special and special["idle"]["poll_seconds"] >= POLL_SECONDS:
        share = special["idle"]["core_share"]
        what = f"{special['idle']['workers']} idle workers: part of one core"
        verdict = _verdict([share], lambda each: each < IDLE_SHARE)
        found.append(Aim(what, f"< {IDLE_SHARE:.0%}", f"{share:.2%}", verdict))
    if "wake-up" in special:
        p99 = special["wake-up"]["loaded_ms"]["p99"]
        what = "wake-up of a long poll at half load, p99"
        verdict = _verdict([p99], lambda each: each < WAKE_MS)
        found.append(Aim(what, f"< {WAKE_MS:g} ms", f"{p99:.1f} ms", verdict))
    return found


def _verdict(values: Sequence[float], meets: Callable[[float], bool]) -> Verdict:
    """Of a figure alone, or of one with its interval: then both ends have to agree."""
    found = {meets(value) for value in values}
    if len(found) > 1:
        return Verdict.UNDECIDED
    return Verdict.MET if found == {True} else Verdict.MISSED


def _of3(values: Sequence[float]) -> str:
    middle, low, high = values
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    on = report["machine"]
    lines = [
        "# Load test",
        "",
        (
            f"{report['date']}: {on['cores']} cores ({on['cpu']}), Python {on['python']}, grpcio "
            f"{on['grpcio']}, protobuf {on['protobuf']}, ghz {report['ghz']}; "
            f"{report['rounds']} rounds of {report['seconds']:g} s slices.  ghz and the "
            "servers share the cores.  "
            "Medians over the rounds; ratios are taken within each pair of slices, with a 95 % "
            "bootstrap interval.  "
            "What was sent has been compared with what the service counted.  `no-op again` is the "
            "no-op server against itself: noise.  `no-op, … acceptors` takes calls in as the "
            "service does: what a ratio owes to that alone."
        ),
        "",
    ]
    if report["rows"]:
        lines += _pairs(report)
    for name, write in _SPECIAL.items():
        if name in report["special"]:
            lines += write(report["special"][name])
    if report["aims"]:
        lines += ["## Aims", "", _VERDICTS, ""]
        lines += ["| figure | aim | measured | |", "|---|---|---|---|"]
        for aim in report["aims"]:
            verdict = aim["verdict"]
            shown = f"**{verdict}**" if verdict == Verdict.MISSED else verdict
            lines.append(f"| {aim['figure']} | {aim['aim']} | {aim['measured']} | {shown} |")
        lines.append("")
    return "\n".join(lines)


def _pairs(report: dict[str, Any]) -> list[str]:
    lines = [
        "## Against the no-op server",
        "",
        (
            "| | in flight | calls/s | tasks/s | p50 / p95 / p99 ms | CPU s per 1,000 calls "
            "| CPU us a task | rate / no-op | CPU / no-op | p50, p99 / no-op | ghz us a task |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        took = row["service"]
        latency, ratio = took["latency_ms"], row["latency_ratio"]
        quantiles = " / ".join(f"{each:.1f}" for each in latency.values()) if latency else "–"
        tails = f"{ratio['p50']:.2f}, {ratio['p99']:.2f}" if ratio else "–"
        tasks = "–" if row["profile"] in STAND_INS else f"{took['tasks_per_second']:,.0f}"
        lines.append(
            f"| {row['profile']} | {row['in_flight'] or 'one stream'} "
            f"| {took['calls_per_second']:,.0f} | {tasks} | {quantiles} "
            f"| {took['cpu_seconds_per_1000_calls']:.3f} | {took['cpu_us_per_task']:.1f} "
            f"| {_of3(row['rate_ratio'])} | {_of3(row['cpu_ratio'])} | {tails} "
            f"| {took['ghz_cpu_us_per_task']:.0f} |"
        )
    service, noop = report["peak_bytes"]
    return [
        *lines,
        "",
        (
            f"Peak memory: the service {_mb(service)}, the no-op server {_mb(noop)} "
            f"({service / noop:.1f} times)."
        ),
        "",
    ]


def _held(found: dict[str, Any]) -> list[str]:
    rates, p50, p99 = found["saturation_calls_per_second"], found["p50_ms"], found["p99_ms"]
    return [
        f"## {found['jobs']:,} jobs of {found['users']:,} users wait",
        "",
        (
            f"`NextTask`, {found['offered_calls_per_second']:,} calls a second offered to both "
            "(half of the smaller saturation rate)."
        ),
        "",
        "| | saturation, calls/s | p50 ms | p99 ms |",
        "|---|---|---|---|",
        f"| many | {rates['many']:,.0f} | {p50['many']:.2f} | {p99['many']:.2f} |",
        f"| 100 jobs of 10 users | {rates['few']:,.0f} | {p50['few']:.2f} | {p99['few']:.2f} |",
        "",
        f"p99, many / few: {_of3(found['p99_ratio'])}.  Peak memory: {_mb(found['peak_bytes'])}.",
        "",
    ]


def _idle(found: dict[str, Any]) -> list[str]:
    return [
        "## Idle workers",
        "",
        (
            f"{found['workers']} workers in long polls of {found['poll_seconds']:g} s, renewed "
            f"once in the window: {found['core_share']:.2%} of one core, peak memory "
            f"{_mb(found['peak_bytes'])}."
        ),
        "",
    ]


def _wake(found: dict[str, Any]) -> list[str]:
    return [
        "## Waking",
        "",
        "From sending a submission until the parked poll of the same client process is answered.",
        "",
        "| | p50 ms | p99 ms |",
        "|---|---|---|",
        *(
            f"| {what} | {found[key]['p50']:.1f} | {found[key]['p99']:.1f} |"
            for what, key in (
                ("otherwise idle", "quiet_ms"),
                (f"{found['offered_calls_per_second']:,} submissions/s (half load)", "loaded_ms"),
            )
        ),
        "",
    ]


def _overload(found: dict[str, Any]) -> list[str]:
    statuses = ", ".join(f"{count:,} {name}" for name, count in found["statuses"].items())
    refused = "; ".join(
        f"{count} {name}" for name, count in found["refusals_with_retry_info"].items()
    )
    return [
        "## Overload",
        "",
        (
            f"200 in flight on an inbox of {found['max_inbox']} and a backlog of "
            f"{found['max_jobs']:,} jobs: {statuses}.  Refusals that were read, each with "
            f"a RetryInfo: {refused}.  Peak "
            f"memory {_mb(found['peak_bytes_when_full'])} when the backlog was full, "
            f"{_mb(found['peak_bytes_after_as_many_again'])} after as many submissions again.  "
            f"Once drained, {found['accepted_afterwards']:,} of {found['accepted_afterwards']:,} "
            "submissions were accepted."
        ),
        "",
    ]


_SPECIAL: Final = {"held": _held, "idle": _idle, "wake-up": _wake, "overload": _overload}


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
