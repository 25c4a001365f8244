"""The client's records: what they refuse, and how they travel to and from the protocol."""

from __future__ import annotations

import datetime as dt
import doctest
import importlib
import pickle
import pkgutil
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

import uwfq_client
from tests.certificates import make_certificates
from uwfq.v1 import scheduler_service_pb2, types_pb2
from uwfq_client import (
    EstimateSource,
    Input,
    InvalidArgument,
    JobFailed,
    JobState,
    ResourceExhausted,
    SplitReason,
    Stage,
    Tls,
    UwfqError,
    convert,
)
from uwfq_client.channel import Endpoint, is_loopback
from uwfq_client.errors import from_rpc_error


def test_a_stage_is_cut_in_one_way() -> None:
    """Tasks or input; the protocol could not carry both."""
    with pytest.raises(ValueError, match="not both"):
        Stage("s", tasks=1, input=Input([1]))


def test_names_of_stages_are_not_letters() -> None:
    """A string is a sequence of strings too."""
    with pytest.raises(TypeError, match="not a string"):
        Stage("s", after="scan")


def test_the_number_of_tasks_follows_from_their_sizes() -> None:
    """It need not be said twice."""
    assert convert.stage_spec(Stage("s", task_bytes=[1, 2, 3])).tasks.count == 3
    assert convert.stage_spec(Stage("s", task_work_slot_seconds=[1.0])).tasks.count == 1
    assert convert.stage_spec(Stage("s")).WhichOneof("cut") is None


@pytest.mark.parametrize(
    ("word", "enum"),
    [
        (JobState, types_pb2.JobState),
        (EstimateSource, types_pb2.EstimateSource),
        (SplitReason, types_pb2.SplitReason),
    ],
)
def test_every_word_of_the_protocol_has_one_here(word: Any, enum: Any) -> None:
    """But for UNSPECIFIED, which is never sent."""
    prefix = enum.Name(0).removesuffix("UNSPECIFIED")
    names = {name.removeprefix(prefix) for name in enum.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
    assert {each.name for each in word} == names


def test_absent_values_are_none() -> None:
    """Never zero."""
    job = convert.job(types_pb2.Job(job_id="j", state=types_pb2.JOB_STATE_RUNNING))
    assert (job.started_at, job.finished_at, job.virtual_deadline) == (None, None, None)
    full = types_pb2.Job(state=types_pb2.JOB_STATE_FAILED, virtual_deadline=0.0)
    full.finished_at.FromDatetime(dt.datetime(2025, 1, 2, tzinfo=dt.UTC))
    job = convert.job(full)
    assert job.virtual_deadline == 0.0
    assert job.finished_at == dt.datetime(2025, 1, 2, tzinfo=dt.UTC)
    assert job.ended
    assert not job.succeeded


def test_a_split_from_a_newer_service_is_still_read() -> None:
    """A reason that this client has no word for is left out."""
    response = scheduler_service_pb2.SubmitJobResponse()
    response.splits.add(stage="s", task_count=2, reason=77)
    (split,) = convert.submitted_job(response).splits
    assert split.reason is None
    assert split.task_count == 2


def test_a_job_in_a_state_of_a_newer_service_is_an_error_of_ours() -> None:
    """One that callers of the client handle, and that a command tells in a line."""
    newer = types_pb2.Job(job_id="j")
    newer.MergeFromString(b"\x40\x4d")
    with pytest.raises(UwfqError, match="job 'j' is in state 77"):
        convert.job(newer)


class FakeRefusal(grpc.RpcError):
    """What a gRPC call raises."""

    def __init__(self, code: grpc.StatusCode, text: str, trailers: Any) -> None:
        super().__init__()
        self._values = (code, text, trailers)

    def code(self) -> grpc.StatusCode:
        return self._values[0]

    def details(self) -> str:
        return self._values[1]

    def trailing_metadata(self) -> Any:
        return self._values[2]


def refusal(code: grpc.StatusCode, text: str, *details: Any) -> UwfqError:
    """The typed form of a status with details."""
    status = status_pb2.Status(message=text)
    for detail in details:
        box = any_pb2.Any()
        box.Pack(detail)
        status.details.append(box)
    trailers = (("x", "y"), ("grpc-status-details-bin", status.SerializeToString()))
    return from_rpc_error(FakeRefusal(code, text, trailers))


def test_errors_carry_their_details() -> None:
    """Nobody should have to parse text."""
    hint = error_details_pb2.RetryInfo(
        retry_delay=duration_pb2.Duration(seconds=2, nanos=500_000_000)
    )
    full = refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", hint)
    assert isinstance(full, ResourceExhausted)
    assert full.retry_after_seconds == 2.5

    violation = error_details_pb2.BadRequest.FieldViolation(field="stages[0]", description="odd")
    wrong = refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        "malformed",
        error_details_pb2.BadRequest(field_violations=[violation]),
    )
    assert isinstance(wrong, InvalidArgument)
    assert wrong.field_violations[0].field == "stages[0]"
    assert str(wrong) == "malformed (stages[0]: odd)"


@pytest.mark.parametrize("trailers", [None, (), (("grpc-status-details-bin", b"\xff\xff"),)])
def test_errors_without_details_are_typed_all_the_same(trailers: Any) -> None:
    """A proxy in between knows nothing of details, or sends its own."""
    error = from_rpc_error(FakeRefusal(grpc.StatusCode.DATA_LOSS, "", trailers))
    assert type(error) is UwfqError
    assert error.code is grpc.StatusCode.DATA_LOSS
    assert str(error) == "DATA_LOSS"


@pytest.mark.parametrize(
    ("target", "loopback"),
    [
        ("127.0.0.1:7170", True),
        ("ipv4:127.0.0.2:7170", True),
        ("[::1]:7170", True),
        ("localhost:7170", True),
        ("dns:localhost:7170", True),
        ("dns:///localhost:7170", True),
        ("ipv6:[::1]:7170", True),
        ("localhost", True),
        ("unix:/run/uwfq.sock", True),
        ("10.0.0.1:7170", False),
        ("[2001:db8::1]:7170", False),
        ("uwfq.example.org:7170", False),
        ("dns:///uwfq.example.org:7170", False),
    ],
)
def test_loopback_is_recognised(target: str, loopback: bool) -> None:
    """It is not asked for through a proxy."""
    assert is_loopback(target) is loopback


def test_errors_travel_between_processes() -> None:
    """A pool of processes breaks where the error of a task cannot be read."""
    busy = ResourceExhausted("full", reason="BACKLOG_FULL", retry_after_seconds=1.0)
    copy = pickle.loads(pickle.dumps(busy))
    assert type(copy) is ResourceExhausted
    assert vars(copy) == vars(busy)
    job = convert.job(types_pb2.Job(job_id="j", state=types_pb2.JOB_STATE_FAILED, cause="no disk"))
    failed = JobFailed(job)
    copy = pickle.loads(pickle.dumps(failed))
    assert isinstance(copy, JobFailed)
    assert (str(copy), copy.job) == (str(failed), job)


def test_mutual_tls_needs_both_halves() -> None:
    """A certificate without its key is a mistake, told when it is made."""
    with pytest.raises(ValueError, match="both"):
        Endpoint(tls=Tls(certificate="cert.pem")).blocking_channel()


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"ca": "ca.key"}, "ca.key: holds no certificate"),
        ({"certificate": "client.pem", "key": "server.key"}, "server.key: are not a certificate"),
        ({"certificate": "client.key", "key": "client.pem"}, "client.pem: are not a certificate"),
    ],
)
def test_files_that_hold_no_certificate_are_refused(
    files: dict[str, str], complaint: str, tmp_path: Path
) -> None:
    """With them gRPC would never connect, and not say why."""
    keys = make_certificates(tmp_path)
    ca, certificate, key = (
        keys / files[name] if name in files else None for name in ("ca", "certificate", "key")
    )
    with pytest.raises(ValueError, match=complaint):
        Tls(ca=ca, certificate=certificate, key=key).credentials()


def test_the_examples_in_the_docstrings_run() -> None:
    """What a reader copies works."""
    tried = 0
    for module in pkgutil.iter_modules(uwfq_client.__path__, "uwfq_client."):
        names = {name: getattr(uwfq_client, name) for name in uwfq_client.__all__}
        loaded = importlib.import_module(module.name)
        result = doctest.testmod(loaded, extraglobs=names)
        assert result.failed == 0
        tried += result.attempted
    assert tried > 5


def test_everything_that_is_exported_exists_and_is_told_of() -> None:
    """The public surface is ``__all__``, in order."""
    assert sorted(uwfq_client.__all__, key=lambda name: (not name.isupper(), name)) == (
        uwfq_client.__all__
    )
    undocumented = {
        name
        for name in uwfq_client.__all__
        if not name.isupper() and not getattr(uwfq_client, name).__doc__
    }
    assert not undocumented
