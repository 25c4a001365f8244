"""What a task costs beside its runtime, as far as grants and results show it."""

from __future__ import annotations

import pytest

from tests.oracles.driver import POOL, Driver, stage


def overhead(core: Driver) -> float:
    """Seconds a task, by now."""
    return float(core.scheduler.pools[POOL].overhead)


def test_it_comes_near_to_what_is_measured() -> None:
    """A fifth of a second between grant and result in which the task did not run."""
    core = Driver()
    core.submit("ada", "a", stage("s", *[1.0] * 400))
    for number in range(400):
        (lease,) = core.poll()
        core.at(1.2 * (number + 1))
        core.done(lease, 1.0)
    assert overhead(core) == pytest.approx(0.2, rel=0.05)


def test_time_in_a_workers_queue_is_none() -> None:
    """The second task of each pair begins when the first has ended."""
    core = Driver()
    core.submit("ada", "a", stage("s", *[1.0] * 100))
    for _ in range(50):
        for lease in core.poll(slots=1, prefetch=1):
            core.at(core.now + 1.0)
            core.done(lease, 1.0)
    assert overhead(core) == 0.0


def test_it_is_never_below_nothing() -> None:
    """A worker's clock may run a little faster than the service's."""
    core = Driver()
    core.submit("ada", "a", stage("s", *[1.0] * 10))
    for _ in range(10):
        (lease,) = core.poll()
        core.at(core.now + 1.0)
        core.done(lease, 1.0 + 5e-7)
    assert overhead(core) == 0.0
