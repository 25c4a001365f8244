"""Records outlive the code that wrote them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given

from tests.store.example_events import EVENT_TYPES, any_event
from tests.store.recorded_formats import plain, recorded
from uwfq_service.core.events import AnyEvent, Event, JobClosed
from uwfq_service.store import JournalDamaged, UnknownRecord
from uwfq_service.store.codec import (
    CODEC,
    KINDS,
    MIGRATIONS,
    STATE_MIGRATIONS,
    STATE_VERSION,
    VERSIONS,
    Codec,
    decode_state,
    encode_state,
)


class Renamed(Event, frozen=True, kw_only=True):
    """An invented event in its third format: ``slots`` was ``cores``, ``zone`` is new."""

    slots: int
    zone: str


def _rename_cores(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Renamed", "at": fields["at"], "slots": fields["cores"]}


def _add_zone(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"zone": "unknown"}


def decode(kind: int, version: int, record: bytes, sequence: int = 1) -> object:
    """Decode a record of the invented kinds."""
    return INVENTED.decode(sequence, kind, version, record)


INVENTED = Codec(
    {7: Renamed, 9: JobClosed},
    versions={7: 3},
    migrations={(7, 1): _rename_cores, (7, 2): _add_zone},
)


@given(event=any_event())
def test_every_event_comes_back_as_it_went(event: AnyEvent) -> None:
    """Encoding and decoding loses nothing, for every kind and any values."""
    kind, version = CODEC.formats[type(event)]
    assert CODEC.decode(1, kind, version, CODEC.encode(event)) == event


def test_every_kind_of_event_has_a_number() -> None:
    """The core cannot decide anything that the journal cannot keep."""
    assert set(CODEC.formats) == set(EVENT_TYPES)


def test_kind_numbers_never_change() -> None:
    """A number stands on disk for ever; add to this list, but change nothing in it."""
    names = {kind: event_type.__name__ for kind, event_type in KINDS.items()}
    assert names == {
        1: "PoolConfigured",
        2: "UserSet",
        3: "WorkerJoined",
        4: "WorkerLost",
        5: "JobAdmitted",
        6: "StagesAdded",
        7: "JobClosed",
        8: "JobReestimated",
        9: "TasksLeased",
        10: "TaskPlaced",
        11: "TasksStarted",
        12: "LeasesRenewed",
        13: "LeasesExpired",
        14: "TasksFinished",
        15: "TaskFailed",
        16: "AttemptSuperseded",
        17: "TasksReady",
        18: "JobEnded",
        19: "JobsForgotten",
        20: "Recovered",
        21: "StagesDropped",
        22: "TasksRan",
        23: "UsersForgotten",
        24: "WorkerLeft",
    }


def test_every_current_format_is_recorded() -> None:
    """``recorded_formats.py`` tells how; then the next version can be tested against it."""
    missing = {f"{kind}.{version}" for kind, version in CODEC.formats.values()} - set(recorded())
    assert not missing


@pytest.mark.parametrize("name", recorded())
def test_what_a_former_release_wrote_can_be_read(name: str) -> None:
    """If this fails, the format has changed: raise its version and write the migration."""
    kind, version = map(int, name.split("."))
    example = recorded()[name]
    event = CODEC.decode(1, kind, version, bytes.fromhex(example["record"]))
    assert includes(plain(event), example["event"])


def includes(found: Any, wanted: Any) -> bool:
    """Whether ``found`` says all that ``wanted`` does; fields that came later may say more."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and includes(found[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(map(includes, found, wanted))
        )
    return bool(found == wanted)


def test_the_previous_version_of_every_format_can_be_read() -> None:
    """Whoever raises a version writes the step from the one before."""
    for kind, version in VERSIONS.items():
        assert (kind, version - 1) in MIGRATIONS
    assert STATE_VERSION == 1 or STATE_VERSION - 1 in STATE_MIGRATIONS


def test_a_record_of_the_first_format_is_migrated_step_by_step() -> None:
    """Each migration knows one step only; older records take several."""
    oldest = msgspec.msgpack.encode({"type": "OldName", "at": 1.5, "cores": 4})
    assert decode(7, 1, oldest) == Renamed(at=1.5, slots=4, zone="unknown")


def test_a_record_of_the_previous_format_is_migrated() -> None:
    """The common case of an upgrade."""
    previous = msgspec.msgpack.encode({"type": "Renamed", "at": 1.5, "slots": 4})
    assert decode(7, 2, previous) == Renamed(at=1.5, slots=4, zone="unknown")


def test_records_are_written_in_the_current_format() -> None:
    """What is migrated once is not migrated again."""
    event = Renamed(at=1.5, slots=4, zone="north")
    kind, version = INVENTED.formats[Renamed]
    assert (kind, version) == (7, 3)
    assert decode(kind, version, INVENTED.encode(event)) == event


@pytest.mark.parametrize("version", [0, 4])
def test_an_unknown_version_names_the_remedy(version: int) -> None:
    """A format that was never known, or is not known yet, is not guessed at."""
    with pytest.raises(UnknownRecord, match=r"record 17 .*version .*start the version of UWFQ"):
        decode(7, version, b"\x80", sequence=17)


def test_an_unknown_kind_names_the_remedy() -> None:
    """Probably a newer UWFQ wrote it."""
    with pytest.raises(UnknownRecord, match="record 17 is of the unknown kind 8; start the"):
        decode(8, 1, b"\x80", sequence=17)


@pytest.mark.parametrize(
    "record", [b"", b"\xc1", b"\x80", b"\x81\xa4type\xa9JobClosed", b"\x81\xa4type\xa2\xff\xff"]
)
def test_a_record_that_is_not_what_its_kind_says_is_damage(record: bytes) -> None:
    """No event is made up from a broken record."""
    with pytest.raises(JournalDamaged, match=r"record 17 \(kind 9\).*restore"):
        decode(9, 1, record, sequence=17)
    with pytest.raises(JournalDamaged, match=r"record 17 \(kind 7\).*restore"):
        decode(7, 3, record, sequence=17)


def test_text_that_is_not_utf_8_is_damage() -> None:
    """In a record of today's format, and in one of an older."""
    for version, field in ((3, b"zone"), (1, b"core")):
        record = b"\x82\xa4type\xa7Renamed\xa4" + field + b"\xa1\xff"
        with pytest.raises(JournalDamaged, match=r"record 17 \(kind 7\).*restore"):
            decode(7, version, record, sequence=17)


def test_a_state_of_the_previous_format_is_migrated() -> None:
    """Snapshots migrate like records do."""
    content = encode_state({"jobs": [1, 2]})
    migrations = {1: lambda state: {"jobs": {"live": state["jobs"]}}}
    state = decode_state(1, content, current=2, migrations=migrations)
    assert state == {"jobs": {"live": [1, 2]}}


def test_jobs_of_a_state_are_decoded_one_after_another() -> None:
    """All at once take more memory than what is made of them.  One that is damaged is told."""
    state = decode_state(1, b"\x82\xa2at\x01\xa4jobs\x92\x07\xa1\xff")
    assert state["at"] == 1
    jobs = state["jobs"]
    assert next(jobs) == 7
    with pytest.raises(JournalDamaged, match="restore"):
        next(jobs)


@pytest.mark.parametrize("version", [0, 2])
def test_a_state_of_an_unknown_version_names_the_remedy(version: int) -> None:
    """As for records."""
    with pytest.raises(UnknownRecord, match=r"snapshot has format version .*start the version"):
        decode_state(version, encode_state({}), current=1, migrations={})


@pytest.mark.parametrize("content", [b"\xc1", b"\xa1\xff"])
def test_a_state_that_cannot_be_decoded_is_damage(content: bytes) -> None:
    """As for records."""
    with pytest.raises(JournalDamaged, match="restore"):
        decode_state(1, content)
