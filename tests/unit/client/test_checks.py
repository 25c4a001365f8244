"""Options of clients that make no sense are refused where they are given, by name."""

import math
import re
from typing import Any

import pytest

from uwfq_client import Client, Keepalive, RetryPolicy, SyncClient, Task, Worker


@pytest.mark.parametrize("name", ["time_seconds", "timeout_seconds"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_keepalive_has_times(name: str, value: float) -> None:
    """Otherwise the first call would fail, in words of gRPC's own, or go by another time."""
    with pytest.raises(ValueError, match=f"{name} is {value!r}, .* at most 2,000,000"):
        Keepalive(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_attempts", 0),
        ("multiplier", 0.5),
        ("multiplier", math.nan),
        ("initial_backoff_seconds", -0.1),
        ("max_backoff_seconds", math.nan),
    ],
)
def test_a_retry_policy_tries_at_all(name: str, value: float) -> None:
    """With no attempt, or with waits that are none, it would not be what its name says."""
    with pytest.raises(ValueError, match=f"{name} is {value!r}"):
        RetryPolicy(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Client, SyncClient])
@pytest.mark.parametrize("timeout", [0.0, -1.0, math.nan])
def test_a_client_has_time_for_its_calls(kind: type[Client | SyncClient], timeout: float) -> None:
    """Each call would end as if the service were slow."""
    with pytest.raises(ValueError, match=f"timeout is {timeout!r}"):
        kind("nowhere", timeout=timeout)


@pytest.mark.parametrize("kind", [Client, SyncClient, Worker])
@pytest.mark.parametrize(
    "target", ["", "http://127.0.0.1:7170", "GRPCS://uwfq:7170", "127.0.0.1:72706", "[::1]:0"]
)
def test_a_target_is_somewhere(kind: type[Client | SyncClient | Worker], target: str) -> None:
    """Or it is looked for until the time-out, or another service is asked (72706 is 7170)."""
    with pytest.raises(ValueError, match=f"target is {re.escape(repr(target))}"):
        kind(target)


@pytest.mark.parametrize(
    "target", ["uwfq:7170", "uwfq", "[::1]:7170", "dns:///uwfq:7170", "unix:/run/uwfq:99999"]
)
def test_any_other_target_is_for_grpc_to_find(target: str) -> None:
    """Its names are its own."""
    SyncClient(target).close()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("slots", 0),
        ("slots", 2.5),
        ("slots", math.nan),
        ("prefetch", -1),
        ("prefetch", 1 << 32),
        ("max_batch", 0),
        ("poll_seconds", math.nan),
        ("report_delay_seconds", -1),
    ],
)
def test_an_option_that_no_worker_could_work_with_is_refused_by_name(
    option: str, value: float
) -> None:
    """At once; a batch of 0 and a wait of NaN used to leave the worker idle, without a word."""
    with pytest.raises(ValueError, match=f"{option} is {value}, and must be"):
        Worker("127.0.0.1:1", **{option: value})  # type: ignore[arg-type]


def test_a_decorator_without_its_parentheses_is_refused() -> None:
    """It would register nothing, and the function would be gone."""
    worker = Worker()
    with pytest.raises(TypeError, match=r"@worker\.handler\(kind\)"):

        @worker.handler  # type: ignore[arg-type]
        def handle(task: Task) -> None:
            """The kind, by mistake."""


@pytest.mark.parametrize("handler", [None, "sum", 3])
def test_what_cannot_be_called_is_no_handler(handler: Any) -> None:
    """Each of its tasks would fail, and their jobs with them."""
    with pytest.raises(TypeError, match=f"the handler for kind 'k' is {handler!r}"):
        Worker(handlers={"k": handler})
