"""Whose a Spark job is, from the local properties that it was submitted with.

``property``
    uwfq.user                whoever set it meant just that
    spark.uwfq.user          likewise, for all that says nothing else; of the application, for all
``connect``
    uwfq.connectUser         what the bridge has noted of the next
    spark.job.tags           Spark Connect puts the user into a tag of each operation
``thrift``
    uwfq.thriftUser          what the bridge has noted of the next
    spark.jobGroup.id        the Thrift server's statement, whose user an earlier event told
neither of these
    spark.scheduler.pool     to whom Spark itself was fair, unless it is everybody's

An application with the bridge says in which order it looked (``spark.uwfq.userSources``): those
that a server tells come first, so that nobody passes for somebody else with a ``SET``.
"""

from __future__ import annotations

import re
from typing import Final

from uwfq_service.simulator.importers import spark_events as se
from uwfq_spark.configuration import PLUGIN
from uwfq_spark.known_settings import SETTINGS
from uwfq_spark.users import counted_as

#: Stock Spark's pool for those who ask for none.
_DEFAULT_POOL: Final = "default"
_UUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
#: Anchored on the UUIDs, for names of users may hold underscores.
_CONNECT_TAG: Final = re.compile(
    rf"SparkConnect_OperationTag_User_(.*)_Session_{_UUID}_Operation_{_UUID}", re.DOTALL
)
#: Of an application without the bridge, where nobody would forge what nobody reads.
_STOCK_SOURCES: Final = "property,connect,thrift"


class Users:
    """Who uses one application."""

    def __init__(self) -> None:
        self._sources = _STOCK_SOURCES.split(",")
        self._bridged = False
        #: Of the application's settings.
        self._configured = ""
        #: Of the Thrift server: by session, and by group of jobs.
        self._by_session: dict[str, str] = {}
        self._by_group: dict[str, str] = {}

    def configured(self, settings: se.SparkProperties) -> None:
        """How the application was started."""
        self._configured = settings.user
        self._bridged = PLUGIN in settings.plugins
        if self._bridged:
            sources = settings.user_sources or SETTINGS["userSources"] or ""
            self._sources = [source.strip() for source in sources.lower().split(",")]

    def thrift_session(self, event: se.ThriftSession) -> None:
        """Somebody has connected to the Thrift server."""
        self._by_session[event.session] = event.user

    def thrift_operation(self, event: se.ThriftOperation) -> None:
        """A statement begins, whose jobs will carry its group."""
        if user := event.user or self._by_session.get(event.session):
            self._by_group[event.group] = user

    def of(self, properties: se.Properties) -> tuple[str | None, str | None]:
        """The user, or the pool if that is all there is; neither: it is the application's own.

        Names are as the service knows them, whatever their length.
        """
        for source in self._sources:
            for name in self._named(source, properties):
                if user := counted_as(name):
                    return user, None
            if self._bridged and self._is_disguised(source, properties):
                return None, None
        pool = counted_as(properties.pool)
        return None, pool if pool and pool != _DEFAULT_POOL else None

    def _named(self, source: str, properties: se.Properties) -> tuple[str | None, ...]:
        """Whom a source names; the first that is a name counts."""
        if source == "property":
            return properties.user, properties.session_user, self._configured
        if source == "connect":
            noted = properties.connect_user
            return (_tagged(properties.tags) if noted is None else noted,)
        if source == "thrift":
            return properties.thrift_user, self._by_group.get(properties.group or "")
        return ()

    def _is_disguised(self, source: str, properties: se.Properties) -> bool:
        """Whether a client has overwritten what its server says of it."""
        if source == "connect":
            return properties.connect_user == ""
        return source == "thrift" and bool(self._by_session and properties.group)


def _tagged(tags: str | None) -> str | None:
    """The user of Spark Connect; ``None``: no tag names one, or several do."""
    found = {match[1] for tag in (tags or "").split(",") if (match := _CONNECT_TAG.fullmatch(tag))}
    return found.pop() if len(found) == 1 else None
