"""What a scenario expects of an answer.

An expectation is part of the answer: an object names the fields that matter, a list is matched
item by item, anything else is compared.  Where a value is not known beforehand, a *matcher* stands
in its place, written as a YAML tag:

    predicted_finish_seconds: !at_least 0
    leases: !any_order [{task_index: 0}, {task_index: 1}]

``mismatches`` says what is wrong, each with its path; an empty list is a match.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

#: Whatever is neither there nor anything: fields that are not set, empty lists and texts.
_NOTHING: Final[tuple[Any, ...]] = (None, "", [], {})


@dataclasses.dataclass(frozen=True)
class Matcher:
    """A condition in the place of a value; ``name`` and ``argument`` as in the scenario."""

    name: str
    argument: Any
    holds: Callable[[Any], bool]

    def __str__(self) -> str:
        argument = "" if self.argument is None else f" {self.argument}"
        return f"!{self.name}{argument}"


@dataclasses.dataclass(frozen=True)
class AnyOrder:
    """The items of a list, in whatever order."""

    items: list[Any]

    def __str__(self) -> str:
        return f"!any_order {shown(self.items)}"


@dataclasses.dataclass(frozen=True)
class Saved:
    """A value that an earlier step has saved, by its name."""

    name: str

    def __str__(self) -> str:
        return f"!saved {self.name}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(expected: Any, found: Any) -> bool:
    # Python takes True for 1.
    return isinstance(expected, bool) == isinstance(found, bool) and bool(expected == found)


def present(_: Any = None) -> Matcher:
    """Something is there: the field is set, the text or list is not empty."""
    return Matcher("present", None, lambda found: found not in _NOTHING)


def absent(_: Any = None) -> Matcher:
    """Nothing is there, or an empty text or list."""
    return Matcher("absent", None, lambda found: found in _NOTHING)


def at_least(least: Any) -> Matcher:
    """A number, no smaller than that."""
    _check(_is_number(least), "at_least", "a number", least)
    return Matcher("at_least", least, lambda found: _is_number(found) and found >= least)


def at_most(most: Any) -> Matcher:
    """A number, no larger than that."""
    _check(_is_number(most), "at_most", "a number", most)
    return Matcher("at_most", most, lambda found: _is_number(found) and found <= most)


def one_of(choices: Any) -> Matcher:
    """Equal to one of these."""
    _check(isinstance(choices, list) and bool(choices), "one_of", "a list of values", choices)
    return Matcher("one_of", choices, lambda found: any(_equal(each, found) for each in choices))


def contains(part: Any) -> Matcher:
    """A text with that in it."""
    _check(isinstance(part, str) and bool(part), "contains", "a text", part)
    return Matcher("contains", part, lambda found: isinstance(found, str) and part in found)


def any_order(items: Any) -> AnyOrder:
    """The items of a list, in whatever order."""
    _check(isinstance(items, list), "any_order", "a list", items)
    return AnyOrder(items)


def saved(name: Any) -> Saved:
    """What an earlier step has saved."""
    _check(isinstance(name, str) and bool(name), "saved", "the name of a saved value", name)
    return Saved(name)


def encoded(text: Any) -> str:
    """The text as the bytes that protobuf's JSON has for it."""
    _check(isinstance(text, str), "bytes", "a text", text)
    return base64.b64encode(text.encode()).decode()


#: What a YAML tag stands for.
TAGS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "present": present,
    "absent": absent,
    "at_least": at_least,
    "at_most": at_most,
    "one_of": one_of,
    "contains": contains,
    "any_order": any_order,
    "saved": saved,
    "bytes": encoded,
}


def _check(right: bool, tag: str, wanted: str, found: Any) -> None:
    if not right:
        raise ValueError(f"!{tag} wants {wanted}, not {found!r}")


def mismatches(expected: Any, found: Any, path: str = "") -> list[str]:
    """What of ``found`` is not as expected, one line each, with its path."""
    if isinstance(expected, Matcher):
        right = expected.holds(found)
    elif isinstance(expected, AnyOrder):
        return _unordered(expected.items, found, path)
    elif isinstance(expected, Mapping):
        return _mapping(expected, found, path)
    elif isinstance(expected, list):
        return _listed(expected, found, path)
    else:
        right = _equal(expected, found)
    return [] if right else [_wrong(path, expected, found)]


def _mapping(expected: Mapping[str, Any], found: Any, path: str) -> list[str]:
    if not isinstance(found, Mapping):
        return [_wrong(path, expected, found)]
    return [
        line
        for name, value in expected.items()
        for line in mismatches(value, found.get(name), f"{path}.{name}" if path else name)
    ]


def _listed(expected: Sequence[Any], found: Any, path: str) -> list[str]:
    if not isinstance(found, list) or len(found) != len(expected):
        return [_wrong(path, expected, found)]
    return [
        line
        for index, (value, item) in enumerate(zip(expected, found, strict=True))
        for line in mismatches(value, item, f"{path}[{index}]")
    ]


def _unordered(expected: Sequence[Any], found: Any, path: str) -> list[str]:
    if not isinstance(found, list) or len(found) != len(expected):
        return [_wrong(path, AnyOrder(list(expected)), found)]
    # Greedy: no scenario has items of which one matches what another one needs.
    left = list(found)
    lines = []
    for value in expected:
        index = next((i for i, item in enumerate(left) if not mismatches(value, item)), None)
        if index is None:
            lines.append(f"{path}: none of the items left is {shown(value)}: {shown(left)}")
        else:
            del left[index]
    return lines


def _wrong(path: str, expected: Any, found: Any) -> str:
    return f"{path or 'answer'}: expected {shown(expected)}, found {shown(found)}"


def shown(value: Any, longest: int = 2000) -> str:
    """A value as a person reads it, cut where it grows too long."""
    text = _shown(value)
    return text if len(text) <= longest else f"{text[:longest]} … ({len(text):,} characters)"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_shown(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, Matcher | AnyOrder | Saved):
        return str(value)
    return repr(value)


def resolved(tree: Any, values: Mapping[str, Any]) -> Any:
    """The tree with saved values in their places.  ``KeyError``: nothing was saved under a name."""
    if isinstance(tree, Saved):
        return values[tree.name]
    if isinstance(tree, AnyOrder):
        return AnyOrder(resolved(tree.items, values))
    if isinstance(tree, Mapping):
        return {name: resolved(value, values) for name, value in tree.items()}
    if isinstance(tree, list):
        return [resolved(value, values) for value in tree]
    return tree


def picked(tree: Any, path: str) -> Any:
    """The value at a path like ``leases.0.lease_id``.  ``LookupError`` where there is none."""
    for name in path.split("."):
        tree = tree[int(name)] if isinstance(tree, list) and name.isdigit() else tree[name]
    return tree
