"""Scenarios are read strictly: whatever is wrong with one is said when it is read."""

from __future__ import annotations

import pytest

from clients.conformance import scenario
from clients.conformance.scenario import ScenarioError, parse

CALL = "{do: call, method: GetJob, request: {job_id: j}}"
POLL = "{do: call, method: NextTask, request: {}, background: poll}"


def test_all_scenarios_can_be_read() -> None:
    """And each of them says what it shows."""
    stories = scenario.load_all()
    assert len(stories) >= 30
    assert all(story.title and story.steps for story in stories.values())


def test_a_scenario_is_read_as_it_was_written() -> None:
    """Options of the step apart from what the action is given."""
    story = parse(
        "s",
        """
        title: A poll
        server: {scheduling.lease_seconds: 1}
        adapters: 2
        steps:
          - do: call
            note: at last
            method: NextTask
            request: {worker_id: w}
            adapter: all
            timeout_seconds: 3
            eventually_seconds: 9
            expect: {leases: [{task_index: !at_least 1}]}
            save: {lease: leases.0.lease_id}
        """,
    )
    (step,) = story.steps
    assert story.together
    assert story.server == {"scheduling.lease_seconds": 1}
    assert step.arguments == {"method": "NextTask", "request": {"worker_id": "w"}}
    assert (step.adapter, step.timeout_seconds, step.eventually_seconds) == (0, 3, 9)
    assert step.save == {"lease": "leases.0.lease_id"}
    assert str(step) == "step 1: call NextTask (at last)"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"title: t\nsetps: [{CALL}]", "unknown key 'setps'"),
        (f"steps: [{CALL}]", "title: missing"),
        ("title: t", "steps: missing"),
        ("title: t\ntitle: u\nsteps: []", "'title' is given twice"),
        (f"title: t\nadapters: none\nsteps: [{CALL}]", "adapters: is a number"),
        ("title: t\nsteps: [{do: cal}]", "step 1: do: is one of call, watch"),
        ("title: t\nsteps: [{do: wait, job_id: j, expct: {}}]", "unknown key 'expct'"),
        ("title: t\nsteps: [{do: wait}]", "step 1: job_id: missing"),
        ("title: t\nsteps: [{do: call, method: GetJobs, request: {}}]", "method: is one of"),
        (
            "title: t\nsteps: [{do: call, method: GetJob, request: {job: j}}]",
            "request.job: GetJobRequest has no such field; it has job_id",
        ),
        (
            "title: t\nsteps: [{do: call, method: GetJob, request: {}, expect: {job: {sate: x}}}]",
            "expect.job.sate: Job has no such field",
        ),
        (
            "title: t\nsteps: [{do: call, method: GetJob, request: {}, expect_error: {cod: X}}]",
            "expect_error: unknown key 'cod'",
        ),
        ("title: t\nsteps: [{do: tally, expect: {total: 1}}]", "expect: unknown key 'total'"),
        (
            "title: t\nsteps: [{do: worker.runs, worker: w, expect: {runs: [{index: 1}]}}]",
            "expect.runs: unknown key 'index'",
        ),
        (
            "title: t\nsteps: [{do: worker.start, worker: w, kinds: {k: {act: sleep}}}]",
            "kinds.k: sleep goes with seconds",
        ),
        (
            "title: t\nsteps: [{do: worker.start, worker: w, kinds: {k: {act: nap}}}]",
            "kinds.k: act is one of succeed",
        ),
        ("title: t\nsteps: [{do: wait, job_id: !saved job}]", "no step before has saved 'job'"),
        (f"title: t\nsteps: [{POLL}]", "step 1: nobody joins it"),
        ("title: t\nsteps: [{do: join, step: poll}]", "step 1: nothing to join"),
        (
            f"title: t\nsteps: [{POLL}, {{do: join, step: poll, expect: {{lease: 1}}}}]",
            "expect.lease: NextTaskResponse has no such field",
        ),
        ("title: t\nsteps: [{do: wait, job_id: !at_least x}]", "!at_least wants a number"),
        ("title: t\nsteps: [{do: wait, job_id: !nearly 3}]", "!nearly"),
        (
            "title: t\nsteps: [{do: wait, job_id: j, timeout_seconds: soon}]",
            "timeout_seconds: is a number above 0",
        ),
        ("title: t\nsteps: [{do: wait, job_id: j, adapter: 0}]", "adapter: is the number"),
        ("- 1", "a scenario is a mapping"),
    ],
)
def test_mistakes_are_named(text: str, complaint: str) -> None:
    """With the scenario, the step and the key."""
    with pytest.raises(ScenarioError) as caught:
        parse("story", text)
    assert str(caught.value).startswith("story: ")
    assert complaint in str(caught.value)
