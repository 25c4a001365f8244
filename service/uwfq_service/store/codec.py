"""Records as they lie on disk: a kind number, a format version and msgpack.

A record must be readable by the next version of UWFQ, so three things are kept apart:

* the **kind** is a number from the table below.  It outlives renamed classes and is never reused;
* the **version** counts the incompatible formats of that kind, from 1.  A new field with a default
  needs no new version; a field that is renamed, retyped or means something else does;
* the **record** is the event in msgpack, by field name.

To change a kind's format: raise its number in ``VERSIONS`` and add a function to ``MIGRATIONS``
that turns the old fields into the new ones.  Records are migrated as they are read, one version at
a time, and stay on disk as they were written.

Snapshots have one version for the whole state and a table of migrations of the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from uwfq_service.core import events
from uwfq_service.core.events import AnyEvent, Event
from uwfq_service.store.errors import JournalDamaged, UnknownRecord

#: Fields of the old format in, fields of the next format out.  The event's class name is in
#: ``"type"``, and is for the migration to change when the class was renamed.
Migration = Callable[[dict[str, Any]], dict[str, Any]]

#: Kind numbers on disk.  Append only: the number of a removed kind stays taken.
KINDS: Final[Mapping[int, type[Event]]] = {
    1: events.PoolConfigured,
    2: events.UserSet,
    3: events.WorkerJoined,
    4: events.WorkerLost,
    5: events.JobAdmitted,
    6: events.StagesAdded,
    7: events.JobClosed,
    8: events.JobReestimated,
    9: events.TasksLeased,
    10: events.TaskPlaced,
    11: events.TasksStarted,
    12: events.LeasesRenewed,
    13: events.LeasesExpired,
    14: events.TasksFinished,
    15: events.TaskFailed,
    16: events.AttemptSuperseded,
    17: events.TasksReady,
    18: events.JobEnded,
    19: events.JobsForgotten,
    20: events.Recovered,
    21: events.StagesDropped,
    22: events.TasksRan,
    23: events.UsersForgotten,
    24: events.WorkerLeft,
}

#: Kinds whose format is not their first.
VERSIONS: Final[Mapping[int, int]] = {}

#: ``(kind, version)`` -> the step to ``version + 1``.
MIGRATIONS: Final[Mapping[tuple[int, int], Migration]] = {}

#: Format of ``Scheduler.dump()``; raised with every incompatible change of it.
STATE_VERSION: Final = 1

#: ``version`` -> the step of the whole state to ``version + 1``.
STATE_MIGRATIONS: Final[Mapping[int, Migration]] = {}

#: What msgspec raises for bytes that are no record: the second for text that is not UTF-8.
_UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError)


class Codec:
    """Turns events into records and back; one instance, ``CODEC``, serves the whole process.

    Not safe to encode with from several threads at once.  Decoding is.
    """

    def __init__(
        self,
        kinds: Mapping[int, type[Event]],
        versions: Mapping[int, int] | None = None,
        migrations: Mapping[tuple[int, int], Migration] | None = None,
    ) -> None:
        versions = versions or {}
        #: Kind and version of each event class, as they stand in a row.
        self.formats: Final[dict[type, tuple[int, int]]] = {
            event_type: (kind, versions.get(kind, 1)) for kind, event_type in kinds.items()
        }
        assert len(self.formats) == len(kinds), "an event class has one kind number"
        #: An event in msgpack.  A bare bound method, because the journal calls it per event.
        self.encode: Final = msgspec.msgpack.Encoder().encode
        self._migrations = migrations or {}
        self._versions = {kind: versions.get(kind, 1) for kind in kinds}
        self._decoders = {
            (kind, versions.get(kind, 1)): msgspec.msgpack.Decoder(event_type).decode
            for kind, event_type in kinds.items()
        }

    def decode(self, sequence: int, kind: int, version: int, record: bytes) -> AnyEvent:
        """Return the event of a row; ``sequence`` is for the error's text.

        Raises ``UnknownRecord`` for a kind or version that this UWFQ does not know, and
        ``JournalDamaged`` if the record is not what its kind says.
        """
        decode = self._decoders.get((kind, version))
        try:
            if decode is None:
                return self._decode_older(sequence, kind, version, record)
            return decode(record)  # type: ignore[return-value]
        except _UNDECODABLE as error:
            raise JournalDamaged(
                f"record {sequence} (kind {kind}) cannot be read: {error}"
            ) from error

    def _decode_older(self, sequence: int, kind: int, version: int, record: bytes) -> AnyEvent:
        current = self._versions.get(kind)
        if current is None:
            raise UnknownRecord(f"record {sequence} is of the unknown kind {kind}")
        fields = msgspec.msgpack.decode(record)
        for step in range(version, current):
            if (migrate := self._migrations.get((kind, step))) is None:
                break
            fields = migrate(fields)
        else:
            if version < current:
                decode = self._decoders[kind, current]
                return decode(msgspec.msgpack.encode(fields))  # type: ignore[return-value]
        raise UnknownRecord(
            f"record {sequence} (kind {kind}) has format version {version}, "
            f"which this UWFQ cannot read (it writes {current})"
        )


CODEC: Final = Codec(KINDS, VERSIONS, MIGRATIONS)


def encode_state(state: dict[str, Any]) -> bytes:
    """Return a scheduler's dumped state as the content of a snapshot."""
    return msgspec.msgpack.encode(state)


def decode_state(
    version: int,
    content: bytes,
    *,
    current: int = STATE_VERSION,
    migrations: Mapping[int, Migration] = STATE_MIGRATIONS,
) -> dict[str, Any]:
    """Return the dumped state in a snapshot's content, migrated to the ``current`` version.

    Its jobs are an iterator, which decodes one after another: all at once they are larger than what
    is made of them, and as some of each stays that memory would not be given back.

    Raises ``UnknownRecord`` for a version that this UWFQ does not know, and ``JournalDamaged`` if
    the content is no state at all.
    """
    if version == current:
        parts = _decoded(content, dict[str, msgspec.Raw])
        jobs = parts.pop("jobs", None)
        state = {name: _decoded(part) for name, part in parts.items()}
        if jobs is not None:
            state["jobs"] = map(_decoded, _decoded(jobs, list[msgspec.Raw]))
        return state
    state = _decoded(content)
    for step in range(version, current):
        if (migrate := migrations.get(step)) is None:
            break
        state = migrate(state)
    else:
        if version < current:
            return state
    raise UnknownRecord(
        f"a snapshot has format version {version}, "
        f"which this UWFQ cannot read (it writes {current})"
    )


def _decoded(content: bytes | msgspec.Raw, kind: Any = Any) -> Any:
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except _UNDECODABLE as error:
        raise JournalDamaged(f"a snapshot cannot be read: {error}") from error
