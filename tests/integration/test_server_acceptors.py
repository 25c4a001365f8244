"""Services that want one port, or one path, at the same instant."""

from __future__ import annotations

import errno
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.ports import free_port
from uwfq_service.server import acceptors
from uwfq_service.server.acceptors import Acceptors

#: Longest that a test waits for what must happen, seconds.
PATIENCE = 10.0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel lets in one alone")
@pytest.mark.parametrize("kind", ["port", "path"])
async def test_of_services_that_start_at_once_one_listens(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one does not look before the first, which has looked, listens."""
    listen = f"127.0.0.1:{free_port()}" if kind == "port" else f"unix:{tmp_path}/u"
    first, second = Acceptors(listen, []), Acceptors(listen, [])
    second_got: list[int | None] = []
    second_waits_or_is_through, first_is_through = threading.Event(), threading.Event()

    def bind_second() -> None:
        try:
            second_got.append(second.bind(None))
        except OSError as error:
            second_got.append(error.errno)
        second_waits_or_is_through.set()

    def wait(_: float) -> None:
        second_waits_or_is_through.set()
        first_is_through.wait(PATIENCE)

    thread = threading.Thread(target=bind_second)
    name = "_refuse_taken" if kind == "port" else "_refuse_taken_path"
    look = getattr(acceptors, name)

    def look_and_be_interrupted(*where: str) -> None:
        look(*where)
        if thread.ident is None:
            thread.start()
            assert second_waits_or_is_through.wait(PATIENCE)

    monkeypatch.setattr(acceptors, name, look_and_be_interrupted)
    monkeypatch.setattr(acceptors, "time", SimpleNamespace(sleep=wait))
    first.bind(None)
    first_is_through.set()
    thread.join(PATIENCE)
    assert second_got == [errno.EADDRINUSE]
    for each in (first, second):
        await each.stop(None)


async def test_a_turn_that_never_comes_keeps_nobody_from_listening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever keeps others out for so long is no service that starts."""
    listen = f"127.0.0.1:{free_port()}"
    pauses: list[float] = []
    monkeypatch.setattr(acceptors, "time", SimpleNamespace(sleep=pauses.append))
    server = Acceptors(listen, [])
    with acceptors._turn(listen.rpartition(":")[2]):  # Somebody sits there.
        assert server.bind(None)
    assert sum(pauses) >= 1
    await server.stop(None)


async def test_where_turns_cannot_be_taken_a_service_listens_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sandbox may forbid such names."""

    class Sandboxed(socket.socket):
        def bind(self, address: object) -> None:
            if self.family == socket.AF_UNIX:
                raise OSError(errno.EPERM, "forbidden")
            super().bind(address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "socket", Sandboxed)
    server = Acceptors(f"127.0.0.1:{free_port()}", [])
    assert server.bind(None)
    await server.stop(None)
