"""The no-op server: what gRPC alone costs.

    python -m tests.load.noop_server [ACCEPTORS]

The library, the messages, the server's options and the garbage collector are the service's; the
handlers are empty.  Requests are parsed, and each is answered with a message of the shape that the
service would send (as many leases as were asked for, as many acknowledgements as there were
results), which was built once and is serialised for every call.  With ``ACCEPTORS`` above 1 it
takes calls in as the service does (``server/acceptors.py``), else by one gRPC server, as most
programs do.

Logs ``serving`` with its address, as the service does, and runs until SIGTERM.
"""

from __future__ import annotations

import asyncio
import functools
import json
import signal
import sys
from collections.abc import AsyncIterator

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import scheduler_service_pb2_grpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.server.acceptors import Acceptors
from uwfq_service.server.app import channel_options, tune_garbage_collector
from uwfq_service.server.config import load

_SUBMITTED = rpc.SubmitJobResponse(
    job_id="job-1000000",
    virtual_deadline=1234.5,
    predicted_finish_seconds=12.5,
    estimated_work_slot_seconds=1.0,
    splits=[
        types.StageSplit(
            stage="only",
            task_count=1,
            estimated_work_slot_seconds=1.0,
            estimate_source=types.ESTIMATE_SOURCE_DECLARED,
            advisory_task_runtime_seconds=0.75,
            reason=types.SPLIT_REASON_CALLER,
        )
    ],
)


def _lease(number: int) -> types.TaskLease:
    return types.TaskLease(
        lease_id=1_000_000 + number,
        job_id="job-1000000",
        user="user-50",
        signature="query",
        stage="only",
        task_count=100,
        slots=1,
        task_index=number,
        attempt=1,
        expires_in_seconds=3600.0,
        estimated_runtime_seconds=0.05,
    )


def _acks(count: int) -> list[types.TaskResultAck]:
    accepted = types.TASK_RESULT_STATUS_ACCEPTED
    return [types.TaskResultAck(lease_id=1_000_000 + n, status=accepted) for n in range(count)]


@functools.cache
def _leased(leases: int, results: int) -> rpc.NextTaskResponse:
    return rpc.NextTaskResponse(
        leases=[_lease(number) for number in range(leases)], done_acks=_acks(results)
    )


@functools.cache
def _done(results: int) -> rpc.TaskDoneResponse:
    return rpc.TaskDoneResponse(acks=_acks(results))


class Noop(scheduler_service_pb2_grpc.SchedulerServiceServicer):
    """Answers at once."""

    async def SubmitJob(  # noqa: N802 - the names are gRPC's.
        self, request: rpc.SubmitJobRequest, context: object
    ) -> rpc.SubmitJobResponse:
        """Admit nothing."""
        return _SUBMITTED

    async def NextTask(  # noqa: N802
        self, request: rpc.NextTaskRequest, context: object
    ) -> rpc.NextTaskResponse:
        """Lease nothing that exists."""
        return _leased(request.max_tasks, len(request.done))

    async def TaskDone(  # noqa: N802
        self, request: rpc.TaskDoneRequest, context: object
    ) -> rpc.TaskDoneResponse:
        """Believe everything."""
        return _done(len(request.results))

    async def Work(  # noqa: N802
        self, request_iterator: AsyncIterator[rpc.WorkRequest], context: object
    ) -> AsyncIterator[rpc.WorkResponse]:
        """Polls only."""
        async for request in request_iterator:
            poll = request.next_task
            yield rpc.WorkResponse(
                sequence=request.sequence, next_task=_leased(poll.max_tasks, len(poll.done))
            )


async def serve(acceptors: int) -> None:
    """Serve until SIGTERM."""
    noop = Noop()  # type: ignore[abstract]  # what no profile calls is UNIMPLEMENTED
    server = Acceptors("127.0.0.1:0", channel_options(load({})), acceptors)
    server.add(
        lambda each: scheduler_service_pb2_grpc.add_SchedulerServiceServicer_to_server(noop, each)
    )
    port = server.bind(None)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await server.start()
    tune_garbage_collector()
    print(json.dumps({"event": "serving", "listen": f"127.0.0.1:{port}"}), file=sys.stderr)
    await stop.wait()
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
