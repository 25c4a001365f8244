"""The result of a run: a table language x scenario, for the terminal and for RESULTS.md."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.table import Table

from clients.conformance.registry import Client
from clients.conformance.scenario import Scenario


class Mark(enum.Enum):
    """How a scenario went with a client."""

    PASSED = "✓"
    FAILED = "✗"
    #: The client could not be played to: its tools or its directory are missing.
    SKIPPED = "–"


_STYLES: Final[Mapping[Mark, str]] = {
    Mark.PASSED: "green",
    Mark.FAILED: "bold red",
    Mark.SKIPPED: "yellow",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One scenario, played to one client."""

    scenario: str
    client: str
    mark: Mark
    #: Why it failed or was skipped.
    text: str = ""


class Results:
    """What is known so far."""

    def __init__(self, clients: Sequence[Client], scenarios: Sequence[Scenario]) -> None:
        self._clients = clients
        self._scenarios = scenarios
        self._found: dict[tuple[str, str], Result] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, results: Iterable[Result]) -> None:
        """Note how it went."""
        for result in results:
            self._found[result.scenario, result.client] = result

    @property
    def failed(self) -> list[Result]:
        """What is red."""
        return [result for result in self._found.values() if result.mark is Mark.FAILED]

    def _rows(self) -> list[tuple[Scenario, list[Mark | None]]]:
        rows = []
        for scenario in self._scenarios:
            found = [self._found.get((scenario.name, client.name)) for client in self._clients]
            if any(found):
                rows.append((scenario, [result.mark if result else None for result in found]))
        return rows

    def table(self) -> Table:
        """For a terminal."""
        table = Table("scenario", title="Conformance: scenario x language")
        for client in self._clients:
            table.add_column(client.language, justify="center")
        for scenario, marks in self._rows():
            cells = [f"[{_STYLES[mark]}]{mark.value}[/]" if mark else "" for mark in marks]
            table.add_row(scenario.name, *cells)
        return table

    def markdown(self) -> str:
        """For RESULTS.md."""
        header = " | ".join(client.language for client in self._clients)
        legend = (
            f"{Mark.PASSED.value} passed, {Mark.FAILED.value} failed, "
            f"{Mark.SKIPPED.value} not run: the client or its tools are missing."
        )
        lines = [
            "# Conformance: scenario x language",
            "",
            "Written by `python -m clients.conformance --table clients/conformance/RESULTS.md`.",
            legend,
            "",
            f"| scenario | | {header} |",
            f"|---|---|{':-:|' * len(self._clients)}",
        ]
        for scenario, marks in self._rows():
            cells = " | ".join(mark.value if mark else " " for mark in marks)
            lines.append(f"| `{scenario.name}` | {scenario.title} | {cells} |")
        return "\n".join(lines) + "\n"
