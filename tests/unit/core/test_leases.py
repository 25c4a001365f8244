"""Leases: renewed one by one or together, and lost once each."""

from __future__ import annotations

from typing import Final

from tests.oracles.driver import Driver, stage
from uwfq_service.core import events as ev
from uwfq_service.core.invariants import check
from uwfq_service.core.timers import TimerKind

#: Longer than anything here lasts.
LONG: Final = 100_000.0


def test_a_lease_is_lost_once_however_its_batch_was_renewed() -> None:
    """Leases of one batch are renewed apart, then their worker dies: each expires, and once."""
    driver = Driver()
    driver.submit("ada", "job", stage("s", *[LONG] * 4))
    leases = [lease.lease_id for lease in driver.poll(slots=4)]
    for round_ in range(1, 7):
        driver.at(10 * round_)
        driver.renew(lease_ids=(leases[0], leases[2]))
        driver.at(10 * round_ + 5)
        driver.renew(lease_ids=(leases[1], leases[3]))
        check(driver.scheduler, driver.now)
    driver.at(200)
    lost = [lease for event in driver.events_of(ev.LeasesExpired) for lease in event.leases]
    assert sorted(lost) == leases
    assert not driver.scheduler.state.leases


def test_a_lease_has_one_timer_however_often_it_is_renewed() -> None:
    """What waits to be looked at does not grow with the renewals."""
    driver = Driver()
    driver.submit("ada", "job", stage("s", *[LONG] * 4))
    driver.poll(slots=4)
    timers = driver.scheduler.state.timers
    for second in range(5, 600, 5):
        driver.at(second)
        driver.renew(lease_ids=(1, 3) if second % 10 else (2, 4))
        assert len(list(timers.items(TimerKind.LEASES))) <= 4
