"""Pools, users and workers: they are made, change, and are gone.

The part of ``State`` that evolves by events about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uwfq_service.core import events as ev
from uwfq_service.core.estimation import Estimator
from uwfq_service.core.launchable import check_cap, room_grows
from uwfq_service.core.model import Pool, User, Worker, scaled_weight
from uwfq_service.core.policy import POLICIES
from uwfq_service.core.timers import TimerKind

if TYPE_CHECKING:
    from uwfq_service.core.state import State


class Roster:
    """Evolves a state by what happens to pools, and to who is there."""

    def __init__(self, state: State) -> None:
        self._state = state

    def pool_configured(self, event: ev.PoolConfigured) -> None:
        """A pool is made, or gets another policy, size or task runtime."""
        state = self._state
        pool = state.pools.get(event.pool)
        policy_class = POLICIES[event.policy]
        if not state.pools:
            state.number_leases_anew(event.at)
            state.first_lease = state.next_lease
        if pool is None:
            pool = Pool(event.pool, policy_class(state.number, event.at), event.at)
            pool.overhead = state.number(0)
            state.pools[event.pool] = pool
            state.estimators[event.pool] = Estimator(prior_work=state.settings.prior_work)
        elif pool.policy.name != event.policy:
            self._switch_policy(pool, policy_class(state.number, event.at))
        pool.fixed_slots = event.fixed_slots
        pool.advisory_task_runtime = event.advisory_task_runtime
        self._slots_changed(pool)

    def _switch_policy(self, pool: Pool, policy: Any) -> None:
        """Let another policy take over what is there, in the order of admission."""
        state = self._state
        pool.policy = policy
        policy.set_slots(pool.slots, state.at)
        jobs = [job for job in state.jobs.values() if job.pool is pool and not job.ended]
        for user in pool.users.values():
            user.policy_state = None
        # Finished jobs, too: nobody else may find what the former policy noted there.
        for job in state.jobs.values():
            if job.pool is pool:
                job.policy_state = None
                for stage in job.stages:
                    stage.policy_state = None
        for job in jobs:
            policy.add_job(job, state.at)
        ready = [s for job in jobs for s in job.stages if s.ready and not s.over]
        for stage in sorted(ready, key=lambda stage: stage.launch_serial):
            policy.add_stage(stage, state.at)
        for job in jobs:
            for index in job.offered:
                policy.offer(job.stages[index], state.at)
            # The former policy may not have cared what runs over its charge.
            state.attempts.watch_overrun(job)
        pool.order_version += 1

    def user_set(self, event: ev.UserSet) -> None:
        """A user has this weight and these caps from now on."""
        pool = self._state.pools[event.pool]
        user = self.user(pool, event.user)
        weight = scaled_weight(event.weight)
        if weight != user.weight:
            pool.policy.advance(event.at)
            pool.policy.set_weight(user, weight, event.at)
            user.weight = weight
            pool.order_version += 1
        if event.max_running_slots != user.max_running_slots:
            room_grows(user)
        user.max_running_slots = event.max_running_slots
        user.max_waiting_jobs = event.max_waiting_jobs
        check_cap(user)

    def worker_joined(self, event: ev.WorkerJoined) -> None:
        """A worker is new, or has announced something else."""
        pool = self._state.pools[event.pool]
        worker = pool.workers.get(event.worker)
        if worker is None:
            worker = pool.workers[event.worker] = Worker(pool, event.worker)
        pool.live_slots += event.slots - worker.slots
        worker.slots, worker.prefetch, worker.engine = event.slots, event.prefetch, event.engine
        if worker.timer is None:
            self.watch_silence(worker)
        self._slots_changed(pool)

    def watch_silence(self, worker: Worker) -> None:
        """A worker that is new here: its silence counts from now."""
        worker.alive_until = max(worker.alive_until, self._state.at + self.patience(worker))
        worker.timer = worker.alive_until
        self._state.timers.set(worker.timer, TimerKind.WORKER, worker)

    def patience(self, worker: Worker) -> float:
        """How long it may be silent."""
        settings = self._state.settings
        return settings.engine_timeout if worker.engine else settings.worker_timeout

    def worker_gone(self, event: ev.WorkerLost | ev.WorkerLeft) -> None:
        """A worker has left or fallen silent; what it ran has been dealt with."""
        pool = self._state.pools[event.pool]
        worker = pool.workers.pop(event.worker)
        worker.timer = None
        assert not worker.leases, "a worker that is gone has no leases left"
        pool.live_slots -= worker.slots
        self._slots_changed(pool)

    def _slots_changed(self, pool: Pool) -> None:
        pool.policy.advance(self._state.at)
        pool.policy.set_slots(pool.slots, self._state.at)

    def user(self, pool: Pool, name: str) -> User:
        """The user of that name, made if need be."""
        user = pool.users.get(name)
        if user is None:
            user = pool.users[name] = User(pool, pool.next_user, name)
            user.charged = user.settled = user.service_ended = self._state.number(0)
            user.started_sum = self._state.number(0)
            pool.next_user += 1
        return user
