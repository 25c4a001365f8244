"""Whose a Spark job is, from the local properties that it was submitted with.

uwfq.user              whoever set it meant just that
spark.uwfq.user        likewise, for all that says nothing else
spark.job.tags         Spark Connect puts the user into a tag of each operation
spark.jobGroup.id      the Thrift server's statement, whose user an earlier event told
spark.scheduler.pool   to whom Spark itself was fair, unless it is everybody's
"""

from __future__ import annotations

import re
from typing import Final

from uwfq_service.simulator.importers import spark_events as se

#: Stock Spark's pool for those who ask for none.
_DEFAULT_POOL: Final = "default"
_UUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
#: Anchored on the UUIDs, for names of users may hold underscores.
_CONNECT_TAG: Final = re.compile(
    rf"(?:^|,)SparkConnect_OperationTag_User_(.+?)_Session_{_UUID}_Operation_{_UUID}(?:,|$)"
)


class Users:
    """Who uses one application."""

    def __init__(self) -> None:
        #: Of the Thrift server: by session, and by group of jobs.
        self._by_session: dict[str, str] = {}
        self._by_group: dict[str, str] = {}

    def thrift_session(self, event: se.ThriftSession) -> None:
        """Somebody has connected to the Thrift server."""
        self._by_session[event.session] = event.user

    def thrift_operation(self, event: se.ThriftOperation) -> None:
        """A statement begins, whose jobs will carry its group."""
        if user := event.user or self._by_session.get(event.session):
            self._by_group[event.group] = user

    def of(self, properties: se.Properties) -> tuple[str | None, str | None]:
        """The user, or the pool if that is all there is; neither: it is the application's own."""
        if user := properties.user or properties.session_user:
            return user, None
        if tag := _CONNECT_TAG.search(properties.tags or ""):
            return tag[1], None
        if user := self._by_group.get(properties.group or ""):
            return user, None
        if properties.pool and properties.pool != _DEFAULT_POOL:
            return None, properties.pool
        return None, None
