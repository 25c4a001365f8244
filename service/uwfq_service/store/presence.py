"""Whether the files of the database are still where they were.

A file that is removed, moved or replaced while it is open is written to as before, and nobody will
find what was written.  SQLite does not notice.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from uwfq_service.store.errors import StoreError
from uwfq_service.store.schema import DATABASE_NAME

#: Between two looks, seconds.  Each gives up the interpreter lock, which is dear to take back.
LOOK_SECONDS: Final = 1.0

_NAMES: Final = (DATABASE_NAME, f"{DATABASE_NAME}-wal")


class Presence:
    """The files of the open database of a directory, as they were when this was made."""

    def __init__(self, directory: Path) -> None:
        self._paths = tuple(directory / name for name in _NAMES)
        self._known = [_identity(path) for path in self._paths]
        self._looked_at = time.monotonic()

    def check(self) -> None:
        """Raise ``StoreError`` if one of them is gone or another one; looks now and then."""
        now = time.monotonic()
        if now < self._looked_at + LOOK_SECONDS:
            return
        self._looked_at = now
        for path, known in zip(self._paths, self._known, strict=True):
            if _identity(path) != known:
                raise StoreError(
                    f"{path} has been removed or replaced while it was in use; "
                    "restore the data directory before the service is started again"
                )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
