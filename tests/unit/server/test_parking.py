"""Long polls: who waits, who is woken, and who leaves."""

import asyncio
from typing import Any

import pytest

from tests.unit.server.world import World
from uwfq_service.core import commands
from uwfq_service.server.engine import DRAIN_LIMIT
from uwfq_service.server.parking import MISS_LIMIT


async def test_a_poll_waits_for_work_and_gets_it(world: World) -> None:
    """The lease leaves with the batch that made the task."""
    poll = world.poll()
    await world.turn()
    assert not poll.done()
    world.add_task()
    await world.turn()
    assert world.journal.batches == [2]
    world.journal.sync()
    assert poll.result().leases == (1,)
    assert world.clock.pending == 0


async def test_one_task_wakes_one_poll_and_the_oldest(world: World) -> None:
    """Five hundred parked workers are not all tried for one task."""
    polls = [world.poll(f"w{n}") for n in range(500)]
    await world.turn(5)
    tried = len(world.core.applied)
    world.add_task()
    await world.turn()
    world.journal.sync()
    assert polls[0].done()
    assert not any(poll.done() for poll in polls[1:])
    assert len(world.core.applied) == tried + 2
    assert world.engine.parked == 499


async def test_a_task_that_fits_few_finds_the_one_that_it_fits(world: World) -> None:
    """Where only trying shows whom it fits, it is tried a few times in each turn, on each once."""
    world.core.knows_sizes = False
    narrow = [world.poll(f"w{n}", slots=1) for n in range(100)]
    wide = world.poll("wide", slots=4)
    await world.turn()
    tried = len(world.core.applied)
    world.add_task(slots=4)
    await world.turn(3)
    assert 1 < len(world.core.applied) - tried <= 1 + 3 * MISS_LIMIT
    assert not any(poll.done() for poll in narrow)
    await world.turn(20)
    await world.sync_all()
    assert wide.result().leases == (4,)
    world.add_task(slots=8)
    await world.turn(20)
    tried = len(world.core.applied)
    await world.turn(20)
    assert len(world.core.applied) == tried, "a task that fits nobody is not tried for ever"


async def test_a_task_that_is_too_wide_wakes_nobody(world: World) -> None:
    """Polls that could not get it are not tried; the one that could is found at once."""
    narrow = [world.poll(f"w{n}", slots=1) for n in range(100)]
    await world.turn()
    world.add_task(slots=4)
    await world.turn(5)
    tried = len(world.core.applied)
    for _ in range(3):
        world.engine.call(commands.SetUser(user="u", weight=2.0))
        await world.turn(5)
    assert len(world.core.applied) == tried + 3
    assert tried == len(narrow) + 1
    world.core.tasks.clear()
    wide = world.poll("wide", slots=4)
    world.add_task(slots=4)
    await world.turn(5)
    await world.sync_all()
    assert wide.result().leases == (4,)
    assert not any(poll.done() for poll in narrow)


async def test_a_poll_gives_up_when_its_wait_is_over(world: World) -> None:
    """It returns empty, not earlier."""
    poll = world.poll(wait=10)
    await world.turn()
    world.clock.advance(9.9)
    assert not poll.done()
    world.clock.advance(0.1)
    assert poll.result().leases == ()
    assert world.engine.parked == 0


async def test_acknowledgements_leave_with_the_last_answer_of_a_poll(world: World) -> None:
    """Results ride along once, however often the poll is tried."""
    outcome = commands.TaskSuccess(runtime=1.0)
    result = commands.TaskResult(task=commands.TaskRef(lease_id=7), outcome=outcome)
    poll = world.engine.poll(
        commands.NextTask(worker_id="w", slots=1, free_slots=1, wait=5, done=(result,))
    )
    await world.turn()
    world.add_task()
    await world.turn()
    world.journal.sync()
    reply = await poll
    assert [ack.lease_id for ack in reply.done_acks] == [7]
    polls = [each for each in world.core.applied if isinstance(each, commands.NextTask)]
    assert [len(each.done) for each in polls] == [1, 0]


async def test_a_retried_poll_asks_for_no_more_than_the_rest_of_its_wait(world: World) -> None:
    """The worker is alive for as long as its poll can last, not longer."""
    world.poll(wait=10)
    await world.turn()
    world.clock.advance(4)
    world.add_task()
    await world.turn()
    last = world.core.applied[-1]
    assert isinstance(last, commands.NextTask)
    assert last.wait == 6


async def test_a_dropped_poll_gets_no_lease(world: World) -> None:
    """The task goes to the next one."""
    gone, waiting = world.poll("gone"), world.poll("waiting")
    await world.turn()
    gone.cancel()
    world.add_task()
    await world.turn()
    world.journal.sync()
    assert waiting.result().leases == (1,)
    assert (world.engine.parked, world.engine.load) == (0, 0)


@pytest.mark.parametrize("ranking", [False, True])
async def test_a_dropped_poll_leaves_its_place_to_another(*, ranking: bool) -> None:
    """A worker that reconnects again and again must not take the places of those who wait."""
    small = World(max_parked=1)
    for name in ("first", "again"):
        command = commands.NextTask(
            worker_id=name, slots=1, free_slots=1, wait=10.0, ranking=ranking
        )
        gone = small.engine.poll(command, known_version=small.core.version)
        await small.turn()
        assert small.engine.parked == 1
        gone.cancel()
        await small.turn()
        assert (small.engine.parked, small.clock.pending) == (0, 0)


@pytest.mark.parametrize("number", [3, 4])
@pytest.mark.parametrize("wait", [0.0, 10.0])
async def test_a_poll_ends_what_its_worker_sent_before_it(
    world: World, number: int, wait: float
) -> None:
    """Whose answer nobody waits for any more, while it would take leases."""
    older = world.numbered("a", 3)
    others = [world.numbered("b", 2), world.numbered("a", 0), world.numbered("a", 0)]
    await world.turn()
    world.clock.advance(1.0)
    newer = world.numbered("a", number, wait)
    await world.turn()
    assert older.result().leases == ()
    assert not any(poll.done() for poll in others)
    assert newer.done() == (wait == 0)
    for poll in (*others, newer):
        poll.cancel()
    await world.turn()
    assert (world.engine.parked, world.clock.pending) == (0, 0)


async def test_a_poll_ends_all_that_its_worker_sent_before_it(world: World) -> None:
    """One whose connection breaks again and again has sent several, and listens to one."""
    first = world.numbered("a", 3)
    await world.turn()
    world.clock.advance(0.5)
    second = world.numbered("a", 3)
    await world.turn()
    world.clock.advance(0.5)
    third = world.numbered("a", 3)
    await world.turn()
    assert (first.done(), second.done()) == (True, False), "it waits for a second at least"
    world.clock.advance(0.5)
    fourth = world.numbered("a", 3)
    await world.turn()
    assert (second.done(), third.done(), fourth.done()) == (True, False, False)
    world.clock.advance(1.0)
    last = world.numbered("a", 4)
    await world.turn()
    assert (third.done(), fourth.done(), last.done()) == (True, True, False)
    last.cancel()
    await world.turn()
    assert (world.engine.parked, world.clock.pending) == (0, 0)


async def test_a_poll_that_was_sent_again_at_once_is_answered_with_it(world: World) -> None:
    """Both wait, and only the later one has a caller who hears of the lease."""
    polls = [world.numbered("a", 3) for _ in range(3)]
    others = [world.numbered("a", 0), world.numbered("a", 4), world.numbered("b", 3)]
    await world.turn()
    polls[1].cancel()
    world.add_task()
    await world.turn()
    await world.sync_all()
    assert [polls[0].result().leases, polls[2].result().leases] == [(1,), (1,)]
    assert not any(poll.done() for poll in others)
    assert world.engine.parked == len(others)


async def test_workers_of_one_name_do_not_keep_ending_each_others_polls(world: World) -> None:
    """A name that was given twice must not have both ask as fast as they can."""
    ids = [1, 1]
    polls = [world.numbered("a", 1) for _ in ids]
    asked = 0
    for _ in range(20):
        world.clock.advance(0.1)
        await world.turn()
        for which in (0, 1):
            if polls[which].done():
                ids[which] += 1
                polls[which] = world.numbered("a", ids[which])
                asked += 1
    assert asked <= 4
    for poll in polls:
        poll.cancel()


async def test_a_poll_that_comes_late_does_not_end_a_newer_one(world: World) -> None:
    """Ids rise, so that it is clear which one that is."""
    newer = world.numbered("a", 4)
    await world.turn()
    world.clock.advance(1.0)
    late = world.numbered("a", 3)
    await world.turn()
    assert not newer.done()
    late.cancel()
    await world.turn()
    assert not newer.done()
    world.numbered("a", 5)
    await world.turn()
    assert newer.done()


async def test_a_poll_that_ends_while_others_are_decided_waits_for_the_disk(world: World) -> None:
    """Its ranking is of that moment, and rests on what is decided then."""
    command = commands.NextTask(
        worker_id="e", slots=1, free_slots=1, wait=10.0, poll_id=1, ranking=True
    )
    first = world.engine.poll(command, known_version=world.core.version)
    await world.turn()
    world.clock.advance(1.0)
    world.add_task()
    world.engine.poll(command, known_version=world.core.version)
    await world.turn()
    assert world.engine.parked == 1
    assert not first.done()
    world.journal.sync()
    assert first.done()


async def test_a_poll_may_be_dropped_in_the_turn_in_which_it_would_end(world: World) -> None:
    """Whoever comes first, it leaves once."""
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    tried, timed_out = world.poll("tried"), world.poll("timed out", wait=5.0)
    await world.turn()
    world.add_task()
    tried.cancel()
    timed_out.cancel()
    world.clock.advance(5.0)
    await world.turn()
    await world.sync_all()
    assert (world.engine.parked, world.engine.load) == (0, 0)
    assert not problems
    assert not world.failures


async def test_a_ranking_poll_waits_for_another_version(world: World) -> None:
    """It returns at once when its caller's version is old, else when the order changes."""

    def rank(known: int) -> asyncio.Future[Any]:
        command = commands.NextTask(worker_id="e", slots=1, free_slots=1, wait=9, ranking=True)
        return world.engine.poll(command, known_version=known)

    stale, current = rank(0), rank(1)
    await world.turn()
    assert stale.result().ranking.version == 1
    assert not current.done()
    world.core.version = 2
    world.add_task(slots=0)
    await world.turn()
    assert current.result().ranking.version == 2


async def test_polls_can_be_ended_before_their_time(world: World) -> None:
    """A stream whose caller asks for nothing more does not wait for its polls."""
    ended, kept = world.poll("a"), world.poll("b")
    world.engine.end_polls([ended])
    await world.turn()
    assert ended.result().leases == ()
    assert not kept.done()


async def test_polls_can_be_ended_however_many_calls_are_before_them(world: World) -> None:
    """More than are decided in one turn: a poll is not parked when its turn comes."""
    for _ in range(3 * DRAIN_LIMIT):
        world.add_task(slots=0)
    ended, kept = world.poll("a"), world.poll("b")
    world.engine.end_polls([ended])
    await world.turn(6)
    assert ended.result().leases == ()
    assert not kept.done()
    assert world.engine.parked == 1
