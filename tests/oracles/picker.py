"""Which task each policy launches next, found by sorting everything that could run.

A policy is an order of stages.  Of the stages whose tasks fit the free slots and whose user is not
at a cap, the first in that order gives a task: the one with the largest estimated work, of equals
the one with the lowest index.  Once a stage would be next that the worker can never get (too wide,
or placed by an engine), the order is that of the stages which it can, as if there were no others.

| policy | order of stages |
|---|---|
| fifo | arrival of the job, number of the stage |
| fair | running slots of the stage, then the string ``TaskSet_<n>.0`` |
| ujf | running slots of the user per weight, name of the user, then as ``fair`` |
| cfq | deadline of the stage, the order in which the stages became launchable |
| uwfq, uwfq_paper | deadline of the job, arrival of the job, number of the stage |

Under ``uwfq`` a user may be in debt: the user's jobs keep their order, but none of them is more
urgent than the end of the debt.  And a job may be *unseen* (nothing is known of its like): of
those that are their users' first ones, the one whose user runs on the fewest slots per weight is
next, unless that is the user's share of the pool already and somebody else wants to run.  A job
may be *probed*: its charge is a guess, and its first task runs.  Of each user's jobs those come
last, as they arrived; and such a job is next only where nobody wants to run whose job is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from tests.oracles.fluid import ONE, ZERO

POLICIES: Final = ("fifo", "fair", "ujf", "cfq", "uwfq_paper", "uwfq")
#: The policies whose order follows deadlines.
DEADLINE_POLICIES: Final = ("cfq", "uwfq_paper", "uwfq")


@dataclass(slots=True, eq=False)
class LaunchableStage:
    """A stage whose tasks may run, plainly described."""

    job: str
    user: str
    #: Position of the job in the order of arrival.
    job_number: int
    #: Position of the stage inside the job.
    number: int
    #: Estimated work of the tasks that wait, by index.
    waiting: dict[int, Fraction]
    #: Slots that one task occupies.
    width: int = 1
    #: How many stages had become launchable before this one.
    launch_number: int = 0
    running_slots: int = 0
    job_weight: Fraction = ONE
    #: Of the job; under cfq of the stage.
    deadline: Fraction = ZERO
    #: Whether nothing is known of jobs like it.
    unseen: bool = False
    #: Whether nothing is known of the job until the first of its tasks, one of which runs, is done.
    probed: bool = False
    #: Whether nothing is known of the job until a task is done, whether or not one runs.
    awaits_probe: bool = False
    #: The engine that places the tasks itself; empty: they are leased.
    placed_by: str = ""

    @property
    def name(self) -> str:
        """What Spark's FAIR compares at a tie."""
        return f"TaskSet_{self.launch_number}.0"

    @property
    def first_task(self) -> int:
        """Largest estimated work first; of equals the lowest index."""
        return min(self.waiting, key=lambda index: (-self.waiting[index], index))


@dataclass(slots=True)
class PoolView:
    """What a picker needs to know of a pool."""

    policy: str
    stages: list[LaunchableStage] = field(default_factory=list)
    weights: Mapping[str, Fraction] = field(default_factory=dict)
    #: Most slots that a user's tasks may occupy at once.
    caps: Mapping[str, int] = field(default_factory=dict)
    #: V at which a user is out of debt.
    debt_ends: Mapping[str, Fraction] = field(default_factory=dict)
    #: Slots that an active user is due per unit of weight.
    share: Fraction = ZERO

    @property
    def running(self) -> Mapping[str, int]:
        """Slots that each user's tasks occupy."""
        slots: Counter[str] = Counter()
        for stage in self.stages:
            slots[stage.user] += stage.running_slots
        return slots

    def in_order(self, stages: Iterable[LaunchableStage] | None = None) -> list[LaunchableStage]:
        """All stages with waiting tasks, first what the policy would launch first.

        Or those of ``stages``, as if there were no others.
        """
        running = self.running
        order = sorted(
            (stage for stage in (self.stages if stages is None else stages) if stage.waiting),
            key=lambda stage: order_of(self.policy, stage, running, self.weights),
        )
        return self._after_debts(order) if self.debt_ends else order

    def _after_debts(self, order: list[LaunchableStage]) -> list[LaunchableStage]:
        """``order`` with users held back until the end of their debt, or by what is unseen."""
        merged: list[LaunchableStage] = []
        running = self.running

        def ratio(stage: LaunchableStage) -> Fraction:
            if not stage.unseen:
                return ZERO
            return running.get(stage.user, 0) / self.weights.get(stage.user, ONE)

        def urgency(stage: LaunchableStage) -> tuple[Fraction, int]:
            return self._due(stage), stage.job_number

        while order:
            firsts = {stage.user: stage for stage in reversed(order)}.values()
            known = [stage for stage in firsts if not stage.unseen and not stage.probed]
            unseen = [stage for stage in firsts if stage.unseen and not stage.probed]
            candidates = [min(known, key=urgency)] if known else []
            if unseen:
                other = min(unseen, key=lambda stage: (ratio(stage), *urgency(stage)))
                if not known or ratio(other) < self.share:
                    candidates.append(other)
            if not candidates:
                candidates = [min(firsts, key=lambda stage: (ratio(stage), *urgency(stage)))]
            stage = min(candidates, key=urgency)
            merged.append(stage)
            order.remove(stage)
        return merged

    def _due(self, stage: LaunchableStage) -> Fraction:
        return max(stage.deadline, self.debt_ends.get(stage.user, stage.deadline))

    def fits(self, stage: LaunchableStage, free_slots: int) -> bool:
        """Whether a task of ``stage`` may be leased on ``free_slots`` slots."""
        if stage.placed_by:
            return False
        cap = self.caps.get(stage.user)
        under_cap = cap is None or self.running[stage.user] + stage.width <= cap
        return stage.width <= free_slots and under_cap

    def pick(
        self, free_slots: int, worker_slots: int | None = None
    ) -> tuple[LaunchableStage, int] | None:
        """The stage and the index of the task to launch now.

        On a worker of ``worker_slots`` slots, all of which are free unless it says otherwise.
        """
        slots = free_slots if worker_slots is None else worker_slots
        order = self.in_order()
        for passed, stage in enumerate(order):
            if stage.placed_by or stage.width > slots:
                # From here on as if there were nothing that the worker can never get.
                able = (s for s in order[passed:] if s.width <= slots and not s.placed_by)
                fitting = [s for s in self.in_order(able) if self.fits(s, free_slots)]
                return (fitting[0], fitting[0].first_task) if fitting else None
            if self.fits(stage, free_slots):
                return stage, stage.first_task
        return None

    def launches(self, stages: list[LaunchableStage], free_slots: int) -> list[int]:
        """How many tasks of each of ``stages``, in their order, to launch on the free slots.

        Of what awaits its probe one task of each job (none, if one runs), until all others have
        what they want.
        """
        launches = [0] * len(stages)
        running = Counter(self.running)
        free = free_slots
        for probes_only in (True, False):
            probing = {stage.job for stage in self.stages if stage.probed}
            for place, stage in enumerate(stages):
                want = len(stage.waiting) - launches[place]
                if probes_only and stage.awaits_probe:
                    want = 1 if stage.job not in probing else 0
                cap = self.caps.get(stage.user)
                allowed = free if cap is None else cap - running[stage.user]
                # Asked again in the second round, a stage that did not fit still does not.
                launch = max(0, min(want, min(free, allowed) // stage.width))
                if launch and stage.awaits_probe:
                    probing.add(stage.job)
                launches[place] += launch
                free -= launch * stage.width
                running[stage.user] += launch * stage.width
        return launches


def order_of(
    policy: str,
    stage: LaunchableStage,
    running: Mapping[str, int],
    weights: Mapping[str, Fraction],
) -> tuple[Fraction | int | str, ...]:
    """The sort key of ``stage`` under ``policy``; the smallest goes first."""
    place = (stage.job_number, stage.number)
    fair = (stage.running_slots / stage.job_weight, stage.name)
    if policy == "fifo":
        return place
    if policy == "fair":
        return fair
    if policy == "ujf":
        share = running.get(stage.user, 0) / weights.get(stage.user, ONE)
        return (share, stage.user, *fair)
    if policy == "cfq":
        return (stage.deadline, stage.launch_number)
    assert policy in DEADLINE_POLICIES, policy
    if stage.probed:
        return (1, *place)
    return (0, stage.deadline, *place)
