"""Languages write protobuf's JSON in dialects; what is compared is the same for all."""

from __future__ import annotations

from typing import Any

import pytest

from clients.conformance import messages
from uwfq.v1 import scheduler_service_pb2, types_pb2

NEXT_TASK = scheduler_service_pb2.NextTaskResponse.DESCRIPTOR


@pytest.mark.parametrize(
    "dialect",
    [
        {"leases": [{"leaseId": "7", "payload": "cGFydA==", "taskIndex": 0}]},
        {"leases": [{"lease_id": 7, "payload": "cGFydA==", "timeLimitSeconds": None}]},
        {"leases": [{"leaseId": "7", "payload": "cGFydA=="}], "doneAcks": [], "ranking": None},
    ],
)
def test_dialects_of_one_message_are_equal(dialect: dict[str, Any]) -> None:
    """Names in either case, 64 bits as text or number, defaults there or not."""
    expected = types_pb2.TaskLease(lease_id=7, payload=b"part")
    answer = scheduler_service_pb2.NextTaskResponse(leases=[expected])
    assert messages.read(NEXT_TASK, dialect) == messages.plain(answer)


def test_every_field_is_there() -> None:
    """Defaults as such, what is not set as None, enums by name, times as text."""
    document = {"jobId": "j-1", "state": 2, "submittedAt": "2026-01-02T03:04:05Z"}
    job = messages.read(messages.JOB, document)
    assert job["state"] == "JOB_STATE_RUNNING"
    assert job["submitted_at"] == "2026-01-02T03:04:05Z"
    assert (job["started_at"], job["virtual_deadline"]) == (None, None)
    assert (job["cause"], job["stages"], job["labels"], job["failed_attempts"]) == ("", [], {}, 0)


@pytest.mark.parametrize("document", [{"invented": 1}, {"leases": 3}, None, [], "text"])
def test_what_is_not_the_message_is_refused(document: Any) -> None:
    """A client that makes up fields is red, not lenient."""
    with pytest.raises(messages.NotTheMessage):
        messages.read(NEXT_TASK, document)


def test_the_unary_methods_of_both_services_are_known() -> None:
    """The streams have actions of their own, or none."""
    assert {"SubmitJob", "RenewLeases", "ListPools"} <= set(messages.METHODS)
    assert not {"WatchJob", "Work"} & set(messages.METHODS)
