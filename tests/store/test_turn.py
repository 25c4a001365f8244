"""Whose turn it is to write: never two at a time, checkpoints included."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.store.example_events import numbered
from tests.store.harness import open_sqlite
from tests.store.ledger import Ledger
from uwfq_service.core.settings import Settings
from uwfq_service.store import StoreOptions, schema, turn
from uwfq_service.store.compaction import VERSION, Request, compact
from uwfq_service.store.schema import Connection, connect, is_locked, transaction
from uwfq_service.store.turn import NoTurn, Turn

#: Another process that takes its turn, says so, and keeps it.
KEEPS_ITS_TURN = """
import sys, time
from pathlib import Path
from uwfq_service.store.turn import Turn

with Turn(Path(sys.argv[1]), 60):
    print("mine", flush=True)
    time.sleep(1000)
"""

#: Statements that neither write nor end a transaction.
HARMLESS = ("SELECT", "PRAGMA")


def test_a_turn_ends_with_its_block(tmp_path: Path) -> None:
    """However the block ends."""
    with closing(Turn(tmp_path, 0)) as first, closing(Turn(tmp_path, 0)) as second:
        with first, pytest.raises(NoTurn):
            second.__enter__()
        assert (first.taken, second.taken) == (False, False)
        with contextlib.suppress(ZeroDivisionError), second:
            raise ZeroDivisionError
        with first:
            assert (first.taken, second.taken) == (True, False)


def test_whoever_comes_second_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes on as soon as the first is through."""
    order = []
    waits = threading.Event()
    monkeypatch.setattr(turn, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=noted(waits)))
    with closing(Turn(tmp_path, 60)) as first, closing(Turn(tmp_path, 60)) as second:

        def write() -> None:
            with second:
                order.append("second")

        thread = threading.Thread(target=write)
        with first:
            thread.start()
            assert waits.wait(30)
            order.append("first")
        thread.join()
    assert order == ["first", "second"]


def noted(event: threading.Event) -> Callable[[float], None]:
    """A sleep that says that it has begun, and ends at once."""
    return lambda _: event.set()


def test_a_process_that_is_gone_has_no_turn(tmp_path: Path) -> None:
    """One that is merely stopped keeps it; who waits is told at last, as of a lock of SQLite's."""
    with subprocess.Popen(
        [sys.executable, "-c", KEEPS_ITS_TURN, str(tmp_path)], stdout=subprocess.PIPE
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"mine\n"
            os.kill(other.pid, signal.SIGSTOP)
            mine = Turn(tmp_path, 0.05)
            with pytest.raises(sqlite3.OperationalError) as caught:
                mine.__enter__()
            assert is_locked(caught.value)
        finally:
            other.kill()
    with mine:
        assert mine.taken
    mine.close()


class Watched(Connection):
    """A connection that notes what it writes out of turn."""

    out_of_turn: list[str] = []  # noqa: RUF012 - of all of them

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        if not self.turn.taken and not statement.startswith(HARMLESS):
            self.out_of_turn.append(statement)
        return super().execute(statement, values)


async def test_all_that_is_written_is_written_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the service, by the process that makes snapshots, and by the last snapshot."""
    monkeypatch.setattr(schema, "Connection", Watched)
    monkeypatch.setattr(Watched, "out_of_turn", [])
    watched = open_sqlite(tmp_path, StoreOptions(history_records=5, commit_records=16))
    await watched.until_durable(watched.journal.append(numbered(1, 100)))
    request = Request(
        through=100,
        settings=Settings(),
        scheduler=f"{Ledger.__module__}:{Ledger.__qualname__}",
        version=VERSION,
    )
    report = compact(tmp_path, request, check=lambda: None, pause=lambda: None)
    housekeeper = watched.journal._housekeeper
    assert housekeeper is not None
    housekeeper._compaction.outcome = report
    await watched.until_durable(watched.journal.append(numbered(101, 100)))
    scheduler = watched.recovery.scheduler
    for event in numbered(1, 200):
        scheduler.replay(event)
    watched.journal.close(scheduler)
    again = open_sqlite(tmp_path)
    again.journal.close()
    assert again.recovery.snapshot_sequence == 200
    assert Watched.out_of_turn == []
    with closing(connect(tmp_path, durable=False)) as connection:
        connection.execute("DELETE FROM events")
        assert Watched.out_of_turn == ["DELETE FROM events"]
        with transaction(connection):
            connection.execute("DELETE FROM history")
    assert len(Watched.out_of_turn) == 1
