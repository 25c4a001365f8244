"""Records of every format that was ever on disk, kept in ``recorded_formats.json``.

    python -m tests.store.recorded_formats

adds an example of each current format that has none yet. It never changes one that is there: what
a release has written must stay readable. (Before a release it may be deleted by hand.)
"""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import msgspec

from uwfq_service.core.events import Event
from uwfq_service.store.codec import CODEC, KINDS

FILE = Path(__file__).with_suffix(".json")


def recorded() -> dict[str, dict[str, Any]]:
    """Return ``"<kind>.<version>"`` -> ``record`` in hex, and ``event``, what it means today."""
    formats: dict[str, dict[str, Any]] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return formats


def plain(event: Event) -> Any:
    """Return an event as JSON shows it, defaults included."""
    return json.loads(msgspec.json.encode(_with_defaults(event)))


def _with_defaults(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        fields = {name: _with_defaults(getattr(value, name)) for name in value.__struct_fields__}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, tuple):
        return [_with_defaults(item) for item in value]
    return value


def example(struct_type: type[Any]) -> Any:
    """Return an instance with a telling value in every field."""
    hints = typing.get_type_hints(struct_type)
    return struct_type(**{name: _value(name, hint) for name, hint in hints.items()})


def _value(name: str, hint: Any) -> Any:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        items = arguments[:1] if arguments[-1] is Ellipsis else arguments
        return tuple(_value(name, item) for item in items)
    if typing.get_origin(hint) is dict:
        return {"team": "search"}
    if arguments:  # X | None
        return _value(name, arguments[0])
    simple = {bool: True, int: 3, float: 1.25, str: name, bytes: b"\x01\xff"}
    return simple[hint] if hint in simple else example(hint)


def main() -> None:
    """Add what is missing."""
    formats = recorded()
    for kind, event_type in KINDS.items():
        event = example(event_type)
        record = CODEC.encode(event).hex()
        formats.setdefault(
            f"{kind}.{CODEC.formats[event_type][1]}", {"event": plain(event), "record": record}
        )
    FILE.write_text(json.dumps(formats, indent=1) + "\n")


if __name__ == "__main__":
    main()
