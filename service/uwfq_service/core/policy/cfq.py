"""Cluster fair queuing: one-level virtual time over stages, blind to users.

A stage that becomes launchable gets the deadline V + its work, and counts as active until V reaches
it; V runs at R divided by the number of active stages.  Source: the paper's baseline
(arXiv:2510.15485).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.policy.stage_order import OrderPolicy, UserOrder
from uwfq_service.core.virtual_time import Countdown, FluidClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from uwfq_service.core.model import Job, User
    from uwfq_service.core.stage import Stage


class StageClock:
    """One stage as a member of the fluid cluster: equal shares, until its work is served."""

    __slots__ = ("active", "end", "exit_entry", "number", "user", "weight")

    def __init__(
        self,
        number: int,
        end: Any,
        user: User | None = None,
        active: Counter[User] | None = None,
    ) -> None:
        self.number = number
        self.weight = WEIGHT_SCALE
        self.end = end
        self.exit_entry: tuple[Any, int, Any] | None = None
        #: Whose stage it is, and where it counts for its user while it is served: its job may be
        #: forgotten by then.  ``None``: it is not served.
        self.user = user
        self.active = active
        if active is not None and user is not None:
            active[user] += 1

    def leave(self, end: Any) -> None:
        """Served; the deadline stays."""
        if self.active is not None and self.user is not None:
            self.active[self.user] -= 1
            if not self.active[self.user]:
                del self.active[self.user]


class CfqPolicy(OrderPolicy):
    """Offered stages by (deadline, order of becoming launchable)."""

    name: ClassVar[str] = "cfq"
    has_deadlines: ClassVar[bool] = True

    def __init__(self, number: Callable[[Any], Any], now: Any) -> None:
        super().__init__(number, now)
        self._clock = FluidClock(number(now), number(0))
        #: How many stages of each user are served.
        self._active: Counter[User] = Counter()

    def advance(self, now: Any) -> None:
        self._clock.advance(now)

    @property
    def anchored_at(self) -> Any:
        return self._clock.anchored_at

    def stand_still(self, since: Any, now: Any) -> None:
        self._clock.stand_still(since, now)

    def set_slots(self, slots: int, now: Any) -> None:
        self._clock.set_slots(slots, now)

    def add_stage(self, stage: Stage, now: Any) -> None:
        end = self._clock.value(now) + self.number(stage.work)
        stage.policy_state = StageClock(stage.launch_serial, end, stage.job.user, self._active)
        self._clock.enter(stage.policy_state, now)

    def _narrow_order(self) -> UserOrder:
        return UserOrder(lambda stage: (stage.policy_state.end, stage.launch_serial, stage))

    def virtual_deadline(self, job: Job) -> Any | None:
        clocks = [stage.policy_state for stage in job.stages if stage.policy_state is not None]
        return max((clock.end for clock in clocks), default=None)

    def stage_deadline(self, stage: Stage) -> Any | None:
        return None if stage.policy_state is None else stage.policy_state.end

    def virtual_time(self, now: Any) -> Any:
        return self._clock.value(now)

    def countdown(self, deadline: Any, now: Any) -> Countdown:
        return Countdown(self._clock, deadline, now)

    def active_weight(self) -> int:
        return sum(user.weight for user in self._active)

    def served_weight(self) -> int:
        return self._clock.active_weight

    def share_slots(self, user: User, slots: int) -> float:
        # Each stage that is served has the same share, whoever's it is.
        return slots * self._active[user] / (len(self._clock.active) or 1)

    def active_users(self) -> int:
        return len(self._active)

    def is_active(self, user: User) -> bool:
        return user in self._active

    def dump(self) -> Any:
        served: Iterable[Any] = self._clock.active.values()
        stages = [[c.number, c.end, None if c.user is None else c.user.number] for c in served]
        return [self._clock.dump(), stages]

    def load(self, state: Any, users: dict[int, User], jobs: dict[int, Job], now: Any) -> None:
        fluid, actives = state
        stages = {stage.launch_serial: stage for job in jobs.values() for stage in job.stages}
        members: dict[int, Any] = {}
        for number, end, *newer in actives:
            stage = stages.get(number)
            user = None
            if stage is not None:
                user = stage.job.user
            elif newer:
                # An older image does not say whose a stage of a forgotten job is.
                user = users.get(newer[0])
            members[number] = StageClock(number, end, user, self._active)
            if stage is not None:
                stage.policy_state = members[number]
        self._clock = FluidClock.load(fluid, members)

    def dump_job(self, job: Job) -> Any:
        return [
            [stage.index, stage.policy_state.end]
            for stage in job.stages
            if stage.policy_state is not None
        ]

    def load_job(self, job: Job, state: Any) -> None:
        for index, end in state:
            stage = job.stages[index]
            if stage.policy_state is None:
                # It has left the virtual system, but its deadline stays.
                stage.policy_state = StageClock(stage.launch_serial, end)
