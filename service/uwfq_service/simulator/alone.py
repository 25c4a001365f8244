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
    if (
        sum([len(stage.durations) for stage in stages]) <= slots
        and (end := _critical_path(stages)) is not None
    ):
        return end
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


def _critical_path(stages: Sequence[LoneStage]) -> float | None:
    """When the last stage ends if no task ever waits for a slot.

    ``None``: a stage is listed before one that it waits for.
    """
    ends: list[float] = []
    for index, stage in enumerate(stages):
        if stage.after and max(stage.after) >= index:
            return None
        begin = max([ends[before] for before in stage.after], default=0.0) + stage.delay
        ends.append(begin + max(stage.durations))
    return max(ends)


class _Lone:
    """Stages that wait for each other, and the slots that they share; events as in ``world.py``."""

    def __init__(self, stages: Sequence[LoneStage], slots: int) -> None:
        self._stages = stages
        self._free = slots
        self._waits = [len(stage.after) for stage in stages]
        self._next = [0] * len(stages)
        self._undone = [len(stage.durations) for stage in stages]
        #: Whether stages are revealed one by one; the core then numbers them as they come.
        self._open = any(stage.delay for stage in stages)
        self._revealed = 0
        #: Heap of (the core's number, stage) of those with a task to launch.
        self._ready: list[tuple[int, int]] = []
        #: Heap of (instant, whether it is the launchability of a stage, serial, stage).
        self._events: list[tuple[float, bool, int, int]] = []
        self._serial = 0

    def play(self) -> float:
        now = 0.0
        self._await([index for index, waits in enumerate(self._waits) if not waits], now)
        self._fill(now)
        while self._events:
            now, launchable, _, index = heappop(self._events)
            if launchable:
                self._reveal(index)
            else:
                self._free += 1
                self._task_done(index, now)
            self._fill(now)
        return now

    def _at(self, when: float, launchable: bool, index: int) -> None:
        self._serial += 1
        heappush(self._events, (when, launchable, self._serial, index))

    def _await(self, stages: Sequence[int], now: float) -> None:
        for index in stages:
            if delay := self._stages[index].delay:
                self._at(now + delay, True, index)
            else:
                self._reveal(index)

    def _reveal(self, index: int) -> None:
        number = self._revealed if self._open else index
        self._revealed += 1
        heappush(self._ready, (number, index))

    def _task_done(self, index: int, now: float) -> None:
        self._undone[index] -= 1
        if self._undone[index]:
            return
        freed = []
        for other, stage in enumerate(self._stages):
            if index in stage.after:
                self._waits[other] -= 1
                if not self._waits[other]:
                    freed.append(other)
        self._await(freed, now)

    def _fill(self, now: float) -> None:
        while self._free and self._ready:
            _, index = self._ready[0]
            durations = self._stages[index].durations
            while self._free and self._next[index] < len(durations):
                self._at(now + durations[self._next[index]], False, index)
                self._next[index] += 1
                self._free -= 1
            if self._next[index] == len(durations):
                heappop(self._ready)
