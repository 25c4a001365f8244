"""The entry point: finds the command, runs it, and turns whatever goes wrong into one line."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from uwfq_service.cli.errors import DISK_ERRORS, FAILED, complain, explained

#: Each command and the module that holds it, in the order in which somebody new will want them.
_COMMANDS: Final = {
    "demo": "demo",
    "serve": "serve",
    "worker": "worker",
    "submit": "submit",
    "jobs": "jobs",
    "job": "jobs",
    "explain": "jobs",
    "cancel": "jobs",
    "top": "top",
    "users": "users",
    "user": "users",
    "pools": "users",
    "health": "health",
    "spark": "spark",
    "replay": "replay",
    "simulate": "simulate",
    "workload": "workload",
}


class _Group(click.Group):
    """Loads a command when it is asked for: the whole service takes a while to import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In our order, not the alphabet's."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or ``None`` when there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"uwfq_service.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 it did not work this time; 2 asked wrongly; 130 interrupted.",
)
@click.version_option(importlib.metadata.version("uwfq"), message="uwfq %(version)s")
def uwfq() -> None:
    """User-fair scheduling for shared clusters.

    `uwfq demo` shows what it does, on this machine. `uwfq serve` starts the service; the commands
    from worker to health talk to it, at --target. `uwfq simulate` needs none.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``uwfq``; returns the exit code.  Never raises for a mistake that is not our own."""
    return run(uwfq, "uwfq", arguments)


def run(command: click.Command, name: str, arguments: Sequence[str] | None = None) -> int:
    """``main`` for ``command``, which the user calls ``name``."""
    # What a command cannot do it says itself, in one line; gRPC's own log would repeat it in ten.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if sys.stdin is None:
        # Whoever has started us has closed it.
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY), encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets a question mark, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        result = command.main(arguments, prog_name=name, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except (KeyboardInterrupt, click.Abort):
        # The cursor stands behind ^C.
        click.echo(err=True)
        return 130
    except SystemExit:
        # No command of ours ends so.  click and rich do, and with 1, when whoever read our output
        # has seen enough (`uwfq jobs | head`).
        _close_stdout()
        return 0
    except Exception as error:
        # A write of no named file: that was stdout, into a file.
        if isinstance(error, OSError) and error.errno in DISK_ERRORS and error.filename is None:
            complain(f"the output cannot be written: {error.strerror}")
            _close_stdout()
            return FAILED
        line, code = explained(error)
        if line is None:
            raise
        complain(line)
        return code
    return result if isinstance(result, int) else 0


def _close_stdout() -> None:
    """Say nothing at exit of what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
