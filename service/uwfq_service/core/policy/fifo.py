"""FIFO: jobs in the order of their admission, whoever's they are."""

from __future__ import annotations

from typing import ClassVar

from uwfq_service.core.policy.stage_order import OrderPolicy, UserOrder


class FifoPolicy(OrderPolicy):
    """Stages by (job number, stage index)."""

    name: ClassVar[str] = "fifo"

    def _narrow_order(self) -> UserOrder:
        return UserOrder(lambda stage: (stage.job.number, stage.index, stage))
