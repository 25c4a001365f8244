"""The arrivals of the bridge's experiment."""

import re
from collections import Counter

import pytest
from spark_bridge.demo.plan import MAX_DEPTH, TIMED_DEPTH, arrivals, depth_for, rehearsal


def test_a_longer_round_has_more_scans_and_more_questions() -> None:
    """Each long user's scans at once, each short user's questions every other second."""
    plan = arrivals(45.0, 6, depth=3)
    assert Counter(arrival.user for arrival in plan) == {
        "long-1": 6,
        "long-2": 6,
        "short-1": 22,
        "short-2": 22,
    }
    scans = [arrival.at_seconds for arrival in plan if arrival.kind == "long"]
    assert max(scans) < 1
    assert max(arrival.at_seconds for arrival in plan) <= 45.0


@pytest.mark.parametrize(
    ("seconds", "depth"), [(6.0, TIMED_DEPTH), (3.0, 2 * TIMED_DEPTH), (60.0, 1), (0.01, MAX_DEPTH)]
)
def test_scans_are_as_deep_as_the_machine_is_fast(seconds: float, depth: int) -> None:
    """One alone is to take six seconds, within what the JVM can compile."""
    assert depth_for(seconds) == depth


def test_long_scans_are_three_times_as_deep_as_short_questions() -> None:
    """Else short questions would be no longer short on a machine for which scans are deep."""
    sql = {arrival.kind: arrival.sql for arrival in arrivals(4.0, 1, depth=12)}
    assert sql["long"].count("sha2(") == 12
    assert sql["short"].count("sha2(") == 4


def test_the_rehearsal_costs_what_the_scans_cost() -> None:
    """By it the service cuts the first of them: one of half the rows would halve what it learns."""
    scans = [arrival.sql for arrival in arrivals(4.0, 6, depth=12) if arrival.kind == "long"]
    (rehearsed,) = (sql for sql in rehearsal(12) if "FROM history" in sql)
    for scan in scans:
        assert _without_threshold(scan) == _without_threshold(rehearsed)
        assert _part_of_rows(scan) == pytest.approx(_part_of_rows(rehearsed), rel=0.01)


_THRESHOLD = re.compile(r"amount > (\S+)")


def _without_threshold(sql: str) -> str:
    return _THRESHOLD.sub("", sql)


def _part_of_rows(sql: str) -> float:
    """Amounts lie evenly between 0 and 1."""
    found = _THRESHOLD.search(sql)
    assert found is not None
    return 1 - float(found[1])
