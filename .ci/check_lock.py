"""Check, offline, that the lock files satisfy pyproject.toml and name no registry.

Resolving anew would need the network and would fail whenever a dependency makes a release. It is
enough that every requirement we state is met by the version we pinned, that every pin carries a
hash, that the runtime's lock agrees with the full one, and that no address slipped in.
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
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")


def stated_requirements() -> tuple[list[Requirement], list[Requirement]]:
    """Return what pyproject.toml asks for at run time, and what else it asks for."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    others: list[list[str]] = [
        pyproject["build-system"]["requires"],
        *project["optional-dependencies"].values(),
        *pyproject["dependency-groups"].values(),
    ]
    runtime = [Requirement(text) for text in project["dependencies"]]
    return runtime, [Requirement(text) for texts in others for text in texts]


class LockFile:
    """The pins of one lock file, and what is wrong with its text alone."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.pins: dict[str, Version] = {}
        self.problems: list[str] = []
        text = (ROOT / path).read_text(encoding="utf-8")
        if "://" in text or "--index" in text or "--find-links" in text:
            self.problems.append(f"{path}: an address; a lock file must work behind any registry")
        # An entry starts in the first column; its hashes and comments are indented.
        for entry in re.split(r"(?m)^(?=[A-Za-z0-9])", text):
            if pin := PIN.match(entry):
                self.pins[canonicalize_name(pin["name"])] = Version(pin["version"])
                if "--hash=sha256:" not in entry:
                    self.problems.append(f"{path}: {pin['name']} is pinned without a hash")

    def unmet(self, requirements: list[Requirement]) -> Iterator[str]:
        """Yield a line for each requirement that the pins do not satisfy."""
        for requirement in requirements:
            version = self.pins.get(canonicalize_name(requirement.name))
            if version is None:
                yield f"{self.path}: {requirement} is not pinned"
            elif version not in requirement.specifier:
                yield f"{self.path}: {requirement} is pinned to {version}"


def problems() -> Iterator[str]:
    """Yield one line for each way in which the lock files fall short."""
    runtime, others = stated_requirements()
    full, deployed = LockFile("requirements.lock"), LockFile("deploy/requirements.lock")
    spark35 = LockFile("tests/spark/requirements-3.5.txt")
    for lock in (full, deployed, spark35):
        yield from lock.problems
    yield from full.unmet(runtime + others)
    yield from deployed.unmet(runtime)
    yield from spark35.unmet(runtime)
    for name, version in deployed.pins.items():
        if full.pins.get(name) != version:
            yield f"{deployed.path}: {name} {version} is {full.pins.get(name)} in {full.path}"


def main() -> int:
    """Print the problems; return 1 when there are any."""
    found = list(problems())
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        print("the lock files are out of step: run `make lock`", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
