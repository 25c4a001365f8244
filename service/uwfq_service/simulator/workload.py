"""Workload files: one JSON document that says who submits what, and when.

A workload has users with weights, and their jobs in the order of arrival; a job has stages, and a
stage either the true runtimes of its tasks as the engine would cut it by itself, or its true total,
to be cut evenly.  Here such a document is read, checked and written; ``world.py`` plays it, and the
README beside this shows one.

A document that is wrong is refused as a whole, and the refusal names the key and its place.

Units: seconds from the start of the workload; work in slot-seconds.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from uwfq_service.core.admission import in_a_cycle
from uwfq_service.simulator.compression import codec_of

#: The version of the format that is read and written.
VERSION: Final = 1
MAX_SLOTS: Final = 1_000_000
MIN_WEIGHT: Final = 0.001
MAX_WEIGHT: Final = 1_000_000.0
#: Seconds, or slot-seconds.
MAX_AMOUNT: Final = 1e12
#: Of users, jobs and stages: what the service takes as an id.
MAX_NAME_BYTES: Final = 128
#: Of signatures, and of the workload itself.
MAX_TEXT_BYTES: Final = 256


class WorkloadError(ValueError):
    """A document is no workload: ``place`` is where (``jobs[3].stages[0].tasks``, say).

    ``source`` is the document's file; empty: that the caller will add.
    """

    def __init__(self, place: str, message: str, source: str = "") -> None:
        super().__init__(": ".join(part for part in (source, place, message) if part))
        self.place = place
        self.message = message
        self.source = source


class _Part(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
):
    """Base of what a document consists of; the fields are the keys of the format."""


class UserSpec(_Part, frozen=True, kw_only=True):
    """Somebody who submits jobs."""

    user: str
    #: Relative claim, > 0.
    weight: float = 1.0


class StageSpec(_Part, frozen=True, kw_only=True):
    """One stage: ``tasks`` or ``work``, never both."""

    stage: str
    #: True runtimes, seconds, in the order in which the engine would cut the stage by itself.
    tasks: tuple[float, ...] | None = None
    #: True total, slot-seconds.
    work: float | None = None
    #: Stages that must be done first; ``None``: the one before it in the list.
    after: tuple[str, ...] | None = None
    #: Seconds between that moment and the stage becoming launchable (driver latency).
    delay: float = 0.0

    @property
    def total_work(self) -> float:
        """True work, slot-seconds.  O(tasks)."""
        return math.fsum(self.tasks) if self.tasks is not None else self.work or 0.0


class JobSpec(_Part, frozen=True, kw_only=True):
    """One job."""

    job: str
    user: str
    #: Arrival; with ``after``, the delay after that job's finish.
    submit: float = 0.0
    #: The job whose result its user waits for before asking for this one.
    after: str | None = None
    signature: str = ""
    #: Bytes that it reads, for the estimator.
    input_bytes: int | None = None
    #: What the submitter declares, slot-seconds.
    estimate: float | None = None
    stages: tuple[StageSpec, ...]

    @property
    def total_work(self) -> float:
        """True work, slot-seconds.  O(tasks)."""
        return math.fsum(stage.total_work for stage in self.stages)

    def stage_afters(self) -> list[tuple[int, ...]]:
        """The positions of the stages that each stage waits for."""
        position = {stage.stage: index for index, stage in enumerate(self.stages)}
        return [
            tuple(sorted({position[name] for name in stage.after}))
            if stage.after is not None
            else ((index - 1,) if index else ())
            for index, stage in enumerate(self.stages)
        ]


class Workload(_Part, frozen=True, kw_only=True):
    """Who submits what, and when.

    A user who is not among ``users`` has weight 1.
    """

    version: int
    name: str
    #: Slots of the pool.
    slots: int
    users: tuple[UserSpec, ...] = ()
    jobs: tuple[JobSpec, ...]

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every user who is listed or submits, in order of appearance."""
        weights = {spec.user: spec.weight for spec in self.users}
        for job in self.jobs:
            weights.setdefault(job.user, 1.0)
        return weights


#: What to do about a file that is compressed, which is most often a log.
_UNPACK: Final = (
    "unpack it first, or, if it is an event log of Spark, `uwfq workload --from-spark-log` reads "
    "it as it is"
)


def load(path: Path) -> Workload:
    """Read a workload file; raises ``WorkloadError``, or ``OSError`` when it cannot be read."""
    return parse(path.read_bytes(), source=str(path))


def parse(document: bytes | str, *, source: str = "") -> Workload:
    """Read a workload from JSON; ``source`` is named in a refusal (``WorkloadError``)."""
    if isinstance(document, bytes):
        if (codec := codec_of(document)) is not None:
            raise WorkloadError("", f"is compressed with {codec}; {_UNPACK}", source)
        # Editors and shells of one system write it before any text.
        document = document.removeprefix(codecs.BOM_UTF8)
    try:
        try:
            workload = msgspec.json.decode(document, type=Workload)
        except msgspec.ValidationError as error:
            # A later version has keys that we do not know; that it is later says more.
            _check_version(_version_in(document))
            _refuse_spark_log(document)
            raise WorkloadError(*_place_and_message(error)) from None
        check(workload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WorkloadError("", f"is not JSON ({error})", source) from None
    except WorkloadError as error:
        raise WorkloadError(error.place, error.message, source) from None
    return workload


def dump(workload: Workload) -> bytes:
    """The document of a workload, one job a line; ``parse`` gives the same workload again."""
    parts = {
        field: msgspec.json.encode(getattr(workload, field))
        for field in ("version", "name", "slots")
    }
    for field, items in (("users", workload.users), ("jobs", workload.jobs)):
        rows = b",\n".join(b"    " + msgspec.json.encode(item) for item in items)
        parts[field] = b"[\n%s\n  ]" % rows if items else b"[]"
    lines = [b'  "%s": %s' % (field.encode(), value) for field, value in parts.items()]
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


# ---------------------------------------------------------------------- checks


def check(workload: Workload) -> None:
    """Refuse what is well-formed and still no workload; raises ``WorkloadError``."""
    _check_version(workload.version)
    _name("name", workload.name, MAX_TEXT_BYTES)
    if not 1 <= workload.slots <= MAX_SLOTS:
        raise WorkloadError("slots", f"is {workload.slots}; it must be 1 to {MAX_SLOTS}")
    for index, user in enumerate(workload.users):
        _name(f"users[{index}].user", user.user)
        if not MIN_WEIGHT <= user.weight <= MAX_WEIGHT:
            raise WorkloadError(
                f"users[{index}].weight",
                f"is {user.weight:g}; it must be {MIN_WEIGHT:g} to {MAX_WEIGHT:g}",
            )
    _unique("users", "user", [user.user for user in workload.users])
    if not workload.jobs:
        raise WorkloadError("jobs", "must not be empty")
    for index, job in enumerate(workload.jobs):
        _check_job(f"jobs[{index}]", job)
    _unique("jobs", "job", [job.job for job in workload.jobs])
    _check_sequences(workload.jobs)


def _check_version(version: int | None) -> None:
    if version not in {None, VERSION}:
        raise WorkloadError("version", f"is {version}; this program reads version {VERSION}")


def _refuse_spark_log(document: bytes | str) -> None:
    beginning = '{"Event":"SparkListener'
    start = document[: len(beginning)]
    if start in (beginning, beginning.encode()):
        raise WorkloadError(
            "", "is an event log of Spark; `uwfq workload --from-spark-log` makes a workload of it"
        )


def _check_job(place: str, job: JobSpec) -> None:
    _name(f"{place}.job", job.job)
    _name(f"{place}.user", job.user)
    _amount(f"{place}.submit", job.submit)
    _short(f"{place}.signature", job.signature, MAX_TEXT_BYTES)
    if job.estimate is not None:
        _positive(f"{place}.estimate", job.estimate)
    if job.input_bytes is not None and not 0 <= job.input_bytes < 1 << 63:
        raise WorkloadError(
            f"{place}.input_bytes", f"is {job.input_bytes}; it must be 0 or more, below 2^63"
        )
    if not job.stages:
        raise WorkloadError(f"{place}.stages", "must not be empty")
    for index, stage in enumerate(job.stages):
        _check_stage(f"{place}.stages[{index}]", stage)
    _unique(f"{place}.stages", "stage", [stage.stage for stage in job.stages])
    names = {stage.stage for stage in job.stages}
    for index, stage in enumerate(job.stages):
        for before, name in enumerate(stage.after or ()):
            if name not in names:
                raise WorkloadError(
                    f"{place}.stages[{index}].after[{before}]", f"the job has no stage {name!r}"
                )
    waits = dict(enumerate(job.stage_afters()))
    if (caught := in_a_cycle(waits)) is not None:
        raise WorkloadError(
            f"{place}.stages[{caught}].after",
            f"stage {job.stages[caught].stage!r} waits for itself, directly or through others",
        )


def _check_stage(place: str, stage: StageSpec) -> None:
    _name(f"{place}.stage", stage.stage)
    _amount(f"{place}.delay", stage.delay)
    if (stage.tasks is None) == (stage.work is None):
        raise WorkloadError(place, "give either tasks or work")
    if stage.work is not None:
        _amount(f"{place}.work", stage.work)
    if stage.tasks is not None:
        if not stage.tasks:
            raise WorkloadError(f"{place}.tasks", "must not be empty")
        for index, task in enumerate(stage.tasks):
            _amount(f"{place}.tasks[{index}]", task)
        if stage.total_work > MAX_AMOUNT:
            raise WorkloadError(
                f"{place}.tasks", f"sum to {stage.total_work:g}; at most {MAX_AMOUNT:g} is allowed"
            )


def _check_sequences(jobs: Sequence[JobSpec]) -> None:
    position = {job.job: index for index, job in enumerate(jobs)}
    waits: dict[int, tuple[int, ...]] = {}
    for index, job in enumerate(jobs):
        if job.after is not None and job.after not in position:
            raise WorkloadError(f"jobs[{index}].after", f"there is no job {job.after!r}")
        waits[index] = () if job.after is None else (position[job.after],)
    if (caught := in_a_cycle(waits)) is not None:
        raise WorkloadError(
            f"jobs[{caught}].after",
            f"job {jobs[caught].job!r} waits for itself, directly or through others",
        )


def _name(place: str, value: str, max_bytes: int = MAX_NAME_BYTES) -> None:
    if not value:
        raise WorkloadError(place, "must not be empty")
    _short(place, value, max_bytes)


def _short(place: str, value: str, max_bytes: int) -> None:
    if len(value.encode()) > max_bytes:
        raise WorkloadError(place, f"is longer than {max_bytes} bytes")


def _amount(place: str, value: float) -> None:
    if not 0 <= value <= MAX_AMOUNT:
        raise WorkloadError(place, f"is {value:g}; it must be 0 to {MAX_AMOUNT:g}")


def _positive(place: str, value: float) -> None:
    if not 0 < value <= MAX_AMOUNT:
        raise WorkloadError(place, f"is {value:g}; it must be more than 0, at most {MAX_AMOUNT:g}")


def _unique(place: str, key: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            raise WorkloadError(f"{place}[{index}].{key}", f"{name!r} stands there twice")
        seen.add(name)


def _version_in(document: bytes | str) -> int | None:
    """The version of a document that may be anything; ``None``: it says none that we can read."""
    try:
        return msgspec.json.decode(document, type=_AnyVersion).version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _AnyVersion(msgspec.Struct):
    """What documents of all versions have in common."""

    version: int | None = None


def _place_and_message(error: msgspec.ValidationError) -> tuple[str, str]:
    """Of ``what - at `$.jobs[3].stages[0]` ``, as msgspec has it: the place, and what."""
    text = str(error)
    for pattern, message in _ABOUT_A_KEY.items():
        # As short as possible, for a key that nobody knows may contain anything.
        if found := re.fullmatch(f"{pattern} `(.*?)`{_PLACE}", text, re.DOTALL):
            return f"{found[2] or ''}.{found[1]}".removeprefix("."), message
    found = re.fullmatch(f"(.*?){_PLACE}", text, re.DOTALL)
    assert found, "any text is one without a place"
    return found[2] or "", found[1][:1].lower() + found[1][1:]


#: How msgspec says where, unless it is the whole document.
_PLACE: Final = r"(?: - at `\$\.?([^`]*)`)?"
#: What it says of a key that is not in the place that it names, and what we say.
_ABOUT_A_KEY: Final = {
    "Object contains unknown field": "is no key of a workload file",
    "Object missing required field": "is missing",
}
