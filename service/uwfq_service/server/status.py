"""From the core's errors to gRPC statuses: one table, following AIP-193.

Every refusal carries ``google.rpc`` details that a program can read without parsing text: which
field is wrong and what would be right (BadRequest), what does not exist (ResourceInfo), when to try
again (RetryInfo), and for everything a stable ``reason`` in the domain ``uwfq`` (ErrorInfo).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from uwfq_service.core import errors
from uwfq_service.core.validation import shortened

DOMAIN: Final = "uwfq"

#: Where gRPC looks for a serialized ``google.rpc.Status``.
DETAILS_KEY: Final = "grpc-status-details-bin"

#: Most bytes of a text in a status.  What is no ASCII takes three times as much in its message.
_LONGEST: Final = 500


class Busy(errors.SchedulerError):
    """The service has as much to do as it takes on; nothing was decided."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"the service is busy: {limit:,} {what}, the most allowed; try again soon")


class Stopping(errors.SchedulerError):
    """The service is shutting down; nothing was decided."""

    def __init__(self) -> None:
        super().__init__("the service is shutting down; try again when it is back")


def _resource(kind: str, name: str, text: str) -> Message:
    return error_details_pb2.ResourceInfo(
        resource_type=kind, resource_name=_clip(name), description=_clip(text)
    )


def _retry(seconds: float) -> Message:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(round(seconds * 1000))
    return info


def _bad_request(error: errors.InvalidField) -> Message:
    violation = error_details_pb2.BadRequest.FieldViolation(
        field=_clip(error.field), description=_clip(error.problem)
    )
    return error_details_pb2.BadRequest(field_violations=[violation])


def _not_found(error: errors.NotFound) -> Message:
    return _resource(error.kind, error.name, str(error))


def _conflict(error: errors.JobConflict) -> Message:
    return _resource(error.kind, error.name, str(error))


_Code = grpc.StatusCode
_Details = Callable[..., Message | None]


class _Row:
    """What one kind of error becomes."""

    def __init__(self, code: grpc.StatusCode, reason: str, details: _Details) -> None:
        self.code = code
        self.reason = reason
        self.details = details


def _nothing(_: Exception) -> None:
    return None


#: The table.  A subclass that has no row of its own uses its parent's.
TABLE: Final[Mapping[type[Exception], _Row]] = {
    errors.InvalidField: _Row(_Code.INVALID_ARGUMENT, "INVALID_FIELD", _bad_request),
    errors.UnknownPool: _Row(_Code.NOT_FOUND, "UNKNOWN_POOL", _not_found),
    errors.UnknownJob: _Row(_Code.NOT_FOUND, "UNKNOWN_JOB", _not_found),
    errors.NotFound: _Row(_Code.NOT_FOUND, "NOT_FOUND", _not_found),
    errors.JobConflict: _Row(_Code.ALREADY_EXISTS, "CONFLICTING_CONTENT", _conflict),
    errors.JobNotOpen: _Row(_Code.FAILED_PRECONDITION, "JOB_NOT_OPEN", _nothing),
    errors.TasksAreLeased: _Row(_Code.FAILED_PRECONDITION, "TASKS_ARE_LEASED", _nothing),
    errors.NoRanking: _Row(_Code.FAILED_PRECONDITION, "POLICY_HAS_NO_RANKING", _nothing),
    errors.UsersFull: _Row(_Code.FAILED_PRECONDITION, "TOO_MANY_USERS", _nothing),
    # A backlog drains at the pace of jobs, an inbox at the pace of the disk.
    errors.BacklogFull: _Row(_Code.RESOURCE_EXHAUSTED, "BACKLOG_FULL", lambda _: _retry(1.0)),
    Busy: _Row(_Code.RESOURCE_EXHAUSTED, "BUSY", lambda _: _retry(0.1)),
    Stopping: _Row(_Code.UNAVAILABLE, "STOPPING", lambda _: _retry(1.0)),
    # A kind that has been added to the core and not here: tests/unit/server finds it.
    errors.SchedulerError: _Row(_Code.FAILED_PRECONDITION, "REFUSED", _nothing),
}


def row_for(error: Exception) -> _Row:
    """The row of the error's own class, or of the nearest parent that has one."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def _metadata(error: Exception) -> Iterable[tuple[str, str]]:
    """What an ErrorInfo adds to its reason: the error's plain attributes."""
    return (
        (name, _clip(str(value))) for name, value in vars(error).items() if not name.startswith("_")
    )


def _clip(text: str) -> str:
    """At most ``_LONGEST`` bytes: a status travels in headers, whose size is limited."""
    if len(text.encode()) <= _LONGEST:
        return text
    return f"{shortened(text, _LONGEST - len('…'.encode()))}…"


def to_status(error: errors.SchedulerError) -> tuple[grpc.StatusCode, str, status_pb2.Status]:
    """The code, the message, and the status with its details."""
    row = row_for(error)
    message = _clip(str(error))
    status = status_pb2.Status(code=row.code.value[0], message=message)
    info = error_details_pb2.ErrorInfo(
        reason=row.reason, domain=DOMAIN, metadata=dict(_metadata(error))
    )
    status.details.add().Pack(info)
    if details := row.details(error):
        status.details.add().Pack(details)
    return row.code, message, status
