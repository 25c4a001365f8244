"""The state as plain values, for snapshots: ``dump(state)`` and ``load(image, settings)``.

Lists and dicts of numbers, texts and bytes, so that any codec can write them.  What is derived
(counters, sums over running attempts, timers, the heaps of a policy) is not written but made again,
with the very code that events use, so that it cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sortedcontainers import SortedList

from uwfq_service.core.estimation import Estimator
from uwfq_service.core.events import AdmittedStage
from uwfq_service.core.model import NO_LABELS, Job, JobState, Lease, Pool, User, Worker
from uwfq_service.core.policy import POLICIES
from uwfq_service.core.stage import Stage
from uwfq_service.core.state import State, link_dependencies

if TYPE_CHECKING:
    from collections.abc import Callable

    from uwfq_service.core.settings import Settings

#: Names of plain attributes that are written as they are.
_USER = (
    "number",
    "name",
    "weight",
    "max_running_slots",
    "max_waiting_jobs",
    "charged",
    "settled",
    "service_ended",
)
_JOB = (
    "number",
    "job_id",
    "submitted_at",
    "request_id",
    "fingerprint",
    "kind",
    "signature",
    "input_bytes",
    "labels",
    "weight",
    "declared_work",
    "advisory_task_runtime",
    "engine_id",
    "open",
    "state",
    "started_at",
    "finished_at",
    "work",
    "floor_work",
    "measured",
    "wasted",
    "estimated_done",
    "failed_attempts",
    "cause",
)
_STAGE = (
    "measured",
    "done",
    "cursor",
    "waiting",
    "ready",
    "launch_serial",
)


# -- dump ---------------------------------------------------------------------------------------


def dump(state: State) -> dict[str, Any]:
    """Everything that a restart needs.  O(everything)."""
    return {
        "at": state.at,
        "next_job": state.next_job,
        "first_lease": state.first_lease,
        "next_lease": state.next_lease,
        "pools": [_dump_pool(state, pool) for pool in state.pools.values()],
        "jobs": [_dump_job(job) for job in state.jobs.values()],
        "finished": [job.number for job in state.finished],
        "leases": [_dump_lease(lease) for lease in state.leases.values()],
    }


def _dump_pool(state: State, pool: Pool) -> dict[str, Any]:
    return {
        "name": pool.name,
        "policy": pool.policy.name,
        "epoch": pool.epoch,
        "fixed_slots": pool.fixed_slots,
        "advisory_task_runtime": pool.advisory_task_runtime,
        "launch_serial": pool.launch_serial,
        "next_user": pool.next_user,
        "overhead": pool.overhead,
        "users": [[getattr(user, name) for name in _USER] for user in pool.users.values()],
        "workers": [
            [w.name, w.slots, w.prefetch, w.engine, w.last_poll_id, w.last_poll_leases.copy()]
            for w in pool.workers.values()
        ],
        "policy_state": pool.policy.dump(),
        "estimator": state.estimators[pool.name].dump(),
    }


def _dump_job(job: Job) -> dict[str, Any]:
    image = {
        "pool": job.pool.name,
        "user": job.user.name,
        "fields": [getattr(job, name) for name in _JOB],
        "guessed": job.guessed,
        "unseen": job.unseen,
        "void_leases": [[key, *value] for key, value in (job.void_leases or {}).items()],
        "policy_state": job.pool.policy.dump_job(job),
        "stages": [_dump_stage(stage) for stage in job.stages],
    }
    if job.calibration != 1:
        image["calibration"] = job.calibration
    return image


def _dump_stage(stage: Stage) -> dict[str, Any]:
    image: dict[str, Any] = {
        "spec": msgspec.to_builtins(stage.spec, builtin_types=(bytes,)),
        "fields": [getattr(stage, name) for name in _STAGE],
    }
    if stage.returned:
        image["returned"] = list(stage.returned)
    if stage.claimed is not None:
        image["claimed"] = bytes(stage.claimed)
    if stage.attempts:
        image["attempts"] = sorted([task, count] for task, count in stage.attempts.items())
    if stage.unbegun:
        image["unbegun"] = sorted([task, count] for task, count in stage.unbegun.items())
    if stage.backing_off:
        image["backing_off"] = sorted([t, at, p] for t, (at, p) in stage.backing_off.items())
    if stage.won is not None:
        image["won"] = sorted(stage.won)
    if stage.dropped_work is not None:
        image["dropped"] = [stage.dropped_work, stage.over]
    return image


def _dump_lease(lease: Lease) -> list[Any]:
    return [
        lease.lease_id,
        lease.stage.job.number,
        lease.stage.index,
        lease.task,
        lease.place,
        lease.attempt,
        lease.worker.name,
        lease.granted_at,
        lease.started_at,
        lease.expires_at,
    ]


# -- load ---------------------------------------------------------------------------------------


def load(image: dict[str, Any], settings: Settings, number: Callable[[Any], Any] = float) -> State:
    """The state that ``dump`` was taken of."""
    state = State(settings, number)
    state.at = image["at"]
    state.next_job, state.next_lease = image["next_job"], image["next_lease"]
    # Images of earlier versions lack it: their leases were numbered from 1.
    state.first_lease = image.get("first_lease", 1)
    for pool_image in image["pools"]:
        _load_pool(state, pool_image)
    # Once and one by one: of a snapshot they are read as they are needed.
    policy_states = []
    for job_image in image["jobs"]:
        _load_job(state, job_image)
        policy_states.append(job_image["policy_state"])
    for number_ in image["finished"]:
        state.finished.append(state.jobs_by_number[number_])
    for pool_image in image["pools"]:
        _load_policy(state, pool_image)
    for job, policy_state in zip(state.jobs.values(), policy_states, strict=True):
        job.pool.policy.load_job(job, policy_state)
    for lease_image in image["leases"]:
        _load_lease(state, lease_image)
    for pool in state.pools.values():
        _offer_all(state, pool)
    state.restore_timers()
    return state


def _load_pool(state: State, image: dict[str, Any]) -> None:
    policy = POLICIES[image["policy"]](state.number, image["epoch"])
    pool = Pool(image["name"], policy, image["epoch"])
    pool.fixed_slots = image["fixed_slots"]
    pool.advisory_task_runtime = image["advisory_task_runtime"]
    pool.launch_serial = image["launch_serial"]
    pool.overhead = image["overhead"]
    for values in image["users"]:
        user = User(pool, values[0], values[1])
        for name, value in zip(_USER, values, strict=True):
            setattr(user, name, value)
        user.started_sum = state.number(0)
        pool.users[user.name] = user
        pool.next_user = user.number + 1
    # Higher than any user's: the latest may have been forgotten.  An older image does not say.
    pool.next_user = image.get("next_user", pool.next_user)
    for name, slots, prefetch, engine, poll_id, poll_leases in image["workers"]:
        worker = pool.workers[name] = Worker(pool, name)
        worker.slots, worker.prefetch, worker.engine = slots, prefetch, engine
        worker.last_poll_id, worker.last_poll_leases = poll_id, list(poll_leases)
        pool.live_slots += slots
    state.pools[pool.name] = pool
    state.estimators[pool.name] = Estimator.load(
        image["estimator"], prior_work=state.settings.prior_work
    )


def _load_job(state: State, image: dict[str, Any]) -> None:
    pool = state.pools[image["pool"]]
    user = pool.users[image["user"]]
    values = dict(zip(_JOB, image["fields"], strict=True))
    values["state"] = JobState(values["state"])
    values["labels"] = values["labels"] or NO_LABELS
    job = Job(pool=pool, user=user, calibration=image.get("calibration", 1.0), **values)
    job.started_sum = job.estimated_started = state.number(0)
    state.jobs[job.job_id] = state.jobs_by_number[job.number] = job
    state.index_request(job)
    if image["void_leases"]:
        job.void_leases = {lease: (index, task) for lease, index, task in image["void_leases"]}
        state.void_leases.update(dict.fromkeys(job.void_leases, job))
    for stage_image in image["stages"]:
        _load_stage(job, stage_image)
    for stage in job.stages:
        link_dependencies(stage)
        job.stages_left += not stage.over
    if not job.ended:
        user.unfinished_jobs += 1
        pool.unfinished_jobs += 1
        if job.engine_id:
            state.index_engine(job)
    _load_guess(state, job, image)


def _load_guess(state: State, job: Job, image: dict[str, Any]) -> None:
    """What the job's charge rests on, as it was: the estimator may have forgotten meanwhile."""
    if job.ended:
        job.guessed, job.unseen = image.get("guessed", False), image.get("unseen", False)
    elif "guessed" not in image:
        # An older image does not say.
        state.note_guess(job, [stage.spec for stage in job.stages])
    elif image["guessed"]:
        # An older image tells only by the signature.
        state.mark_guess(job, unseen=image.get("unseen", bool(job.signature)))


def _load_stage(job: Job, image: dict[str, Any]) -> None:
    spec = msgspec.convert(image["spec"], AdmittedStage)
    stage = Stage.of(job, len(job.stages), spec)
    for name, value in zip(_STAGE, image["fields"], strict=True):
        setattr(stage, name, value)
    if "returned" in image:
        stage.returned = SortedList(image["returned"])
    if "claimed" in image:
        stage.claimed = bytearray(image["claimed"])
    stage.attempts = dict(image.get("attempts", ())) or None
    stage.unbegun = dict(image.get("unbegun", ())) or None
    stage.backing_off = {t: (at, p) for t, at, p in image.get("backing_off", ())} or None
    if "won" in image:
        stage.placed, stage.live, stage.won = {}, {}, set(image["won"])
    stage.over = stage.done == stage.task_count
    if "dropped" in image:
        stage.dropped_work, stage.over = image["dropped"]
        job.dropped_work += stage.dropped_work
    job.stages.append(stage)
    job.stages_work += stage.work


def _load_policy(state: State, image: dict[str, Any]) -> None:
    pool = state.pools[image["name"]]
    users = {user.number: user for user in pool.users.values()}
    jobs = {job.number: job for job in state.jobs.values() if job.pool is pool}
    pool.policy.load(image["policy_state"], users, jobs, state.at)


def _load_lease(state: State, image: list[Any]) -> None:
    lease_id, number, index, task, place, attempt, worker_name, granted, started, expires = image
    job = state.jobs_by_number[number]
    stage = job.stages[index]
    worker = job.pool.workers[worker_name]
    lease = Lease(
        lease_id,
        stage,
        task,
        place,
        attempt,
        worker,
        stage.slots_per_task,
        stage.task_work(task),
        granted,
        expires,
    )
    state.attempts.restore_lease(lease, started)


def _offer_all(state: State, pool: Pool) -> None:
    """Offer what is launchable, in the order in which it became so."""
    launchable = [
        stage
        for job in state.jobs.values()
        if job.pool is pool and not job.ended
        for stage in job.stages
        if stage.ready and stage.waiting
    ]
    for stage in sorted(launchable, key=lambda stage: stage.launch_serial):
        state.restore_launchable(stage)
