"""The source distribution is the repository: whoever unpacks it can run ``make test``."""

import tarfile
from pathlib import Path, PurePosixPath

from hatchling.builders.sdist import SdistBuilder

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (".ci", "clients", "deploy", "protos", "service", "spark_bridge", "tests")
#: What tools leave in these folders.
MADE = {
    *("__pycache__", "build", "dist", "jars", "node_modules", "target"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"),
}


def test_all_sources_and_nothing_that_was_built_are_in_it(tmp_path: Path) -> None:
    """The clients in other languages among them, and what lint runs."""
    (built,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(built) as archive:
        packed = {PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames()}
    assert not {path for path in packed if MADE.intersection(path.parts)}
    found = {
        PurePosixPath(path.relative_to(ROOT))
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    assert not {path for path in found - packed if not MADE.intersection(path.parts)}
