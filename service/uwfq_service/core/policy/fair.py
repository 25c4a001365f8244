"""Spark's FAIR scheduling over stages: whoever has the fewest running slots per weight goes next.

With every ``minShare`` 0 Spark compares running tasks per weight, then the *string* of the name, so
that ``TaskSet_10.0`` comes before ``TaskSet_2.0``.  Here slots count instead of tasks, since a task
may need several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sortedcontainers import SortedList

from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.policy.base import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uwfq_service.core.stage import Stage


class FairOrder:
    """The offered stages by (running slots per job weight, serial name).  O(log n) each."""

    __slots__ = ("_keys", "_order")

    def __init__(self) -> None:
        self._order: SortedList[tuple[Any, str, int, Stage]] = SortedList()
        self._keys: dict[int, tuple[Any, str, int, Stage]] = {}

    def __len__(self) -> int:
        return len(self._order)

    def add(self, stage: Stage) -> None:
        """``stage`` is offered."""
        # The serial is unique and decides before the stages themselves would be compared.
        ratio = stage.running_slots * WEIGHT_SCALE / stage.job.weight
        key = (ratio, stage.serial_name, stage.launch_serial, stage)
        self._keys[stage.launch_serial] = key
        self._order.add(key)

    def remove(self, stage: Stage) -> None:
        """``stage`` is not offered any more."""
        self._order.remove(self._keys.pop(stage.launch_serial))

    def __contains__(self, stage: Stage) -> bool:
        return stage.launch_serial in self._keys

    def first(self) -> Stage:
        """The stage that goes next; there must be one."""
        return self._order[0][3]

    def __iter__(self) -> Iterator[Stage]:
        return (key[3] for key in self._order)


class FairPolicy(Policy):
    """FAIR over all stages of the pool: users who submit more get more."""

    name: ClassVar[str] = "fair"
    order_survives_launch: ClassVar[bool] = False

    def __init__(self, number: Callable[[Any], Any], now: Any) -> None:
        super().__init__(number, now)
        self._order = FairOrder()

    def offer(self, stage: Stage, now: Any) -> None:
        self._order.add(stage)

    def withdraw(self, stage: Stage, now: Any) -> None:
        self._order.remove(stage)

    def running_changed(self, stage: Stage, slots: int) -> None:
        if stage in self._order:
            self._order.remove(stage)
            self._order.add(stage)

    def first(self) -> Stage | None:
        return self._order.first() if len(self._order) else None

    def ranking(self) -> Iterator[Stage]:
        return iter(self._order)
