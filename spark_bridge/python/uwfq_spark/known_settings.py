"""The settings of the bridge, as the plugin reads them; its README says what each is for.

Defined in ``Settings.java`` and ``PartitioningSettings.java``; a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PREFIX: Final = "spark.uwfq."

#: Of the application: set when it starts.  By their names behind ``PREFIX``, with what holds when
#: they are not set; ``None``: it must be.
SETTINGS: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        "target": None,
        "pool": "default",
        "defaultUser": "default",
        "userSources": "thrift,connect,property",
        "gate": "none",
        "staleAfter": "5s",
        "rpcTimeout": "2s",
        "tls.ca": "",
        "tls.certificate": "",
        "tls.key": "",
        "partitioning.enabled": "true",
        "partitioning.scans": "true",
        "partitioning.shuffles": "true",
        "partitioning.timeout": "200ms",
        "partitioning.minTaskBytes": "1m",
        "partitioning.maxTaskBytes": "1g",
        "partitioning.maxTasks": "10000",
    }
)

#: Of a thread or a session, set while the application runs; its configuration holds for all others.
LOCAL: Final[Mapping[str, str | None]] = MappingProxyType({"user": "", "weight": "1"})
