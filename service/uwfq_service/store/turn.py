"""Whose turn it is to write: the service's, or that of the process that makes a snapshot.

SQLite has a lock for that, but a commit that makes the write-ahead log long enough *checkpoints* it
(carries it over into the database) when that lock is given back already.  If another connection
writes meanwhile, versions before 3.51.3 can, very rarely, lose a commit
(https://www.sqlite.org/wal.html#walresetbug).  A turn lasts until the checkpoint is through.

Who reads has no need of a turn.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

TURN_NAME: Final = "uwfq.turn"
#: Between two looks at whether it is free, seconds; a turn takes some milliseconds.
LOOK_SECONDS: Final = 0.0005


class NoTurn(sqlite3.OperationalError):
    """The turn was somebody else's for too long."""

    #: To those who handle what SQLite raises it is a lock like SQLite's own.
    sqlite_errorcode = sqlite3.SQLITE_BUSY


class Turn:
    """A context in which nobody else writes to the database of ``directory``.

    One for each connection, and one thread at a time.  The kernel ends the turn of a process that
    is gone.
    """

    def __init__(self, directory: Path, longest_wait_seconds: float) -> None:
        self._longest_wait_seconds = longest_wait_seconds
        self._descriptor = os.open(directory / TURN_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        self.taken = False

    def __enter__(self) -> Self:
        """Raises ``NoTurn``."""
        assert not self.taken, "a turn has no turns within"
        # The lock itself would wait without an end, for a process that is stopped, say.
        deadline = time.monotonic() + self._longest_wait_seconds
        while not self._take():
            if time.monotonic() >= deadline:
                raise NoTurn(f"another writer has not ended in {self._longest_wait_seconds:g} s")
            time.sleep(LOOK_SECONDS)
        self.taken = True
        return self

    def _take(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.taken = False
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give up the file.  A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
