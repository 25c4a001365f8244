"""A scheduler that decides nothing and remembers every event: what the store tests recover.

Its state *is* the sequence of events replayed so far, so a lost, repeated or reordered event shows
as itself. The real scheduler's own round trips are in ``test_real_scheduler.py``.
"""

from __future__ import annotations

from collections.abc import Callable
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


#: For the journal's ``scheduler_type``.
LEDGER = cast("type[Scheduler]", Ledger)


def events_of(scheduler: Scheduler) -> list[AnyEvent]:
    """Return what a recovered ``Ledger`` remembers."""
    return cast("Ledger", scheduler).events
