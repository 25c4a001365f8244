"""The Python client of UWFQ: submit jobs, watch them, and write workers.

    import asyncio
    from uwfq_client import Client, Stage

    async def main() -> None:
        async with Client("127.0.0.1:7170") as client:
            stages = [Stage("scan", tasks=8, estimated_work_slot_seconds=4.0)]
            job = await client.submit(user="alice", kind="sum", stages=stages)
            done = await client.wait(job.job_id)
            print(done.state)

    asyncio.run(main())

``Client`` is for asyncio, ``SyncClient`` has the same methods and blocks.  ``Worker`` runs tasks.
What can go wrong derives from ``UwfqError``.
"""

from uwfq_client.channel import DEFAULT_TARGET, Keepalive, Tls
from uwfq_client.client import Client
from uwfq_client.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InternalError,
    InvalidArgument,
    JobFailed,
    NotFound,
    PermanentFailure,
    PermissionDenied,
    Resource,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    UwfqError,
)
from uwfq_client.retry import RetryPolicy
from uwfq_client.sync_client import SyncClient
from uwfq_client.types import (
    AddedStages,
    EstimateError,
    EstimateSource,
    Explanation,
    Input,
    InputRange,
    Job,
    JobAhead,
    JobState,
    Measurement,
    Pool,
    SplitReason,
    Stage,
    StageSplit,
    StageStatus,
    SubmittedJob,
    Task,
    User,
)
from uwfq_client.worker import Worker, WorkerStats

__all__ = [
    "DEFAULT_TARGET",
    "Aborted",
    "AddedStages",
    "AlreadyExists",
    "Cancelled",
    "Client",
    "DeadlineExceeded",
    "EstimateError",
    "EstimateSource",
    "Explanation",
    "FailedPrecondition",
    "FieldViolation",
    "Input",
    "InputRange",
    "InternalError",
    "InvalidArgument",
    "Job",
    "JobAhead",
    "JobFailed",
    "JobState",
    "Keepalive",
    "Measurement",
    "NotFound",
    "PermanentFailure",
    "PermissionDenied",
    "Pool",
    "Resource",
    "ResourceExhausted",
    "RetryPolicy",
    "SplitReason",
    "Stage",
    "StageSplit",
    "StageStatus",
    "SubmittedJob",
    "SyncClient",
    "Task",
    "Tls",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "User",
    "UwfqError",
    "Worker",
    "WorkerStats",
]
