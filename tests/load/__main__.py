"""Load tests with ghz: the service next to a no-op server, and the table of aims.

    make load
    python -m tests.load [--profile NAME]... [--seconds 1] [--rounds 6] [--output DIR]

Starts ``uwfq serve`` (durable, on a temporary directory) and the no-op server, plays the profiles
to both in turn, and writes ``report.md`` and ``report.json``.  What each number means:
``tests/load/README.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.load import ghz, report, special
from tests.load.profiles import PROFILES
from tests.load.suite import Suite

#: Steps of the special profiles, for the progress bar; ``held`` has one more for each round.
SPECIAL: Final = {"held": 2, "idle": 2, "wake-up": 2, "overload": 3}
NAMES: Final = {
    "submit": "SubmitJob",
    "next": "NextTask",
    "done": "TaskDone",
    "mixed": "mixed",
    "batches": "poll, batches of 100",
    "stream": "Work, batches of 100",
}


class Run:
    """One run, as asked for."""

    def __init__(self, names: list[str], seconds: float, rounds: int, scratch: Path) -> None:
        wanted = {NAMES[name] for name in names if name in NAMES}
        self._profiles = [profile for profile in PROFILES if profile.name in wanted]
        self._special = [name for name in SPECIAL if name in names]
        self._seconds = seconds
        self._rounds = rounds
        self._scratch = scratch
        self._ghz = ghz.Ghz(ghz.build(), scratch)

    async def measure(self) -> dict[str, Any]:
        """Everything; the report as JSON has it."""
        rows: list[dict[str, Any]] = []
        peaks: tuple[int, int] | None = None
        columns = (
            *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
            *(TimeElapsedColumn(), TextColumn("{task.fields[last]}")),
        )
        found: dict[str, Any] = {}
        with Progress(*columns, console=Console(stderr=True)) as progress:
            if self._profiles:
                suite = Suite(self._ghz, self._scratch, seconds=self._seconds)
                total = suite.plan(self._profiles) * self._rounds
                bar = progress.add_task("pairs", total=total, last="warming up")
                await suite.run(
                    self._rounds, lambda text: progress.update(bar, advance=1, last=text)
                )
                rows, peaks = [report.figures(row) for row in suite.rows], suite.peaks
            for name in self._special:
                total = SPECIAL[name] + (self._rounds if name == "held" else 0)
                bar = progress.add_task(name, total=total, last="")

                def step(text: str, bar: Any = bar) -> None:
                    progress.update(bar, advance=1, last=text)

                found[name] = await self._measure_special(name, step)
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "ghz": _ghz_version(),
            "machine": report.machine(),
            "rounds": self._rounds,
            "seconds": self._seconds,
            "rows": rows,
            "peak_bytes": peaks,
            "special": found,
            "aims": [aim._asdict() for aim in report.aims(rows, found)],
        }

    def _measure_special(
        self, name: str, step: Callable[[str], None]
    ) -> Awaitable[special.Figures]:
        seconds = self._seconds
        scratch = self._scratch
        if name == "held":
            rounds = self._rounds
            # A 99th percentile wants longer slices.
            return special.held(self._ghz, scratch, seconds=2 * seconds, rounds=rounds, step=step)
        if name == "idle":
            poll_seconds = min(special.POLL_SECONDS, 30 * seconds)
            return special.idle(self._ghz, scratch, step=step, seconds=poll_seconds)
        if name == "wake-up":
            return special.wake_up(self._ghz, scratch, seconds=10 * seconds, step=step)
        return special.overload(self._ghz, scratch, seconds=seconds, step=step)


def _ghz_version() -> str:
    module = (ghz.MODULE / "go.mod").read_text()
    found = re.search(r"github\.com/bojand/ghz (v\S+)", module)
    assert found, "tests/load/ghz/go.mod requires ghz"
    return found[1]


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the report, print it."""
    everything = [*NAMES, *SPECIAL]
    parser = argparse.ArgumentParser(
        prog="python -m tests.load", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--profile", choices=everything, action="append", help="one of them; default: all"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a slice; default: 1")
    parser.add_argument("--rounds", type=int, default=6, help="default: 6")
    parser.add_argument(
        "--output", type=Path, default=Path("build/load"), help="directory; default: build/load"
    )
    args = parser.parse_args(arguments)
    if args.seconds <= 0 or args.rounds < 1:
        parser.error("--seconds and --rounds must be positive")
    with tempfile.TemporaryDirectory(prefix="uwfq-load-") as scratch:
        run = Run(args.profile or everything, args.seconds, args.rounds, Path(scratch))
        found = asyncio.run(run.measure())
    args.output.mkdir(parents=True, exist_ok=True)
    text = report.markdown(found)
    (args.output / "report.json").write_text(json.dumps(found, indent=2) + "\n")
    (args.output / "report.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
