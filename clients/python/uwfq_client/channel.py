"""How the client reaches the service: TLS, keepalive, and the channel's settings.

A channel is one HTTP/2 connection that gRPC makes, watches and makes anew.  It costs nothing until
it is used.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import pathlib
import re
import ssl
from collections.abc import Sequence
from typing import Final

import grpc
import grpc.aio
from grpc.experimental import ChannelOptions

from uwfq_client import checks

#: Where the service listens unless it is told otherwise.
DEFAULT_TARGET: Final = "127.0.0.1:7170"

#: A gRPC channel argument, e.g. ``("grpc.max_send_message_length", 64 << 20)``.
Option = tuple[str, int | str]


@dataclasses.dataclass(frozen=True, slots=True)
class Tls:
    """An encrypted connection; with ``certificate`` and ``key``, mutual TLS.

    Paths of PEM files, read when the connection is made.
    """

    #: Who may vouch for the service; ``None``: whom the system trusts.
    ca: str | pathlib.Path | None = None
    #: This client's own certificate chain and key, for a service that asks for them.
    certificate: str | pathlib.Path | None = None
    key: str | pathlib.Path | None = None
    #: The name that the service's certificate carries, where it is not the target's.
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files.

        Raises ``OSError`` when one cannot be read, ``ValueError`` when it does not hold what it
        should.
        """
        if (self.certificate is None) != (self.key is None):
            raise ValueError("mutual TLS needs both: certificate and key")
        ca, key, certificate = _read(self.ca), _read(self.key), _read(self.certificate)
        self._check()
        return grpc.ssl_channel_credentials(
            root_certificates=ca, private_key=key, certificate_chain=certificate
        )

    def _check(self) -> None:
        """Refuse what gRPC would take, and then never connect with, without saying why."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # How strong a key must be is for gRPC to say.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        try:
            if self.ca is not None:
                context.load_verify_locations(self.ca)
        except ssl.SSLError as error:
            raise ValueError(f"{self.ca}: holds no certificate of a CA in PEM") from error
        try:
            if self.certificate is not None:
                # Without a password OpenSSL would ask for one at the terminal.
                context.load_cert_chain(self.certificate, self.key, password="")
        except ssl.SSLError as error:
            why = f" ({error.reason})" if error.reason else ""
            raise ValueError(
                f"{self.certificate} and {self.key}: are not a certificate and its key, in PEM "
                f"and not encrypted{why}"
            ) from error


def _read(path: str | pathlib.Path | None) -> bytes | None:
    return None if path is None else pathlib.Path(path).read_bytes()


#: Three weeks: gRPC counts milliseconds in 31 bits.
_LONGEST_SECONDS: Final = 2_000_000.0


@dataclasses.dataclass(frozen=True, slots=True)
class Keepalive:
    """How soon a connection that has gone silent is noticed.

    After ``time_seconds`` without a byte from the service the client pings it; without an answer
    within ``timeout_seconds`` the connection is dropped and made anew.  Only while calls are under
    way.  A service drops clients that ping more often than it allows (ours: every 5 s).
    """

    time_seconds: float = 30.0
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("time_seconds", "timeout_seconds"):
            checks.positive_duration(name, getattr(self, name), most=_LONGEST_SECONDS)


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """One service and how to reach it."""

    target: str = DEFAULT_TARGET
    tls: Tls | bool = False
    keepalive: Keepalive = Keepalive()
    #: More channel arguments; they win over ours.
    options: Sequence[Option] = ()

    def __post_init__(self) -> None:
        checks.target(self.target)

    def blocking_channel(self) -> grpc.Channel:
        """A channel for calls that block."""
        # A stream has a thread else.  Where a Ctrl-C comes between the two, the stream never ends,
        # and the channel waits for it when it is closed.
        options = [*self._options, (ChannelOptions.SingleThreadedUnaryStream, 1)]
        if self._tls is None:
            return grpc.insecure_channel(self.target, options=options)
        return grpc.secure_channel(self.target, self._tls.credentials(), options=options)

    def async_channel(self) -> grpc.aio.Channel:
        """A channel for coroutines, bound to the running loop."""
        if self._tls is None:
            return grpc.aio.insecure_channel(self.target, options=self._options)
        return grpc.aio.secure_channel(self.target, self._tls.credentials(), options=self._options)

    @property
    def _tls(self) -> Tls | None:
        if isinstance(self.tls, Tls):
            return self.tls
        return Tls() if self.tls else None

    @property
    def _options(self) -> list[tuple[str, int | str]]:
        ours: dict[str, int | str] = {
            "grpc.keepalive_time_ms": int(self.keepalive.time_seconds * 1000),
            "grpc.keepalive_timeout_ms": int(self.keepalive.timeout_seconds * 1000),
            # A minute by default, and it is this one that gRPC obeys.
            "grpc.http2.ping_timeout_ms": int(self.keepalive.timeout_seconds * 1000),
            # A long poll or a watch is silent for long; it is what the pings are for.
            "grpc.http2.max_pings_without_data": 0,
            # A batch of leases carries its payloads (up to 64 KiB each): gRPC's 4 MiB would refuse
            # it, for ever.  The service bounds what it sends.
            "grpc.max_receive_message_length": -1,
            # After a restart of the service, seconds count; gRPC's default waits up to two minutes.
            "grpc.initial_reconnect_backoff_ms": 100,
            "grpc.min_reconnect_backoff_ms": 1000,
            "grpc.max_reconnect_backoff_ms": 2000,
        }
        if is_loopback(self.target):
            # A proxy named in the environment could not find our loopback.
            ours["grpc.enable_http_proxy"] = 0
        if self._tls is not None and self._tls.server_name:
            ours["grpc.ssl_target_name_override"] = self._tls.server_name
        return [*(ours | dict(self.options)).items()]


def is_loopback(target: str) -> bool:
    """Whether the target is on this machine, as far as its text tells."""
    if target.startswith("unix:"):
        return True
    address = re.sub("^(dns|ipv4|ipv6):(///)?", "", target)
    host = re.sub(r":\d+$", "", address).strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
