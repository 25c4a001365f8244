"""User-job-fair: FAIR over users, then FAIR over that user's stages.

This is what one FAIR pool per user, correctly configured, gives in Spark: the practical baseline
that UWFQ is measured against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sortedcontainers import SortedList

from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.policy.base import NarrowOrder, Policy
from uwfq_service.core.policy.fair import fair_entry
from uwfq_service.core.policy.stage_order import StageOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uwfq_service.core.model import User
    from uwfq_service.core.stage import Stage


class UserStages:
    """One user's offered stages, and the key by which the user is ordered among users."""

    __slots__ = ("key", "stages")

    def __init__(self) -> None:
        self.stages = StageOrder(fair_entry)
        self.key: tuple[Any, str, User] | None = None


class UserOrder(NarrowOrder):
    """Users by (running slots per weight, name), each with an order of their own stages."""

    def __init__(self) -> None:
        self._order: SortedList[tuple[Any, str, User]] = SortedList()
        self._users: dict[int, UserStages] = {}

    def add(self, stage: Stage) -> None:
        user = stage.job.user
        mine = self._users.get(user.number)
        if mine is None:
            mine = self._users[user.number] = UserStages()
        mine.stages.add(stage)
        self._place(user, mine)

    def remove(self, stage: Stage) -> None:
        user = stage.job.user
        mine = self._users[user.number]
        mine.stages.remove(stage)
        self._place(user, mine)

    def running_changed(self, stage: Stage) -> None:
        mine = self._users.get(stage.job.user.number)
        if mine is not None:
            mine.stages.running_changed(stage)
            self._place(stage.job.user, mine)

    def weight_changed(self, user: User) -> None:
        """``user`` has another weight than before."""
        mine = self._users.get(user.number)
        if mine is not None:
            self._place(user, mine)

    def first(self) -> Stage | None:
        return self._users[self._order[0][2].number].stages.first() if self._order else None

    def __iter__(self) -> Iterator[Stage]:
        for _, _, user in self._order:
            yield from self._users[user.number].stages

    def _place(self, user: User, mine: UserStages) -> None:
        """Put the user where the running slots say, or out of the order with nothing offered."""
        key = None
        if len(mine.stages):
            key = (user.running_slots * WEIGHT_SCALE / user.weight, user.name, user)
        if mine.key is not None:
            if key is not None and key[0] == mine.key[0]:
                return
            self._order.remove(mine.key)
        mine.key = key
        if key is not None:
            self._order.add(key)


class UjfPolicy(Policy):
    """Users by (running slots per weight, name), each with an order of their own stages."""

    name: ClassVar[str] = "ujf"
    order_survives_launch: ClassVar[bool] = False

    def __init__(self, number: Callable[[Any], Any], now: Any) -> None:
        super().__init__(number, now)
        self._order = UserOrder()
        self._narrow: dict[int, UserOrder] = {}  # type: ignore[assignment]

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

    def set_weight(self, user: User, weight: int, now: Any) -> None:
        user.weight = weight
        for order in (self._order, *self._narrow.values()):
            order.weight_changed(user)

    def first(self) -> Stage | None:
        return self._order.first()

    def ranking(self) -> Iterator[Stage]:
        return iter(self._order)

    def _narrow_order(self) -> UserOrder:
        return UserOrder()
