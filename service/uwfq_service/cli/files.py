"""Files as options name them: where a command writes, and that it may."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from uwfq_service.cli.errors import REFUSED, Failure, code_of


class OutputFile(click.Path):
    """A file to write JSON to; ``-`` and, as for all other commands, ``json``: stdout."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, allow_dash=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, ``Path("-")`` for stdout."""
        if str(value) == "table":
            self.fail("tables are for stdout; name a file, or json.", param, ctx)
        path = super().convert("-" if str(value) == "json" else value, param, ctx)
        return Path(str(path))


def is_device(path: Path) -> bool:
    """Whether what is there is written to as it is: a device, a pipe, or a directory, in vain."""
    try:
        return path.exists() and not path.is_file()
    except OSError:  # Nobody may look there.
        return False


def keep_apart(inputs: Iterable[str | Path], outputs: Mapping[str, Path | None]) -> None:
    """Refuse to write over a file that is read, or twice over the same; keys are the options.

    Of a directory all that lies in it is read.
    """
    taken: dict[str, str] = {}
    for source in map(Path, inputs):
        read = [source]
        # What cannot be looked at, whoever reads or writes it will tell of.
        with contextlib.suppress(OSError):
            read = list(source.iterdir())
        taken |= {os.path.realpath(each): "is read as well" for each in read}
    for option, path in outputs.items():
        # A device or a pipe may be named as often as one likes.
        if path is None or str(path) == "-" or is_device(path):
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise Failure(f"{option} {path}: {taken[place]}; give another name", REFUSED)
        taken[place] = f"is what {option} names, too"


@contextlib.contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Tell of the option whose file cannot be written in the block, or looked at."""
    try:
        yield
    except OSError as error:
        raise Failure(f"{option} {path}: {error.strerror}", code_of(error)) from error
