"""Which clients there are (``clients.yaml``), and how to get at their adapters.

A client whose tools or directory are missing cannot be played to.  That is never silent: it shows
in the table, is said on the terminal, and with ``CI=true`` it counts as a failure.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from clients.conformance.player import Command

ROOT: Final = Path(__file__).parents[2]
CLIENTS: Final = Path(__file__).with_name("clients.yaml")

#: A missing toolchain is a failure.
IN_CI: Final = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


class RegistryError(Exception):
    """The list of clients is wrong."""


class BuildFailed(Exception):
    """A client's adapter cannot be built; the text is what the build said."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One language's client; paths are relative to the repository."""

    name: str
    #: Its language, for people.
    language: str
    directory: str
    #: What starts its adapter; ``{python}`` is this interpreter.
    adapter: Sequence[str]
    #: Builds the adapter; empty: nothing to build.
    build: Sequence[str] = ()
    #: Programs that must be on PATH.
    needs: Sequence[str] = ()

    def missing(self) -> str:
        """Why its adapter cannot even be built; empty: nothing is missing."""
        if not (ROOT / self.directory).is_dir():
            return f"{self.directory} is not there"
        absent = [program for program in self.needs if shutil.which(program) is None]
        return f"missing on PATH: {', '.join(absent)}" if absent else ""

    def built(self) -> Command:
        """The command of its adapter, built.  Raises ``BuildFailed``."""
        if self.build:
            done = subprocess.run(
                self.build,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise BuildFailed(f"{' '.join(self.build)} failed:\n{done.stdout[-4000:]}")
        words = [sys.executable if word == "{python}" else word for word in self.adapter]
        return Command(self.name, words, ROOT)


def load(path: Path = CLIENTS) -> dict[str, Client]:
    """All clients by name, in the order of the table.  Raises ``RegistryError``."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {field.name for field in dataclasses.fields(Client)} - {"name"}
    clients: dict[str, Client] = {}
    for name, entry in document.items():
        if unknown := sorted(set(entry) - known):
            raise RegistryError(f"{path.name}: {name}: unknown key {unknown[0]!r}")
        clients[name] = _client(path, name, entry)
    return clients


def _client(path: Path, name: str, entry: dict[str, Any]) -> Client:
    try:
        return Client(name=name, **entry)
    except TypeError as error:
        raise RegistryError(f"{path.name}: {name}: {error}") from None
