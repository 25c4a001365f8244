"""Logs: structlog lines, and the core's events among them.

An event becomes a line named after it (``JobEnded`` is ``job_ended``) once it is on disk.  What
happens for every job or task is logged at ``debug``, what an operator wants to see of a healthy
service at ``info``, and a job that failed at ``warning``.  Events below the level cost one dict
lookup and make no line: a busy service at ``info`` is quiet.  One kind of event has so many lines a
second at most, for callers make them as fast as they like; ``debug`` leaves nothing out.

Lines go to standard error, so that standard output stays free for what a command prints.  One that
cannot be written (its reader has gone, its disk is full) is lost, and the service goes on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Final, TextIO, cast

import msgspec
import structlog

from uwfq_service.core import events as ev
from uwfq_service.printable import printable
from uwfq_service.server.rpc import nobody_listens

DEBUG: Final = 10
INFO: Final = 20
WARNING: Final = 30
ERROR: Final = 40

LEVELS: Final = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR}

#: Events that are rare enough for every reader; all others are logged at ``debug``.
RARE: Final[frozenset[type[ev.Event]]] = frozenset(
    {
        ev.PoolConfigured,
        ev.UserSet,
        ev.WorkerJoined,
        ev.WorkerLost,
        ev.WorkerLeft,
        ev.UsersForgotten,
        ev.Recovered,
    }
)

#: Lines a second about one kind of event; of further ones only the metrics tell.
MOST_LINES: Final = 100

#: Fields that are long, binary, or said by the line already.
_LEFT_OUT: Final = frozenset({"fingerprint", "stages", "labels", "at"})


class _Lossy:
    """A stream that loses what it cannot write, and raises nothing."""

    def __init__(self, stream: Any) -> None:
        """``stream`` takes text or bytes; ``None``: there is none, and everything is lost."""
        self._stream = stream

    def write(self, line: Any) -> None:
        """See ``io.IOBase``."""
        with contextlib.suppress(OSError):
            if self._stream is not None:
                self._stream.write(line)

    def flush(self) -> None:
        """See ``io.IOBase``."""
        with contextlib.suppress(OSError):
            if self._stream is not None:
                self._stream.flush()


def configure(level: str, style: str, stream: TextIO | None = None) -> None:
    """Set structlog up for this process."""
    # Python has none where whoever started the process has closed it.
    stream = stream or cast("TextIO | None", sys.stderr)
    terminal = stream is not None and stream.isatty()
    if style == "auto":
        style = "console" if terminal else "json"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if style == "console":
        structlog.configure(
            processors=[*shared, _shown, structlog.dev.ConsoleRenderer(colors=terminal)],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
            logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Lossy(stream))),
            cache_logger_on_first_use=True,
        )
    else:
        structlog.configure(
            processors=[
                *shared,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(serializer=_to_json),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
            logger_factory=structlog.BytesLoggerFactory(
                cast(BinaryIO, _Lossy(stream and stream.buffer))
            ),
            cache_logger_on_first_use=True,
        )
    logging.basicConfig(handlers=[_Forward()], level=WARNING, force=True)


def _shown(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What callers have called themselves, as text that no terminal obeys."""
    return {
        name: printable(value) if isinstance(value, str) else value for name, value in line.items()
    }


class _Forward(logging.Handler):
    """Takes what libraries log to structlog, under the name ``library``."""

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        if record.exc_info and nobody_listens(record.exc_info[1]):
            return  # Callers go whenever they like.
        structlog.get_logger().log(
            record.levelno,
            "library",
            logger=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info or None,
        )


def _to_json(line: Any, default: Callable[[Any], Any], **_: Any) -> bytes:
    try:
        return msgspec.json.encode(line, enc_hook=default)
    except UnicodeEncodeError:
        # The path of a file may be no text, and can only be escaped.
        return json.dumps(line, default=default).encode()


def enabled(level: int) -> bool:
    """Whether lines of this level are written; asked once, at start."""
    logger = structlog.get_logger()
    return bool(logger.is_enabled_for(level))


def line_name(kind: type[ev.Event]) -> str:
    """The event's name in a log: ``JobEnded`` is ``job_ended``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


class EventLog:
    """Writes the events that are wanted; an observer of the engine."""

    def __init__(self, level: int, job_name: Callable[[int], str | None]) -> None:
        """``job_name`` gives the id of a job by its number, while it is remembered."""
        self._log = structlog.get_logger("uwfq_service.events")
        self._job_name = job_name
        kinds = ev.AnyEvent.__args__
        self._levels: dict[type[ev.Event], int] = {
            kind: severity
            for kind in kinds
            if (severity := _severity(kind)) >= level or kind is ev.JobEnded
        }
        self._level = level
        self._names = {kind: line_name(kind) for kind in kinds}
        #: The second of the last line, and how many lines of each kind it has.
        self._second = 0
        self._lines: Counter[type[ev.Event]] = Counter()

    def __call__(self, events: Sequence[ev.AnyEvent]) -> None:
        """Log what is wanted of ``events``."""
        levels = self._levels
        for event in events:
            severity = levels.get(type(event))
            if severity is not None:
                self._write(event, severity)

    def _write(self, event: ev.AnyEvent, severity: int) -> None:
        if isinstance(event, ev.JobEnded) and event.state != "succeeded":
            severity = WARNING if event.state == "failed" else INFO
        if severity < self._level or (self._level > DEBUG and self._too_many(event)):
            return
        fields = {
            name: len(value) if isinstance(value, tuple) else value
            for name, value in msgspec.structs.asdict(event).items()
            if name not in _LEFT_OUT
        }
        number = fields.get("job")
        if isinstance(number, int) and "job_id" not in fields:
            fields["job_id"] = self._job_name(number)
        self._log.log(severity, self._names[type(event)], **fields)

    def _too_many(self, event: ev.AnyEvent) -> bool:
        """Whether this second has all the lines of the event's kind that it may have."""
        if int(event.at) != self._second:
            self._second = int(event.at)
            self._lines.clear()
        kind = type(event)
        self._lines[kind] += 1
        if self._lines[kind] == MOST_LINES + 1:
            self._log.warning(
                "lines_left_out",
                of=self._names[kind],
                remedy=f"more than {MOST_LINES} in a second; log.level debug shows them all, and "
                "the metrics count them",
            )
        return self._lines[kind] > MOST_LINES


def _severity(kind: type[ev.Event]) -> int:
    return INFO if kind in RARE else DEBUG
