"""Jobs over the wire: submitting, looking, watching, ending."""

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2 as details

from tests.integration.serving import Service, refused, result, serving, until
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.core.inquiry import STEP_JOBS, Explanation, Inquiry


async def time_passes(service: Service, waiting: asyncio.Future[Any]) -> None:
    """Let the service's time pass until somebody has what they wait for."""
    async with asyncio.timeout(30):
        while not waiting.done():
            service.clock.advance(0.1)
            await asyncio.sleep(0.001)


async def test_a_job_travels_from_submission_to_its_end() -> None:
    """Submit, lease, report, done: the journey of the README."""
    async with serving() as service:
        submitted = await service.submit(tasks=2, kind="count", labels={"team": "a"})
        assert submitted.splits[0].task_count == 2
        leased = await service.poll(slots=2)
        assert [lease.task_index for lease in leased.leases] == [0, 1]
        assert leased.leases[0].kind == "count"
        assert dict(leased.leases[0].labels) == {"team": "a"}
        service.clock.advance(1)
        done = await service.jobs.TaskDone(
            rpc.TaskDoneRequest(worker_id="w", results=map(result, leased.leases))
        )
        accepted = types.TASK_RESULT_STATUS_ACCEPTED
        assert [ack.status for ack in done.acks] == [accepted, accepted]
        job = (await service.jobs.GetJob(rpc.GetJobRequest(job_id=submitted.job_id))).job
        assert job.state == types.JOB_STATE_SUCCEEDED
        assert job.measured_work_slot_seconds == 1.0
        assert job.finished_at.ToSeconds() == job.submitted_at.ToSeconds() + 1


async def test_an_input_is_cut_into_ranges_unless_they_are_not_wanted() -> None:
    """Ranges cover the input; `omit_ranges` leaves them out of the answer only."""
    stage = types.StageSpec(
        stage="scan",
        input=types.InputDescriptor(unit_sizes=[10, 10, 10, 10]),
        estimated_work_slot_seconds=3.0,
    )
    async with serving() as service:
        full = await service.jobs.SubmitJob(rpc.SubmitJobRequest(user="a", stages=[stage]))
        (split,) = full.splits
        assert split.task_count == len(split.ranges) > 1
        assert (split.ranges[0].begin_unit, split.ranges[-1].end_unit) == (0, 4)
        brief = await service.jobs.SubmitJob(
            rpc.SubmitJobRequest(user="a", stages=[stage], omit_ranges=True)
        )
        assert brief.splits[0].task_count == split.task_count
        assert not brief.splits[0].ranges
        lease = (await service.poll()).leases[0]
        assert lease.range == split.ranges[lease.task_index]


async def test_a_repeated_submission_is_answered_again_and_a_conflicting_one_refused() -> None:
    """The idempotency key decides, the content is compared."""
    async with serving() as service:
        first = await service.submit(request_id="r1")
        again = await service.submit(request_id="r1")
        assert (again.job_id, again.duplicate) == (first.job_id, True)
        other = await refused(service.submit(request_id="r1", tasks=7))
        assert other.code is grpc.StatusCode.ALREADY_EXISTS
        assert other.detail(details.ResourceInfo).resource_name == first.job_id


async def test_a_wrong_field_is_named_with_its_remedy() -> None:
    """BadRequest says which field, as the API writes it."""
    async with serving() as service:
        stage = types.StageSpec(stage="s", estimated_work_slot_seconds=-1)
        refusal = await refused(
            service.jobs.SubmitJob(rpc.SubmitJobRequest(user="a", stages=[stage]))
        )
        assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
        (violation,) = refusal.detail(details.BadRequest).field_violations
        assert violation.field == "stages[0].estimated_work_slot_seconds"
        assert "more than 0" in violation.description


async def test_splittable_units_must_point_at_units() -> None:
    """What only the message can show is checked before the core sees it."""
    described = types.InputDescriptor(unit_sizes=[1, 1], splittable_units=[2])
    stage = types.StageSpec(stage="s", input=described)
    async with serving() as service:
        refusal = await refused(
            service.jobs.SubmitJob(rpc.SubmitJobRequest(user="a", stages=[stage]))
        )
        (violation,) = refusal.detail(details.BadRequest).field_violations
        assert violation.field == "stages[0].input.splittable_units"


async def test_what_does_not_exist_is_named() -> None:
    """NOT_FOUND carries the kind and the name."""
    async with serving() as service:
        refusal = await refused(service.jobs.GetJob(rpc.GetJobRequest(job_id="nobody's")))
        assert refusal.code is grpc.StatusCode.NOT_FOUND
        assert refusal.detail(details.ResourceInfo).resource_name == "nobody's"
        pool = await refused(service.submit(pool="nowhere"))
        assert pool.detail(details.ResourceInfo).resource_type == "pool"


async def test_a_full_backlog_says_when_to_try_again() -> None:
    """RESOURCE_EXHAUSTED carries RetryInfo."""
    async with serving(limits__max_jobs_per_user=1) as service:
        await service.submit()
        refusal = await refused(service.submit())
        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.detail(details.RetryInfo).retry_delay.ToMilliseconds() > 0
        assert refusal.reason == "BACKLOG_FULL"


async def test_an_open_job_grows_until_it_is_closed() -> None:
    """AddStages is idempotent by stage name; a closed job takes none."""
    async with serving() as service:
        job_id = (await service.jobs.SubmitJob(rpc.SubmitJobRequest(user="a", open=True))).job_id
        stage = types.StageSpec(stage="s", tasks=types.TaskList(count=3))
        request = rpc.AddStagesRequest(job_id=job_id, stages=[stage])
        assert (await service.jobs.AddStages(request)).splits[0].task_count == 3
        assert (await service.jobs.AddStages(request)).splits[0].task_count == 3
        closed = await service.jobs.CloseJob(rpc.CloseJobRequest(job_id=job_id))
        assert not closed.job.open
        request.stages[0].stage = "t"
        refusal = await refused(service.jobs.AddStages(request))
        assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refusal.reason == "JOB_NOT_OPEN"


async def test_a_cancelled_job_ends_at_once_and_keeps_its_reason() -> None:
    """Cancelling twice gives the state that it ended in."""
    async with serving() as service:
        job_id = (await service.submit()).job_id
        request = rpc.CancelJobRequest(job_id=job_id, reason="not needed")
        for _ in range(2):
            job = (await service.jobs.CancelJob(request)).job
            assert job.state == types.JOB_STATE_CANCELLED
            assert job.cause == "not needed"


async def test_a_page_of_jobs_is_no_larger_than_clients_take_in() -> None:
    """GRPC clients refuse more than 4 MiB by default, and would never come past that page."""
    stages = [
        types.StageSpec(stage=f"{n:0>128}", signature="s" * 256, tasks=types.TaskList(count=1))
        for n in range(10)
    ]
    async with serving() as service:
        labels = {"l": "x" * 4000}
        await asyncio.gather(
            *(
                service.jobs.SubmitJob(
                    rpc.SubmitJobRequest(user="a", job_id=f"j{n}", labels=labels, stages=stages)
                )
                for n in range(600)
            )
        )
        request = rpc.ListJobsRequest(page_size=1000)
        found = []
        while True:
            page = await service.jobs.ListJobs(request)
            found += [job.job_id for job in page.jobs]
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert len(found) == len(set(found)) == 600


async def test_jobs_are_listed_newest_first_in_stable_pages() -> None:
    """A job that arrives between two pages neither repeats nor hides another."""
    async with serving() as service:
        names = [(await service.submit(job_id=f"j{n}")).job_id for n in range(5)]
        first = await service.jobs.ListJobs(rpc.ListJobsRequest(page_size=2))
        await service.submit(job_id="late")
        second = await service.jobs.ListJobs(
            rpc.ListJobsRequest(page_size=2, page_token=first.next_page_token)
        )
        last = await service.jobs.ListJobs(
            rpc.ListJobsRequest(page_size=2, page_token=second.next_page_token)
        )
        listed = [job.job_id for page in (first, second, last) for job in page.jobs]
        assert listed == names[::-1]
        assert last.next_page_token == ""


async def test_jobs_are_filtered_by_user_and_state() -> None:
    """Each filter narrows; a token belongs to its own query."""
    async with serving() as service:
        for n in range(4):
            await service.submit(user="ann" if n % 2 else "bob")
        cancelled = (await service.submit(user="ann")).job_id
        await service.jobs.CancelJob(rpc.CancelJobRequest(job_id=cancelled))
        request = rpc.ListJobsRequest(user="ann", states=[types.JOB_STATE_WAITING], page_size=1)
        page = await service.jobs.ListJobs(request)
        assert [job.user for job in page.jobs] == ["ann"]
        assert page.jobs[0].job_id != cancelled
        request.user = "bob"
        request.page_token = page.next_page_token
        refusal = await refused(service.jobs.ListJobs(request))
        (violation,) = refusal.detail(details.BadRequest).field_violations
        assert violation.field == "page_token"


async def test_jobs_of_a_pool_that_does_not_exist_are_asked_for() -> None:
    """It is a mistake, not a pool without jobs."""
    async with serving() as service:
        await service.submit()
        assert not (await service.jobs.ListJobs(rpc.ListJobsRequest(user="nobody"))).jobs
        refusal = await refused(service.jobs.ListJobs(rpc.ListJobsRequest(pool="defualt")))
        assert refusal.code == grpc.StatusCode.NOT_FOUND
        assert refusal.detail(details.ResourceInfo).resource_name == "defualt"


async def test_a_state_that_does_not_exist_is_refused() -> None:
    """A number that a newer client may know."""
    async with serving() as service:
        for number in (0, 99):
            request = rpc.ListJobsRequest(states=[types.JobState.ValueType(number)])
            refusal = await refused(service.jobs.ListJobs(request))
            (violation,) = refusal.detail(details.BadRequest).field_violations
            assert violation.field == "states"


async def state(watch: Any) -> int:
    """The job's state in the next message of a watch."""
    found: int = (await watch.read()).job.state
    return found


async def test_a_watcher_is_not_told_of_other_jobs() -> None:
    """Only a step of its own job is news."""
    async with serving() as service:
        job_id = (await service.submit()).job_id
        watch = service.jobs.WatchJob(rpc.WatchJobRequest(job_id=job_id))
        assert await state(watch) == types.JOB_STATE_WAITING
        for _ in range(3):
            await service.submit(user="bob")
            service.clock.advance(0.1)
        await service.jobs.CancelJob(rpc.CancelJobRequest(job_id=job_id))
        last = asyncio.ensure_future(state(watch))
        await time_passes(service, last)
        assert last.result() == types.JOB_STATE_CANCELLED


async def test_watches_are_limited_and_a_closed_one_makes_room() -> None:
    """Each costs ten looks a second."""
    async with serving(server__max_watches=1) as service:
        job_id = (await service.submit()).job_id
        first = service.jobs.WatchJob(rpc.WatchJobRequest(job_id=job_id))
        await first.read()
        second = service.jobs.WatchJob(rpc.WatchJobRequest(job_id=job_id))
        refusal = await refused(second.read())
        assert refusal.reason == "BUSY"
        first.cancel()
        async with asyncio.timeout(30):
            while True:
                third = service.jobs.WatchJob(rpc.WatchJobRequest(job_id=job_id))
                try:
                    await third.read()
                except grpc.aio.AioRpcError:
                    continue  # The cancellation is still on its way.
                break
        third.cancel()


async def test_a_watcher_sees_the_job_at_once_its_progress_and_its_end() -> None:
    """Changes are coalesced, and the stream ends with the job."""
    async with serving() as service:
        job_id = (await service.submit(tasks=2)).job_id
        watch = service.jobs.WatchJob(rpc.WatchJobRequest(job_id=job_id))
        seen: list[types.Job] = []

        async def follow() -> None:
            async for response in watch:
                seen.append(response.job)  # noqa: PERF401 - the test looks meanwhile.

        follower = asyncio.ensure_future(follow())
        await until(lambda: len(seen) == 1)
        assert seen[0].state == types.JOB_STATE_WAITING
        leases = (await service.poll(slots=2)).leases
        for lease in leases:
            service.clock.advance(0.1)
            await service.jobs.TaskDone(
                rpc.TaskDoneRequest(worker_id="w", results=[result(lease, runtime=0.1)])
            )
        await time_passes(service, follower)
        assert seen[-1].state == types.JOB_STATE_SUCCEEDED
        assert len(seen) <= 4


async def test_a_watcher_of_an_ended_job_gets_its_end_and_no_more() -> None:
    """Its state at once is its end."""
    async with serving() as service:
        job_id = (await service.submit()).job_id
        await service.jobs.CancelJob(rpc.CancelJobRequest(job_id=job_id))
        watch = service.jobs.WatchJob(rpc.WatchJobRequest(job_id=job_id))
        assert [r.job.state async for r in watch] == [types.JOB_STATE_CANCELLED]


async def test_watching_nothing_is_refused() -> None:
    """A stream is refused as a unary call is."""
    async with serving() as service:
        watch = service.jobs.WatchJob(rpc.WatchJobRequest(job_id="x"))
        refusal = await refused(watch.read())
        assert refusal.code is grpc.StatusCode.NOT_FOUND
        assert refusal.reason == "UNKNOWN_JOB"


async def test_an_explanation_names_who_is_ahead() -> None:
    """Position, the jobs ahead, and a reason in words."""
    async with serving() as service:
        await service.poll(slots=1)
        ahead = (await service.submit(user="ann", estimated_work_slot_seconds=1)).job_id
        behind = (await service.submit(user="bob", estimated_work_slot_seconds=50)).job_id
        answer = await service.jobs.ExplainJob(rpc.ExplainJobRequest(job_id=behind))
        assert answer.position == 2
        assert [job.job_id for job in answer.ahead] == [ahead]
        assert answer.reason
        assert answer.predicted_finish_seconds > 0


async def test_a_long_queue_is_counted_to_its_end() -> None:
    """By each of those who ask at the same time."""
    ahead = 2 * STEP_JOBS + 1
    async with serving() as service:
        await service.poll(slots=1)
        await asyncio.gather(
            *(service.submit(user="ann", estimated_work_slot_seconds=1) for _ in range(ahead))
        )
        behind = (await service.submit(user="bob", estimated_work_slot_seconds=1e6)).job_id
        request = rpc.ExplainJobRequest(job_id=behind, max_ahead=3)
        answers = await asyncio.gather(*(service.jobs.ExplainJob(request) for _ in range(3)))
        assert [answer.position for answer in answers] == [ahead + 1] * 3
        assert [len(answer.ahead) for answer in answers] == [3] * 3


async def test_explanations_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one is looked for, others that were asked for later begin."""
    begun: set[Inquiry] = set()
    patience = iter(range(100_000))
    step = Inquiry.step

    def without_end(inquiry: Inquiry, now: Any) -> Explanation | None:
        begun.add(inquiry)
        next(patience)
        return step(inquiry, now) if len(begun) == 3 else None

    monkeypatch.setattr(Inquiry, "step", without_end)
    async with serving() as service:
        job_id = (await service.submit(user="ann")).job_id
        request = rpc.ExplainJobRequest(job_id=job_id)
        await asyncio.gather(*(service.jobs.ExplainJob(request) for _ in range(3)))
    assert len(begun) == 3
