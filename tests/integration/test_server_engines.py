"""An engine that places its tasks itself, over the wire: as a bridge to Spark drives it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2 as details

from tests.fakes import FakeClock, ManualJournal
from tests.integration.serving import Service, durable, refused, serving, until
from uwfq.v1 import admin_service_pb2 as admin
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.core.events import JobAdmitted

ACCEPTED = types.TASK_RESULT_STATUS_ACCEPTED
SUPERSEDED = types.TASK_RESULT_STATUS_SUPERSEDED
STALE = types.TASK_RESULT_STATUS_STALE
UNKNOWN = types.TASK_RESULT_STATUS_UNKNOWN
MIB = 1 << 20


class Bridge:
    """What runs inside an engine of eight slots."""

    def __init__(self, service: Service, engine: str = "app-1") -> None:
        self.service = service
        self.engine = engine

    async def poll(self, **fields: Any) -> rpc.NextTaskResponse:
        """The ranking, with what rides along."""
        fields.setdefault("ranking", rpc.RankingRequest())
        return await self.service.poll(self.engine, slots=8, **fields)

    async def query(self, job_id: str, **fields: Any) -> rpc.SubmitJobResponse:
        """A query appears."""
        request = rpc.SubmitJobRequest(
            user="ann",
            job_id=job_id,
            open=True,
            engine_id=self.engine,
            signature="query",
            input_bytes=64 * MIB,
            **fields,
        )
        return await self.service.jobs.SubmitJob(request)

    async def add(self, job_id: str, name: str, tasks: int) -> rpc.AddStagesResponse:
        """A stage can start."""
        cut = types.TaskList(count=tasks, task_bytes=[MIB] * tasks)
        stage = types.StageSpec(stage=name, tasks=cut, signature="scan")
        request = rpc.AddStagesRequest(job_id=job_id, stages=[stage])
        return await self.service.jobs.AddStages(request)

    async def begin(
        self, job_id: str, stage: str, tasks: Iterable[int], attempt: int = 1
    ) -> list[int]:
        """Starts ride on a poll."""
        starts = [
            types.TaskStart(job_id=job_id, stage=stage, task_index=task, attempt=attempt)
            for task in tasks
        ]
        return [ack.status for ack in (await self.poll(started=starts)).started_acks]

    async def end(
        self, job_id: str, stage: str, tasks: Iterable[int], attempt: int = 1, *, good: bool = True
    ) -> list[int]:
        """Results are reported in a batch; each attempt ran for a second."""
        failure = types.TaskFailure(message="killed", retryable=True, runtime_seconds=1)
        outcome: dict[str, Any] = (
            {"success": types.TaskSuccess(runtime_seconds=1)} if good else {"failure": failure}
        )
        results = [
            types.TaskResult(
                job_id=job_id, stage=stage, task_index=task, attempt=attempt, **outcome
            )
            for task in tasks
        ]
        request = rpc.TaskDoneRequest(worker_id=self.engine, results=results)
        return [ack.status for ack in (await self.service.jobs.TaskDone(request)).acks]

    async def run(self, job_id: str, stage: str, tasks: Iterable[int]) -> None:
        """Tasks begin, run for a second, and are done."""
        tasks = list(tasks)
        assert set(await self.begin(job_id, stage, tasks)) == {ACCEPTED}
        self.service.clock.advance(1)
        assert set(await self.end(job_id, stage, tasks)) == {ACCEPTED}

    async def drop(self, job_id: str, *stages: str) -> types.Job:
        """Stages will not be finished."""
        request = rpc.DropStagesRequest(job_id=job_id, stages=stages)
        return (await self.service.jobs.DropStages(request)).job

    async def close(self, job_id: str, *, finished: bool = True) -> types.Job:
        """The query is through."""
        request = rpc.CloseJobRequest(job_id=job_id, finished=finished)
        return (await self.service.jobs.CloseJob(request)).job

    async def job(self, job_id: str) -> types.Job:
        """The query, as the service sees it."""
        return (await self.service.jobs.GetJob(rpc.GetJobRequest(job_id=job_id))).job

    async def split(self, stage: types.StageSpec, **fields: Any) -> types.StageSplit:
        """How a stage would be cut."""
        request = rpc.SplitStageRequest(user="ann", stage=stage, **fields)
        return (await self.service.jobs.SplitStage(request, timeout=30)).split


def scan(mebibytes: int, signature: str = "scan") -> types.StageSpec:
    """A scan that Spark has not planned yet: one coarse unit."""
    described = types.InputDescriptor(unit_sizes=[mebibytes * MIB], splittable=True)
    return types.StageSpec(stage="scan", input=described, signature=signature)


# -- a life ----------------------------------------------------------------------------------------


async def test_a_query_of_several_stages_from_its_plan_to_its_end() -> None:
    """Stages reveal themselves one by one; one is tried again, one task is run twice."""
    async with serving() as service:
        bridge = Bridge(service)
        await bridge.poll()
        submitted = await bridge.query("q")
        assert not submitted.splits
        await bridge.add("q", "5.0", 4)
        ranked = (await bridge.poll()).ranking.stages
        assert [(stage.job_id, stage.stage, stage.launch_now) for stage in ranked] == [
            ("q", "5.0", 4)
        ]
        await bridge.run("q", "5.0", [0, 1])
        # An executor is lost: the rest, and what it had written, is done by a second try.
        await bridge.add("q", "5.1", 3)
        dropped = await bridge.drop("q", "5.0")
        assert dropped.stages[0].waiting == 0
        await bridge.run("q", "5.1", [0, 1])
        # The last one drags on; a second attempt of it wins.
        await bridge.begin("q", "5.1", [2])
        service.clock.advance(1)
        await bridge.begin("q", "5.1", [2], attempt=2)
        assert await bridge.end("q", "5.1", [2], attempt=2) == [ACCEPTED]
        assert await bridge.end("q", "5.1", [2], good=False) == [SUPERSEDED]
        await bridge.add("q", "7.0", 1)
        await bridge.run("q", "7.0", [0])
        job = await bridge.close("q")
        assert job.state == types.JOB_STATE_SUCCEEDED
        assert job.measured_work_slot_seconds == 7
        assert [stage.signature for stage in job.stages] == ["scan"] * 3
        assert job.stages[0].estimate_source == types.ESTIMATE_SOURCE_PRIOR
        assert job.stages[2].estimate_source == types.ESTIMATE_SOURCE_SIGNATURE_USER


async def test_a_poll_that_waits_in_vain_says_what_waits_by_then() -> None:
    """The order is what it was, but not how much of each stage is left."""
    async with serving() as service:
        bridge = Bridge(service)
        await bridge.poll()
        await bridge.query("q")
        await bridge.add("q", "5.0", 8)
        known = (await bridge.poll()).ranking.version
        request = rpc.RankingRequest(known_version=known)
        poll = asyncio.ensure_future(bridge.poll(ranking=request, wait_seconds=3))
        await service.parked(1)
        assert await bridge.end("q", "5.0", range(5)) == [ACCEPTED] * 5
        assert service.server.engine.parked == 1
        service.clock.advance(3)
        ranking = (await poll).ranking
        assert ranking.version == known
        assert [(s.waiting_tasks, s.launch_now) for s in ranking.stages] == [(3, 3)]


async def test_a_watcher_hears_of_stages_that_are_dropped() -> None:
    """Also when the job is charged as before, for what it declares of the whole."""
    async with serving() as service:
        bridge = Bridge(service)
        await bridge.query("q", estimated_work_slot_seconds=1000)
        await bridge.add("q", "5.0", 4)
        watch: Any = service.jobs.WatchJob(rpc.WatchJobRequest(job_id="q"))
        first = (await watch.read()).job
        assert first.stages[0].waiting == 4
        await bridge.drop("q", "5.0")
        # As the pause between two messages ends; the engine is not silent for long.
        service.clock.advance(0.1)
        async with asyncio.timeout(30):
            second = (await watch.read()).job
        assert second.stages[0].waiting == 0
        assert second.state == first.state
        assert second.estimated_work_slot_seconds == first.estimated_work_slot_seconds
        watch.cancel()


@pytest.mark.parametrize("finished", [True, False])
async def test_a_query_without_a_task_has_succeeded(finished: bool) -> None:
    """It was answered from what the engine had."""
    async with serving() as service:
        bridge = Bridge(service)
        await bridge.query("q")
        job = await bridge.close("q", finished=finished)
        assert (job.state, job.open) == (types.JOB_STATE_SUCCEEDED, False)


async def test_a_query_that_is_through_leaves_nothing_behind() -> None:
    """Half of a stage is not needed any more, and one of its tasks runs still."""
    async with serving() as service:
        bridge = Bridge(service)
        await bridge.query("q")
        await bridge.add("q", "5.0", 6)
        await bridge.run("q", "5.0", [0, 1])
        await bridge.begin("q", "5.0", [2])
        assert (await bridge.close("q", finished=False)).state == types.JOB_STATE_RUNNING
        assert (await bridge.close("q")).state == types.JOB_STATE_SUCCEEDED
        assert not (await bridge.poll()).ranking.stages
        assert await bridge.end("q", "5.0", [2]) == [STALE]


async def test_a_cancelled_query_ends_its_attempts() -> None:
    """Their results come too late."""
    async with serving() as service:
        bridge = Bridge(service)
        await bridge.query("q")
        await bridge.add("q", "5.0", 4)
        await bridge.begin("q", "5.0", [0, 1])
        service.clock.advance(2)
        cancelled = await service.jobs.CancelJob(rpc.CancelJobRequest(job_id="q", reason="failed"))
        assert cancelled.job.state == types.JOB_STATE_CANCELLED
        assert cancelled.job.measured_work_slot_seconds == 4
        assert await bridge.end("q", "5.0", [0, 1], good=False) == [STALE, STALE]


async def test_only_an_engine_drops_and_finishes() -> None:
    """FAILED_PRECONDITION says what to use instead."""
    async with serving() as service:
        job_id = (await service.submit()).job_id
        for call in (
            service.jobs.DropStages(rpc.DropStagesRequest(job_id=job_id, stages=["only"])),
            service.jobs.CloseJob(rpc.CloseJobRequest(job_id=job_id, finished=True)),
        ):
            refusal = await refused(call)
            assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
            assert refusal.reason == "TASKS_ARE_LEASED"
        bridge = Bridge(service)
        await bridge.query("q")
        refusal = await refused(bridge.drop("q", "5.0"))
        assert refusal.code is grpc.StatusCode.NOT_FOUND
        assert refusal.detail(details.ResourceInfo).resource_name == "5.0"


# -- silence, goodbyes, breaks ---------------------------------------------------------------------


async def test_an_engine_that_falls_silent_has_its_queries_cancelled() -> None:
    """Nobody would finish them; what comes back later submits under another name."""
    async with serving() as service:
        bridge = Bridge(service)
        await bridge.query("q")
        await bridge.add("q", "5.0", 2)
        service.clock.advance(119)
        await bridge.poll()
        service.clock.advance(121)
        job = await bridge.job("q")
        assert job.state == types.JOB_STATE_CANCELLED
        assert "silent" in job.cause
        refusal = await refused(bridge.add("q", "6.0", 2))
        assert refusal.reason == "JOB_NOT_OPEN"
        assert not (await bridge.query("q/2")).duplicate


async def test_an_engine_says_goodbye_while_it_polls() -> None:
    """Its poll is answered at once, and does not bring it back."""
    async with serving() as service:
        bridge = Bridge(service)
        await bridge.query("q")
        await bridge.add("q", "5.0", 2)
        version = (await bridge.poll()).ranking.version
        known = rpc.RankingRequest(known_version=version)
        parked = asyncio.ensure_future(bridge.poll(ranking=known, wait_seconds=60))
        await service.parked(1)
        result = types.TaskResult(
            job_id="q",
            stage="5.0",
            attempt=1,
            success=types.TaskSuccess(runtime_seconds=1),
        )
        request = rpc.NextTaskRequest(
            worker_id=bridge.engine, leaving=True, wait_seconds=60, done=[result]
        )
        goodbye = await service.jobs.NextTask(request, timeout=30)
        assert [ack.status for ack in goodbye.done_acks] == [ACCEPTED]
        await parked
        job = await bridge.job("q")
        assert (job.state, job.measured_work_slot_seconds) == (types.JOB_STATE_CANCELLED, 1)
        assert "has left" in job.cause
        assert not service.server.engine.parked
        pool = (await service.admin.GetPool(admin.GetPoolRequest())).pool
        assert (pool.workers, pool.slots, pool.jobs) == (0, 0, 0)


@pytest.mark.parametrize("lost", [False, True])
async def test_after_a_break_an_engine_says_all_once_more(tmp_path: Path, lost: bool) -> None:
    """To a service that knows it already, and to one that has lost its data, it is the same."""
    clock = FakeClock()
    async with durable(tmp_path / "a", clock) as service:
        bridge = Bridge(service)
        await bridge.query("q")
        await bridge.add("q", "5.0", 2)
        await bridge.run("q", "5.0", [0, 1])
        await bridge.add("q", "7.0", 4)
        await bridge.run("q", "7.0", [0])
        await bridge.begin("q", "7.0", [1, 2])
    clock.advance(10)
    async with durable(tmp_path / ("b" if lost else "a"), clock) as service:
        bridge = Bridge(service)
        # The first sign of what has happened.
        assert await bridge.begin("q", "7.0", [3]) == [UNKNOWN if lost else ACCEPTED]
        assert (await bridge.query("q")).duplicate is not lost
        for name, tasks in (("5.0", 2), ("7.0", 4)):
            assert (await bridge.add("q", name, tasks)).splits[0].task_count == tasks
        again = ACCEPTED if lost else SUPERSEDED
        assert await bridge.end("q", "5.0", [0, 1]) == [again] * 2
        assert await bridge.end("q", "7.0", [0]) == [again]
        assert await bridge.begin("q", "7.0", [1, 2, 3]) == [ACCEPTED] * 3
        clock.advance(1)
        assert await bridge.end("q", "7.0", [1, 2, 3]) == [ACCEPTED] * 3
        job = await bridge.close("q")
        assert job.state == types.JOB_STATE_SUCCEEDED
        assert job.measured_work_slot_seconds == 6
        assert [stage.done for stage in job.stages] == [2, 4]


async def test_a_dropped_stage_stays_dropped_after_a_restart(tmp_path: Path) -> None:
    """Its attempts go on, and its job ends with the last of them."""
    clock = FakeClock()
    async with durable(tmp_path, clock) as service:
        bridge = Bridge(service)
        await bridge.query("q")
        await bridge.add("q", "5.0", 4)
        await bridge.begin("q", "5.0", [3])
        await bridge.drop("q", "5.0")
        charged = (await bridge.close("q", finished=False)).estimated_work_slot_seconds
    async with durable(tmp_path, clock) as service:
        bridge = Bridge(service)
        job = await bridge.job("q")
        assert job.estimated_work_slot_seconds == charged
        assert (job.stages[0].waiting, job.stages[0].running) == (0, 1)
        assert await bridge.end("q", "5.0", [3]) == [ACCEPTED]
        assert (await bridge.job("q")).state == types.JOB_STATE_SUCCEEDED


# -- advice ----------------------------------------------------------------------------------------


async def test_what_is_advised_is_what_is_done() -> None:
    """The same cut, range by range, before and after something is known."""
    async with serving() as service:
        bridge = Bridge(service)
        await bridge.poll()
        await bridge.query("q")
        guess = await bridge.split(scan(100))
        assert (guess.task_count, guess.reason) == (8, types.SPLIT_REASON_GUESS)
        await bridge.add("q", "5.0", 4)
        await bridge.run("q", "5.0", range(4))
        advised = await bridge.split(scan(300), signature="query")
        assert advised.reason == types.SPLIT_REASON_ADVISORY_RUNTIME
        assert advised.estimate_source == types.ESTIMATE_SOURCE_SIGNATURE_USER
        assert advised.task_count == 400, "300 slot-seconds at 0.75 seconds a task"
        request = rpc.AddStagesRequest(job_id="q", stages=[scan(300)])
        (done,) = (await service.jobs.AddStages(request)).splits
        assert done == advised
        counted = await bridge.split(scan(300), signature="query", omit_ranges=True)
        assert not counted.ranges
        assert counted.task_count == advised.task_count


async def test_advice_does_not_wait_for_the_disk() -> None:
    """And writes nothing, while the disk is busy with what a submission has decided."""
    journal = ManualJournal(held=False)
    async with serving(journal=journal) as service:
        bridge = Bridge(service)
        await bridge.poll()
        journal.held = True
        submission = asyncio.ensure_future(bridge.query("q"))
        await until(lambda: any(isinstance(event, JobAdmitted) for event in journal.events))
        written = len(journal.events)
        assert (await bridge.split(scan(100))).task_count == 8
        refusal = await refused(bridge.split(scan(100), pool="none"))
        assert refusal.reason == "UNKNOWN_POOL"
        assert len(journal.events) == written
        assert not submission.done()
        journal.held = False
        journal.sync()
        await submission


async def test_advice_on_nonsense_names_the_field() -> None:
    """As AddStages would."""
    async with serving() as service:
        bridge = Bridge(service)
        for request, field in (
            (rpc.SplitStageRequest(user="ann"), "stage"),
            (rpc.SplitStageRequest(stage=scan(1)), "user"),
            (rpc.SplitStageRequest(user="ann", stage=scan(0)), "stage.input.unit_sizes"),
            (rpc.SplitStageRequest(user="ann", stage=scan(1, "x" * 257)), "stage.signature"),
            (rpc.SplitStageRequest(user="ann", stage=scan(1), signature="x" * 257), "signature"),
        ):
            refusal = await refused(bridge.service.jobs.SplitStage(request))
            assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
            (violation,) = refusal.detail(details.BadRequest).field_violations
            assert violation.field == field
