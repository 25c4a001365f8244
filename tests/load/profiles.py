"""The profiles: which calls are made, and what must have come of them.

A profile is prepared against the service, and the same messages are then sent to the service and
to the no-op server.  ``mixed`` is one ghz for each method at the same time, a third of the calls
each.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from google.protobuf.message import Message

from tests.load import calls
from tests.load.calls import PoolCount, Preparer
from tests.load.ghz import Ghz, Outcome
from uwfq.v1 import types_pb2 as types

#: Connections are shared by the calls in flight, as by the threads of a client process.
CONNECTIONS: Final = 10
BATCH: Final = 100


class Sending(NamedTuple):
    """Messages for one method, and the change of its pool that they bring about."""

    method: str
    messages: Sequence[Message]
    pool: str
    change: PoolCount


Prepare = Callable[[Preparer, int], Awaitable[list[Sending]]]


class Profile(NamedTuple):
    """One row of the report."""

    name: str
    prepare: Prepare
    #: Tasks that a call leases and completes; 1: the figures are about calls.
    tasks_per_call: int = 1
    stream: bool = False

    async def run(
        self, ghz: Ghz, target: str, sendings: Sequence[Sending], in_flight: int, **more: object
    ) -> Outcome:
        """Send everything; returns when all is answered."""
        if self.stream:
            in_flight = 1
        share = max(1, in_flight // len(sendings))
        outcomes = await asyncio.gather(
            *(
                ghz.run(
                    sending.method,
                    target,
                    sending.messages,
                    in_flight=share,
                    connections=min(share, max(1, CONNECTIONS // len(sendings))),
                    **more,
                )
                for sending in sendings
            )
        )
        return sum(outcomes, Outcome())


async def check(
    preparer: Preparer, sendings: Sequence[Sending], before: Mapping[str, PoolCount]
) -> None:
    """Raise ``AssertionError`` unless the service counts what was sent; end the slice.

    What was leased goes back.  Left to run, it would outrun its estimate, and correcting for that
    would become part of what is measured later.
    """
    for sending in sendings:
        change = await preparer.count(sending.pool) - before[sending.pool]
        assert change == sending.change, (
            f"{len(sending.messages)} messages for {sending.method}: the pool {sending.pool!r} "
            f"has changed by {change}, which should be {sending.change}"
        )
        if sending.change.waiting_tasks < 0:
            await preparer.let_go(sending.pool)


async def submit_job(_: Preparer, count: int) -> list[Sending]:
    """Jobs of one task."""
    pool = calls.SUBMITTED
    messages = calls.submissions(pool, count)
    return [Sending("submit_job", messages, pool, PoolCount(count, count, 0))]


async def next_task(preparer: Preparer, count: int) -> list[Sending]:
    """Polls that lease one task each."""
    pool = calls.LEASED
    await preparer.stock(pool, count)
    return [Sending("next_task", calls.polls(pool, count), pool, PoolCount(0, -count, count))]


async def task_done(preparer: Preparer, count: int) -> list[Sending]:
    """Reports of one result each, for tasks that have been leased."""
    pool = calls.REPORTED
    leases = await preparer.lease(pool, count)
    messages = calls.reports(leases)
    ended = await _jobs_ended(preparer, leases)
    return [Sending("task_done", messages, pool, PoolCount(-ended, 0, -count))]


async def mixed(preparer: Preparer, count: int) -> list[Sending]:
    """All three at once."""
    third = max(1, count // 3)
    return [
        sending
        for prepare in (submit_job, next_task, task_done)
        for sending in await prepare(preparer, third)
    ]


async def poll_batches(preparer: Preparer, count: int) -> list[Sending]:
    """Polls for a batch that carry the results of another one."""
    return await _cycle(preparer, count, calls.BATCHED, stream=False)


async def stream_batches(preparer: Preparer, count: int) -> list[Sending]:
    """The same on one Work stream."""
    return await _cycle(preparer, count, calls.STREAMED, stream=True)


async def _cycle(preparer: Preparer, count: int, pool: str, *, stream: bool) -> list[Sending]:
    leases = await preparer.lease(pool, count, BATCH)
    ended = await _jobs_ended(preparer, leases)
    await preparer.stock(pool, count * BATCH)
    requests = calls.polls_with_results(pool, leases, BATCH)
    # As many are leased as are completed.
    change = PoolCount(-ended, -count * BATCH, 0)
    if stream:
        return [Sending("work", calls.on_stream(requests), pool, change)]
    return [Sending("next_task", requests, pool, change)]


async def _jobs_ended(preparer: Preparer, leases: Sequence[Sequence[types.TaskLease]]) -> int:
    """Jobs that end when all of these leases have succeeded."""
    done = Counter(lease.job_id for group in leases for lease in group)
    return await preparer.jobs_ended(done)


SUBMIT_JOB: Final = Profile("SubmitJob", submit_job)
NEXT_TASK: Final = Profile("NextTask", next_task)
PROFILES: Final = (
    SUBMIT_JOB,
    NEXT_TASK,
    Profile("TaskDone", task_done),
    Profile("mixed", mixed),
    Profile("poll, batches of 100", poll_batches, BATCH),
    Profile("Work, batches of 100", stream_batches, BATCH, stream=True),
)
