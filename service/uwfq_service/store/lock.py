"""One service per data directory: a lock that the kernel drops with the process.

The lock is on a file of its own and not on the database, which other processes may read at any
time.  The file stays behind and means nothing; only the lock on it does.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from uwfq_service.store.errors import DataDirectoryInUse, StoreError

LOCK_NAME: Final = "uwfq.lock"


class DirectoryLock:
    """Holds ``directory`` for this process from construction until ``release``."""

    def __init__(self, directory: Path) -> None:
        """Take the lock; raise ``DataDirectoryInUse`` if someone else has it."""
        # Children do not inherit the descriptor, so nobody outlives us holding the lock.
        try:
            self._descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"cannot write in {directory}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._descriptor, 100).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise DataDirectoryInUse(directory, holder) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"process {os.getpid()}\n".encode())

    def release(self) -> None:
        """Let go.  A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
