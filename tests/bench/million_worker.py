"""A worker of ``bench_million.py``: takes batches, does nothing, reports them with the next poll.

    python -m tests.bench.million_worker TARGET NAME BATCH LANES

Each lane is a worker of its own for the service, with one poll under way: while one lane's answer
is being read, the service has the others to decide.  A poll that gets no answer is repeated as it
was, so that a service that was killed in between neither loses a result nor leases a task twice.

Prints its totals as a JSON line when they have changed, at most ten times a second, and runs until
it is terminated.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable

import grpc

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import scheduler_service_pb2_grpc
from uwfq.v1 import types_pb2 as types

WAIT_SECONDS = 0.5
#: What each task is said to have taken.
RUNTIME_SECONDS = 0.001
PRINT_SECONDS = 0.1

SUCCESS = types.TaskSuccess(runtime_seconds=RUNTIME_SECONDS)


class Lane:
    """One worker of the service."""

    def __init__(self, channel: grpc.Channel, name: str, batch: int) -> None:
        self._stub = scheduler_service_pb2_grpc.SchedulerServiceStub(channel)
        self._poll = rpc.NextTaskRequest(
            worker_id=name,
            slots=batch,
            free_slots=batch,
            max_tasks=batch,
            wait_seconds=WAIT_SECONDS,
        )
        self._repeated = False
        self._answer: grpc.CallFuture[rpc.NextTaskResponse]
        self._next(())

    def _next(self, leases: Iterable[types.TaskLease]) -> None:
        poll = self._poll
        poll.poll_id += 1
        del poll.done[:]
        for lease in leases:
            poll.done.add(lease_id=lease.lease_id, attempt=lease.attempt, success=SUCCESS)
        self._repeated = False
        self._answer = self._stub.NextTask.future(poll)

    def step(self) -> Counter[str]:
        """Wait for the answer and send the next poll; what became of the results."""
        try:
            answer = self._answer.result()
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            time.sleep(0.02)
            self._repeated = True
            self._answer = self._stub.NextTask.future(self._poll)
            return Counter(unanswered=1)
        repeated = self._repeated
        self._next(answer.leases)
        counts: Counter[str] = Counter()
        for ack in answer.done_acks:
            if ack.status == types.TASK_RESULT_STATUS_ACCEPTED:
                counts["accepted"] += 1
            elif ack.status == types.TASK_RESULT_STATUS_SUPERSEDED and repeated:
                # The answer that was lost had accepted it.
                counts["accepted_unheard"] += 1
            else:
                counts["refused"] += 1
        return counts


def main(target: str, name: str, batch: int, lanes: int) -> None:
    """Work until terminated."""
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 200),
    ]
    with grpc.insecure_channel(target, options=options) as channel:
        totals: Counter[str] = Counter()
        printed: Counter[str] = Counter()
        due = 0.0
        all_lanes = [Lane(channel, f"{name}-{lane}", batch) for lane in range(lanes)]
        while True:
            for lane in all_lanes:
                totals.update(lane.step())
            now = time.monotonic()
            if now < due:
                continue
            due = now + PRINT_SECONDS
            if totals != printed:
                printed = totals.copy()
                print(json.dumps({**totals, "cpu": time.process_time()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
