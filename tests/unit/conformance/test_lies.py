"""The suite can fail: an adapter that lies, breaks its protocol or dies is found out.

Without a server: the adapter has no client that would need one.
"""

from __future__ import annotations

import collections
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clients.conformance import adapter, player, scenario, suite
from clients.conformance.player import Command
from clients.conformance.registry import Client
from clients.conformance.report import Mark, Results

LIAR = Path(__file__).with_name("lying_adapter.py")

WAIT = """
title: A job succeeds
steps:
  - do: call
    method: GetJob
    request: {job_id: j-1}
    timeout_seconds: 1
    expect: {job: {job_id: j-1, state: JOB_STATE_SUCCEEDED}}
"""

REFUSED = """
title: A job is not there
steps:
  - {do: call, method: GetJob, request: {job_id: j-1}, expect_error: {code: NOT_FOUND}}
"""

ONCE = """
title: One task runs once
steps:
  - {do: worker.start, worker: w, kinds: {k: {act: succeed}}}
  - {do: tally, expect: {runs: 1, tasks: 1, repeated: 0}}
"""

AT_ONCE = """
title: It comes at once
steps:
  - {do: wait, job_id: j-1, within_seconds: 0.000001}
"""

NEVER = """
title: What is not so is waited for, and not for ever
steps:
  - do: wait
    job_id: j-1
    eventually_seconds: 0.1
    expect: {job: {state: JOB_STATE_RUNNING}}
"""

LATER = """
title: What is begun in the background is looked at later
steps:
  - {do: wait, job_id: j-1, background: wait}
  - {do: join, step: wait, expect: {job: {state: JOB_STATE_RUNNING}}}
"""


class NoServer:
    """Stands where a server would; nobody asks it anything."""

    target = "nowhere"

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        self.log: collections.deque[str] = collections.deque()

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, and no long patience with a silent adapter."""
    monkeypatch.setattr(player, "Server", NoServer)
    monkeypatch.setattr(player, "_SPARE_SECONDS", 0.5)


async def played(story: str, lie: str) -> str:
    """What the player says."""
    command = Command("liar", [sys.executable, str(LIAR), lie], LIAR.parent)
    return await player.play(scenario.parse("story", story), [command])


@pytest.mark.parametrize(("story", "lie"), [(WAIT, "truth"), (REFUSED, "error"), (ONCE, "one_run")])
async def test_the_truth_is_green(story: str, lie: str) -> None:
    """What is red below is red for the lie's sake."""
    assert await played(story, lie) == ""


@pytest.mark.parametrize(
    ("story", "lie", "complaint"),
    [
        (
            WAIT,
            "other_state",
            "job.state: expected 'JOB_STATE_SUCCEEDED', found 'JOB_STATE_FAILED'",
        ),
        (WAIT, "nothing", "job: expected"),
        (WAIT, "invented_field", 'no field named "done"'),
        (WAIT, "error", "expected an answer, found error NOT_FOUND"),
        (WAIT, "bare_error", "an error is an object with code"),
        (WAIT, "neither", "neither an answer nor an error"),
        (WAIT, "noise", "its standard output is not the protocol's"),
        (WAIT, "silence", "no answer within 1.5 s"),
        (WAIT, "death", "it ended with code 9"),
        (WAIT, "bad_end", "it ended with code 3, not 0"),
        (REFUSED, "truth", "expected error {code: 'NOT_FOUND'}, found an answer"),
        (ONCE, "two_runs", "repeated: expected 0, found 1"),
        (ONCE, "half_a_run", "runs are a list of objects with"),
        (AT_ONCE, "truth", "not within 1e-06 s"),
        (NEVER, "truth", "not so within 0.1 s"),
        (LATER, "truth", "job.state: expected 'JOB_STATE_RUNNING'"),
    ],
)
async def test_a_lie_is_red_and_said(story: str, lie: str, complaint: str) -> None:
    """The text says what is wrong, and what the adapter said last."""
    text = await played(story, lie)
    assert complaint in text
    assert "---- the adapter of liar said last" in text
    assert f"I tell {lie}" in text


async def test_a_failure_tells_all_that_is_needed_to_see_why() -> None:
    """Scenario, step, what was asked, what came, what was expected."""
    lines = (await played(WAIT, "other_state")).splitlines()
    assert lines[0] == "story: A job succeeds"
    assert lines[1] == "step 1: call GetJob (of 1)"
    assert lines[2] == "asked:    {method: 'GetJob', request: {job_id: 'j-1'}}"
    assert lines[3].startswith("answer:   {job: {pool: '', job_id: 'j-1'")
    assert lines[4].startswith("problem:  job.state: expected")


async def test_an_answer_too_many_breaks_the_protocol() -> None:
    """Each request is answered once."""
    command = [sys.executable, str(LIAR), "stammer"]
    stammerer = await adapter.Adapter.start("liar", command, "nowhere", LIAR.parent)
    await stammerer.ask("wait", {}, 10.0)
    # The second answer is on its way, and nothing waits for it.
    with pytest.raises(adapter.AdapterBroken, match="nothing waits for this answer"):
        await stammerer.ask("wait", {}, 10.0)
    await stammerer.abandon()


async def test_a_program_that_is_not_there_is_said() -> None:
    """The build has not left what the list says."""
    command = Command("liar", ["./no-such-adapter"], LIAR.parent)
    text = await player.play(scenario.parse("story", WAIT), [command])
    assert "./no-such-adapter cannot be started" in text


def client(name: str, **more: Any) -> Client:
    """A client whose adapter is the liar."""
    words = ["{python}", str(LIAR), name]
    return Client(name=name, language=name.title(), directory="tests", adapter=words, **more)


@pytest.mark.parametrize(("in_ci", "mark"), [(False, Mark.SKIPPED), (True, Mark.FAILED)])
async def test_a_client_that_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, in_ci: bool, mark: Mark
) -> None:
    """Skipped, aloud; where everything must be there, failed."""
    monkeypatch.setattr(suite, "IN_CI", in_ci)
    said: list[str] = []
    absent = client("absent", needs=["no-such-toolchain"])
    clients = [client("truth"), absent, client("other_state")]
    commands, refused = suite.prepare(clients, said.append)
    story = scenario.parse("story", WAIT)
    results = Results(clients, [story])
    results.add(await suite.results_of(story, clients, commands, refused))
    assert said == ["Absent is NOT played to: missing on PATH: no-such-toolchain"]
    assert {result.client for result in results.failed} == {"other_state"} | (
        {"absent"} if in_ci else set()
    )
    row = results.markdown().splitlines()[-1]
    assert row == f"| `story` | A job succeeds | ✓ | {mark.value} | ✗ |"


async def test_a_build_that_fails_is_red() -> None:
    """With what it said."""
    said: list[str] = []
    script = "import sys; print('no compiler'); sys.exit(1)"
    broken = client("truth", build=[sys.executable, "-c", script])
    commands, refused = suite.prepare([broken], said.append)
    assert not commands
    mark, text = refused["truth"]
    assert mark is Mark.FAILED
    assert "no compiler" in text


async def test_all_take_part_in_what_is_played_together() -> None:
    """One lie among them makes the scenario red for all."""
    story = scenario.parse(
        "story", WAIT.replace("steps:", "adapters: 2\nsteps:") + "    adapter: all\n"
    )
    clients = [client("truth"), client("other_state")]
    commands, refused = suite.prepare(clients, print)
    results = await suite.results_of(story, clients, commands, refused)
    assert [result.mark for result in results] == [Mark.FAILED, Mark.FAILED]
    results = await suite.results_of(story, clients[:1], commands, refused)
    assert [result.mark for result in results] == [Mark.PASSED]
