"""What is logged of calls: nothing by default, one closing line each when asked."""

from collections.abc import Sequence
from typing import Any, cast

import grpc
import pytest
from structlog.contextvars import merge_contextvars as _merge
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.integration.serving import refused, serving, until
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq_service.core import views
from uwfq_service.server import work_stream


async def lines_of_calls(lines: Sequence[EventDict], count: int) -> list[EventDict]:
    """So many closing lines, which may come after the caller has its answer."""

    def found() -> list[EventDict]:
        return [line for line in lines if line["event"] == "call_done"]

    await until(lambda: len(found()) >= count)
    return found()


async def test_calls_are_not_logged_by_default() -> None:
    """A line for every request is the cost of a tenth of a request."""
    async with serving() as service:
        with capture_logs() as lines:
            await service.submit()
            await refused(service.jobs.GetJob(rpc.GetJobRequest(job_id="x")))
    assert [line for line in lines if line["event"] == "call_done"] == []


async def test_at_debug_each_call_ends_with_one_line() -> None:
    """With the method, the code, who called, and the caller's own id."""
    async with serving(log__level="debug") as service:
        with capture_logs(processors=[_merge]) as lines:
            request = rpc.GetJobRequest(job_id="x")
            call = service.jobs.GetJob(request, metadata=(("x-request-id", "r-7"),))
            await refused(call)
            await service.submit()
            done = await lines_of_calls(lines, 2)
    assert [(line["method"], line["code"]) for line in done] == [
        ("GetJob", "NOT_FOUND"),
        ("SubmitJob", "OK"),
    ]
    assert done[0]["request_id"] == "r-7"
    assert "request_id" not in done[1]
    assert done[0]["peer"].startswith("ipv4:127.0.0.1")
    assert done[0]["seconds"] >= 0


async def test_a_stream_ends_with_a_line_too() -> None:
    """Whichever form the call has."""
    async with serving(log__level="debug") as service:
        with capture_logs(processors=[_merge]) as lines:
            watch = service.jobs.WatchJob(rpc.WatchJobRequest(job_id="x"))
            await refused(watch.read())
            (line,) = await lines_of_calls(lines, 1)
    assert (line["method"], line["code"]) == ("WatchJob", "NOT_FOUND")


async def test_a_mistake_of_ours_is_logged_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller hears INTERNAL; the log has the traceback, and whose call it was."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(views, "job_status", broken)
    async with serving() as service:
        job_id = (await service.submit()).job_id
        with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.jobs.GetJob(
                rpc.GetJobRequest(job_id=job_id), metadata=(("x-request-id", "r-7"),)
            )
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in (caught.value.details() or "")
        (line,) = lines
        assert (line["event"], line["method"]) == ("call_failed", "GetJob")
        assert line["request_id"] == "r-7"
        assert line["peer"].startswith("ipv4:127.0.0.1")
        assert (await service.submit()).job_id, "reading wrongly breaks nothing"


async def test_a_mistake_of_ours_leaves_the_stream_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer is INTERNAL, and the log says whose stream it was on."""

    def broken(*_: object) -> bytes:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(work_stream, "_renew_leases", broken)
    asked = rpc.WorkRequest(sequence=1, renew_leases=rpc.RenewLeasesRequest(worker_id="w"))
    async with serving() as service:
        # The stubs' types ask for an iterator of requests; without one the caller writes them.
        stream = cast(Any, service.jobs).Work(metadata=(("x-request-id", "r-8"),))
        with capture_logs() as lines:
            await stream.write(asked)
            answer = await stream.read()
        monkeypatch.undo()
        await stream.write(asked)
        again = await stream.read()
    assert answer.error.code == grpc.StatusCode.INTERNAL.value[0]
    assert "secret" not in answer.error.message
    assert again.WhichOneof("response") == "renew_leases"
    (line,) = lines
    assert (line["event"], line["method"]) == ("call_failed", "Work")
    assert line["request_id"] == "r-8"


async def test_events_are_logged_once_they_are_on_disk() -> None:
    """By their names in the journal."""
    async with serving(log__level="debug") as service:
        with capture_logs() as lines:
            job_id = (await service.submit()).job_id
    (admitted,) = [line for line in lines if line["event"] == "job_admitted"]
    assert (admitted["job_id"], admitted["user"]) == (job_id, "ann")
