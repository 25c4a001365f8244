"""Spark's FAIR scheduling over stages: whoever has the fewest running slots per weight goes next.

With every ``minShare`` 0 Spark compares running tasks per weight, then the *string* of the name, so
that ``TaskSet_10.0`` comes before ``TaskSet_2.0``.  Here slots count instead of tasks, since a task
may need several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.policy.stage_order import OrderPolicy, UserOrder

if TYPE_CHECKING:
    from uwfq_service.core.stage import Stage


def fair_entry(stage: Stage) -> tuple[Any, str, Stage]:
    """Running slots per job weight, then the serial name, which is unique."""
    return stage.running_slots * WEIGHT_SCALE / stage.job.weight, stage.serial_name, stage


class FairPolicy(OrderPolicy):
    """FAIR over all stages of the pool: users who submit more get more."""

    name: ClassVar[str] = "fair"
    order_survives_launch: ClassVar[bool] = False

    def running_changed(self, stage: Stage, slots: int) -> None:
        for order in (self._order, *self._narrow.values()):
            order.running_changed(stage)

    def _narrow_order(self) -> UserOrder:
        return UserOrder(fair_entry)
