"""User-job-fair: FAIR over users, then FAIR over that user's stages.

This is what one FAIR pool per user, correctly configured, gives in Spark: the practical baseline
that UWFQ is measured against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.policy.fair import fair_entry
from uwfq_service.core.policy.stage_order import OrderPolicy, UserOrder, UserStages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uwfq_service.core.model import User
    from uwfq_service.core.stage import Stage


class FairUserOrder(UserOrder):
    """Users by (running slots per weight, name), each with an order of their own stages."""

    def __init__(self) -> None:
        super().__init__(fair_entry)

    def weight_changed(self, user: User) -> None:
        """``user`` has another weight than before."""
        mine = self._users.get(user.number)
        if mine is not None:
            self._place(user, mine)

    def first(self) -> Stage | None:
        if not self._order:
            return None
        stage: Stage = self._users[self._order[0][-1].number].first[-1]
        return stage

    def __iter__(self) -> Iterator[Stage]:
        for _, _, user in self._order:
            for entry in self._users[user.number]:
                yield entry[-1]

    def _user_entry(self, user: User, mine: UserStages) -> tuple[Any, str, User]:
        return user.running_slots * WEIGHT_SCALE / user.weight, user.name, user


class UjfPolicy(OrderPolicy):
    """Users by (running slots per weight, name), each with an order of their own stages."""

    name: ClassVar[str] = "ujf"
    order_survives_launch: ClassVar[bool] = False
    _order: FairUserOrder
    _narrow: dict[int, FairUserOrder]  # type: ignore[assignment]

    def running_changed(self, stage: Stage, slots: int) -> None:
        for order in (self._order, *self._narrow.values()):
            order.running_changed(stage)

    def set_weight(self, user: User, weight: int, now: Any) -> None:
        user.weight = weight
        for order in (self._order, *self._narrow.values()):
            order.weight_changed(user)

    def _narrow_order(self) -> FairUserOrder:
        return FairUserOrder()
