"""Schedulers that decide nothing and remember what they were told: what the store tests recover.

The state of a ``Ledger`` *is* the sequence of events replayed so far, so a lost, repeated or
reordered event shows as itself. A ``Tally`` only tells that it was the same sequence, but stays
small. The real scheduler's own round trips are in ``test_real_scheduler.py``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from uwfq_service.core.events import AnyEvent
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings


class Ledger:
    """The part of ``Scheduler`` that the store uses."""

    def __init__(self, settings: Settings, *, jitter: Callable[[], float]) -> None:
        self.settings = settings
        self.events: list[AnyEvent] = []

    def replay(self, event: AnyEvent) -> None:
        self.events.append(event)

    def dump(self) -> dict[str, Any]:
        return {"events": [msgspec.msgpack.encode(event) for event in self.events]}

    @classmethod
    def load(
        cls, state: dict[str, Any], settings: Settings, *, jitter: Callable[[], float]
    ) -> Ledger:
        ledger = cls(settings, jitter=jitter)
        decoder = msgspec.msgpack.Decoder(AnyEvent)
        ledger.events = [decoder.decode(record) for record in state["events"]]
        return ledger


class Tally:
    """As ``Ledger``, for tests that go on for long."""

    def __init__(self, settings: Settings, *, jitter: Callable[[], float]) -> None:
        self.count = 0
        self.checksum = 0

    def replay(self, event: AnyEvent) -> None:
        self.count += 1
        self.checksum = zlib.crc32(msgspec.msgpack.encode(event), self.checksum)

    def dump(self) -> dict[str, Any]:
        return {"count": self.count, "checksum": self.checksum}

    @classmethod
    def load(
        cls, state: dict[str, Any], settings: Settings, *, jitter: Callable[[], float]
    ) -> Tally:
        tally = cls(settings, jitter=jitter)
        tally.count, tally.checksum = state["count"], state["checksum"]
        return tally


#: For the journal's ``scheduler_type``.
LEDGER = cast("type[Scheduler]", Ledger)
TALLY = cast("type[Scheduler]", Tally)


def events_of(scheduler: Scheduler) -> list[AnyEvent]:
    """Return what a recovered ``Ledger`` remembers."""
    return cast("Ledger", scheduler).events


def tally_of(events: Sequence[AnyEvent]) -> dict[str, Any]:
    """Return what a ``Tally`` dumps after these events."""
    tally = Tally(Settings(), jitter=lambda: 1.0)
    for event in events:
        tally.replay(event)
    return tally.dump()
