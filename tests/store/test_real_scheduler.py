"""The real scheduler through the journal on disk: what comes back is what was there."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.harness import NO_SNAPSHOTS, Watched, no_jitter
from tests.store.real_life import HASTY, Life, image
from uwfq_service.core import events
from uwfq_service.core.invariants import check
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.store import Recovery, SqliteJournal, StoreOptions, read_history
from uwfq_service.store.compaction import VERSION, Request, compact
from uwfq_service.store.history import move_covered
from uwfq_service.store.schema import connect

REAL = f"{Scheduler.__module__}:{Scheduler.__qualname__}"

seeds = st.integers(0, 2**32)
#: How far a life goes.  Each is a prefix of the longer ones with the same seed.
steps = st.integers(0, 150)


@contextmanager
def journal_in(directory: Path) -> Iterator[tuple[SqliteJournal, Recovery]]:
    """Open, recover and in the end close a journal, without running a loop."""
    with closing(asyncio.new_event_loop()) as loop:
        journal = SqliteJournal(directory, loop, options=NO_SNAPSHOTS)
        with closing(journal):
            yield journal, journal.recover(HASTY, no_jitter)


def recovered(directory: Path) -> Scheduler:
    """Return the scheduler that a restart finds."""
    with journal_in(directory) as (_, recovery):
        return recovery.scheduler


def nothing() -> None:
    """Go on."""


@settings(max_examples=30)
@given(seed=seeds, steps=steps)
def test_any_prefix_of_a_life_recovers_to_the_state_of_that_moment(seed: int, steps: int) -> None:
    """Events alone make the state: nothing that mattered was left out of them."""
    life = Life(seed).live(steps)
    with tempfile.TemporaryDirectory() as name:
        with journal_in(Path(name)) as (journal, _):
            for batch in life.batches:
                journal.append(batch)
        scheduler = recovered(Path(name))
    assert image(scheduler, life.now) == image(life.scheduler, life.now)
    check(scheduler, life.now)


@settings(max_examples=30)
@given(seed=seeds, steps=steps, data=st.data())
def test_a_snapshot_at_any_moment_changes_nothing(
    seed: int, steps: int, data: st.DataObject
) -> None:
    """A snapshot of an earlier moment and the tail since then are the same state again."""
    life = Life(seed).live(steps)
    ends = list(itertools.accumulate(map(len, life.batches)))
    through = data.draw(st.sampled_from(ends))
    request = Request(through=through, settings=HASTY, scheduler=REAL, version=VERSION)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with journal_in(directory) as (journal, _):
            for batch in life.batches:
                journal.append(batch)
        compact(directory, request, check=nothing, pause=nothing)
        with closing(connect(directory, durable=False)) as connection:
            move_covered(connection, through, 10**6)
        with journal_in(directory) as (_, recovery):
            assert recovery.snapshot_sequence == through
            assert recovery.records == ends[-1] - through
            assert image(recovery.scheduler, life.now) == image(life.scheduler, life.now)
            check(recovery.scheduler, life.now)


@settings(max_examples=15)
@given(seed=seeds, steps=steps)
def test_a_peaceful_stop_changes_nothing(seed: int, steps: int) -> None:
    """The last snapshot is the state, exactly."""
    life = Life(seed).live(steps)
    with tempfile.TemporaryDirectory() as name:
        with journal_in(Path(name)) as (journal, _):
            for batch in life.batches:
                journal.append(batch)
            journal.close(life.scheduler)
        with journal_in(Path(name)) as (_, recovery):
            assert recovery.records == 0
            assert image(recovery.scheduler, life.now) == image(life.scheduler, life.now)


async def test_a_long_life_with_snapshots_beside_it(tmp_path: Path) -> None:
    """The compaction process runs the real scheduler, while the service goes on deciding."""
    options = StoreOptions(snapshot_records=400)
    watched = Watched(SqliteJournal(tmp_path, asyncio.get_running_loop(), options=options), HASTY)
    life = Life(7, watched.recovery.scheduler)
    told = last = 0
    async with asyncio.timeout(120):
        while watched.journal.stats().snapshots < 2:
            life.live(5)
            for batch in life.batches[told:]:
                last = watched.journal.append(batch)
            told = len(life.batches)
            await watched.until_durable(last)
            # Leaves the compaction some of the processor: how far the life gets does not matter.
            await asyncio.sleep(0.002)
    assert watched.journal.stats().snapshot_failures == 0
    watched.journal.close()
    scheduler = recovered(tmp_path)
    assert image(scheduler, life.now) == image(life.scheduler, life.now)
    admitted = [event for event in read_history(tmp_path) if isinstance(event, events.JobAdmitted)]
    assert [event.job for event in admitted] == list(range(1, len(admitted) + 1))
    assert len(admitted) == life.scheduler.state.next_job - 1
