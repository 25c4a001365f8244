"""Events for tests of the store, which does not care what they say."""

from __future__ import annotations

import types
import typing
from typing import Any

from hypothesis import strategies as st

from uwfq_service.core import events
from uwfq_service.core.events import AnyEvent

EVENT_TYPES: tuple[type[AnyEvent], ...] = typing.get_args(AnyEvent)

#: What msgpack can hold.
_INTEGERS = st.integers(-(2**63), 2**63 - 1)


def numbered(first: int, count: int) -> list[AnyEvent]:
    """Return ``count`` small events that tell themselves apart by the job's number.

    Every other kind is one that the history keeps.
    """
    return [
        events.JobEnded(at=float(number), job=number, state="succeeded", measured=0.5)
        if number % 2
        else events.JobClosed(at=float(number), job=number)
        for number in range(first, first + count)
    ]


def large(number: int, size: int) -> AnyEvent:
    """Return an event of about ``size`` bytes."""
    return events.TaskFailed(at=float(number), lease=number, runtime=1.0, message="x" * size)


def any_event() -> st.SearchStrategy[AnyEvent]:
    """Events of every kind with any values that their types allow."""
    return st.one_of([_struct(event_type) for event_type in EVENT_TYPES])


def _struct(struct_type: type[Any]) -> st.SearchStrategy[Any]:
    fields = typing.get_type_hints(struct_type)
    return st.builds(struct_type, **{name: _values(hint) for name, hint in fields.items()})


def _values(hint: Any) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        return st.one_of([_values(argument) for argument in arguments])
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return st.lists(_values(arguments[0]), max_size=5).map(tuple)
        return st.tuples(*map(_values, arguments))
    if origin is dict:
        return st.dictionaries(_values(arguments[0]), _values(arguments[1]), max_size=5)
    if isinstance(hint, type) and issubclass(hint, int) and hint is not bool:
        return _INTEGERS
    simple: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        float: st.floats(allow_nan=False),
        str: st.text(max_size=20),
        bytes: st.binary(max_size=40),
        type(None): st.none(),
    }
    return simple[hint] if hint in simple else _struct(hint)
