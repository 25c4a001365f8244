"""What the protocol says of a field's size is what a service as it comes enforces."""

import re
from pathlib import Path
from typing import Final

import pytest

from uwfq.v1 import types_pb2 as types
from uwfq_service.core.settings import Limits, Settings
from uwfq_service.core.validation import MAX_ATTEMPTS, MAX_SECONDS, MAX_SLOTS, MAX_WEIGHT, MAX_WORK
from uwfq_service.server.config_keys import Serving

PROTOS: Final = Path(__file__).parents[3] / "protos" / "uwfq" / "v1"
LIMITS: Final = Limits()

NAME: Final = f"{LIMITS.max_id_bytes} bytes"
SIGNATURE: Final = f"{LIMITS.max_signature_bytes} bytes"
STAGES: Final = f"{LIMITS.max_stages_per_job:,}"
TASKS: Final = f"{LIMITS.max_tasks_per_stage:,}"
LISTED: Final = f"{LIMITS.max_listed_tasks:,}"
RANGES: Final = f"{LIMITS.max_ranges:,}"
BATCH: Final = f"{LIMITS.max_batch:,}"
SLOTS: Final = f"{MAX_SLOTS:,}"
SECONDS: Final = f"at most {MAX_SECONDS:g}".replace("+0", "")
WORK: Final = f"at most {MAX_WORK:g}".replace("+", "")

STATED: Final = [
    *(("StageSpec", field, NAME) for field in ("stage", "after")),
    *(("StageSpec", "after", most) for most in (STAGES, f"{LIMITS.max_dependencies:,}")),
    ("StageSpec", "estimated_work_slot_seconds", WORK),
    ("StageSpec", "slots_per_task", SLOTS),
    ("StageSpec", "payload", f"{LIMITS.max_payload_bytes // 1024} KiB"),
    ("StageSpec", "advisory_task_runtime_seconds", SECONDS),
    ("StageSpec", "min_tasks", TASKS),
    ("StageSpec", "max_tasks", f"{Settings().max_split_tasks:,}"),
    ("StageSpec", "max_attempts", f"1 to {MAX_ATTEMPTS}"),
    ("StageSpec", "task_timeout_seconds", SECONDS),
    ("StageSpec", "signature", SIGNATURE),
    ("TaskList", "count", TASKS),
    ("TaskList", "task_work_slot_seconds", WORK),
    *(("TaskList", field, LISTED) for field in ("task_bytes", "task_work_slot_seconds")),
    ("InputDescriptor", "unit_sizes", f"{LIMITS.max_input_units:,}"),
    ("InputDescriptor", "unit_sizes", LISTED),
    ("TaskStart", "running_seconds", SECONDS),
    ("TaskSuccess", "runtime_seconds", SECONDS),
    ("TaskFailure", "runtime_seconds", SECONDS),
    ("TaskFailure", "message", f"{LIMITS.max_message_bytes // 1024} KiB"),
    *(
        ("SubmitJobRequest", field, NAME)
        for field in ("pool", "user", "job_id", "request_id", "kind", "engine_id")
    ),
    ("SubmitJobRequest", "signature", SIGNATURE),
    ("SubmitJobRequest", "labels", f"{LIMITS.max_labels} pairs"),
    ("SubmitJobRequest", "labels", f"{LIMITS.max_labels_bytes // 1024} KiB"),
    ("SubmitJobRequest", "job_weight", f"{MAX_WEIGHT:,}"),
    ("SubmitJobRequest", "estimated_work_slot_seconds", WORK),
    ("SubmitJobRequest", "advisory_task_runtime_seconds", SECONDS),
    *((f"{call}Request", "stages", STAGES) for call in ("SubmitJob", "AddStages")),
    *((f"{call}Request", "stages", RANGES) for call in ("SubmitJob", "AddStages")),
    ("DropStagesRequest", "stages", STAGES),
    *(("SplitStageRequest", field, NAME) for field in ("pool", "user")),
    ("SplitStageRequest", "signature", SIGNATURE),
    *(
        (f"{call}Request", "job_id", NAME)
        for call in (
            *("AddStages", "DropStages", "CloseJob", "CancelJob"),
            *("GetJob", "WatchJob", "ExplainJob"),
        )
    ),
    *(("NextTaskRequest", field, NAME) for field in ("pool", "worker_id")),
    *(("NextTaskRequest", field, SLOTS) for field in ("slots", "prefetch", "max_tasks")),
    ("NextTaskRequest", "max_tasks", f"{BATCH}, and {LIMITS.max_leased_bytes / 2**20:g} MiB"),
    ("NextTaskRequest", "wait_seconds", f"{Serving().max_poll_seconds:g} s"),
    *(("NextTaskRequest", field, BATCH) for field in ("done", "started")),
    ("RankingRequest", "max_stages", SLOTS),
    ("TaskDoneRequest", "worker_id", NAME),
    ("TaskDoneRequest", "results", BATCH),
    ("RenewLeasesRequest", "worker_id", NAME),
    *(("RenewLeasesRequest", field, BATCH) for field in ("lease_ids", "started")),
    *(("ListJobsRequest", field, NAME) for field in ("pool", "user")),
    ("ListJobsRequest", "states", str(len(types.JobState.values()) - 1)),
    *(("SetUserRequest", field, NAME) for field in ("pool", "user")),
    ("SetUserRequest", "weight", f"{MAX_WEIGHT:,}"),
    ("SetUserRequest", "max_running_slots", SLOTS),
    ("SetUserRequest", "max_waiting_jobs", f"{LIMITS.max_jobs_per_pool:,}"),
    ("SetUserRequest", "max_waiting_jobs", f"{LIMITS.max_jobs_per_user:,}"),
]


@pytest.fixture(scope="module")
def comments() -> dict[tuple[str, str], str]:
    """What stands above each field, as one line, by message and field."""
    found: dict[tuple[str, str], str] = {}
    for path in PROTOS.glob("*.proto"):
        message, lines = "", list[str]()
        for line in map(str.strip, path.read_text(encoding="utf-8").splitlines()):
            if line.startswith("//"):
                lines.append(line.removeprefix("//").strip())
                continue
            if match := re.match(r"message (\w+)", line):
                message = match[1]
            elif match := re.match(r"[\w<>., ]+ (\w+) = \d+;", line):
                found[message, match[1]] = " ".join(lines)
            lines = []
    return found


@pytest.mark.parametrize(("message", "field", "limit"), STATED)
def test_a_field_says_how_much_it_takes(
    comments: dict[tuple[str, str], str], message: str, field: str, limit: str
) -> None:
    """Callers read the protocol, not the service's code."""
    stated = comments[message, field]
    assert re.search(rf"(?<![\d,]){re.escape(limit)}(?![\d,]\d)", stated), stated
