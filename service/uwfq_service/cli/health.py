"""``health``: whether the service serves, for containers and load balancers."""

from __future__ import annotations

import click

from uwfq_service.cli.connection import Connection, connected
from uwfq_service.cli.errors import FAILED, REFUSED, Failure
from uwfq_service.cli.output import emit, output_option


@click.command(short_help="Ask whether the service serves.")
@click.option("--service", default="", help="Name of one gRPC service; empty: all of it.")
@connected
@output_option
def health(connection: Connection, service: str, output: str) -> int:
    """Ask whether the service serves: exit 0 when it does, 1 when not."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from uwfq_client import NotFound
    from uwfq_client.errors import from_rpc_error

    channel = connection.endpoint().blocking_channel()
    with channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            # Its type stub does not list the methods.
            answer = stub.Check(request, timeout=connection.timeout)  # type: ignore[attr-defined]
        except grpc.RpcError as error:
            refusal = from_rpc_error(error)
            if isinstance(refusal, NotFound):
                raise Failure(f"--service: {service!r} is none of its services", REFUSED) from error
            raise refusal from error
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    emit(output, {"target": connection.target, "status": status}, status.lower())
    return 0 if serving else FAILED
