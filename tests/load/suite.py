"""A and B in turn: every profile against the service and the no-op server, round by round.

A slice is one run of ghz.  In each round the order of the profiles is drawn anew, and who comes
first within a pair; a figure of the service is compared with that of the no-op server from the
same pair, seconds apart, so that a machine that is busy for a while favours neither.  The no-op
server is measured against itself, too: what that pair differs by is noise; and against one that
takes calls in by several acceptors, as the service does: so much of a ratio is due to those.
"""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import grpc

from tests.bench.measuring import ServerProcess
from tests.load import calls
from tests.load.calls import Preparer
from tests.load.ghz import Ghz
from tests.load.profiles import SUBMIT_JOB, Profile, Sending, check
from tests.load.servers import UNLIMITED, start_noop, start_service
from uwfq_service.server.acceptors import ACCEPTORS

#: Measured in the service's place: the no-op server, and one with the service's acceptors.
AGAIN: Final = "no-op again"
ACCEPTING: Final = f"no-op, {ACCEPTORS} acceptors"
STAND_INS: Final = (AGAIN, ACCEPTING)
IN_FLIGHT: Final = (50, 200)


class Slice(NamedTuple):
    """What one run of ghz against one server measured."""

    calls: int
    tasks: int
    seconds: float
    #: Server CPU.
    cpu_seconds: float
    #: CPU of ghz itself, its start included.
    ghz_cpu_seconds: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        """Calls per second, or tasks where calls carry several."""
        return self.tasks / self.seconds

    @property
    def cpu_us(self) -> float:
        """Server CPU per call (or task), microseconds."""
        return self.cpu_seconds / self.tasks * 1e6

    @property
    def ghz_cpu_us(self) -> float:
        """CPU of ghz per call (or task), microseconds."""
        return self.ghz_cpu_seconds / self.tasks * 1e6


class Pair(NamedTuple):
    """Two slices with the same messages, one after the other."""

    service: Slice
    noop: Slice


class Row(NamedTuple):
    """One line of the report: a profile at one level of load, over all rounds."""

    profile: Profile
    in_flight: int
    #: ``AGAIN`` or ``ACCEPTING``; ``None``: the service.
    stand_in: str | None
    pairs: list[Pair]

    @property
    def name(self) -> str:
        """How the report calls it."""
        return self.stand_in or self.profile.name


class Suite:
    """One service and one no-op server, side by side."""

    def __init__(self, ghz: Ghz, scratch: Path, *, seconds: float) -> None:
        self._ghz = ghz
        self._scratch = scratch
        self._seconds = seconds
        self._random = random.Random(1)
        self.rows: list[Row] = []
        #: Peak memory of the service and of the no-op server, bytes.
        self.peaks = (0, 0)

    def plan(self, profiles: Sequence[Profile]) -> int:
        """Set out the rows; the number of pairs in a round."""
        for profile in profiles:
            levels = IN_FLIGHT if profile.tasks_per_call == 1 else IN_FLIGHT[:1]
            self.rows += [Row(profile, in_flight, None, []) for in_flight in levels]
        self.rows += [
            Row(SUBMIT_JOB, level, stand_in, []) for stand_in in STAND_INS for level in IN_FLIGHT
        ]
        return len(self.rows)

    async def run(self, rounds: int, step: Callable[[str], None]) -> None:
        """Measure; ``step`` is told after each pair what was measured."""
        pools = [f"--set=pools.{pool}.policy=uwfq" for pool in calls.POOLS]
        self.service = start_service(self._scratch, *UNLIMITED, *pools)
        self.noop = start_noop(self._scratch)
        self.accepting = start_noop(self._scratch, ACCEPTORS)
        try:
            async with grpc.aio.insecure_channel(
                self.service.address, options=[("grpc.max_receive_message_length", -1)]
            ) as channel:
                self._preparer = Preparer(channel)
                sizes = {row.name: await self._calls(row.profile) for row in self.rows}
                for _ in range(rounds):
                    order = list(self.rows)
                    self._random.shuffle(order)
                    for row in order:
                        row.pairs.append(await self._pair(row, sizes[row.name]))
                        step(f"{row.name}, {row.in_flight} in flight")
            self.peaks = (self.service.peak_bytes(), self.noop.peak_bytes())
            self.service.stop()
        finally:
            self.service.kill()
            self.noop.kill()
            self.accepting.kill()

    async def _calls(self, profile: Profile) -> int:
        """How many calls the service answers in a slice; measuring that warms both up."""
        count = 300 if profile.tasks_per_call == 1 else 30
        sendings = await profile.prepare(self._preparer, count)
        warm = await self._slice(profile, self.noop, sendings, IN_FLIGHT[0])
        warm = await self._slice(profile, self.service, sendings, IN_FLIGHT[0])
        return max(count, int(warm.calls / warm.seconds * self._seconds))

    async def _pair(self, row: Row, count: int) -> Pair:
        sendings = await row.profile.prepare(self._preparer, count)
        stand_ins = {None: self.service, AGAIN: self.noop, ACCEPTING: self.accepting}
        first, second = stand_ins[row.stand_in], self.noop
        turned = self._random.random() < 0.5
        servers = [second, first] if turned else [first, second]
        slices = [
            await self._slice(row.profile, server, sendings, row.in_flight) for server in servers
        ]
        return Pair(*(reversed(slices) if turned else slices))

    async def _slice(
        self, profile: Profile, server: ServerProcess, sendings: Sequence[Sending], in_flight: int
    ) -> Slice:
        before = {each.pool: await self._preparer.count(each.pool) for each in sendings}
        cpu, ghz_cpu = server.cpu_seconds(), _children_cpu_seconds()
        outcome = await profile.run(self._ghz, server.address, sendings, in_flight)
        cpu, ghz_cpu = server.cpu_seconds() - cpu, _children_cpu_seconds() - ghz_cpu
        assert set(outcome.statuses) == {"OK"}, f"{profile.name}: {outcome.statuses}"
        if server is self.service:
            await check(self._preparer, sendings, before)
        sent = sum(len(each.messages) for each in sendings)
        assert profile.stream or outcome.calls == sent, f"{outcome.calls} calls of {sent}"
        tasks = sent * profile.tasks_per_call
        latencies = [] if profile.stream else outcome.latencies
        return Slice(sent, tasks, outcome.seconds, cpu, ghz_cpu, latencies)


def _children_cpu_seconds() -> float:
    """CPU of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
