"""Any request at any method: an answer, or a refusal that says why; and the disk knows of it."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from random import Random

import grpc
from google.protobuf import message_factory

from tests.fakes import FakeClock
from tests.integration.any_request import AnyRequest
from tests.integration.serving import Refusal, Service, durable, methods
from uwfq.v1 import admin_service_pb2 as admin
from uwfq.v1 import scheduler_service_pb2 as rpc

#: What is the caller's to mend.
REFUSALS = {
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
REQUESTS = 1000
SEEDS = range(8)


#: Those that have one request and one answer.
METHODS = [
    method for method in methods() if not (method.client_streaming or method.server_streaming)
]


async def seen(service: Service) -> list[str]:
    """What an operator sees of jobs, users and pools; numbers but for their last digits."""
    jobs = (await service.jobs.ListJobs(rpc.ListJobsRequest(page_size=1000))).jobs
    users = (await service.admin.ListUsers(admin.ListUsersRequest(page_size=1000))).users
    pools = (await service.admin.ListPools(admin.ListPoolsRequest())).pools
    return [_NUMBER.sub(_rounded, str(thing)) for thing in (*jobs, *users, *pools)]


_NUMBER = re.compile(r"\d+\.\d+(e[+-]?\d+)?")


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.9g}"


async def bombard(data: Path, seed: int) -> Counter[str]:
    """How many requests were answered, by method."""
    random = Random(seed)
    requests = AnyRequest(random, odd=random.choice((0.003, 0.01, 0.03)))
    clock = FakeClock()
    answered: Counter[str] = Counter()
    async with durable(data, clock) as service:
        stubs = {"SchedulerService": service.jobs, "AdminService": service.admin}
        for _ in range(REQUESTS):
            method = random.choice(METHODS)
            call = getattr(stubs[method.containing_service.name], method.name)
            request = requests.draw(message_factory.GetMessageClass(method.input_type))
            if isinstance(request, rpc.SubmitJobRequest) and random.random() < 0.8:
                request.ClearField("job_id")  # The service's own names are never taken.
            try:
                answer = await call(request)
            except grpc.aio.AioRpcError as error:
                refusal = Refusal(error)
                what = f"seed {seed}: {method.name} {request} was refused: {refusal.message}"
                assert refusal.code in REFUSALS, what
                assert refusal.reason, what
            else:
                answered[method.name] += 1
                requests.lease_ids += [lease.lease_id for lease in getattr(answer, "leases", ())]
            clock.advance(random.choice((0.0, 0.1, 1.0)) if random.random() < 0.98 else 40.0)
        # From the last event on a service that was killed is taken for absent.
        await service.admin.SetUser(admin.SetUserRequest(user="last", weight=2))
        before = await seen(service)
        killed = shutil.copytree(data, data.with_suffix(".killed"))
    async with durable(killed, clock) as service:
        assert await seen(service) == before, f"seed {seed}"
    return answered


async def test_any_request_is_answered_or_refused_with_a_reason(tmp_path: Path) -> None:
    """Whatever it was, nothing breaks; and after ``kill -9`` everybody sees what they saw."""
    answered: Counter[str] = Counter()
    for seed in SEEDS:
        answered.update(await bombard(tmp_path / str(seed), seed))
    assert answered.keys() == {method.name for method in METHODS}
