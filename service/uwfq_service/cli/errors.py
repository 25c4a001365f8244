"""What went wrong, as one line and an exit code."""

from __future__ import annotations

from typing import Final

import click

#: It did not work this time; the same command may work later.
FAILED: Final = 1
#: Asked wrongly: the same command will be refused again.
REFUSED: Final = 2


class Failure(Exception):
    """A command cannot do what it was asked; ``str()`` is the line for the user."""

    def __init__(self, line: str, code: int = FAILED) -> None:
        super().__init__(line)
        self.code = code


def complain(line: str) -> None:
    """Print one line on stderr."""
    click.echo("error: " + " ".join(line.split()), err=True)


def explained(error: Exception) -> tuple[str | None, int]:
    """The line and the exit code for an error; no line: it is a defect of ours."""
    match error:
        case click.UsageError():
            return _usage(error), REFUSED
        case click.ClickException():
            return error.format_message(), error.exit_code
        case Failure():
            return str(error), error.code
    # Late, for importing the client takes as long as everything else that a command does.
    from uwfq_client import UwfqError

    if isinstance(error, UwfqError):
        return _refusal(error)
    return None, FAILED


def _usage(error: click.UsageError) -> str:
    message = error.format_message().rstrip(".")
    if error.ctx is None:
        return message
    return f"{message}; see `{error.ctx.command_path} --help`"


def _refusal(error: Exception) -> tuple[str, int]:
    import uwfq_client as client

    match error:
        case client.Unavailable():
            line = f"the service cannot be reached ({error}); is `uwfq serve` running at --target?"
            return line, FAILED
        case client.DeadlineExceeded():
            return f"no answer in time ({error}); --timeout waits longer", FAILED
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
