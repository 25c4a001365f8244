"""Stages by keys of their own: what ``fair`` and ``ujf`` go by, and the narrow orders of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sortedcontainers import SortedList

from uwfq_service.core.policy.base import NarrowOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uwfq_service.core.stage import Stage


class StageOrder(NarrowOrder):
    """The offered stages by their entries.  O(log n) each.

    An entry is a key that tells any two stages apart, with the stage at its end: nested, comparing
    two would take half as long again.
    """

    def __init__(self, entry_of: Callable[[Stage], tuple[Any, ...]]) -> None:
        self._entry_of = entry_of
        self._order: SortedList[tuple[Any, ...]] = SortedList()
        self._entries: dict[int, tuple[Any, ...]] = {}

    def __len__(self) -> int:
        return len(self._order)

    def add(self, stage: Stage) -> None:
        entry = self._entries[stage.key] = self._entry_of(stage)
        self._order.add(entry)

    def remove(self, stage: Stage) -> None:
        self._order.remove(self._entries.pop(stage.key))

    def __contains__(self, stage: Stage) -> bool:
        return stage.key in self._entries

    def first(self) -> Stage | None:
        return self._order[0][-1] if self._order else None

    def __iter__(self) -> Iterator[Stage]:
        return (entry[-1] for entry in self._order)

    def running_changed(self, stage: Stage) -> None:
        if stage in self:
            self.remove(stage)
            self.add(stage)
