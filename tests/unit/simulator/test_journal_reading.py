"""Reading a journal for the simulator: beside a service that writes it, and what is refused."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.simulator.journals import NO_SNAPSHOTS, Past, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core.settings import Limits, Settings
from uwfq_service.simulator.importers.journal import read_recording
from uwfq_service.simulator.workload import (
    WorkloadError,
)
from uwfq_service.store import SqliteJournal
from uwfq_service.store.schema import DATABASE_NAME

# ------------------------------------------------------------------- beside a service


def test_reading_beside_a_running_service_disturbs_nobody(tmp_path: Path) -> None:
    """It holds the directory's lock and goes on writing; the file stays what it was."""
    past = Past()
    past.submit("first", stage("a"))
    past.run()
    with closing(asyncio.new_event_loop()) as loop:
        journal = SqliteJournal(tmp_path, loop, options=NO_SNAPSHOTS)
        try:
            journal.recover(Settings(), lambda: 1.0)
            journal.append(past.scheduler.tape)
            loop.run_until_complete(_durable(journal, len(past.scheduler.tape)))
            before = sorted(path.name for path in tmp_path.iterdir())
            assert [job.job for job in read_recording(tmp_path).workload.jobs] == ["first"]
            assert sorted(path.name for path in tmp_path.iterdir()) == before
            told = len(past.scheduler.tape)
            past.submit("second", stage("a"))
            past.run()
            journal.append(past.scheduler.tape[told:])
            loop.run_until_complete(_durable(journal, len(past.scheduler.tape)))
            jobs = read_recording(tmp_path).workload.jobs
            assert [job.job for job in jobs] == ["first", "second"]
        finally:
            journal.close()


async def _durable(journal: SqliteJournal, number: int) -> None:
    reached = asyncio.Event()
    journal.on_durable = lambda durable: reached.set() if durable >= number else None
    if journal.durable < number:
        async with asyncio.timeout(60):
            await reached.wait()


def test_reading_changes_no_file(tmp_path: Path) -> None:
    """Where no service runs, too."""
    past = Past()
    past.submit("j", stage("a"))
    past.run()
    past.write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    read_recording(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_progress_counts_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For whoever waits for a large journal."""
    monkeypatch.setattr("uwfq_service.simulator.importers.journal._PROGRESS_STEP", 2)
    past = Past()
    past.submit("j", stage("a"))
    past.run()
    told: list[int] = []
    read_recording(past.write(tmp_path), progress=told.append)
    assert told
    assert told == list(range(2, 2 * len(told) + 1, 2))


# ------------------------------------------------------------------------ refusals


def refusal(directory: Path, pool: str = "default") -> str:
    """The one line that says why it cannot be read."""
    with pytest.raises(WorkloadError) as caught:
        read_recording(directory, pool=pool)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_what_is_no_data_directory_is_refused(tmp_path: Path) -> None:
    """Nothing is made there."""
    (tmp_path / "file").write_text("hello")
    (tmp_path / "empty").mkdir()
    for name in ("missing", "file", "empty"):
        line = refusal(tmp_path / name)
        assert f"{name} holds no uwfq.db; is this the data directory?" in line
    assert list((tmp_path / "empty").iterdir()) == []
    assert not (tmp_path / "missing").exists()


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """By the mark in its header."""
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    assert "is not a UWFQ database" in refusal(tmp_path)
    (tmp_path / DATABASE_NAME).write_bytes(b"no database at all" * 100)
    assert "cannot be read" in refusal(tmp_path)


def test_a_newer_format_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """Of the tables, and of a record."""
    past = Past()
    past.submit("j", stage("a"))
    past.run()
    past.write(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection:
        connection.execute("UPDATE events SET version = 9 WHERE kind = 5")
        connection.commit()
        assert "format version 9" in (line := refusal(tmp_path))
        assert "start the version of UWFQ that wrote it, or one newer" in line
        connection.execute("UPDATE meta SET value = 99 WHERE key = 'schema_version'")
        connection.commit()
        assert "schema version 99" in (line := refusal(tmp_path))
        assert "start the version of UWFQ that wrote it, or one newer" in line


def test_an_unknown_pool_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    """The remedy is to name one of them."""
    past = Past(pool="batch")
    past.do(cmd.ConfigurePool(pool="adhoc"))
    past.write(tmp_path)
    assert "there is no pool 'default'; it has adhoc, batch" in refusal(tmp_path)


def test_a_pool_without_finished_work_is_refused(tmp_path: Path) -> None:
    """A workload has at least one job."""
    past = Past()
    past.submit("j", stage("a"))
    past.write(tmp_path)
    line = refusal(tmp_path)
    assert "pool 'default' has no finished work yet (1 jobs under way)" in line
    assert "let the service finish some first" in line


def test_a_name_that_no_workload_could_have_is_refused_with_its_place(tmp_path: Path) -> None:
    """A service may be configured to take longer names."""
    past = Past(limits=Limits(max_id_bytes=1000))
    past.submit("j" * 500, stage("a"))
    past.run()
    past.write(tmp_path)
    assert "jobs[0].job: is longer than 128 bytes" in refusal(tmp_path)
