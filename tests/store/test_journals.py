"""One suite for every journal: what the engine may rely on, whichever it was given."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.store.example_events import numbered
from tests.store.harness import Watched, open_memory, open_sqlite

Open = Callable[[], Watched[Any]]


@pytest.fixture(params=["memory", "sqlite"])
def open_journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Return what opens a journal; all of them are closed in the end."""
    opened: list[Watched[Any]] = []

    def open_one() -> Watched[Any]:
        opened.append(open_memory() if request.param == "memory" else open_sqlite(tmp_path))
        return opened[-1]

    yield open_one
    for watched in opened:
        watched.journal.close()


async def test_a_new_journal_holds_nothing(open_journal: Open) -> None:
    """Recovery of nothing gives a scheduler that knows nothing, and number 0."""
    watched = open_journal()
    assert watched.recovery.sequence == 0
    assert watched.recovery.instant == 0.0
    assert watched.recovery.records == 0
    assert watched.journal.durable == 0


async def test_events_are_numbered_without_gaps(open_journal: Open) -> None:
    """Append returns the number of the last event given; the first one is 1."""
    journal = open_journal().journal
    assert journal.append(numbered(1, 1)) == 1
    assert journal.append(numbered(2, 3)) == 4
    assert journal.append(numbered(5, 1500)) == 1504


async def test_appending_nothing_decides_nothing(open_journal: Open) -> None:
    """Without events the last number stands, and no commit is made."""
    watched = open_journal()
    assert watched.journal.append([]) == 0
    await watched.until_durable(watched.journal.append(numbered(1, 2)))
    assert watched.journal.append([]) == 2
    assert watched.journal.stats().commits == 1


async def test_nothing_is_durable_before_the_loop_turns(open_journal: Open) -> None:
    """What append returns is a promise; only ``on_durable`` keeps it."""
    watched = open_journal()
    sequence = watched.journal.append(numbered(1, 1))
    assert watched.journal.durable == 0
    assert watched.durable == []
    await watched.until_durable(sequence)
    assert watched.durable == [sequence]


async def test_callbacks_come_on_the_thread_of_the_loop(open_journal: Open) -> None:
    """The engine needs no locks."""
    watched = open_journal()
    await watched.until_durable(watched.journal.append(numbered(1, 10)))
    assert watched.threads == {threading.get_ident()}


async def test_durable_numbers_only_rise(open_journal: Open) -> None:
    """Each number is called once, in order, and the last one is the last appended."""
    watched = open_journal()
    last = 0
    for size in [1, 7, 300, 1, 2000, 3]:
        last = watched.journal.append(numbered(last + 1, size))
        if size < 5:
            await watched.until_durable(last)
    await watched.until_durable(last)
    assert watched.durable == sorted(set(watched.durable))
    assert watched.durable[-1] == last
    assert watched.failures == []


async def test_a_callback_may_append(open_journal: Open) -> None:
    """Being told of one batch is where the engine hands over the next."""
    watched = open_journal()
    tell = watched.journal.on_durable

    def append_more(sequence: int) -> None:
        tell(sequence)
        if sequence < 20:
            watched.journal.append(numbered(sequence + 1, 1))

    watched.journal.on_durable = append_more
    watched.journal.append(numbered(1, 1))
    await watched.until_durable(20)
    assert watched.durable == list(range(1, 21))


async def test_stats_count_what_was_appended_and_what_is_durable(open_journal: Open) -> None:
    """Metrics see the backlog of the disk."""
    watched = open_journal()
    watched.journal.append(numbered(1, 5))
    assert watched.journal.stats().appended == 5
    assert watched.journal.stats().durable == 0
    await watched.until_durable(5)
    assert watched.journal.stats().durable == 5


async def test_close_makes_durable_what_was_appended(open_journal: Open) -> None:
    """When close returns, every callback has been made and none follows."""
    watched = open_journal()
    watched.journal.append(numbered(1, 2500))
    watched.journal.close()
    assert watched.journal.durable == 2500
    assert watched.durable[-1] == 2500
    assert watched.failures == []


async def test_closing_twice_does_nothing(open_journal: Open) -> None:
    """Whoever cleans up need not know who else did."""
    watched = open_journal()
    watched.journal.append(numbered(1, 1))
    watched.journal.close()
    watched.journal.close()
    assert watched.durable == [1]


async def test_append_after_close_is_our_mistake(open_journal: Open) -> None:
    """Events that would go nowhere are refused."""
    watched = open_journal()
    watched.journal.close()
    with pytest.raises(AssertionError, match="append after close"):
        watched.journal.append(numbered(1, 1))
