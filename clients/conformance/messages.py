"""Protobuf's JSON as plain values, whatever dialect of it a language writes.

Libraries differ in what the JSON mapping leaves open: names in camelCase or not, 64-bit numbers as
text or not, defaults there or not, enums by name or by number.  So each answer is parsed into its
message first and only then laid out, always in the same way: names as in the protos, every field
there, what is not set as ``None``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import json_format, timestamp_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from uwfq.v1 import admin_service_pb2, scheduler_service_pb2, types_pb2

#: Every unary method of the two services, with its request and its response.
METHODS: Final[Mapping[str, tuple[Descriptor, Descriptor]]] = {
    method.name: (method.input_type, method.output_type)
    for service in (
        *scheduler_service_pb2.DESCRIPTOR.services_by_name.values(),
        *admin_service_pb2.DESCRIPTOR.services_by_name.values(),
    )
    for method in service.methods
    if not (method.client_streaming or method.server_streaming)
}

JOB: Final = types_pb2.Job.DESCRIPTOR
JOB_STATES: Final = types_pb2.JobState.DESCRIPTOR


class NotTheMessage(Exception):
    """What an adapter sent is not the JSON of the message that it should be."""


def read(descriptor: Descriptor, document: Any) -> dict[str, Any]:
    """Parse an answer, and lay it out.  Raises ``NotTheMessage``."""
    message = GetMessageClass(descriptor)()
    if not isinstance(document, dict):
        raise NotTheMessage(f"a {descriptor.full_name} is an object, not {document!r}")
    try:
        json_format.ParseDict(document, message)
    except (json_format.Error, AttributeError, TypeError, ValueError) as error:
        raise NotTheMessage(f"this is no {descriptor.full_name}: {error}") from None
    return plain(message)


def plain(message: Message) -> dict[str, Any]:
    """The message as plain values, with every field there."""
    return {field.name: _value(message, field) for field in message.DESCRIPTOR.fields}


def _value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if _is_map(field):
        return dict(value)
    if field.is_repeated:
        return [_single(field, item) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if isinstance(value, timestamp_pb2.Timestamp):
        return value.ToJsonString()
    if isinstance(value, Message):
        return plain(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return value


def _is_map(field: Any) -> bool:
    """``Any``: protobuf types one thing twice, as Python's descriptor and as upb's."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def state_name(state: Any) -> Any:
    """A job's state by its name, however it was sent."""
    known = JOB_STATES.values_by_number.get(state) if isinstance(state, int) else None
    return known.name if known else state


def unknown_fields(descriptor: Descriptor, tree: Any, path: str) -> list[str]:
    """Fields that are named in a scenario's tree and that the message does not have."""
    if isinstance(tree, list):
        return [line for item in tree for line in unknown_fields(descriptor, item, path)]
    if not isinstance(tree, Mapping) or descriptor.full_name.startswith("google."):
        return []
    lines = []
    for name, value in tree.items():
        field = descriptor.fields_by_name.get(name)
        if field is None:
            known = ", ".join(each.name for each in descriptor.fields)
            lines.append(f"{path}.{name}: {descriptor.name} has no such field; it has {known}")
        elif field.message_type is not None and not _is_map(field):
            items = getattr(value, "items", None)
            inner = items if isinstance(items, list) else value
            lines += unknown_fields(field.message_type, inner, f"{path}.{name}")
    return lines
