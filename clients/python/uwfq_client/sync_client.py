"""The client for code without asyncio.

Each method is its asyncio twin over a transport that blocks (``transport.py``), so there is one
implementation of both and no event loop in this one.
"""

# A time-out is sent along to the service, which honours it.

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from uwfq_client.channel import DEFAULT_TARGET, Keepalive, Option, Tls
from uwfq_client.client import Client
from uwfq_client.retry import RetryPolicy
from uwfq_client.transport import BlockingTransport, iterate_now, run_now

P = ParamSpec("P")
T = TypeVar("T")


class _BlockingCore(Client):
    _connect = staticmethod(BlockingTransport)


def _blocking(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncClient, P], T]:
    """The blocking twin of a coroutine method."""

    @functools.wraps(method)
    def call(self: SyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run_now(method(self._client, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[Client, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[SyncClient, P], Generator[T, None, None]]:
    """The blocking twin of an async generator method."""

    @functools.wraps(method)
    def call(self: SyncClient, /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        return iterate_now(method(self._client, *args, **kwargs))

    return call


class SyncClient:
    """``Client`` for code without asyncio: the same methods, which block.

    Any number of threads may share it, a worker's handlers included.

    .. code-block:: python

        with SyncClient("127.0.0.1:7170") as client:
            for job in client.list_jobs(user="alice"):
                print(job.job_id, job.state)
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        pool: str = "default",
        tls: Tls | bool = False,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        keepalive: Keepalive | None = None,
        options: Sequence[Option] = (),
    ) -> None:
        self._client = _BlockingCore(
            target,
            pool=pool,
            tls=tls,
            timeout=timeout,
            retry=retry,
            keepalive=keepalive,
            options=options,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pool(self) -> str:
        """The pool of every method that is not given one."""
        return self._client.pool

    close = _blocking(Client.aclose)
    submit = _blocking(Client.submit)
    add_stages = _blocking(Client.add_stages)
    split_stage = _blocking(Client.split_stage)
    drop_stages = _blocking(Client.drop_stages)
    close_job = _blocking(Client.close_job)
    cancel = _blocking(Client.cancel)
    get_job = _blocking(Client.get_job)
    list_jobs = _iterating(Client.list_jobs)
    watch = _iterating(Client.watch)
    wait = _blocking(Client.wait)
    explain = _blocking(Client.explain)
    set_user = _blocking(Client.set_user)
    list_users = _iterating(Client.list_users)
    get_pool = _blocking(Client.get_pool)
    list_pools = _blocking(Client.list_pools)
