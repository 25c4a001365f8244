"""Pace: when a turn waits for more calls, and when it does not."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from uwfq_service.server.pace import COUNT_AGAIN, LONGEST_PAUSE, SHORTEST_PAUSE, WINDOW, Pace

#: Callers who are this quick are back before the longest pause is over, seconds.
BRISK = 0.9 * LONGEST_PAUSE


class Loop:
    """An event loop by hand: a time, and the one timer that is set."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        timer = (when, callback)
        self.timers.append(timer)

        class Handle:
            def cancel(_) -> None:  # noqa: N805 - `self` is the loop.
                self.timers.remove(timer)

        return Handle()


class World:
    """A pace and what it has let go."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.used = 0.0
        self.turns: list[int] = []
        self.waiting = 0
        self.pace = Pace(self.go, lambda: self.used)

    def go(self) -> None:
        together, self.waiting = self.waiting, 0
        self.pace.gone(together)
        self.pace.shared(together)
        self.turns.append(together)

    def call(self) -> None:
        self.waiting += 1
        self.pace.came(self.waiting)

    def passes(self, seconds: float, *, busy: float) -> None:
        """Time passes, and timers fire; the loop's thread is busy for a part of it."""
        end = self.loop.now + seconds
        while self.loop.timers and (when := min(self.loop.timers)[0]) <= end:
            self.used += busy * (when - self.loop.now)
            self.loop.now = when
            self.loop.timers.pop()[1]()
        self.used += busy * (end - self.loop.now)
        self.loop.now = end

    def rounds(self, count: int, *, callers: int, every: float, busy: float) -> None:
        """So many callers call one after another, again and again."""
        for _ in range(count):
            for _ in range(callers):
                self.call()
            self.passes(every, busy=busy)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A pace on a loop by hand."""
    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    made = World()
    made.loop = loop
    return made


def crowd(world: World) -> None:
    """Many share writes, and the loop has no time to spare."""
    world.pace.shared(50)
    for _ in range(4):
        world.passes(WINDOW, busy=1.0)
        world.pace.shared(50)
        world.call()
    world.passes(LONGEST_PAUSE, busy=1.0)
    assert world.pace.pause == LONGEST_PAUSE
    world.turns.clear()


def test_whoever_is_alone_waits_for_nobody(world: World) -> None:
    """However busy the loop is, and however often they call."""
    world.rounds(200, callers=1, every=0.001, busy=1.0)
    assert world.turns == [1] * 200


def test_with_time_to_spare_nobody_waits(world: World) -> None:
    """Many share a write, but the loop could as well begin the next."""
    for _ in range(20):
        world.pace.shared(50)
        world.call()
        world.passes(WINDOW, busy=0.4)
    assert world.turns == [1] * 20


def test_on_a_busy_loop_turns_keep_a_distance(world: World) -> None:
    """Calls that come within the pause share a turn, which comes when it is over."""
    crowd(world)
    world.call()
    for _ in range(3):
        world.call()
        world.passes(LONGEST_PAUSE / 4, busy=1.0)
    assert world.turns == [1], "the first came when the last pause was over"
    world.passes(LONGEST_PAUSE / 2, busy=1.0)
    assert world.turns == [1, 3]


def test_when_the_crowd_has_come_nobody_else_is_waited_for(world: World) -> None:
    """One turn counts who comes within a pause; the next go when as many have."""
    crowd(world)
    world.rounds(1, callers=1, every=0.0, busy=1.0)
    world.rounds(1, callers=7, every=LONGEST_PAUSE, busy=1.0)
    assert world.turns == [1, 7]
    for _ in range(6):
        world.call()
    assert world.turns == [1, 7]
    world.call()
    assert world.turns == [1, 7, 7]


def test_the_crowd_is_counted_now_and_then(world: World) -> None:
    """A turn that counts waits while nothing is decided: most go by the count of one before."""
    crowd(world)
    world.rounds(1, callers=1, every=BRISK, busy=1.0)
    rounds = round(2 * COUNT_AGAIN / BRISK)
    counted = 0
    for _ in range(rounds):
        before = len(world.turns)
        for _ in range(7):
            world.call()
        counted += len(world.turns) == before
        world.passes(BRISK, busy=1.0)
    assert set(world.turns[1:]) == {7}
    assert 2 <= counted <= 3, "the first, and again after each such time"


def test_callers_who_have_gone_are_soon_not_waited_for(world: World) -> None:
    """The crowd shrinks by half of what it was too large."""
    crowd(world)
    world.rounds(4, callers=7, every=BRISK, busy=1.0)
    world.turns.clear()
    # Seven are waited for, then five, then four, then three.
    world.rounds(3, callers=3, every=LONGEST_PAUSE, busy=1.0)
    assert world.turns == [3, 3, 3]
    world.passes(WINDOW - 3 * LONGEST_PAUSE, busy=1.0)
    world.rounds(1, callers=3, every=0.0, busy=1.0)
    world.rounds(1, callers=3, every=0.0, busy=1.0)
    assert world.turns == [3, 3, 3, 3, 3], "without a pause"


def test_few_after_a_turn_of_very_many_are_not_the_crowd(world: World) -> None:
    """That turn took most of the pause; had it gone on so, each turn would be one of few."""
    crowd(world)
    world.rounds(1, callers=1, every=0.0, busy=1.0)
    world.rounds(1, callers=181, every=LONGEST_PAUSE, busy=1.0)
    world.rounds(1, callers=5, every=LONGEST_PAUSE, busy=1.0)
    assert world.turns == [1, 181, 5]
    world.rounds(1, callers=92, every=0.0, busy=1.0)
    assert world.turns == [1, 181, 5]
    world.call()
    assert world.turns == [1, 181, 5, 93]


def test_a_shorter_pause_keeps_the_crowd(world: World) -> None:
    """Callers who all come before it is over are as many as before."""
    crowd(world)
    world.rounds(1, callers=1, every=0.0, busy=1.0)
    world.rounds(1, callers=7, every=LONGEST_PAUSE, busy=1.0)
    world.passes(WINDOW, busy=0.0)
    world.call()
    assert 0 < world.pace.pause < LONGEST_PAUSE
    world.turns.clear()
    world.rounds(1, callers=7, every=0.0, busy=1.0)
    assert world.turns == [7]


def test_a_longer_pause_counts_anew(world: World) -> None:
    """Fewer come in a short one, and these are not the crowd of a long one."""
    world.pace.shared(50)
    world.passes(WINDOW, busy=1.0)
    world.call()
    assert world.pace.pause == SHORTEST_PAUSE
    world.rounds(2, callers=4, every=0.9 * SHORTEST_PAUSE, busy=1.0)
    world.pace.shared(50)
    world.passes(WINDOW, busy=1.0)
    world.call()
    assert world.pace.pause > SHORTEST_PAUSE
    world.turns.clear()
    world.rounds(1, callers=4, every=0.0, busy=1.0)
    assert not world.turns, "four were all who came in the short one"


def test_the_pause_ends_with_the_work(world: World) -> None:
    """Once the loop has time to spare the pause shrinks and is gone."""
    crowd(world)
    pauses = []
    while world.pace.pause:
        world.passes(WINDOW, busy=0.2)
        world.call()
        pauses.append(world.pace.pause)
    assert pauses == sorted(pauses, reverse=True)
    assert min(pause for pause in pauses if pause) <= 2 * SHORTEST_PAUSE
    assert len(pauses) < 6
