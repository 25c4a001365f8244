"""User-job-fair: FAIR over users, then FAIR over that user's stages.

This is what one FAIR pool per user, correctly configured, gives in Spark: the practical baseline
that UWFQ is measured against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sortedcontainers import SortedList

from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.policy.base import Policy
from uwfq_service.core.policy.fair import FairOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uwfq_service.core.model import User
    from uwfq_service.core.stage import Stage


class UserOrder:
    """One user's offered stages, and the key by which the user is ordered among users."""

    __slots__ = ("key", "stages")

    def __init__(self) -> None:
        self.stages = FairOrder()
        self.key: tuple[Any, str, User] | None = None


class UjfPolicy(Policy):
    """Users by (running slots per weight, name), each with an order of their own stages."""

    name: ClassVar[str] = "ujf"
    order_survives_launch: ClassVar[bool] = False

    def __init__(self, number: Callable[[Any], Any], now: Any) -> None:
        super().__init__(number, now)
        self._users: SortedList[tuple[Any, str, User]] = SortedList()

    def offer(self, stage: Stage, now: Any) -> None:
        order = self._order_of(stage.job.user)
        order.stages.add(stage)
        self._place(stage.job.user, order)

    def withdraw(self, stage: Stage, now: Any) -> None:
        order = self._order_of(stage.job.user)
        order.stages.remove(stage)
        self._place(stage.job.user, order)

    def running_changed(self, stage: Stage, slots: int) -> None:
        order = self._order_of(stage.job.user)
        if stage in order.stages:
            order.stages.remove(stage)
            order.stages.add(stage)
        self._place(stage.job.user, order)

    def set_weight(self, user: User, weight: int, now: Any) -> None:
        order = self._order_of(user)
        user.weight = weight
        self._place(user, order)

    def first(self) -> Stage | None:
        if not self._users:
            return None
        return self._order_of(self._users[0][2]).stages.first()

    def ranking(self) -> Iterator[Stage]:
        for _, _, user in self._users:
            yield from self._order_of(user).stages

    def _place(self, user: User, order: UserOrder) -> None:
        """Put the user where the running slots say, or out of the order with nothing offered."""
        key = None
        if len(order.stages):
            key = (user.running_slots * WEIGHT_SCALE / user.weight, user.name, user)
        if order.key is not None:
            if key is not None and key[0] == order.key[0]:
                return
            self._users.remove(order.key)
        order.key = key
        if key is not None:
            self._users.add(key)

    @staticmethod
    def _order_of(user: User) -> UserOrder:
        order: UserOrder | None = user.policy_state
        if order is None:
            order = user.policy_state = UserOrder()
        return order
