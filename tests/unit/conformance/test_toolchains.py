"""``clients/testable``: which clients can be built here, and when a lack is a fault."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "clients" / "testable"


@pytest.mark.parametrize(
    ("ci", "code"),
    [("1", 1), ("true", 1), ("TRUE", 1), ("yes", 1), ("", 0), ("0", 0), ("false", 0), (None, 0)],
)
def test_a_missing_toolchain_is_a_failure_in_ci_only(
    tmp_path: Path, ci: str | None, code: int
) -> None:
    """By the rule of ``tests/conftest.py``: CI is 1, true or yes, in any case."""
    bash = shutil.which("bash")
    assert bash is not None
    environment = {"PATH": str(tmp_path)} | ({} if ci is None else {"CI": ci})
    ran = subprocess.run(
        [bash, str(SCRIPT), "node"], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == code
    assert ran.stdout == ""
    assert ran.stderr == (
        "warning: NOT BUILT, NOT TESTED: clients/node, for this machine lacks node npm\n"
    )
