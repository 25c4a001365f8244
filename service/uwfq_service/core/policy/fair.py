"""Spark's FAIR scheduling over stages: whoever has the fewest running slots per weight goes next.

With every ``minShare`` 0 Spark compares running tasks per weight, then the *string* of the name, so
that ``TaskSet_10.0`` comes before ``TaskSet_2.0``.  Here slots count instead of tasks, since a task
may need several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.policy.base import Policy
from uwfq_service.core.policy.stage_order import StageOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uwfq_service.core.stage import Stage


def fair_entry(stage: Stage) -> tuple[Any, str, Stage]:
    """Running slots per job weight, then the serial name, which is unique."""
    return stage.running_slots * WEIGHT_SCALE / stage.job.weight, stage.serial_name, stage


class FairPolicy(Policy):
    """FAIR over all stages of the pool: users who submit more get more."""

    name: ClassVar[str] = "fair"
    order_survives_launch: ClassVar[bool] = False

    def __init__(self, number: Callable[[Any], Any], now: Any) -> None:
        super().__init__(number, now)
        self._order = StageOrder(fair_entry)

    def offer(self, stage: Stage, now: Any) -> None:
        self._order.add(stage)
        if self._narrow:
            self._offer_narrow(stage)

    def withdraw(self, stage: Stage, now: Any) -> None:
        self._order.remove(stage)
        if self._narrow:
            self._withdraw_narrow(stage)

    def running_changed(self, stage: Stage, slots: int) -> None:
        self._order.running_changed(stage)
        for order in self._narrow.values():
            order.running_changed(stage)

    def first(self) -> Stage | None:
        return self._order.first()

    def ranking(self) -> Iterator[Stage]:
        return iter(self._order)

    def _narrow_order(self) -> StageOrder:
        return StageOrder(fair_entry)
