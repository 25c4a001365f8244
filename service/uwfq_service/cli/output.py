"""What a command prints: a table for people, or one JSON document for programs.

The JSON names are those of the protocol (``uwfq.v1``), units included; instants are ISO 8601 in
UTC; what is absent is ``null``.  Lists stand in an object, so that it can grow.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from uwfq_service.printable import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

Command = Callable[..., Any]


def output_option(command: Command) -> Command:
    """Give a command ``output: str``: ``table`` or ``json``."""
    return click.option(
        "--output",
        "-o",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="A table for people, or one JSON document.",
    )(command)


def emit(output: str, document: Mapping[str, Any], *parts: RenderableType) -> None:
    """Print the document, or the parts one below the other."""
    if output == "json":
        text = json.dumps(plain(document), indent=2, ensure_ascii=False)
        # In UTF-8, as JSON is in any locale.  Not every path is text.
        click.echo(text.encode(errors="replace"))
        return
    show(terminal(), parts)


def show(console: Console, parts: Iterable[RenderableType]) -> None:
    """Print the parts one below the other; what is too wide the terminal wraps."""
    for part in parts:
        console.print(part, crop=False)


def plain(value: Any) -> Any:
    """JSON values of records, instants and sequences."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, str | int | float | None):
        return value
    return [plain(inner) for inner in value]


def terminal(*, stderr: bool = False) -> Console:
    """Where tables go; off a terminal lines are as long as they need to be."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not (console.is_terminal and console.file.isatty()):
        console = Console(
            stderr=stderr,
            highlight=False,
            width=1_000,
            # With FORCE_COLOR a pipe gets colours, but nothing can be painted anew there.
            force_terminal=False,
            color_system=console.color_system,  # type: ignore[arg-type]  # One of its own names.
        )
    return console


def keep_logs_off_stdout() -> None:
    """Let what is logged go to stderr, for commands that read what a service has written."""
    import structlog

    # Looked up when something is logged, for a test has a stderr of its own.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    one_line: bool = False,
) -> Table:
    """A table without lines; the first ``left`` columns are text, the rest numbers.

    Where the terminal is too narrow, text takes several lines in its column, or with ``one_line``
    ends early.  Numbers are always whole.
    """
    from rich.text import Text

    from uwfq_service.columns import NarrowTable

    shown = [[printable(cell) for cell in row] for row in rows]
    made = NarrowTable(header_style="bold", one_line=one_line)
    for position, head in enumerate(columns):
        made.add(head, [row[position] for row in shown], name=position < left)
    for row in shown:
        # Text, for a user may be called "[red]".
        made.add_row(*(Text(cell, no_wrap=one_line) for cell in row))
    return made


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Names and values, one pair a line."""
    from rich.table import Table
    from rich.text import Text

    made = Table.grid(padding=(0, 2, 0, 0))
    for name, value in pairs:
        # A signature may have several lines, and stays in its column.
        shown = "\n".join(map(printable, value.split("\n")))
        made.add_row(Text(name, style="bold"), Text(shown, overflow="fold"))
    return made


def seconds(value: float | None) -> str:
    """A duration as people say it; ``-`` when there is none."""
    if value is None:
        return "-"
    if value < 0:
        return f"-{seconds(-value)}"
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    if value < 10:
        return f"{value:.2f} s"
    if value < 120:
        return f"{value:.0f} s"
    if value < 2 * 3600:
        return f"{value / 60:.0f} min"
    if value < 2 * 86400:
        return f"{value / 3600:.0f} h"
    return f"{value / 86400:.0f} d"


def since(instant: dt.datetime | None, until: dt.datetime | None = None) -> str:
    """How long ago, or how long it took; ``-`` when it has not happened."""
    if instant is None:
        return "-"
    end = until or dt.datetime.now(dt.UTC)
    return seconds(max(0.0, (end - instant).total_seconds()))


def number(value: float | None, digits: int = 2) -> str:
    """A number to read; ``-`` when there is none."""
    if value is None:
        return "-"
    if value == int(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    if round(value, digits) == 0:
        # What rounding has left of nothing has no sign.
        value = abs(value)
    return f"{value:,.{digits}f}"
