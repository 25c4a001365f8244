"""What can be wrong with stored state: the world's doing, so the text names the remedy.

These stop the service at start (or say why it stopped); no caller of the API ever sees one.
"""

from __future__ import annotations

from pathlib import Path


class StoreError(Exception):
    """The data directory cannot be used as it is.  ``str()`` says why and what to do about it."""


class DataDirectoryInUse(StoreError):
    """Another service has the data directory open."""

    def __init__(self, directory: Path, holder: str) -> None:
        super().__init__(
            f"data directory {directory} is in use by {holder or 'another process'}; "
            "stop that service, or give this one a directory of its own (--data)"
        )


class DatabaseLocked(StoreError):
    """Another program has the database locked, for longer than anything of ours does."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is locked by another program; end that program (`fuser {path}` lists those "
            "that have the file open), then start the service"
        )


class UnknownSchema(StoreError):
    """The database was laid out by a version of UWFQ that this one does not know."""

    def __init__(self, found: object, known: int) -> None:
        super().__init__(
            f"the database has schema version {found}, this UWFQ reads up to {known}; "
            "start the version of UWFQ that wrote it, or one newer than that"
        )


class UnknownRecord(StoreError):
    """A record of a kind or format version that this UWFQ does not know."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; start the version of UWFQ that wrote it, or one newer than that")


class JournalDamaged(StoreError):
    """The database lacks something that it must hold, or holds something that cannot be read."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}; restore the data directory from a backup, "
            "or move it away to start with empty state"
        )


class NoRoom(StoreError):
    """The disk has too little room for a snapshot, and events need what there is."""

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(
            f"a snapshot needs {needed:,} bytes, and the disk has {free:,} free; "
            "make room, or the journal grows until the disk is full"
        )
