"""AdminService: what operators call."""

from __future__ import annotations

from typing import Final

from uwfq.v1 import admin_service_pb2 as admin
from uwfq.v1 import types_pb2 as types
from uwfq_service.core import views
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.server import convert, convert_views, paging
from uwfq_service.server.convert import DEFAULT_POOL
from uwfq_service.server.engine import Engine
from uwfq_service.server.rpc import Context, Handlers


class AdminRpc:
    """The handlers of AdminService."""

    NAME: Final = admin.DESCRIPTOR.services_by_name["AdminService"].full_name

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register(self, handlers: Handlers) -> None:
        """Add every method of the service."""
        add = handlers.unary
        add("SetUser", admin.SetUserRequest, admin.SetUserResponse, self.set_user)
        add("ListUsers", admin.ListUsersRequest, admin.ListUsersResponse, self.list_users)
        add("GetPool", admin.GetPoolRequest, admin.GetPoolResponse, self.get_pool)
        add("ListPools", admin.ListPoolsRequest, admin.ListPoolsResponse, self.list_pools)

    async def set_user(self, request: admin.SetUserRequest, _: Context) -> admin.SetUserResponse:
        """Set a user's weight and caps."""
        command = convert.set_user(request)
        reply = await self._engine.call(command)
        # Held by reference: one without settings may be forgotten as soon as others come.
        view = await self._engine.read_admitted(lambda _, now: views.user_status(reply.user, now))
        return admin.SetUserResponse(user=convert_views.user(view))

    async def list_users(
        self, request: admin.ListUsersRequest, _: Context
    ) -> admin.ListUsersResponse:
        """Users by name."""
        pool = request.pool or DEFAULT_POOL
        query = ("users", pool)
        after = paging.read_token(request.page_token, query, str)
        size = paging.page_size(request.page_size)

        def look(scheduler: Scheduler, now: float) -> tuple[list[types.User], str | None]:
            users = scheduler.pool(pool).users
            names = paging.names_after(users, after, size + 1)
            page = names[:size]
            found = [convert_views.user(views.user_status(users[name], now)) for name in page]
            return found, page[-1] if len(names) > size else None

        found, last = await self._engine.read(look)
        return admin.ListUsersResponse(
            users=found, next_page_token=paging.write_token(query, last) if last else ""
        )

    async def get_pool(self, request: admin.GetPoolRequest, _: Context) -> admin.GetPoolResponse:
        """One pool, as it stands."""
        name = request.pool or DEFAULT_POOL
        view = await self._engine.read(
            lambda scheduler, now: views.pool_status(scheduler, scheduler.pool(name), now)
        )
        return admin.GetPoolResponse(pool=convert_views.pool(view))

    async def list_pools(self, _: admin.ListPoolsRequest, __: Context) -> admin.ListPoolsResponse:
        """All pools, by name."""
        found = await self._engine.read(
            lambda scheduler, now: [
                views.pool_status(scheduler, pool, now)
                for _, pool in sorted(scheduler.pools.items())
            ]
        )
        return admin.ListPoolsResponse(pools=map(convert_views.pool, found))
