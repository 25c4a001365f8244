"""The command line: `python -m clients.conformance`, from the repository's root.

Exit code 0: all green (clients that are missing are said, and are no failure unless CI=true);
1: something is red; 2: bad input.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from clients.conformance import registry, scenario, suite
from clients.conformance.report import Mark, Results

T = TypeVar("T")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--client", "client_names", multiple=True, help="Only this client; may be repeated.")
@click.option(
    "--scenario", "scenario_names", multiple=True, help="Only this scenario; may be repeated."
)
@click.option("--list", "only_list", is_flag=True, help="Say what there is, and run nothing.")
@click.option(
    "--table",
    "table_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the table to this file, as Markdown.",
)
def main(
    client_names: Sequence[str],
    scenario_names: Sequence[str],
    only_list: bool,  # A flag of the command line.
    table_file: Path | None,
) -> None:
    """Play the conformance scenarios to the clients of all languages."""
    try:
        clients = _chosen("client", registry.load(), client_names)
        scenarios = _chosen("scenario", scenario.load_all(), scenario_names)
    except (registry.RegistryError, scenario.ScenarioError) as error:
        raise click.UsageError(str(error)) from None
    console = Console()
    if only_list:
        for client in clients:
            console.print(f"client    {client.name:<22} {client.missing() or client.language}")
        for each in scenarios:
            console.print(f"scenario  {each.name:<22} {each.title}", soft_wrap=True)
        return
    results = Results(clients, scenarios)
    asyncio.run(_run(console, clients, scenarios, results))
    console.print(results.table())
    if table_file is not None:
        table_file.write_text(results.markdown(), encoding="utf-8")
    sys.exit(1 if results.failed else 0)


def _chosen(what: str, known: Mapping[str, T], names: Sequence[str]) -> list[T]:
    for name in names:
        if name not in known:
            raise click.UsageError(f"there is no {what} {name!r}; there are {', '.join(known)}")
    return [each for name, each in known.items() if not names or name in names]


async def _run(
    console: Console,
    clients: Sequence[registry.Client],
    scenarios: Sequence[scenario.Scenario],
    results: Results,
) -> None:
    commands, refused = suite.prepare(clients, lambda text: console.print(text, highlight=False))
    for each in scenarios:
        found = await suite.results_of(each, clients, commands, refused)
        results.add(found)
        line = "  ".join(f"{result.client} {result.mark.value}" for result in found)
        console.print(f"{each.name:<22} {line}", highlight=False)
        for text in dict.fromkeys(result.text for result in found if result.mark is Mark.FAILED):
            console.print(text, markup=False, highlight=False)


if __name__ == "__main__":
    main()
