"""FIFO: jobs in the order of their admission, whoever's they are."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, ClassVar

from uwfq_service.core.policy.base import Policy
from uwfq_service.core.policy.stage_order import StageOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uwfq_service.core.stage import Stage


class FifoPolicy(Policy):
    """A heap of (job number, stage index); withdrawn stages drop out when they surface."""

    name: ClassVar[str] = "fifo"

    def __init__(self, number: Callable[[Any], Any], now: Any) -> None:
        super().__init__(number, now)
        self._offered: dict[tuple[int, int], Stage] = {}
        self._order: list[tuple[int, int]] = []

    def offer(self, stage: Stage, now: Any) -> None:
        key = (stage.job.number, stage.index)
        self._offered[key] = stage
        heappush(self._order, key)
        if self._narrow:
            self._offer_narrow(stage)

    def withdraw(self, stage: Stage, now: Any) -> None:
        del self._offered[stage.job.number, stage.index]
        if len(self._order) > 2 * len(self._offered) + 64:
            self._order = sorted(self._offered)
        if self._narrow:
            self._withdraw_narrow(stage)

    def first(self) -> Stage | None:
        while self._order:
            stage = self._offered.get(self._order[0])
            if stage is not None:
                return stage
            heappop(self._order)
        return None

    def ranking(self) -> Iterator[Stage]:
        return (self._offered[key] for key in sorted(self._offered))

    def _narrow_order(self) -> StageOrder:
        return StageOrder(lambda stage: (stage.job.number, stage.index, stage))
