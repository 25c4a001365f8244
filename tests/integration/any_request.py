"""Requests as nobody would write them: any value in any field, though most are such as fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

#: Without these hardly any request is taken; others are there now and then.
_NEEDED: Final = {
    "attempt",
    "count",
    "free_slots",
    "job_id",
    "lease_id",
    "lease_ids",
    "open",
    "results",
    "slots",
    "stage",
    "stages",
    "unit_sizes",
    "user",
    "worker_id",
    # Of a choice.
    "failure",
    "input",
    "success",
    "tasks",
}
#: A poll that waits would wait for a clock that stands still.
_NEVER: Final = {"wait_seconds"}
_NOW_AND_THEN: Final = 0.3

#: So few that requests meet each other's.
_NAMES: Final[dict[str, Sequence[str]]] = {
    "after": "stu",
    "engine_id": ["engine"],
    "job_id": [f"job-{number}" for number in range(30)],
    "page_token": [""],
    "pool": ["default"],
    "stage": "stuvwxyz",
    "stages": "stuv",
    "user": "abc",
    "worker_id": ["engine", "v", "w"],
}

_Type = FieldDescriptor
#: What a type can hold at most, and what is no number.
_ODD: Final[dict[int, Sequence[Any]]] = {
    _Type.CPPTYPE_BOOL: (False, True),
    _Type.CPPTYPE_DOUBLE: (0.0, -1.0, 5e-324, 1e300, math.inf, -math.inf, math.nan),
    _Type.CPPTYPE_ENUM: (0, 999),
    _Type.CPPTYPE_INT32: (0, -1, -(1 << 31), (1 << 31) - 1),
    _Type.CPPTYPE_INT64: (0, -1, -(1 << 63), (1 << 63) - 1),
    _Type.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    _Type.CPPTYPE_UINT64: (0, (1 << 63) - 1, (1 << 64) - 1),
}
_ODD_TEXTS: Final = ("", " ", "\0", "\u202e", "a/b", "ü" * 100, "x" * 10_000)


class AnyRequest:
    """Draws requests; ``odd`` is the part of their values that are such as hardly fit."""

    def __init__(self, random: Random, *, odd: float) -> None:
        self._random = random
        self._odd = odd
        #: What requests mostly name as a lease.
        self.lease_ids = [1]

    def draw(self, kind: type[M]) -> M:
        """A message of that type."""
        message = kind()
        self._fill(message)
        return message

    def _fill(self, message: Message) -> None:
        fields = message.DESCRIPTOR.fields
        choices = [oneof.fields for oneof in message.DESCRIPTOR.oneofs]
        for choice in [*choices, *([field] for field in fields if not field.containing_oneof)]:
            field = self._random.choice(choice)
            needed = field.name in _NEEDED and self._random.random() >= self._odd
            if field.name not in _NEVER and (needed or self._random.random() < _NOW_AND_THEN):
                self._put(message, field)

    def _put(self, message: Message, field: Any) -> None:
        there = getattr(message, field.name)
        if field.message_type and field.message_type.GetOptions().map_entry:
            there["key"] = self._text(field)
        elif field.message_type and field.is_repeated:
            for _ in range(self._random.choice((1, 1, 2))):
                self._fill(there.add())
        elif field.message_type:
            there.SetInParent()
            self._fill(there)
        elif field.is_repeated:
            there.extend(self._value(field) for _ in range(self._random.randint(1, 3)))
        else:
            setattr(message, field.name, self._value(field))

    def _value(self, field: Any) -> Any:
        if field.cpp_type == _Type.CPPTYPE_STRING:
            text = self._text(field)
            return text if field.type == _Type.TYPE_STRING else text.encode()
        if self._random.random() < self._odd:
            return self._random.choice(_ODD[field.cpp_type])
        if field.name in {"lease_id", "lease_ids"}:
            return self._random.choice(self.lease_ids[-20:])
        match field.cpp_type:
            case _Type.CPPTYPE_BOOL:
                return self._random.random() < 0.5
            case _Type.CPPTYPE_DOUBLE:
                return self._random.choice((0.5, 1.0, 3.0))
            case _Type.CPPTYPE_ENUM:
                return self._random.choice(field.enum_type.values).number
        return self._random.randint(1, 4)

    def _text(self, field: Any) -> str:
        if self._random.random() < self._odd:
            return self._random.choice(_ODD_TEXTS)
        return self._random.choice(_NAMES.get(field.name, "pq"))
