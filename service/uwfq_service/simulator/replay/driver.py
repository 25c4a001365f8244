"""The drive: submits jobs when they are due, lets tasks take their time, and reads off the results.

Everything runs on one event loop: a submitter that keeps the order of the workload, a coroutine per
job that follows it to its end, workers whose tasks are sleeping coroutines, and an overseer that
looks now and then whether what happens is still the workload and nothing else.

That a job's tasks are done is known here first, since they run here; that the job has ended, and
when, is the service's word.

Units: seconds and slot-seconds of the workload; what is ``real`` is divided by the speed.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

import msgspec

from uwfq_client import Client, Job, JobState, NotFound, Task, UwfqError
from uwfq_service.simulator.estimates import Estimates
from uwfq_service.simulator.replay.jobs import ReplayedJob
from uwfq_service.simulator.replay.pool import (
    LOOK_SECONDS,
    BorrowedPool,
    JobCounts,
    ReplayFailed,
)
from uwfq_service.simulator.replay.results import Overhead, measured_run, overhead_of
from uwfq_service.simulator.runs import Options, Run
from uwfq_service.simulator.workload import Workload

#: Calls of one kind whose answer is awaited at once.
_CALLS: Final = 256
#: Jobs that it looks at: the newest that ended badly.
_LOOK_JOBS: Final = 20
#: Pauses between two questions whether a job has ended; they double, real seconds.
_FIRST_PAUSE: Final = 0.004
_LONGEST_PAUSE: Final = 0.25
#: How long cleaning up may take, and how long of it our workers to take their leave, real seconds.
_TIDY_SECONDS: Final = 10.0
_LEAVE_SECONDS: Final = 2.0

Handler = Callable[[Task], Awaitable[None]]
#: Told how many jobs of how many have finished.
Progress = Callable[[int, int], None]


class Serving(Protocol):
    """A worker; ``uwfq_client.Worker`` is one."""

    async def serve(self) -> None:
        """Work until stopped."""

    async def stop(self, grace_seconds: float | None = None) -> None:
        """Finish and report what is held, within the grace; ``serve`` returns then."""


#: Makes a worker of so many slots, with a handler for each kind of job.
MakeWorker = Callable[[int, Mapping[str, Handler]], Serving]


def _nothing() -> None:
    """Stand in for a check."""


def _tell_nobody(_done: int, _jobs: int) -> None:
    """Stand in for whoever watches."""


class Replay:
    """One replay of a workload; ``run`` it once.

    ``client`` speaks of the pool that is to be driven.  ``options.policy`` is only noted: it is the
    pool's own.  ``check`` raises if there is a reason, seen from outside, not to go on.
    """

    def __init__(
        self,
        client: Client,
        workload: Workload,
        options: Options,
        make_worker: MakeWorker,
        *,
        speed: float = 1.0,
        check: Callable[[], None] = _nothing,
        progress: Progress = _tell_nobody,
    ) -> None:
        self.slots = options.slots or workload.slots
        assert 1 <= options.workers <= self.slots, "every worker has a slot"
        #: What reality has added; known when it has run.
        self.overhead = Overhead()
        #: Jobs that were cancelled because the replay ended before them, and those that could not
        #: be.
        self.cancelled = 0
        self.left_open = 0
        self._client = client
        self._workload = workload
        self._options = options
        self._speed = speed
        self._check = check
        self._progress = progress
        run_id = f"replay-{uuid.uuid4().hex[:8]}"
        estimates = Estimates(options.estimates, options.seed, workload.jobs)
        self._jobs = [
            ReplayedJob(
                index,
                job,
                estimates.declare(job),
                options,
                slots=self.slots,
                speed=speed,
                run_id=run_id,
            )
            for index, job in enumerate(workload.jobs)
        ]
        self._by_id = {job.job_id: job for job in self._jobs}
        #: Jobs that wait for another one's end, by its name.
        self._followers: dict[str, list[ReplayedJob]] = {}
        for job in self._jobs:
            if job.spec.after is not None:
                self._followers.setdefault(job.spec.after, []).append(job)
        share, more = divmod(self.slots, options.workers)
        handlers = {run_id: self._perform}
        self._workers = [
            make_worker(share + (number < more), handlers) for number in range(options.workers)
        ]
        #: They outlive the group of everything else, for they take their leave after the jobs.
        self._serving: list[asyncio.Task[None]] = []
        self._pool = BorrowedPool(client, slots=self.slots, workers=options.workers)
        self._counts = JobCounts()
        #: By id: jobs that the service may hold unfinished; by position: how jobs ended.
        self._open: dict[str, ReplayedJob] = {}
        self._ended: dict[int, Job] = {}
        self._submitting = asyncio.Semaphore(_CALLS)
        #: V of the pool and the real instant at which the workload begins.
        self._virtual_time = 0.0
        self._begin = 0.0
        self._group = asyncio.TaskGroup()

    async def run(self) -> Run:
        """Play the workload to the end of its last job.

        Raises ``ReplayFailed``, ``UwfqError``, and whatever ``check`` raises; the service is then
        rid of the jobs, and has its users' weights back.
        """
        await self._pool.until_idle()
        try:
            async with self._group as group:
                self._serving = [asyncio.create_task(worker.serve()) for worker in self._workers]
                working = [group.create_task(_ended(serving)) for serving in self._serving]
                self._virtual_time = await self._pool.until_workers_are_seen(self._check)
                await self._pool.set_weights(self._workload.weights)
                overseer = group.create_task(self._oversee())
                # A task of its own: a group that fails while it waits for its last jobs leaves the
                # task that it is in looking as if it were cancelled (Python 3.11, 3.12).
                await group.create_task(self._play_all())
                overseer.cancel()
                for worker in self._workers:
                    await worker.stop()
                await asyncio.gather(*working)
                pool = await self._client.get_pool()
        except BaseExceptionGroup as errors:
            if (ours := asyncio.current_task()) is not None and ours.cancelling():
                # What broke while we were being interrupted is not the reason.
                raise asyncio.CancelledError from errors
            raise first_reason(errors) from errors
        finally:
            await self._tidy_up()
        options = msgspec.structs.replace(self._options, policy=pool.policy)
        ended = [(job, self._ended[job.index]) for job in self._jobs]
        around_tasks = pool.task_overhead_seconds * self._speed
        self.overhead = overhead_of(ended, self._speed, around_tasks)
        return measured_run(
            self._workload,
            options,
            ended,
            slots=self.slots,
            speed=self._speed,
            virtual_time=self._virtual_time,
        )

    # -- jobs -------------------------------------------------------------------------------------

    async def _play_all(self) -> None:
        """Submit every job in its turn, and wait for the last end."""
        loop = asyncio.get_running_loop()
        self._begin = loop.time()
        self._progress(0, len(self._jobs))
        first = [job for job in self._jobs if job.spec.after is None]
        async with asyncio.TaskGroup() as jobs:
            for job in sorted(first, key=lambda job: (job.spec.submit, job.index)):
                await _sleep_until(self._begin + job.spec.submit / self._speed)
                # Tasks take their first step in the order in which they were made, so jobs of one
                # instant reach the service in the order of the workload.
                jobs.create_task(self._play(job, jobs))

    async def _play(self, job: ReplayedJob, jobs: asyncio.TaskGroup) -> None:
        """One job, from its submission to its end."""
        loop = asyncio.get_running_loop()
        async with self._submitting:
            self._open[job.job_id] = job
            self._counts.submitted += 1
            submitted_at = loop.time()
            job.admitted(await self._client.submit(**job.submission()))
        self._add_when_due(job, job.newly_due(), submitted_at)
        await job.complete.wait()
        finished_at = loop.time()
        await self._note_end(job)
        for follower in self._followers.get(job.spec.job, ()):
            due = finished_at + follower.spec.submit / self._speed
            jobs.create_task(self._follow(follower, due, jobs))

    async def _follow(self, job: ReplayedJob, due: float, jobs: asyncio.TaskGroup) -> None:
        await _sleep_until(due)
        await self._play(job, jobs)

    async def _note_end(self, job: ReplayedJob) -> None:
        """All tasks are done, and their results on the way: wait until the service has them."""
        pause = _FIRST_PAUSE
        while not (ended := await self._client.get_job(job.job_id)).ended:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._check_end(job, ended)
        del self._open[job.job_id]
        self._ended[job.index] = ended
        self._counts.ended += 1
        self._progress(self._counts.ended, len(self._jobs))

    @staticmethod
    def _check_end(job: ReplayedJob, ended: Job) -> None:
        if not ended.succeeded:
            raise ReplayFailed(
                f"job {job.spec.job} ({job.job_id}) {ended.state.value}"
                + (f": {ended.cause}" if ended.cause else "")
            )

    def _add_when_due(self, job: ReplayedJob, stages: list[int], since: float) -> None:
        for position in stages:
            adding = self._add(job, position, since + job.delay(position) / self._speed)
            try:
                self._group.create_task(adding)
            except RuntimeError:
                # The replay is over, and a task has ended before its worker was told.
                adding.close()

    async def _add(self, job: ReplayedJob, position: int, due: float) -> None:
        await _sleep_until(due)
        async with job.adding:
            stage, last = job.addition(position)
            job.added(await self._client.add_stages(job.job_id, [stage], close=last))

    # -- tasks ------------------------------------------------------------------------------------

    async def _perform(self, task: Task) -> None:
        """Occupy a slot for as long as a task truly takes."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        job = self._by_id[task.job_id]
        position = job.position(task.stage)
        runtime = await job.runtime(position, task.index)
        await _sleep_until(began + runtime / self._speed)
        self._add_when_due(job, job.task_done(position, task.index), loop.time())

    # -- looking after it -------------------------------------------------------------------------

    async def _oversee(self) -> None:
        """Give up when the service is gone, when others take part, or when a job ends badly."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._check()
            await self._pool.look(self._counts)
            states = (JobState.FAILED, JobState.CANCELLED)
            newest = self._client.list_jobs(states=states, page_size=_LOOK_JOBS)
            async with contextlib.aclosing(newest):
                looked_at = 0
                async for ended in newest:
                    if (job := self._open.get(ended.job_id)) is not None:
                        self._check_end(job, ended)
                    looked_at += 1
                    if looked_at == _LOOK_JOBS:
                        break

    async def _tidy_up(self) -> None:
        """Leave the service as it was found, as far as it answers."""
        left = list(self._open)
        try:
            with contextlib.suppress(UwfqError, TimeoutError):
                async with asyncio.timeout(_TIDY_SECONDS):
                    while left:
                        now, left = left[:_CALLS], left[_CALLS:]
                        await asyncio.gather(*map(self._cancel, now))
                    await self._pool.put_weights_back()
                    await self._take_leave()
        finally:
            self.left_open = len(self._open)
            for serving in self._serving:
                serving.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _take_leave(self) -> None:
        """Let workers that still serve say that they go: the next replay need not wait for it."""
        async with asyncio.timeout(_LEAVE_SECONDS):
            await asyncio.gather(*(worker.stop(grace_seconds=0) for worker in self._workers))

    async def _cancel(self, job_id: str) -> None:
        # It may not have got there.
        with contextlib.suppress(NotFound):
            await self._client.cancel(job_id, "its replay has ended")
            self.cancelled += 1
        del self._open[job_id]


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for the end of a task, and leave it alone if we are cancelled before."""
    await asyncio.shield(task)


async def _sleep_until(real_instant: float) -> None:
    """Sleep until the event loop's clock shows that."""
    wait = real_instant - asyncio.get_running_loop().time()
    if wait > 0:
        await asyncio.sleep(wait)


def first_reason(error: BaseException) -> BaseException:
    """What brought a group of tasks down: our own word before all others."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [first_reason(inner) for inner in error.exceptions]
    own = [leaf for leaf in leaves if isinstance(leaf, ReplayFailed)]
    return (own or leaves)[0]
