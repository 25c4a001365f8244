"""How long a job takes by itself: what its response is measured against as *slowdown*.

The job has the whole pool, cut into the same tasks; the launch order is the core's (lowest stage
first, largest estimate first).  Nothing fails.

Units: seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heapreplace

import msgspec


class LoneStage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage as the core cut it."""

    #: How long each task occupies a slot, in launch order.
    durations: Sequence[float]
    #: Positions of the stages that must be done first.
    after: Sequence[int]
    #: Seconds from that moment until it is launchable.
    delay: float


def response_alone(stages: Sequence[LoneStage], slots: int) -> float:
    """Seconds from the job's submission to its end.  O(tasks log slots)."""
    if len(stages) == 1:
        # By far the most common, and no more than packing.
        return stages[0].delay + _packed(stages[0].durations, slots)
    return _Lone(stages, slots).play()


def _packed(durations: Sequence[float], slots: int) -> float:
    """When the last of ``durations`` ends if each starts on the slot that is free first."""
    if len(durations) <= slots:
        return max(durations)
    ends = list(durations[:slots])
    heapify(ends)
    for duration in durations[slots:]:
        heapreplace(ends, ends[0] + duration)
    return max(ends)


class _Lone:
    """Stages that wait for each other, and the slots that they share."""

    def __init__(self, stages: Sequence[LoneStage], slots: int) -> None:
        self._stages = stages
        self._free = slots
        self._waits = [len(stage.after) for stage in stages]
        self._next = [0] * len(stages)
        self._undone = [len(stage.durations) for stage in stages]
        #: Stages with a task to launch, lowest first.
        self._ready: list[int] = []
        #: Heap of (instant, whether it is the launchability of a stage, stage).
        self._events: list[tuple[float, bool, int]] = []

    def play(self) -> float:
        now = 0.0
        for index, waits in enumerate(self._waits):
            if not waits:
                heappush(self._events, (self._stages[index].delay, True, index))
        while self._events:
            now, launchable, index = heappop(self._events)
            if launchable:
                heappush(self._ready, index)
            else:
                self._free += 1
                self._task_done(index, now)
            if not self._events or self._events[0][0] > now:
                self._fill(now)
        return now

    def _task_done(self, index: int, now: float) -> None:
        self._undone[index] -= 1
        if self._undone[index]:
            return
        for other, stage in enumerate(self._stages):
            if index in stage.after:
                self._waits[other] -= 1
                if not self._waits[other]:
                    heappush(self._events, (now + stage.delay, True, other))

    def _fill(self, now: float) -> None:
        while self._free and self._ready:
            index = self._ready[0]
            durations = self._stages[index].durations
            while self._free and self._next[index] < len(durations):
                heappush(self._events, (now + durations[self._next[index]], False, index))
                self._next[index] += 1
                self._free -= 1
            if self._next[index] == len(durations):
                heappop(self._ready)
