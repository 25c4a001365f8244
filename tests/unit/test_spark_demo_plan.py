"""The arrivals of the bridge's experiment."""

from collections import Counter

from spark_bridge.demo.plan import arrivals


def test_a_longer_round_has_more_scans_and_more_questions() -> None:
    """Each long user's scans at once, each short user's questions every other second."""
    plan = arrivals(45.0, 6)
    assert Counter(arrival.user for arrival in plan) == {
        "long-1": 6,
        "long-2": 6,
        "short-1": 22,
        "short-2": 22,
    }
    scans = [arrival.at_seconds for arrival in plan if arrival.kind == "long"]
    assert max(scans) < 1
    assert max(arrival.at_seconds for arrival in plan) <= 45.0
