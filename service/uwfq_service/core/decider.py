"""What all who decide share: the state, and one way to let something happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uwfq_service.core import events as ev
from uwfq_service.core.errors import BacklogFull, UnknownPool

if TYPE_CHECKING:
    from uwfq_service.core.model import Pool, Worker
    from uwfq_service.core.state import State


class Decider:
    """Emits events: notes them for the journal and evolves the state by them."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._evolve = state.evolve
        self._events: list[ev.AnyEvent] = []

    def emit(self, event: ev.AnyEvent) -> None:
        """Let ``event`` happen."""
        self._events.append(event)
        self._evolve(event)

    def take_events(self) -> list[ev.AnyEvent]:
        """What has happened since the last call."""
        taken, self._events = self._events, []
        return taken

    def pool(self, name: str) -> Pool:
        """The pool of that name; raises ``UnknownPool``."""
        pool = self.state.pools.get(name)
        if pool is None:
            raise UnknownPool(name)
        return pool

    def workers(self, name: str) -> list[Worker]:
        """One process in each of the pools that know it by that name.  O(pools)."""
        pools = self.state.pools.values()
        return [worker for pool in pools if (worker := pool.workers.get(name)) is not None]

    def check_worker_room(self, pool: Pool, name: str) -> None:
        """Refuse one worker too many."""
        limit = self.state.settings.limits.max_workers_per_pool
        if name not in pool.workers and len(pool.workers) >= limit:
            raise BacklogFull("pool", pool.name, limit, "workers")

    def touch(self, worker: Worker, now: Any, wait: float = 0.0) -> None:
        """A sign of life: the worker is there for ``wait`` seconds and may be silent after that."""
        settings = self.state.settings
        silence = settings.engine_timeout if worker.engine else settings.worker_timeout
        alive_until = now + wait + silence
        if alive_until > worker.alive_until:
            worker.alive_until = alive_until

    def touch_engine(self, pool: Pool, engine_id: str, now: Any) -> None:
        """An engine that submits is alive, and its silence counts from here on."""
        if not engine_id:
            return
        worker = pool.workers.get(engine_id)
        if worker is None or not worker.engine:
            # Known by its polls for leases: from now on its jobs are to end with it.
            self.emit(
                ev.WorkerJoined(
                    at=now,
                    pool=pool.name,
                    worker=engine_id,
                    slots=worker.slots if worker else 0,
                    prefetch=worker.prefetch if worker else 0,
                    engine=True,
                )
            )
        self.touch(pool.workers[engine_id], now)
