"""What every test shares: reproducible randomness, and skips that cannot hide in CI."""

import os
import shutil
import signal

import pytest
from hypothesis import HealthCheck, settings

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

# No deadline: a shared machine is slow at times, and time is not what these tests are about. A
# failure prints the blob that replays it.
settings.register_profile("default", deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    settings.get_profile("default"),
    # The same examples on every run: a commit that passed does not fail when run again.
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# For an evening's search: `HYPOTHESIS_PROFILE=thorough PYTEST_TIMEOUT=0 make test`.
settings.register_profile("thorough", settings.get_profile("default"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "default"))

# In the background of a script Ctrl-C is ignored, and by every child as well.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Honour ``@pytest.mark.needs("go", …)``: without the tool, skip; in CI, fail.

    A build machine that lacks a toolchain would otherwise report success for what it never ran.
    """
    wanted = {tool for mark in item.iter_markers("needs") for tool in mark.args}
    if missing := sorted(tool for tool in wanted if shutil.which(tool) is None):
        reason = f"missing toolchain: {', '.join(missing)}"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
