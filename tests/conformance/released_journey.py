"""A job from its submission to its end, by stubs of a release: run by ``test_released_stubs``.

A script of its own, since one process has one pool of protobuf descriptors.  Run it from a
directory that holds the package ``uwfq`` generated from the release.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import grpc

from uwfq.v1 import scheduler_service_pb2 as pb
from uwfq.v1 import scheduler_service_pb2_grpc, types_pb2


def main(target: str) -> None:
    """Submit, poll, report on the next poll and by itself, look at the job."""
    with grpc.insecure_channel(target) as channel:
        # The types of the stubs are of today, the stubs are not.
        stub: Any = scheduler_service_pb2_grpc.SchedulerServiceStub(channel)
        stage = types_pb2.StageSpec(stage="only", tasks=types_pb2.TaskList(count=2))
        submission = pb.SubmitJobRequest(user="ann", job_id="j-1", kind="sum", stages=[stage])
        submitted = stub.SubmitJob(submission, timeout=20)
        again = stub.SubmitJob(submission, timeout=20)
        poll = pb.NextTaskRequest(worker_id="w", slots=1, free_slots=1, poll_id=1)
        (first,) = stub.NextTask(poll, timeout=20).leases
        poll = pb.NextTaskRequest(
            worker_id="w", slots=1, free_slots=1, poll_id=2, done=[_success(first)]
        )
        answer = stub.NextTask(poll, timeout=20)
        (second,) = answer.leases
        renewal = stub.RenewLeases(
            pb.RenewLeasesRequest(worker_id="w", lease_ids=[second.lease_id]), timeout=20
        )
        report = pb.TaskDoneRequest(worker_id="w", results=[_success(second)])
        done = stub.TaskDone(report, timeout=20)
        job = stub.GetJob(pb.GetJobRequest(job_id="j-1"), timeout=20).job
    document = {
        "stubs": str(Path(str(types_pb2.__file__)).resolve()),
        "submitted": [submitted.job_id, again.duplicate],
        "tasks": [first.task_index, second.task_index],
        "acks": [ack.status for ack in (*answer.done_acks, *done.acks)],
        "renewals": [each.status for each in renewal.renewals],
        "state": types_pb2.JobState.Name(job.state),
    }
    sys.stdout.write(json.dumps(document))


def _success(lease: types_pb2.TaskLease) -> types_pb2.TaskResult:
    return types_pb2.TaskResult(
        lease_id=lease.lease_id,
        attempt=lease.attempt,
        success=types_pb2.TaskSuccess(runtime_seconds=0.1),
    )


if __name__ == "__main__":
    main(sys.argv[1])
