"""The service that ``bench_service.py`` measures: ours, and a no-op method beside it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq_service.core import events as ev
from uwfq_service.server import app, logs
from uwfq_service.server.config import load
from uwfq_service.store.journal import JournalStats

POOLS = ("submitted", "leased", "cycled")
NOOP = "/uwfq.bench.Bench/Noop"
COUNTERS = "/uwfq.bench.Bench/Counters"


class Counters:
    """Counts what became durable."""

    def __init__(self) -> None:
        self.jobs = self.leased = self.done = 0

    def __call__(self, events: Sequence[ev.AnyEvent]) -> None:
        """Observe events."""
        for event in events:
            kind = type(event)
            if kind is ev.JobAdmitted:
                self.jobs += 1
            elif isinstance(event, ev.TasksLeased):
                self.leased += len(event.tasks)
            elif isinstance(event, ev.TasksFinished):
                self.done += len(event.leases)


def bench_handlers(
    counters: Counters, stats: Callable[[], JournalStats]
) -> grpc.GenericRpcHandler[Any, Any]:
    """The no-op (a small message each way), and the counters as JSON."""
    answer = rpc.GetJobResponse()

    async def noop(_: rpc.GetJobRequest, __: object) -> rpc.GetJobResponse:
        return answer

    async def count(_: bytes, __: object) -> bytes:
        return json.dumps({**vars(counters), "commits": stats().commits}).encode()

    return grpc.method_handlers_generic_handler(
        "uwfq.bench.Bench",
        {
            "Noop": grpc.unary_unary_rpc_method_handler(
                noop, rpc.GetJobRequest.FromString, rpc.GetJobResponse.SerializeToString
            ),
            "Counters": grpc.unary_unary_rpc_method_handler(count),
        },
    )


async def serve(data: str) -> None:
    """Serve until SIGTERM; the port goes to standard output."""
    counters = Counters()
    config = load(
        {
            "listen": "127.0.0.1:0",
            "data": data,
            "scheduling.lease_seconds": 3600,
            "scheduling.worker_timeout": 3600,
            **{f"pools.{pool}.policy": "uwfq" for pool in POOLS},
        }
    )
    logs.configure("info", "json")
    # The server is made with its handlers, and has its journal later.
    handlers = bench_handlers(counters, lambda: server.journal.stats())  # noqa: PLW0108
    server = app.Server(config, observers=[counters], handlers=[handlers])
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.request_stop)
    async with server:
        app.tune_garbage_collector()
        print(server.port, flush=True)
        await server.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
