"""Keeps the database small: starts compactions, clears what a snapshot covers, ages history.

The journal's writer thread calls ``step`` between its commits.  A step does one small transaction
at most, so an append never waits long behind it, and as it comes after every commit, clearing
keeps up with writing.  Those transactions need not reach the disk at once: one that is lost in a
crash is done again, since what there is to do follows from the database alone.

A failure here (a compaction that ended badly, a full disk) is logged and counted, and tried again
after the tail has grown by as much again.
"""

from __future__ import annotations

import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from uwfq_service.store.compaction import Report, Request
from uwfq_service.store.history import history_count, move_covered, trim
from uwfq_service.store.options import StoreOptions
from uwfq_service.store.recovery import Restored
from uwfq_service.store.schema import connect
from uwfq_service.store.snapshot import discard_others, drop_chunks

#: A clearing transaction is sized to take about so long.
STEP_SECONDS: Final = 0.002
MIN_STEP_ROWS: Final = 16
MAX_STEP_ROWS: Final = 4_000
#: A compaction that takes so long hangs.
COMPACTION_TIMEOUT_SECONDS: Final = 3600.0
#: A tail below this part of the snapshot's bytes is replayed sooner than a snapshot is written.
SHORT_TAIL: Final = 1 / 8
#: Chunks of forgotten snapshots deleted in one transaction.
STEP_CHUNKS: Final = 4

log = structlog.get_logger(__name__)


class Housekeeper:
    """Looks after one database.  ``step`` and ``close`` belong to the writer thread.

    ``wake`` is called from another thread when a step has something new to do.
    """

    def __init__(
        self,
        directory: Path,
        options: StoreOptions,
        restored: Restored,
        request: Callable[[int], Request],
        wake: Callable[[], None],
    ) -> None:
        #: Events and bytes after the newest snapshot.
        self.tail_records = restored.records
        self.tail_bytes = restored.record_bytes
        self.snapshot_bytes = restored.snapshot_bytes
        self.snapshots = 0
        self.failures = 0

        self._options = options
        self._connection = connect(directory, durable=False)
        self.history_records = history_count(self._connection)
        self._compaction = Compaction(directory, request, wake)
        #: The snapshot that a recovery would begin with, and the last event in it.
        self._snapshot_id = restored.snapshot_id
        self._covered = restored.snapshot_sequence
        #: Whether the database may hold something to clear or to trim.
        self._untidy = True
        #: Instant of the newest event, seconds: history is aged by the service's clock.
        self._now = restored.at
        #: What the tail held when the running compaction started; that much will be covered.
        self._asked_records = 0
        self._asked_bytes = 0
        #: Failures since the last success: each makes the next attempt wait for a longer tail.
        self._failures_in_a_row = 0
        self._rows = 256

    @property
    def worth_a_last_snapshot(self) -> bool:
        """Whether a snapshot now spares the next start more than it costs."""
        return self.tail_records > 0 and self.tail_bytes >= SHORT_TAIL * self.snapshot_bytes

    def committed(self, sequence: int, records: int, record_bytes: int, now: float) -> None:
        """Take note of a commit that ended with event ``sequence``; start a compaction if due."""
        self.tail_records += records
        self.tail_bytes += record_bytes
        self._now = now
        if self._due() and not self._compaction.running:
            self._asked_records, self._asked_bytes = self.tail_records, self.tail_bytes
            self._compaction.start(sequence)

    def _due(self) -> bool:
        patience = 1 + self._failures_in_a_row
        options = self._options
        return (
            self.tail_records >= patience * options.snapshot_records
            or self.tail_bytes >= patience * options.snapshot_bytes
        ) and self.tail_bytes >= self.snapshot_bytes // 2

    def step(self) -> bool:
        """Do one small piece of work; return whether there may be more to do at once."""
        try:
            if (outcome := self._compaction.outcome) is not None:
                try:
                    self._compaction_ended(outcome)
                finally:
                    self._compaction.settle()
            return self._untidy and self._tidy()
        except sqlite3.Error as error:
            self._failed(error)
            return False

    def _compaction_ended(self, outcome: Report | Exception) -> None:
        if isinstance(outcome, Exception):
            self._failed(outcome)
        else:
            self._snapshot_written(outcome)
        # After every one: also what could not be removed the last time.
        discard_others(self._connection, self._snapshot_id)
        self._untidy = True

    def _snapshot_written(self, outcome: Report) -> None:
        self._failures_in_a_row = 0
        self.snapshots += 1
        self.snapshot_bytes = outcome.bytes
        self.tail_records -= self._asked_records
        self.tail_bytes -= self._asked_bytes
        self._snapshot_id, self._covered = outcome.snapshot_id, outcome.sequence
        log.info(
            "snapshot_written",
            sequence=outcome.sequence,
            records=outcome.records,
            bytes=outcome.bytes,
            seconds=round(outcome.seconds, 3),
        )

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._failures_in_a_row += 1
        # Clearing goes on after the next compaction.
        self._untidy = False
        log.warning("housekeeping_failed", error=str(error) or repr(error), failures=self.failures)

    def _tidy(self) -> bool:
        """Clear what the snapshot covers, then old snapshots, then old history."""
        began = time.perf_counter()
        options = self._options
        done = move_covered(self._connection, self._covered, self._rows)
        if not done:
            done = drop_chunks(self._connection, STEP_CHUNKS)
        if not done:
            done = trim(
                self._connection,
                self._rows,
                keep_records=options.history_records,
                oldest=self._now - options.history_seconds,
            )
        self._pace(done, time.perf_counter() - began)
        self.history_records = history_count(self._connection)
        self._untidy = done > 0
        return self._untidy

    def _pace(self, done: int, seconds: float) -> None:
        if seconds > 2 * STEP_SECONDS:
            self._rows = max(MIN_STEP_ROWS, self._rows // 2)
        elif done >= self._rows and seconds < STEP_SECONDS / 2:
            self._rows = min(MAX_STEP_ROWS, self._rows * 2)

    def close(self) -> None:
        """End a running compaction and let go of the database."""
        self._compaction.stop()
        self._connection.close()


class Compaction:
    """The compaction process, seen from the service; at most one runs at a time."""

    def __init__(
        self, directory: Path, request: Callable[[int], Request], wake: Callable[[], None]
    ) -> None:
        self._directory = directory
        self._request = request
        self._wake = wake
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        #: How the one that was asked for has ended; ``None``: it has not, or there is none.
        self.outcome: Report | Exception | None = None
        #: Whether one was asked for whose outcome is not dealt with yet.
        self.running = False
        #: Up to which event; ``None``: no more.
        self._asked: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        # Waits for the process, so that the writer does not.  Not started with each process: a
        # thread that dies before it begins, for want of memory, keeps who starts it for ever.
        self._thread = threading.Thread(target=self._run, name="uwfq-compaction", daemon=True)
        self._thread.start()

    def start(self, through: int) -> None:
        """Have a snapshot made as of event ``through``, which is on disk."""
        assert not self.running, "one compaction at a time"
        self.running = True
        self._asked.put(through)

    def settle(self) -> None:
        """Forget the outcome, which is dealt with: the next one may start."""
        self.outcome, self.running = None, False

    def stop(self) -> None:
        """End the process if one runs, and wait until it is gone."""
        # Either we see the process here or its thread sees the flag.
        self._stopped = True
        if self._process is not None:
            self._process.kill()
        self._asked.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (through := self._asked.get()) is not None:
            try:
                self.outcome = self._spawn(through)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is the outcome
                self.outcome = error
            self._wake()

    def _spawn(self, through: int) -> Report:
        request = msgspec.msgpack.encode(self._request(through))
        lifeline, our_end = os.pipe()
        # -P: modules come from where ours come from, not from the current directory.
        module = ("-P", "-m", "uwfq_service.store")
        try:
            with subprocess.Popen(
                [sys.executable, *module, str(self._directory), str(lifeline)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[lifeline],
            ) as process:
                self._process = process
                if self._stopped:
                    process.kill()
                try:
                    output, errors = process.communicate(request, COMPACTION_TIMEOUT_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
        finally:
            os.close(lifeline)
            os.close(our_end)
        if process.returncode != 0:
            raise CompactionFailed(process.returncode, errors.decode(errors="replace"))
        return msgspec.msgpack.decode(output, type=Report)


class CompactionFailed(subprocess.SubprocessError):
    """The compaction process ended without a snapshot."""

    def __init__(self, code: int, errors: str) -> None:
        last = errors.strip().rpartition("\n")[2]
        if code == -signal.SIGKILL:
            last = "killed, as by a system that is out of memory"
        super().__init__(f"the compaction process ended with code {code}: {last}")
