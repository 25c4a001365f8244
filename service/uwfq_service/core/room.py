"""Room for one more: what is kept has limits, and some of it can be let go.

A pool that has as many users as it may makes room for a new one by forgetting *idle* ones: those
with no job that is remembered, nothing left in virtual time, and no settings of an operator.  One
that comes back is new, which costs no more than its totals: absence earns no credit, and what the
estimator knows of a user it keeps by itself.

Nothing changes here: whoever admits the new one lets the others be forgotten.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from uwfq_service.core.errors import BacklogFull, UsersFull
from uwfq_service.core.model import WEIGHT_SCALE

if TYPE_CHECKING:
    from uwfq_service.core.model import Pool, User
    from uwfq_service.core.state import State

#: Users that are forgotten at once: everybody waits for that, and it is one record of the journal.
FORGOTTEN_AT_ONCE: Final = 10_000
#: Looking for idle users takes some 30 ms with the most users and remembered jobs that the defaults
#: allow.  If fewer than one in ``SCARCE`` users were idle, nobody looks again for so many seconds.
SCARCE: Final = 20
LOOK_PAUSE: Final = 10.0


class Room:
    """Refuses what there is no room for."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._limits = state.settings.limits
        #: By pool, when idle users were last looked for, and there were few.
        self._scarce_at: dict[str, Any] = {}

    def for_job(self, pool: Pool, user_name: str, now: Any) -> tuple[str, ...]:
        """Refuse one job too many; the users to be forgotten for the sake of its own."""
        limits = self._limits
        if pool.unfinished_jobs >= limits.max_jobs_per_pool:
            raise BacklogFull("pool", pool.name, limits.max_jobs_per_pool)
        user = pool.users.get(user_name)
        if user is None:
            return self.for_user(pool, user_name, now)
        limit = user.max_waiting_jobs or limits.max_jobs_per_user
        if user.unfinished_jobs >= limit:
            raise BacklogFull("user", user_name, limit)
        return ()

    def for_user(self, pool: Pool, name: str, now: Any) -> tuple[str, ...]:
        """Refuse one user too many; the users to be forgotten for this one."""
        limit = self._limits.max_users_per_pool
        if name in pool.users or len(pool.users) < limit:
            return ()
        idle = self._idle_users(pool, now)
        if not idle:
            raise UsersFull(pool.name, limit)
        return idle

    def _idle_users(self, pool: Pool, now: Any) -> tuple[str, ...]:
        """Users who can be forgotten, the first ones first.  O(users + finished jobs)."""
        scarce_at = self._scarce_at.get(pool.name)
        if scarce_at is not None and now - scarce_at < LOOK_PAUSE:
            return ()
        pool.policy.advance(now)
        remembered = {job.user for job in self._state.finished}
        found = (
            user.name
            for user in pool.users.values()
            if user not in remembered and not _has_settings(user) and not _is_owed_anything(user)
        )
        idle = tuple(islice(found, FORGOTTEN_AT_ONCE))
        if len(idle) * SCARCE < len(pool.users):
            self._scarce_at[pool.name] = now
        return idle


def _has_settings(user: User) -> bool:
    return bool(user.weight != WEIGHT_SCALE or user.max_running_slots or user.max_waiting_jobs)


def _is_owed_anything(user: User) -> bool:
    return bool(user.unfinished_jobs) or user.pool.policy.is_active(user)
