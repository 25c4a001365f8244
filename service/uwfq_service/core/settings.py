"""What an operator may set of the core's behaviour.  Limits bound memory; the rest are defaults.

Units: seconds, slot-seconds, bytes.  The shell reads these from its configuration; a settings
record never changes while a scheduler lives.
"""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes that a command may not exceed; each has its own refusal."""

    max_id_bytes: int = 128
    max_signature_bytes: int = 256
    max_payload_bytes: int = 64 * 1024
    max_labels: int = 32
    max_labels_bytes: int = 4096
    max_stages_per_job: int = 1000
    #: Dependencies that the stages of one call name together: to look up so many takes tens of
    #: milliseconds, and everybody else waits for that.
    max_dependencies: int = 50_000
    max_tasks_per_stage: int = 10_000_000
    #: Cutting so many by their costs takes 50 ms, and everybody else waits for that.
    max_input_units: int = 50_000
    #: Tasks whose sizes or works, and units of input, one call lists together: to put so many in
    #: order takes half a second, and everybody else waits for that.
    max_listed_tasks: int = 1_000_000
    #: Ranges that the inputs of one call are cut into together: half a second, likewise.
    max_ranges: int = 100_000
    #: Results, starts, or lease ids in one message.
    max_batch: int = 10_000
    #: What the leases of one poll take together; the first one is granted in any case.  Clients of
    #: gRPC take in 4 MiB by default.
    max_leased_bytes: int = 7 * 512 * 1024
    max_message_bytes: int = 4096
    #: Unfinished jobs of one user in one pool, unless the operator set a cap for the user.
    max_jobs_per_user: int = 200_000
    #: Unfinished jobs in one pool.
    max_jobs_per_pool: int = 2_000_000
    max_users_per_pool: int = 200_000
    max_workers_per_pool: int = 10_000


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Behaviour of the core, for all pools of a service."""

    limits: Limits = Limits()
    #: ATR: how long a task should run, seconds.
    advisory_task_runtime: float = 0.75
    #: Part of a task's runtime that its overhead may take before ATR is raised.
    overhead_budget: float = 0.05
    #: Most tasks that the splitter cuts a stage into by itself.
    max_split_tasks: int = 100_000
    #: Work of a job about which nothing is known, slot-seconds: rather too high than too low.
    prior_work: float = 100.0
    lease_seconds: float = 30.0
    #: A worker silent for so long beyond the wait of its poll, and without a lease that holds, is
    #: forgotten.
    worker_timeout: float = 30.0
    #: An engine silent for so long beyond the wait of its poll has its open jobs cancelled.
    engine_timeout: float = 120.0
    max_attempts: int = 3
    #: The retry after the n-th failure waits ``retry_backoff x 2^(n-1)``, at most
    #: ``retry_backoff_max``.
    retry_backoff: float = 0.5
    retry_backoff_max: float = 30.0
    #: A task that needs more slots than were free for so long gets a worker held for it.
    hold_after: float = 5.0
    #: A re-estimate below this relative change is not acted upon.
    correction_threshold: float = 0.10
    #: Finished jobs are remembered for so long, and at most so many.
    retention_seconds: float = 3600.0
    retention_jobs: int = 100_000
