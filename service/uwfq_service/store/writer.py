"""The writer thread: carries rows to disk, as many per commit as have gathered.

No timer collects a batch.  While one commit waits for the disk, rows gather for the next, so the
commits grow with the load by themselves: alone, an event waits for one sync and nothing else; a
thousand in a hurry share one.

What was put together stays together: a crash must not leave half of what one command decided, such
as a job's last task done and the job not ended.

A commit is one SQL statement of many rows.  The interpreter lock is given up and taken back
around every statement, and taking it back from a busy loop thread costs milliseconds: one
statement per row would make the journal crawl just when there is much to write.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from uwfq_service.store.housekeeping import Housekeeper
from uwfq_service.store.schema import Connection, transaction

#: Values per row as they come in: kind, version, at, record.
COLUMNS: Final = 4
#: Offset of ``at`` and ``record`` in a row.
AT: Final = 2
RECORD: Final = 3


class Writer:
    """Writes rows in the order of ``put`` and numbers them.

    ``put`` and ``stop`` belong to one thread, ``poke`` to any.  The callbacks are made on the
    writer's own thread: ``check()`` after each commit, which may raise if it cannot be relied on,
    ``written(sequence)`` after that, and ``failed(error)`` at most once, after which nothing is
    written.
    """

    def __init__(
        self,
        connection: Connection,
        housekeeper: Housekeeper,
        *,
        sequence: int,
        commit_records: int,
        check: Callable[[], None],
        written: Callable[[int], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        #: Number of the last row on disk, and commits so far.
        self.sequence = sequence
        self.commits = 0
        self.error: BaseException | None = None

        self._connection = connection
        self._housekeeper = housekeeper
        self._check = check
        self._written = written
        self._failed = failed
        # Old builds of SQLite allow few parameters per statement.
        parameters = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        self._sizes = _sizes(min(commit_records, (parameters - 1) // COLUMNS))
        self._statements = {size: _statement(size) for size in self._sizes}

        # Guards the four below.  Held for moments only.
        self._lock = threading.Lock()
        self._pending: list[list[Any]] = []
        self._idle = False
        self._poked = False
        self._stopping = False
        #: The thread waits to acquire it; whoever turns ``_idle`` off releases it.
        self._wake = threading.Lock()
        self._wake.acquire()
        self._thread = threading.Thread(target=self._run, name="uwfq-journal", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, values: list[Any]) -> None:
        """Queue rows, given as one flat list of ``COLUMNS`` values each, for the same commit."""
        with self._lock:
            if self.error is None:
                self._pending.append(values)
            self._rouse()

    def poke(self) -> None:
        """Have the housekeeper look for work."""
        with self._lock:
            self._poked = True
            self._rouse()

    def stop(self) -> None:
        """Write what is queued and end the thread.  Blocks."""
        with self._lock:
            self._stopping = True
            self._rouse()
        self._thread.join()

    def _rouse(self) -> None:
        # While the thread is busy it will look by itself, and waking it would cost a system call.
        if self._idle:
            self._idle = False
            self._wake.release()

    def _take(self) -> list[list[Any]]:
        with self._lock:
            pending, self._pending = self._pending, []
        return pending

    def _wait(self) -> bool:
        """Wait until there is something to do; return False if that is to end."""
        with self._lock:
            if self._pending or self._poked:
                self._poked = False
                return True
            if self._stopping:
                return False
            self._idle = True
        self._wake.acquire()
        return True

    def _run(self) -> None:
        try:
            while True:
                if pending := self._take():
                    for values in self._commits(pending):
                        self._write(values)
                elif not self._stopping and self._housekeeper.step():
                    continue  # There may be more of it, but rows go first.
                elif not self._wait():
                    return
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody may go on
            with self._lock:
                self.error = error
                self._pending = []
            self._failed(error)

    def _commits(self, pending: list[list[Any]]) -> Iterator[list[Any]]:
        """Yield what to commit together: as much as one statement takes, but no part of a put."""
        most = COLUMNS * self._sizes[-1]
        gathered: list[Any] = []
        for values in pending:
            if gathered and len(gathered) + len(values) > most:
                yield gathered
                gathered = []
            gathered += values
        yield gathered

    def _write(self, values: list[Any]) -> None:
        self._commit(values)
        self._check()
        records = len(values) // COLUMNS
        self.sequence += records
        self.commits += 1
        self._written(self.sequence)
        record_bytes = sum(map(len, values[RECORD::COLUMNS]))
        self._housekeeper.committed(self.sequence, records, record_bytes, values[AT - COLUMNS])
        self._housekeeper.step()

    def _commit(self, values: list[Any]) -> None:
        most = COLUMNS * self._sizes[-1]
        if len(values) <= most:
            # Outside of a transaction a statement is one by itself: back from here, it is on disk.
            with self._connection.turn:
                self._insert(self.sequence + 1, values)
            return
        with transaction(self._connection):
            for begin in range(0, len(values), most):
                first = self.sequence + 1 + begin // COLUMNS
                self._insert(first, values[begin : begin + most])

    def _insert(self, first: int, values: list[Any]) -> None:
        count = len(values) // COLUMNS
        size = next(size for size in self._sizes if size >= count)
        padding = [None] * (COLUMNS * (size - count))
        cursor = self._connection.execute(self._statements[size], [first, *values, *padding])
        assert cursor.rowcount == count, "all rows or an error"


def _sizes(most: int) -> list[int]:
    """Return the row counts that statements are made for: each at most half as large again."""
    sizes = {most}
    size = 1
    while size < most:
        sizes |= {size, min(size * 3 // 2, most)}
        size *= 2
    return sorted(sizes)


def _statement(size: int) -> str:
    """Return an INSERT of up to ``size`` rows; those without a kind are left out.

    Parameter 1 is the number of the first row; the others follow row by row.
    """
    rows = ", ".join(
        f"(?1 + {row}, {', '.join(f'?{COLUMNS * row + 2 + column}' for column in range(COLUMNS))})"
        for row in range(size)
    )
    # A VALUES clause names its columns column1, column2, ...
    return (
        "INSERT INTO events (seq, kind, version, at, record) "  # noqa: S608 - holds parameters only
        f"SELECT * FROM (VALUES {rows}) WHERE column2 IS NOT NULL"
    )
