"""What matches an expectation, and what is said about what does not."""

from __future__ import annotations

from typing import Any

import pytest

from clients.conformance import matching
from clients.conformance.matching import mismatches


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (1, 1.0),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 1, "d": 2}], "e": 3}}),
        ([], []),
        ({}, {"a": 1}),
        (matching.present(), "text"),
        (matching.present(), 0),
        (matching.absent(), None),
        (matching.absent(), []),
        (matching.at_least(2), 2),
        (matching.at_most(2), 1.5),
        (matching.one_of([1, "a"]), "a"),
        (matching.contains("fire"), "disk on fire"),
        (matching.any_order([{"a": 1}, {"a": 2}]), [{"a": 2}, {"a": 1}]),
    ],
)
def test_a_part_of_an_answer_matches(expected: Any, found: Any) -> None:
    """Fields that are not named do not matter; lists have all their items."""
    assert mismatches(expected, found) == []


@pytest.mark.parametrize(
    ("expected", "found", "path"),
    [
        (1, 2, "answer"),
        (1, True, "answer"),
        (False, 0, "answer"),
        (0, None, "answer"),
        ("1", 1, "answer"),
        ({"a": 1}, {"a": 2}, "a"),
        ({"a": 1}, {}, "a"),
        ({"a": 1}, None, "answer"),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}, {"b": 3}]}, "a[1].b"),
        ([1], [1, 2], "answer"),
        ([1, 2], [1], "answer"),
        ([], None, "answer"),
        ({"a": matching.present()}, {"a": ""}, "a"),
        ({"a": matching.present()}, {}, "a"),
        ({"a": matching.absent()}, {"a": 0}, "a"),
        (matching.at_least(2), 1.9, "answer"),
        (matching.at_least(0), None, "answer"),
        (matching.at_least(0), True, "answer"),
        (matching.at_most(2), 3, "answer"),
        (matching.one_of([1]), True, "answer"),
        (matching.contains("fire"), None, "answer"),
        ({"a": matching.any_order([1, 1])}, {"a": [1, 2]}, "a"),
        ({"a": matching.any_order([1])}, {"a": [1, 1]}, "a"),
        ({"a": matching.any_order([1])}, {"a": None}, "a"),
    ],
)
def test_what_differs_is_named_by_its_path(expected: Any, found: Any, path: str) -> None:
    """One line for each difference, that begins with where it is."""
    (line,) = mismatches(expected, found)
    assert line.startswith(f"{path}: ")


def test_all_differences_are_told() -> None:
    """Not only the first one."""
    lines = mismatches({"a": 1, "b": [1, 2], "c": 3}, {"a": 2, "b": [1, 3], "c": 3})
    assert [line.partition(":")[0] for line in lines] == ["a", "b[1]"]


def test_saved_values_are_put_in_their_places() -> None:
    """In requests and in expectations, at any depth."""
    tree = {"a": [matching.saved("x"), {"b": matching.any_order([matching.saved("y")])}]}
    found = matching.resolved(tree, {"x": 1, "y": 2})
    assert mismatches(found, {"a": [1, {"b": [2]}]}) == []
    with pytest.raises(KeyError):
        matching.resolved(tree, {"x": 1})


def test_values_are_picked_by_their_path() -> None:
    """Names and indices."""
    answer = {"leases": [{"lease_id": 7}]}
    assert matching.picked(answer, "leases.0.lease_id") == 7
    with pytest.raises(LookupError):
        matching.picked(answer, "leases.1.lease_id")
