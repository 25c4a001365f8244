"""What clients of a service that keeps dying were told, and whether it contradicts itself.

The clients note every answer here, and nothing else: a call without an answer promises nothing.
Some contradictions show at once (a lease on a task whose result was accepted before); the rest
shows when ``kill_audit.py`` compares the ledger with what the data directory holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types


class TaskKey(NamedTuple):
    """One task of the service."""

    job_id: str
    stage: str
    task: int


class Grant(NamedTuple):
    """One lease, as a worker was told of it."""

    key: TaskKey
    attempt: int
    worker: str


ENDED: Final = (
    types.JOB_STATE_SUCCEEDED,
    types.JOB_STATE_FAILED,
    types.JOB_STATE_CANCELLED,
)

#: Virtual time is computed from other anchors after a restart; they may differ by rounding.
ROUNDING: Final = 1e-9


class Ledger:
    """Everything that was acknowledged."""

    def __init__(self) -> None:
        #: Acknowledged submits: job -> stage -> number of tasks; idempotency key -> job.
        self.jobs: dict[str, dict[str, int]] = {}
        self.requests: dict[str, str] = {}
        #: Jobs that were said to have ended, and how.
        self.ended: dict[str, int] = {}
        #: Leases that were handed to a worker.
        self.grants: dict[int, Grant] = {}
        #: Tasks whose success was ACCEPTED -> the lease; leases of accepted failures.
        self.accepted: dict[TaskKey, int] = {}
        self.failures: set[int] = set()
        #: Answers to reports, by status.
        self.answers: Counter[str] = Counter()
        #: Duplicates that were recognised.
        self.duplicates = 0
        self._virtual_time = 0.0
        #: What cannot be, in words.
        self.contradictions: list[str] = []

    def object_to(self, what: str) -> None:
        """Note a contradiction."""
        self.contradictions.append(what)

    # -- jobs --------------------------------------------------------------------------------------

    def submitted(self, request: rpc.SubmitJobRequest, answer: rpc.SubmitJobResponse) -> None:
        """A submission was acknowledged, for the first time or again."""
        job_id = answer.job_id
        if request.job_id and request.job_id != job_id:
            self.object_to(f"{request.job_id} was admitted as {job_id}")
        key = request.request_id or request.job_id
        known = self.requests.setdefault(key, job_id)
        if known != job_id:
            self.object_to(f"submission {key} was admitted as {known}, then as {job_id}")
        if job_id in self.jobs and not answer.duplicate:
            self.object_to(f"{job_id} was acknowledged, and admitted once more")
        self.duplicates += answer.duplicate
        self.staged(job_id, answer.splits)

    def staged(self, job_id: str, splits: Iterable[types.StageSplit]) -> None:
        """Stages of a job were acknowledged."""
        stages = self.jobs.setdefault(job_id, {})
        for split in splits:
            known = stages.setdefault(split.stage, split.task_count)
            if known != split.task_count:
                self.object_to(f"{job_id} {split.stage}: {known} tasks, then {split.task_count}")

    def seen(self, job: types.Job) -> None:
        """A job was shown as it stands."""
        stages = self.jobs[job.job_id]
        shown = {stage.stage: stage.task_count for stage in job.stages}
        if any(shown.get(stage) != count for stage, count in stages.items()):
            self.object_to(f"{job.job_id} has stages {shown}, acknowledged were {stages}")
        before = self.ended.get(job.job_id)
        if before is not None and before != job.state:
            self.object_to(f"{job.job_id} ended in state {before}, then in {job.state}")
        if job.state not in ENDED:
            return
        self.ended[job.job_id] = job.state
        if job.state == types.JOB_STATE_SUCCEEDED and any(
            stage.done != stage.task_count or stage.waiting or stage.running for stage in job.stages
        ):
            self.object_to(f"{job.job_id} succeeded without all of its tasks")
        if job.state == types.JOB_STATE_FAILED:
            self.object_to(f"{job.job_id} failed: {job.cause}")

    # -- tasks -------------------------------------------------------------------------------------

    def leased(self, worker: str, leases: Iterable[types.TaskLease]) -> None:
        """A worker was handed leases."""
        for lease in leases:
            key = TaskKey(lease.job_id, lease.stage, lease.task_index)
            grant = Grant(key, lease.attempt, worker)
            known = self.grants.setdefault(lease.lease_id, grant)
            if known != grant:
                self.object_to(f"lease {lease.lease_id} was granted for {known}, then for {grant}")
            if key in self.accepted:
                self.object_to(f"{key} is done and was leased again, lease {lease.lease_id}")

    def answered(
        self, results: Sequence[types.TaskResult], acks: Sequence[types.TaskResultAck]
    ) -> None:
        """Results were answered."""
        if len(acks) != len(results):
            self.object_to(f"{len(results)} results got {len(acks)} answers")
        for result, ack in zip(results, acks, strict=False):
            status = types.TaskResultStatus.Name(ack.status).removeprefix("TASK_RESULT_STATUS_")
            self.answers[status] += 1
            if status == "ACCEPTED":
                self._accept(result)
            elif status == "UNKNOWN":
                self.object_to(f"lease {result.lease_id} was granted, and is unknown now")

    def _accept(self, result: types.TaskResult) -> None:
        lease_id = result.lease_id
        key = self.grants[lease_id].key
        done_by = self.accepted.get(key)
        if lease_id in self.failures or done_by == lease_id:
            self.object_to(f"lease {lease_id}: two results were accepted")
        if result.WhichOneof("outcome") == "failure":
            # Its answer may come after that of the attempt that followed and succeeded.
            self.failures.add(lease_id)
            return
        if done_by is not None:
            self.object_to(f"{key} was accepted for lease {done_by}, then for {lease_id}")
        self.accepted[key] = lease_id

    # -- the pool ----------------------------------------------------------------------------------

    def pool_seen(self, pool: types.Pool) -> None:
        """The pool was shown: its virtual time never falls, whatever happened meanwhile."""
        if pool.virtual_time < self._virtual_time * (1 - ROUNDING):
            self.object_to(f"virtual time fell from {self._virtual_time} to {pool.virtual_time}")
        self._virtual_time = max(self._virtual_time, pool.virtual_time)
