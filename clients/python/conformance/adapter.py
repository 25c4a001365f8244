"""What the conformance suite plays its scenarios to the Python client through.

Requests come as lines of JSON on standard input, answers go to standard output; the protocol is
told in ``clients/conformance/README.md``.  Everything goes through ``uwfq_client``'s public
classes, but for the three calls that only its ``Worker`` makes (NextTask, TaskDone, RenewLeases):
those go through the public stubs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import datetime as dt
import enum
import json
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import json_format
from google.protobuf.message import Message

from uwfq.v1 import admin_service_pb2 as admin_pb
from uwfq.v1 import scheduler_service_pb2 as pb
from uwfq.v1 import scheduler_service_pb2_grpc, types_pb2
from uwfq_client import (
    Client,
    DeadlineExceeded,
    EstimateSource,
    Input,
    JobState,
    Measurement,
    PermanentFailure,
    SplitReason,
    Stage,
    Task,
    UwfqError,
    Worker,
)
from uwfq_client.errors import from_rpc_error

#: How the protocol begins the names of an enum's values.
_PREFIXES: Final[Mapping[type[enum.Enum], str]] = {
    JobState: "JOB_STATE_",
    EstimateSource: "ESTIMATE_SOURCE_",
    SplitReason: "SPLIT_REASON_",
}


# ------------------------------------------------------------------------------------------- calls


def _set(message: Message, *names: str) -> dict[str, Any]:
    """Optional fields as keyword arguments: ``None`` where they are not set."""
    return {name: getattr(message, name) if message.HasField(name) else None for name in names}


def _stage(spec: types_pb2.StageSpec) -> Stage:
    described = None
    if spec.HasField("input"):
        described = Input(
            list(spec.input.unit_sizes),
            splittable=spec.input.splittable,
            splittable_units=list(spec.input.splittable_units),
            unit_costs=list(spec.input.unit_costs),
        )
    return Stage(
        spec.stage,
        after=list(spec.after),
        tasks=spec.tasks.count if spec.HasField("tasks") else None,
        task_bytes=list(spec.tasks.task_bytes),
        task_work_slot_seconds=list(spec.tasks.task_work_slot_seconds),
        input=described,
        payload=spec.payload,
        signature=spec.signature,
        **_set(
            spec,
            "estimated_work_slot_seconds",
            "slots_per_task",
            "advisory_task_runtime_seconds",
            "min_tasks",
            "max_tasks",
            "max_attempts",
            "task_timeout_seconds",
        ),
    )


async def _submit(client: Client, request: pb.SubmitJobRequest, seconds: float) -> Any:
    return await client.submit(
        user=request.user,
        kind=request.kind,
        stages=map(_stage, request.stages),
        pool=request.pool,
        signature=request.signature,
        job_id=request.job_id,
        request_id=request.request_id,
        labels=dict(request.labels),
        open=request.open,
        engine_id=request.engine_id,
        omit_ranges=request.omit_ranges,
        timeout=seconds,
        **_set(
            request,
            "input_bytes",
            "job_weight",
            "estimated_work_slot_seconds",
            "advisory_task_runtime_seconds",
        ),
    )


async def _add_stages(client: Client, request: pb.AddStagesRequest, seconds: float) -> Any:
    return await client.add_stages(
        request.job_id,
        map(_stage, request.stages),
        close=request.close,
        omit_ranges=request.omit_ranges,
        timeout=seconds,
    )


async def _split_stage(client: Client, request: pb.SplitStageRequest, seconds: float) -> Any:
    split = await client.split_stage(
        _stage(request.stage),
        user=request.user,
        pool=request.pool,
        signature=request.signature,
        omit_ranges=request.omit_ranges,
        timeout=seconds,
    )
    return {"split": split}


async def _drop_stages(client: Client, request: pb.DropStagesRequest, seconds: float) -> Any:
    return {"job": await client.drop_stages(request.job_id, request.stages, timeout=seconds)}


async def _close_job(client: Client, request: pb.CloseJobRequest, seconds: float) -> Any:
    job = await client.close_job(request.job_id, finished=request.finished, timeout=seconds)
    return {"job": job}


async def _cancel_job(client: Client, request: pb.CancelJobRequest, seconds: float) -> Any:
    return {"job": await client.cancel(request.job_id, request.reason, timeout=seconds)}


async def _get_job(client: Client, request: pb.GetJobRequest, seconds: float) -> Any:
    return {"job": await client.get_job(request.job_id, timeout=seconds)}


async def _list_jobs(client: Client, request: pb.ListJobsRequest, seconds: float) -> Any:
    names = [types_pb2.JobState.Name(state) for state in request.states]
    jobs = client.list_jobs(
        pool=request.pool,
        user=request.user,
        states=[JobState[name.removeprefix("JOB_STATE_")] for name in names],
        page_size=request.page_size,
        timeout=seconds,
    )
    return {"jobs": [job async for job in jobs]}


async def _explain_job(client: Client, request: pb.ExplainJobRequest, seconds: float) -> Any:
    return await client.explain(request.job_id, max_ahead=request.max_ahead, timeout=seconds)


async def _set_user(client: Client, request: admin_pb.SetUserRequest, seconds: float) -> Any:
    user = await client.set_user(
        request.user,
        pool=request.pool,
        timeout=seconds,
        **_set(request, "weight", "max_running_slots", "max_waiting_jobs"),
    )
    return {"user": user}


async def _list_users(client: Client, request: admin_pb.ListUsersRequest, seconds: float) -> Any:
    users = client.list_users(pool=request.pool, page_size=request.page_size, timeout=seconds)
    return {"users": [user async for user in users]}


async def _get_pool(client: Client, request: admin_pb.GetPoolRequest, seconds: float) -> Any:
    return {"pool": await client.get_pool(request.pool, timeout=seconds)}


async def _list_pools(client: Client, _: admin_pb.ListPoolsRequest, seconds: float) -> Any:
    return {"pools": await client.list_pools(timeout=seconds)}


_CALLS: Final[Mapping[str, tuple[type[Message], Callable[..., Awaitable[Any]]]]] = {
    "SubmitJob": (pb.SubmitJobRequest, _submit),
    "AddStages": (pb.AddStagesRequest, _add_stages),
    "SplitStage": (pb.SplitStageRequest, _split_stage),
    "DropStages": (pb.DropStagesRequest, _drop_stages),
    "CloseJob": (pb.CloseJobRequest, _close_job),
    "CancelJob": (pb.CancelJobRequest, _cancel_job),
    "GetJob": (pb.GetJobRequest, _get_job),
    "ListJobs": (pb.ListJobsRequest, _list_jobs),
    "ExplainJob": (pb.ExplainJobRequest, _explain_job),
    "SetUser": (admin_pb.SetUserRequest, _set_user),
    "ListUsers": (admin_pb.ListUsersRequest, _list_users),
    "GetPool": (admin_pb.GetPoolRequest, _get_pool),
    "ListPools": (admin_pb.ListPoolsRequest, _list_pools),
}

#: What only a worker asks; ``Client`` has no method for these.
_STUBS: Final[Mapping[str, type[Message]]] = {
    "NextTask": pb.NextTaskRequest,
    "TaskDone": pb.TaskDoneRequest,
    "RenewLeases": pb.RenewLeasesRequest,
}


def _written(value: Any) -> Any:
    """The client's records in the JSON form of the messages that they stand for."""
    if dataclasses.is_dataclass(value):
        value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _written(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_written(each) for each in value]
    if isinstance(value, enum.Enum):
        return _PREFIXES[type(value)] + value.name
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


# ----------------------------------------------------------------------------------------- workers


class ScriptedWorker:
    """A worker whose handlers do what the scenario says, and keep a record of it."""

    def __init__(self, target: str, request: Mapping[str, Any]) -> None:
        self.runs: list[dict[str, Any]] = []
        self._worker = Worker(
            target,
            pool=request["pool"] or "default",
            slots=request["slots"],
            prefetch=request["prefetch"],
            worker_id=request["worker_id"],
        )
        self._running = dict.fromkeys(request["kinds"], 0)
        self._released = {kind: asyncio.Event() for kind in request["kinds"]}
        self._changed = asyncio.Condition()
        for kind, act in request["kinds"].items():
            self._worker.handler(kind)(self._handler(kind, act))
        self._serving = asyncio.create_task(self._worker.serve())

    def _handler(self, kind: str, act: Mapping[str, Any]) -> Callable[[Task], Awaitable[Any]]:
        async def handle(task: Task) -> Measurement:
            async with self._recorded(kind, task):
                await self._perform(kind, act, task)
            return Measurement(rows=1)

        return handle

    @contextlib.asynccontextmanager
    async def _recorded(self, kind: str, task: Task) -> AsyncIterator[None]:
        outcome = "failed"
        self._running[kind] += 1
        async with self._changed:
            self._changed.notify_all()
        try:
            yield
            outcome = "succeeded"
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._running[kind] -= 1
            self.runs.append(
                {
                    "job_id": task.job_id,
                    "stage": task.stage,
                    "task_index": task.index,
                    "attempt": task.attempt,
                    "outcome": outcome,
                }
            )

    async def _perform(self, kind: str, act: Mapping[str, Any], task: Task) -> None:
        match act["act"]:
            case "succeed":
                pass
            case "sleep":
                await asyncio.sleep(act["seconds"])
            case "fail":
                if task.attempt <= act["attempts"]:
                    raise RuntimeError(f"attempt {task.attempt} is to fail")
            case "fail_for_good":
                raise PermanentFailure("no attempt can succeed")
            case "hold":
                await self._released[kind].wait()
            case unknown:
                raise PermanentFailure(f"no handler can {unknown}")

    async def running(self, kind: str, count: int, timeout_seconds: float) -> None:
        """Return once so many handlers of a kind run at the same time."""
        try:
            async with asyncio.timeout(timeout_seconds), self._changed:
                await self._changed.wait_for(lambda: self._running[kind] >= count)
        except TimeoutError:
            found = self._running[kind]
            raise DeadlineExceeded(f"{found} of {count} handlers of {kind} run") from None

    def release(self, kind: str) -> None:
        """What is held of a kind, now and later, succeeds."""
        self._released[kind].set()

    async def stop(self, grace_seconds: float | None) -> None:
        """Stop; raises what had ended the worker before."""
        # Once, so that it serves by now and hears of it.
        await asyncio.sleep(0)
        await self._worker.stop(grace_seconds)
        await self._serving


# ----------------------------------------------------------------------------------------- adapter


class Adapter:
    """Answers requests; each in a task of its own."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._client = Client(target)
        self._channel = grpc.aio.insecure_channel(target)
        self._stub = scheduler_service_pb2_grpc.SchedulerServiceStub(self._channel)
        self._workers: dict[str, ScriptedWorker] = {}

    async def close(self) -> None:
        """Give the workers up, and drop the connections."""
        stops = (worker.stop(0) for worker in self._workers.values())
        await asyncio.gather(*stops, return_exceptions=True)
        await self._client.aclose()
        await self._channel.close(grace=None)

    async def answer(self, request: Mapping[str, Any]) -> None:
        """Do what a request asks, and print its answer."""
        answer: dict[str, Any]
        try:
            answer = {"ok": _written(await self._done(request))}
        except UwfqError as error:
            answer = {"error": _error(error)}
        except Exception as error:  # noqa: BLE001  # The runner is to see it, whatever it is.
            traceback.print_exc()
            answer = {"error": _error(UwfqError(f"{type(error).__name__}: {error}"))}
        sys.stdout.write(json.dumps({"id": request["id"], **answer}) + "\n")
        sys.stdout.flush()

    async def _done(self, request: Mapping[str, Any]) -> Any:
        match request["do"]:
            case "call":
                return await self._call(
                    request["method"], request["request"], request["timeout_seconds"]
                )
            case "watch":
                return await self._watch(request["job_id"], request["timeout_seconds"])
            case "wait":
                timeout = request["timeout_seconds"]
                return {"job": await self._client.wait(request["job_id"], timeout=timeout)}
            case "worker.start":
                self._workers[request["worker"]] = ScriptedWorker(self._target, request)
            case "worker.running":
                await self._workers[request["worker"]].running(
                    request["kind"], request["count"], request["timeout_seconds"]
                )
            case "worker.release":
                self._workers[request["worker"]].release(request["kind"])
            case "worker.runs":
                return {"runs": self._workers[request["worker"]].runs}
            case "worker.stop":
                worker = self._workers[request["worker"]]
                await worker.stop(request["grace_seconds"])
                return {"runs": worker.runs}
            case unknown:
                raise ValueError(f"nothing known to do as {unknown!r}")
        return {}

    async def _call(self, method: str, document: dict[str, Any], seconds: float) -> Any:
        if method in _STUBS:
            message = json_format.ParseDict(document, _STUBS[method]())
            try:
                response = await getattr(self._stub, method)(message, timeout=seconds)
            except grpc.RpcError as error:
                raise from_rpc_error(error) from None
            return json_format.MessageToDict(response)
        kind, call = _CALLS[method]
        return await call(self._client, json_format.ParseDict(document, kind()), seconds)

    async def _watch(self, job_id: str, seconds: float) -> Any:
        states: list[JobState] = []
        last = None
        async for last in self._client.watch(job_id, timeout=seconds):
            if last.state not in states:
                states.append(last.state)
        return {"states": states, "job": last}


def _error(error: UwfqError) -> dict[str, Any]:
    resource = error.resource
    return {
        "code": error.code.name,
        "message": error.message,
        "field_violations": [
            {"field": each.field, "description": each.description}
            for each in error.field_violations
        ],
        "retry_after_seconds": error.retry_after_seconds,
        "reason": error.reason or None,
        "resource": {"type": resource.type, "name": resource.name} if resource else None,
    }


async def serve(target: str) -> None:
    """Answer requests until the input ends."""
    adapter = Adapter(target)
    requests = asyncio.StreamReader(limit=64 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(requests), sys.stdin
    )
    answering: set[asyncio.Task[None]] = set()
    async for line in requests:
        task = asyncio.create_task(adapter.answer(json.loads(line)))
        answering.add(task)
        task.add_done_callback(answering.discard)
    for task in answering:
        task.cancel()
    await adapter.close()


def main() -> None:
    """The command line: where the service is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--target", required=True, help="HOST:PORT of the service")
    asyncio.run(serve(parser.parse_args().target))


if __name__ == "__main__":
    main()
