"""Every client lives through every scenario, against a real server process."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import pytest

from clients.conformance import registry, scenario, suite
from clients.conformance.player import Command
from clients.conformance.report import Mark, Result, Results

CLIENTS = registry.load()
SCENARIOS = scenario.load_all()

#: What they play in together is one test, for all of them.
ALL = "all"


def _cases() -> Iterator[tuple[str, str]]:
    for story in SCENARIOS.values():
        for client in [ALL] if story.together else CLIENTS:
            yield client, story.name


@functools.cache
def _prepared(name: str) -> tuple[Mapping[str, Command], Mapping[str, tuple[Mark, str]]]:
    """A client made ready, once per run."""
    return suite.prepare([CLIENTS[name]], print)


@pytest.mark.slow
@pytest.mark.parametrize(("client", "name"), list(_cases()))
async def test_a_client_lives_through_a_scenario(client: str, name: str, results: Results) -> None:
    """All that the scenario expects comes true; the failure's text tells what did not, and why."""
    chosen = list(CLIENTS.values()) if client == ALL else [CLIENTS[client]]
    commands: dict[str, Command] = {}
    refused: dict[str, tuple[Mark, str]] = {}
    for each in chosen:
        ready, not_ready = _prepared(each.name)
        commands |= ready
        refused |= not_ready
    found = await suite.results_of(SCENARIOS[name], chosen, commands, refused)
    results.add(found)
    _judge(found)


def _judge(found: list[Result]) -> None:
    if failed := [result for result in found if result.mark is Mark.FAILED]:
        pytest.fail("\n".join(dict.fromkeys(result.text for result in failed)), pytrace=False)
    if all(result.mark is Mark.SKIPPED for result in found):
        pytest.skip("; ".join(result.text for result in found))
