"""Tasks run in the order of the service's deadlines, and users get what they are owed."""

from __future__ import annotations

import itertools

import pytest

from tests.spark.application import Application, Queries
from tests.spark.event_log import first_launches, slot_seconds

KINDS = ("sql", "rdd")


def agreement(order: list[str], deadlines: dict[str, float]) -> float:
    """Kendall's tau: 1 when all pairs are in order, −1 when none is.  Equal deadlines count not."""
    signs = [
        (deadlines[later] > deadlines[earlier]) - (deadlines[later] < deadlines[earlier])
        for earlier, later in itertools.combinations(order, 2)
    ]
    return sum(signs) / sum(map(abs, signs))


def launch_in_order(app: Application, kind: str) -> None:
    """Let nine queries of three users wait for the slots: they start as the service said."""
    # The very first loaded classes.  By what these take the service estimates well, so that what
    # is measured later hardly moves a deadline.
    app.check(app.queries("warm", 8, kind=kind))
    app.settled()
    with app.held():
        asked: Queries = {}
        for user, count in (("hoarder", 6), ("modest", 2), ("late", 1)):
            asked |= app.queries(user, count, kind=kind)
            # So that Spark sees them in this order, which is FIFO's.
            app.known(list(asked))
        deadlines = {name: app.named()[name].virtual_deadline or 0.0 for name in asked}
    app.check(asked)
    app.settled()
    order = [name for name in first_launches(app.attempts()) if name in asked]
    assert len(order) == len(asked)
    found = agreement(order, deadlines)
    print(f"Spark {app.version}, {kind}: agreement {found:.2f}")
    # Not 1: what the first ones measure moves the deadlines of those that still wait.
    assert found >= 0.85, [(name, deadlines[name]) for name in order]
    # The late one is not behind what the hoarder has piled up before: all six, first come first
    # served.  The longer it takes to ask for nine, the more of them have been served in theory.
    late = order.index(next(name for name in order if name.startswith("late")))
    assert sum(name.startswith("hoarder") for name in order[:late]) <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_launch_in_the_order_of_the_deadlines(local: Application, kind: str) -> None:
    """What waits when slots come free starts as the service said, not as it was asked."""
    launch_in_order(local, kind)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("kind", KINDS)
def test_tasks_that_need_a_lease_launch_in_that_order(guarded: Application, kind: str) -> None:
    """And over TLS, where each side has shown the other its certificate."""
    before = guarded.driver.call("figures")["launchesWithoutLease"]
    launch_in_order(guarded, kind)
    without = guarded.driver.call("figures")["launchesWithoutLease"] - before
    print(f"Spark {guarded.version}, {kind}: {without} launches had no lease in time")
    # All of them would be without, if the gate took no heed of the service.
    assert without < 9 * 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [1, 3])
def test_task_time_is_shared_by_weight(local: Application, kind: str, weight: int) -> None:
    """One keeps a query queued, the other has twenty: each gets what its weight entitles it to.

    Measured in task time, while both have work.  Two wait beside the one that runs, so that one
    still does while the driver plans the next.
    """
    steady, batch = local.name(f"steady-{kind}"), local.name(f"batch-{kind}")
    with local.service.client() as client:
        client.set_user(batch, weight=weight)
    with local.held():
        steadily = local.driver.ask(
            "keep_asking", user=steady, kind=kind, tasks=4, milliseconds=100, queued=2
        )
        asked = local.queries(batch, 20, kind=kind)
        local.known(list(asked))
    local.check(asked)
    local.driver.call("stop_asking", user=steady)
    local.driver.value_of(steadily)
    local.settled()
    attempts = local.attempts()
    of_batch = [attempt for attempt in attempts if attempt.user == batch]
    begin = min(attempt.launched for attempt in of_batch)
    # From its last launch on, the batch wants nothing more.
    end = max(attempt.launched for attempt in of_batch)
    got = slot_seconds(attempts, begin, end)
    part = got[batch] / (got[batch] + got[steady])
    owed = weight / (weight + 1)
    print(f"Spark {local.version}, {kind}, 1:{weight}: batch {part:.3f} of {owed:.3f} owed")
    assert part == pytest.approx(owed, rel=0.1)
