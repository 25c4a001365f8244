"""The service on its real journal: a restart knows what clients were told."""

import asyncio
import shutil
import socket
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.fakes import FakeClock
from tests.integration.serving import durable, result
from uwfq.v1 import admin_service_pb2 as admin
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq.v1 import types_pb2 as types
from uwfq_service.server.app import Server
from uwfq_service.server.config import ConfigError, load
from uwfq_service.store.errors import StoreError


async def test_a_restart_knows_jobs_leases_users_and_idempotency_keys(tmp_path: Path) -> None:
    """What was acknowledged before is there after."""
    clock = FakeClock()
    async with durable(tmp_path, clock) as service:
        await service.admin.SetUser(admin.SetUserRequest(user="ann", weight=2))
        job_id = (await service.submit(tasks=2, request_id="r")).job_id
        (lease,) = (await service.poll()).leases
    clock.advance(5)
    async with durable(tmp_path, clock) as service:
        again = await service.submit(tasks=2, request_id="r")
        assert (again.job_id, again.duplicate) == (job_id, True)
        done = await service.jobs.TaskDone(
            rpc.TaskDoneRequest(worker_id="w", results=[result(lease)])
        )
        assert done.acks[0].status == types.TASK_RESULT_STATUS_ACCEPTED
        (user,) = (await service.admin.ListUsers(admin.ListUsersRequest())).users
        assert user.weight == 2


async def test_a_restart_with_nothing_new_writes_nothing_but_its_return(tmp_path: Path) -> None:
    """Pools and users of the configuration are not set again and again."""
    for expected in (1, 2, 3):
        async with durable(tmp_path) as service:
            assert service.server.engine.sequence == expected


@pytest.mark.parametrize("key", ["listen", "metrics.listen"])
async def test_a_service_that_cannot_listen_leaves_no_trace(tmp_path: Path, key: str) -> None:
    """Whoever starts it again with another address has the pool that is configured then."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = load({"listen": "127.0.0.1:0", "data": str(tmp_path), key: address})
        with pytest.raises(ConfigError, match=rf"{key}: cannot listen on {address}"):
            await Server(config).start()
    async with durable(tmp_path) as service:
        assert service.server.engine.sequence == 1


async def test_a_restart_after_hours_finds_virtual_time_where_it_was(tmp_path: Path) -> None:
    """Nobody was served meanwhile, so a backlog is not all overdue and ahead of whoever comes."""
    clock = FakeClock()
    seen = []
    async with durable(tmp_path, clock) as service:
        await service.poll(free_slots=0)
        for _ in range(20):
            await service.submit(estimated_work_slot_seconds=10.0)
        clock.advance(3)
        await service.submit(user="bob", estimated_work_slot_seconds=10.0)
        seen.append((await service.admin.GetPool(admin.GetPoolRequest())).pool)
    clock.advance(7200)
    async with durable(tmp_path, clock) as service:
        seen.append((await service.admin.GetPool(admin.GetPoolRequest())).pool)
    assert seen[0].virtual_time > 0
    assert seen[0] == seen[1]


async def test_a_restored_copy_takes_no_result_of_what_it_has_lost_for_another(
    tmp_path: Path,
) -> None:
    """A worker goes on with what was leased since the copy was made, and reports it."""
    clock = FakeClock()
    data, copy = tmp_path / "data", tmp_path / "copy"
    async with durable(data, clock) as service:
        await service.submit()
        shutil.copytree(data, copy)
        (lost,) = (await service.poll()).leases
    clock.advance(600)
    async with durable(copy, clock) as service:
        (job,) = (await service.jobs.ListJobs(rpc.ListJobsRequest())).jobs
        await service.jobs.CancelJob(rpc.CancelJobRequest(job_id=job.job_id))
        await service.submit(tasks=2)
        (lease,) = (await service.poll()).leases
        done = await service.jobs.TaskDone(
            rpc.TaskDoneRequest(worker_id="w", results=[result(lost)])
        )
        assert done.acks[0].status != types.TASK_RESULT_STATUS_ACCEPTED
        assert lease.lease_id != lost.lease_id


async def test_a_pool_that_is_not_configured_any_more_stays_and_is_told(tmp_path: Path) -> None:
    """A typo in its name would look the same, and leave its jobs waiting."""
    for policy, expected in (("pools.etl.policy", []), ("pools.elt.policy", ["pools.etl"])):
        config = load({"listen": "127.0.0.1:0", "data": str(tmp_path), policy: "fair"})
        server = Server(config)
        with capture_logs() as logs:
            await server.start()
        told = [line["warning"].split()[0] for line in logs if line["event"] == "configuration"]
        assert told == expected
        assert "etl" in server.engine.glance(lambda scheduler: list(scheduler.pools))
        await server.stop()


async def test_settings_of_users_that_the_configuration_does_not_name_any_more_are_told(
    tmp_path: Path,
) -> None:
    """They stay, for `uwfq user set` may have set them; a cap that was taken out stays as well."""
    ann = "pools.default.users.ann"
    both = {f"{ann}.weight": 2, f"{ann}.max_running_slots": 3}
    for settings, expected in ((both, []), ({f"{ann}.weight": 2}, ["ann"]), ({}, ["ann"])):
        config = load({"listen": "127.0.0.1:0", "data": str(tmp_path), **settings})
        server = Server(config)
        with capture_logs() as logs:
            await server.start()
        await server.stop()
        lines = [line for line in logs if line["event"] == "user_settings_kept"]
        assert [(line["pool"], line["count"]) for line in lines] == [("default", 1)] * len(expected)
        assert [name for line in lines for name in line["users"]] == expected


@pytest.mark.parametrize(("ahead", "told"), [(7200.0, ["clock_set_back"]), (-7200.0, [])])
async def test_a_clock_that_was_set_back_is_told(
    tmp_path: Path, ahead: float, told: list[str]
) -> None:
    """Times go on from the last event, so that all are wrong until the clock has caught up."""
    async with durable(tmp_path, FakeClock(time.time() + ahead)):
        pass
    server = Server(load({"listen": "127.0.0.1:0", "data": str(tmp_path)}))
    with capture_logs() as logs:
        await server.start()
    await server.stop()
    lines = [line for line in logs if line["event"] == "clock_set_back"]
    assert [line["event"] for line in lines] == told
    assert all(7100 < line["seconds"] <= 7200 for line in lines)


async def test_two_services_do_not_share_a_directory(tmp_path: Path) -> None:
    """The second one says who has it, and leaves the first alone."""
    async with durable(tmp_path) as service:
        with pytest.raises(StoreError, match="in use"):
            await Server(load({"listen": "127.0.0.1:0", "data": str(tmp_path)})).start()
        assert (await service.submit()).job_id


async def test_many_callers_at_once_are_all_answered(tmp_path: Path) -> None:
    """In batches that share a sync; and all of it is there after a restart."""
    async with durable(tmp_path) as service:
        jobs = await asyncio.gather(*(service.submit(user=f"u{n % 7}") for n in range(300)))
        assert len({job.job_id for job in jobs}) == 300
        assert service.server.journal.stats().commits < 300
    async with durable(tmp_path) as service:
        page = await service.jobs.ListJobs(rpc.ListJobsRequest(page_size=1000))
        assert {job.job_id for job in page.jobs} == {job.job_id for job in jobs}
