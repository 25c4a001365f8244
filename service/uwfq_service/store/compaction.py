"""The compaction process: makes the next snapshot while the service goes on.

    python -m uwfq_service.store DIRECTORY LIFELINE < request > report

It does what a restart does (newest snapshot, then the tail, up to a given event) in a process of
its own, with a lower priority, and stores the result as a new snapshot.  The service hears of
it by the exit code and then clears what the snapshot covers.  Nothing that happens here can hurt
the service: a snapshot is there in full or not at all.

LIFELINE is the number of a pipe's descriptor whose other end the service holds and never writes
to.  When it closes, the service is gone and the process ends by itself.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.metadata
import os
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import msgspec
import structlog

from uwfq_service.core.commands import Record
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Settings
from uwfq_service.store.codec import encode_state
from uwfq_service.store.recovery import restore
from uwfq_service.store.schema import check_schema, connect
from uwfq_service.store.snapshot import write_snapshot

#: Between two transactions the process waits at least so long, and longer than it wrote.
SHORTEST_PAUSE_SECONDS: Final = 0.002

#: Of the code that this process runs, which an upgrade does not change.
VERSION: Final = importlib.metadata.version("uwfq")


class ServiceGone(Exception):
    """The service that asked for the snapshot has ended."""


class OtherVersion(Exception):
    """The service that asked for the snapshot runs other code than is installed by now."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"the service runs UWFQ {version}, but {VERSION} is installed by now; "
            "no snapshots are made until it is restarted"
        )


class Request(Record, frozen=True, kw_only=True):
    """What the service tells the process, in msgpack."""

    #: The snapshot covers the events up to this number, which are on disk.
    through: int
    settings: Settings
    #: ``module:class`` of the scheduler.
    scheduler: str
    #: The service's ``VERSION``.
    version: str


class Report(Record, frozen=True, kw_only=True):
    """What the process tells the service when all went well, in msgpack."""

    sequence: int
    snapshot_id: int
    #: Events replayed on top of the snapshot before.
    records: int
    #: Size of the new snapshot.
    bytes: int
    seconds: float


def compact(
    directory: Path, request: Request, *, check: Callable[[], None], pause: Callable[[], None]
) -> Report:
    """Write a snapshot as of ``request.through`` into the database of ``directory``.

    ``check`` is called between steps that read and ``pause`` between transactions: to give up by
    raising, and to let the service write.  No step is long.  Raises ``OtherVersion`` before
    anything else: what two versions make of one journal must not be mixed.
    """
    began = time.perf_counter()
    if request.version != VERSION:
        raise OtherVersion(request.version)
    connection = connect(directory, durable=False)
    try:
        check_schema(connection)
        restored = restore(
            connection,
            request.settings,
            _no_jitter,
            scheduler_type=_scheduler_type(request.scheduler),
            through=request.through,
            pause=check,
        )
        assert restored.sequence == request.through, "asked to cover events that are not on disk"
        content = encode_state(restored.scheduler.dump())
        check()
        snapshot_id = write_snapshot(
            connection, restored.sequence, restored.at, content, pause=pause
        )
    finally:
        connection.close()
    return Report(
        sequence=restored.sequence,
        snapshot_id=snapshot_id,
        records=restored.records,
        bytes=len(content),
        seconds=time.perf_counter() - began,
    )


def _no_jitter() -> float:
    """Stand in for the jitter of retries, which were decided before and are only replayed."""
    return 1.0


def _scheduler_type(name: str) -> type[Scheduler]:
    module, _, attribute = name.partition(":")
    return cast("type[Scheduler]", getattr(importlib.import_module(module), attribute))


class Pacer:
    """Gives way to the service between transactions, and notices when it has ended."""

    def __init__(self, lifeline: int) -> None:
        """Watch the descriptor ``lifeline``, which the service holds the other end of."""
        # Not select: the descriptor has its number from a service that may have thousands.
        self._lifeline = select.poll()
        self._lifeline.register(lifeline, select.POLLIN)
        self._resumed = time.perf_counter()

    def check(self, wait: float = 0.0) -> None:
        """Raise ``ServiceGone`` if the service has ended, or does within ``wait`` seconds."""
        # Nothing is ever sent through it: readable means closed.
        if self._lifeline.poll(1000 * wait):
            raise ServiceGone
        self._resumed = time.perf_counter()

    def pause(self) -> None:
        """Leave the database alone for longer than it was used since the last pause or check."""
        # A commit of the service that comes in our turn waits for its end; most must not have to.
        worked = time.perf_counter() - self._resumed
        self.check(max(SHORTEST_PAUSE_SECONDS, 1.5 * worked))


def step_back() -> None:
    """Leave processor and memory to the service."""
    # Not so far that a busy machine would never let it finish.  A sandbox may forbid it, and a
    # snapshot at full priority is better than none.
    with contextlib.suppress(PermissionError):
        os.nice(5)
    # It takes up to twice as much as the service, but not from its beginning, and where memory runs
    # out the system ends whoever has most.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def main() -> int:
    """Run as a process: read the request, write the snapshot, print the report."""
    step_back()
    gc.disable()  # The process is short-lived and keeps nearly all that it makes.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    pacer = Pacer(lifeline=int(sys.argv[2]))
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Request)
    try:
        report = compact(Path(sys.argv[1]), request, check=pacer.check, pause=pacer.pause)
    except ServiceGone:
        return 1
    sys.stdout.buffer.write(msgspec.msgpack.encode(report))
    return 0
