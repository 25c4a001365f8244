"""What a command may hold.  Every check names the field as the API does, and the remedy.

Nothing here looks at the state: what depends on it (does the job exist, is there room) is checked
where the decision is made.

Submissions, polls and reports are checked for every task that runs, so their values are compared
in place, and the function that words a refusal is called only for a value that does not fit.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

from uwfq_service.core.commands import InputDescriptor, TaskFailure, TaskList, TaskSuccess
from uwfq_service.core.errors import InvalidField
from uwfq_service.core.policy import POLICIES

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized

    from uwfq_service.core.commands import (
        AddStages,
        ConfigurePool,
        DropStages,
        NextTask,
        RenewLeases,
        SetUser,
        SplitStage,
        StageSpec,
        SubmitJob,
        TaskDone,
        TaskResult,
        TaskStart,
    )
    from uwfq_service.core.settings import Limits

MAX_WORK: Final = 1e12
MIN_WEIGHT: Final = 0.001
MAX_WEIGHT: Final = 1_000_000
MAX_SLOTS: Final = 1_000_000
MAX_SECONDS: Final = 1e9
MAX_BYTES: Final = 1 << 63
MAX_ATTEMPTS: Final = 100
#: Numbers that the journal can hold: unsigned, of 64 bits; attempts that an engine counts, of 32.
MAX_NUMBER: Final = (1 << 64) - 1
MAX_ATTEMPT: Final = (1 << 32) - 1
#: Most bytes that a character takes: a text that is short enough need not be encoded to see that.
MAX_UTF8_BYTES: Final = 4


def submit_job(command: SubmitJob, limits: Limits) -> None:
    """Refuse a malformed submission."""
    short = limits.max_id_bytes // MAX_UTF8_BYTES
    if (
        not 0 < len(command.pool) <= short
        or not 0 < len(command.user) <= short
        or len(command.job_id) > short
        or len(command.request_id) > short
        or len(command.kind) > short
        or len(command.engine_id) > short
        or len(command.signature) > limits.max_signature_bytes // MAX_UTF8_BYTES
    ):
        _submitted_texts(command, limits)
    if command.input_bytes is not None:
        whole("input_bytes", command.input_bytes, 0, MAX_BYTES)
    if command.labels:
        _labels(command.labels, limits)
    if not MIN_WEIGHT <= command.job_weight <= MAX_WEIGHT:
        real("job_weight", command.job_weight, MIN_WEIGHT, MAX_WEIGHT)
    if command.declared_work is not None:
        positive("estimated_work_slot_seconds", command.declared_work, MAX_WORK)
    if command.advisory_task_runtime is not None:
        positive("advisory_task_runtime_seconds", command.advisory_task_runtime, MAX_SECONDS)
    if not command.stages and not command.open:
        raise InvalidField("stages", "must not be empty unless the job is open; add a stage")
    _stages(command.stages, limits)


def _submitted_texts(command: SubmitJob, limits: Limits) -> None:
    name("pool", command.pool, limits.max_id_bytes)
    name("user", command.user, limits.max_id_bytes)
    text("job_id", command.job_id, limits.max_id_bytes)
    text("request_id", command.request_id, limits.max_id_bytes)
    text("kind", command.kind, limits.max_id_bytes)
    text("signature", command.signature, limits.max_signature_bytes)
    text("engine_id", command.engine_id, limits.max_id_bytes)


def add_stages(command: AddStages, limits: Limits) -> None:
    """Refuse malformed stages."""
    name("job_id", command.job_id, limits.max_id_bytes)
    if not command.stages:
        raise InvalidField("stages", "must not be empty; to close the job use CloseJob")
    _stages(command.stages, limits)


def split_stage(question: SplitStage, limits: Limits) -> None:
    """Refuse a stage that could not be added either."""
    name("pool", question.pool, limits.max_id_bytes)
    name("user", question.user, limits.max_id_bytes)
    text("signature", question.signature, limits.max_signature_bytes)
    try:
        _stage(question.stage, limits)
    except InvalidField as refusal:
        raise refusal.within("stage") from None


def drop_stages(command: DropStages, limits: Limits) -> None:
    """Refuse malformed names."""
    name("job_id", command.job_id, limits.max_id_bytes)
    if not command.stages:
        raise InvalidField("stages", "must not be empty; name the stages to drop")
    size("stages", command.stages, limits.max_stages_per_job)
    for index, stage in enumerate(command.stages):
        name(f"stages[{index}]", stage, limits.max_id_bytes)


def next_task(command: NextTask, limits: Limits) -> None:
    """Refuse a malformed poll."""
    short = limits.max_id_bytes // MAX_UTF8_BYTES
    if command.leaving:
        name("pool", command.pool, limits.max_id_bytes)
        name("worker_id", command.worker_id, limits.max_id_bytes)
    elif (
        not 0 < len(command.pool) <= short
        or not 0 < len(command.worker_id) <= short
        or not 1 <= command.slots <= MAX_SLOTS
        or not 0 <= command.free_slots <= command.slots
        or not 0 <= command.prefetch <= MAX_SLOTS
        or not 0 <= command.wait <= MAX_SECONDS
        or not 0 <= command.poll_id <= MAX_NUMBER
        or command.max_tasks is not None
        or command.max_stages
    ):
        _polled_values(command, limits)
    if command.done:
        _results("done", command.done, limits)
    if command.started:
        _starts("started", command.started, limits)


def _polled_values(command: NextTask, limits: Limits) -> None:
    name("pool", command.pool, limits.max_id_bytes)
    name("worker_id", command.worker_id, limits.max_id_bytes)
    whole("slots", command.slots, 1, MAX_SLOTS)
    whole("free_slots", command.free_slots, 0, command.slots)
    whole("prefetch", command.prefetch, 0, MAX_SLOTS)
    if command.max_tasks is not None:
        whole("max_tasks", command.max_tasks, 0, MAX_SLOTS)
    real("wait_seconds", command.wait, 0, MAX_SECONDS)
    whole("poll_id", command.poll_id, 0, MAX_NUMBER)
    whole("ranking.max_stages", command.max_stages, 0, MAX_SLOTS)


def task_done(command: TaskDone, limits: Limits) -> None:
    """Refuse a malformed report."""
    if not 0 < len(command.worker_id) <= limits.max_id_bytes // MAX_UTF8_BYTES:
        name("worker_id", command.worker_id, limits.max_id_bytes)
    if not command.results:
        raise InvalidField("results", "must not be empty")
    _results("results", command.results, limits)


def renew_leases(command: RenewLeases, limits: Limits) -> None:
    """Refuse a malformed renewal."""
    name("worker_id", command.worker_id, limits.max_id_bytes)
    size("lease_ids", command.lease_ids, limits.max_batch)
    _starts("started", command.started, limits)


def set_user(command: SetUser, limits: Limits) -> None:
    """Refuse malformed settings."""
    name("pool", command.pool, limits.max_id_bytes)
    name("user", command.user, limits.max_id_bytes)
    if command.weight is not None:
        real("weight", command.weight, MIN_WEIGHT, MAX_WEIGHT)
    if command.max_running_slots is not None:
        whole("max_running_slots", command.max_running_slots, 0, MAX_SLOTS)
    if command.max_waiting_jobs is not None:
        whole("max_waiting_jobs", command.max_waiting_jobs, 0, limits.max_jobs_per_pool)


def configure_pool(command: ConfigurePool, limits: Limits) -> None:
    """Refuse a malformed pool."""
    name("pool", command.pool, limits.max_id_bytes)
    if command.policy not in POLICIES:
        raise InvalidField("policy", f"is {command.policy!r}; use one of {', '.join(POLICIES)}")
    if command.fixed_slots is not None:
        whole("fixed_slots", command.fixed_slots, 1, MAX_SLOTS)
    if command.advisory_task_runtime is not None:
        positive("advisory_task_runtime", command.advisory_task_runtime, MAX_SECONDS)


# -- parts --------------------------------------------------------------------------------------


def _stages(stages: Sequence[StageSpec], limits: Limits) -> None:
    if len(stages) > limits.max_stages_per_job:
        size("stages", stages, limits.max_stages_per_job)
    seen = set()
    listed = dependencies = 0
    for index, stage in enumerate(stages):
        dependencies += len(stage.after)
        if dependencies > limits.max_dependencies:
            raise InvalidField(
                "stages",
                f"name more than {limits.max_dependencies} dependencies (after), the most in one "
                "call; leave out those that follow from others, or add stages one by one",
            )
        try:
            listed += _stage(stage, limits)
        except InvalidField as refusal:
            # The path to the stage is made only for a refusal.
            raise refusal.within(f"stages[{index}]") from None
        if listed > limits.max_listed_tasks:
            raise InvalidField(
                "stages",
                f"list sizes or works of more than {limits.max_listed_tasks} tasks and units of "
                "input, the most in one call; leave out those of tasks, or add stages one by one",
            )
        if stage.stage in seen:
            raise InvalidField(
                f"stages[{index}].stage", f"{stage.stage!r} stands there twice; names are unique"
            )
        seen.add(stage.stage)


def _stage(stage: StageSpec, limits: Limits) -> int:
    """How many tasks or units of input it lists; fields are named from the stage on."""
    listed = 0
    if not 0 < len(stage.stage) <= limits.max_id_bytes // MAX_UTF8_BYTES:
        name("stage", stage.stage, limits.max_id_bytes)
    if stage.after:
        size("after", stage.after, limits.max_stages_per_job)
        for place, before in enumerate(stage.after):
            name(f"after[{place}]", before, limits.max_id_bytes)
    cut = stage.cut
    if isinstance(cut, TaskList):
        listed = _task_list(cut, limits)
    elif isinstance(cut, InputDescriptor):
        listed = _input(cut, limits)
    if stage.declared_work is not None and not 0 < stage.declared_work <= MAX_WORK:
        positive("estimated_work_slot_seconds", stage.declared_work, MAX_WORK)
    if not 1 <= stage.slots_per_task <= MAX_SLOTS:
        whole("slots_per_task", stage.slots_per_task, 1, MAX_SLOTS)
    if len(stage.payload) > limits.max_payload_bytes:
        raise InvalidField(
            "payload",
            f"has {len(stage.payload)} bytes, at most {limits.max_payload_bytes} are allowed; "
            "pass a reference instead",
        )
    if len(stage.signature) > limits.max_signature_bytes // MAX_UTF8_BYTES:
        text("signature", stage.signature, limits.max_signature_bytes)
    _task_limits(stage, limits)
    return listed


def _task_limits(stage: StageSpec, limits: Limits) -> None:
    if stage.advisory_task_runtime is not None:
        positive("advisory_task_runtime_seconds", stage.advisory_task_runtime, MAX_SECONDS)
    if stage.min_tasks is not None:
        whole("min_tasks", stage.min_tasks, 1, limits.max_tasks_per_stage)
    if stage.max_tasks is not None:
        whole("max_tasks", stage.max_tasks, 1, MAX_BYTES)
        if stage.min_tasks is not None and stage.max_tasks < stage.min_tasks:
            raise InvalidField(
                "max_tasks",
                f"is {stage.max_tasks}, less than min_tasks, {stage.min_tasks}; raise it, or lower "
                "min_tasks",
            )
    if stage.max_attempts is not None:
        whole("max_attempts", stage.max_attempts, 1, MAX_ATTEMPTS)
    if stage.task_timeout is not None:
        positive("task_timeout_seconds", stage.task_timeout, MAX_SECONDS)


def _task_list(tasks: TaskList, limits: Limits) -> int:
    if not 1 <= tasks.count <= limits.max_tasks_per_stage:
        whole("tasks.count", tasks.count, 1, limits.max_tasks_per_stage)
    if not tasks.task_bytes and not tasks.task_work:
        return 0
    for field, values in (
        ("task_bytes", tasks.task_bytes),
        ("task_work_slot_seconds", tasks.task_work),
    ):
        if values and len(values) != tasks.count:
            raise InvalidField(
                f"tasks.{field}", f"has {len(values)} items; give {tasks.count} (count) or none"
            )
    if tasks.task_bytes:
        _all_within("tasks.task_bytes", tasks.task_bytes, 0, MAX_BYTES)
        # The journal holds the sum, and no number beyond 64 bits.
        whole("tasks.task_bytes (sum)", sum(tasks.task_bytes), 0, MAX_BYTES)
    if tasks.task_work:
        _all_within("tasks.task_work_slot_seconds", tasks.task_work, 0, MAX_WORK)
        positive("tasks.task_work_slot_seconds (sum)", sum(tasks.task_work), MAX_WORK)
    return max(len(tasks.task_bytes), len(tasks.task_work))


def _input(cut: InputDescriptor, limits: Limits) -> int:
    units = len(cut.unit_sizes)
    if not units:
        raise InvalidField("input.unit_sizes", "must not be empty")
    size("input.unit_sizes", cut.unit_sizes, limits.max_input_units)
    _all_within("input.unit_sizes", cut.unit_sizes, 0, MAX_BYTES)
    if not 0 < sum(cut.unit_sizes) < MAX_BYTES:
        raise InvalidField("input.unit_sizes", "must sum to more than 0 and less than 2^63")
    if not isinstance(cut.splittable, bool) and len(cut.splittable) != units:
        raise InvalidField("input.splittable_units", f"must be indices below {units}")
    if cut.unit_costs:
        if len(cut.unit_costs) != units:
            raise InvalidField(
                "input.unit_costs",
                f"has {len(cut.unit_costs)} items; give {units} (one per unit) or none",
            )
        _all_within("input.unit_costs", cut.unit_costs, 1e-9, 1e9)
    return units


def _labels(labels: dict[str, str], limits: Limits) -> None:
    if len(labels) > limits.max_labels:
        raise InvalidField("labels", f"has {len(labels)} pairs; at most {limits.max_labels}")
    total = sum(len(key.encode()) + len(value.encode()) for key, value in labels.items())
    if total > limits.max_labels_bytes:
        raise InvalidField(
            "labels", f"take {total} bytes; at most {limits.max_labels_bytes} are allowed"
        )


def _results(field: str, results: Sequence[TaskResult], limits: Limits) -> None:
    if len(results) > limits.max_batch:
        size(field, results, limits.max_batch)
    for index, result in enumerate(results):
        outcome = result.outcome
        if not 0 <= outcome.runtime <= MAX_SECONDS:
            kind = "failure" if isinstance(outcome, TaskFailure) else "success"
            real(f"{field}[{index}].{kind}.runtime_seconds", outcome.runtime, 0, MAX_SECONDS)
        ref = result.task
        if not ref.lease_id and not 1 <= ref.attempt <= MAX_ATTEMPT:
            whole(f"{field}[{index}].attempt", ref.attempt, 1, MAX_ATTEMPT)
        if isinstance(outcome, TaskSuccess):
            if outcome.input_bytes is not None:
                _counted(field, index, "input_bytes", outcome.input_bytes)
            if outcome.rows is not None:
                _counted(field, index, "rows", outcome.rows)


def _counted(field: str, index: int, what: str, value: int) -> None:
    if not 0 <= value <= MAX_NUMBER:
        whole(f"{field}[{index}].success.{what}", value, 0, MAX_NUMBER)


def _starts(field: str, starts: Sequence[TaskStart], limits: Limits) -> None:
    size(field, starts, limits.max_batch)
    for index, start in enumerate(starts):
        real(f"{field}[{index}].running_seconds", start.running, 0, MAX_SECONDS)
        if not start.task.lease_id:
            whole(f"{field}[{index}].attempt", start.task.attempt, 1, MAX_ATTEMPT)


# -- single values ------------------------------------------------------------------------------


def text(field: str, value: str, max_bytes: int) -> None:
    """At most ``max_bytes`` of UTF-8."""
    if len(value) * MAX_UTF8_BYTES > max_bytes and len(value.encode()) > max_bytes:
        raise InvalidField(field, f"is longer than {max_bytes} bytes; shorten it")


def shortened(value: str, max_bytes: int) -> str:
    """As much of a text for people as fits into ``max_bytes`` of UTF-8."""
    if len(value) * MAX_UTF8_BYTES <= max_bytes:
        return value
    return value.encode()[:max_bytes].decode(errors="ignore")


def name(field: str, value: str, max_bytes: int) -> None:
    """A text that is not empty."""
    if not value:
        raise InvalidField(field, "must not be empty")
    text(field, value, max_bytes)


def whole(field: str, value: int, low: int, high: int) -> None:
    """A whole number in [low, high]."""
    if not low <= value <= high:
        raise InvalidField(field, f"is {value}; it must be {low} to {high}")


def real(field: str, value: Any, low: float, high: float) -> None:
    """A finite number in [low, high]."""
    if not _is_real(value) or not low <= value <= high:
        raise InvalidField(field, f"is {value}; it must be {low:g} to {high:g}")


def _is_real(value: Any) -> bool:
    """Whether ``value`` is a number; exact tests use fractions."""
    # Asking for the abstract class costs microseconds, and this is asked for every job.
    return isinstance(value, (float, int, Real))


def positive(field: str, value: Any, high: float) -> None:
    """A finite number in (0, high]."""
    if not _is_real(value) or not 0 < value <= high or not math.isfinite(value):
        raise InvalidField(field, f"is {value}; it must be more than 0 and at most {high:g}")


def size(field: str, values: Sized, limit: int) -> None:
    """At most ``limit`` items."""
    if len(values) > limit:
        raise InvalidField(field, f"has {len(values)} items; at most {limit} are allowed")


def _all_within(field: str, values: Sequence[float], low: float, high: float) -> None:
    # min and max run at C speed but are blind to NaN behind the first item; a sum is not.
    if low <= min(values) and max(values) <= high and not math.isnan(sum(values)):
        return
    for index, value in enumerate(values):
        real(f"{field}[{index}]", value, low, high)
