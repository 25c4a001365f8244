"""A scenario: what is asked, step by step, and what must come of it; read from YAML and checked.

Everything that can be wrong with a scenario is found when it is read, before a server is started:
keys that nobody knows, fields that a message does not have, values that no step has saved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from clients.conformance import matching, messages

SCENARIOS: Final = Path(__file__).parent / "scenarios"

#: How long a step may take unless it says otherwise.
STEP_SECONDS: Final = 20.0


class ScenarioError(Exception):
    """A scenario is wrong; ``problems`` has one line for each fault."""

    def __init__(self, name: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{name}: {problem}" for problem in problems))
        self.problems = problems


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """What a step may do: the keys that it needs, and those that it may have besides."""

    needs: frozenset[str] = frozenset()
    may_have: frozenset[str] = frozenset()
    #: Whether an adapter is asked; else the runner does it.
    asks: bool = True


def _action(needs: str = "", may_have: str = "", *, asks: bool = True) -> Action:
    return Action(frozenset(needs.split()), frozenset(may_have.split()), asks)


ACTIONS: Final[Mapping[str, Action]] = {
    "call": _action("method request"),
    "watch": _action("job_id"),
    "wait": _action("job_id"),
    "worker.start": _action("worker kinds", "worker_id pool slots prefetch"),
    "worker.running": _action("worker kind count"),
    "worker.release": _action("worker kind"),
    "worker.runs": _action("worker"),
    "worker.stop": _action("worker", "grace_seconds"),
    "server.kill": _action(asks=False),
    "server.stop": _action(asks=False),
    "server.start": _action(asks=False),
    "join": _action("step", asks=False),
    "tally": _action(asks=False),
}

#: What an adapter is told where the step does not say it.
DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "worker.start": {"worker_id": None, "pool": None, "slots": 1, "prefetch": 0},
    "worker.stop": {"grace_seconds": None},
}

#: What a handler may do, and with what.
ACTS: Final[Mapping[str, frozenset[str]]] = {
    "succeed": frozenset(),
    "sleep": frozenset({"seconds"}),
    "fail": frozenset({"attempts"}),
    "fail_for_good": frozenset(),
    "hold": frozenset(),
}

_STEP_KEYS: Final = frozenset(
    {
        "do",
        "note",
        "adapter",
        "background",
        "expect",
        "expect_error",
        "save",
        "timeout_seconds",
        "within_seconds",
        "eventually_seconds",
    }
)
_SCENARIO_KEYS: Final = frozenset({"title", "server", "adapters", "steps"})
ERROR_KEYS: Final = frozenset(
    {"code", "message", "field_violations", "retry_after_seconds", "reason", "resource"}
)
RUN_KEYS: Final = frozenset({"job_id", "stage", "task_index", "attempt", "outcome"})
TALLY_KEYS: Final = frozenset(
    {"runs", "tasks", "repeated", "succeeded", "failed", "cancelled", "fewest_by_worker"}
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do, and what must come of it."""

    #: From 1.
    number: int
    do: str
    #: What the action is given, without the defaults.
    arguments: Mapping[str, Any]
    note: str = ""
    #: Which of the scenario's adapters is asked, from 1; 0: all of them at once.
    adapter: int = 1
    #: The name to ``join`` it by; empty: the next step waits for it.
    background: str = ""
    expect: Any = None
    expect_error: Any = None
    #: Names, and the paths in the answer of what is saved under them.
    save: Mapping[str, str] = dataclasses.field(default_factory=dict)
    timeout_seconds: float = STEP_SECONDS
    #: The answer must come so soon.
    within_seconds: float | None = None
    #: It is asked again, for so long, until the answer is as expected.
    eventually_seconds: float | None = None

    def __str__(self) -> str:
        what = " ".join(
            str(self.arguments[key])
            for key in ("method", "job_id", "worker", "kind", "step")
            if key in self.arguments
        )
        note = f" ({self.note})" if self.note else ""
        return f"step {self.number}: {self.do} {what}".rstrip() + note


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A story that every client must be able to live through."""

    name: str
    #: What it shows, in one sentence.
    title: str
    steps: tuple[Step, ...]
    #: Settings of the server, by dotted key.
    server: Mapping[str, Any]
    #: How many adapters take part.  With more than one, the clients take part together.
    adapters: int = 1

    @property
    def together(self) -> bool:
        """Whether it is played once, to all clients at the same time."""
        return self.adapters > 1


class _Loader(yaml.SafeLoader):
    """YAML with the matchers' tags, and without keys that are given twice."""


def _tagged(tag: str) -> Any:
    def construct(loader: _Loader, node: yaml.Node) -> Any:
        try:
            return matching.TAGS[tag](_untagged(loader, node))
        except ValueError as error:
            raise yaml.constructor.ConstructorError(
                None, None, str(error), node.start_mark
            ) from None

    return construct


def _untagged(loader: _Loader, node: yaml.Node) -> Any:
    """What stands behind a tag, as if it stood alone."""
    if isinstance(node, yaml.ScalarNode):
        return yaml.load(node.value, yaml.SafeLoader) if node.style is None else node.value
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode), "there is no fourth kind"
    return loader.construct_mapping(node, deep=True)


def _unique(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    # Merged keys (`<<: *step`) are there to be overridden.
    keys = [loader.construct_object(key) for key, _ in node.value if key.value != "<<"]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise yaml.constructor.ConstructorError(
            None, None, f"the key {twice!r} is given twice", node.start_mark
        )
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique)
for _tag in matching.TAGS:
    _Loader.add_constructor(f"!{_tag}", _tagged(_tag))


def load_all(directory: Path = SCENARIOS) -> dict[str, Scenario]:
    """All scenarios by name.  Raises ``ScenarioError``."""
    paths = sorted(directory.glob("*.yaml"))
    return {path.stem: parse(path.stem, path.read_text(encoding="utf-8")) for path in paths}


def parse(name: str, text: str) -> Scenario:
    """One scenario.  Raises ``ScenarioError`` with all that is wrong."""
    try:
        document = yaml.load(text, _Loader)  # noqa: S506  # A SafeLoader with tags of our own.
    except yaml.YAMLError as error:
        raise ScenarioError(name, [str(error)]) from None
    if not isinstance(document, dict):
        raise ScenarioError(name, ["a scenario is a mapping with title and steps"])
    problems = [f"unknown key {key!r}" for key in sorted(set(document) - _SCENARIO_KEYS)]
    problems += [f"{key}: missing" for key in ("title", "steps") if not document.get(key)]
    server = document.get("server") or {}
    adapters = document.get("adapters", 1)
    if not isinstance(server, dict):
        problems.append("server: is a mapping of settings to values")
    if not isinstance(adapters, int) or adapters < 1:
        problems.append("adapters: is a number, at least 1")
    raw_steps = document.get("steps") or []
    steps = []
    for number, raw in enumerate(raw_steps if isinstance(raw_steps, list) else [], 1):
        found = list(_faults(raw))
        problems += [f"step {number}: {fault}" for fault in found]
        if not found:
            steps.append(_step(number, raw))
    problems += _dangling(steps)
    if problems:
        raise ScenarioError(name, problems)
    return Scenario(
        name=name,
        title=document["title"],
        steps=tuple(steps),
        server=server,
        adapters=adapters,
    )


def _step(number: int, raw: Mapping[str, Any]) -> Step:
    options = {key: raw[key] for key in _STEP_KEYS & set(raw)}
    if options.get("adapter") == "all":
        options["adapter"] = 0
    arguments = {key: value for key, value in raw.items() if key not in _STEP_KEYS}
    return Step(number=number, arguments=arguments, **options)


def _faults(raw: Any) -> Iterator[str]:
    """What is wrong with a step, by itself."""
    if not isinstance(raw, dict) or raw.get("do") not in ACTIONS:
        yield f"do: is one of {', '.join(ACTIONS)}"
        return
    action = ACTIONS[raw["do"]]
    for key in sorted(set(raw) - _STEP_KEYS - action.needs - action.may_have, key=str):
        known = ", ".join(sorted(_STEP_KEYS | action.needs | action.may_have))
        yield f"unknown key {key!r}; {raw['do']} knows {known}"
    yield from (f"{key}: missing" for key in sorted(action.needs - set(raw)))
    for key in ("timeout_seconds", "within_seconds", "eventually_seconds"):
        if key in raw and not (isinstance(raw[key], int | float) and raw[key] > 0):
            yield f"{key}: is a number above 0"
    adapter = raw.get("adapter", 1)
    if adapter != "all" and not (isinstance(adapter, int) and adapter >= 1):
        yield "adapter: is the number of an adapter, from 1, or all"
    if "background" in raw and not action.asks:
        yield "background: only what an adapter is asked"
    if "background" in raw and {"expect", "expect_error"} & set(raw):
        yield "what is expected of a step in the background stands at its join"
    if "expect" in raw and "expect_error" in raw:
        yield "expect and expect_error: only one of them"
    if raw["do"] == "call" and raw.get("method") not in messages.METHODS:
        yield f"method: is one of {', '.join(messages.METHODS)}"
        return
    yield from _unknown_fields(raw)
    if raw["do"] == "worker.start":
        yield from _unknown_acts(raw.get("kinds"))


def _unknown_fields(raw: Mapping[str, Any]) -> Iterator[str]:
    expect, refusal = raw.get("expect"), raw.get("expect_error")
    if raw["do"] == "call":
        request, response = messages.METHODS[raw["method"]]
        yield from messages.unknown_fields(request, raw.get("request"), "request")
        yield from messages.unknown_fields(response, expect, "expect")
    if raw["do"] in {"wait", "watch"} and isinstance(expect, dict):
        known = {"job", "states"} if raw["do"] == "watch" else {"job"}
        yield from _not_among(expect, frozenset(known), "expect")
        yield from messages.unknown_fields(messages.JOB, expect.get("job"), "expect.job")
    if raw["do"] in {"worker.runs", "worker.stop"} and isinstance(expect, dict):
        yield from _not_among(expect, frozenset({"runs"}), "expect")
        runs = expect.get("runs")
        for run in runs.items if isinstance(runs, matching.AnyOrder) else runs or ():
            yield from _not_among(run, RUN_KEYS, "expect.runs")
    if raw["do"] == "tally":
        yield from _not_among(expect, TALLY_KEYS, "expect")
    yield from _not_among(refusal, ERROR_KEYS, "expect_error")


def _not_among(tree: Any, known: frozenset[str], path: str) -> Iterator[str]:
    for key in tree if isinstance(tree, dict) else ():
        if key not in known:
            yield f"{path}: unknown key {key!r}; there are {', '.join(sorted(known))}"


def _unknown_acts(kinds: Any) -> Iterator[str]:
    if not isinstance(kinds, dict):
        yield "kinds: maps each kind to what is done with its tasks"
        return
    for kind, act in kinds.items():
        name = str(act.get("act")) if isinstance(act, dict) else ""
        if name not in ACTS:
            yield f"kinds.{kind}: act is one of {', '.join(ACTS)}"
        elif set(act) - {"act"} != ACTS[name]:
            wanted = ", ".join(sorted(ACTS[name])) or "nothing"
            yield f"kinds.{kind}: {name} goes with {wanted}"


def _dangling(steps: list[Step]) -> list[str]:
    """Names that stand for nothing: values that were not saved, steps that were not begun."""
    problems = []
    values: set[str] = set()
    begun: dict[str, Step] = {}
    for step in steps:
        problems += [
            f"step {step.number}: no step before has saved {name!r}"
            for name in _saved_names([step.arguments, step.expect, step.expect_error])
            if name not in values
        ]
        values |= set(step.save)
        if step.do == "join":
            first = begun.pop(step.arguments["step"], None)
            if first is None:
                problems.append(f"step {step.number}: nothing to join under that name")
            elif first.do == "call" and step.expect is not None:
                response = messages.METHODS[first.arguments["method"]][1]
                problems += [
                    f"step {step.number}: {line}"
                    for line in messages.unknown_fields(response, step.expect, "expect")
                ]
        elif step.background:
            begun[step.background] = step
    problems += [f"step {step.number}: nobody joins it" for step in begun.values()]
    return problems


def _saved_names(tree: Any) -> Iterator[str]:
    if isinstance(tree, matching.Saved):
        yield tree.name
    elif isinstance(tree, matching.AnyOrder):
        yield from _saved_names(tree.items)
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _saved_names(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _saved_names(value)
