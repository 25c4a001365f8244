"""What can be seen of a running Spark application from outside, gathered in one go.

Three sources, none of which disturbs the application: Spark's REST interface (how it was
configured), the servlet that shows its metrics (where the plugin has its gauges), and the service.
``doctor`` draws the conclusions.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import re
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

    Raises:
        ValueError: that is no address.
        NoApplication: nothing answers there, or something else.
    """
    if urllib.parse.urlsplit(ui).scheme not in {"http", "https"}:
        raise ValueError(f"{ui!r} is no address of a Spark UI, such as http://driver:4040")
    page = _Page(ui.rstrip("/"), timeout_seconds)
    with contextlib.suppress(LookupError, TypeError, ValueError):
        application, *others = page.get("/api/v1/applications")
        if others or application["attempts"][0]["completed"]:
            raise NoApplication(f"{ui} is a history server, which has no running application")
        application_id = application["id"]
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
            gauges=_gauges(page),
        )
    raise NoApplication(f"{ui} answers, but not as the UI of a running Spark application")


class _Page:
    """A Spark UI."""

    def __init__(self, address: str, timeout_seconds: float) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds

    def get(self, path: str) -> Any:
        """The JSON document at a path.

        Raises:
            NoApplication: there is none.
        """
        address = self._address + path
        try:
            with urllib.request.urlopen(address, timeout=self._timeout_seconds) as reply:  # noqa: S310 - The scheme was checked.
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise NoApplication(f"{address}: {error.code} {error.reason}") from error
        except ValueError as error:
            raise NoApplication(f"{address}: no JSON; is this the UI of a driver?") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, TimeoutError):
                reason = f"no answer within {self._timeout_seconds:g} s; --timeout waits longer"
            raise NoApplication(f"nothing answers at {self._address} ({reason})") from error


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
