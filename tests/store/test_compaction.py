"""Snapshots while the service runs: a process of its own, which may fail as it likes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.store.example_events import numbered
from tests.store.harness import Watched, open_sqlite, reopened
from tests.store.ledger import Ledger, events_of
from uwfq_service.core.settings import Settings
from uwfq_service.store import SqliteJournal, StoreOptions, read_history
from uwfq_service.store.compaction import VERSION, Request
from uwfq_service.store.schema import connect
from uwfq_service.store.snapshot import complete_snapshots

ROOT = Path(__file__).resolve().parents[2]
EARLY = StoreOptions(snapshot_records=1000)


@pytest.fixture(autouse=True)
def ledger_for_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the compaction process import the ``Ledger``."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what has no callback: the engine has no business with housekeeping."""
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


async def until_stats(watched: Watched[SqliteJournal], **wanted: int) -> None:
    """Wait until the journal's stats have the wanted numbers."""
    await until(
        lambda: all(
            getattr(watched.journal.stats(), name) == number for name, number in wanted.items()
        )
    )


async def none_begun(watched: Watched[SqliteJournal], since: int) -> bool:
    """Whether what is on disk has led to no compaction after the first ``since``, good or bad."""
    # The writer looks whether one is due when it has told of a commit: so before the next one.
    last = watched.journal.stats().appended + 1
    await watched.until_durable(watched.journal.append(numbered(last, 1)))
    housekeeper = watched.journal._housekeeper
    assert housekeeper is not None
    ended = housekeeper.snapshots + housekeeper.failures
    return not housekeeper._compaction.running and ended == since


async def until_tidy(watched: Watched[SqliteJournal]) -> None:
    """Wait until there is no snapshot in the making, and nothing left to clear for the last one."""
    housekeeper = watched.journal._housekeeper
    assert housekeeper is not None
    await until(lambda: not (housekeeper._compaction.running or housekeeper._untidy))


async def test_a_long_tail_becomes_a_snapshot(tmp_path: Path) -> None:
    """What the snapshot covers leaves the journal; what history keeps moves there."""
    watched = open_sqlite(tmp_path, EARLY)
    watched.journal.append(numbered(1, 1500))
    await until_stats(watched, snapshots=1)
    watched.journal.append(numbered(1501, 10))
    await until_stats(watched, durable=1510)
    # Pieces are of any size: the history may be complete before the journal is cleared.
    await until_tidy(watched)
    watched.journal.close()
    stats = watched.journal.stats()  # Now that the writer has counted what it had told.
    covered = 1510 - stats.tail_records
    assert covered >= 1000
    assert stats.history_records == covered // 2
    assert stats.snapshot_failures == 0
    with closing(connect(tmp_path, durable=False)) as connection:
        assert [snapshot.sequence for snapshot in complete_snapshots(connection)] == [covered]
        events = connection.execute("SELECT min(seq), max(seq) FROM events").fetchone()
        assert events == (covered + 1, 1510)
        tail = connection.execute("SELECT sum(length(record)) FROM events").fetchone()
        assert tail == (stats.tail_bytes,)
    assert len(list(read_history(tmp_path))) == 755
    watched = open_sqlite(tmp_path)
    watched.journal.close()
    assert watched.recovery.snapshot_sequence == covered
    assert events_of(watched.recovery.scheduler) == numbered(1, 1510)


@pytest.mark.skipif(sys.platform != "linux", reason="no other system is told whom to end")
def test_memory_that_runs_out_is_taken_from_the_snapshot_not_from_the_service() -> None:
    """Whoever has most is ended, unless somebody has offered to go first."""
    told = "open('/proc/self/oom_score_adj').read()"
    code = f"from uwfq_service.store import compaction as c; c.step_back(); print({told})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1000"


async def test_a_service_with_many_connections_has_its_snapshots_made(tmp_path: Path) -> None:
    """Descriptors from 1,024 on are more than ``select`` takes."""
    watched = open_sqlite(tmp_path, EARLY)
    with contextlib.ExitStack() as stack:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if 0 <= hard < 2048:
            pytest.skip(f"no process may have so many descriptors here: {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1100):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        with capture_logs() as logs:
            watched.journal.append(numbered(1, 1500))
            await until(lambda: bool(logs))
    assert [line["event"] for line in logs] == ["snapshot_written"], logs
    watched.journal.close()


async def test_the_file_does_not_grow_with_the_number_of_events(tmp_path: Path) -> None:
    """One snapshot and one tail at a time, however long the service has run."""
    watched = open_sqlite(tmp_path, StoreOptions(snapshot_records=500, history_records=100))
    last = 0
    for snapshots in range(1, 5):
        while watched.journal.stats().snapshots < snapshots:
            last = watched.journal.append(numbered(last + 1, 200))
            await watched.until_durable(last)
            await until_tidy(watched)
    assert watched.journal.stats().history_records == 100
    watched.journal.close()
    with closing(connect(tmp_path, durable=False)) as connection:
        assert connection.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)
        (newest,) = complete_snapshots(connection)
        assert connection.execute("SELECT DISTINCT snapshot FROM chunks").fetchall() == [
            (newest.id,)
        ]
        (first,) = connection.execute("SELECT min(seq) FROM events").fetchone()
        assert first in {None, newest.sequence + 1}
    assert reopened(tmp_path) == numbered(1, last)


async def test_a_failing_compaction_hurts_nothing_and_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted, and tried again when the tail has grown by as much again."""
    python = sys.executable
    monkeypatch.setattr(sys, "executable", "/bin/false")
    watched = open_sqlite(tmp_path, EARLY)
    watched.journal.append(numbered(1, 1000))
    await until_stats(watched, snapshot_failures=1)
    await watched.until_durable(watched.journal.append(numbered(1001, 998)))
    assert await none_begun(watched, since=1)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    await watched.until_durable(watched.journal.append(numbered(2000, 1)))
    await until_stats(watched, snapshot_failures=2)
    monkeypatch.setattr(sys, "executable", python)
    await watched.until_durable(watched.journal.append(numbered(2001, 1000)))
    await until_stats(watched, snapshots=1)
    assert watched.failures == []
    watched.journal.close()
    assert reopened(tmp_path) == numbered(1, 3000)


async def test_a_snapshot_needs_no_new_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that dies for want of memory before it begins keeps whoever has started it for ever."""
    watched = open_sqlite(tmp_path, EARLY)

    def no_memory(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_memory)
    watched.journal.append(numbered(1, 1000))
    await until(
        lambda: watched.journal.stats().snapshots + watched.journal.stats().snapshot_failures > 0
    )
    assert watched.journal.stats().snapshot_failures == 0
    watched.journal.close()


async def test_a_snapshot_waits_for_a_tail_of_half_its_size(tmp_path: Path) -> None:
    """So the work that goes into snapshots stays in proportion, however large the state."""
    watched = open_sqlite(tmp_path, StoreOptions(snapshot_records=10))
    watched.journal.append(numbered(1, 1000))
    await until_stats(watched, snapshots=1, tail_records=0)
    watched.journal.append(numbered(1001, 20))
    await watched.until_durable(1020)
    assert await none_begun(watched, since=1)
    large = watched.journal.stats().snapshot_bytes // 2
    while watched.journal.stats().tail_bytes < large:
        last = watched.journal.stats().appended + 1
        await watched.until_durable(watched.journal.append(numbered(last, 20)))
    await until_stats(watched, snapshots=2)
    watched.journal.close()


async def test_an_upgrade_under_a_running_service_only_delays_snapshots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that is started then runs other code, and says so."""
    monkeypatch.setattr("uwfq_service.store.sqlite.VERSION", "0.0.1")
    watched = open_sqlite(tmp_path, EARLY)
    with capture_logs() as logs:
        watched.journal.append(numbered(1, 1000))
        await until_stats(watched, snapshot_failures=1)
        await until_tidy(watched)  # It is told after it is counted.
    assert "until it is restarted" in logs[0]["error"]
    assert watched.failures == []
    watched.journal.close()
    assert reopened(tmp_path) == numbered(1, 1000)


async def test_close_does_not_wait_for_a_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is ended; the last snapshot replaces what it would have written."""
    script = tmp_path / "sleeper"
    script.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/started\nexec sleep 1000\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    watched = open_sqlite(tmp_path / "data", EARLY)
    scheduler = watched.recovery.scheduler
    for event in numbered(1, 1000):
        scheduler.replay(event)
    await watched.until_durable(watched.journal.append(numbered(1, 1000)))
    started = tmp_path / "started"
    await until(lambda: started.exists() and started.read_text().endswith("\n"))
    watched.journal.close(scheduler)
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    watched = open_sqlite(tmp_path / "data")
    watched.journal.close()
    assert watched.recovery.records == 0
    assert events_of(watched.recovery.scheduler) == numbered(1, 1000)


async def test_an_orphan_ends_with_its_service(tmp_path: Path) -> None:
    """After kill -9 nobody would wait for the process, nor want its snapshot."""
    watched = open_sqlite(tmp_path)
    await watched.until_durable(watched.journal.append(numbered(1, 100)))
    watched.journal.close()
    request = Request(
        through=100,
        settings=Settings(),
        scheduler=f"{Ledger.__module__}:{Ledger.__qualname__}",
        version=VERSION,
    )
    lifeline, our_end = os.pipe()
    os.close(our_end)
    finished = subprocess.run(  # noqa: ASYNC221 - nothing else runs
        [sys.executable, "-m", "uwfq_service.store", str(tmp_path), str(lifeline)],
        input=msgspec.msgpack.encode(request),
        pass_fds=[lifeline],
        capture_output=True,
        check=False,
    )
    os.close(lifeline)
    assert (finished.returncode, finished.stdout, finished.stderr) == (1, b"", b"")
    with closing(connect(tmp_path, durable=False)) as connection:
        assert complete_snapshots(connection) == []


def stand_in(program: str, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``program`` run in the place of the interpreter."""
    script.write_text(program.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


#: Stands in for the interpreter that runs the compaction, in a sandbox without ``setpriority``.
MAY_NOT_STEP_BACK = """#!{python}
import os, runpy, sys

def nice(increment):
    raise PermissionError(1, "Operation not permitted")

os.nice = nice
sys.argv = [sys.argv[0], *sys.argv[-2:]]
runpy.run_module("uwfq_service.store", run_name="__main__", alter_sys=True)
"""


async def test_a_compaction_that_may_not_lower_its_priority_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its snapshots the journal would grow until the service stops."""
    stand_in(MAY_NOT_STEP_BACK, tmp_path / "sandboxed", monkeypatch)
    watched = open_sqlite(tmp_path / "data", EARLY)
    watched.journal.append(numbered(1, 1000))
    await until(
        lambda: watched.journal.stats().snapshots + watched.journal.stats().snapshot_failures > 0
    )
    assert watched.journal.stats().snapshot_failures == 0
    watched.journal.close()


#: Stands in for the interpreter that runs the compaction: it dies in the middle of its work.
DIES_HALFWAY = """#!{python}
import os, signal, sys
from contextlib import closing
from pathlib import Path
from uwfq_service.store.schema import connect
from uwfq_service.store.snapshot import write_snapshot

pauses = iter(range(5))

def pause():
    if next(pauses, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)

with closing(connect(Path(sys.argv[-2]), durable=False)) as connection:
    write_snapshot(connection, 1000, 1000.0, b"x" * 1000, pause=pause, chunk_bytes=100)
"""


async def test_a_killed_compaction_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service says what may have killed it, and removes what it had written."""
    stand_in(DIES_HALFWAY, tmp_path / "dies", monkeypatch)
    watched = open_sqlite(tmp_path / "data", EARLY)
    with capture_logs() as logs:
        watched.journal.append(numbered(1, 1000))
        await until_stats(watched, snapshot_failures=1)
        await until_tidy(watched)  # It is told after it is counted.
    assert "out of memory" in logs[0]["error"]
    watched.journal.close()
    with closing(connect(tmp_path / "data", durable=False)) as connection:
        # Numbers of removed snapshots are not given out again.
        assert connection.execute("SELECT seq FROM sqlite_sequence").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM snapshots").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM chunks").fetchone() == (0,)
    assert reopened(tmp_path / "data") == numbered(1, 1000)


async def test_what_could_not_be_removed_is_removed_after_the_next_snapshot(tmp_path: Path) -> None:
    """A disk that was full when a compaction failed does not keep its remains for ever."""
    watched = open_sqlite(tmp_path, EARLY)
    with closing(connect(tmp_path, durable=False)) as connection:
        # As it stands when a compaction has died and the service could not clear up after it.
        connection.execute(
            "INSERT INTO snapshots (seq, at, version, bytes, crc32) VALUES (1, 1.0, 1, 100, 0)"
        )
        connection.execute("INSERT INTO chunks (snapshot, content) VALUES (1, zeroblob(50))")
        watched.journal.append(numbered(1, 1000))
        await until_stats(watched, snapshots=1)
        await until_tidy(watched)
        assert connection.execute("SELECT id FROM snapshots").fetchall() == [(2,)]
        assert connection.execute("SELECT DISTINCT snapshot FROM chunks").fetchall() == [(2,)]
    watched.journal.close()
    assert reopened(tmp_path) == numbered(1, 1000)
