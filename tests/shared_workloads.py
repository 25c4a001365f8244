"""The workloads beside the repository, which are read in place and never copied into it."""

from pathlib import Path

import pytest

DIRECTORY = Path(__file__).resolve().parents[1].parent / "shared" / "workloads"


def shared_workload(name: str) -> Path:
    """The path of one of them; a test that needs what is not there is skipped, and says so."""
    path = DIRECTORY / name
    if not path.is_file():
        pytest.skip(f"needs ../shared/workloads/{name}, which is not part of the repository")
    return path
