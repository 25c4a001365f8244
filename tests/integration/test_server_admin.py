"""Operators' calls: users, their weights and caps, and pools."""

import grpc
from google.rpc import error_details_pb2 as details

from tests.integration.serving import refused, serving
from uwfq.v1 import admin_service_pb2 as admin


async def test_a_user_is_set_before_their_first_job() -> None:
    """What is absent stays as it is."""
    async with serving() as service:
        weight = admin.SetUserRequest(user="ann", weight=2.5)
        assert (await service.admin.SetUser(weight)).user.weight == 2.5
        caps = admin.SetUserRequest(user="ann", max_running_slots=3, max_waiting_jobs=9)
        user = (await service.admin.SetUser(caps)).user
        assert (user.weight, user.max_running_slots, user.max_waiting_jobs) == (2.5, 3, 9)
        lifted = await service.admin.SetUser(admin.SetUserRequest(user="ann", max_running_slots=0))
        assert not lifted.user.HasField("max_running_slots")


async def test_a_weight_out_of_range_is_refused() -> None:
    """With the field's name."""
    async with serving() as service:
        refusal = await refused(service.admin.SetUser(admin.SetUserRequest(user="a", weight=0)))
        (violation,) = refusal.detail(details.BadRequest).field_violations
        assert violation.field == "weight"


async def test_users_are_listed_by_name_in_pages() -> None:
    """A user who comes between two pages neither repeats nor hides another."""
    async with serving() as service:
        for name in ("dan", "ann", "cat", "bob"):
            await service.submit(user=name)
        first = await service.admin.ListUsers(admin.ListUsersRequest(page_size=2))
        await service.submit(user="aaa")
        second = await service.admin.ListUsers(
            admin.ListUsersRequest(page_size=2, page_token=first.next_page_token)
        )
        assert [user.user for user in (*first.users, *second.users)] == ["ann", "bob", "cat", "dan"]
        assert second.next_page_token == ""
        assert first.users[0].jobs == 1
        assert first.users[0].active


async def test_pools_show_policy_slots_and_load() -> None:
    """A fixed size is shown as such, a live one follows the workers."""
    async with serving(
        pools__batch__policy="fifo", pools__batch__slots=8, pools__web__policy="ujf"
    ) as service:
        pools = (await service.admin.ListPools(admin.ListPoolsRequest())).pools
        assert [(pool.pool, pool.policy, pool.slots) for pool in pools] == [
            ("batch", "fifo", 8),
            ("web", "ujf", 0),
        ]
        await service.poll(slots=3, pool="web")
        await service.submit(tasks=5, pool="web")
        web = (await service.admin.GetPool(admin.GetPoolRequest(pool="web"))).pool
        assert (web.slots, web.fixed_slots, web.workers, web.launchable_tasks) == (3, False, 1, 5)


async def test_an_unknown_pool_is_named() -> None:
    """Everywhere."""
    async with serving() as service:
        for call in (
            service.admin.GetPool(admin.GetPoolRequest(pool="x")),
            service.admin.ListUsers(admin.ListUsersRequest(pool="x")),
            service.admin.SetUser(admin.SetUserRequest(pool="x", user="a")),
        ):
            refusal = await refused(call)
            assert refusal.code is grpc.StatusCode.NOT_FOUND
            assert refusal.detail(details.ResourceInfo).resource_name == "x"


async def test_users_of_the_configuration_have_their_weight_from_the_start() -> None:
    """Before anyone submits."""
    async with serving(pools__default__users__ann__weight=3) as service:
        (user,) = (await service.admin.ListUsers(admin.ListUsersRequest())).users
        assert (user.user, user.weight) == ("ann", 3)
