"""Workload documents for tests: the README's, one to change a key of, and any of Hypothesis's."""

import copy
import json
import re
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st

from uwfq_service.simulator.workload import JobSpec, StageSpec, UserSpec, Workload

README: Final = Path(__file__).parents[3] / "service" / "uwfq_service" / "simulator" / "README.md"

#: What the README shows: a workload, and what is reported of it.
SHOWN, REPORTED = (
    json.loads(block)
    for block in re.findall(r"(?s)```json\n(.*?)```", README.read_text(encoding="utf-8"))
)

#: A document with every key of the format at least once.
EXAMPLE: Final[dict[str, Any]] = {
    "version": 1,
    "name": "two users, one burst",
    "slots": 32,
    "users": [{"user": "alice", "weight": 1.5}, {"user": "bob"}],
    "jobs": [
        {
            "job": "alice/etl-1",
            "user": "alice",
            "submit": 0.0,
            "after": None,
            "signature": "etl",
            "input_bytes": 4096,
            "estimate": 16.0,
            "stages": [
                {"stage": "scan", "tasks": [0.5, 0.5, 0.75]},
                {"stage": "agg", "work": 4.0, "after": ["scan"], "delay": 0.25},
            ],
        },
        {
            "job": "alice/etl-2",
            "user": "alice",
            "submit": 2.0,
            "after": "alice/etl-1",
            "stages": [{"stage": "scan", "tasks": [1]}],
        },
    ],
}

#: Says that a key is to be taken out.
ABSENT: Final = object()


def changed(*path: str | int, to: Any) -> str:
    """The example with one key or item set, or taken out (``to=ABSENT``)."""
    document = copy.deepcopy(EXAMPLE)
    *way, last = path
    at: Any = document
    for step in way:
        at = at[step]
    if to is ABSENT:
        del at[last]
    else:
        at[last] = to
    return json.dumps(document)


# ------------------------------------------------------------------ strategies

#: Also what is awkward in JSON, in messages and on terminals; never half a surrogate pair.
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
amounts = st.floats(0, 1e9)
positive = st.floats(1e-9, 1e9)


# Parts of those below, made once: Hypothesis checks each strategy that a draw makes.
_stage_names = st.lists(names, min_size=1, max_size=5, unique=True)
_tasks = st.none() | st.lists(amounts, min_size=1, max_size=5).map(tuple)
_users = st.lists(names, max_size=4, unique=True)
_job_names = st.lists(names, min_size=1, max_size=6, unique=True)
_signatures = st.just("") | names
_input_bytes = st.none() | st.integers(0, (1 << 63) - 1)
_estimates = st.none() | positive
_slots = st.integers(1, 1_000_000)
_weights = st.floats(0.001, 1e6)


@st.composite
def stages(draw: st.DrawFn) -> tuple[StageSpec, ...]:
    """Stages that wait only for earlier ones, so never in a circle."""
    made: list[StageSpec] = []
    for name in draw(_stage_names):
        tasks = draw(_tasks)
        earlier = [stage.stage for stage in made]
        before = st.lists(st.sampled_from(earlier), max_size=3) if earlier else st.just([])
        made.append(
            StageSpec(
                stage=name,
                tasks=tasks,
                work=draw(positive) if tasks is None else None,
                after=draw(st.none() | before.map(tuple)),
                delay=draw(amounts),
            )
        )
    return tuple(made)


_stages = stages()


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """Any workload that the format allows, within reason."""
    users = draw(_users)
    jobs: list[JobSpec] = []
    for name in draw(_job_names):
        earlier = [job.job for job in jobs]
        jobs.append(
            JobSpec(
                job=name,
                user=draw(st.sampled_from(users) if users else names),
                submit=draw(amounts),
                after=draw(st.none() | st.sampled_from(earlier)) if earlier else None,
                signature=draw(_signatures),
                input_bytes=draw(_input_bytes),
                estimate=draw(_estimates),
                stages=draw(_stages),
            )
        )
    return Workload(
        version=1,
        name=draw(names),
        slots=draw(_slots),
        users=tuple(UserSpec(user=user, weight=draw(_weights)) for user in users),
        # What a job waits for may also stand further down.
        jobs=tuple(draw(st.permutations(jobs))),
    )
