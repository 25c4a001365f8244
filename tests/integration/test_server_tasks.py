"""Leases over the wire: polls that wait, results that ride along, renewals, rankings."""

import asyncio
from typing import Any

import grpc
from google.rpc import error_details_pb2 as details

from tests.integration.serving import refused, result, serving
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types


async def test_a_long_poll_returns_with_the_first_task() -> None:
    """The worker waits on the service, not on a timer."""
    async with serving() as service:
        poll = asyncio.ensure_future(service.poll(wait_seconds=30))
        await service.parked(1)
        job_id = (await service.submit()).job_id
        assert [lease.job_id for lease in (await poll).leases] == [job_id]


async def test_a_long_poll_returns_empty_after_its_wait() -> None:
    """And not before."""
    async with serving() as service:
        poll = asyncio.ensure_future(service.poll(wait_seconds=3))
        await service.parked(1)
        service.clock.advance(2.9)
        await asyncio.sleep(0)
        assert not poll.done()
        service.clock.advance(0.1)
        assert not (await poll).leases


async def test_a_long_poll_answers_before_its_callers_deadline() -> None:
    """An empty answer in time is worth more than DEADLINE_EXCEEDED."""
    async with serving() as service:
        poll = asyncio.ensure_future(service.poll(wait_seconds=60, deadline=4))
        await service.parked(1)
        service.clock.advance(4)
        assert not (await poll).leases


async def test_a_long_poll_is_cut_to_the_services_limit() -> None:
    """Whatever is asked for."""
    async with serving(server__max_poll_seconds=2) as service:
        poll = asyncio.ensure_future(service.poll(wait_seconds=float("inf"), deadline=30))
        await service.parked(1)
        service.clock.advance(2)
        assert not (await poll).leases


async def test_a_wait_must_be_a_duration() -> None:
    """NaN and negative numbers are none."""
    async with serving() as service:
        for wait in (-1.0, float("nan")):
            refusal = await refused(service.poll(wait_seconds=wait))
            (violation,) = refusal.detail(details.BadRequest).field_violations
            assert violation.field == "wait_seconds"


async def test_a_poll_that_was_hung_up_gets_no_lease() -> None:
    """The next worker gets the task, at once."""
    async with serving() as service:
        gone = asyncio.ensure_future(service.poll("gone", wait_seconds=30))
        await service.parked(1)
        waiting = asyncio.ensure_future(service.poll("waiting", wait_seconds=30))
        await service.parked(2)
        gone.cancel()
        # The cancellation and the submission take the same connection, in this order.
        await service.submit()
        assert len((await waiting).leases) == 1


async def test_results_ride_along_on_a_poll() -> None:
    """One RPC per batch: report the last one, get the next one."""
    async with serving() as service:
        await service.submit(tasks=2)
        first = await service.poll(poll_id=1)
        second = await service.poll(poll_id=2, done=map(result, first.leases))
        assert [ack.status for ack in second.done_acks] == [types.TASK_RESULT_STATUS_ACCEPTED]
        assert second.leases[0].task_index == 1


async def test_a_start_needs_no_attempt_beside_its_lease() -> None:
    """A lease is one attempt; another number beside it is a mistake all the same."""
    async with serving() as service:
        await service.submit()
        (lease,) = (await service.poll(slots=2)).leases
        starts = [types.TaskStart(lease_id=lease.lease_id, attempt=n) for n in (0, 1, 2)]
        reply = await service.poll(slots=2, started=starts)
        assert [ack.status for ack in reply.started_acks] == [
            types.TASK_RESULT_STATUS_ACCEPTED,
            types.TASK_RESULT_STATUS_ACCEPTED,
            types.TASK_RESULT_STATUS_STALE,
        ]


async def test_an_answer_stays_below_what_a_client_takes_in() -> None:
    """Many large payloads come in several answers, each as full as it may be."""
    async with serving() as service:
        payload = bytes(64 * 1024)
        labels = {"note": "ä" * 2000}
        stage = types.StageSpec(stage="s", tasks=types.TaskList(count=100), payload=payload)
        request = rpc.SubmitJobRequest(user="ann", stages=[stage], labels=labels)
        await service.jobs.SubmitJob(request)
        first = await service.poll(slots=100)
        assert 3.2 * 1024**2 < first.ByteSize() < 3.7 * 1024**2
        rest = await service.poll(slots=100, free_slots=100 - len(first.leases))
        assert len(first.leases) + len(rest.leases) == 100


async def test_one_lease_is_granted_however_large() -> None:
    """A payload above the limit must not keep its task from running."""
    async with serving(limits__max_leased_bytes=1) as service:
        await service.submit(tasks=3)
        assert len((await service.poll(slots=3)).leases) == 1


async def test_a_repeated_poll_gets_the_same_leases() -> None:
    """A lost reply costs nothing."""
    async with serving() as service:
        await service.submit(tasks=4)
        first = await service.poll(poll_id=5)
        again = await service.poll(poll_id=5)
        assert [lease.lease_id for lease in again.leases] == [
            lease.lease_id for lease in first.leases
        ]


async def test_a_poll_that_repeats_one_that_waits_gets_its_leases() -> None:
    """Its connection may have broken without a word: what came would go there and be lost."""
    async with serving() as service:
        broken = asyncio.ensure_future(service.poll(poll_id=5, wait_seconds=30, deadline=60))
        await service.parked(1)
        service.clock.advance(1)
        again = asyncio.ensure_future(service.poll(poll_id=5, wait_seconds=30, deadline=60))
        assert not (await broken).leases
        await service.parked(1)
        job_id = (await service.submit()).job_id
        assert [lease.job_id for lease in (await again).leases] == [job_id]


async def test_a_result_without_an_outcome_is_refused() -> None:
    """A oneof that nobody set."""
    async with serving() as service:
        request = rpc.TaskDoneRequest(worker_id="w", results=[types.TaskResult(lease_id=1)])
        refusal = await refused(service.jobs.TaskDone(request))
        (violation,) = refusal.detail(details.BadRequest).field_violations
        assert violation.field == "results[0].outcome"


async def test_a_failed_task_comes_back_as_its_next_attempt() -> None:
    """After its backoff."""
    async with serving() as service:
        await service.submit()
        (lease,) = (await service.poll()).leases
        failure = types.TaskFailure(message="disk on fire", retryable=True, runtime_seconds=0.1)
        failed = types.TaskResult(lease_id=lease.lease_id, attempt=1, failure=failure)
        await service.jobs.TaskDone(rpc.TaskDoneRequest(worker_id="w", results=[failed]))
        poll = asyncio.ensure_future(service.poll(wait_seconds=60, deadline=30))
        await service.parked(1)
        service.clock.advance(5)
        assert [again.attempt for again in (await poll).leases] == [2]


async def test_leases_are_renewed_and_revoked() -> None:
    """A cancelled job's leases are void at the next renewal."""
    async with serving() as service:
        job_id = (await service.submit()).job_id
        (lease,) = (await service.poll()).leases
        service.clock.advance(10)
        request = rpc.RenewLeasesRequest(worker_id="w")
        (renewal,) = (await service.jobs.RenewLeases(request)).renewals
        assert (renewal.lease_id, renewal.status) == (lease.lease_id, rpc.LEASE_STATUS_RENEWED)
        assert renewal.expires_in_seconds == 30
        await service.jobs.CancelJob(rpc.CancelJobRequest(job_id=job_id))
        (renewal,) = (await service.jobs.RenewLeases(request)).renewals
        assert renewal.status == rpc.LEASE_STATUS_REVOKED


async def test_a_waiting_worker_is_told_at_once_that_its_job_is_cancelled() -> None:
    """It has a slot left and waits for work; the other worker, who holds nothing, waits on."""
    async with serving() as service:
        job_id = (await service.submit()).job_id
        (lease,) = (await service.poll(slots=2)).leases
        idle = asyncio.ensure_future(service.poll("idle", wait_seconds=60, deadline=50))
        await service.parked(1)
        waiting = asyncio.ensure_future(
            service.poll(slots=2, free_slots=1, wait_seconds=60, deadline=50)
        )
        await service.parked(2)
        await service.jobs.CancelJob(rpc.CancelJobRequest(job_id=job_id))
        answer = await waiting
        assert (list(answer.revoked_lease_ids), list(answer.leases)) == ([lease.lease_id], [])
        await service.parked(1)
        await service.submit()
        assert not (await idle).revoked_lease_ids


async def test_a_waiting_worker_is_told_at_once_that_its_task_took_too_long() -> None:
    """Before the backoff is over and the task is there again."""
    async with serving() as service:
        stage = types.StageSpec(
            stage="s", tasks=types.TaskList(count=1), task_timeout_seconds=5, max_attempts=2
        )
        await service.jobs.SubmitJob(rpc.SubmitJobRequest(user="ann", stages=[stage]))
        (lease,) = (await service.poll(slots=2)).leases
        waiting = asyncio.ensure_future(
            service.poll(slots=2, free_slots=1, wait_seconds=60, deadline=50)
        )
        await service.parked(1)
        service.clock.advance(5.01)
        answer = await waiting
        assert (list(answer.revoked_lease_ids), list(answer.leases)) == ([lease.lease_id], [])


async def test_an_expired_lease_wakes_a_waiting_worker() -> None:
    """Silence gives the task to somebody else, without anyone asking."""
    async with serving() as service:
        await service.submit()
        await service.poll("silent")
        other = asyncio.ensure_future(service.poll("other", wait_seconds=60, deadline=50))
        await service.parked(1)
        service.clock.advance(30.1)
        (lease,) = (await other).leases
        assert lease.attempt == 2


async def test_a_ranking_names_the_launchable_stages_in_order() -> None:
    """For an engine that places tasks itself; it waits while nothing has changed."""
    async with serving() as service:
        submit: dict[str, Any] = {"engine_id": "spark", "estimated_work_slot_seconds": 4.0}
        first = (await service.submit(user="ann", **submit)).job_id
        ask: dict[str, Any] = {"ranking": rpc.RankingRequest(), "slots": 2}
        answer = await service.poll("spark", **ask)
        assert [stage.job_id for stage in answer.ranking.stages] == [first]
        ask["ranking"] = rpc.RankingRequest(known_version=answer.ranking.version)
        poll = asyncio.ensure_future(service.poll("spark", wait_seconds=30, **ask))
        await service.parked(1)
        second = (await service.submit(user="bob", **submit)).job_id
        changed = (await poll).ranking
        assert changed.version > answer.ranking.version
        assert {stage.job_id for stage in changed.stages} == {first, second}


async def test_a_policy_without_deadlines_has_no_ranking() -> None:
    """FAILED_PRECONDITION says which policies have one."""
    async with serving(pools__default__policy="fair") as service:
        refusal = await refused(service.poll("spark", ranking=rpc.RankingRequest()))
        assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refusal.reason == "POLICY_HAS_NO_RANKING"
