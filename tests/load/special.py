"""What pairs with the no-op server do not show: held state, idle workers, waking, overload.

Each function starts services of its own, measures and returns its figures.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.bench.measuring import ServerProcess, interval, quantile
from tests.load import calls, fill, profiles
from tests.load.calls import Preparer
from tests.load.ghz import Ghz
from tests.load.profiles import CONNECTIONS
from tests.load.servers import UNLIMITED, start_service
from uwfq.v1 import types_pb2 as types

Step = Callable[[str], None]
Figures = dict[str, Any]

#: Users and jobs of the two services that are compared.
MANY: Final = (10_000, 100_000)
FEW: Final = (10, 100)
IN_FLIGHT: Final = 50
#: How long a worker's poll is parked, seconds; the Python client's default.
POLL_SECONDS: Final = 30.0
MAX_INBOX: Final = 20
MAX_JOBS: Final = 1_000


@asynccontextmanager
async def _preparing(server: ServerProcess) -> AsyncIterator[Preparer]:
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(server.address, options=options) as channel:
        yield Preparer(channel)


@contextmanager
def _ending(*servers: ServerProcess) -> Any:
    """The servers are killed at the end, whatever happens."""
    try:
        yield
    finally:
        for server in servers:
            server.kill()


# -- state that is held ----------------------------------------------------------------------------


async def held(
    ghz: Ghz,
    scratch: Path,
    *,
    seconds: float,
    rounds: int,
    step: Step,
    many: tuple[int, int] = MANY,
) -> Figures:
    """NextTask at half the saturation rate, with much and with little waiting, in turn."""
    sizes = {"many": many, "few": FEW}
    servers: dict[str, ServerProcess] = {}
    for name, size in sizes.items():
        command = [sys.executable, "-m", fill.__name__, str(scratch / name), *map(str, size)]
        filling = await asyncio.create_subprocess_exec(*command)
        assert await filling.wait() == 0, "the jobs to be held were not admitted"
        servers[name] = start_service(scratch, *UNLIMITED, data=scratch / name)
        step(f"{size[1]:,} jobs of {size[0]:,} users wait")
    latencies: dict[str, list[list[float]]] = {name: [] for name in servers}
    with _ending(*servers.values()):
        rates = {}
        for name, server in servers.items():
            async with _preparing(server) as preparer:
                waiting = await preparer.count(calls.LEASED)
                assert waiting.jobs == sizes[name][1], f"{waiting} are held"
            await _lease(ghz, server, max(200, int(500 * seconds)))
            took = await _lease(ghz, server, max(200, int(1_500 * seconds)))
            rates[name] = took.calls / took.seconds
        rps = max(1, int(min(rates.values()) / 2))
        for turn in range(rounds):
            for name in sorted(servers, reverse=turn % 2 == 1):
                took = await _lease(ghz, servers[name], int(rps * seconds), rps=rps)
                latencies[name].append(sorted(took.latencies))
            step(f"NextTask at {rps} a second")
        peak = servers["many"].peak_bytes()
    tails = {name: [quantile(each, 0.99) for each in found] for name, found in latencies.items()}
    pairs = zip(tails["many"], tails["few"], strict=True)
    return {
        "users": many[0],
        "jobs": many[1],
        "saturation_calls_per_second": rates,
        "offered_calls_per_second": rps,
        "p50_ms": {name: _all(found, 0.5) for name, found in latencies.items()},
        "p99_ms": {name: _all(found, 0.99) for name, found in latencies.items()},
        "p99_ratio": interval([much / little for much, little in pairs]),
        "peak_bytes": peak,
    }


async def _lease(ghz: Ghz, server: ServerProcess, count: int, **more: object) -> Any:
    """So many polls, checked; afterwards all goes back."""
    async with _preparing(server) as preparer:
        before = await preparer.count(calls.LEASED)
        sendings = await profiles.next_task(preparer, count)
        outcome = await profiles.NEXT_TASK.run(ghz, server.address, sendings, IN_FLIGHT, **more)
        assert set(outcome.statuses) == {"OK"}, outcome.statuses
        await profiles.check(preparer, sendings, {calls.LEASED: before})
    return outcome


def _all(slices: Sequence[Sequence[float]], part: float) -> float:
    """A quantile over all slices, milliseconds."""
    return quantile(sorted(each for found in slices for each in found), part) * 1e3


# -- workers that wait -----------------------------------------------------------------------------


async def idle(
    ghz: Ghz, scratch: Path, *, step: Step, workers: int = 500, seconds: float = POLL_SECONDS
) -> Figures:
    """Server CPU while so many workers do nothing but poll, each for ``seconds``.

    The window is as long as a poll, so that every worker polls anew once within it.
    """
    server = start_service(scratch, *UNLIMITED)
    with _ending(server):
        async with _preparing(server) as preparer:
            requests = calls.polls("default", 4 * workers, workers=workers, wait_seconds=seconds)
            polling = asyncio.create_task(
                ghz.run(
                    "next_task",
                    server.address,
                    requests,
                    in_flight=workers,
                    connections=min(workers, 50),
                    timeout=f"{seconds + 20}s",
                )
            )
            while await preparer.workers("default") < workers:
                assert not polling.done(), "the polls ended before all workers were there"
                await asyncio.sleep(0.05)
            await asyncio.sleep(seconds / 10)
            step(f"{workers} workers are parked")
            began, cpu = time.monotonic(), server.cpu_seconds()
            await asyncio.sleep(seconds)
            share = (server.cpu_seconds() - cpu) / (time.monotonic() - began)
            alive = await preparer.workers("default")
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)
        peak = server.peak_bytes()
    step(f"{workers} workers were idle for {seconds:g} s")
    return {
        "workers": alive,
        "poll_seconds": seconds,
        "core_share": share,
        "peak_bytes": peak,
    }


# -- waking ----------------------------------------------------------------------------------------


async def wake_up(ghz: Ghz, scratch: Path, *, seconds: float, step: Step) -> Figures:
    """From a submission until a parked poll of another client has the task.

    Alone, and while ghz submits to another pool at half of what the service can take.
    """
    pools = [f"--set=pools.{pool}.policy=uwfq" for pool in (calls.SUBMITTED, "woken")]
    server = start_service(scratch, *UNLIMITED, *pools)
    with _ending(server):
        async with _preparing(server) as preparer:
            full: Any = None
            # The first warms up.
            for count in (max(100, int(300 * seconds)), max(100, int(1_000 * seconds))):
                full = await _submit(ghz, server, count)
            rps = max(1, int(full.calls / full.seconds / 2))
            quiet = await _wake(preparer, for_seconds=seconds / 2)
            step("parked polls are woken, otherwise idle")
            offering = asyncio.create_task(_submit(ghz, server, int(2 * rps * seconds), rps=rps))
            before = (await preparer.count(calls.SUBMITTED)).jobs
            while (await preparer.count(calls.SUBMITTED)).jobs == before:
                assert not offering.done(), "ghz has offered nothing"
                await asyncio.sleep(0.01)
            loaded = await _wake(preparer, until=offering)
            outcome = await offering
        assert set(outcome.statuses) == {"OK"}, outcome.statuses
    step(f"parked polls are woken, at {rps} submissions a second")
    return {
        "saturation_calls_per_second": full.calls / full.seconds,
        "offered_calls_per_second": rps,
        "achieved_calls_per_second": outcome.calls / outcome.seconds,
        "wakes": len(loaded),
        "quiet_ms": {"p50": _all([quiet], 0.5), "p99": _all([quiet], 0.99)},
        "loaded_ms": {"p50": _all([loaded], 0.5), "p99": _all([loaded], 0.99)},
    }


async def _submit(ghz: Ghz, server: ServerProcess, count: int, **more: object) -> Any:
    return await ghz.run(
        "submit_job",
        server.address,
        calls.submissions(calls.SUBMITTED, count),
        in_flight=IN_FLIGHT,
        connections=CONNECTIONS,
        **more,
    )


async def _wake(
    preparer: Preparer,
    *,
    for_seconds: float = float("inf"),
    until: asyncio.Task[Any] | None = None,
) -> list[float]:
    """Seconds from submission to lease, one after the other."""
    chance = random.Random(1)
    found: list[float] = []
    (poll,) = calls.polls("woken", 1, wait_seconds=30.0)
    end = time.monotonic() + for_seconds
    while time.monotonic() < end and not (until and until.done()):
        waiting = asyncio.ensure_future(preparer.jobs.NextTask(poll))
        # Time to be parked.
        await asyncio.sleep(chance.uniform(0.01, 0.03))
        (request,) = calls.submissions("woken", 1, seed=len(found))
        began = time.perf_counter()
        submitting = asyncio.ensure_future(preparer.jobs.SubmitJob(request))
        response = await waiting
        found.append(time.perf_counter() - began)
        await submitting
        assert len(response.leases) == 1, response
        del poll.done[:]
        poll.done.extend(calls.results(response.leases))
    return found


# -- too much --------------------------------------------------------------------------------------


async def overload(ghz: Ghz, scratch: Path, *, seconds: float, step: Step) -> Figures:
    """Far more than small limits allow: refusals, memory, and how it is afterwards."""
    limits = (f"--set=server.max_inbox={MAX_INBOX}", f"--set=limits.max_jobs_per_pool={MAX_JOBS}")
    pools = [f"--set=pools.{pool}.policy=uwfq" for pool in calls.POOLS]
    server = start_service(scratch, *UNLIMITED, *limits, *pools)
    pool = calls.SUBMITTED
    with _ending(server):
        async with _preparing(server) as preparer:
            refused: Counter[str] = Counter()
            statuses: Counter[str] = Counter()
            memory = []
            # A burst is too much for the inbox; then the backlog fills; then as much again.
            refused += await _refusals(preparer, pool)
            for _ in range(2):
                while True:
                    outcome = await ghz.run(
                        "submit_job",
                        server.address,
                        calls.submissions(pool, max(2 * MAX_JOBS, int(4_000 * seconds))),
                        in_flight=200,
                        connections=CONNECTIONS,
                    )
                    statuses += outcome.statuses
                    if (await preparer.count(pool)).jobs == MAX_JOBS:
                        break
                refused += await _refusals(preparer, pool)
                memory.append(server.peak_bytes())
                step(f"{statuses.total():,} submissions, limits {MAX_INBOX} and {MAX_JOBS:,}")
            full = await preparer.count(pool)
            assert set(statuses) == {"OK", "ResourceExhausted"}, statuses
            assert full.jobs == MAX_JOBS, f"{full} with a limit of {MAX_JOBS}"
            await _drain(preparer, pool)
            # Once more, with no more in flight than the inbox takes.
            accepted = await ghz.run(
                "submit_job",
                server.address,
                calls.submissions(pool, MAX_JOBS // 2),
                in_flight=MAX_INBOX // 2,
                connections=1,
            )
            assert set(accepted.statuses) == {"OK"}, accepted.statuses
            assert (await preparer.count(pool)).jobs == MAX_JOBS // 2, "after the overload"
            step("accepted again")
        server.stop()
    return {
        "max_inbox": MAX_INBOX,
        "max_jobs": MAX_JOBS,
        "statuses": dict(statuses),
        "refusals_with_retry_info": dict(refused),
        "peak_bytes_when_full": memory[0],
        "peak_bytes_after_as_many_again": memory[1],
        "accepted_afterwards": accepted.calls,
    }


async def _refusals(preparer: Preparer, pool: str) -> Counter[str]:
    """What refusals say: reasons, and that each carries a RetryInfo."""
    burst = calls.submissions(pool, 10 * MAX_INBOX)
    answers = await asyncio.gather(
        *(preparer.jobs.SubmitJob(request) for request in burst), return_exceptions=True
    )
    reasons: Counter[str] = Counter()
    for answer in answers:
        if isinstance(answer, BaseException):
            assert isinstance(answer, grpc.aio.AioRpcError), answer
            assert answer.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, answer
            details = rpc_status.from_call(cast(Any, answer))
            assert details is not None, "a refusal without details"
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            assert any(each.Unpack(info) for each in details.details), details
            assert any(each.Unpack(retry) for each in details.details), details
            delay = retry.retry_delay.ToMilliseconds()
            assert delay > 0, details
            reasons[f"{info.reason}, retry after {delay} ms"] += 1
    return reasons


async def _drain(preparer: Preparer, pool: str) -> None:
    """Lease and complete all."""
    (poll,) = calls.polls(pool, 1, 1_000)
    while True:
        response = await preparer.jobs.NextTask(poll)
        assert all(ack.status == types.TASK_RESULT_STATUS_ACCEPTED for ack in response.done_acks), (
            "a result was not accepted"
        )
        del poll.done[:]
        poll.done.extend(calls.results(response.leases))
        if not response.leases:
            return
