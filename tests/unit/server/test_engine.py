"""The engine: when replies leave, who is woken, what happens when the disk or the core fails."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.server.world import World
from uwfq_service.core import commands
from uwfq_service.core.errors import UnknownJob
from uwfq_service.core.events import AnyEvent, JobClosed, JobsForgotten, Recovered
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.server import pace
from uwfq_service.server.engine import TICK_PAUSE
from uwfq_service.server.status import Busy, Stopping

# -- replies and the disk -------------------------------------------------------------------------


async def test_a_reply_waits_until_its_events_are_on_disk(world: World) -> None:
    """No reply runs ahead of the disk."""
    future = world.add_task()
    await world.turn()
    assert world.journal.events
    assert not future.done()
    world.journal.sync()
    assert future.done()


async def test_commands_of_one_turn_share_one_append_and_one_instant(world: World) -> None:
    """A batch is stamped once and journaled as one."""
    world.add_task()
    world.add_task()
    world.add_task()
    await world.turn()
    assert world.journal.batches == [3]
    assert len({event.at for event in world.journal.events}) == 1


async def test_a_batch_is_applied_while_the_one_before_is_synced(world: World) -> None:
    """The next drain does not wait for the disk, its replies do, and they leave in order."""
    first = world.add_task()
    await world.turn()
    second = world.add_task()
    await world.turn()
    assert len(world.core.applied) == 2
    world.journal.sync()
    assert first.done()
    assert not second.done()
    assert world.journal.batches == [1, 1]
    world.journal.sync()
    assert second.done()


async def test_what_shares_a_write_is_counted_anew_for_each(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How far turns keep apart is learned from that; replies that gathered for two turns count."""
    shared: list[int] = []
    monkeypatch.setattr(world.engine._outbox, "_shared", shared.append)
    for calls in (3, 1, 1):
        for _ in range(calls):
            world.add_task()
        await world.turn()
    await world.sync_all()
    world.add_task()
    await world.turn()
    assert shared == [3, 2, 1]


#: Longer than any test lasts, seconds.
NEVER = 3600.0


async def crowd(world: World, monkeypatch: pytest.MonkeyPatch, *, size: int = 10) -> int:
    """Let so many share a write on a busy loop: from now on turns keep a distance.

    Returns the number of writes so far.
    """
    monkeypatch.setattr(pace, "SPARE", -1.0)
    monkeypatch.setattr(pace, "BUSY", -1.0)
    monkeypatch.setattr(pace, "SHORTEST_PAUSE", NEVER)
    monkeypatch.setattr(pace, "LONGEST_PAUSE", NEVER)
    monkeypatch.setattr(pace, "WINDOW", 0.0)
    for _ in range(2):
        for _ in range(size):
            world.add_task()
        await world.turn()
        await world.sync_all()
    assert world.journal.batches == [size, size]
    monkeypatch.setattr(pace, "WINDOW", NEVER)
    return len(world.journal.batches)


async def test_when_the_loop_is_busy_calls_wait_for_each_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync costs as much as a call; those who come one after another share it."""
    writes = await crowd(world, monkeypatch)
    for _ in range(5):
        world.add_task()
        await world.turn()
    assert len(world.journal.batches) == writes


async def test_a_stop_decides_what_waits_for_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was let in is answered."""
    writes = await crowd(world, monkeypatch)
    reply = world.add_task()
    await world.turn()
    assert len(world.journal.batches) == writes
    world.engine.stop_accepting()
    settled = asyncio.create_task(world.engine.settle())
    await world.turn()
    await world.sync_all()
    await settled
    assert reply.done()


async def test_polls_that_wait_for_others_can_be_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are decided first, for there may be something for them."""
    await crowd(world, monkeypatch)
    world.core.tasks.clear()
    ended, other = world.poll("v"), world.poll("w")
    world.engine.end_polls([ended])
    await world.turn()
    assert ended.result().leases == ()
    assert not other.done()


async def test_a_tick_comes_along_with_what_waits_for_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not urgent enough to keep those apart who would share a write."""
    await crowd(world, monkeypatch)
    world.core.wakeup = world.clock.now() + 1.0
    world.add_task()
    world.engine.start()
    world.clock.advance(2.0)
    await world.turn()
    assert commands.Tick() not in world.core.applied
    settled = asyncio.create_task(world.engine.settle())
    await world.turn()
    assert commands.Tick() in world.core.applied
    await world.sync_all()
    await settled


async def test_closing_writes_what_was_still_gathering(world: World) -> None:
    """The snapshot that follows must stand at the last event of the journal."""
    for _ in range(2):
        world.add_task()
        await world.turn()
    assert world.journal.batches == [1]
    world.engine.close()
    assert world.journal.batches == [1, 1]


async def test_a_command_that_decides_nothing_stores_nothing(world: World) -> None:
    """Without events there is no append, and with nothing on its way no wait."""
    future = world.add_task(slots=0)
    await world.turn()
    assert future.done()
    assert world.journal.batches == []


async def test_a_reply_without_events_does_not_overtake_the_disk(world: World) -> None:
    """It may rest on decisions that a crash would still undo; so may a refusal, and a read."""
    world.add_task()
    nothing = world.add_task(slots=0)
    refused = world.engine.call(commands.AddStages(job_id="x", stages=()))
    seen = asyncio.ensure_future(world.engine.read(lambda _, now: now))
    await world.turn()
    later_read = asyncio.ensure_future(world.engine.read(lambda _, now: now))
    await world.turn()
    assert not nothing.done()
    assert not refused.done()
    assert not later_read.done()
    world.journal.sync()
    assert nothing.done()
    assert isinstance(refused.exception(), UnknownJob)
    assert await later_read == await seen == world.clock.now()


async def test_a_read_that_finds_nothing_waits_for_the_disk_as_well(world: World) -> None:
    """What is gone may be there again after a crash."""

    def look(_: Scheduler, __: float) -> None:
        raise UnknownJob("x")

    world.add_task()
    await world.turn()
    seen = asyncio.ensure_future(world.engine.read(look))
    await world.turn()
    assert not seen.done()
    world.journal.sync()
    with pytest.raises(UnknownJob):
        await seen


async def test_observers_hear_of_events_once_they_are_on_disk(world: World) -> None:
    """Logs and metrics never tell of what a crash could undo."""
    world.add_task()
    await world.turn()
    assert world.told == []
    world.journal.sync()
    assert world.told == world.journal.events


async def test_an_observer_that_fails_does_not_hold_up_replies() -> None:
    """What was decided stands, whatever befalls a log line."""
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))

    def broken(_: Sequence[AnyEvent]) -> None:
        raise OSError("nobody reads standard error")

    world = World(observer=broken)
    future = world.add_task()
    await world.turn()
    world.journal.sync()
    assert future.done()
    assert len(problems) == 1
    assert not world.failures


async def test_a_read_that_follows_a_command_is_not_refused() -> None:
    """Its caller would take that for the refusal of the command; for the disk it waits."""
    small = World(max_inbox=1)
    small.add_task()
    await small.turn()
    with pytest.raises(Busy):
        await small.engine.read(lambda _, now: now)
    small.engine.stop_accepting()
    seen = asyncio.ensure_future(small.engine.read_admitted(lambda _, now: now))
    await small.turn()
    assert not seen.done()
    small.journal.sync()
    assert await seen == small.clock.now()


# -- limits ---------------------------------------------------------------------------------------


async def test_a_full_inbox_refuses() -> None:
    """Calls that wait for a decision or for the disk both count."""
    small = World(max_inbox=2)
    small.add_task()
    await small.turn()
    small.add_task()
    with pytest.raises(Busy):
        small.add_task()
    small.journal.sync()
    assert small.engine.load == 1
    small.add_task()


async def test_parked_polls_leave_the_inbox_and_have_their_own_limit() -> None:
    """Five hundred idle workers take no room from those who work."""
    small = World(max_inbox=1, max_parked=2)
    small.poll("a")
    await small.turn()
    small.poll("b")
    await small.turn()
    assert (small.engine.load, small.engine.parked) == (0, 2)
    with pytest.raises(Busy):
        small.poll("c")
    small.poll("c", wait=0)


async def test_a_cancelled_call_is_not_applied(world: World) -> None:
    """Whoever hangs up before the decision has asked for nothing."""
    world.add_task().cancel()
    await world.turn()
    assert world.core.applied == []
    assert world.engine.load == 0


async def test_a_long_inbox_is_drained_over_several_turns(world: World) -> None:
    """So that the network is served in between; nothing is lost."""
    futures = [world.add_task() for _ in range(1000)]
    await world.turn(1)
    assert 0 < len(world.core.applied) < 1000
    await world.turn(10)
    assert len(world.core.applied) == 1000
    await world.sync_all()
    assert all(future.done() for future in futures)


# -- time -----------------------------------------------------------------------------------------


async def test_a_tick_comes_when_the_core_is_due(world: World) -> None:
    """And not before."""
    world.core.wakeup = world.clock.now() + 5
    world.add_task()
    await world.turn()
    world.clock.advance(4.9)
    await world.turn()
    assert not any(isinstance(each, commands.Tick) for each in world.core.applied)
    world.clock.advance(0.1)
    await world.turn()
    assert isinstance(world.core.applied[-1], commands.Tick)


async def test_a_process_that_stood_still_begins_anew_before_it_ticks(world: World) -> None:
    """Nobody could be heard meanwhile, so nobody has been silent.  A little late is no stop."""
    for late, expected in ((0.5, [JobsForgotten]), (40.0, [Recovered, JobsForgotten])):
        world.core.wakeup = world.clock.now() + 5
        world.engine.start()
        events = len(world.journal.events)
        world.clock.stall(5 + late)
        await world.turn()
        await world.sync_all()
        found = world.journal.events[events:]
        assert [type(event) for event in found] == expected
        due = world.clock.now() - late
        assert [event.since for event in found if isinstance(event, Recovered)] in ([], [due])


async def test_a_process_may_stand_still_between_a_tick_and_its_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load a tick waits for the next turn, so that is where many a stop begins."""
    world.core.wakeup = due = world.clock.now() + 5
    world.engine.start()
    world.clock.advance(5)
    loop = asyncio.get_running_loop()
    later = loop.time() + 40
    world.clock.stall(40)
    monkeypatch.setattr(loop, "time", lambda: later)
    await world.turn()
    await world.sync_all()
    assert [type(event) for event in world.journal.events] == [Recovered, JobsForgotten]
    assert [event.since for event in world.journal.events if isinstance(event, Recovered)] == [due]


async def test_nothing_is_decided_after_a_stop_before_it_is_noticed(world: World) -> None:
    """A call was about to be decided when the process stopped, which is no time for it either."""
    world.core.wakeup = due = world.clock.now() + 5
    world.engine.start()
    call = world.add_task()
    world.clock.stall(45, fire=False)
    await world.turn()
    await world.sync_all()
    assert call.done()
    found = [type(event) for event in world.journal.events]
    assert found == [Recovered, JobsForgotten, JobClosed]
    assert [event.since for event in world.journal.events if isinstance(event, Recovered)] == [due]
    world.clock.advance(0)
    await world.turn()
    assert len(world.journal.events) == len(found), "the tick was that one"


async def test_what_was_due_long_ago_is_no_sign_of_a_stop(world: World) -> None:
    """The core may find out late that something is due, as when a job's charge is corrected."""
    world.core.wakeup = world.clock.now() - 100
    world.engine.start()
    world.clock.advance(0)
    await world.turn()
    assert [type(event) for event in world.journal.events] == [JobsForgotten]


async def test_an_earlier_wakeup_moves_the_tick_forward(world: World) -> None:
    """A later one leaves the timer; a tick that finds nothing is cheaper than moving it."""
    start = world.clock.now()
    world.core.wakeup = start + 5
    world.add_task(slots=0)
    await world.turn()
    world.core.wakeup = start + 2
    world.add_task(slots=0)
    await world.turn()
    world.clock.advance(2)
    await world.turn()
    assert isinstance(world.core.applied[-1], commands.Tick)


async def test_ticks_keep_a_distance(world: World) -> None:
    """Many things that are due one after another share one."""

    def ticks() -> int:
        return world.core.applied.count(commands.Tick())

    world.core.wakeup = world.clock.now()
    world.add_task(slots=0)
    await world.turn()
    world.clock.advance(0)
    await world.turn()
    assert ticks() == 1
    world.core.wakeup = world.clock.now()
    world.add_task(slots=0)
    await world.turn()
    world.clock.advance(0.9 * TICK_PAUSE)
    await world.turn()
    assert ticks() == 1
    world.clock.advance(0.2 * TICK_PAUSE)
    await world.turn()
    assert ticks() == 2


# -- stopping and failing -------------------------------------------------------------------------


async def test_a_stop_refuses_new_calls_and_answers_old_ones(world: World) -> None:
    """Parked polls return empty; what was taken in is decided and synced."""
    poll, call = world.poll(), None
    await world.turn()
    call = world.add_task(slots=2)
    world.engine.stop_accepting()
    with pytest.raises(Stopping):
        world.add_task()
    with pytest.raises(Stopping):
        await world.engine.read(lambda _, now: now)
    settled = asyncio.ensure_future(world.engine.settle())
    await world.turn()
    assert poll.result().leases == ()
    assert not settled.done()
    world.journal.sync()
    await settled
    assert call.done()


async def test_a_poll_that_comes_just_before_a_stop_is_not_parked(world: World) -> None:
    """Nobody would end it, and the stop would wait for it."""
    poll = world.poll()
    world.engine.stop_accepting()
    await world.engine.settle()
    assert poll.result().leases == ()


async def test_a_failed_write_lets_no_reply_out_and_is_reported_once(world: World) -> None:
    """Whatever the disk says afterwards."""
    future = world.add_task()
    await world.turn()
    error = OSError("no space left on device")
    world.journal.fail(error)
    world.journal.fail(OSError("again"))
    world.journal.sync()
    await world.turn()
    assert not future.done()
    assert world.failures == [error]
    assert world.told == []
    with pytest.raises(Stopping):
        world.add_task()
    await asyncio.wait_for(world.engine.settle(), 1)


async def test_a_write_that_fails_after_the_close_is_reported_as_well(world: World) -> None:
    """What was decided before the close and never reached the disk is lost: that must be heard."""
    future = world.add_task()
    await world.turn()
    world.engine.close()
    error = OSError("no space left on device")
    world.journal.fail(error)
    world.journal.fail(OSError("again"))
    assert world.failures == [error]
    assert not future.done()


async def test_a_core_that_breaks_its_rules_stops_the_service(world: World) -> None:
    """No reply from a broken state, not even for commands of the same batch before the fault."""
    before = world.add_task()
    broken = world.engine.call(commands.CancelJob(job_id="x"))
    await world.turn()
    world.journal.sync()
    assert not before.done()
    assert not broken.done()
    assert isinstance(world.failures[0], AssertionError)
    assert world.journal.batches == []


async def test_waiting_for_changes_ends_with_the_next_batch_on_disk(world: World) -> None:
    """Watchers sleep until there may be something new to see."""
    waiter = asyncio.ensure_future(world.engine.changed_since(world.engine.sequence))
    world.add_task()
    await world.turn()
    assert not waiter.done()
    world.journal.sync()
    await waiter


async def test_whoever_waits_for_changes_no_longer_leaves_nothing_behind(world: World) -> None:
    """A service at rest may see thousands come and go before the next event."""
    waiting = asyncio.ensure_future(world.engine.changed_since(world.engine.sequence))
    await world.turn()
    waiting.cancel()
    await world.turn()
    assert not world.engine._outbox._change_waiters


async def test_waiting_for_changes_ends_when_the_service_stops(world: World) -> None:
    """A stream must not outlive the service."""
    waiter = asyncio.ensure_future(world.engine.changed_since(0))
    await world.turn()
    world.engine.stop_accepting()
    with pytest.raises(Stopping):
        await waiter
