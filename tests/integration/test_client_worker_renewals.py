"""What a worker says when it renews its leases, over real gRPC."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.fake_service import FakeService
from tests.integration.workers import EAGER, nothing
from uwfq_client import Task, Worker


async def test_a_renewal_without_a_lease_is_not_sent(service: FakeService) -> None:
    """To the service it would mean all, those of a lost answer to a poll among them."""
    worker = Worker(service.target, slots=1, retry=EAGER)
    worker.handler("noop")(nothing)
    async with worker:
        await service.until(lambda: service.requests["NextTask"])
        assert worker._session is not None
        # As when all that was due has ended meanwhile.
        await worker._session._renew()
    assert not service.requests["RenewLeases"]


@pytest.mark.parametrize("told_by", ["renewal", "poll"])
async def test_a_start_after_a_while_in_the_queue_is_told_until_it_is_heard_and_no_more(
    service: FakeService, told_by: str
) -> None:
    """What begins as soon as it is granted needs no word: the service counts from the grant."""
    service.lease_seconds = 0.15 if told_by == "renewal" else 30.0
    service.add_job("j", 2)
    worker = Worker(service.target, slots=1, prefetch=1, poll_seconds=600.0, retry=EAGER)
    first, last = go = asyncio.Event(), asyncio.Event()
    begun = asyncio.Event()

    @worker.handler("noop")
    async def handle(task: Task) -> None:
        begun.set()
        await go[task.index].wait()

    async with worker:
        await begun.wait()
        await asyncio.sleep(0.01)  # What counts as a while, for the second one.
        first.set()
        polls, renewals = service.requests["NextTask"], service.requests["RenewLeases"]
        await service.until(lambda: any(poll.started for poll in polls))
        if told_by == "poll":
            told = polls
            service.revoked.add(99)  # Brings an answer, and no lease that would fill the queue.
            service.note()
        else:
            told = renewals  # The poll is parked, so nobody knows whether it was heard.
        await service.until(lambda: any(each.started for each in told[:-1]))
        last.set()
    starts = [start.lease_id for each in told for start in each.started]
    assert starts == [2]
