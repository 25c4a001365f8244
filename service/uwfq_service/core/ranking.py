"""The order for an engine that places its tasks itself: its launchable stages, most urgent first.

Beside each stands how many of its tasks the policy would launch now on the engine's free slots, so
that an engine that goes by it does what the service would have done by leases.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from uwfq_service.core.launchable import cap_room
from uwfq_service.core.replies import RankedStage, Ranking

if TYPE_CHECKING:
    from uwfq_service.core.commands import NextTask
    from uwfq_service.core.model import Pool
    from uwfq_service.core.stage import Stage
    from uwfq_service.core.state import State

#: Most stages in a ranking, whatever it asks for.
MAX_RANKED_STAGES: Final = 1000


def order_version(pool: Pool) -> int:
    """Rises whenever the order of the pool's launchable stages may have changed.

    Time alone may have changed it: a user who leaves virtual time leaves more for the others.
    """
    shares = pool.policy.shares_in_order()
    if shares != pool.order_shares:
        pool.order_shares = shares
        pool.order_version += 1
    return pool.order_version


def ranking_for(state: State, command: NextTask) -> Ranking:
    """What the poll of an engine asks for, as it is now.

    Walks past what goes before the last of the engine's stages, whoever's it is.
    """
    pool = state.pools[command.pool]
    mine = (stage for stage in pool.policy.ranking() if stage.job.engine_id == command.worker_id)
    jobs = state.engine_jobs.get((pool.name, command.worker_id), {}).values()
    there_are = sum(len(job.offered) for job in jobs if not job.user.paused)
    most = min(command.max_stages or MAX_RANKED_STAGES, MAX_RANKED_STAGES, there_are)
    stages = list(islice(mine, most))
    launches = _launches(stages, command.free_slots)
    ranked = [
        RankedStage(
            job_id=stage.job.job_id,
            stage=stage.name,
            user=stage.job.user.name,
            virtual_deadline=pool.policy.stage_deadline(stage),
            waiting_tasks=stage.waiting,
            launch_now=launch,
        )
        for stage, launch in zip(stages, launches, strict=True)
    ]
    return Ranking(version=order_version(pool), stages=tuple(ranked))


def _launches(stages: list[Stage], free: int) -> list[int]:
    """How many tasks of each of ``stages``, most urgent first, to launch on ``free`` slots.

    A job that awaits its probe lets all others go ahead once one of its tasks runs; what they
    leave over is handed out in a second round.
    """
    launches = [0] * len(stages)
    #: Slots that users may still occupy, by their caps.
    room: dict[str, int] = {}
    #: Jobs that await their probes, one task of which runs or is to be launched.
    probing: set[int] = set()

    def launch(place: int, tasks: int) -> None:
        nonlocal free
        stage = stages[place]
        user = stage.job.user
        allowed = room.setdefault(user.name, cap_room(user, free))
        tasks = min(tasks, min(free, allowed) // stage.slots_per_task)
        free -= tasks * stage.slots_per_task
        room[user.name] -= tasks * stage.slots_per_task
        launches[place] += tasks

    later = []
    for place, stage in enumerate(stages):
        job = stage.job
        if not job.pool.policy.awaits_probe(job):
            launch(place, stage.waiting)
            continue
        later.append(place)
        if job.number not in probing and not job.started_slots:
            launch(place, 1)
            if launches[place]:
                probing.add(job.number)
    for place in later:
        launch(place, stages[place].waiting - launches[place])
    return launches
