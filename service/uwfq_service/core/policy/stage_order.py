"""Stages by keys of their own, user by user: what all policies but ``uwfq`` go by.

Each user's offered stages have an order of their own, and in the order of users stands one entry
for each user who has any and is not paused:

    user A   [a1 a4 a9 ...]    a1  --.
    user B   [b2 b3]           b2  ---+-->  users: a1 b2
    user C   [c1 ...] paused        --'

So pausing a user takes one entry out, whatever waits behind it.
"""

from __future__ import annotations

from abc import abstractmethod
from heapq import merge
from typing import TYPE_CHECKING, Any

from sortedcontainers import SortedList

from uwfq_service.core.policy.base import NarrowOrder, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uwfq_service.core.model import User
    from uwfq_service.core.stage import Stage

#: A key that tells any two stages (or users) apart, with what it is the key of at its end: nested,
#: comparing two would take half as long again.
Entry = tuple[Any, ...]


class UserStages:
    """One user's offered stages, and the user's entry in the order of users.  O(log n) each."""

    __slots__ = ("_entries", "_order", "entry")

    def __init__(self) -> None:
        self._order: SortedList[Entry] = SortedList()
        self._entries: dict[int, Entry] = {}
        #: ``None``: nothing is offered, or the user is paused.
        self.entry: Entry | None = None

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._order)

    def __contains__(self, stage: Stage) -> bool:
        return stage.key in self._entries

    @property
    def first(self) -> Entry:
        """The entry of the stage that goes first; there must be one."""
        first: Entry = self._order[0]
        return first

    def add(self, stage: Stage, entry: Entry) -> None:
        """``stage`` is offered."""
        self._entries[stage.key] = entry
        self._order.add(entry)

    def remove(self, stage: Stage) -> None:
        """``stage`` is not offered any more."""
        self._order.remove(self._entries.pop(stage.key))


class UserOrder(NarrowOrder):
    """The offered stages by their entries.  O(log n) each."""

    def __init__(self, entry_of: Callable[[Stage], Entry]) -> None:
        self._entry_of = entry_of
        self._order: SortedList[Entry] = SortedList()
        self._users: dict[int, UserStages] = {}

    def add(self, stage: Stage) -> None:
        user = stage.job.user
        mine = self._users.get(user.number)
        if mine is None:
            mine = self._users[user.number] = UserStages()
        mine.add(stage, self._entry_of(stage))
        self._place(user, mine)

    def remove(self, stage: Stage) -> None:
        user = stage.job.user
        mine = self._users[user.number]
        mine.remove(stage)
        self._place(user, mine)

    def running_changed(self, stage: Stage) -> None:
        user = stage.job.user
        mine = self._users.get(user.number)
        if mine is not None:
            if stage in mine:
                mine.remove(stage)
                mine.add(stage, self._entry_of(stage))
            self._place(user, mine)

    def holds(self, user: User) -> bool:
        mine = self._users.get(user.number)
        return mine is not None and len(mine) > 0

    def pause_changed(self, user: User) -> None:
        mine = self._users.get(user.number)
        if mine is not None:
            self._place(user, mine)

    def forget_user(self, user: User) -> None:
        self._users.pop(user.number, None)

    def first(self) -> Stage | None:
        return self._order[0][-1] if self._order else None

    def __iter__(self) -> Iterator[Stage]:
        """Those that may go, in their order."""
        users = [mine for mine in self._users.values() if mine.entry is not None]
        return (entry[-1] for entry in merge(*users))

    def offered(self) -> Iterator[Stage]:
        """All of them, in any order."""
        return (entry[-1] for mine in self._users.values() for entry in mine)

    def _user_entry(self, user: User, mine: UserStages) -> Entry:
        """Where ``user``, who has an offered stage, stands among users: where that stage does."""
        return mine.first

    def _place(self, user: User, mine: UserStages) -> None:
        """Put the user where they belong: out of the order if paused, or with nothing offered."""
        entry = self._user_entry(user, mine) if len(mine) and not user.paused else None
        if entry == mine.entry:
            return
        if mine.entry is not None:
            self._order.remove(mine.entry)
        mine.entry = entry
        if entry is not None:
            self._order.add(entry)


class OrderPolicy(Policy):
    """A policy that goes by one order of stages, which ``_narrow_order`` makes."""

    def __init__(self, number: Callable[[Any], Any], now: Any) -> None:
        super().__init__(number, now)
        self._order = self._narrow_order()
        self._narrow: dict[int, UserOrder] = {}  # type: ignore[assignment]

    def offer(self, stage: Stage, now: Any) -> None:
        self._order.add(stage)
        if self._narrow:
            self._offer_narrow(stage)

    def withdraw(self, stage: Stage, now: Any) -> None:
        self._order.remove(stage)
        if self._narrow:
            self._withdraw_narrow(stage)

    def pause_changed(self, user: User) -> None:
        for order in (self._order, *self._narrow.values()):
            order.pause_changed(user)

    def forget_user(self, user: User) -> None:
        super().forget_user(user)
        self._order.forget_user(user)

    def first(self) -> Stage | None:
        return self._order.first()

    def ranking(self) -> Iterator[Stage]:
        return iter(self._order)

    def _offered(self) -> Iterator[Stage]:
        return self._order.offered()

    @abstractmethod
    def _narrow_order(self) -> UserOrder:
        """See ``Policy``."""
