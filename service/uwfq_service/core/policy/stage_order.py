"""Stages by keys of their own: what ``fair`` and ``ujf`` go by, and the narrow orders of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sortedcontainers import SortedList

from uwfq_service.core.policy.base import NarrowOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uwfq_service.core.stage import Stage


class StageOrder(NarrowOrder):
    """The offered stages by a key that tells any two of them apart.  O(log n) each."""

    def __init__(self, key_of: Callable[[Stage], tuple[Any, ...]]) -> None:
        self._key_of = key_of
        self._order: SortedList[tuple[tuple[Any, ...], Stage]] = SortedList()
        self._keys: dict[int, tuple[tuple[Any, ...], Stage]] = {}

    def __len__(self) -> int:
        return len(self._order)

    def add(self, stage: Stage) -> None:
        # The key decides before the stages themselves would be compared.
        entry = self._keys[stage.key] = (self._key_of(stage), stage)
        self._order.add(entry)

    def remove(self, stage: Stage) -> None:
        self._order.remove(self._keys.pop(stage.key))

    def __contains__(self, stage: Stage) -> bool:
        return stage.key in self._keys

    def first(self) -> Stage | None:
        return self._order[0][1] if self._order else None

    def __iter__(self) -> Iterator[Stage]:
        return (entry[1] for entry in self._order)

    def running_changed(self, stage: Stage) -> None:
        if stage in self:
            self.remove(stage)
            self.add(stage)
