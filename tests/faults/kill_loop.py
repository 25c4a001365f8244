"""kill -9 the service at random moments under load; nothing that clients were told may be lost.

    .venv/bin/python -m tests.faults.kill_loop [--kills 50] [--seed 0] [--data DIRECTORY]

A real ``uwfq serve`` runs on a data directory.  Submitters and workers load it and note what it
acknowledged; it is killed, starts again on the same directory and port, and so on.  The moments
are drawn from the seed: under load, while a snapshot is being made, while what the snapshot covers
is being cleared, while it starts and recovers, while it drains after a SIGTERM.  (Where exactly a
kill hits is up to the machine, so a seed gives the same plan, not the same run.)  In every other
life the directory is loaded by itself between the kill and the restart, and checked.

At the end all drains, and everything is compared.  Exit status 1: something was lost or
contradicts itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import shutil
import signal
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Final

from tests.faults import kill_audit as audit
from tests.faults.kill_clients import Client, StreamWorker, Submitter, Worker
from tests.faults.kill_ledger import ENDED, Ledger
from tests.faults.kill_service import KilledService, until_gone

SUBMITTERS: Final = 4
WORKERS: Final = 6

MOMENTS: Final = ("load", "compaction", "load", "clearing", "recovery", "draining")
#: Longest that a life is waited for a moment that does not come, seconds.
MOMENT_SECONDS: Final = 15.0
DRAIN_SECONDS: Final = 60.0

Clients = list[asyncio.Task[None]]


class KillLoop:
    """One run: a service, its clients, their ledger."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.ledger = Ledger()
        self.service = KilledService(directory / "data")
        self.losses = audit.Losses([], [])
        self.kills: Counter[str] = Counter()
        self.kills_beside_compaction = 0
        self.inspections = 0
        self._scratch = directory / "copy"
        self._enough = asyncio.Event()
        self._drained = asyncio.Event()
        self._watcher = Client(self.service, self.ledger, "watcher")
        self._submitters = [
            Submitter(self.service, self.ledger, seed, number) for number in range(SUBMITTERS)
        ]
        self._workers = [
            (StreamWorker if number % 3 == 0 else Worker)(self.service, self.ledger, seed, number)
            for number in range(WORKERS)
        ]

    @property
    def unanswered(self) -> int:
        """Calls that the kills left without an answer."""
        return sum(client.unanswered for client in (*self._submitters, *self._workers))

    async def run(self, kills: int) -> None:
        """Kill so often, then let everything drain and compare."""
        async with self._clients() as (submitting, working):
            await self.service.start()
            for kill in range(kills):
                await self._life(MOMENTS[kill % len(MOMENTS)], look=kill % 2 == 0)
                await _in_time(self._watcher.look_at_pool())
                _raise_of(submitting + working)
            self._enough.set()
            await _in_time(asyncio.gather(*submitting))
            await _in_time(self._compare_with_service())
            self._drained.set()
            await _in_time(asyncio.gather(*working))
        status = await self.service.end(signal.SIGTERM)
        assert status == 0, f"the service ended with {status}:\n{self.service.log()}"
        self._look(self.service.directory)
        self.losses = audit.compare(audit.Book.of(self.service.directory), self.ledger)
        for line in self.service.errors:
            self.ledger.object_to(f"the service logged {line}")

    @contextlib.asynccontextmanager
    async def _clients(self) -> AsyncIterator[tuple[Clients, Clients]]:
        """The clients at work: submitters and workers.  After a failure, none and no service."""
        submitting = [asyncio.create_task(each.run(self._enough)) for each in self._submitters]
        working = [asyncio.create_task(each.run(self._drained)) for each in self._workers]
        try:
            yield submitting, working
        except BaseException:
            await self.service.end(signal.SIGKILL)
            raise
        finally:
            for task in submitting + working:
                task.cancel()
            await asyncio.gather(*submitting, *working, return_exceptions=True)

    # -- killing -----------------------------------------------------------------------------------

    async def _life(self, moment: str, *, look: bool) -> None:
        """Wait for the moment, kill, have a look at what is left, start again."""
        if moment == "recovery":
            await self._kill(signal.SIGKILL)
            await self.service.spawn()
            usual = statistics.median(self.service.start_seconds)
            await asyncio.sleep(usual * self.random.uniform(0.3, 1.1))
        else:
            await self._come_to(moment)
        beside = self.service.compactions() if self.service.process.returncode is None else []
        await self._kill(signal.SIGKILL)
        self.kills[moment] += 1
        self.kills_beside_compaction += bool(beside)
        if look:
            # A compaction may go on for a moment.  In the other lives the restart meets it.
            await until_gone(beside)
            self._inspect_copy()
        await self.service.start()

    async def _come_to(self, moment: str) -> None:
        chance = self.random
        if moment == "load":
            await asyncio.sleep(chance.uniform(0.05, 1.5))
        elif moment == "compaction":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MOMENT_SECONDS):
                    while not self.service.compactions():  # noqa: ASYNC110 - nobody tells us
                        await asyncio.sleep(0.005)
            await asyncio.sleep(chance.uniform(0, 0.5))
        elif moment == "clearing":
            await self.service.wait_for("snapshot_written", MOMENT_SECONDS)
            await asyncio.sleep(chance.uniform(0, 0.02))
        elif moment == "draining":
            await asyncio.sleep(chance.uniform(0.2, 0.7))
            self.service.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(chance.uniform(0, 0.15))

    async def _kill(self, sign: signal.Signals) -> None:
        expected = {-sign, -signal.SIGKILL, 0}  # 0: it had drained before.
        status = await self.service.end(sign)
        assert status in expected, f"the service ended with {status}:\n{self.service.log()}"

    def _inspect_copy(self) -> None:
        shutil.copytree(self.service.directory, self._scratch)
        try:
            self._look(self._scratch)
        finally:
            shutil.rmtree(self._scratch)

    def _look(self, directory: Path) -> None:
        scheduler = audit.look_into(directory)
        for job_id in audit.missing_jobs(scheduler, self.ledger):
            self.ledger.object_to(f"acknowledged, but not in the data directory: {job_id}")
        for lease in scheduler.state.leases.values():
            if lease.lease_id in self.ledger.accepted.values():
                self.ledger.object_to(f"{lease!r} is live, and its result was accepted")
        self.inspections += 1

    async def _compare_with_service(self) -> None:
        """All has drained: what the service says must be what it has told before."""
        for job in await self._watcher.all_jobs():
            if job.job_id not in self.ledger.jobs:
                self.ledger.object_to(f"{job.job_id} is known, and nobody was told of it")
                continue
            if job.state not in ENDED:
                self.ledger.object_to(f"{job.job_id} has not ended")
            self.ledger.seen(job)
        pool = await self._watcher.look_at_pool()
        if pool.jobs or pool.launchable_tasks or pool.running_slots:
            self.ledger.object_to(f"not drained: {pool}")

    # -- telling -----------------------------------------------------------------------------------

    def report(self) -> str:
        """What happened, as lines."""
        service, ledger, losses = self.service, self.ledger, self.losses
        recovery = service.recovery_seconds
        moments = ", ".join(f"{count} {moment}" for moment, count in self.kills.items())
        answers = ", ".join(f"{count} {answer}" for answer, count in ledger.answers.items())
        rows = [
            ("kills", self.kills.total(), moments),
            ("  during a compaction", self.kills_beside_compaction, ""),
            ("snapshots finished", service.lines["snapshot_written"], ""),
            ("directory inspected", self.inspections, ""),
            ("calls without answer", self.unanswered, ""),
            ("acknowledged submits", len(ledger.jobs), f"{ledger.duplicates} repeated"),
            ("acknowledged results", len(ledger.accepted), f"reports: {answers}"),
            ("longest recovery", max(recovery), f"median {statistics.median(recovery)}, seconds"),
            ("lost submits", len(losses.submits), ""),
            ("lost results", len(losses.results), ""),
            ("contradictions", len(ledger.contradictions), ""),
        ]
        lines = [f"{name:22}{number:>10,}   {more}".rstrip() for name, number, more in rows]
        complaints = Counter(line[:200] for line in service.complaints)
        lines += [f"log: {line} ({count})" for line, count in complaints.most_common(10)]
        wrong = [*losses.submits, *losses.results, *ledger.contradictions]
        lines += [f"  {what}" for what in itertools.islice(wrong, 20)]
        return "\n".join(lines)

    @property
    def faultless(self) -> bool:
        """Whether nothing was lost and nothing contradicts itself."""
        return not (self.losses.submits or self.losses.results or self.ledger.contradictions)


async def _in_time(what: Awaitable[object]) -> None:
    # A call is repeated until it is answered, also where the service has ended by itself.
    async with asyncio.timeout(DRAIN_SECONDS):
        await what


def _raise_of(tasks: Clients) -> None:
    for task in tasks:
        if task.done():
            task.result()


async def kill_loop(directory: Path, kills: int, seed: int) -> KillLoop:
    """Run once in ``directory``."""
    loop = KillLoop(directory, seed)
    await loop.run(kills)
    return loop


def main() -> int:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--data", type=Path, help="directory to work in; default: temporary")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)  # noqa: T201 - a script
    with tempfile.TemporaryDirectory(prefix="uwfq-kill-") as scratch:
        loop = asyncio.run(kill_loop(args.data or Path(scratch), args.kills, args.seed))
    print(loop.report())  # noqa: T201 - a script
    return 0 if loop.faultless else 1


if __name__ == "__main__":
    sys.exit(main())
