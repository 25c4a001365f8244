"""Runs the suite: makes the clients ready, plays every scenario to each, says how it went."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from clients.conformance.player import Command, play
from clients.conformance.registry import IN_CI, BuildFailed, Client
from clients.conformance.report import Mark, Result
from clients.conformance.scenario import Scenario


def prepare(
    clients: Sequence[Client], say: Callable[[str], None]
) -> tuple[dict[str, Command], dict[str, tuple[Mark, str]]]:
    """The commands of the clients that can be played to; of the others, what becomes of them.

    Builds their adapters, which may take minutes the first time.
    """
    commands: dict[str, Command] = {}
    refused: dict[str, tuple[Mark, str]] = {}
    for client in clients:
        if reason := client.missing():
            mark = Mark.FAILED if IN_CI else Mark.SKIPPED
            refused[client.name] = mark, reason
            say(f"{client.language} is NOT played to: {reason}")
            continue
        if client.build:
            say(f"building the adapter of {client.language}")
        try:
            commands[client.name] = client.built()
        except BuildFailed as error:
            refused[client.name] = Mark.FAILED, str(error)
            say(f"{client.language} is NOT played to: {error}")
    return commands, refused


async def results_of(
    scenario: Scenario,
    clients: Sequence[Client],
    commands: Mapping[str, Command],
    refused: Mapping[str, tuple[Mark, str]],
) -> list[Result]:
    """Play a scenario to these clients, one after the other or all of them together."""
    results = [
        Result(scenario.name, client.name, *refused[client.name])
        for client in clients
        if client.name in refused
    ]
    ready = [commands[client.name] for client in clients if client.name in commands]
    if scenario.together and ready:
        text = await play(scenario, ready)
        results += [_result(scenario, command, text) for command in ready]
    elif not scenario.together:
        results += [
            _result(scenario, command, await play(scenario, [command])) for command in ready
        ]
    return results


def _result(scenario: Scenario, command: Command, text: str) -> Result:
    mark = Mark.FAILED if text else Mark.PASSED
    return Result(scenario.name, command.client, mark, text)
