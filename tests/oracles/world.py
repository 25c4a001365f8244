"""A tiny simulator: an event heap that lets a scheduler run a workload on a fake clock.

At one instant: completions in the order of their start, then whatever the scheduler wants to be
woken for, then arrivals in the order of the workload.  After each event the free slots are filled
one task at a time.  Tasks are never preempted.

Who is scheduling stands behind ``Subject``: an oracle, or the core.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Protocol

from tests.oracles.fluid import ONE, ZERO, FluidCluster
from tests.oracles.workloads import JobPlan, Workload

COMPLETION: Final = 0
WAKEUP: Final = 1
ARRIVAL: Final = 2


@dataclass(frozen=True, slots=True)
class Launch:
    """A task that starts: its job by name, its stage by position, its index."""

    job: str
    stage: int
    task: int
    #: What the subject wants to know it by at its end.
    tag: int = 0


class Subject(Protocol):
    """A scheduler that the world drives."""

    def submit(self, job: JobPlan, now: Fraction) -> None:
        """A job arrives."""
        ...

    def next(self, free_slots: int, now: Fraction) -> Launch | None:
        """The one task to start now, if any."""
        ...

    def done(self, launch: Launch, runtime: Fraction, now: Fraction) -> None:
        """A task has run for ``runtime`` seconds."""
        ...

    def wakeup(self, now: Fraction) -> Fraction | None:
        """When the subject wants to be woken at the latest."""
        ...

    def wake(self, now: Fraction) -> None:
        """It is that time."""
        ...


@dataclass(frozen=True, slots=True)
class Started:
    """One launch in the log of a run."""

    at: Fraction
    launch: Launch
    until: Fraction


@dataclass(slots=True)
class Run:
    """What happened."""

    workload: Workload
    log: list[Started] = field(default_factory=list)
    finish: dict[str, Fraction] = field(default_factory=dict)

    @property
    def order(self) -> list[tuple[Fraction, str, int, int]]:
        """The launches, comparable between subjects."""
        return [
            (start.at, start.launch.job, start.launch.stage, start.launch.task)
            for start in self.log
        ]

    def service(self, user: str, begin: Fraction, end: Fraction) -> Fraction:
        """Slot-seconds that tasks of ``user`` ran between two instants."""
        plans = {job.name: job for job in self.workload.jobs if job.user == user}
        total = ZERO
        for start in self.log:
            plan = plans.get(start.launch.job)
            overlap = min(start.until, end) - max(start.at, begin)
            if plan is not None and overlap > 0:
                total += overlap * plan.stages[start.launch.stage].width
        return total


class World:
    """The event heap.  ``watch``, if given, is called after every event with its instant."""

    def __init__(
        self,
        workload: Workload,
        subject: Subject,
        watch: Callable[[Fraction], None] | None = None,
    ) -> None:
        self.workload = workload
        self.subject = subject
        self.watch = watch
        self.run = Run(workload)
        self.free = workload.slots
        self.plans = {job.name: job for job in workload.jobs}
        self.waiting = {
            job.name: sum(len(stage.tasks) for stage in job.stages) for job in workload.jobs
        }
        self.heap: list[tuple[Fraction, int, int, Launch | JobPlan | None]] = []
        for number, job in enumerate(workload.jobs):
            heapq.heappush(self.heap, (job.submit, ARRIVAL, number, job))

    def play(self) -> Run:
        """Run to the end."""
        now = ZERO
        while self.heap:
            wanted = self.subject.wakeup(now)
            if wanted is not None and (wanted, WAKEUP) < self.heap[0][:2]:
                assert wanted >= now, f"a wake-up at {wanted} lies before {now}"
                heapq.heappush(self.heap, (wanted, WAKEUP, len(self.run.log), None))
            now, kind, _, what = heapq.heappop(self.heap)
            if isinstance(what, JobPlan):
                self.subject.submit(what, now)
            elif isinstance(what, Launch):
                self._complete(what, now)
            else:
                assert kind == WAKEUP, kind
                self.subject.wake(now)
            self._fill(now)
            if self.watch is not None:
                self.watch(now)
        assert not any(self.waiting.values()), "every task of the workload has run"
        return self.run

    def _fill(self, now: Fraction) -> None:
        while self.free > 0 and (launch := self.subject.next(self.free, now)) is not None:
            stage = self.plans[launch.job].stages[launch.stage]
            self.free -= stage.width
            assert self.free >= 0, f"{launch} does not fit"
            until = now + stage.tasks[launch.task]
            # The number of the launch is the order of the starts.
            heapq.heappush(self.heap, (until, COMPLETION, len(self.run.log), launch))
            self.run.log.append(Started(now, launch, until))

    def _complete(self, launch: Launch, now: Fraction) -> None:
        stage = self.plans[launch.job].stages[launch.stage]
        self.free += stage.width
        self.waiting[launch.job] -= 1
        if not self.waiting[launch.job]:
            self.run.finish[launch.job] = now
        self.subject.done(launch, stage.tasks[launch.task], now)


def fluid_finishes(workload: Workload) -> dict[str, Fraction]:
    """When the fluid cluster finishes each job of ``workload``, seconds."""
    fluid = FluidCluster(workload.slots)
    for user in workload.users:
        fluid.set_weight(ZERO, user, workload.weights.get(user, ONE))
    for job in workload.jobs:
        fluid.arrive(job.submit, job.name, job.user, job.work, job.job_weight)
    fluid.run_dry()
    return {name: job.finish for name, job in fluid.jobs.items() if job.finish is not None}
