"""Every cross-cutting truth about a scheduler: ``check(scheduler, now)`` asserts them all.

For tests, and for whoever suspects something: it walks through everything there is.
"""

from __future__ import annotations

from collections import Counter
from math import inf, isclose
from typing import TYPE_CHECKING, Any

from uwfq_service.core.lifecycle import END_STATES
from uwfq_service.core.model import WEIGHT_SCALE
from uwfq_service.core.timers import TimerKind

if TYPE_CHECKING:
    from uwfq_service.core.model import Job, Pool, User, Worker
    from uwfq_service.core.policy.uwfq import UwfqPolicy
    from uwfq_service.core.scheduler import Scheduler
    from uwfq_service.core.stage import Stage
    from uwfq_service.core.state import State

#: How far float sums over a history may be apart.
RELATIVE = 1e-6
ABSOLUTE = 1e-6


def check(scheduler: Scheduler, now: Any) -> None:
    """Assert that the state is consistent.  O(everything)."""
    state = scheduler.state
    _check_leases(state)
    _check_lease_timers(state)
    for job in state.jobs.values():
        _check_job(job)
    placed = [job for job in state.jobs.values() if job.engine_id and not job.ended]
    assert sorted(job.number for jobs in state.engine_jobs.values() for job in jobs.values()) == [
        job.number for job in placed
    ], "unfinished jobs are known to their engines"
    for pool in state.pools.values():
        _check_pool(state, pool)
        for worker in pool.workers.values():
            _check_worker(worker)
        for user in pool.users.values():
            _check_user(state, user)
        if pool.policy.corrects_estimates:
            _check_virtual_time(pool, pool.policy, now)  # type: ignore[arg-type]
            _check_probes(state, pool)


def _close(left: Any, right: Any) -> bool:
    return isclose(left, right, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _check_leases(state: State) -> None:
    seen = set()
    for lease_id, lease in state.leases.items():
        assert lease.lease_id == lease_id < state.next_lease, "leases are known by their id"
        assert not lease.stage.job.ended, f"{lease!r} is live though its job is over"
        assert lease.worker.leases[lease_id] is lease, f"{lease!r}: its worker does not hold it"
        assert (lease.stage.leases or {})[lease_id] is lease, f"{lease!r}: its stage knows it not"
        assert lease_id not in state.void_leases, f"{lease!r} is live and void"
        if lease.place < 0:
            assert lease.stage.job.engine_id, "only an engine runs two attempts at once"
            continue
        assert lease.stage.task_at(lease.place) == lease.task, "a lease knows its task's place"
        assert not lease.stage.is_waiting(lease.place), f"{lease!r}: its task waits, too"
        assert (lease.stage.key, lease.task) not in seen, f"{lease!r}: its task has another lease"
        seen.add((lease.stage.key, lease.task))


def _check_lease_timers(state: State) -> None:
    """A lease with two timers may be lost twice, one with none lives for ever."""
    timers = Counter(
        lease_id
        for first, count in state.timers.items(TimerKind.LEASES)
        for lease_id in range(first, first + count)
    )
    for lease_id, lease in state.leases.items():
        expected = 0 if lease.expires_at in (None, inf) else 1
        assert timers[lease_id] == expected, f"{lease!r} has {timers[lease_id]} timers"


def _check_job(job: Job) -> None:
    assert job.ended == (job.state in END_STATES), f"{job!r} has an end and a state that differ"
    assert job.stages_left == sum(not s.over for s in job.stages), "stages are counted"
    assert _close(job.stages_work, sum(s.work for s in job.stages)), "the stages' work adds up"
    dropped = sum(s.dropped_work or 0 for s in job.stages)
    assert _close(job.dropped_work, dropped), "dropped work adds up"
    if job.ended:
        assert not job.offered, f"{job!r} is over and offered"
        assert not job.started_slots, f"{job!r} is over and runs"
        assert all(stage.leases is None for stage in job.stages), f"{job!r} is over and leased"
        return
    for stage in job.stages:
        _check_stage(stage)


def _check_stage(stage: Stage) -> None:
    backing_off = len(stage.backing_off or ())
    rivals = sum(max(count - 1, 0) for count in (stage.live or {}).values())
    rivals += sum(1 for task in (stage.won or ()) if (stage.live or {}).get(task))
    accounted = stage.done + stage.waiting + stage.running - rivals + backing_off
    if stage.dropped_work is None:
        assert accounted == stage.task_count, f"{stage!r}: every task is in one state"
        assert stage.over == (stage.done == stage.task_count), f"{stage!r} is over when it is done"
    else:
        assert not stage.waiting, f"{stage!r} was dropped and waits"
        assert stage.over or stage.running, f"{stage!r} was dropped and is not over"
    assert stage.running == len(stage.leases or ()), f"{stage!r}: what runs is leased"
    for task, unbegun in (stage.unbegun or {}).items():
        assert 0 < unbegun <= (stage.attempts or {})[task], f"{stage!r}[{task}]: attempts began"
    places = sum(stage.is_waiting(place) for place in range(stage.task_count))
    assert stage.waiting == places, f"{stage!r}: waiting tasks are counted"
    assert stage.ready == (stage.waits_for == 0), f"{stage!r} is ready when nothing is before it"
    user = stage.job.user
    launchable = stage.ready and stage.waiting > 0
    assert (stage.key in user.launchable) == launchable, f"{stage!r}: launchable is noted"
    offered = stage.index in stage.job.offered
    assert offered == launchable, f"{stage!r}: launchable is offered"


def _check_worker(worker: Worker) -> None:
    leases = worker.leases.values()
    assert worker.leased_slots == sum(lease.slots for lease in leases), "leased slots add up"
    started = sum(lease.slots for lease in leases if lease.started_at is not None)
    assert worker.started_slots == started, "started slots add up"
    queued = [lease.lease_id for lease in leases if lease.started_at is None]
    assert list(worker.queued) == queued, "the queue is true"


def _check_pool(state: State, pool: Pool) -> None:
    users = pool.users.values()
    assert pool.live_slots == sum(worker.slots for worker in pool.workers.values()), "R adds up"
    assert pool.running_slots == sum(user.running_slots for user in users), "running slots add up"
    assert pool.unfinished_jobs == sum(user.unfinished_jobs for user in users), "jobs add up"
    assert pool.launchable_tasks == sum(u.launchable_tasks for u in users), "tasks add up"
    jobs = [j for j in state.jobs.values() if j.pool is pool and not j.user.paused]
    offered = {stage.key for job in jobs for stage in _offered(job)}
    ranked = list(pool.policy.ranking())
    assert {stage.key for stage in ranked} == offered, "the policy ranks what may go"
    assert len(ranked) == len(offered), "the policy ranks everything once"
    assert pool.policy.first() is (ranked[0] if ranked else None), "the first is first"


def _offered(job: Job) -> list[Stage]:
    return [job.stages[index] for index in job.offered]


def _check_user(state: State, user: User) -> None:
    jobs = [job for job in state.jobs.values() if job.user is user]
    live = [job for job in jobs if not job.ended]
    assert user.unfinished_jobs == len(live), f"{user!r}: unfinished jobs are counted"
    assert user.running_slots == sum(s.running_slots for j in live for s in j.stages), "slots"
    assert user.launchable_tasks == sum(s.waiting for j in live for s in j.stages if s.ready), (
        f"{user!r}: launchable tasks are counted"
    )
    if user.max_running_slots:
        assert user.paused == (user.running_slots >= user.max_running_slots), "caps pause"
    # Every charge is settled exactly once.
    in_flight = sum(job.work for job in live)
    assert _close(user.charged - user.settled, in_flight), f"{user!r}: charges are settled once"


def _check_probes(state: State, pool: Pool) -> None:
    """A job waits for its probe just while something runs that may say what it costs."""
    for job in state.jobs.values():
        if job.pool is not pool or job.ended:
            continue
        running = sum(stage.running_slots for stage in job.stages)
        clock = job.policy_state
        if job.guessed:
            assert clock.running_slots == running, f"{job!r}: slots of a guess are counted"
        waits = job.guessed and running > 0 and not job.estimated_done
        assert clock.probed == waits, f"{job!r}: waits for its probe, and for nothing else"
    unseen_jobs = 0
    for user in pool.users.values():
        if user.policy_state is not None:
            unseen = [job for job in state.jobs.values() if job.user is user and _is_unseen(job)]
            assert user.policy_state.unseen == len(unseen), f"{user!r}: unseen jobs are counted"
            unseen_jobs += len(unseen)
    by_shares = pool.policy.shares_in_order() is not None
    assert by_shares == (unseen_jobs > 0), f"{pool!r} goes by shares while there are unseen jobs"


def _is_unseen(job: Job) -> bool:
    """Whether it has something to launch, and nobody has seen its like."""
    return bool(job.unseen and job.offered)


def _check_virtual_time(pool: Pool, policy: UwfqPolicy, now: Any) -> None:
    """Sum e_j = sum job weight x (F_j - U) = w (E - V) for every active user."""
    policy.advance(now)
    v = policy.virtual_time(now)
    weights = 0
    for user in pool.users.values():
        if user.policy_state is None:
            continue
        clock = user.policy_state.clock
        clock.chain._check()  # noqa: SLF001 - a check looks inside
        clock.present._check()  # noqa: SLF001 - as above
        if not clock.active:
            assert not clock.chain, f"{user!r} is inactive and served"
            assert not clock.present, f"{user!r} is inactive and present"
            continue
        weights += clock.weight
        assert clock.weight == user.weight, f"{user!r}: the clock runs at the user's weight"
        u = policy.user_virtual_time(user, now)
        served_last = clock.remaining(v)
        shared = sum(max(key[0] - u, 0) * weight / WEIGHT_SCALE for key, weight in clock.present)
        until_end = (clock.end - v) * clock.weight / WEIGHT_SCALE
        scale = RELATIVE * max(1, abs(user.charged), abs(v))
        assert abs(served_last - shared) <= scale, f"{user!r}: both servers have as much left"
        assert abs(served_last - until_end) <= scale, f"{user!r}: leaves when all is served"
    assert weights == policy.active_weight(), "the active weight adds up"
