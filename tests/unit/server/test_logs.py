"""Logs: events by their names, quiet where it is busy."""

import errno
import io
import json
import logging
import sys

import pytest
import structlog
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # Its stubs know it not.
from structlog.testing import capture_logs

from uwfq_service.core import events as ev
from uwfq_service.server import logs


def job_name(number: int) -> str | None:
    """The names of the jobs of these tests."""
    return f"job-{number}" if number < 10 else None


LOST = ev.WorkerLost(at=1.0, pool="p", worker="w")
LEASED = ev.TasksLeased(
    at=1.0, job=3, stage=0, worker="w", lease_id=7, tasks=(1, 2, 3), expires_at=31.0
)
FAILED = ev.JobEnded(at=1.0, job=3, state="failed", cause="disk on fire", measured=2.5)
DONE = ev.JobEnded(at=1.0, job=3, state="succeeded")
CANCELLED = ev.JobEnded(at=1.0, job=12, state="cancelled", cause="not needed")


def test_at_info_only_what_is_rare_is_logged() -> None:
    """A busy service is quiet; a failed job is a warning."""
    with capture_logs() as lines:
        logs.EventLog(logs.INFO, job_name)([LOST, LEASED, FAILED, DONE, CANCELLED])
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("worker_lost", "info"),
        ("job_ended", "warning"),
        ("job_ended", "info"),
    ]


def test_at_debug_every_event_is_logged_under_its_name() -> None:
    """Values in keys; long columns as their length."""
    with capture_logs() as lines:
        logs.EventLog(logs.DEBUG, job_name)([LEASED, DONE])
    leased, done = lines
    assert leased["event"] == "tasks_leased"
    assert (leased["tasks"], leased["lease_id"], leased["job_id"]) == (3, 7, "job-3")
    assert (done["event"], done["log_level"], done["state"]) == ("job_ended", "debug", "succeeded")


def test_no_caller_floods_the_log() -> None:
    """Workers that come and go a thousand times a second have some lines, and one that says so."""
    flood = [ev.WorkerLost(at=1.0, pool="p", worker=str(number)) for number in range(1000)]
    with capture_logs() as lines:
        log = logs.EventLog(logs.INFO, job_name)
        log(flood)
        log([FAILED, ev.WorkerLost(at=2.5, pool="p", worker="later")])
    first, left_out, (failed, later) = lines[:100], lines[100], lines[101:]
    assert [line["worker"] for line in first] == [str(number) for number in range(100)]
    assert (left_out["event"], left_out["of"]) == ("lines_left_out", "worker_lost")
    assert (failed["event"], later["worker"]) == ("job_ended", "later")


def test_debug_leaves_nothing_out() -> None:
    """It is for those who want to see all of it."""
    with capture_logs() as lines:
        logs.EventLog(logs.DEBUG, job_name)([LOST] * 1000)
    assert len(lines) == 1000


def test_a_job_that_is_forgotten_has_no_name_any_more() -> None:
    """Its number still tells."""
    with capture_logs() as lines:
        logs.EventLog(logs.INFO, job_name)([CANCELLED])
    assert (lines[0]["job"], lines[0]["job_id"]) == (12, None)


def test_every_event_has_a_name_in_snake_case() -> None:
    """One name for an idea, in the journal and in the log."""
    names = {logs.line_name(kind) for kind in ev.AnyEvent.__args__}
    assert {"job_admitted", "tasks_leased", "worker_lost", "pool_configured"} <= names
    assert len(names) == len(ev.AnyEvent.__args__)


class Stream(io.TextIOWrapper):
    """Standard error, as far as logs are concerned."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8", write_through=True)

    @property
    def lines(self) -> list[str]:
        return self.bytes.getvalue().decode().splitlines()


@pytest.fixture
def configured() -> Stream:
    """A stream; what the test configures is undone."""
    return Stream()


@pytest.fixture(autouse=True)
def restored() -> object:
    """Leave the process's logging as it was."""
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def test_a_json_line_is_one_object_with_time_and_level(configured: Stream) -> None:
    """On a pipe the default is JSON."""
    logs.configure("info", "auto", configured)
    structlog.get_logger().info("serving", port=5)
    structlog.get_logger().debug("unseen")
    (line,) = map(json.loads, configured.lines)
    assert (line["event"], line["level"], line["port"]) == ("serving", "info", 5)
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_part_of_its_line(configured: Stream) -> None:
    """One line, however long the traceback."""
    logs.configure("info", "json", configured)
    structlog.get_logger().error("call_failed", exc_info=ValueError("oh"))
    (line,) = map(json.loads, configured.lines)
    assert "ValueError: oh" in line["exception"]


def test_what_libraries_log_takes_the_same_way(configured: Stream) -> None:
    """Warnings of asyncio and gRPC are lines like ours."""
    logs.configure("info", "json", configured)
    logging.getLogger("asyncio").warning("slow %s", "callback")
    (line,) = map(json.loads, configured.lines)
    assert (line["event"], line["logger"]) == ("library", "asyncio")
    assert (line["level"], line["message"]) == ("warning", "slow callback")


def test_a_path_that_is_no_text_is_logged(configured: Stream) -> None:
    """A file system takes any bytes as a name; a service that tells of it goes on."""
    logs.configure("info", "json", configured)
    structlog.get_logger().info("serving", data="d\udcff", pools=("default",))
    (line,) = map(json.loads, configured.lines)
    assert (line["event"], line["data"], line["pools"]) == ("serving", "d\udcff", ["default"])


def test_a_caller_that_has_gone_makes_no_line(configured: Stream) -> None:
    """The library tells of each answer that it could not send; of wrong use it tells likewise."""
    logs.configure("info", "json", configured)
    library = logging.getLogger("grpc._cython.cygrpc")
    for text in ('Failed "execute_batch": (…)', "Failed grpc_call_start_batch: 8"):
        try:
            raise cygrpc.ExecuteBatchError(text)
        except cygrpc.ExecuteBatchError:
            library.exception("ExecuteBatchError raised in core by servicer method [/m]")
    (line,) = map(json.loads, configured.lines)
    assert "grpc_call_start_batch" in line["exception"]


def test_the_console_shows_words(configured: Stream) -> None:
    """For people at a terminal."""
    logs.configure("debug", "console", configured)
    structlog.get_logger().debug("draining", seconds=1)
    (line,) = configured.lines
    assert "draining" in line
    assert "seconds=1" in line


def test_the_console_obeys_no_caller(configured: Stream) -> None:
    """Workers, users and pools have names of their own choice."""
    logs.configure("info", "console", configured)
    structlog.get_logger().info("worker_joined", worker="\x1b[2J\a")
    (line,) = configured.lines
    assert "\x1b[2J" not in line
    assert "\\x1b[2J\\x07" in line


class Gone(io.BytesIO):
    """A pipe whose reader has ended."""

    def write(self, _: object) -> int:
        """See ``io.BytesIO``."""
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_line_that_cannot_be_written_is_lost(style: str) -> None:
    """Whoever takes the log may end, or its disk be full; the service must not end with it."""
    stream = io.TextIOWrapper(Gone(), encoding="utf-8", write_through=True)
    logs.configure("info", style, stream)
    structlog.get_logger().info("serving")
    logging.getLogger("asyncio").error("an observer of events failed")


@pytest.mark.parametrize("style", ["auto", "json", "console"])
def test_without_standard_error_lines_are_lost(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts the service may have closed it (``2>&-``)."""
    monkeypatch.setattr(sys, "stderr", None)
    logs.configure("info", style)
    structlog.get_logger().info("serving")
    logging.getLogger("asyncio").error("an observer of events failed")


@pytest.mark.parametrize(("level", "debug"), [("debug", True), ("info", False)])
def test_whether_a_level_is_on_can_be_asked(configured: Stream, level: str, debug: bool) -> None:
    """So that what would not be seen need not be made."""
    logs.configure(level, "json", configured)
    assert logs.enabled(logs.DEBUG) is debug
