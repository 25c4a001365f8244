"""Refusals as gRPC statuses: every kind of error has a code, a reason and its details."""

import inspect
import re
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details

from tests.integration.serving import unpack
from uwfq_service.core import errors
from uwfq_service.server.status import DOMAIN, TABLE, Busy, Stopping, row_for, to_status

Code = grpc.StatusCode

CASES = [
    (errors.InvalidField("stages[1].after", "names nothing"), Code.INVALID_ARGUMENT),
    (errors.UnknownJob("j"), Code.NOT_FOUND),
    (errors.UnknownPool("p"), Code.NOT_FOUND),
    (errors.JobConflict("job", "j"), Code.ALREADY_EXISTS),
    (errors.JobNotOpen("j", "closed"), Code.FAILED_PRECONDITION),
    (errors.TasksAreLeased("j"), Code.FAILED_PRECONDITION),
    (errors.NoRanking("p", "fair"), Code.FAILED_PRECONDITION),
    (errors.UsersFull("p", 5), Code.FAILED_PRECONDITION),
    (errors.BacklogFull("user", "u", 5), Code.RESOURCE_EXHAUSTED),
    (Busy("calls are waiting", 5), Code.RESOURCE_EXHAUSTED),
    (Stopping(), Code.UNAVAILABLE),
]


@pytest.mark.parametrize(("error", "code"), CASES, ids=lambda case: type(case).__name__)
def test_an_error_has_its_code_and_a_stable_reason(
    error: errors.SchedulerError, code: grpc.StatusCode
) -> None:
    """In the status itself, and again as an ErrorInfo for programs."""
    found, message, status = to_status(error)
    assert found is code
    assert (status.code, status.message) == (code.value[0], message)
    info = unpack(status, details.ErrorInfo)
    assert info.domain == DOMAIN
    assert info.reason == info.reason.upper()


def test_every_error_of_the_core_has_a_row_of_its_own() -> None:
    """An error that is added to the core must be thought about here."""
    known = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.SchedulerError)
    }
    assert known <= set(TABLE)


def test_reasons_are_not_shared() -> None:
    """A program that reads a reason knows which error it was."""
    reasons = [row.reason for row in TABLE.values()]
    assert len(set(reasons)) == len(reasons)


def test_the_readme_lists_all_reasons_by_their_status() -> None:
    """But the one that stands for errors which nobody has thought about."""
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    rows = {
        row.reason: row.code.name
        for kind, row in TABLE.items()
        if kind is not errors.SchedulerError
    }
    listed = {
        reason: status
        for status, reasons in re.findall(r"(?m)^\| `([A-Z_]+)` \| (`[^|]*) \|", readme)
        for reason in re.findall(r"`([A-Z_]+)`", reasons)
    }
    assert listed == rows


def test_an_unknown_kind_takes_after_its_parent() -> None:
    """Better a general answer than none."""

    class UnknownWorker(errors.NotFound):
        pass

    assert row_for(UnknownWorker("worker", "w")).code is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("error", "kind", "field", "value"),
    [
        (CASES[1][0], details.ResourceInfo, "resource_name", "j"),
        (CASES[3][0], details.ResourceInfo, "resource_type", "job"),
    ],
)
def test_what_was_named_stands_in_the_details(
    error: errors.SchedulerError, kind: type[Message], field: str, value: str
) -> None:
    """So that nobody has to parse the text."""
    assert getattr(unpack(to_status(error)[2], kind), field) == value


def test_a_wrong_field_stands_in_a_bad_request() -> None:
    """With what is wrong about it."""
    request = unpack(to_status(CASES[0][0])[2], details.BadRequest)
    (violation,) = request.field_violations
    assert (violation.field, violation.description) == ("stages[1].after", "names nothing")


@pytest.mark.parametrize("error", [case[0] for case in CASES[-3:]])
def test_what_passes_by_itself_says_when_to_try_again(error: errors.SchedulerError) -> None:
    """RetryInfo, and never "at once"."""
    retry = unpack(to_status(error)[2], details.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() >= 100


@pytest.mark.parametrize("name", ["x" * 100_000, "é" * 100_000, "字" * 400, "😀" * 200])
def test_a_long_text_is_clipped(name: str) -> None:
    """A status travels in HTTP/2 headers, 8 KiB of which is all that many stacks take.

    What counts is how many bytes it has, not how many characters.
    """
    _, message, status = to_status(errors.JobConflict("job", name))
    assert len(message.encode()) <= 500
    assert message.endswith("…")
    # In the headers each byte of the message that is no ASCII takes three, and three of the status
    # take four.
    assert 3 * len(message.encode()) + status.ByteSize() * 4 / 3 < 6000
