"""How commands, events and answers read in a log: one line each, numbers without noise.

An event shows every field that differs from its default, so nothing can change unseen.  Numbers of
jobs and stages are replaced by their names.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from uwfq_service.core import commands as cmd
from uwfq_service.core import events as ev
from uwfq_service.core import replies

#: Digests: they tell content apart and mean nothing to a reader.
HIDDEN: Final = {"fingerprint"}
#: Packed columns: field -> how one item is packed.
PACKED: Final[dict[str, Literal["d", "Q"]]] = {"task_work": "d", "bounds": "Q"}

#: Job number -> its name and the names of its stages.
Names = dict[int, tuple[str, list[str]]]


def snake_case(name: str) -> str:
    """``TasksLeased`` as ``tasks_leased``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def show(value: Any) -> str:
    """A value in a line."""
    match value:
        case bool() | None:
            return str(value).lower()
        case float():
            return format(value, ".9g")
        case tuple() | list():
            return "[" + ", ".join(map(show, value)) + "]"
        case dict():
            return "{" + " ".join(f"{key}={show(item)}" for key, item in value.items()) + "}"
        case cmd.TaskRef(lease_id=lease_id, job_id=job, stage=stage, task_index=task, attempt=no):
            return f"{f'lease {lease_id}' if lease_id else f'{job}/{stage}[{task}]'} attempt {no}"
        case msgspec.Struct():
            return "{" + " ".join(fields(value)) + "}"
        case str() if " " in value:
            return f'"{value}"'
        case _:
            return str(value)


def fields(record: msgspec.Struct, names: dict[str, Any] | None = None) -> list[str]:
    """``field=value`` for all that differs from its default; ``names`` replaces values."""
    shown = []
    for field in msgspec.structs.fields(record):
        value = getattr(record, field.name)
        if field.name in HIDDEN or (not field.required and value == field.default):
            continue
        if field.default_factory is not msgspec.NODEFAULT and not value:
            continue
        if field.name == "pool" and value == "default":
            # All stories have one pool.
            continue
        if names and field.name in names:
            value = names[field.name]
        elif field.name in PACKED and isinstance(value, bytes):
            value = memoryview(value).cast(PACKED[field.name]).tolist()
        shown.append(f"{field.name}={show(value)}")
    return shown


def describe_command(command: cmd.Command) -> str:
    """What is asked."""
    return " ".join([snake_case(type(command).__name__), *fields(command)])


def describe_event(event: ev.AnyEvent, names: Names) -> str:
    """What happened."""
    replaced: dict[str, Any] = {}
    number = getattr(event, "job", None)
    if number is not None:
        job, stages = names[number]
        replaced["job"] = job
        if isinstance(stage := getattr(event, "stage", None), int):
            replaced["stage"] = stages[stage]
        if isinstance(event, ev.TasksReady):
            replaced["tasks"] = [f"{stages[stage]}[{task}]" for stage, task in event.tasks]
    # The time stands in front, and a job that is admitted is named once.
    hidden = ("at=", "job_id=")
    shown = [item for item in fields(event, replaced) if not item.startswith(hidden)]
    return " ".join([snake_case(type(event).__name__), *shown])


def describe_reply(reply: replies.Reply) -> list[str]:
    """What is answered, in as many lines as there are things to say."""
    match reply:
        case replies.JobReply():
            described = [f"work={show(reply.work)}"]
            if reply.virtual_deadline is not None:
                described.append(f"virtual_deadline={show(reply.virtual_deadline)}")
            if reply.duplicate:
                described.append("duplicate")
            return [f"job {reply.job.job_id} {reply.job.state}: {' '.join(described)}"]
        case replies.NextTaskReply():
            return _polled(reply)
        case replies.TaskDoneReply():
            return _acks("result", reply.acks)
        case replies.RenewReply():
            return [
                f"lease {renewal.lease_id}: {renewal.status.name.lower()}"
                for renewal in reply.renewals
            ]
        case replies.UserReply() | replies.Done():
            return []


def _polled(reply: replies.NextTaskReply) -> list[str]:
    lines = [*_acks("start", reply.started_acks), *_acks("result", reply.done_acks)]
    for lease, expires_in in zip(reply.leases, reply.expires_in, strict=True):
        task = f"{lease.stage.job.job_id}/{lease.stage.name}[{lease.task}]"
        starts = "" if lease.started_at is not None else ", prefetched"
        lines.append(
            f"lease {lease.lease_id}: {task} attempt {lease.attempt}"
            f" for {show(expires_in)} s{starts}"
        )
    if reply.revoked:
        lines.append(f"revoked: {show(reply.revoked)}")
    if reply.ranking is not None:
        lines.append(f"ranking of {len(reply.ranking.stages)}:")
        lines.extend(
            f"  {stage.job_id}/{stage.stage} of {stage.user}:"
            f" deadline {show(stage.virtual_deadline)},"
            f" {stage.waiting_tasks} waiting, launch {stage.launch_now}"
            for stage in reply.ranking.stages
        )
    elif not reply.leases:
        lines.append("nothing to run")
    return lines


def _acks(what: str, acks: tuple[replies.Ack, ...]) -> list[str]:
    return [
        f"{what} {place} (lease {ack.lease_id}): {ack.status.name.lower()}"
        if ack.lease_id
        else f"{what} {place}: {ack.status.name.lower()}"
        for place, ack in enumerate(acks)
    ]
