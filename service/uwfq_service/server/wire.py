"""Answers to workers, written as bytes: leases and acknowledgements, which come by the thousand.

What a lease says of its job and stage (names, payload, labels: most of its bytes) is encoded once
per stage and kept; per lease only its own fields are written behind that.  A protobuf reader takes
the fields of a message in any order, so the result is the message that protobuf's classes would
build, for a quarter of the time (1 us a lease).  ``tests/unit/server/test_wire.py`` compares them.

Wire format, in one paragraph: a field is a key (number x 8 + type) and a value; type 0 is a varint
(seven bits per byte, lowest first, the top bit says "more"), 1 a little-endian double, 2 a length
and so many bytes.  https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from struct import Struct
from typing import Final

from uwfq.v1 import types_pb2 as types
from uwfq_service.core.replies import Ack, AckStatus, NextTaskReply, TaskDoneReply
from uwfq_service.core.stage import Stage
from uwfq_service.server import convert

#: Encoded stages are kept up to this many bytes, then all are forgotten.
CACHE_BYTES: Final = 16 * 1024 * 1024

_LEASES: Final = b"\x0a"  # NextTaskResponse.leases = 1
_DONE_ACKS: Final = b"\x12"  # NextTaskResponse.done_acks = 2
_STARTED_ACKS: Final = b"\x1a"  # NextTaskResponse.started_acks = 3
_ACKS: Final = b"\x0a"  # TaskDoneResponse.acks = 1
_ACKED_LEASE: Final = b"\x08"  # TaskResultAck.lease_id = 1
#: TaskResultAck.status = 2 with its value.
_ACKED: Final = [bytes((0x10, status)) for status in range(max(AckStatus) + 1)]
_LEASE_ID: Final = b"\x08"  # TaskLease.lease_id = 1
_TASK_INDEX: Final = b"\x60"  # TaskLease.task_index = 12
_ATTEMPT: Final = b"\x68"  # TaskLease.attempt = 13
_RANGE: Final = b"\x72"  # TaskLease.range = 14
#: TaskLease.expires_in_seconds = 15 and estimated_runtime_seconds = 16.
_SECONDS: Final = Struct("<BdHd")
_EXPIRES_KEY: Final = 0x79
_RUNTIME_KEY: Final = 0x0181

#: Varints of 14 bits, and their first two bytes when more follow.
_SHORT: Final = [bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7]) for n in range(1 << 14)]
_MORE: Final = [bytes([n & 127 | 128, n >> 7 | 128]) for n in range(1 << 14)]
_LONGEST_VARINT: Final = 10


def varint(number: int) -> bytes:
    """A whole number, not negative."""
    if number < 1 << 14:
        return _SHORT[number]
    rest = number >> 14
    return _MORE[number & 0x3FFF] + (_SHORT[rest] if rest < 1 << 14 else _upper(rest))


@functools.lru_cache(maxsize=64)
def _upper(number: int) -> bytes:
    """Of leases, which are numbered from the clock's reading on, it hardly ever changes."""
    return varint(number)


def task_done_response(reply: TaskDoneReply) -> bytes:
    """The TaskDoneResponse for a reply."""
    return b"".join(_acks(_ACKS, reply.acks))


def _acks(key: bytes, acks: Sequence[Ack]) -> list[bytes]:
    #: What stands before a lease's number, by its length.
    heads = [key + varint(length + 3) + _ACKED_LEASE for length in range(_LONGEST_VARINT + 1)]
    parts: list[bytes] = []
    for ack in acks:
        lease_id = varint(ack.lease_id)
        parts += (heads[len(lease_id)], lease_id, _ACKED[ack.status])
    return parts


def _end_of_lease(attempt: int, expires_in: float, estimate: float, slots: int) -> bytes:
    seconds = _SECONDS.pack(_EXPIRES_KEY, expires_in, _RUNTIME_KEY, estimate / slots)
    return _ATTEMPT + varint(attempt) + seconds


def _covered(stage: Stage, task: int) -> bytes:
    """The part of the input that a task covers."""
    covered = convert.input_range(stage, task).SerializeToString()
    return _RANGE + varint(len(covered)) + covered


class LeaseEncoder:
    """Writes NextTaskResponses; one for a service, for it remembers stages."""

    def __init__(self, cache_bytes: int = CACHE_BYTES) -> None:
        self._cache_bytes = cache_bytes
        self._stages: dict[int, bytes] = {}
        self._cached = 0

    def response(self, reply: NextTaskReply) -> bytes:
        """The NextTaskResponse for a reply."""
        parts = self._leases(reply)
        if reply.done_acks:
            parts += _acks(_DONE_ACKS, reply.done_acks)
        if reply.started_acks:
            parts += _acks(_STARTED_ACKS, reply.started_acks)
        if reply.revoked or reply.ranking:
            parts.append(convert.next_task_rest(reply).SerializeToString())
        return b"".join(parts)

    def _leases(self, reply: NextTaskReply) -> list[bytes]:
        parts: list[bytes] = []
        stage: Stage | None = None
        numbers: tuple[float, ...] | None = None
        fixed = end = b""
        # Those of one stage come together, most of them alike but for their number and task.
        for lease, expires_in in zip(reply.leases, reply.expires_in, strict=True):
            if lease.stage is not stage:
                stage, numbers = lease.stage, None
                fixed = self._stages.get(stage.key) or self._remember(stage)
            if numbers != (lease.attempt, expires_in, lease.estimate):
                numbers = (lease.attempt, expires_in, lease.estimate)
                end = _end_of_lease(*numbers, stage.slots_per_task)
            lease_id, task = varint(lease.lease_id), varint(lease.task)
            covered = _covered(stage, lease.task) if stage.spec.bounds else b""
            length = len(fixed) + len(lease_id) + len(task) + len(end) + len(covered) + 1
            parts += (_LEASES, varint(length), fixed, lease_id, _TASK_INDEX, task, end, covered)
        return parts

    def _remember(self, stage: Stage) -> bytes:
        """Encode what all leases of a stage have in common, and the key of a lease's number."""
        job = stage.job
        common = types.TaskLease(
            job_id=job.job_id,
            user=job.user.name,
            kind=job.kind,
            signature=job.signature,
            stage=stage.name,
            payload=stage.spec.payload,
            labels=job.labels,
            task_count=stage.task_count,
            slots=stage.slots_per_task,
            time_limit_seconds=stage.spec.task_timeout,
        )
        fixed = common.SerializeToString() + _LEASE_ID
        self._cached += len(fixed)
        if self._cached > self._cache_bytes:
            self._stages.clear()
            self._cached = len(fixed)
        self._stages[stage.key] = fixed
        return fixed


def work_response(sequence: int, field: int, body: bytes) -> bytes:
    """A WorkResponse around an encoded answer; ``field`` is its number in the oneof."""
    return b"\x08" + varint(sequence) + bytes((field << 3 | 2,)) + varint(len(body)) + body
