"""The clock: forward only, at a steady pace, never behind the journal."""

import asyncio
import time

import pytest

from tests.fakes import FakeClock
from uwfq_service.server.clock import SystemClock


async def test_it_shows_unix_time() -> None:
    """As the wall clock read when it was made."""
    before = time.time()
    assert before <= SystemClock().now() <= time.time() + 1


async def test_a_step_of_the_wall_clock_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither leases expire nor virtual time stands still because of NTP."""
    clock = SystemClock()
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: before - 3600)
    assert before <= clock.now() < before + 60


async def test_it_starts_no_earlier_than_the_journal_ended() -> None:
    """Even if the wall clock reads less by now."""
    future = time.time() + 1e6
    assert SystemClock(not_before=future).now() >= future


async def test_it_never_runs_back() -> None:
    """Two readings are in order."""
    clock = SystemClock()
    readings = [clock.now() for _ in range(1000)]
    assert readings == sorted(readings)


async def test_a_timer_that_is_due_fires() -> None:
    """By the event loop, and not once it was cancelled."""
    clock = SystemClock()
    fired = asyncio.Event()
    clock.call_at(clock.now() - 1, lambda: pytest.fail("was cancelled")).cancel()
    clock.call_at(clock.now() - 1, fired.set)
    await asyncio.wait_for(fired.wait(), 5)


def test_the_fake_fires_timers_in_the_order_of_their_time() -> None:
    """As a loop would, and it shows each timer its own instant."""
    clock = FakeClock(start=100)
    seen: list[tuple[str, float]] = []
    clock.call_at(103, lambda: seen.append(("late", clock.now())))
    clock.call_at(101, lambda: seen.append(("early", clock.now())))
    clock.advance(5)
    assert seen == [("early", 101), ("late", 103)]
    assert clock.now() == 105
