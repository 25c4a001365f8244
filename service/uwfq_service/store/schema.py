"""The tables of ``uwfq.db``, how they came to be, and how to open them.

    events      the journal: one row per event, numbered without gaps
    history     events that a snapshot covers and that reports still want
    snapshots   one row per snapshot of the scheduler, complete or not
    chunks      the content of snapshots, in pieces
    meta        the schema's version, and the number of rows in ``history``

The write-ahead log lets readers and one writer work side by side.  A writer waits for another one
up to ``BUSY_TIMEOUT_SECONDS`` (``turn.py``), so every transaction here is short.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from uwfq_service.store.errors import (
    DatabaseLocked,
    JournalDamaged,
    StoreError,
    UnknownSchema,
)
from uwfq_service.store.turn import Turn

DATABASE_NAME: Final = "uwfq.db"
SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT_SECONDS: Final = 30.0

#: "UWFQ" in ASCII.  Marks the file as ours, for ``file`` and for ourselves.
APPLICATION_ID: Final = 0x55574651

#: Where the file's header says how it is written and read, and what stands there with a log.
# https://www.sqlite.org/fileformat2.html
_FORMAT: Final = slice(18, 20)
_WITH_LOG: Final = b"\x02\x02"

#: After a burst the write-ahead log is cut back to this size.
WAL_BYTES_KEPT: Final = 64 * 1024 * 1024

# `at` repeats the event's instant, so that history can be aged without decoding records.
TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    version INTEGER NOT NULL,
    at REAL NOT NULL,
    record BLOB NOT NULL
);
CREATE TABLE history (
    seq INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    version INTEGER NOT NULL,
    at REAL NOT NULL,
    record BLOB NOT NULL
);
CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    version INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    crc32 INTEGER NOT NULL,
    chunks INTEGER NOT NULL DEFAULT 0,
    complete INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    snapshot INTEGER NOT NULL,
    content BLOB NOT NULL
);
CREATE INDEX chunks_by_snapshot ON chunks (snapshot, id);
INSERT INTO meta VALUES ('schema_version', 0), ('history_records', 0)
"""

#: ``version`` -> the step of the whole database to ``version + 1``, inside a transaction.
Migration = Callable[[sqlite3.Connection], None]
SCHEMA_MIGRATIONS: Final[Mapping[int, Migration]] = {}


class Connection(sqlite3.Connection):
    """A connection to the database of ``directory`` that writes in its turn."""

    def __init__(self, directory: Path) -> None:
        self.turn = Turn(directory, BUSY_TIMEOUT_SECONDS)
        # Threads hand connections over to each other, but never share one at the same time.
        super().__init__(
            directory / DATABASE_NAME,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_TIMEOUT_SECONDS,
        )

    def close(self) -> None:
        """Let go of the database."""
        super().close()
        self.turn.close()


def connect(directory: Path, *, durable: bool) -> Connection:
    """Open the database of ``directory`` for writing, in autocommit mode.

    With ``durable`` a commit returns when its rows have reached the disk.  Without, they reach it
    with the next durable commit of any connection, and never after it: the log is one file.
    Raises ``StoreError`` for a database that is not ours.
    """
    connection = Connection(directory)
    try:
        schema_version(connection)  # Refuses what is not ours before anything there is changed.
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(
                f"{directory} is on a file system without write-ahead logging ({mode}); "
                "choose a data directory on a local disk"
            )
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(directory: Path) -> sqlite3.Connection:
    """Open the database of ``directory`` for reading only, beside a running service or none.

    Raises ``StoreError`` if there is no database or its schema is not the current one.
    """
    path = (directory / DATABASE_NAME).resolve()
    if not path.is_file():
        raise StoreError(f"{directory} holds no {DATABASE_NAME}; is this the data directory?")
    uri = f"{path.as_uri()}?mode=ro"
    if not os.access(path.parent, os.W_OK) and not _log_beside(path).exists():
        # SQLite would fail to make a log.  With none there, nobody is writing.
        uri += "&immutable=1"
    with reading_errors(directory):
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS
        )
    try:
        with reading_errors(directory):
            refuse_orphaned_log(directory)
            check_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def refuse_orphaned_log(directory: Path) -> None:
    """Raise ``StoreError`` if there is a write-ahead log, but not the database it belongs to.

    SQLite deletes the log of an empty database, with all that was acknowledged and stands nowhere
    else, and applies it to any other.  Ours has a log from its first page on, which a copy by
    ``VACUUM INTO`` has not before it was opened.
    """
    log = _log_beside(directory / DATABASE_NAME)
    if not log.is_file() or not log.stat().st_size:
        return
    header = b""
    with suppress(FileNotFoundError), (directory / DATABASE_NAME).open("rb") as database:
        header = database.read(_FORMAT.stop)
    if header[_FORMAT] != _WITH_LOG:
        raise StoreError(
            f"{log} belongs to a {DATABASE_NAME} that is gone; bring that back, or put a backup in "
            "the place of the whole directory"
        )


def _log_beside(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Run the body as one write transaction: all of it or nothing."""
    with connection.turn:
        # IMMEDIATE: wait for another writer here, where nothing has been read yet, rather than
        # fail at the first write.
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # After some errors (a full disk) SQLite has rolled back by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def reading_errors(directory: Path) -> Iterator[None]:
    """Turn what SQLite says about an unreadable database into a ``StoreError`` with a remedy."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if is_locked(error):
            raise DatabaseLocked(directory / DATABASE_NAME) from error
        raise StoreError(
            f"cannot open {directory / DATABASE_NAME}: {error}; check the directory's permissions "
            "and that its disk has room"
        ) from error
    # The latter where it tells of damage in the words that it found there.
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"{directory / DATABASE_NAME} cannot be read: {error}") from error


def is_locked(error: BaseException) -> bool:
    """Whether SQLite has waited ``BUSY_TIMEOUT_SECONDS`` for another writer, in vain."""
    # The low byte; above it are the kinds of busy.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def schema_version(connection: sqlite3.Connection) -> int | None:
    """Return the database's schema version; ``None``: it has no tables yet."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        return None
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    if mark != APPLICATION_ID:
        raise StoreError(f"{DATABASE_NAME} is not a UWFQ database; choose another data directory")
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    if row is None:
        raise JournalDamaged(f"{DATABASE_NAME} does not say which schema version it has")
    return int(row[0])


def check_schema(connection: sqlite3.Connection) -> None:
    """Raise ``StoreError`` unless the tables are those of this UWFQ."""
    version = schema_version(connection)
    if version is None or version < SCHEMA_VERSION:
        raise StoreError(
            f"the database has schema version {version}, this UWFQ reads {SCHEMA_VERSION}; "
            "start the service once, which brings it up to date"
        )
    if version > SCHEMA_VERSION:
        raise UnknownSchema(version, SCHEMA_VERSION)


def prepare(
    connection: Connection,
    *,
    current: int = SCHEMA_VERSION,
    migrations: Mapping[int, Migration] = SCHEMA_MIGRATIONS,
) -> None:
    """Create the tables, or migrate them to the ``current`` version, in one transaction.

    Raises ``UnknownSchema`` and changes nothing if a newer UWFQ has written the database, or one
    too old to migrate from.
    """
    with transaction(connection):
        version = schema_version(connection)
        if version is None:
            for statement in TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            version = current
        if version > current:
            raise UnknownSchema(version, current)
        for step in range(version, current):
            if (migrate := migrations.get(step)) is None:
                raise UnknownSchema(version, current)
            migrate(connection)
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (current,))
