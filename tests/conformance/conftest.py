"""The suite's results, kept over the tests and shown at the end of the run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from clients.conformance import registry, scenario
from clients.conformance.report import Results

_RESULTS = pytest.StashKey[Results]()


def pytest_configure(config: pytest.Config) -> None:
    """Nothing is known yet."""
    config.stash[_RESULTS] = Results(
        list(registry.load().values()), list(scenario.load_all().values())
    )


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Results:
    """Where each test notes how it went."""
    return pytestconfig.stash[_RESULTS]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The table language x scenario."""
    results = config.stash[_RESULTS]
    if not results:
        return
    console = Console(file=io.StringIO(), width=120, no_color=True)
    console.print(results.table())
    output = console.file
    assert isinstance(output, io.StringIO), "it was made with one"
    terminalreporter.write_line("")
    terminalreporter.write(output.getvalue())
