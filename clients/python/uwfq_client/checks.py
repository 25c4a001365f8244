"""Options that make no sense, refused where the caller sees it.

The first call would say less, and a worker with a batch of 0 or a wait of NaN nothing at all.
"""

from __future__ import annotations

import math
import re
from numbers import Integral
from typing import Final

#: What people copy from elsewhere; gRPC has names of its own (``dns:///host:port``).
_URL: Final = re.compile("(https?|grpcs?)://", re.IGNORECASE)


def target(target: str) -> None:
    """Raise ``ValueError`` for nowhere, for a URL, and for a port that there is not.

    gRPC takes such a port modulo 65536, and so finds somebody else's service.
    """
    if not target or _URL.match(target):
        raise ValueError(f"target is {target!r}, and must be host:port or unix:/path")
    if target.startswith(("unix:", "unix-abstract:")):
        return
    _, colon, port = target.rpartition(":")
    if colon and port.isascii() and port.isdecimal() and not 1 <= int(port[:9]) <= 65535:
        raise ValueError(f"target is {target!r}, and its port must be 1 to 65535")


def whole(name: str, value: object, *, least: int) -> None:
    """Raise ``ValueError`` unless ``value`` is a whole number, at least ``least``, of 32 bits."""
    if not isinstance(value, Integral) or not least <= int(value) < 1 << 32:
        raise ValueError(f"{name} is {value!r}, and must be a whole number, at least {least}")


def duration(name: str, seconds: float) -> None:
    """Raise ``ValueError`` for seconds below 0, and for NaN."""
    if not seconds >= 0:
        raise ValueError(f"{name} is {seconds!r}, and must be at least 0")


def positive_duration(name: str, seconds: float, *, most: float = math.inf) -> None:
    """Raise ``ValueError`` for no time at all, for NaN, and for more than ``most`` seconds."""
    if not 0 < seconds <= most:
        limit = "" if math.isinf(most) else f", and at most {most:,.0f}"
        raise ValueError(f"{name} is {seconds!r}, and must be above 0{limit}")
