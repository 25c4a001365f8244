"""What could be launched now, and keeping the policy told of it.

A stage is *launchable* while it is ready and has a waiting task.  A launchable stage is *offered*
to the policy, which lets nothing of a user go who occupies all slots of a cap.  The counters of
waiting tasks and running slots are kept here, too, for whatever changes them may change that.

``at`` is the instant of the event that is the cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uwfq_service.core.model import insert_index

if TYPE_CHECKING:
    from uwfq_service.core.model import User
    from uwfq_service.core.stage import Stage


def make_ready(stage: Stage, at: Any) -> None:
    """The stages that ``stage`` depends on are done."""
    pool = stage.job.pool
    stage.ready = True
    stage.launch_serial = pool.launch_serial
    pool.launch_serial += 1
    if not stage.over:
        # One that was dropped meanwhile will not run.
        pool.policy.add_stage(stage, at)
        waiting_changed(stage, stage.waiting, at)


def waiting_changed(stage: Stage, change: int, at: Any) -> None:
    """``change`` more tasks of a ready stage wait than before (fewer, if negative)."""
    job = stage.job
    user = job.user
    user.launchable_tasks += change
    job.pool.launchable_tasks += change
    launchable = stage.key in user.launchable
    if stage.waiting:
        if not launchable:
            user.launchable[stage.key] = stage
            offer(stage, at)
    elif launchable:
        del user.launchable[stage.key]
        withdraw(stage, at)


def offer(stage: Stage, at: Any) -> None:
    """Let the policy consider ``stage``."""
    job = stage.job
    insert_index(job.offered, stage.index)
    job.pool.policy.offer(stage, at)
    order_changed(job.user)


def withdraw(stage: Stage, at: Any) -> None:
    """Let the policy forget ``stage``."""
    job = stage.job
    job.offered.remove(stage.index)
    job.pool.policy.withdraw(stage, at)
    order_changed(job.user)


def order_changed(user: User) -> None:
    """What is offered of ``user`` stands elsewhere; of one who is paused nobody sees it."""
    if not user.paused:
        user.pool.order_version += 1


def check_cap(user: User) -> None:
    """Pause a user who occupies all slots of the cap, or resume one who does not any more.

    O(log n), whatever waits.
    """
    paused = 0 < user.max_running_slots <= user.running_slots
    if paused == user.paused:
        return
    user.paused = paused
    user.pool.policy.pause_changed(user)
    if user.launchable:
        user.pool.order_version += 1


def room_grows(user: User) -> None:
    """The cap of ``user`` has more room than before: for what is wide, though nobody is resumed."""
    if user.launchable and not user.paused:
        user.pool.order_version += 1


def running_changed(stage: Stage, tasks: int) -> None:
    """``tasks`` more attempts of ``stage`` are leased than before (fewer, if negative)."""
    slots = tasks * stage.slots_per_task
    user = stage.job.user
    pool = user.pool
    stage.running += tasks
    stage.running_slots += slots
    user.running_slots += slots
    pool.running_slots += slots
    pool.policy.running_changed(stage, slots)
    if user.max_running_slots:
        if slots < 0:
            room_grows(user)
        check_cap(user)


def cap_room(user: User, slots: int) -> int:
    """How many of ``slots`` the user's cap allows to occupy beside those that are."""
    if not user.max_running_slots:
        return slots
    return max(0, min(slots, user.max_running_slots - user.running_slots))
