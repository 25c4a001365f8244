"""Files as options name them: where a command writes, and that it may."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from uwfq_service.cli.errors import REFUSED, Failure, code_of


class NamedPath(click.Path):
    """A path with a name: an empty one, as of a variable that is not set, is not ``.``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        if value == "":
            self.fail("is empty.", param, ctx)
        return Path(str(super().convert(value, param, ctx)))


class OutputFile(NamedPath):
    """A file to write JSON to; ``-`` and, as for all other commands, ``json``: stdout."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, ``Path("-")`` for stdout."""
        if str(value) == "table":
            self.fail("tables are for stdout; name a file, or json.", param, ctx)
        return super().convert("-" if str(value) == "json" else value, param, ctx)


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


def check_writable(files: Mapping[str, Path | None]) -> None:
    """Refuse now what could not be written after a long run; keys are the options."""
    for option, path in files.items():
        if path is None or str(path) == "-":
            continue
        with writing(option, path):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if is_device(path):
                continue  # It is written to as it is.
            # A link is written to where it points.
            directory = path.resolve().parent
            if not directory.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            if not os.access(directory, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def check_directory(option: str, directory: Path | None) -> None:
    """Refuse now a directory that could not be written in, or made."""
    if directory is None:
        return
    with writing(option, directory):
        whole = directory.absolute()
        there = next(each for each in (whole, *whole.parents) if each.exists())
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(there, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextlib.contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Tell of the option whose file cannot be written in the block, or looked at."""
    try:
        yield
    except OSError as error:
        raise Failure(f"{option} {path}: {error.strerror}", code_of(error)) from error
