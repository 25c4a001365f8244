"""gRPC says nothing of a channel argument that it does not know: one with a slip is not there."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from uwfq_client import Keepalive, Tls
from uwfq_client.channel import Endpoint
from uwfq_service.server.app import channel_options
from uwfq_service.server.config import load

found = find_spec("grpc._cython.cygrpc")
assert found is not None
assert found.origin is not None
#: What gRPC is made of, with the names of all arguments that it reads.
LIBRARY = Path(found.origin).read_bytes()
ENDPOINT = Endpoint("127.0.0.1:7170", tls=Tls(server_name="uwfq"), keepalive=Keepalive())
ARGUMENTS = [*channel_options(load({})), *ENDPOINT._options]


@pytest.mark.parametrize("name", sorted({name for name, _ in ARGUMENTS} | {"grpc.so_reuseport"}))
def test_grpc_reads_the_argument(name: str) -> None:
    """Of the service and of the Python client."""
    assert name.encode() in LIBRARY
