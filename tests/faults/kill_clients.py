"""Clients of a service that keeps dying: submitters and workers that repeat what was not answered.

They speak the protocol themselves, for a client library that retries would hide what was
acknowledged.  What got no answer is sent again, word for word, until it is answered; what was
answered goes into the ledger.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any, Final

import grpc

from tests.faults.kill_ledger import ENDED, Ledger
from tests.faults.kill_service import KilledService
from uwfq.v1 import admin_service_pb2 as admin
from uwfq.v1 import admin_service_pb2_grpc, scheduler_service_pb2_grpc
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types

#: What a call ends with when the service is gone, or goes.
GONE: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)
CALL_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 0.02

#: Jobs of one submitter that have not ended.
WINDOW: Final = 30
#: Slots of one worker.
SLOTS: Final = 16
STAGE_TASKS: Final = 24


class Client:
    """Calls one service through a connection of its own, until it has an answer."""

    def __init__(self, service: KilledService, ledger: Ledger, seed: str) -> None:
        self.service = service
        self.ledger = ledger
        self.random = random.Random(seed)
        self.channel = grpc.aio.insecure_channel(
            service.target,
            options=[
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.min_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 200),
            ],
        )
        self.jobs = scheduler_service_pb2_grpc.SchedulerServiceStub(self.channel)
        self.admin = admin_service_pb2_grpc.AdminServiceStub(self.channel)
        #: Calls that got no answer.
        self.unanswered = 0

    async def ask(self, method: Any, request: Any) -> Any:
        """Send ``request`` until it is answered.  Raises what is not the kill's doing."""
        while True:
            await self.service.serving.wait()
            try:
                return await method(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() not in GONE:
                    raise
            self.unanswered += 1
            await asyncio.sleep(RETRY_SECONDS)

    async def look_at(self, job_id: str) -> types.Job:
        """The job, as it stands."""
        answer: rpc.GetJobResponse = await self.ask(
            self.jobs.GetJob, rpc.GetJobRequest(job_id=job_id)
        )
        self.ledger.seen(answer.job)
        return answer.job

    async def look_at_pool(self) -> types.Pool:
        """The pool, as it stands."""
        answer: admin.GetPoolResponse = await self.ask(self.admin.GetPool, admin.GetPoolRequest())
        self.ledger.pool_seen(answer.pool)
        return answer.pool

    async def all_jobs(self) -> list[types.Job]:
        """Every job that the service remembers."""
        jobs: list[types.Job] = []
        request = rpc.ListJobsRequest(page_size=200)
        while True:
            page: rpc.ListJobsResponse = await self.ask(self.jobs.ListJobs, request)
            jobs += page.jobs
            if not page.next_page_token:
                return jobs
            request.page_token = page.next_page_token


class Submitter(Client):
    """Submits one user's jobs of all shapes, and follows each to its end."""

    def __init__(self, service: KilledService, ledger: Ledger, seed: int, number: int) -> None:
        super().__init__(service, ledger, f"{seed}/submitter/{number}")
        self.user = f"user-{number}"
        self._count = 0
        self._recent: deque[rpc.SubmitJobRequest] = deque(maxlen=5)
        self._followed: deque[str] = deque()

    async def run(self, enough: asyncio.Event) -> None:
        """Submit until it is enough, then follow what there is to its end."""
        while not enough.is_set():
            await self._submit_one()
            while len(self._followed) >= WINDOW and not enough.is_set():
                await self._follow()
        while self._followed:
            await self._follow()

    async def _follow(self) -> None:
        job_id = self._followed.popleft()
        if (await self.look_at(job_id)).state not in ENDED:
            self._followed.append(job_id)
            await asyncio.sleep(0.005)

    async def _submit_one(self) -> None:
        chance = self.random.random
        shape = chance()
        request = self._request(open_job=shape < 0.15, stages=2 if shape < 0.4 else 1)
        job_id = await self._submit(request)
        if request.open:
            await self._add_stage(job_id)
        self._followed.append(job_id)
        self._recent.append(request)
        if chance() < 0.05:
            await self._cancel(job_id)
        if chance() < 0.1:
            # Somebody's retry that comes late.
            await self._submit(self.random.choice(self._recent))

    def _request(self, *, open_job: bool, stages: int) -> rpc.SubmitJobRequest:
        self._count += 1
        name = f"{self.user}/{self._count}"
        request = rpc.SubmitJobRequest(
            user=self.user,
            signature=f"query-{self._count % 5}",
            stages=[self._stage("first")],
            open=open_job,
        )
        if stages == 2 and not open_job:
            request.stages.append(self._stage("second", after=["first"]))
        # Either makes a repeated submission the same one.
        if self.random.random() < 0.5:
            request.job_id = name
        else:
            request.request_id = name
        if self.random.random() < 0.5:
            request.estimated_work_slot_seconds = self.random.lognormvariate(-3, 1)
        return request

    def _stage(self, name: str, after: tuple[str, ...] | list[str] = ()) -> types.StageSpec:
        count = self.random.randint(1, STAGE_TASKS)
        return types.StageSpec(stage=name, after=after, tasks=types.TaskList(count=count))

    async def _submit(self, request: rpc.SubmitJobRequest) -> str:
        answer: rpc.SubmitJobResponse = await self.ask(self.jobs.SubmitJob, request)
        self.ledger.submitted(request, answer)
        return answer.job_id

    async def _add_stage(self, job_id: str) -> None:
        request = rpc.AddStagesRequest(
            job_id=job_id, stages=[self._stage("second", after=["first"])]
        )
        close_with_it = self.random.random() < 0.5
        request.close = close_with_it
        answer: rpc.AddStagesResponse = await self.ask(self.jobs.AddStages, request)
        self.ledger.staged(job_id, answer.splits)
        if not close_with_it:
            closed: rpc.CloseJobResponse = await self.ask(
                self.jobs.CloseJob, rpc.CloseJobRequest(job_id=job_id)
            )
            self.ledger.seen(closed.job)

    async def _cancel(self, job_id: str) -> None:
        answer: rpc.CancelJobResponse = await self.ask(
            self.jobs.CancelJob, rpc.CancelJobRequest(job_id=job_id, reason="for the test")
        )
        self.ledger.seen(answer.job)
        if answer.job.state not in ENDED:
            self.ledger.object_to(f"{job_id} was cancelled and goes on")


class Worker(Client):
    """Runs tasks that do nothing; some fail, and now and then it vanishes with all it holds."""

    def __init__(self, service: KilledService, ledger: Ledger, seed: int, number: int) -> None:
        super().__init__(service, ledger, f"{seed}/worker/{number}")
        self._number = number
        self._life = 0
        self._polls = 0

    @property
    def name(self) -> str:
        """The worker's id: new after each time that it vanished."""
        return f"worker-{self._number}.{self._life}"

    async def run(self, enough: asyncio.Event) -> None:
        """Work until it is enough."""
        results: list[types.TaskResult] = []
        while not enough.is_set():
            if results and self.random.random() < 0.2:
                await self._report(results)
                results = []
            leases = await self._poll(results)
            if self.random.random() < 0.1:
                await self.ask(self.jobs.RenewLeases, rpc.RenewLeasesRequest(worker_id=self.name))
            if leases and self.random.random() < 0.005:
                self._life += 1
                self._polls = 0
                leases = []
            results = [self._result(lease) for lease in leases]

    async def _poll(self, results: list[types.TaskResult]) -> list[types.TaskLease]:
        self._polls += 1
        request = rpc.NextTaskRequest(
            worker_id=self.name,
            slots=SLOTS,
            free_slots=SLOTS,
            max_tasks=self.random.choice([1, SLOTS // 2, SLOTS]),
            wait_seconds=0.5,
            poll_id=self._polls,
            done=results,
        )
        answer: rpc.NextTaskResponse = await self.ask(self.jobs.NextTask, request)
        self.ledger.answered(results, answer.done_acks)
        self.ledger.leased(self.name, answer.leases)
        revoked = set(answer.revoked_lease_ids)
        return [lease for lease in answer.leases if lease.lease_id not in revoked]

    async def _report(self, results: list[types.TaskResult]) -> None:
        request = rpc.TaskDoneRequest(worker_id=self.name, results=results)
        answer: rpc.TaskDoneResponse = await self.ask(self.jobs.TaskDone, request)
        self.ledger.answered(results, answer.acks)

    def _result(self, lease: types.TaskLease) -> types.TaskResult:
        runtime = self.random.expovariate(500)
        result = types.TaskResult(lease_id=lease.lease_id, attempt=lease.attempt)
        if self.random.random() < 0.01:
            result.failure.CopyFrom(
                types.TaskFailure(message="bad luck", retryable=True, runtime_seconds=runtime)
            )
        else:
            result.success.CopyFrom(types.TaskSuccess(runtime_seconds=runtime))
        return result


class StreamWorker(Worker):
    """As ``Worker``, over the Work stream."""

    #: The field of WorkRequest and WorkResponse that carries each request.
    FIELDS: Final[dict[type, str]] = {
        rpc.NextTaskRequest: "next_task",
        rpc.TaskDoneRequest: "task_done",
        rpc.RenewLeasesRequest: "renew_leases",
    }

    def __init__(self, service: KilledService, ledger: Ledger, seed: int, number: int) -> None:
        super().__init__(service, ledger, seed, number)
        self._stream: Any = None
        self._sequence = 0

    async def ask(self, method: Any, request: Any) -> Any:
        """Send ``request`` on the stream, or on the next one, until it is answered."""
        field = self.FIELDS[type(request)]
        while True:
            await self.service.serving.wait()
            try:
                # Not `wait_for`, which in Python 3.11 may lose a cancellation, and the end of this.
                async with asyncio.timeout(CALL_SECONDS):
                    answer = await self._exchange(field, request)
            except grpc.aio.AioRpcError as error:
                # A write on a connection that broke ends with INTERNAL.  If it is the service's
                # own, its log says so, and the loop looks there.
                if error.code() not in {*GONE, grpc.StatusCode.INTERNAL}:
                    raise
            except (TimeoutError, asyncio.InvalidStateError):
                # The second: the stream had ended before the request was written.
                pass
            else:
                if answer is not None:
                    return answer
            self._stream = None
            self.unanswered += 1
            await asyncio.sleep(RETRY_SECONDS)

    async def _exchange(self, field: str, request: Any) -> Any:
        """The answer; ``None``: the stream has ended, or the service is stopping."""
        if self._stream is None:
            self._stream = self.jobs.Work(None)
        self._sequence += 1
        await self._stream.write(rpc.WorkRequest(sequence=self._sequence, **{field: request}))
        response = await self._stream.read()
        if not isinstance(response, rpc.WorkResponse):  # The end of the stream.
            return None
        assert response.sequence == self._sequence, "one request, one answer"
        if response.WhichOneof("response") == "error":
            assert response.error.code == grpc.StatusCode.UNAVAILABLE.value[0], response
            return None
        return getattr(response, field)
