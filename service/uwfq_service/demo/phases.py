"""One phase of the demo: a service, its workers, the users' jobs, and what came of them.

Every phase starts from nothing: a service with an empty journal (a SQLite file in a temporary
directory, its default), fresh worker processes, and a warm-up from which it learns what the work
costs.  So no phase profits from the one before.

The service listens on a Unix socket in the temporary directory, which nobody else can take.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from uwfq_client import Client, Job, Pool, UwfqError
from uwfq_service.demo import query, timeline
from uwfq_service.demo.display import Display, UserView
from uwfq_service.demo.processes import (
    ChildFailed,
    Children,
    children,
    directory_for_a_socket,
)
from uwfq_service.demo.results import JobOutcome, Phase, PhaseOutcome
from uwfq_service.demo.sizing import Scale
from uwfq_service.demo.timeline import Spent
from uwfq_service.demo.workload import KIND, USERS, JobPlan, warm_up

#: How long the service and the workers may take to come up, seconds.
_START_SECONDS: Final = 30.0
#: How often the users are looked at for the display, seconds.
_LOOK_SECONDS: Final = 0.25


class DemoFailed(Exception):
    """The demo cannot go on; ``str()`` says why."""


@dataclasses.dataclass(slots=True)
class _Answered:
    """A job that has ended, by the submitter's clock."""

    plan: JobPlan
    #: Slot-seconds that the service assumed at first.
    estimated: float
    job: Job
    ended: float


async def run_phase(
    phase: Phase, title: str, jobs: Sequence[JobPlan], scale: Scale, display: Display
) -> PhaseOutcome:
    """Run all jobs under one phase's policy and cut."""
    with (
        tempfile.TemporaryDirectory(prefix="uwfq-demo-", dir=directory_for_a_socket()) as name,
        children(Path(name)) as processes,
    ):
        directory = Path(name)
        target = f"unix:{directory / 'uwfq.sock'}"
        display.busy(f"{title}: starting the service and {scale.slots} workers")
        async with Client(target) as client:
            await _start(processes, client, target, directory, phase, scale)
            run = _Run(client, processes, phase, scale, directory)
            display.busy(f"{title}: a few tiny jobs, from which it learns what work costs")
            await run.all_of(warm_up(list(jobs)), None, "")
            begun, answered = await run.all_of(jobs, display, title)
            pool = await client.get_pool()
        processes.stop()
        return _collect(phase, begun, answered, pool, scale, directory)


def _collect(
    phase: Phase,
    begun: float,
    answered: Sequence[_Answered],
    pool: Pool,
    scale: Scale,
    directory: Path,
) -> PhaseOutcome:
    """What came of the phase, from the submitter's clock and the workers' marks."""
    runs = timeline.read_traces(directory.glob("worker-*.trace"))
    windows = {job.plan.name: (begun + job.plan.arrives, job.ended) for job in answered}
    spent = timeline.spent(windows, runs, scale.slots)
    ended = max(job.ended for job in answered)
    return PhaseOutcome(
        phase=phase,
        jobs=tuple(_outcome(job, spent[job.plan.name], directory / "results") for job in answered),
        makespan=ended - begun,
        busy=timeline.busy_share(runs, begun, ended, scale.slots),
        task_overhead=pool.task_overhead_seconds,
        work=sum(run.ended - run.begun for run in runs if run.job in windows),
    )


def _outcome(answered: _Answered, spent: Spent, results: Path) -> JobOutcome:
    plan = answered.plan
    answer = query.read_answer(results / plan.name)
    expected = sum(plan.groups * file.rows // len(file.group_bytes) for file in plan.files)
    if answer.rows != expected:
        raise DemoFailed(f"job {plan.name} read {answer.rows} lines instead of {expected}")
    return JobOutcome(
        name=plan.name,
        user=plan.user,
        arrived=plan.arrives,
        tasks=answered.job.task_count,
        spent=spent,
        estimated=answered.estimated,
        measured=answered.job.measured_work_slot_seconds,
        answer=answer,
    )


async def _start(
    processes: Children, client: Client, target: str, directory: Path, phase: Phase, scale: Scale
) -> None:
    """Bring up the service and one worker per slot, and wait until all slots are known."""
    processes.start(
        "service",
        "uwfq_service.cli",
        [
            "serve",
            *("--listen", target, "--data", str(directory / "data"), "--log-level", "warning"),
            *("--set", f"pools.default.policy={phase.policy}"),
        ],
    )
    for number in range(scale.slots):
        trace = directory / f"worker-{number}.trace"
        processes.start(f"worker-{number}", "uwfq_service.demo.worker", [target, str(trace)])
    deadline = time.monotonic() + _START_SECONDS
    slots = 0
    while slots < scale.slots:
        processes.check()
        if time.monotonic() > deadline:
            raise DemoFailed(
                f"only {slots} of {scale.slots} workers came up in {_START_SECONDS:.0f} s"
            )
        with contextlib.suppress(UwfqError):  # Not listening yet.
            slots = (await client.get_pool(timeout=1.0)).slots
        await asyncio.sleep(0.05)


class _Run:
    """Jobs under way in one phase."""

    def __init__(
        self, client: Client, processes: Children, phase: Phase, scale: Scale, directory: Path
    ) -> None:
        self._client = client
        self._processes = processes
        self._phase = phase
        self._scale = scale
        self._results = directory / "results"
        #: Jobs that have arrived, and those that have ended.
        self._arrived: list[JobPlan] = []
        self._answered: list[_Answered] = []

    async def all_of(
        self, jobs: Sequence[JobPlan], display: Display | None, title: str
    ) -> tuple[float, list[_Answered]]:
        """Submit each job when it is due, and wait for all; the start, and what has ended."""
        self._arrived, self._answered = [], []
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(self._one(job, begun)) for job in jobs]
            while not all(task.done() for task in waiting):
                self._processes.check()
                if display:
                    elapsed = time.monotonic() - begun
                    display.phase(title, elapsed, await self._views(jobs))
                await asyncio.wait(waiting, timeout=_LOOK_SECONDS)
        return begun, self._answered

    async def _one(self, plan: JobPlan, begun: float) -> None:
        """One job's way, as its user walks it."""
        await asyncio.sleep(begun + plan.arrives - time.monotonic())
        self._arrived.append(plan)
        submitted = await self._client.submit(
            user=plan.user,
            kind=KIND,
            job_id=plan.name,
            signature=plan.signature,
            stages=plan.stages(
                self._results,
                partitioned=self._phase.partitioned,
                runtime=self._scale.advisory_task_runtime,
            ),
            omit_ranges=True,
        )
        job = await self._client.wait(plan.name)
        ended = time.monotonic()
        if not job.succeeded:
            raise DemoFailed(f"job {plan.name} {job.state}: {job.cause}")
        self._answered.append(_Answered(plan, submitted.estimated_work_slot_seconds, job, ended))

    async def _views(self, jobs: Sequence[JobPlan]) -> list[UserView]:
        try:
            known = {user.user: user async for user in self._client.list_users(timeout=5.0)}
        except UwfqError as error:
            self._processes.check()
            raise DemoFailed(f"the service does not answer: {error}") from error
        views = []
        for name in USERS:
            responses = [
                done.job.finished_at.timestamp() - done.job.submitted_at.timestamp()
                for done in self._answered
                if done.plan.user == name and done.job.finished_at
            ]
            user = known.get(name)
            views.append(
                UserView(
                    user=name,
                    jobs=sum(plan.user == name for plan in jobs),
                    arrived=sum(plan.user == name for plan in self._arrived),
                    answered=len(responses),
                    running=user.running_slots if user else 0,
                    waiting=user.launchable_tasks if user else 0,
                    mean_response=sum(responses) / len(responses) if responses else None,
                )
            )
        return views


def first_reason(error: BaseException) -> BaseException:
    """What brought a group of tasks down: the demo's own errors before all others."""
    if isinstance(error, BaseExceptionGroup):
        leaves = [first_reason(inner) for inner in error.exceptions]
        own = [leaf for leaf in leaves if isinstance(leaf, DemoFailed | ChildFailed)]
        return own[0] if own else leaves[0]
    return error
