"""Acceptors: several gRPC servers of one process that share a port, and so the work of accepting.

A ``grpc.aio.Server`` takes in calls one by one: only when the event loop has taken one does it ask
the library for the next, which comes by way of another thread.  A loop that waits for that thread
waits with nothing else to do, however many calls there are.  With some servers side by side so many
calls are on their way in at once; 200 in flight cost a quarter less of the processor.

The kernel deals connections out to them (SO_REUSEPORT), so it helps where there are several.  The
servers have the same handlers and live and die together.

With that option the kernel would let in a second service as well, and deal out connections to both.
So the port is tried without it first: that fails when anybody listens there.

A path gRPC takes from whoever has it, for it may be left over from a service that was killed.  So
that is tried first, too: nobody may answer there.

Services that start at one instant try and listen one after another.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import grpc

#: Servers where the kernel deals out connections.  More than a few gain nothing more.
ACCEPTORS: Final = 4

#: Makes the credentials of a server.
Credentials = Callable[[], grpc.ServerCredentials]

#: Longest to wait for whoever may listen at a path.
_PROBE_SECONDS: Final = 1.0

#: How often to ask whether another service has begun to listen, and with what pause, seconds.
_TURN_TRIES: Final = 100
_TURN_PAUSE: Final = 0.02


class Acceptors:
    """The servers, as if they were one.  Make it on the event loop."""

    def __init__(
        self, listen: str, options: Sequence[tuple[str, Any]], most: int = ACCEPTORS
    ) -> None:
        """``listen`` is ``host:port``, with port 0 for any, or ``unix:path``."""
        self._listen = listen
        # Elsewhere one socket gets all connections, and a path belongs to one server.
        shared = sys.platform == "linux" and not listen.startswith("unix:")
        options = [*options, ("grpc.so_reuseport", int(shared))]
        count = most if shared else 1
        self._servers = [grpc.aio.server(options=options) for _ in range(count)]

    def add(self, register: Callable[[grpc.aio.Server], object]) -> None:
        """Have handlers registered with each server."""
        for server in self._servers:
            register(server)

    def bind(self, credentials: Credentials | None) -> int:
        """Listen, with TLS if there are ``credentials``, made anew for each server.

        Returns the port, 0 for a path.

        Raises ``OSError`` or ``RuntimeError`` if that cannot be.
        """
        host, _, port = self._listen.rpartition(":")
        with _turn(self._listen if self._listen.startswith("unix:") else port):
            if self._listen.startswith("unix:"):
                _refuse_taken_path(self._listen.removeprefix("unix:"))
            elif len(self._servers) > 1 and port != "0":
                _refuse_taken(host.strip("[]"), port)
            first, *others = self._servers
            bound = _bind(first, self._listen, credentials)
            for server in others:
                _bind(server, f"{host}:{bound}", credentials)
            return bound

    async def start(self) -> None:
        """Begin to serve."""
        for server in self._servers:
            await server.start()

    async def stop(self, grace: float | None) -> None:
        """As ``grpc.aio.Server.stop``."""
        await asyncio.gather(*(server.stop(grace) for server in self._servers))


def _bind(server: grpc.aio.Server, listen: str, credentials: Credentials | None) -> int:
    if credentials is None:
        return server.add_insecure_port(listen)
    return server.add_secure_port(listen, credentials())


@contextlib.contextmanager
def _turn(where: str) -> Iterator[None]:
    """Wait until no other service tries to listen at ``where``, and keep others waiting meanwhile.

    Whoever keeps us waiting for long is no service that starts: then we go on.
    """
    with contextlib.ExitStack() as held:
        # A sandbox may forbid it; elsewhere than on Linux there are no such names.
        with contextlib.suppress(OSError):
            turn = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            for _ in range(_TURN_TRIES):
                try:
                    # In no file system, and free again when its process has ended.
                    turn.bind(f"\0uwfq-listen-{zlib.crc32(where.encode())}")
                    break
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise
                    time.sleep(_TURN_PAUSE)
        yield


def _refuse_taken(host: str, port: str) -> None:
    """Raise ``OSError`` if somebody listens there."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return  # gRPC knows more kinds of names, and says better what is wrong with this one.
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            # Connections of a service that has just ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise


def _refuse_taken_path(path: str) -> None:
    """Raise ``OSError`` if somebody listens there."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(path)
        except BlockingIOError:
            pass  # Somebody who is slow to accept.
        except OSError:
            return  # Nobody, or nothing that gRPC could listen at: it says so.
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
