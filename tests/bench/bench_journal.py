"""What the journal on disk costs, and what it carries.

Run it as a script. It writes to a temporary directory (``--directory`` chooses the disk) and
prints three tables:

* rows per second when each batch waits for its sync, with this disk's sync and with 5 ms more;
* rows per second when batches follow each other without waiting, as under load, and what one row
  takes of the loop's thread;
* recovery from the tail alone.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from uwfq_service.core import events
from uwfq_service.core.events import AnyEvent
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings
from uwfq_service.store import SqliteJournal, StoreOptions
from uwfq_service.store.writer import Writer

BATCH_SIZES = (1, 10, 100, 1000)

#: How far the loop may run ahead of the disk in the second table, rows.
MOST_AHEAD = 20_000

#: Snapshots are not measured here.
NO_SNAPSHOTS = StoreOptions(snapshot_records=10**9, snapshot_bytes=10**12)


class Sink:
    """Stands where the scheduler would: recovery is measured without its work."""

    def __init__(self, settings: Settings, *, jitter: Callable[[], float]) -> None:
        self.events = 0

    def replay(self, event: AnyEvent) -> None:
        """Count ``event``."""
        self.events += 1


def lifecycle(count: int) -> list[AnyEvent]:
    """Return ``count`` events as a unary worker causes them: lease, finish, lease, finish."""
    made: list[AnyEvent] = []
    for number in range(0, count, 2):
        made.append(
            events.TasksLeased(
                at=1.7e9 + number,
                job=number,
                stage=0,
                worker="worker-17",
                lease_id=number,
                tasks=(number,),
                expires_at=1.7e9 + number + 30,
            )
        )
        made.append(
            events.TasksFinished(at=1.7e9 + number + 0.5, leases=(number,), runtimes=(0.75,))
        )
    return made[:count]


def with_slower_sync(seconds: float) -> Callable[[], None]:
    """Make every commit take so much longer; return what undoes it."""
    commit = Writer._commit

    def slow(writer: Writer, values: list[Any]) -> None:
        commit(writer, values)
        time.sleep(seconds)

    setattr(Writer, "_commit", slow)  # noqa: B010 - mypy sees what it is

    def undo() -> None:
        setattr(Writer, "_commit", commit)  # noqa: B010 - as above

    return undo


class Bench:
    """A journal in a new directory, and a way to wait for it."""

    def __init__(self, directory: Path) -> None:
        self.journal = SqliteJournal(
            directory,
            asyncio.get_running_loop(),
            options=NO_SNAPSHOTS,
            scheduler_type=cast("type[Scheduler]", Sink),
        )
        self.journal.on_durable = lambda _sequence: self._progress.set()
        self.journal.on_failure = lambda error: print("failed:", error)
        self._progress = asyncio.Event()
        self.recovery = self.journal.recover(Settings(), lambda: 1.0)

    async def durable(self, sequence: int) -> None:
        """Wait until the disk has the rows up to ``sequence``."""
        while self.journal.durable < sequence:
            self._progress.clear()
            await self._progress.wait()


async def one_at_a_time(root: Path, batch: Sequence[AnyEvent], seconds: float) -> str:
    """Append a batch, wait for it, and so on; return a cell of the table."""
    with tempfile.TemporaryDirectory(dir=root) as directory:
        bench = Bench(Path(directory))
        rounds = 0
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            await bench.durable(bench.journal.append(batch))
            rounds += 1
        elapsed = time.perf_counter() - began
        bench.journal.close()
    return f"{rounds * len(batch) / elapsed:>11,.0f} {1e3 * elapsed / rounds:>8.2f}"


async def without_waiting(root: Path, batch: Sequence[AnyEvent], seconds: float) -> str:
    """Append batches as fast as the disk allows; return a row of the table."""
    with tempfile.TemporaryDirectory(dir=root) as directory:
        bench = Bench(Path(directory))
        appending = 0.0
        rows = sequence = 0
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            for _ in range(max(1, 100 // len(batch))):
                before = time.thread_time()
                sequence = bench.journal.append(batch)
                appending += time.thread_time() - before
                rows += len(batch)
            await asyncio.sleep(0)
            await bench.durable(sequence - MOST_AHEAD)
        await bench.durable(sequence)
        elapsed = time.perf_counter() - began
        commits = bench.journal.stats().commits
        bench.journal.close()
    return f"{rows / elapsed:>11,.0f} {rows / commits:>12,.0f} {1e6 * appending / rows:>12.2f}"


async def recovery(root: Path, records: int) -> str:
    """Return how long it takes to read ``records`` back, without a scheduler's own work."""
    with tempfile.TemporaryDirectory(dir=root) as directory:
        bench = Bench(Path(directory))
        batch = lifecycle(1000)
        for _ in range(records // 1000):
            await bench.durable(bench.journal.append(batch) - MOST_AHEAD)
        bench.journal.close()
        bench = Bench(Path(directory))
        bench.journal.close()
    seconds = bench.recovery.seconds
    return f"{bench.recovery.records:,} records in {seconds:.2f} s"


async def run(root: Path, seconds: float, records: int) -> None:
    """Print the tables."""
    print("each batch waits for its sync")
    print(f"{'batch':>6} {'rows/s':>11} {'ms':>8}   {'+5 ms: rows/s':>11} {'ms':>6}")
    for size in BATCH_SIZES:
        batch = lifecycle(size)
        plain = await one_at_a_time(root, batch, seconds)
        undo = with_slower_sync(0.005)
        slow = await one_at_a_time(root, batch, seconds)
        undo()
        print(f"{size:>6} {plain} {slow}")

    print("\nbatches follow each other")
    print(f"{'batch':>6} {'rows/s':>11} {'rows/commit':>12} {'us loop/row':>12}   the same, +5 ms")
    for size in BATCH_SIZES:
        batch = lifecycle(size)
        plain = await without_waiting(root, batch, seconds)
        undo = with_slower_sync(0.005)
        slow = await without_waiting(root, batch, seconds)
        undo()
        print(f"{size:>6} {plain} {slow}")

    print("\nrecovery from the tail:", await recovery(root, records))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, help="where to write; default: TMPDIR")
    parser.add_argument("--seconds", type=float, default=1.0, help="per measurement")
    parser.add_argument("--records", type=int, default=1_000_000, help="to recover")
    options = parser.parse_args()
    asyncio.run(run(options.directory, options.seconds, options.records))


if __name__ == "__main__":
    main()
