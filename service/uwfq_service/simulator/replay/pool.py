"""The pool that a replay borrows: nobody else's while it lasts, and given back as it was.

What others do in it would be measured along, and our workers would fail tasks of theirs that they
have no handler for.  So a pool must be idle and without workers, and is looked at now and then.

Units: real seconds.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Final

from uwfq_client import Client

#: Between two looks at a pool.
LOOK_SECONDS: Final = 1.0
#: How long a pool may take to forget workers that have left, and to see ours come.
_LEAVING_SECONDS: Final = 45.0
_COMING_SECONDS: Final = 15.0
_COMING_PAUSE: Final = 0.005


class ReplayFailed(Exception):
    """The replay could not be brought to its end; ``str()`` says why, in a line."""


class ReplayRefused(ReplayFailed):
    """It would not have measured the workload; the line says what to do instead."""


@dataclasses.dataclass(slots=True)
class JobCounts:
    """Jobs of ours so far."""

    submitted: int = 0
    #: Of those, how many are known to have ended.
    ended: int = 0


class BorrowedPool:
    """The pool that ``client`` speaks of, for ``workers`` workers with ``slots`` slots."""

    def __init__(self, client: Client, *, slots: int, workers: int) -> None:
        self._client = client
        self._slots = slots
        self._workers = workers
        #: Weights to be put back.
        self._former_weights: dict[str, float] = {}

    async def until_idle(self) -> None:
        """Return once nobody works in it; raises ``ReplayRefused`` if others do."""
        give_up_at = _now() + _LEAVING_SECONDS
        # They may be those of a replay that has just ended: the service forgets them after a while.
        while workers := await self._workers_of_others():
            if _now() >= give_up_at:
                raise ReplayRefused(
                    f"pool {self._client.pool!r} has {workers} workers of its own; stop them, or "
                    "name a pool without any with --pool"
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def _workers_of_others(self) -> int:
        pool = await self._client.get_pool()
        if pool.jobs:
            raise ReplayRefused(
                f"pool {pool.pool!r} has {pool.jobs} unfinished jobs, which would disturb the "
                "replay and be disturbed; name an idle pool with --pool"
            )
        if pool.fixed_slots and pool.slots != self._slots:
            raise ReplayRefused(
                f"pool {pool.pool!r} is fixed at {pool.slots} slots, the workload has "
                f"{self._slots}; --slots {pool.slots} replays it on as many"
            )
        return pool.workers

    async def until_workers_are_seen(self, check: Callable[[], None]) -> float:
        """Return when our workers are there; the pool's virtual time, which stands still."""
        give_up_at = _now() + _COMING_SECONDS
        while (pool := await self._client.get_pool()).workers < self._workers:
            check()
            if _now() >= give_up_at:
                raise ReplayFailed(f"pool {pool.pool!r} has not seen all of the replay's workers")
            await asyncio.sleep(_COMING_PAUSE)
        return pool.virtual_time

    async def set_weights(self, weights: Mapping[str, float]) -> None:
        """Let users have these weights until ``put_weights_back``.

        Raises ``ReplayRefused`` if one of them may not have all slots: a workload knows no caps.
        """
        users = self._client.list_users(page_size=1000)
        known = {each.user: each async for each in users if each.user in weights}
        for each in known.values():
            if (cap := each.max_running_slots) is not None and cap < self._slots:
                raise ReplayRefused(
                    f"user {each.user!r} may have {cap} of the {self._slots} slots of pool "
                    f"{self._client.pool!r} at most; lift that (`uwfq user set "
                    "--max-running-slots 0`), or name another pool with --pool"
                )
        for user, weight in weights.items():
            former = known[user].weight if user in known else 1.0
            if not math.isclose(former, weight, rel_tol=0, abs_tol=1e-6):
                self._former_weights[user] = former
                await self._client.set_user(user, weight=weight)

    async def put_weights_back(self) -> None:
        """Give users the weights that they had."""
        for user, weight in self._former_weights.items():
            await self._client.set_user(user, weight=weight)

    async def look(self, jobs: JobCounts) -> None:
        """Raise ``ReplayFailed`` if somebody else is there."""
        # While the answer is under way, jobs of ours come and go; more than these there cannot be.
        ended = jobs.ended
        pool = await self._client.get_pool()
        if pool.workers != self._workers:
            raise ReplayFailed(
                f"pool {pool.pool!r} has {pool.workers} workers instead of the {self._workers} of "
                "the replay: what is measured is not the workload's"
            )
        if pool.jobs > jobs.submitted - ended:
            raise ReplayFailed(
                f"somebody else has submitted jobs to pool {pool.pool!r}: what is measured is not "
                "the workload's, and the replay's workers cannot run them"
            )


def _now() -> float:
    return asyncio.get_running_loop().time()
