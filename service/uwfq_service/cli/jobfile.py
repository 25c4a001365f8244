"""A job as a JSON file: the request of ``SubmitJob``, written by hand.

The names are those of the protocol (``uwfq.v1.SubmitJobRequest``), with three conveniences: the
``payload`` of a stage is text or any JSON value (``payload_base64`` is for other bytes), ``tasks``
may be a plain number, and the ``input`` of a stage may name ``files`` instead of ``unit_sizes``.
A misspelt name is refused, not ignored.

    {"user": "alice", "kind": "count", "signature": "count words",
     "stages": [
       {"stage": "scan", "input": {"files": ["a.txt", "b.txt"], "splittable": true}},
       {"stage": "merge", "after": ["scan"], "tasks": 1, "payload": {"top": 10}}]}
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import msgspec

from uwfq_service.cli.errors import REFUSED, Failure

if TYPE_CHECKING:
    from uwfq_client import Input, Stage


#: Whole numbers as the protocol carries them, so that others are refused with their place: of 32
#: bits, and those that measure an input, whose sum the service keeps below 2^63.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class TasksFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stage that is cut already."""

    count: Count | None = None
    task_bytes: list[Size] = []
    task_work_slot_seconds: list[float] = []


class InputFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stage reads, for the service to cut."""

    files: list[str] = []
    unit_sizes: list[Size] = []
    splittable: bool = False
    splittable_units: list[Count] = []
    unit_costs: list[float] = []


class StageFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stage."""

    stage: str
    after: list[str] = []
    tasks: Count | TasksFile | None = None
    input: InputFile | None = None
    estimated_work_slot_seconds: float | None = None
    slots_per_task: Count | None = None
    payload: Any = None
    payload_base64: str | None = None
    advisory_task_runtime_seconds: float | None = None
    min_tasks: Count | None = None
    max_tasks: Count | None = None
    max_attempts: Count | None = None
    task_timeout_seconds: float | None = None
    signature: str = ""


class JobFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole job."""

    user: str = ""
    pool: str = ""
    job_id: str = ""
    request_id: str = ""
    kind: str = ""
    signature: str = ""
    input_bytes: Size | None = None
    labels: dict[str, str] = {}
    job_weight: float | None = None
    estimated_work_slot_seconds: float | None = None
    advisory_task_runtime_seconds: float | None = None
    stages: list[StageFile]


def read_job(path: str) -> JobFile:
    """Read a job; ``-`` is stdin.  Refuses what is no job, naming the place."""
    try:
        with click.open_file(path, "rb") as file:
            text = file.read()
    except OSError as error:
        raise Failure(f"--file {path}: {error.strerror}", REFUSED) from error
    try:
        return msgspec.json.decode(text, type=JobFile)
    except (msgspec.DecodeError, RecursionError) as error:
        # It names the place: … got `str` - at `$.stages[0].tasks`.
        raise Failure(f"--file {path}: {error}", REFUSED) from error


def stage_of(described: StageFile) -> Stage:
    """The stage as the client wants it."""
    from uwfq_client import Stage

    where = f"stage {described.stage!r}"
    if described.tasks is not None and described.input is not None:
        raise Failure(f"{where}: give tasks or input, not both", REFUSED)
    tasks = described.tasks
    if isinstance(tasks, int):
        tasks = TasksFile(count=tasks)
    tasks = tasks or TasksFile()
    given = {
        name: getattr(described, name)
        for name in (
            "estimated_work_slot_seconds",
            "slots_per_task",
            "advisory_task_runtime_seconds",
            "min_tasks",
            "max_tasks",
            "max_attempts",
            "task_timeout_seconds",
            "signature",
        )
    }
    return Stage(
        described.stage,
        after=described.after,
        tasks=tasks.count,
        task_bytes=tasks.task_bytes,
        task_work_slot_seconds=tasks.task_work_slot_seconds,
        input=input_of(described.input, where) if described.input else None,
        payload=_payload(described, where),
        **given,
    )


def input_of(described: InputFile, where: str) -> Input:
    """The input as the client wants it; sizes of files are looked up."""
    from uwfq_client import Input

    if bool(described.files) == bool(described.unit_sizes):
        raise Failure(f"{where}: input needs either files or unit_sizes", REFUSED)
    return Input(
        described.unit_sizes or file_sizes(described.files, where),
        splittable=described.splittable,
        splittable_units=described.splittable_units,
        unit_costs=described.unit_costs,
    )


def file_sizes(files: Sequence[str], where: str) -> list[int]:
    """The size of each file in bytes; refuses what is no readable file."""
    sizes = []
    for name in files:
        path = Path(name)
        try:
            sizes.append(path.stat().st_size)
        except OSError as error:
            raise Failure(f"{where}: {name}: {error.strerror}", REFUSED) from error
        except ValueError as error:
            # No path at all: it holds a NUL, say.
            raise Failure(f"{where}: {name!r}: {error}", REFUSED) from error
        if not path.is_file():
            raise Failure(f"{where}: {name} is not a file", REFUSED)
    if not sum(sizes):
        raise Failure(f"{where}: all files are empty, so there is nothing to do", REFUSED)
    return sizes


def _payload(described: StageFile, where: str) -> bytes:
    if described.payload_base64 is None:
        value = described.payload
        if value is None:
            return b""
        return (value if isinstance(value, str) else json.dumps(value)).encode()
    if described.payload is not None:
        raise Failure(f"{where}: give payload or payload_base64, not both", REFUSED)
    try:
        return base64.b64decode(described.payload_base64, validate=True)
    except ValueError as error:
        raise Failure(f"{where}: payload_base64 is not base64: {error}", REFUSED) from error
