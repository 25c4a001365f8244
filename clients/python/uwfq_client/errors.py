"""What can go wrong, by name.

A refusal of the service arrives as a gRPC status with ``google.rpc`` details.  Here it becomes one
exception per canonical code, with the details as attributes, so that nobody parses text:

    try:
        client.submit(user="", kind="sum", stages=[Stage("scan", tasks=8)])
    except InvalidArgument as error:
        for violation in error.field_violations:
            print(violation.field, violation.description)
    except ResourceExhausted as error:
        print("try again in", error.retry_after_seconds, "s")
"""

from __future__ import annotations

import dataclasses
import re
from typing import ClassVar, Final, Protocol, TypeVar

import grpc
from google.protobuf import message
from google.rpc import error_details_pb2, status_pb2

from uwfq_client.types import Job

#: What gRPC says of a connection that was taken, and closed before a word was said.
_CLOSED: Final = re.compile("^failed to connect .*(Socket closed|reset by peer|Broken pipe)")
_CLOSED_AT_ONCE: Final = "; does the service want TLS, or a certificate of the client?"

#: Where gRPC carries a serialized ``google.rpc.Status``.
_DETAILS_KEY: Final = "grpc-status-details-bin"


@dataclasses.dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that the service refused."""

    #: As the protocol names it, e.g. ``stages[2].after``.
    field: str
    #: What is wrong with it, and what would be right.
    description: str


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """What a refusal is about: a job, a stage, a pool."""

    type: str
    name: str


class UwfqError(Exception):
    """Base of everything that the client raises about the service.

    ``message`` is the service's sentence for people; ``reason`` a stable word for programs (empty
    when there is none).
    """

    #: The canonical code that the class stands for; ``code`` tells an instance's own.
    canonical: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        field_violations: tuple[FieldViolation, ...] = (),
        retry_after_seconds: float | None = None,
        resource: Resource | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.canonical
        self.reason = reason
        self.field_violations = field_violations
        #: When the service invites to try again; ``None``: it does not say.
        self.retry_after_seconds = retry_after_seconds
        self.resource = resource

    def __str__(self) -> str:
        """One readable line, with every field that was refused."""
        fields = "; ".join(f"{each.field}: {each.description}" for each in self.field_violations)
        # The service's sentence usually repeats the first violation.
        known = not fields or fields in self.message
        return self.message if known else f"{self.message} ({fields})"


class InvalidArgument(UwfqError):
    """A value is out of its range: see ``field_violations``."""

    canonical = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(UwfqError):
    """No such job, stage or pool (any more): see ``resource``."""

    canonical = grpc.StatusCode.NOT_FOUND


class AlreadyExists(UwfqError):
    """A job or stage of that name exists with other content."""

    canonical = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(UwfqError):
    """Not possible in this state, e.g. more stages for a closed job: see ``reason``."""

    canonical = grpc.StatusCode.FAILED_PRECONDITION


class ResourceExhausted(UwfqError):
    """A limit is reached; with ``retry_after_seconds`` it is worth another try later."""

    canonical = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(UwfqError):
    """The service cannot be reached, or is going down."""

    canonical = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(UwfqError):
    """No answer within the time-out.  The request may have been carried out."""

    canonical = grpc.StatusCode.DEADLINE_EXCEEDED


class Unauthenticated(UwfqError):
    """The service does not know who is asking."""

    canonical = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(UwfqError):
    """The caller may not do that."""

    canonical = grpc.StatusCode.PERMISSION_DENIED


class Unimplemented(UwfqError):
    """The service does not know the method: it is older than this client, or not UWFQ."""

    canonical = grpc.StatusCode.UNIMPLEMENTED


class Aborted(UwfqError):
    """The service gave the request up half-way; nothing was changed."""

    canonical = grpc.StatusCode.ABORTED


class Cancelled(UwfqError):
    """The other side cancelled the request."""

    canonical = grpc.StatusCode.CANCELLED


class InternalError(UwfqError):
    """A defect of the service, or a broken connection."""

    canonical = grpc.StatusCode.INTERNAL


class JobFailed(UwfqError):
    """A job that was waited for with ``check=True`` has failed or was cancelled."""

    def __init__(self, job: Job) -> None:
        cause = f": {job.cause}" if job.cause else ""
        super().__init__(f"job {job.job_id!r} {job.state.value}{cause}")
        #: The job in its last state.
        self.job = job

    def __reduce__(self) -> tuple[type[JobFailed], tuple[Job]]:
        """Travel between processes by the job, not by the sentence about it."""
        return JobFailed, (self.job,)


class PermanentFailure(Exception):
    """Raise it in a handler: no other attempt can succeed, so the job fails at once.

    Any other exception is a failure that is worth another attempt.
    """


_BY_CODE: Final[dict[grpc.StatusCode, type[UwfqError]]] = {
    kind.canonical: kind
    for kind in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Unauthenticated,
        PermissionDenied,
        Unimplemented,
        Aborted,
        Cancelled,
        InternalError,
    )
}


class _Refusal(Protocol):
    """What blocking and asyncio calls raise alike (``grpc`` types only the first)."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> object: ...


def from_rpc_error(error: grpc.RpcError) -> UwfqError:
    """The typed form of an error that a gRPC call has raised."""
    refusal: _Refusal = error
    code = refusal.code()
    kind = _BY_CODE.get(code, UwfqError)
    status = _status(refusal)
    reason = _detail(status, error_details_pb2.ErrorInfo)
    bad_request = _detail(status, error_details_pb2.BadRequest)
    retry = _detail(status, error_details_pb2.RetryInfo)
    resource = _detail(status, error_details_pb2.ResourceInfo)
    text = refusal.details() or code.name
    return kind(
        text + _CLOSED_AT_ONCE if _CLOSED.search(text) else text,
        code=code,
        reason=reason.reason if reason else "",
        field_violations=tuple(
            FieldViolation(each.field, each.description)
            for each in (bad_request.field_violations if bad_request else ())
        ),
        retry_after_seconds=retry.retry_delay.ToTimedelta().total_seconds() if retry else None,
        resource=Resource(resource.resource_type, resource.resource_name) if resource else None,
    )


def _status(refusal: _Refusal) -> status_pb2.Status:
    metadata = refusal.trailing_metadata() or ()
    for key, value in metadata:  # type: ignore[attr-defined]  # Pairs, under either kind of call.
        if key == _DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(value)
            except message.DecodeError:
                break  # Not from our service (a proxy's?): the code and the text must do.
    return status_pb2.Status()


Detail = TypeVar("Detail", bound=message.Message)


def _detail(status: status_pb2.Status, kind: type[Detail]) -> Detail | None:
    """The first detail of that kind."""
    for packed in status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None
