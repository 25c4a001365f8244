"""Answers to workers as protobuf's own classes build them: what ``server/wire.py`` must write.

Plainly, one field after the other; the service writes the same bytes' worth by hand, for speed.
"""

from __future__ import annotations

from collections.abc import Sequence

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.core import replies
from uwfq_service.core.model import Lease
from uwfq_service.server import convert


def next_task_response(reply: replies.NextTaskReply) -> rpc.NextTaskResponse:
    """What to run."""
    response = convert.next_task_rest(reply)
    response.done_acks.extend(_acks(reply.done_acks))
    response.started_acks.extend(_acks(reply.started_acks))
    response.leases.extend(
        _lease(lease, expires_in)
        for lease, expires_in in zip(reply.leases, reply.expires_in, strict=True)
    )
    return response


def task_done_response(reply: replies.TaskDoneReply) -> rpc.TaskDoneResponse:
    """What became of the results."""
    return rpc.TaskDoneResponse(acks=_acks(reply.acks))


def _lease(lease: Lease, expires_in: float) -> types.TaskLease:
    stage = lease.stage
    job = stage.job
    return types.TaskLease(
        lease_id=lease.lease_id,
        job_id=job.job_id,
        user=job.user.name,
        kind=job.kind,
        signature=job.signature,
        stage=stage.name,
        payload=stage.spec.payload,
        labels=job.labels,
        task_count=stage.task_count,
        slots=lease.slots,
        time_limit_seconds=stage.spec.task_timeout,
        task_index=lease.task,
        attempt=lease.attempt,
        range=convert.input_range(stage, lease.task) if stage.spec.bounds else None,
        expires_in_seconds=expires_in,
        estimated_runtime_seconds=lease.estimate / lease.slots,
    )


def _acks(acks: Sequence[replies.Ack]) -> list[types.TaskResultAck]:
    # The core's statuses are numbered as the protocol's.
    return [
        types.TaskResultAck(
            lease_id=ack.lease_id, status=types.TaskResultStatus.ValueType(ack.status)
        )
        for ack in acks
    ]
