"""Submitting jobs, watching them, and an operator's settings.

``Client`` is for asyncio, ``SyncClient`` for everyone else; they have the same methods:

    with SyncClient("127.0.0.1:7170") as client:
        job = client.submit(user="alice", kind="sum", stages=[Stage("scan", tasks=8)])
        print(client.wait(job.job_id).state)

Every method may be tried again safely (``retry.py``), so a client rides out a restart of the
service.  ``timeout`` is in seconds and covers a call with all its tries; ``None`` takes the
client's own, ``math.inf`` waits for ever.  Only a client that was given a ``RetryPolicy`` counts
its tries.
"""

# ruff: noqa: ASYNC109  # A time-out is sent along to the service, which honours it.

from __future__ import annotations

import contextlib
import math
import time
import uuid
from collections.abc import (
    AsyncGenerator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar

import grpc.aio

from uwfq.v1 import admin_service_pb2 as admin_pb
from uwfq.v1 import scheduler_service_pb2 as scheduler_pb
from uwfq_client import checks, convert
from uwfq_client.channel import DEFAULT_TARGET, Endpoint, Keepalive, Option, Tls
from uwfq_client.errors import JobFailed, Unavailable, UwfqError
from uwfq_client.retry import TIRELESS, Backoff, RetryPolicy, is_transient
from uwfq_client.transport import (
    AsyncTransport,
    Transport,
)
from uwfq_client.types import (
    AddedStages,
    Explanation,
    Job,
    JobState,
    Pool,
    Stage,
    StageSplit,
    SubmittedJob,
    User,
)

Request = TypeVar("Request")
Response = TypeVar("Response")
P = ParamSpec("P")
T = TypeVar("T")


class Client:
    """A connection to the service, for asyncio.

    Opens nothing before its first call.  Belongs to the event loop of that call; any number of
    coroutines may share it.  ``pool`` is the default of every method that takes one.

    .. code-block:: python

        async with Client("127.0.0.1:7170") as client:
            job = await client.submit(
                user="alice",
                kind="sum",
                stages=[Stage("scan", tasks=8, estimated_work_slot_seconds=4.0)],
            )
            done = await client.wait(job.job_id, check=True)
            print(done.measured_work_slot_seconds)
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        pool: str = "default",
        tls: Tls | bool = False,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        keepalive: Keepalive | None = None,
        options: Sequence[Option] = (),
    ) -> None:
        checks.positive_duration("timeout", timeout)
        endpoint = Endpoint(target, tls, keepalive or Keepalive(), options)
        self._transport: Transport = self._connect(endpoint)
        self.pool = pool
        self.timeout = timeout
        #: Without a policy of the caller's tries do not count: a call, or a watch, may take days.
        self.retry = retry or TIRELESS

    #: How calls are made; the blocking client has another one.
    _connect: Callable[[Endpoint], Transport] = staticmethod(AsyncTransport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Drop the connection.  Calls under way fail; jobs go on."""
        await self._transport.aclose()

    # ------------------------------------------------------------------------------------- jobs

    async def submit(
        self,
        *,
        user: str,
        kind: str = "",
        stages: Iterable[Stage] = (),
        pool: str | None = None,
        signature: str = "",
        job_id: str = "",
        request_id: str = "",
        input_bytes: int | None = None,
        labels: Mapping[str, str] | None = None,
        job_weight: float | None = None,
        estimated_work_slot_seconds: float | None = None,
        advisory_task_runtime_seconds: float | None = None,
        open: bool = False,  # noqa: A002  # The protocol's word.
        engine_id: str = "",
        omit_ranges: bool = False,
        timeout: float | None = None,
    ) -> SubmittedJob:
        """Admit a job of ``user``; workers choose a handler by its ``kind``.

        Safe to repeat: without a ``job_id`` the submission gets a ``request_id`` of its own, so a
        retry after a lost answer does not submit twice.  Give one of the two yourself to make your
        own repetitions safe, e.g. after a crash of your program.

        ``signature`` says what is run, without its literals: the service learns the work per byte
        of each signature.  ``open=True`` means that ``add_stages`` will bring more; a job that is
        left open does not end.  ``job_weight`` weighs among the user's own jobs.

        Raises ``InvalidArgument``; ``AlreadyExists`` when the job id is taken by another job;
        ``ResourceExhausted`` when a backlog limit stays reached for the whole time-out.
        """
        request = scheduler_pb.SubmitJobRequest(
            pool=self.pool if pool is None else pool,
            user=user,
            job_id=job_id,
            # A job id makes a submission safe by itself.
            request_id=request_id or ("" if job_id else uuid.uuid4().hex),
            kind=kind,
            signature=signature,
            input_bytes=input_bytes,
            labels=labels,
            job_weight=job_weight,
            estimated_work_slot_seconds=estimated_work_slot_seconds,
            advisory_task_runtime_seconds=advisory_task_runtime_seconds,
            stages=map(convert.stage_spec, stages),
            open=open,
            engine_id=engine_id,
            omit_ranges=omit_ranges,
        )
        response = await self._ask(self._transport.scheduler.SubmitJob, request, timeout)
        return convert.submitted_job(response)

    async def add_stages(
        self,
        job_id: str,
        stages: Iterable[Stage],
        *,
        close: bool = False,
        omit_ranges: bool = False,
        timeout: float | None = None,
    ) -> AddedStages:
        """Add stages to an open job; ``close`` says that they are the last.

        Safe to repeat: a stage that the job has already is left as it is.
        """
        request = scheduler_pb.AddStagesRequest(
            job_id=job_id,
            stages=map(convert.stage_spec, stages),
            close=close,
            omit_ranges=omit_ranges,
        )
        response = await self._ask(self._transport.scheduler.AddStages, request, timeout)
        return convert.added_stages(response)

    async def split_stage(
        self,
        stage: Stage,
        *,
        user: str,
        pool: str | None = None,
        signature: str = "",
        omit_ranges: bool = False,
        timeout: float | None = None,
    ) -> StageSplit:
        """How ``add_stages`` would cut a stage now; nothing is admitted.

        For engines that plan a stage before they submit it.  ``signature`` is that of the job.  It
        is advice: what the service learns meanwhile may cut the same stage otherwise.
        """
        request = scheduler_pb.SplitStageRequest(
            pool=self.pool if pool is None else pool,
            user=user,
            signature=signature,
            stage=convert.stage_spec(stage),
            omit_ranges=omit_ranges,
        )
        response = await self._ask(self._transport.scheduler.SplitStage, request, timeout)
        return convert.stage_split(response.split)

    async def drop_stages(
        self,
        job_id: str,
        stages: Iterable[str],
        *,
        timeout: float | None = None,
    ) -> Job:
        """Say that what waits of these stages will never run; attempts that run go on.

        For an engine that places its tasks itself; ``FailedPrecondition`` for any other job.
        """
        request = scheduler_pb.DropStagesRequest(job_id=job_id, stages=stages)
        response = await self._ask(self._transport.scheduler.DropStages, request, timeout)
        return convert.job(response.job)

    async def close_job(
        self,
        job_id: str,
        *,
        finished: bool = False,
        timeout: float | None = None,
    ) -> Job:
        """Say that no more stages will come.

        ``finished``: the engine that places the job's tasks itself says that it has succeeded,
        whatever is left of it; ``FailedPrecondition`` for any other job.
        """
        request = scheduler_pb.CloseJobRequest(job_id=job_id, finished=finished)
        response = await self._ask(self._transport.scheduler.CloseJob, request, timeout)
        return convert.job(response.job)

    async def cancel(
        self,
        job_id: str,
        reason: str = "",
        *,
        timeout: float | None = None,
    ) -> Job:
        """Cancel a job; one that has ended stays as it ended.

        Waiting tasks go at once; what runs is told within a third of its lease.
        """
        request = scheduler_pb.CancelJobRequest(job_id=job_id, reason=reason)
        response = await self._ask(self._transport.scheduler.CancelJob, request, timeout)
        return convert.job(response.job)

    async def get_job(
        self,
        job_id: str,
        *,
        timeout: float | None = None,
    ) -> Job:
        """One job, as it stands.  ``NotFound`` when it was never submitted or is forgotten."""
        request = scheduler_pb.GetJobRequest(job_id=job_id)
        response = await self._ask(self._transport.scheduler.GetJob, request, timeout)
        return convert.job(response.job)

    async def list_jobs(
        self,
        *,
        pool: str | None = None,
        user: str = "",
        states: Iterable[JobState] = (),
        page_size: int = 100,
        timeout: float | None = None,
    ) -> AsyncGenerator[Job, None]:
        """Jobs, newest first, fetched page by page as they are asked for.

        ``pool=""``: of all pools; ``user=""``: of all users; no ``states``: in any.  ``timeout``
        is for each page.
        """
        request = scheduler_pb.ListJobsRequest(
            pool=self.pool if pool is None else pool,
            user=user,
            states=convert.job_states(states),
            page_size=page_size,
        )
        while True:
            page = await self._ask(self._transport.scheduler.ListJobs, request, timeout)
            for job in page.jobs:
                yield convert.job(job)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def watch(
        self,
        job_id: str,
        *,
        timeout: float | None = None,
    ) -> AsyncGenerator[Job, None]:
        """A job's progress: its state now, then whenever it has changed, the last being its end.

        Goes on after an outage of the service.  ``timeout=None``: for as long as it takes.  Only a
        client that was given a ``RetryPolicy`` counts its tries.
        """
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        request = scheduler_pb.WatchJobRequest(job_id=job_id)
        backoff = Backoff(self.retry)
        while True:
            method = self._transport.scheduler.WatchJob
            try:
                progress = self._transport.stream(method, request, _remaining(deadline))
                async with contextlib.aclosing(progress):
                    async for response in progress:
                        backoff.reset()
                        job = convert.job(response.job)
                        yield job
                        if job.ended:
                            return
                raise Unavailable("the service ended the watch before the job had ended")
            except UwfqError as error:
                if (wait := _next_wait(backoff, error, deadline)) is None:
                    raise
            await self._transport.sleep(wait)

    async def wait(
        self,
        job_id: str,
        *,
        timeout: float | None = None,
        check: bool = False,
    ) -> Job:
        """Wait for a job's end, as ``watch`` does.  ``timeout=None``: for as long as it takes.

        With ``check``, raises ``JobFailed`` unless the job has succeeded.
        """
        watched = self.watch(job_id, timeout=timeout)
        async with contextlib.aclosing(watched):
            async for job in watched:
                if job.ended:
                    if check and not job.succeeded:
                        raise JobFailed(job)
                    return job
        raise AssertionError("a watch ends with the job's end or an error")

    async def explain(
        self,
        job_id: str,
        *,
        max_ahead: int = 10,
        timeout: float | None = None,
    ) -> Explanation:
        """Why a job waits: who is ahead, its position, its predicted start and finish."""
        request = scheduler_pb.ExplainJobRequest(job_id=job_id, max_ahead=max_ahead)
        response = await self._ask(self._transport.scheduler.ExplainJob, request, timeout)
        return convert.explanation(response)

    # -------------------------------------------------------------------------------- operators

    async def set_user(
        self,
        user: str,
        *,
        pool: str | None = None,
        weight: float | None = None,
        max_running_slots: int | None = None,
        max_waiting_jobs: int | None = None,
        timeout: float | None = None,
    ) -> User:
        """Set a user's weight and caps; ``None`` leaves a value as it is, 0 lifts a cap."""
        request = admin_pb.SetUserRequest(
            pool=self.pool if pool is None else pool,
            user=user,
            weight=weight,
            max_running_slots=max_running_slots,
            max_waiting_jobs=max_waiting_jobs,
        )
        response = await self._ask(self._transport.admin.SetUser, request, timeout)
        return convert.user(response.user)

    async def list_users(
        self,
        *,
        pool: str | None = None,
        page_size: int = 100,
        timeout: float | None = None,
    ) -> AsyncGenerator[User, None]:
        """The users of a pool, by name, fetched page by page.  ``timeout`` is for each page."""
        request = admin_pb.ListUsersRequest(
            pool=self.pool if pool is None else pool, page_size=page_size
        )
        while True:
            page = await self._ask(self._transport.admin.ListUsers, request, timeout)
            for user in page.users:
                yield convert.user(user)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def get_pool(
        self,
        pool: str | None = None,
        *,
        timeout: float | None = None,
    ) -> Pool:
        """One pool, as it stands."""
        request = admin_pb.GetPoolRequest(pool=self.pool if pool is None else pool)
        response = await self._ask(self._transport.admin.GetPool, request, timeout)
        return convert.pool(response.pool)

    async def list_pools(
        self,
        *,
        timeout: float | None = None,
    ) -> list[Pool]:
        """All pools, by name."""
        request = admin_pb.ListPoolsRequest()
        response = await self._ask(self._transport.admin.ListPools, request, timeout)
        return list(map(convert.pool, response.pools))

    # ------------------------------------------------------------------------------------ asking

    async def _ask(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float | None,
    ) -> Response:
        """One call with its retries; every method of this client may be repeated."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        backoff = Backoff(self.retry)
        while True:
            try:
                return await self._transport.unary(method, request, _remaining(deadline))
            except UwfqError as error:
                # Nothing here may keep the error: it keeps this frame, and so the connection, until
                # the garbage collector comes by.
                if (wait := _next_wait(backoff, error, deadline)) is None:
                    raise
            await self._transport.sleep(wait)


def _next_wait(backoff: Backoff, error: UwfqError, deadline: float) -> float | None:
    """Seconds to wait before the next try; ``None``: there is to be none."""
    wait = backoff.next_wait(error) if is_transient(error) else None
    return None if wait is None or time.monotonic() + wait >= deadline else wait


#: 31 years.  gRPC takes what is far beyond for an instant that has passed.
_FOR_EVER: Final = 1e9


def _remaining(deadline: float) -> float | None:
    """Seconds until then; ``None`` is gRPC's word for "for ever"."""
    remaining = deadline - time.monotonic()
    return None if remaining > _FOR_EVER else max(remaining, 0.0)
