"""TLS: who may connect, with which certificates, and until when."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import grpc
import pytest
from structlog.testing import capture_logs

from tests.certificates import make_certificates
from tests.fakes import FakeClock
from tests.integration.serving import Service
from uwfq_service.server import certificates
from uwfq_service.server.app import Server
from uwfq_service.server.config import certificate_problems, load
from uwfq_service.server.config_keys import Tls


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and a server's and a client's certificate by it."""
    return make_certificates(tmp_path_factory.mktemp("keys"))


async def call_over_tls(keys: Path, port: int, *, with_certificate: bool) -> str:
    """Submit a job; the job's name."""
    credentials = grpc.ssl_channel_credentials(
        (keys / "ca.pem").read_bytes(),
        (keys / "client.key").read_bytes() if with_certificate else None,
        (keys / "client.pem").read_bytes() if with_certificate else None,
    )
    own_connection = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(
        f"127.0.0.1:{port}", credentials, options=own_connection
    ) as channel:
        service = Service(cast(Server, None), FakeClock(), channel)
        return (await service.submit()).job_id


async def secured(keys: Path, *, mutual: bool) -> AsyncIterator[Server]:
    """A service with TLS."""
    settings = {
        "listen": "127.0.0.1:0",
        "data": ":memory:",
        "tls.cert": str(keys / "server.pem"),
        "tls.key": str(keys / "server.key"),
    }
    if mutual:
        settings["tls.client_ca"] = str(keys / "ca.pem")
    async with Server(load(settings)) as server:
        yield server


@pytest.mark.needs("openssl")
async def test_a_service_with_a_certificate_speaks_tls_only(keys: Path) -> None:
    """A caller without TLS is turned away."""
    async for server in secured(keys, mutual=False):
        assert await call_over_tls(keys, server.port, with_certificate=False)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            service = Service(server, FakeClock(), channel)
            with pytest.raises(grpc.aio.AioRpcError):
                await service.submit()


@pytest.mark.needs("openssl")
async def test_mutual_tls_turns_away_who_has_no_certificate(keys: Path) -> None:
    """Whoever shows one of the CA gets in."""
    async for server in secured(keys, mutual=True):
        assert await call_over_tls(keys, server.port, with_certificate=True)
        with pytest.raises(grpc.aio.AioRpcError):
            await call_over_tls(keys, server.port, with_certificate=False)


@pytest.mark.needs("openssl")
async def test_certificates_that_are_replaced_serve_the_next_connections(tmp_path: Path) -> None:
    """They are renewed every few months; what does not fit together changes nothing."""
    old, new, used = (tmp_path / name for name in ("old", "new", "used"))
    for folder in (old, new):
        folder.mkdir()
        make_certificates(folder)
    shutil.copytree(old, used)
    async for server in secured(used, mutual=True):
        # Enough connections that every acceptor has some.
        for _ in range(8):
            assert await call_over_tls(old, server.port, with_certificate=True)
        with capture_logs() as lines:
            shutil.copy(new / "server.key", used)
            for _ in range(8):
                assert await call_over_tls(old, server.port, with_certificate=True)
            shutil.copy(new / "server.pem", used)
            shutil.copy(new / "ca.pem", used)
            for _ in range(8):
                assert await call_over_tls(new, server.port, with_certificate=True)
        told = {line["event"] for line in lines}
        assert {"certificates_refused", "certificates_replaced"} <= told
        with pytest.raises(grpc.aio.AioRpcError):
            await call_over_tls(old, server.port, with_certificate=True)


@pytest.mark.needs("openssl")
async def test_certificates_that_may_be_read_later_serve_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever renews them puts them there as root, and gives them away afterwards."""
    old, new, used = (tmp_path / name for name in ("old", "new", "used"))
    for folder in (old, new):
        folder.mkdir()
        make_certificates(folder)
    shutil.copytree(old, used)

    def problems(tls: Tls) -> Iterator[str]:
        # As for who is not root, whom nothing is kept from.
        return certificate_problems(tls) if Path(tls.key).stat().st_mode & 0o400 else iter(["no"])

    monkeypatch.setattr(certificates, "certificate_problems", problems)
    async for server in secured(used, mutual=True):
        for name in ("ca.pem", "server.pem", "server.key"):
            shutil.copy(new / name, used)
        (used / "server.key").chmod(0)
        # Enough connections that every acceptor has some.
        for _ in range(8):
            assert await call_over_tls(old, server.port, with_certificate=True)
        (used / "server.key").chmod(0o600)
        for _ in range(8):
            assert await call_over_tls(new, server.port, with_certificate=True)
