"""Plays a scenario: to one client, or to several at the same time, against a server of its own.

A step asks an adapter (or does something to the server) and looks at what came.  The first step
that is not as expected ends the scenario, with a text that tells all that is needed to see why:
what was asked, what came, what was expected, and the last words of adapter and server.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from clients.conformance import matching, messages
from clients.conformance.adapter import Adapter, AdapterBroken, Refused
from clients.conformance.scenario import DEFAULTS, ERROR_KEYS, RUN_KEYS, Scenario, Step
from clients.conformance.service import Server, ServerFailed

#: What an adapter gets beyond the time-out that it was told, before it counts as broken.
_SPARE_SECONDS: Final = 15.0

#: Between two tries of a step that is to come true eventually.
_LOOK_AGAIN_SECONDS: Final = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """A client's name, and the command that starts its adapter in ``directory``."""

    client: str
    words: Sequence[str]
    directory: Path


class StepFailed(Exception):
    """A step did not come out as it should."""

    def __init__(self, problem: str, answer: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.answer = answer


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What came of a step, as plain values: a result, or an error."""

    result: Any = None
    error: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return f"error {matching.shown(dict(self.error))}"
        return matching.shown(self.result)


async def play(scenario: Scenario, commands: Sequence[Command]) -> str:
    """Play it; empty when all was as expected, else what was not.

    ``commands`` are the clients that take part.  With fewer than the scenario has adapters, some of
    them take part more than once.
    """
    # Short, and gone afterwards.
    with tempfile.TemporaryDirectory(prefix="uwfq-") as directory:
        server = Server(Path(directory), scenario.server)
        try:
            await server.start()
        except ServerFailed as error:
            await server.close()
            return _report(scenario, None, str(error), "", server, ())
        adapters: list[Adapter] = []
        try:
            for index in range(scenario.adapters):
                command = commands[index % len(commands)]
                adapters.append(
                    await Adapter.start(
                        command.client, command.words, server.target, command.directory
                    )
                )
            return await _Player(scenario, server, adapters).play()
        except AdapterBroken as error:
            return _report(scenario, None, str(error), "", server, adapters)
        finally:
            await asyncio.gather(*(adapter.abandon() for adapter in adapters))
            await server.close()


class _Player:
    """One scenario under way."""

    def __init__(self, scenario: Scenario, server: Server, adapters: Sequence[Adapter]) -> None:
        self._scenario = scenario
        self._server = server
        self._adapters = adapters
        self._saved: dict[str, Any] = {}
        self._background: dict[str, tuple[Step, asyncio.Task[list[Answer]]]] = {}
        #: Workers by their adapter's index and name; the runs of those that were stopped.
        self._workers: dict[tuple[int, str], list[Any] | None] = {}

    async def play(self) -> str:
        """All steps, one after the other, and the adapters' clean end."""
        try:
            for step in self._scenario.steps:
                try:
                    await self._do(step)
                except StepFailed as failed:
                    return self._failure(step, failed.problem, failed.answer)
                except (AdapterBroken, ServerFailed, messages.NotTheMessage) as error:
                    return self._failure(step, str(error))
        finally:
            for _, task in self._background.values():
                task.cancel()
        for adapter in self._adapters:
            try:
                await adapter.close()
            except AdapterBroken as error:
                return self._failure(None, f"the adapter of {adapter.name}: {error}")
        return ""

    async def _do(self, step: Step) -> None:
        if step.background:
            task = asyncio.create_task(self._answers(step))
            self._background[step.background] = (step, task)
            return
        began = time.monotonic()
        while True:
            answers = await self._answers(step)
            wrong = self._wrong(step, answers)
            seconds = time.monotonic() - began
            if not wrong or step.eventually_seconds is None:
                break
            if seconds > step.eventually_seconds:
                wrong = [f"not so within {step.eventually_seconds:g} s", *wrong]
                break
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        if not wrong and step.within_seconds is not None and seconds > step.within_seconds:
            wrong = [f"came after {seconds:.2f} s, not within {step.within_seconds:g} s"]
        if wrong:
            raise StepFailed("\n".join(wrong), "\n".join(map(str, answers)))
        for name, path in step.save.items():
            try:
                self._saved[name] = matching.picked(answers[0].result, path)
            except (LookupError, TypeError):
                raise StepFailed(f"nothing at {path} to save", str(answers[0])) from None

    def _wrong(self, step: Step, answers: Sequence[Answer]) -> list[str]:
        lines = []
        for answer in answers:
            if step.expect_error is not None:
                expected = matching.resolved(step.expect_error, self._saved)
                if answer.error is None:
                    lines.append(f"expected error {matching.shown(expected)}, found an answer")
                else:
                    lines += matching.mismatches(expected, answer.error)
            elif answer.error is not None:
                lines.append(f"expected an answer, found error {answer.error['code']}")
            elif step.expect is not None:
                lines += matching.mismatches(
                    matching.resolved(step.expect, self._saved), answer.result
                )
        return lines

    # ------------------------------------------------------------------------------------ answers

    async def _answers(self, step: Step) -> list[Answer]:
        match step.do:
            case "server.kill":
                await self._server.kill()
            case "server.stop":
                await self._server.stop()
            case "server.start":
                await self._server.start()
            case "join":
                first, task = self._background[step.arguments["step"]]
                try:
                    return await asyncio.wait_for(
                        asyncio.shield(task), first.timeout_seconds + _SPARE_SECONDS
                    )
                except TimeoutError:
                    raise StepFailed("the step in the background does not end") from None
            case "tally":
                return [Answer(await self._tally())]
            case _:
                chosen = (
                    range(len(self._adapters)) if step.adapter == 0 else [self._adapter_index(step)]
                )
                return list(await asyncio.gather(*(self._ask(index, step) for index in chosen)))
        return [Answer({})]

    def _adapter_index(self, step: Step) -> int:
        if step.adapter > len(self._adapters):
            raise StepFailed(f"there is no adapter {step.adapter}")
        return step.adapter - 1

    async def _ask(self, index: int, step: Step) -> Answer:
        arguments = {**DEFAULTS.get(step.do, {}), **step.arguments}
        if step.do in {"call", "watch", "wait", "worker.running"}:
            arguments["timeout_seconds"] = step.timeout_seconds
        arguments = matching.resolved(arguments, self._saved)
        try:
            document = await self._adapters[index].ask(
                step.do, arguments, step.timeout_seconds + _SPARE_SECONDS
            )
        except Refused as refused:
            return Answer(error=_error(refused.error))
        result = _result(step, document)
        if step.do == "worker.start":
            self._workers[index, step.arguments["worker"]] = None
        if step.do == "worker.stop":
            self._workers[index, step.arguments["worker"]] = result["runs"]
        return Answer(result)

    async def _tally(self) -> dict[str, int]:
        """What all workers of all adapters have run, in numbers."""
        by_worker = []
        for (index, name), stopped in self._workers.items():
            runs = stopped
            if runs is None:
                document = await self._adapters[index].ask(
                    "worker.runs", {"worker": name}, _SPARE_SECONDS
                )
                runs = _runs(document)
            by_worker.append(runs)
        every = [run for runs in by_worker for run in runs]
        tasks = collections.Counter(
            (run["job_id"], run["stage"], run["task_index"]) for run in every
        )
        outcomes = collections.Counter(run["outcome"] for run in every)
        return {
            "runs": len(every),
            "tasks": len(tasks),
            "repeated": sum(times > 1 for times in tasks.values()),
            "succeeded": outcomes["succeeded"],
            "failed": outcomes["failed"],
            "cancelled": outcomes["cancelled"],
            "fewest_by_worker": min(map(len, by_worker), default=0),
        }

    # ------------------------------------------------------------------------------------ failures

    def _failure(self, step: Step | None, problem: str, answer: str = "") -> str:
        asked = step
        if step is not None and step.do == "join":
            asked = self._background[step.arguments["step"]][0]
        if asked is not None:
            with contextlib.suppress(KeyError):
                arguments = matching.resolved(dict(asked.arguments), self._saved)
                answer = f"asked:    {matching.shown(arguments)}\nanswer:   {answer or 'none'}"
        return _report(self._scenario, step, problem, answer, self._server, self._adapters)


def _report(
    scenario: Scenario,
    step: Step | None,
    problem: str,
    exchange: str,
    server: Server,
    adapters: Sequence[Adapter],
) -> str:
    """All that is needed to see why."""
    lines = [f"{scenario.name}: {scenario.title}"]
    if step is not None:
        lines.append(f"{step} (of {len(scenario.steps)})")
    lines += [exchange] if exchange else []
    first, *others = problem.splitlines()
    lines += [f"problem:  {first}", *(f"          {line}" for line in others)]
    for adapter in adapters:
        lines += [f"---- the adapter of {adapter.name} said last", *adapter.log]
    lines += ["---- the server said last", *server.log]
    return "\n".join(lines)


# ---------------------------------------------------------------------------------- what came, read


def _result(step: Step, document: Any) -> Any:
    """An answer as plain values, in the one form that expectations are written for."""
    if step.do == "call":
        return messages.read(messages.METHODS[step.arguments["method"]][1], document)
    if not isinstance(document, dict):
        raise messages.NotTheMessage(f"an answer is an object, not {document!r}")
    if step.do == "wait":
        return {"job": messages.read(messages.JOB, document.get("job"))}
    if step.do == "watch":
        return {
            "states": [messages.state_name(state) for state in document.get("states", ())],
            "job": messages.read(messages.JOB, document.get("job")),
        }
    if step.do in {"worker.runs", "worker.stop"}:
        return {"runs": _runs(document)}
    return document


def _runs(document: Any) -> list[dict[str, Any]]:
    runs = document.get("runs") if isinstance(document, dict) else None
    if not isinstance(runs, list) or not all(
        isinstance(run, dict) and set(run) == RUN_KEYS for run in runs
    ):
        raise messages.NotTheMessage(
            f"runs are a list of objects with {', '.join(sorted(RUN_KEYS))}, not {document!r:.300}"
        )
    return runs


def _error(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict) or set(document) != ERROR_KEYS:
        raise messages.NotTheMessage(
            f"an error is an object with {', '.join(sorted(ERROR_KEYS))}, not {document!r:.300}"
        )
    return document
