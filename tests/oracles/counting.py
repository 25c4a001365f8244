"""Costs that are no time: how much is called, and compared."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


class Counted(int):
    """A number that counts how often one of its kind is compared with another."""

    compared = 0
    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return int(self) == other

    def __lt__(self, other: int) -> bool:
        Counted.compared += 1
        return int(self) < other

    def __gt__(self, other: int) -> bool:
        Counted.compared += 1
        return int(self) > other


def calls_of(work: Callable[[], Any]) -> int:
    """How many functions ``work`` calls, built-in ones included."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count
