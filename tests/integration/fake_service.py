"""A service with just enough of UWFQ in it to test clients against, and faults at will.

It leases first come, first served, honours poll ids, and remembers what it was told.  ``lose``
carries a call out and drops its answer; ``refuse`` drops the call itself; ``restart`` goes away
and comes back on the same port with the same state, as a durable service does.
"""

# ruff: noqa: N802  # gRPC methods are named as in the protos.

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime as dt
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from uwfq.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    scheduler_service_pb2_grpc,
    types_pb2,
)
from uwfq.v1 import scheduler_service_pb2 as pb

Context = grpc.aio.ServicerContext[Any, Any]


class Refusal(Exception):
    """A status with details, to be sent instead of an answer."""

    def __init__(self, code: int, text: str, *details: Any) -> None:
        super().__init__(text)
        packed = []
        for detail in details:
            box = any_pb2.Any()
            box.Pack(detail)
            packed.append(box)
        self.status = status_pb2.Status(code=code, message=text, details=packed)


def unavailable(text: str = "going down") -> Refusal:
    """What a service says that goes down."""
    return Refusal(code_pb2.UNAVAILABLE, text)


def exhausted(retry_seconds: float) -> Refusal:
    """What a full service says: come back later."""
    delay = duration_pb2.Duration()
    delay.FromTimedelta(dt.timedelta(seconds=retry_seconds))
    return Refusal(
        code_pb2.RESOURCE_EXHAUSTED, "full", error_details_pb2.RetryInfo(retry_delay=delay)
    )


class FakeService(
    scheduler_service_pb2_grpc.SchedulerServiceServicer,
    admin_service_pb2_grpc.AdminServiceServicer,
):
    """The service and its state.  Everything public is for tests to read and to change."""

    def __init__(self) -> None:
        self.port = 0
        self.lease_seconds = 30.0
        #: Jobs by id; tasks that wait; leases by id; leases given to a worker's last poll.
        self.jobs: dict[str, types_pb2.Job] = {}
        self.waiting: collections.deque[types_pb2.TaskLease] = collections.deque()
        self.leases: dict[int, types_pb2.TaskLease] = {}
        self.answered: dict[str, tuple[int, list[types_pb2.TaskLease]]] = {}
        self.revoked: set[int] = set()
        #: Workers that took their leave, and how many leases were out then.
        self.left: dict[str, int] = {}
        #: Results that counted, by lease, and everything that arrived, by method.
        self.results: dict[int, types_pb2.TaskResult] = {}
        self.requests: dict[str, list[Any]] = collections.defaultdict(list)
        self.faults: dict[str, collections.deque[tuple[Refusal, bool]]] = collections.defaultdict(
            collections.deque
        )
        #: Takes calls, and answers none of them any more.
        self.silent = False
        #: Draws faults of its own when a test sets it.
        self.chaos: random.Random | None = None
        #: Set, and made anew, at every change.
        self.changed = asyncio.Event()
        self._server: grpc.aio.Server | None = None
        self._last_lease = 0
        self._by_request: dict[str, str] = {}

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    # ------------------------------------------------------------------------------- for tests

    def refuse(self, method: str, refusal: Refusal, times: int = 1) -> None:
        """Refuse the next calls without carrying them out."""
        self.faults[method].extend([(refusal, False)] * times)

    def lose(self, method: str, times: int = 1) -> None:
        """Carry the next calls out, but lose their answers."""
        self.faults[method].extend([(unavailable("lost"), True)] * times)

    def add_job(self, job_id: str, tasks: int, *, kind: str = "noop", **lease: Any) -> None:
        stage = types_pb2.StageStatus(stage="scan", task_count=tasks, waiting=tasks)
        job = types_pb2.Job(
            job_id=job_id, kind=kind, state=types_pb2.JOB_STATE_WAITING, stages=[stage]
        )
        self.jobs[job_id] = job
        for index in range(tasks):
            fields: dict[str, Any] = {"slots": 1, "attempt": 1, "stage": "scan", **lease}
            self.waiting.append(
                types_pb2.TaskLease(
                    job_id=job_id, kind=kind, task_index=index, task_count=tasks, **fields
                )
            )
        self.note()

    def end_job(self, job_id: str, state: types_pb2.JobState.ValueType, cause: str = "") -> None:
        self.jobs[job_id].state = state
        self.jobs[job_id].cause = cause
        self.note()

    def note(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait for a condition over the state; the limit only ends a test that has failed."""
        async with asyncio.timeout(seconds):
            while not condition():
                await self.changed.wait()

    async def start(self) -> None:
        server = grpc.aio.server()
        scheduler_service_pb2_grpc.add_SchedulerServiceServicer_to_server(self, server)
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(self, server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        await server.start()
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    # ------------------------------------------------------------------------------- plumbing

    async def _answer(
        self,
        method: str,
        request: Any,
        context: Context,
        work: Callable[[], Awaitable[Any]],
    ) -> Any:
        copy = type(request)()
        copy.CopyFrom(request)
        self.requests[method].append(copy)
        self.note()
        if self.silent:
            await asyncio.Event().wait()
        fault = self._next_fault(method)
        try:
            if fault is not None and not fault[1]:
                raise fault[0]
            response = await work()
            self.note()
            if fault is not None:
                raise fault[0]
            return response
        except Refusal as refusal:
            # The asyncio context has it, but not its published type.
            await cast(Any, context).abort_with_status(rpc_status.to_status(refusal.status))

    def _next_fault(self, method: str) -> tuple[Refusal, bool] | None:
        if self.chaos is not None and self.chaos.random() < 0.4:
            refusal = unavailable() if self.chaos.random() < 0.7 else exhausted(0.001)
            return refusal, self.chaos.random() < 0.5
        faults = self.faults[method]
        return faults.popleft() if faults else None

    def _job(self, job_id: str) -> types_pb2.Job:
        if job_id not in self.jobs:
            raise Refusal(
                code_pb2.NOT_FOUND,
                f"job {job_id!r} does not exist",
                error_details_pb2.ResourceInfo(resource_type="job", resource_name=job_id),
            )
        return self.jobs[job_id]

    # ------------------------------------------------------------------------------- submitters

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: Context) -> Any:
        async def work() -> pb.SubmitJobResponse:
            known = self._by_request.get(request.request_id)
            if known is not None:
                return pb.SubmitJobResponse(job_id=known, duplicate=True)
            if not request.user:
                violation = error_details_pb2.BadRequest.FieldViolation(
                    field="user", description="must not be empty"
                )
                raise Refusal(
                    code_pb2.INVALID_ARGUMENT,
                    "user: must not be empty",
                    error_details_pb2.BadRequest(field_violations=[violation]),
                    error_details_pb2.ErrorInfo(reason="INVALID_FIELD", domain="uwfq"),
                )
            job_id = request.job_id or f"job-{len(self.jobs) + 1}"
            self._by_request[request.request_id] = job_id
            tasks = sum(stage.tasks.count for stage in request.stages)
            self.add_job(job_id, tasks, kind=request.kind, labels=request.labels)
            job = self.jobs[job_id]
            job.pool, job.user, job.open = request.pool, request.user, request.open
            return pb.SubmitJobResponse(job_id=job_id, predicted_finish_seconds=1.5)

        return await self._answer("SubmitJob", request, context, work)

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> Any:
        async def work() -> pb.CancelJobResponse:
            job = self._job(request.job_id)
            self.end_job(job.job_id, types_pb2.JOB_STATE_CANCELLED, request.reason)
            return pb.CancelJobResponse(job=job)

        return await self._answer("CancelJob", request, context, work)

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> Any:
        async def work() -> pb.GetJobResponse:
            return pb.GetJobResponse(job=self._job(request.job_id))

        return await self._answer("GetJob", request, context, work)

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> Any:
        async def work() -> pb.ListJobsResponse:
            jobs = [job for job in self.jobs.values() if job.pool == request.pool]
            begin = int(request.page_token or 0)
            end = begin + request.page_size
            token = str(end) if end < len(jobs) else ""
            return pb.ListJobsResponse(jobs=jobs[begin:end], next_page_token=token)

        return await self._answer("ListJobs", request, context, work)

    async def WatchJob(
        self, request: pb.WatchJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchJobResponse]:
        async def work() -> types_pb2.Job:
            return self._job(request.job_id)

        job = await self._answer("WatchJob", request, context, work)
        while True:
            changed = self.changed
            yield pb.WatchJobResponse(job=job)
            if job.state > types_pb2.JOB_STATE_RUNNING:
                return
            await changed.wait()

    async def ListPools(
        self, request: admin_service_pb2.ListPoolsRequest, context: Context
    ) -> admin_service_pb2.ListPoolsResponse:
        return admin_service_pb2.ListPoolsResponse(
            pools=[types_pb2.Pool(pool="default", policy="uwfq", slots=4)]
        )

    async def SetUser(
        self, request: admin_service_pb2.SetUserRequest, context: Context
    ) -> admin_service_pb2.SetUserResponse:
        self.requests["SetUser"].append(request)
        user = types_pb2.User(pool=request.pool, user=request.user, weight=request.weight)
        return admin_service_pb2.SetUserResponse(user=user)

    # ------------------------------------------------------------------------------- workers

    async def NextTask(self, request: pb.NextTaskRequest, context: Context) -> Any:
        async def work() -> pb.NextTaskResponse:
            acks = [self._take(result) for result in request.done]
            if request.leaving:
                self.left[request.worker_id] = len(self.leases)
                return pb.NextTaskResponse(done_acks=acks)
            leases = self._grant(request)
            if not leases and request.wait_seconds:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(request.wait_seconds):
                        while not leases and not self.revoked:
                            await self.changed.wait()
                            leases = self._grant(request)
            revoked, self.revoked = self.revoked, set()
            return pb.NextTaskResponse(
                leases=leases, done_acks=acks, revoked_lease_ids=sorted(revoked)
            )

        # A leave may be refused by itself.
        name = "Leave" if request.leaving else "NextTask"
        return await self._answer(name, request, context, work)

    def _grant(self, request: pb.NextTaskRequest) -> list[types_pb2.TaskLease]:
        poll_id, granted = self.answered.get(request.worker_id, (0, []))
        if poll_id == request.poll_id and granted:
            return granted
        held = sum(lease.slots for lease in self.leases.values())
        room = min(request.free_slots + request.prefetch, request.slots + request.prefetch - held)
        leases: list[types_pb2.TaskLease] = []
        most = request.max_tasks if request.HasField("max_tasks") else len(self.waiting)
        while self.waiting and self.waiting[0].slots <= room and len(leases) < most:
            lease = self.waiting.popleft()
            room -= lease.slots
            self._last_lease += 1
            lease.lease_id = self._last_lease
            lease.expires_in_seconds = self.lease_seconds
            self.leases[lease.lease_id] = lease
            leases.append(lease)
        self.answered[request.worker_id] = (request.poll_id, leases)
        return leases

    def _take(self, result: types_pb2.TaskResult) -> types_pb2.TaskResultAck:
        if result.lease_id in self.results:
            status = types_pb2.TASK_RESULT_STATUS_STALE
        elif self.leases.pop(result.lease_id, None) is None:
            status = types_pb2.TASK_RESULT_STATUS_UNKNOWN
        else:
            self.results[result.lease_id] = result
            status = types_pb2.TASK_RESULT_STATUS_ACCEPTED
        return types_pb2.TaskResultAck(lease_id=result.lease_id, status=status)

    async def TaskDone(self, request: pb.TaskDoneRequest, context: Context) -> Any:
        async def work() -> pb.TaskDoneResponse:
            return pb.TaskDoneResponse(acks=[self._take(result) for result in request.results])

        return await self._answer("TaskDone", request, context, work)

    async def RenewLeases(self, request: pb.RenewLeasesRequest, context: Context) -> Any:
        async def work() -> pb.RenewLeasesResponse:
            return pb.RenewLeasesResponse(renewals=map(self._renew, request.lease_ids))

        return await self._answer("RenewLeases", request, context, work)

    def _renew(self, lease_id: int) -> pb.LeaseRenewal:
        if lease_id in self.revoked:
            self.revoked.discard(lease_id)
            return pb.LeaseRenewal(lease_id=lease_id, status=pb.LEASE_STATUS_REVOKED)
        if lease_id not in self.leases:
            return pb.LeaseRenewal(lease_id=lease_id, status=pb.LEASE_STATUS_UNKNOWN)
        return pb.LeaseRenewal(
            lease_id=lease_id,
            status=pb.LEASE_STATUS_RENEWED,
            expires_in_seconds=self.lease_seconds,
        )


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[FakeService]:
    """A fake service that listens for the length of a block."""
    # What it leaves out is UNIMPLEMENTED at run time; the stubs' types call it abstract.
    service = FakeService()  # type: ignore[abstract]
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
