"""The client tries again what ``clients/service_config.json`` says, as the other languages do.

That file is the one source of gRPC's own retries in Go, Java and Node.  Here retries are the
client's, since the blocking and the asyncio client share them; so what they do is compared.
"""

# ruff: noqa: ASYNC109  # A transport's methods take a time-out.

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio
import pytest

from uwfq.v1 import admin_service_pb2, scheduler_service_pb2, types_pb2
from uwfq_client import Client, RetryPolicy, Stage, Unavailable
from uwfq_client.errors import from_rpc_error
from uwfq_client.retry import is_transient

CONFIG = Path(__file__).parents[3] / "clients" / "service_config.json"
(METHOD_CONFIG,) = json.loads(CONFIG.read_text(encoding="utf-8"))["methodConfig"]
POLICY = METHOD_CONFIG["retryPolicy"]

SERVICES = (
    *scheduler_service_pb2.DESCRIPTOR.services_by_name.values(),
    *admin_service_pb2.DESCRIPTOR.services_by_name.values(),
)
#: What a worker asks; its session tries again for ever (see tests/integration).
OF_WORKERS = {"NextTask", "TaskDone", "RenewLeases"}


def configured() -> set[str]:
    """The methods that the file names; a name without a method stands for the whole service."""
    named = {(each["service"], each.get("method")) for each in METHOD_CONFIG["name"]}
    return {
        method.name
        for service in SERVICES
        for method in service.methods
        if {(service.full_name, None), (service.full_name, method.name)} & named
    }


class RefusesOnce:
    """A transport whose service refuses the first call of each method, and counts."""

    def __init__(self, _: object) -> None:
        self.calls: dict[str, int] = {}
        self.scheduler = self.admin = cast(Any, self)

    def __getattr__(self, method: str) -> str:
        return method

    def _response(self, method: str) -> Any:
        self.calls[method] = self.calls.get(method, 0) + 1
        if self.calls[method] == 1:
            raise Unavailable("down")
        (found,) = (each for service in SERVICES for each in service.methods if each.name == method)
        module = (
            scheduler_service_pb2 if "Job" in method or "Stage" in method else admin_service_pb2
        )
        response = getattr(module, found.output_type.name)()
        if "job" in found.output_type.fields_by_name:
            response.job.state = types_pb2.JOB_STATE_SUCCEEDED
        return response

    async def unary(self, method: str, request: object, timeout: float | None) -> Any:
        return self._response(method)

    async def stream(
        self, method: str, request: object, timeout: float | None
    ) -> AsyncGenerator[Any, None]:
        yield self._response(method)

    async def sleep(self, seconds: float) -> None:
        pass


class RefusedClient(Client):
    """A client of such a service."""

    _connect = staticmethod(cast(Any, RefusesOnce))


#: How to call each public method that asks the service.
CALLS: dict[str, tuple[Any, ...]] = {
    "add_stages": ("j", []),
    "cancel": ("j",),
    "close_job": ("j",),
    "drop_stages": ("j", []),
    "explain": ("j",),
    "get_job": ("j",),
    "get_pool": (),
    "list_jobs": (),
    "list_pools": (),
    "list_users": (),
    "set_user": ("ann",),
    "split_stage": (Stage("s"),),
    "submit": (),
    "wait": ("j",),
    "watch": ("j",),
}


async def test_the_methods_that_are_tried_again_are_those_of_the_service_config() -> None:
    """Every public method of the client, and nothing that the file does not name."""
    public = {
        name
        for name, member in inspect.getmembers(Client, inspect.isfunction)
        if not name.startswith("_") and name != "aclose"
    }
    assert public == set(CALLS)
    client = RefusedClient()
    for name, arguments in CALLS.items():
        keywords = {"user": "ann"} if name in {"submit", "split_stage"} else {}
        asked = getattr(client, name)(*arguments, **keywords)
        if inspect.isasyncgen(asked):
            async for _ in asked:
                pass
        else:
            await asked
    transport = cast(Any, client)._transport
    tried_again = {method for method, calls in transport.calls.items() if calls >= 2}
    assert tried_again == set(transport.calls)
    assert tried_again | OF_WORKERS == configured()


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_the_codes_that_are_tried_again_are_those_of_the_service_config(
    code: grpc.StatusCode,
) -> None:
    """Without a hint; with one, RESOURCE_EXHAUSTED too, which a service config cannot say."""
    nothing = grpc.aio.Metadata()
    error = from_rpc_error(grpc.aio.AioRpcError(code, nothing, nothing, "", ""))
    assert is_transient(error) == (code.name in POLICY["retryableStatusCodes"])


def test_the_waits_are_those_of_the_service_config() -> None:
    """First, growth and longest.  The number of tries is not: gRPC allows no more than five."""
    ours = RetryPolicy()
    assert POLICY["initialBackoff"] == f"{ours.initial_backoff_seconds:g}s"
    assert POLICY["maxBackoff"] == f"{ours.max_backoff_seconds:g}s"
    assert POLICY["backoffMultiplier"] == ours.multiplier
