"""What went wrong, as one line and an exit code."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from uwfq_service.printable import printable

if TYPE_CHECKING:
    from uwfq_client import UwfqError

#: It did not work this time; the same command may work later.
FAILED: Final = 1
#: Asked wrongly: the same command will be refused again.
REFUSED: Final = 2


class Failure(Exception):
    """A command cannot do what it was asked; ``str()`` is the line for the user."""

    def __init__(self, line: str, code: int = FAILED) -> None:
        super().__init__(line)
        self.code = code


#: The disk is at fault, and not whoever named a file on it.
DISK_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def code_of(error: OSError) -> int:
    """The exit code of a command that could not read or write a file."""
    return FAILED if error.errno in DISK_ERRORS else REFUSED


def complain(line: str) -> None:
    """Print one line on stderr."""
    click.echo("error: " + printable(" ".join(line.split())), err=True)


def explained(error: Exception, target: str = "--target") -> tuple[str | None, int]:
    """The line and the exit code for an error; no line: it is a defect of ours.

    ``target`` is where the service was looked for.
    """
    match error:
        case click.UsageError():
            return _usage(error), REFUSED
        case click.ClickException():
            return error.format_message(), error.exit_code
        case Failure():
            return str(error), error.code
        case UnicodeEncodeError():
            # An argument that is no text: the protocol carries UTF-8 alone.
            return f"{_shortened(error.object)} is not UTF-8 text", REFUSED
        case OSError(filename=str() | Path(), strerror=str()):
            # Whoever reads or writes a file says better what it is for.  But a mere look may fail,
            # too, where a directory on the way must not be entered, or a name is too long.
            return f"{_cut(str(error.filename))}: {error.strerror}", code_of(error)
    # Late, for importing the client takes as long as everything else that a command does.
    from uwfq_client import UwfqError

    if isinstance(error, UwfqError):
        return _refusal(error, target)
    return None, FAILED


def _shortened(text: str) -> str:
    return repr(_cut(text, 40))


def _cut(text: str, length: int = 200) -> str:
    return text if len(text) <= length else text[:length] + "…"


def _usage(error: click.UsageError) -> str:
    message = error.format_message().rstrip(".")
    if error.ctx is None:
        return message
    return f"{message}; see `{error.ctx.command_path} --help`"


def unreachable(target: str, message: str) -> str:
    """The line for a service that does not answer; ``message`` is gRPC's."""
    # It tells the whole story of its attempts; the end of it is the reason.
    told_by_grpc = message.startswith(("failed to connect", "errors resolving"))
    # A failed handshake ends with the state of something that is not meant.
    told = message.removesuffix(": OK")
    reason = told.rpartition(": ")[2].rstrip("]") if told_by_grpc else message
    if "WRONG_VERSION_NUMBER" in message:
        reason = "what listens there does not speak TLS"
    return f"no service answers at {target} ({reason}); is `uwfq serve` running there?"


def _refusal(error: UwfqError, target: str) -> tuple[str, int]:
    import uwfq_client as client

    match error:
        case client.Unavailable():
            return unreachable(target, error.message), FAILED
        case client.DeadlineExceeded():
            line = f"no answer from {target} in time ({error}); --timeout waits longer"
            return line, FAILED
        case client.ResourceExhausted() if error.retry_after_seconds is not None:
            return f"{error}; try again in {error.retry_after_seconds:g} s", FAILED
        case (
            client.InvalidArgument()
            | client.NotFound()
            | client.AlreadyExists()
            | client.FailedPrecondition()
            | client.ResourceExhausted()
            | client.PermissionDenied()
            | client.Unauthenticated()
        ):
            return str(error), REFUSED
        case client.Unimplemented():
            return f"{error}; is this an UWFQ service, and as new as this command?", FAILED
    return str(error), FAILED
