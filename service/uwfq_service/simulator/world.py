"""The simulated world: an event heap that drives the service's own core through a workload.

Everything that a real cluster would tell the service is told here, and nothing else: jobs arrive,
workers poll, tasks run for as long as they truly take and are reported.  Time jumps from event to
event.

At one instant: completions in the order of their starts, then what the core wants to be woken for,
then stages whose delay is over, then arrivals in the order of the workload, then workers that go,
come back, or give a sign of life.  After each event the free slots are filled, one task at a time,
by the policy's order.

A job with a delay before any of its stages is submitted *open*, and a stage is added when it has
become launchable, as an engine does that reveals its stages one by one.

Same workload, same options, same run: chance comes from the seed alone.

Units: seconds from the start of the workload; work in slot-seconds.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from heapq import heappop, heappush
from operator import itemgetter
from typing import Any, Final

import msgspec

from uwfq_service.core import commands as cmd
from uwfq_service.core.events import JobEnded
from uwfq_service.core.model import Lease
from uwfq_service.core.replies import JobReply, NextTaskReply, Reply
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Limits, Settings
from uwfq_service.core.validation import MAX_SECONDS
from uwfq_service.simulator.estimates import Estimates
from uwfq_service.simulator.faults import Chance
from uwfq_service.simulator.fluid import fluid_cluster
from uwfq_service.simulator.plays import JobPlay
from uwfq_service.simulator.runs import FinishedJob, Launch, Options, Run
from uwfq_service.simulator.workers import Attempt, Worker, Workers
from uwfq_service.simulator.workload import MAX_NAME_BYTES, MAX_TEXT_BYTES, Workload

POOL: Final = "default"
FOREVER: Final = math.inf
#: What a service limits for the sake of its memory is limited by the workload here.
UNLIMITED: Final = 1 << 40
#: Finished jobs that the core remembers; nobody asks for them here.
REMEMBERED_JOBS: Final = 100
#: Seconds of silence after which a worker is given up where workers come and go, and between two of
#: its signs of life.
WORKER_TIMEOUT: Final = 10.0
SIGN_OF_LIFE_EVERY: Final = 3.0
#: So many that a job fails only if it would never end: what is looked for is how late it gets.
MAX_ATTEMPTS: Final = 1000
#: Losses, returns and signs of life of workers in a row, with no job and no task getting on in
#: between, after which a run is given up: a month of signs of life, or a blink of losses.
MAX_IDLE_EVENTS: Final = 1_000_000
#: Jobs between two calls of ``progress``.
PROGRESS_STEP: Final = 20

#: Told how many jobs of how many have finished.
Progress = Callable[[int, int], None]


class Kind(enum.IntEnum):
    """What an entry of the heap is; the order at one instant."""

    COMPLETION = 0
    WAKEUP = 1
    STAGE = 2
    ARRIVAL = 3
    WORKER_LOST = 4
    WORKER_BACK = 5
    SIGN_OF_LIFE = 6


#: Looking up a member of an enum costs as much as two calls under Python 3.11.
COMPLETION: Final = Kind.COMPLETION
WAKEUP: Final = Kind.WAKEUP


class NeverDone(ValueError):
    """A task failed, or was lost with its worker, so often that its job would never end."""


def simulate(
    workload: Workload,
    options: Options,
    *,
    keep_launches: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Play ``workload`` under ``options``.

    ``keep_launches`` keeps every attempt for the plots.  Raises ``ValueError`` for estimates that
    there are not, and ``NeverDone`` if faults leave a task no chance.
    """
    return World(workload, options, keep_launches=keep_launches, progress=progress).play()


class World:
    """One run in the making."""

    def __init__(
        self,
        workload: Workload,
        options: Options,
        *,
        keep_launches: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.workload = workload
        self.options = options
        self.slots = options.slots or workload.slots
        self._estimates = Estimates(options.estimates, options.seed, workload.jobs)
        self._chance = Chance(options.faults, options.seed)
        self._workers = Workers(self.slots, options.workers)
        self._progress = progress
        #: Attempts that are over, with their lease ids, which rise with every start.
        self._launches: list[tuple[int, Launch]] = []
        self._keep_launches = keep_launches
        self._heap: list[tuple[float, int, int, Any]] = []
        #: Breaks ties of one kind: attempts and stages count up, jobs have their place.
        self._serial = 0
        #: What workers did since a job or a task got on.
        self._idle_events = 0
        #: Jobs under way by admission number, and by their position in the workload.
        self._plays: dict[int, JobPlay] = {}
        self._finished: dict[int, FinishedJob] = {}
        #: Jobs that wait for another one's end, by its name.
        self._followers: dict[str, list[int]] = {}
        #: (instant, position, work) of every submission, and (instant, slots) of every change.
        self._submissions: list[tuple[float, int, float]] = []
        self._capacity: list[tuple[float, int]] = []
        self._now = 0.0
        self.scheduler = Scheduler(_settings(options))
        self._handlers: dict[int, Callable[[Any], None]] = {
            Kind.COMPLETION: self._complete,
            Kind.WAKEUP: self._wake,
            Kind.STAGE: self._reveal,
            Kind.ARRIVAL: self._arrive,
            Kind.WORKER_LOST: self._lose_worker,
            Kind.WORKER_BACK: self._bring_worker_back,
            Kind.SIGN_OF_LIFE: self._give_sign_of_life,
        }

    # -- the loop -------------------------------------------------------------------------------

    def play(self) -> Run:
        """Run to the end of the last job."""
        self._set_up()
        heap, handlers, scheduler = self._heap, self._handlers, self.scheduler
        jobs = len(self.workload.jobs)
        while len(self._finished) < jobs:
            due = scheduler.next_wakeup()
            assert heap or due is not None, "a job is left, and nothing will ever happen"
            # No entry is of that kind, so that nothing behind it is compared.
            if due is not None and (not heap or (due, WAKEUP) < heap[0]):
                self._now = max(self._now, due)
                self._wake(None)
            else:
                self._now, kind, _, item = heappop(heap)
                handlers[kind](item)
            if self._workers.free and scheduler.has_launchable(POOL):
                self._fill()
        return self._run()

    def _set_up(self) -> None:
        self._apply(cmd.ConfigurePool(pool=POOL, policy=self.options.policy))
        for user, weight in self.workload.weights.items():
            self._apply(cmd.SetUser(pool=POOL, user=user, weight=weight))
        for worker in self._workers.all:
            self._poll(worker)
            self._await_loss(worker.index)
        for index, job in enumerate(self.workload.jobs):
            if job.after is None:
                heappush(self._heap, (job.submit, Kind.ARRIVAL, index, index))
            else:
                self._followers.setdefault(job.after, []).append(index)
        if self._chance.workers_come_and_go:
            self._give_sign_of_life(None)

    def _apply(self, command: cmd.Command) -> Reply:
        outcome = self.scheduler.apply(command, self._now)
        for event in outcome.events:
            if type(event) is JobEnded:
                self._job_ended(event)
        return outcome.reply

    def _at(self, when: float, kind: Kind, item: Any) -> None:
        self._serial += 1
        heappush(self._heap, (when, kind, self._serial, item))

    def _wake(self, _: None) -> None:
        self._apply(cmd.Tick())

    # -- jobs -----------------------------------------------------------------------------------

    def _arrive(self, index: int) -> None:
        self._idle_events = 0
        job = self.workload.jobs[index]
        play = JobPlay(index, job, self._estimates.declare(job), self.options, self.slots)
        self._submissions.append((self._now, index, play.work))
        reply = self._apply(play.submission(POOL, self._now))
        assert isinstance(reply, JobReply), "a submission is answered by its job"
        play.admitted(reply)
        self._plays[reply.job.number] = play
        self._await(play, play.first_stages())

    def _await(self, play: JobPlay, stages: list[int]) -> None:
        """Reveal stages of an open job when their delay is over; at once if there is none."""
        for stage in stages:
            delay = play.delay(stage)
            if delay:
                self._at(self._now + delay, Kind.STAGE, (play, stage))
            else:
                self._reveal((play, stage))

    def _reveal(self, item: tuple[JobPlay, int]) -> None:
        self._idle_events = 0
        play, stage = item
        reply = self._apply(play.addition(stage))
        assert isinstance(reply, JobReply), "an addition is answered by its job"
        play.revealed(stage, reply.stages[0])

    def _job_ended(self, event: JobEnded) -> None:
        play = self._plays.pop(event.job)
        if event.state != "succeeded":
            raise NeverDone(f"job {play.spec.job!r} never ends: {event.cause}")
        self._finished[play.index] = play.finished(self._now)
        for follower in self._followers.get(play.spec.job, ()):
            delay = self.workload.jobs[follower].submit
            heappush(self._heap, (self._now + delay, Kind.ARRIVAL, follower, follower))
        if self._progress is not None and not len(self._finished) % PROGRESS_STEP:
            self._progress(len(self._finished), len(self.workload.jobs))

    # -- tasks ----------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Let every worker with a free slot ask for tasks."""
        for worker in self._workers.with_free_slots():
            while worker.free and self._poll(worker):
                pass

    def _poll(self, worker: Worker, *done: cmd.TaskResult) -> int:
        """Ask for as many tasks as there are free slots; gives how many there were."""
        reply = self._apply(self._workers.poll(worker, *done))
        assert isinstance(reply, NextTaskReply), "a poll is answered by leases"
        for lease in reply.leases:
            self._start(lease, worker)
        return len(reply.leases)

    def _start(self, lease: Lease, worker: Worker) -> None:
        play = self._plays[lease.stage.job.number]
        runtime, fails = play.runtime(lease, self._now), False
        if self._chance.tasks_may_suffer:
            runtime, fails = self._chance.attempt(runtime)
        attempt = Attempt(lease, play, runtime, fails, self._now)
        self._workers.start(worker, attempt)
        self._at(self._now + runtime + self.options.task_overhead, COMPLETION, attempt)

    def _complete(self, attempt: Attempt) -> None:
        if attempt.lost:
            return
        self._idle_events = 0
        worker = self._workers.end(attempt)
        if self._keep_launches:
            self._note(attempt, done=not attempt.fails)
        lease, runtime = attempt.lease, min(attempt.runtime, MAX_SECONDS)
        outcome: cmd.TaskSuccess | cmd.TaskFailure
        if attempt.fails:
            outcome = cmd.TaskFailure(message="bad luck", runtime=runtime)
        else:
            outcome = cmd.TaskSuccess(runtime=runtime)
        ref = cmd.TaskRef(lease_id=lease.lease_id, attempt=lease.attempt)
        result = cmd.TaskResult(task=ref, outcome=outcome)
        play = attempt.play
        if self.scheduler.has_launchable(POOL) and not (play.open and play.may_reveal(lease)):
            # Nothing comes between the result and the next poll, so they can be one command.
            self._poll(worker, result)
        else:
            self._apply(cmd.TaskDone(worker_id=worker.name, results=(result,)))
        if play.open and not attempt.fails:
            self._await(play, play.task_done(lease))

    def _note(self, attempt: Attempt, *, done: bool) -> None:
        play, lease = attempt.play, attempt.lease
        stage = play.stage_of(lease)
        launch = Launch(attempt.start, self._now, attempt.slot, play.index, stage, lease.task, done)
        self._launches.append((lease.lease_id, launch))

    # -- workers that come and go ---------------------------------------------------------------

    def _await_loss(self, index: int) -> None:
        if (uptime := self._chance.uptime()) is not None:
            self._at(self._now + uptime, Kind.WORKER_LOST, index)

    def _lose_worker(self, index: int) -> None:
        """What runs there is lost; the service learns of it by the silence alone."""
        self._count_idle_event()
        for attempt in self._workers.lose(index):
            attempt.lost = True
            if self._keep_launches:
                self._note(attempt, done=False)
        self._capacity.append((self._now, self._workers.live_slots))
        self._at(self._now + self._chance.downtime(), Kind.WORKER_BACK, index)

    def _bring_worker_back(self, index: int) -> None:
        self._count_idle_event()
        worker = self._workers.bring_back(index)
        self._capacity.append((self._now, self._workers.live_slots))
        self._poll(worker)
        self._await_loss(index)

    def _count_idle_event(self) -> None:
        self._idle_events += 1
        if self._idle_events > MAX_IDLE_EVENTS:
            raise NeverDone(
                f"workers have come, gone or given a sign of life {MAX_IDLE_EVENTS:,} times "
                f"without any task getting done, {self._now:g} s into the workload"
            )

    def _give_sign_of_life(self, _: None) -> None:
        self._count_idle_event()
        for worker in self._workers.all:
            if worker.live:
                self._apply(cmd.RenewLeases(worker_id=worker.name))
        self._at(self._now + SIGN_OF_LIFE_EVERY, Kind.SIGN_OF_LIFE, None)

    # -- the end --------------------------------------------------------------------------------

    def _run(self) -> Run:
        arrivals = [
            (at, index, self.workload.jobs[index].user, work)
            for at, index, work in self._submissions
        ]
        finishes = fluid_cluster(
            arrivals, self.slots, self._capacity, self.workload.weights
        ).finishes
        jobs = [
            msgspec.structs.replace(self._finished[index], fluid_finish=finishes[index])
            for index in range(len(self.workload.jobs))
        ]
        launches = [launch for _, launch in sorted(self._launches, key=itemgetter(0))]
        return Run(
            workload=self.workload.name,
            options=self.options,
            slots=self.slots,
            weights=self.workload.weights,
            jobs=jobs,
            launches=launches,
            capacity=self._capacity,
        )


def _settings(options: Options) -> Settings:
    """The service's settings, less what only a real clock needs."""
    stays = options.faults.worker_uptime is None
    return Settings(
        limits=Limits(
            max_id_bytes=MAX_NAME_BYTES,
            max_signature_bytes=MAX_TEXT_BYTES,
            max_stages_per_job=UNLIMITED,
            max_dependencies=UNLIMITED,
            max_tasks_per_stage=UNLIMITED,
            max_listed_tasks=UNLIMITED,
            max_input_units=UNLIMITED,
            max_ranges=UNLIMITED,
            max_jobs_per_user=UNLIMITED,
            max_jobs_per_pool=UNLIMITED,
            max_users_per_pool=UNLIMITED,
            max_workers_per_pool=UNLIMITED,
        ),
        advisory_task_runtime=options.atr,
        # A worker that holds a lease is not given up before that expires.
        lease_seconds=FOREVER if stays else WORKER_TIMEOUT,
        worker_timeout=FOREVER if stays else WORKER_TIMEOUT,
        max_attempts=MAX_ATTEMPTS,
        retention_jobs=REMEMBERED_JOBS,
    )
