"""Check, offline, that requirements.lock satisfies pyproject.toml and names no registry.

Resolving anew would need the network and would fail whenever a dependency makes a release. It is
enough that every requirement we state is met by the version we pinned, that every pin carries a
hash, and that no address slipped in.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?P<rest>.*)$")


def stated_requirements() -> Iterator[Requirement]:
    """Yield what pyproject.toml asks for: to build, to run, in every extra and group."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    lists: list[list[str]] = [
        pyproject["build-system"]["requires"],
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *pyproject["dependency-groups"].values(),
    ]
    for texts in lists:
        yield from map(Requirement, texts)


def problems() -> Iterator[str]:
    """Yield one line for each way in which the lock file falls short."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    if "://" in text or "--index" in text or "--find-links" in text:
        yield "an address: the lock file must work behind any registry"
    pinned: dict[str, Version] = {}
    for entry in re.split(r"(?m)^(?=[A-Za-z0-9])", text):
        if pin := PIN.match(entry.splitlines()[0] if entry else ""):
            pinned[canonicalize_name(pin["name"])] = Version(pin["version"])
            if "--hash=sha256:" not in entry:
                yield f"{pin['name']}: pinned without a hash"
    for requirement in stated_requirements():
        version = pinned.get(canonicalize_name(requirement.name))
        if version is None:
            yield f"{requirement}: not pinned"
        elif version not in requirement.specifier:
            yield f"{requirement}: pinned to {version}"


def main() -> int:
    """Print the problems; return 1 when there are any."""
    found = list(problems())
    for problem in found:
        print(f"requirements.lock: {problem}", file=sys.stderr)
    if found:
        print("requirements.lock is out of step: run `make lock`", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
