"""The first of the leases that a worker holds, for ``profiles/task_done.json``.

    export FIRST_LEASE=$(.venv/bin/python -m tests.load.first_lease)
    .venv/bin/python -m tests.load.first_lease 127.0.0.1:7171

ghz shows no answers, and nobody can know beforehand: leases are numbered from the clock's reading
on, one by one.
"""

from __future__ import annotations

import sys

import grpc

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import scheduler_service_pb2_grpc as stubs

#: As ``profiles/next_task.json`` calls itself.
WORKER = "ghz"


def first_lease(target: str) -> int:
    """The lowest number; renewing all that the worker holds tells them."""
    with grpc.insecure_channel(target) as channel:
        answer = stubs.SchedulerServiceStub(channel).RenewLeases(
            rpc.RenewLeasesRequest(worker_id=WORKER), timeout=30
        )
    if not answer.renewals:
        raise SystemExit(f"error: worker {WORKER} holds no lease at {target}")
    return min(renewal.lease_id for renewal in answer.renewals)


if __name__ == "__main__":
    print(first_lease(*sys.argv[1:] or ["127.0.0.1:7170"]))
