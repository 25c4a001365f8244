"""What can be seen of a running Spark application from outside, gathered in one go.

Three sources, none of which disturbs the application: Spark's REST interface (how it was
configured), the servlet that shows its metrics (where the plugin has its gauges), and the service.
``doctor`` draws the conclusions.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from uwfq_spark.configuration import PLUGIN
from uwfq_spark.known_settings import PREFIX
from uwfq_spark.standing import APPLICATION_LABEL

if TYPE_CHECKING:
    from uwfq_client import Pool, SyncClient

#: Newest jobs of the pool that are looked at.
_MOST_JOBS: Final = 500

#: The end of an address that was copied from a browser: a page of the UI.
_SHOWN: Final = re.compile(
    r"/(jobs|stages|storage|environment|executors|SQL|sqlserver|connect|streaming|StreamingQuery)"
    r"(/[A-Za-z]+)?/*$"
)


class NoApplication(RuntimeError):
    """No Spark application shows itself at that address; the message says what does."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A Spark application, as its driver shows it.

    Attributes:
        application_id: its ``spark.app.id``.
        name: its name.
        spark_version: such as ``"3.5.9"``.
        scala_version: such as ``"2.12"``; empty if it is not told.
        properties: all settings ``spark.*``.
        jars: file names of everything on its class path, and of the jars that were added.
        gauges: the plugin's metrics by name (``service.reachable``); empty: the plugin has
            registered none; ``None``: metrics cannot be seen.
    """

    application_id: str
    name: str
    spark_version: str
    scala_version: str
    properties: Mapping[str, str]
    jars: Sequence[str]
    gauges: Mapping[str, float] | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The service, as it answers here.

    Attributes:
        target: where it was looked for.
        error: why it did not answer; empty if it did.
        pool: the application's pool; ``None``: there is no such pool, or no answer.
        users: of the application's jobs among the newest of the pool, whose they are: users, each
            with the number of jobs.
    """

    target: str
    error: str = ""
    pool: Pool | None = None
    users: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything that was seen; ``service`` is ``None`` if nobody knows where it should be."""

    application: Application
    service: Service | None


def observe_application(ui: str, *, timeout_seconds: float = 10.0) -> Application:
    """Look at the application whose UI is at ``ui``, such as ``"http://driver:4040"``.

    Any page of the UI will do, and ``http://user:password@driver:4040`` where it wants a login.

    Raises:
        ValueError: that is no address.
        NoApplication: nothing answers there, or something else.
    """
    page = _Page(ui, timeout_seconds)
    with contextlib.suppress(LookupError, TypeError, ValueError):
        found: list[Any] = page.get("/api/v1/applications")
        application = found[0]
        application_id = application["id"]
        several_or_over = len(found) > 1 or application["attempts"][0]["completed"]
        gauges = None if several_or_over else _gauges(page)
        if gauges is None and (several_or_over or _is_history(page, application_id)):
            raise NoApplication(
                f"{page.address} is a history server, which has no running application"
            )
        environment = page.get(f"/api/v1/applications/{application_id}/environment")
        properties = {
            # The plugin does not mind white space around what it reads.
            key: value.strip() if key.startswith(PREFIX) else value
            for key, value in environment["sparkProperties"]
        }
        scala = re.search(r"\d+\.\d+", environment["runtime"].get("scalaVersion", ""))
        class_path = [entry for entry, _ in environment.get("classpathEntries", [])]
        return Application(
            application_id=application_id,
            name=application["name"],
            spark_version=page.get("/api/v1/version")["spark"],
            scala_version=scala[0] if scala else "",
            properties=properties,
            jars=[path.rpartition("/")[2] for path in class_path],
            gauges=gauges,
        )
    raise NoApplication(f"{page.address} answers, but not as the UI of a running Spark application")


class _Page:
    """A Spark UI.

    Attributes:
        address: of its root, without a login.

    Raises ``ValueError``: that is no address.
    """

    def __init__(self, ui: str, timeout_seconds: float) -> None:
        parts = urllib.parse.urlsplit(ui.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            raise ValueError(f"{ui!r} is no address of a Spark UI, such as http://driver:4040")
        login, _, place = parts.netloc.rpartition("@")
        path = _SHOWN.sub("", parts.path).rstrip("/")
        self.address = f"{parts.scheme}://{place}{path}"
        self._login = urllib.parse.unquote(login)
        self._timeout_seconds = timeout_seconds

    def get(self, path: str) -> Any:
        """The JSON document at a path.

        Raises:
            NoApplication: there is none.
        """
        request = urllib.request.Request(self.address + path)  # noqa: S310 - The scheme was checked.
        if self._login:
            login = base64.b64encode(self._login.encode()).decode()
            # Not told to where another address is answered with.
            request.add_unredirected_header("Authorization", f"Basic {login}")
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_seconds) as reply:  # noqa: S310 - As above.
                return json.load(reply)
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"{error.code} {error.reason}"
            if error.code == http.HTTPStatus.UNAUTHORIZED:
                reason += "; http://USER:PASSWORD@HOST:PORT logs in"
            raise NoApplication(f"{self.address}{path}: {reason}") from error
        except ValueError as error:
            raise NoApplication(
                f"{self.address}{path}: no JSON; is this the UI of a driver?"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise NoApplication(self._why(error)) from error

    def _why(self, error: OSError | http.client.HTTPException) -> str:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            why = reason.verify_message
            return f"{self.address}: {why}; SSL_CERT_FILE names a file of authorities to trust"
        closed = isinstance(reason, http.client.RemoteDisconnected)
        if isinstance(reason, http.client.BadStatusLine) and not closed:
            return f"{self.address} is no web server"
        if isinstance(reason, TimeoutError):
            reason = f"no answer within {self._timeout_seconds:g} s; --timeout waits longer"
        return f"nothing answers at {self.address} ({reason})"


def _gauges(page: _Page) -> Mapping[str, float] | None:
    try:
        gauges: Mapping[str, Any] = page.get("/metrics/json")["gauges"]
    except (NoApplication, LookupError, TypeError):
        return None
    # "<application>.driver.plugin.<class>.<name>", and an application may be called anything.
    marker = f".plugin.{PLUGIN}."
    return {
        name.rpartition(marker)[2]: float(gauge["value"])
        for name, gauge in gauges.items()
        if marker in name
    }


def _is_history(page: _Page, application_id: str) -> bool:
    """Whether a history server shows an application that has not ended, or was not heard to."""
    try:
        page.get(f"/api/v1/applications/{application_id}/executors/driver/threads")
    except NoApplication as error:
        # It says so of what only a driver can tell.
        return getattr(error.__cause__, "code", None) == http.HTTPStatus.SERVICE_UNAVAILABLE
    return False


def observe_service(
    target: str, application: Application, connect: Callable[[], SyncClient]
) -> Service:
    """Ask the service about the application's pool and jobs; an error is part of the answer."""
    from uwfq_client import NotFound, UwfqError

    name = application.properties.get("spark.uwfq.pool", "default")
    users: dict[str, int] = {}
    try:
        with connect() as client:
            try:
                pool = client.get_pool(name)
            except NotFound:
                return Service(target=target)
            newest = zip(range(_MOST_JOBS), client.list_jobs(pool=name), strict=False)
            for _, job in newest:
                if job.labels.get(APPLICATION_LABEL) == application.application_id:
                    users[job.user] = users.get(job.user, 0) + 1
    except UwfqError as error:
        return Service(target=target, error=str(error))
    return Service(target=target, pool=pool, users=users)
