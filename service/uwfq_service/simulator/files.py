"""Files that are either the old ones or the new ones, never half of something."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path``, by way of a temporary name beside it.

    What is there and is no regular file (a terminal, a pipe) is written to as it is.  Raises
    ``OSError``; a file that was there is then still what it was.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    # A link goes on pointing where it points.
    target = path.resolve()
    # No longer than any name may be, whatever that of the file is.
    part = target.with_name(f".uwfq.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
