"""What a policy is: it watches what happens in a pool and names the stage to launch next.

The scheduler tells a policy of every change that could matter to an order; the policy answers
``first()``.  A stage is *offered* while it has a task to launch: it is ready and has a waiting
task.  Offers go and come back often (a stage whose task needs more slots than are free is withdrawn
for the rest of one poll), so both must be cheap.

A user at the cap of running slots is *paused*: what is offered of them stays, but does not go and
is not ranked.  Someone with ten thousand jobs may come to the cap with every launch and leave it
with every result, so neither may cost more than a place in an order of users.

What goes first may not fit a worker at all: its tasks are too wide, or an engine places them.  So
that a poll need not walk past all of these, a policy keeps *narrow orders* beside its own, each of
what is leased on so many slots, from the first time that somebody asks for one.  Workers share one
if no width of a task lies between their sizes.

The clock is advanced (``advance``) before any other call with the same instant.

A policy keeps its own records in ``policy_state`` of users, jobs and stages; nobody else reads
them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, ClassVar

from uwfq_service.core.model import insert_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from uwfq_service.core.model import Job, User
    from uwfq_service.core.stage import Stage
    from uwfq_service.core.virtual_time import Countdown

#: A narrow order is dropped when there were so many more offers since its last use than there were
#: stages to make it of: then making it anew costs less than it has cost to keep.
OFFERS_TO_KEEP = 256


def is_leased_within(stage: Stage, slots: int) -> bool:
    """Whether the tasks of ``stage`` are leased, and need no more than ``slots`` slots."""
    return stage.slots_per_task <= slots and not stage.job.engine_id


def first_within(policy: Policy, slots: int) -> Stage | None:
    """What goes first; or, if that is not leased on ``slots`` slots, of what is."""
    stage = policy.first()
    if stage is None or is_leased_within(stage, slots):
        return stage
    return policy.first_within(slots)


class NarrowOrder(ABC):
    """Some of the offered stages of a pool, in the order that they have among themselves.

    Those of a paused user do not go.
    """

    #: Offered stages that there were when it was made, and offers since its last use.
    made_of = 0
    idle = 0

    @abstractmethod
    def add(self, stage: Stage) -> None:
        """``stage`` is offered."""

    @abstractmethod
    def remove(self, stage: Stage) -> None:
        """``stage`` is not offered any more."""

    @abstractmethod
    def first(self) -> Stage | None:
        """The stage that goes first; ``None``: there is none."""

    @abstractmethod
    def holds(self, user: User) -> bool:
        """Whether anything of ``user`` is here, paused or not."""

    def running_changed(self, stage: Stage) -> None:
        """``stage``, which may not be here, occupies other slots than before."""

    def pause_changed(self, user: User) -> None:
        """``user``, who may not be here, is paused, or is not any more."""

    def forget_user(self, user: User) -> None:
        """``user``, of whom nothing is here, is not remembered any more."""

    def close(self) -> None:
        """Nobody will use it any more."""


class Policy(ABC):
    """Orders the launchable stages of one pool.

    Subclasses implement ``offer``, ``withdraw``, ``pause_changed``, ``first``, ``ranking``,
    ``_offered`` and ``_narrow_order`` and override whichever of the notices they need.  They pass
    on offers, withdrawals and pauses to the narrow orders, if there are any.
    """

    #: The name that a pool's configuration uses.
    name: ClassVar[str]
    #: Whether jobs have virtual deadlines, by which the order goes.
    has_deadlines: ClassVar[bool] = False
    #: Whether a launch leaves the order of the others alone, so that tasks of one stage can be
    #: launched together.
    order_survives_launch: ClassVar[bool] = True
    #: Whether measured work corrects what a job is charged for (``UserClock.correct``).
    corrects_estimates: ClassVar[bool] = False

    def __init__(self, number: Callable[[Any], Any], now: Any) -> None:
        #: Makes the pool's kind of number of a plain one: ``float`` or ``Fraction``.
        self.number = number
        #: By the widest task that they are for, in slots.
        self._narrow: dict[int, NarrowOrder] = {}
        #: While there are any: the widths of all tasks that are offered, or have been since,
        #: ascending.
        self._widths: list[int] = []

    # -- notices --------------------------------------------------------------------------------

    def advance(self, now: Any) -> None:
        """Time has come to ``now``, which never falls."""

    @property
    def anchored_at(self) -> Any:
        """Until then at least virtual time is settled: somebody has seen who had left by then."""
        return self.number(0)

    def stand_still(self, since: Any, now: Any) -> None:
        """Nobody was served from ``since`` until ``now``: virtual time has not moved either."""

    def catch_up(self, now: Any) -> None:
        """Do now what would be done when it is needed.  O(everything); decides nothing."""
        self.advance(now)

    def set_slots(self, slots: int, now: Any) -> None:
        """R is ``slots`` from now on."""

    def set_weight(self, user: User, weight: int, now: Any) -> None:
        """``user.weight`` is about to become ``weight`` (in millionths)."""

    def add_job(self, job: Job, now: Any) -> None:
        """``job`` was admitted, charged ``job.work``."""

    def correct(self, job: Job, change: Any, now: Any) -> None:
        """``job.work`` is about to change by ``change``."""

    def recognise(self, job: Job) -> None:
        """``job.unseen`` is not set any more: the first job like it has ended, say."""

    def work_done(self, job: Job, now: Any) -> None:
        """Attempts of ``job`` have ended, or its charge has changed."""

    def end_job(self, job: Job, now: Any) -> None:
        """``job`` is over; nothing of it is offered any more."""

    def forget_job(self, job: Job) -> None:
        """``job`` is not remembered any more; its record lets it go, and it its record."""
        job.policy_state = None
        for stage in job.stages:
            stage.policy_state = None

    def forget_user(self, user: User) -> None:
        """``user``, who is idle and virtually inactive, is not remembered any more."""
        user.policy_state = None
        for order in self._narrow.values():
            order.forget_user(user)

    def add_stage(self, stage: Stage, now: Any) -> None:
        """``stage`` has become ready: the stages that it depends on are done."""

    def running_changed(self, stage: Stage, slots: int) -> None:
        """Tasks of ``stage`` occupy ``slots`` more slots than before (fewer, if negative)."""

    # -- the order ------------------------------------------------------------------------------

    @abstractmethod
    def offer(self, stage: Stage, now: Any) -> None:
        """``stage`` has a task to launch.  It is not offered already."""

    @abstractmethod
    def withdraw(self, stage: Stage, now: Any) -> None:
        """``stage`` has no task to launch any more.  It was offered."""

    @abstractmethod
    def pause_changed(self, user: User) -> None:
        """``user.paused`` is not what it was.  O(log n), however much is offered of the user."""

    @abstractmethod
    def first(self) -> Stage | None:
        """The offered stage to launch a task of next; ``None`` when none may go."""

    @abstractmethod
    def ranking(self) -> Iterator[Stage]:
        """All offered stages that may go, most urgent first.  O(n log n); changes nothing.

        May be read on after the pool has changed: what has moved may then be missed or come twice,
        and what has gone may come.
        """

    def first_within(self, slots: int) -> Stage | None:
        """What would go first if only what is leased on ``slots`` slots were offered.

        As ``first``, but O(n log n) the first time for such a width, and after it was dropped.
        """
        return self._order_within(slots).first()

    def holds_within(self, user: User, slots: int) -> bool:
        """Whether anything of ``user`` is offered that is leased on ``slots`` slots.

        Costs as ``first_within``.
        """
        return self._order_within(slots).holds(user)

    def _order_within(self, slots: int) -> NarrowOrder:
        if not self._narrow:
            self._widths = sorted({stage.slots_per_task for stage in self._offered()})
        fitting = bisect_right(self._widths, slots)
        widest = self._widths[fitting - 1] if fitting else 0
        order = self._narrow.get(widest)
        if order is None:
            order = self._narrow_order()
            for stage in self._offered():
                order.made_of += 1
                if is_leased_within(stage, widest):
                    order.add(stage)
            self._narrow[widest] = order
        order.idle = 0
        return order

    def first_of(self, stages: Iterable[Stage]) -> Stage | None:
        """Which of some offered stages would go first if no others were."""
        order = self._narrow_order()
        for stage in stages:
            order.add(stage)
        first = order.first()
        order.close()
        return first

    @abstractmethod
    def _offered(self) -> Iterator[Stage]:
        """All offered stages, those of paused users, too, in any order."""

    @abstractmethod
    def _narrow_order(self) -> NarrowOrder:
        """An empty order by the same rules."""

    def _offer_narrow(self, stage: Stage) -> None:
        """Pass on an offer."""
        insert_index(self._widths, stage.slots_per_task)
        unused = []
        for widest, order in self._narrow.items():
            if is_leased_within(stage, widest):
                order.add(stage)
                order.idle += 1
                if order.idle > order.made_of + OFFERS_TO_KEEP:
                    unused.append(widest)
        for widest in unused:
            self._narrow.pop(widest).close()

    def _withdraw_narrow(self, stage: Stage) -> None:
        """Pass on a withdrawal."""
        for widest, order in self._narrow.items():
            if is_leased_within(stage, widest):
                order.remove(stage)

    # -- looking --------------------------------------------------------------------------------

    def virtual_deadline(self, job: Job) -> Any | None:
        """The job's global virtual deadline; ``None`` under a policy without deadlines."""
        return None

    def stage_deadline(self, stage: Stage) -> Any | None:
        """The deadline that ``stage`` is ranked by: its job's, unless the policy says otherwise."""
        return self.virtual_deadline(stage.job)

    def awaits_probe(self, job: Job) -> bool:
        """Whether nothing but a guess is known of ``job``, until one of its tasks has ended.

        It is to start with that task alone as long as somebody else wants to run.
        """
        return False

    def virtual_time(self, now: Any) -> Any:
        """Global virtual time; 0 under a policy without it."""
        return self.number(0)

    def countdown(self, deadline: Any, now: Any) -> Countdown | None:
        """Finds out when virtual time will be ``deadline``; ``None`` under a policy without it."""
        return None

    def active_weight(self) -> int:
        """Summed weight of the virtually active users, in millionths."""
        return 0

    def served_weight(self) -> int:
        """Summed weight of what the fluid cluster serves now, in millionths: V runs by that."""
        return self.active_weight()

    def share_slots(self, user: User, slots: int) -> float:
        """How many of ``slots`` slots are due to ``user`` now."""
        return slots * user.weight / self.active_weight() if self.is_active(user) else 0.0

    def shares_in_order(self) -> Any | None:
        """The slots and weights that shares come from, while the order goes by shares, too."""
        return None

    def active_users(self) -> int:
        """Number of virtually active users."""
        return 0

    def is_active(self, user: User) -> bool:
        """Whether ``user`` is virtually active."""
        return False

    def fluid_service(self, user: User, now: Any) -> Any | None:
        """Service that the fluid cluster has given ``user`` so far; ``None``: not known."""
        return None

    # -- snapshots ------------------------------------------------------------------------------

    def dump(self) -> Any:
        """The policy's state beyond what is offered and runs, as plain values."""
        return None

    def load(self, state: Any, users: dict[int, User], jobs: dict[int, Job], now: Any) -> None:
        """Take over what ``dump`` gave; offers and running slots are told again afterwards."""

    def dump_job(self, job: Job) -> Any:
        """What the policy knows of one job that ``dump`` does not hold."""
        return None

    def load_job(self, job: Job, state: Any) -> None:
        """Take over what ``dump_job`` gave, after ``load``."""
