"""What is read from a Spark UI: recorded answers of real applications, served again."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import make_certificates
from uwfq_spark.doctor import Status, examine
from uwfq_spark.observation import NoApplication, Observation, observe_application

RECORDED = Path(__file__).with_name("recorded")

#: The path of each recorded file below a UI's address; the application's id goes in between.
FILES = {
    "/api/v1/applications": "applications.json",
    "/api/v1/version": "version.json",
    "/metrics/json": "metrics.json",
}


class FakeUi:
    """Serves documents by path, on a port of its own."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        #: Paths that are there, and not for now.
        self.unavailable: set[str] = set()
        #: What must be told in "Authorization"; empty: nothing.
        self.login = ""
        documents = self.documents
        ui = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = documents.get(self.path)
                known = self.headers.get("Authorization", "") == ui.login
                absent = 503 if self.path in ui.unavailable else 404
                self.send_response((200 if body is not None else absent) if known else 401)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Not in the test's output."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def play(self, line: str) -> None:
        """Serve what was recorded on a line of Spark."""
        recorded = RECORDED / line
        for path, name in FILES.items():
            self.documents[path] = (recorded / name).read_bytes()
        (application,) = json.loads((recorded / "applications.json").read_bytes())
        environment = f"/api/v1/applications/{application['id']}/environment"
        self.documents[environment] = (recorded / "environment.json").read_bytes()


@pytest.fixture
def ui() -> Iterator[FakeUi]:
    """A UI that serves nothing yet."""
    fake = FakeUi()
    thread = threading.Thread(target=fake.server.serve_forever, args=(0.01,))
    thread.start()
    yield fake
    fake.server.shutdown()
    thread.join()
    fake.server.server_close()


@pytest.mark.parametrize(
    ("line", "version", "scala"), [("4", "4.3.0", "2.13"), ("3.5", "3.5.9", "2.12")]
)
def test_an_application_is_read_from_its_ui(
    line: str, version: str, scala: str, ui: FakeUi
) -> None:
    """Its versions, its settings, its jars, and the plugin's gauges by their own names."""
    ui.play(line)
    seen = observe_application(ui.address + "/")
    assert (seen.name, seen.spark_version, seen.scala_version) == ("try", version, scala)
    assert seen.application_id.startswith("local-")
    assert seen.properties["spark.scheduler.mode"] == "FAIR"
    assert f"uwfq-spark-{line}_{scala}-0.1.0.jar" in seen.jars
    assert seen.gauges is not None
    assert seen.gauges["jobs.property"] == 2
    assert seen.gauges["service.reachable"] == 1
    assert "BlockManager.memory.maxMem_MB" not in str(seen.gauges)


@pytest.mark.parametrize("line", ["4", "3.5"])
def test_the_recorded_applications_were_well(line: str, ui: FakeUi) -> None:
    """Nothing is wrong with them, as far as their UI can tell."""
    ui.play(line)
    findings = examine(Observation(application=observe_application(ui.address), service=None))
    assert {each.check for each in findings if each.status is Status.PROBLEM} == set()
    assert {each.check for each in findings if each.status is Status.UNKNOWN} == {
        "service, from here",
        "pool",
        "partitioning",
    }


def test_settings_are_read_as_the_plugin_reads_them(ui: FakeUi) -> None:
    """Without the white space around them."""
    ui.play("4")
    (path,) = (path for path in ui.documents if path.endswith("/environment"))
    environment = json.loads(ui.documents[path])
    environment["sparkProperties"] += [["spark.uwfq.pool", " nightly "], ["spark.acme", " x "]]
    ui.documents[path] = json.dumps(environment).encode()
    properties = observe_application(ui.address).properties
    assert (properties["spark.uwfq.pool"], properties["spark.acme"]) == ("nightly", " x ")


def test_metrics_that_are_not_shown_are_no_defect(ui: FakeUi) -> None:
    """An operator may have closed the servlet."""
    ui.play("4")
    del ui.documents["/metrics/json"]
    assert observe_application(ui.address).gauges is None


def test_other_pages_are_told_from_a_spark_ui(ui: FakeUi) -> None:
    """Nothing, HTML, JSON of something else, a history server without applications."""
    with pytest.raises(NoApplication, match="404"):
        observe_application(ui.address)
    ui.documents["/api/v1/applications"] = b"<html>"
    with pytest.raises(NoApplication, match="no JSON"):
        observe_application(ui.address)
    for body in (b"{}", b"[]", b"[1]", b'[{"id": 7}]'):
        ui.documents["/api/v1/applications"] = body
        with pytest.raises(NoApplication):
            observe_application(ui.address)


def test_a_history_server_is_told_from_a_driver(ui: FakeUi) -> None:
    """It shows others' applications, which have ended, and a version that is its own."""
    ui.play("4")
    path = "/api/v1/applications"
    (running,) = json.loads(ui.documents[path])
    ended = json.loads(ui.documents[path].replace(b'"completed": false', b'"completed": true'))
    for several in (ended, [running, running]):
        ui.documents[path] = json.dumps(several).encode()
        with pytest.raises(NoApplication, match="history server"):
            observe_application(ui.address)


def test_a_history_server_with_one_unfinished_application_is_told_from_a_driver(
    ui: FakeUi,
) -> None:
    """As that of a driver that was killed, whose threads nobody can show."""
    ui.play("4")
    del ui.documents["/metrics/json"]
    (application,) = json.loads(ui.documents["/api/v1/applications"])
    ui.unavailable.add(f"/api/v1/applications/{application['id']}/executors/driver/threads")
    with pytest.raises(NoApplication, match="history server"):
        observe_application(ui.address)


def test_json_of_something_else_is_no_history_server(ui: FakeUi) -> None:
    """Whatever it is about."""
    ui.documents["/api/v1/applications"] = b'{"gauges": {}, "counters": {}}'
    with pytest.raises(NoApplication, match="answers, but not as the UI of a running Spark"):
        observe_application(ui.address)


@pytest.mark.parametrize(
    "page",
    [
        *("/jobs/", "/jobs", "/jobs/job/?id=7", "/SQL/execution/?id=0", "/?showIncomplete=true"),
        *("/stages/stage/?id=4&attempt=0#tasks", "//", " "),
    ],
)
def test_any_page_of_the_ui_will_do(page: str, ui: FakeUi) -> None:
    """As a browser shows its address, whatever path a proxy puts before it."""
    ui.play("4")
    for prefix in ("", "/proxy/app-20260101000000-0000"):
        for path in list(FILES) if prefix else ():
            ui.documents[prefix + path] = ui.documents[path]
        (environment,) = (path for path in ui.documents if path.startswith("/api/v1/applications/"))
        ui.documents.setdefault(prefix + environment, ui.documents[environment])
        assert observe_application(ui.address + prefix + page).name == "try"


def test_a_ui_that_wants_a_login_is_given_it(ui: FakeUi) -> None:
    """From the address; no message repeats it."""
    ui.play("4")
    ui.login = "Basic b3BzOnA6QHc="
    with pytest.raises(NoApplication, match="401 Unauthorized; http://USER:PASSWORD@HOST:PORT"):
        observe_application(ui.address)
    for login, right in (("ops:p%3A%40w", True), ("ops:wrong", False)):
        address = ui.address.replace("://", f"://{login}@")
        if right:
            assert observe_application(address).name == "try"
        else:
            with pytest.raises(NoApplication) as refused:
                observe_application(address)
            assert "wrong" not in str(refused.value)


def test_a_certificate_that_is_not_trusted_is_told_with_the_remedy(
    ui: FakeUi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clusters have authorities of their own."""
    keys = make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(keys / "server.pem", keys / "server.key")
    ui.server.socket = context.wrap_socket(ui.server.socket, server_side=True)
    ui.play("4")
    address = ui.address.replace("http:", "https:")
    with pytest.raises(NoApplication, match=r"certificate; SSL_CERT_FILE names a file"):
        observe_application(address)
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.pem"))
    # From Python 3.12 on it keeps the authorities of its first request.
    monkeypatch.setattr(urllib.request, "_opener", None)
    assert observe_application(address).name == "try"


def test_a_port_of_something_else_is_told_from_a_web_server() -> None:
    """Such as that of the service itself."""

    def greet(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"\0\0\x18\4\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        greeting = threading.Thread(target=greet, args=(server,))
        greeting.start()
        with pytest.raises(NoApplication, match=r":\d+ is no web server$"):
            observe_application(f"http://127.0.0.1:{server.getsockname()[1]}")
        greeting.join()


def test_an_address_that_nobody_listens_at_is_named() -> None:
    """With the reason."""
    address = "http://127.0.0.1:1"
    with pytest.raises(
        NoApplication, match=r"nothing answers at http://127\.0\.0\.1:1 \(.*refused"
    ):
        observe_application(address)


def test_an_address_that_is_silent_is_told_from_one_that_is_closed() -> None:
    """A busy driver answers late."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NoApplication, match=r"within 0\.01 s; --timeout waits longer"):
            observe_application(address, timeout_seconds=0.01)


@pytest.mark.parametrize(
    "address", ["driver:4040", "file:///etc/passwd", "", "http://", "https:///jobs"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match="no address of a Spark UI"):
        observe_application(address)
