"""Whether the files of the database are still where they were.

A file that is removed, moved or replaced while it is open is written to as before, and nobody will
find what was written.  SQLite compares inode numbers likewise, but not where there is a write-ahead
log.  The index of that log is for all processes: where it is gone, the compaction makes one of its
own, and two indexes of one log spoil the database.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from uwfq_service.store.errors import StoreError
from uwfq_service.store.schema import DATABASE_NAME

#: Between two looks, seconds.  Each gives up the interpreter lock, which is dear to take back.
LOOK_SECONDS: Final = 1.0

_RESTORE: Final = "restore the data directory before the service is started again"

#: What to do when a file is gone.
_REMEDIES: Final = {
    DATABASE_NAME: _RESTORE,
    f"{DATABASE_NAME}-wal": _RESTORE,
    f"{DATABASE_NAME}-shm": "a start makes a new one; leave it to the service",
}


class Presence:
    """The files of the open database of a directory, as they were when this was made."""

    def __init__(self, directory: Path) -> None:
        paths = (directory / name for name in _REMEDIES)
        #: The inode number of each file that there is.
        self._known = {path: found for path in paths if (found := _inode(path)) is not None}
        self._looked_at = time.monotonic()

    def check(self) -> None:
        """Raise ``StoreError`` if one of them is gone or another one; looks now and then."""
        now = time.monotonic()
        if now < self._looked_at + LOOK_SECONDS:
            return
        self._looked_at = now
        for path, known in self._known.items():
            if _inode(path) != known:
                raise StoreError(
                    f"{path} has been removed or replaced while it was in use; "
                    f"{_REMEDIES[path.name]}"
                )


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
