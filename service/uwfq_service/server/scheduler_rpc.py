"""SchedulerService: what submitters, workers and engines call.

Each handler turns its request into a command, waits for the engine's reply, and turns that into the
response.  Everything else is somebody else's: deciding the core's, waiting for the disk the
engine's, refusals and logs ``rpc.py``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.core import commands, replies, views
from uwfq_service.core.inquiry import Explanation, Inquiry
from uwfq_service.core.model import Job
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Limits
from uwfq_service.core.validation import text
from uwfq_service.server import convert, convert_views, paging
from uwfq_service.server.clock import Clock
from uwfq_service.server.config_keys import Serving
from uwfq_service.server.engine import Engine
from uwfq_service.server.rpc import Context, Handlers
from uwfq_service.server.status import Busy
from uwfq_service.server.wire import LeaseEncoder, task_done_response
from uwfq_service.server.work_stream import WorkStream

#: A watcher hears of changes at most this often, seconds.
WATCH_PAUSE: Final = 0.1

#: A long poll ends this long before its caller's deadline, but not before 9/10 of the way, seconds.
DEADLINE_MARGIN: Final = 0.25

DEFAULT_AHEAD: Final = 10
MAX_AHEAD: Final = 100


class SchedulerRpc:
    """The handlers of SchedulerService."""

    NAME: Final = rpc.DESCRIPTOR.services_by_name["SchedulerService"].full_name

    def __init__(self, engine: Engine, clock: Clock, serving: Serving, limits: Limits) -> None:
        self._engine = engine
        self._clock = clock
        self._serving = serving
        self._limits = limits
        self._leases = LeaseEncoder()
        #: Held by whoever walks past the jobs ahead of another one.
        self._inquiring = asyncio.Lock()
        #: Streams of WatchJob that are open.
        self._watches = 0

    def register(self, handlers: Handlers) -> None:
        """Add every method of the service."""
        add = handlers.unary
        add("SubmitJob", rpc.SubmitJobRequest, rpc.SubmitJobResponse, self.submit_job)
        add("AddStages", rpc.AddStagesRequest, rpc.AddStagesResponse, self.add_stages)
        add("SplitStage", rpc.SplitStageRequest, rpc.SplitStageResponse, self.split_stage)
        add("DropStages", rpc.DropStagesRequest, rpc.DropStagesResponse, self.drop_stages)
        add("CloseJob", rpc.CloseJobRequest, rpc.CloseJobResponse, self.close_job)
        add("CancelJob", rpc.CancelJobRequest, rpc.CancelJobResponse, self.cancel_job)
        add("NextTask", rpc.NextTaskRequest, None, self.next_task)
        add("TaskDone", rpc.TaskDoneRequest, None, self.task_done)
        add("RenewLeases", rpc.RenewLeasesRequest, rpc.RenewLeasesResponse, self.renew_leases)
        add("GetJob", rpc.GetJobRequest, rpc.GetJobResponse, self.get_job)
        add("ListJobs", rpc.ListJobsRequest, rpc.ListJobsResponse, self.list_jobs)
        add("ExplainJob", rpc.ExplainJobRequest, rpc.ExplainJobResponse, self.explain_job)
        handlers.server_stream(
            "WatchJob", rpc.WatchJobRequest, rpc.WatchJobResponse, self.watch_job
        )
        handlers.two_way_stream("Work", rpc.WorkRequest, self.work)

    # -- jobs --------------------------------------------------------------------------------------

    async def submit_job(self, request: rpc.SubmitJobRequest, _: Context) -> rpc.SubmitJobResponse:
        """Admit a job."""
        reply = await self._engine.call(convert.submit_job(request, self._limits))
        return convert.submit_job_response(reply, omit_ranges=request.omit_ranges)

    async def add_stages(self, request: rpc.AddStagesRequest, _: Context) -> rpc.AddStagesResponse:
        """Add stages to an open job."""
        reply = await self._engine.call(convert.add_stages(request, self._limits))
        return convert.add_stages_response(reply, omit_ranges=request.omit_ranges)

    async def split_stage(
        self, request: rpc.SplitStageRequest, _: Context
    ) -> rpc.SplitStageResponse:
        """Say how a stage would be cut; nothing is stored, so nothing is waited for."""
        question = convert.split_stage(request, self._limits)
        split = self._engine.glance(lambda scheduler: scheduler.split_stage(question))
        return convert.split_stage_response(split)

    async def drop_stages(
        self, request: rpc.DropStagesRequest, _: Context
    ) -> rpc.DropStagesResponse:
        """Let waiting tasks of some stages go."""
        reply = await self._engine.call(convert.drop_stages(request, self._limits))
        return rpc.DropStagesResponse(job=await self._status_after(reply))

    async def close_job(self, request: rpc.CloseJobRequest, _: Context) -> rpc.CloseJobResponse:
        """Close a job."""
        reply = await self._engine.call(convert.close_job(request))
        return rpc.CloseJobResponse(job=await self._status_after(reply))

    async def cancel_job(self, request: rpc.CancelJobRequest, _: Context) -> rpc.CancelJobResponse:
        """Cancel a job."""
        command = commands.CancelJob(job_id=request.job_id, reason=request.reason)
        reply = await self._engine.call(command)
        return rpc.CancelJobResponse(job=await self._status_after(reply))

    async def get_job(self, request: rpc.GetJobRequest, _: Context) -> rpc.GetJobResponse:
        """One job, as it stands."""
        view = await self._engine.read(
            lambda scheduler, now: views.job_status(scheduler.job(request.job_id), now)
        )
        return rpc.GetJobResponse(job=convert_views.job(view))

    async def _status_after(self, reply: replies.JobReply) -> types.Job:
        """The job that a command was about, as it stands now."""
        view = await self._engine.read_admitted(lambda _, now: views.job_status(reply.job, now))
        return convert_views.job(view)

    async def list_jobs(self, request: rpc.ListJobsRequest, _: Context) -> rpc.ListJobsResponse:
        """Jobs, newest first."""
        states = convert.job_states(request.states)
        pool, user = request.pool, request.user
        text("user", user, self._limits.max_id_bytes)
        query = ("jobs", pool, user, sorted(states))
        after = paging.read_token(request.page_token, query, int)

        def wanted(job: Job) -> bool:
            return (
                (not pool or job.pool.name == pool)
                and (not user or job.user.name == user)
                and (not states or job.state in states)
            )

        def look(scheduler: Scheduler, now: float) -> tuple[list[types.Job], int | None]:
            if pool:
                scheduler.pool(pool)  # To no avail would be taken for "it has no jobs".
            jobs, last = paging.scan(
                paging.jobs_before(scheduler, after),
                wanted=wanted,
                size=paging.page_size(request.page_size),
            )
            page = paging.fitting(convert_views.job(views.job_status(job, now)) for job in jobs)
            return page, last if len(page) == len(jobs) else jobs[len(page) - 1].number

        found, last = await self._engine.read(look)
        return rpc.ListJobsResponse(
            jobs=found, next_page_token=paging.write_token(query, last) if last else ""
        )

    async def watch_job(
        self, request: rpc.WatchJobRequest, _: Context
    ) -> AsyncIterator[rpc.WatchJobResponse]:
        """A job's state at once, then its changes until it has ended."""
        if self._watches >= self._serving.max_watches:
            raise Busy("jobs are being watched", self._serving.max_watches)
        self._watches += 1
        try:
            # Held by reference: a job that is forgotten once it has ended still has an end to tell,
            # if without its stages.
            job = await self._engine.read(lambda scheduler, _: scheduler.job(request.job_id))
            seen: object = None
            while True:
                sequence = self._engine.sequence
                # Most of what changes in a service is about other jobs.
                progress = _progress(job)
                if progress != seen:
                    seen = progress
                    view = await self._engine.read(lambda _, now: views.job_status(job, now))
                    yield rpc.WatchJobResponse(job=convert_views.job(view))
                    if view.finished_at is not None:
                        return
                await self._pause(WATCH_PAUSE)
                await self._engine.changed_since(sequence)
        finally:
            self._watches -= 1

    async def _pause(self, seconds: float) -> None:
        awake = asyncio.Event()
        timer = self._clock.call_at(self._clock.now() + seconds, awake.set)
        try:
            await awake.wait()
        finally:
            timer.cancel()

    async def explain_job(
        self, request: rpc.ExplainJobRequest, _: Context
    ) -> rpc.ExplainJobResponse:
        """Why a job waits."""
        ahead = min(request.max_ahead or DEFAULT_AHEAD, MAX_AHEAD)
        inquiry = await self._engine.read(
            lambda scheduler, _: Inquiry(scheduler.job(request.job_id), ahead)
        )
        while (view := await self._step(inquiry)) is None:
            pass
        return convert_views.explanation(await self._engine.read_admitted(lambda *_: view))

    async def _step(self, inquiry: Inquiry) -> Explanation | None:
        """One step of one inquiry at a time, and then whatever else there is to do."""
        async with self._inquiring:
            view = self._engine.glance(lambda _: inquiry.step(self._clock.now()))
            await asyncio.sleep(0)
            return view

    # -- tasks -------------------------------------------------------------------------------------

    async def next_task(self, request: rpc.NextTaskRequest, context: Context) -> bytes:
        """Lease tasks, or rank stages; a long poll.  A NextTaskResponse in bytes."""
        wait = convert.wait_seconds(request, self._serving.max_poll_seconds)
        if wait:
            wait = _within_deadline(wait, context.time_remaining())
        command = convert.next_task(request, wait, self._limits)
        known_version = request.ranking.known_version if command.ranking else 0
        reply = await self._engine.poll(command, known_version=known_version)
        return self._leases.response(reply)

    async def task_done(self, request: rpc.TaskDoneRequest, _: Context) -> bytes:
        """Take in results.  A TaskDoneResponse in bytes."""
        return task_done_response(await self._engine.call(convert.task_done(request, self._limits)))

    async def renew_leases(
        self, request: rpc.RenewLeasesRequest, _: Context
    ) -> rpc.RenewLeasesResponse:
        """Extend leases."""
        reply = await self._engine.call(convert.renew_leases(request, self._limits))
        return convert.renew_leases_response(reply)

    async def work(self, requests: AsyncIterator[rpc.WorkRequest], context: Context) -> None:
        """All three over one stream."""
        stream = WorkStream(
            self._engine,
            requests,
            context,
            self._leases,
            self._limits,
            max_requests=self._serving.max_stream_requests,
            max_poll_seconds=self._serving.max_poll_seconds,
        )
        await stream.run()


def _progress(job: Job) -> tuple[object, ...]:
    """What changes with every step of a job, and only then.  O(stages)."""
    return (
        job.state,
        job.open,
        job.work,
        job.measured,
        job.failed_attempts,
        [
            (stage.ready, stage.done, stage.running, stage.dropped_work is None)
            for stage in job.stages
        ],
    )


def _within_deadline(wait: float, remaining: float | None) -> float:
    """The wait, cut so that an empty answer still reaches its caller in time."""
    if remaining is None:
        return wait
    return min(wait, max(remaining - DEADLINE_MARGIN, 0.9 * remaining))
