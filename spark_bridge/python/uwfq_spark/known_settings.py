"""The settings of the bridge, as the plugin reads them.

Defined in ``Settings.java`` and ``PartitioningSettings.java``; a test compares.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PREFIX: Final = "spark.uwfq."


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        default: what holds when it is not set; ``None``: it must be set.
        meaning: what it is for.
    """

    default: str | None
    meaning: str


#: Of the application: set when it starts.  By their names behind ``PREFIX``.
SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        "target": Setting(None, "where the service listens, `host:port`"),
        "pool": Setting("default", "the service's pool that the application's slots belong to"),
        "defaultUser": Setting("default", "whose a job is that no source knows a user of"),
        "userSources": Setting(
            "thrift,connect,property",
            "where a job's user is looked for; the first that knows one wins",
        ),
        "gate": Setting("none", "`leases`: a task launches only with a lease of the service"),
        "staleAfter": Setting("5s", "after this long without an answer users take turns"),
        "rpcTimeout": Setting("2s", "longest that one call to the service may take"),
        "tls.ca": Setting("", "file with the authorities to trust (PEM); switches TLS on"),
        "tls.certificate": Setting("", "file with the client's certificate chain (PEM)"),
        "tls.key": Setting("", "file with the client's key (PEM)"),
        "partitioning.enabled": Setting("true", "whether queries are cut as the service says"),
        "partitioning.scans": Setting("true", "whether file scans are"),
        "partitioning.shuffles": Setting("true", "whether stages that read shuffles are"),
        "partitioning.timeout": Setting("200ms", "longest that one query waits for answers"),
        "partitioning.minTaskBytes": Setting("1m", "no task is made to read less than this"),
        "partitioning.maxTaskBytes": Setting("1g", "no task is made to read more than this"),
        "partitioning.maxTasks": Setting("10000", "most tasks of one scan or stage"),
    }
)

#: Of a thread or a session: set while the application runs.
LOCAL: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        "user": Setting("", "whose the jobs are"),
        "weight": Setting("1", "what they weigh among their user's own, 0.001 to 1000000"),
    }
)
