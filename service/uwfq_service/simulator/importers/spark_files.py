"""Which files of a directory are whose event log, and the lines in them.

logs/
  local-1795637674741                     one application, one file
  app-20261125201447-0003.zstd            … compressed
  app-20261125203001-0004.lz4.inprogress  … still running, or killed
  eventlog_v2_app-20261125210000-0005/    … rolling: a directory of its own
    appstatus_app-20261125210000-0005       empty; its name says whether it still runs
    events_3_….zstd.compact                 what Spark's cleaner has left of 1 to 3
    events_4_….zstd  events_5_….zstd        what came after
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from uwfq_service.simulator.importers.spark_codecs import CutShort, decompressed
from uwfq_service.simulator.workload import WorkloadError

_ROLLING_PREFIX: Final = "eventlog_v2_"
_STATUS_PREFIX: Final = "appstatus_"
_EVENTS_FILE: Final = re.compile(r"events_(\d+)_.*")
_COMPACTED_SUFFIX: Final = ".compact"

_REMEDY: Final = "give files of the directory that spark.eventLog.dir names"


@dataclass(frozen=True, slots=True)
class Log:
    """The log of one application."""

    #: What a refusal names: the file, or the directory of a rolling log.
    path: Path
    #: In the order in which they were written.
    files: tuple[Path, ...]
    #: Whether Spark's cleaner has taken the events of finished jobs out of its beginning.
    compacted: bool = False


def find_logs(paths: Sequence[Path]) -> list[Log]:
    """The logs at these paths: files, directories of rolling logs, directories of either.

    Raises ``WorkloadError`` for a path without any, for a rolling log with a gap, and for a file
    that is met twice.
    """
    logs: list[Log] = []
    for path in paths:
        try:
            found = list(_logs_at(path))
        except OSError as error:
            raise WorkloadError("", f"cannot be read ({error.strerror})", str(path)) from error
        if not found:
            raise WorkloadError("", f"holds no event log; {_REMEDY}", str(path))
        logs += found
    met: set[Path] = set()
    for log in logs:
        if (resolved := log.path.resolve()) in met:
            raise WorkloadError("", "was given twice; name each log once", str(log.path))
        met.add(resolved)
    return logs


def _logs_at(path: Path) -> Iterator[Log]:
    if not path.is_dir():
        path.stat()
        if not path.is_file():
            raise WorkloadError("", "is no file; write the log to one first", str(path))
        yield Log(path, (path,))
        return
    if path.name.startswith(_ROLLING_PREFIX):
        yield _rolling(path)
        return
    for child in sorted(path.iterdir()):
        # Checksums and halves of writes begin with a dot.
        if not child.name.startswith((".", _STATUS_PREFIX)):
            yield from _logs_at(child)


def _rolling(directory: Path) -> Log:
    numbered: dict[int, Path] = {}
    compacted = 0
    # Sorted, so that of two with one number the compacted one, whose name is longer, comes last.
    for file in sorted(directory.iterdir()):
        if match := _EVENTS_FILE.fullmatch(file.name):
            numbered[int(match[1])] = file
            if file.name.endswith(_COMPACTED_SUFFIX):
                compacted = max(compacted, int(match[1]))
    kept = sorted(number for number in numbered if number >= compacted)
    if not kept:
        raise WorkloadError("", "is a rolling log without events_* files", str(directory))
    for expected, number in enumerate(kept, start=compacted or 1):
        if number != expected:
            raise WorkloadError(
                "",
                f"lacks its file events_{expected}_*; copy the whole directory",
                str(directory),
            )
    return Log(directory, tuple(numbered[number] for number in kept), bool(compacted))


class Lines:
    """The lines of one file, each one event; iterate once.

    ``progress`` gets the bytes of the file that have been read so far, now and then.
    """

    def __init__(self, path: Path, progress: Callable[[int], None] | None = None) -> None:
        self._path = path
        self._progress = progress
        #: After the last line: whether the file ends in the middle of one.
        self.cut = False

    def __iter__(self) -> Iterator[bytes]:
        """Raises ``WorkloadError`` for what cannot be read, or is no event log."""
        try:
            yield from self._lines()
        except OSError as error:
            raise WorkloadError("", f"cannot be read ({error.strerror})", self._source) from error
        except WorkloadError as error:
            raise WorkloadError(error.place, error.message, self._source) from error.__cause__

    @property
    def _source(self) -> str:
        return str(self._path)

    def _lines(self) -> Iterator[bytes]:
        # The pieces of a line whose end is still to come: a plan may take many of them.
        parts: list[bytes] = []
        first = True
        with self._path.open("rb") as source, closing(decompressed(source)) as pieces:
            while piece := self._next(pieces):
                if first and not piece.startswith(b"{"):
                    # Said before looking for the end of the line: there may be none.
                    raise not_a_log()
                first = False
                *lines, rest = piece.split(b"\n")
                if lines:
                    lines[0] = b"".join([*parts, lines[0]])
                    yield from lines
                    parts = []
                parts.append(rest)
                if self._progress is not None:
                    self._progress(source.tell())
        rest = b"".join(parts)
        if _is_json(rest):
            yield rest
        elif rest:
            self.cut = True

    def _next(self, pieces: Iterator[bytes]) -> bytes | None:
        try:
            return next(pieces, None)
        except CutShort:
            self.cut = True
            return None


def not_a_log() -> WorkloadError:
    """The refusal of a file that holds something else."""
    return WorkloadError("", f"is no Spark event log: its first line is no event; {_REMEDY}")


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
