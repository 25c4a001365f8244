"""SplitStage is AddStages without its consequences."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.driver import POOL, Driver
from uwfq_service.core import commands as cmd
from uwfq_service.core.settings import Settings

users = st.sampled_from(["ann", "bob"])
signatures = st.sampled_from(["", "scan", "join"])
sizes = st.integers(1, 1 << 44)


@st.composite
def questions(draw: st.DrawFn) -> cmd.StageSpec:
    """A stage that is not cut yet, or is by its caller, of some size."""
    units = tuple(draw(st.lists(sizes, min_size=1, max_size=5)))
    input_ = cmd.InputDescriptor(
        unit_sizes=units,
        splittable=draw(st.booleans()),
        unit_costs=draw(st.just(()) | st.just(tuple(range(1, len(units) + 1)))),
    )
    tasks = cmd.TaskList(count=len(units), task_bytes=units)
    return cmd.StageSpec(
        stage="7.0",
        cut=draw(st.sampled_from([input_, input_, tasks, None])),
        declared_work=draw(st.none() | st.floats(0.01, 1e6)),
        slots_per_task=draw(st.sampled_from([1, 2])),
        advisory_task_runtime=draw(st.none() | st.floats(0.1, 10.0)),
        min_tasks=draw(st.none() | st.integers(1, 3)),
        max_tasks=draw(st.none() | st.integers(3, 500)),
        signature=draw(signatures),
    )


@given(
    past=st.lists(
        st.tuples(users, signatures, signatures, sizes, st.floats(0.01, 1e4)), max_size=12
    ),
    slots=st.integers(1, 64),
    user=users,
    job=signatures,
    spec=questions(),
)
def test_advice_is_what_is_done(
    past: list[tuple[str, str, str, int, float]],
    slots: int,
    user: str,
    job: str,
    spec: cmd.StageSpec,
) -> None:
    """Whatever was learned before; and without the ranges the number of tasks is the same."""
    core = Driver(slots=slots, settings=Settings(max_split_tasks=2000))
    for number, (who, job_signature, signature, size, seconds) in enumerate(past):
        cut = cmd.TaskList(count=1, task_bytes=(size,))
        before = cmd.StageSpec(stage="3.0", cut=cut, signature=signature)
        core.submit(who, f"j{number}", before, signature=job_signature, open=number % 2 == 0)
        (lease,) = core.poll("w")
        core.at(core.now + seconds)
        core.done(lease, seconds)
        core.apply(cmd.CloseJob(job_id=f"j{number}"))
    core.submit(user, "open", open=True, signature=job)
    image = msgspec.msgpack.encode(core.scheduler.dump())
    question = cmd.SplitStage(pool=POOL, user=user, signature=job, stage=spec)
    advice = core.scheduler.split_stage(question)
    counted = core.scheduler.split_stage(msgspec.structs.replace(question, ranges=False))
    assert msgspec.msgpack.encode(core.scheduler.dump()) == image, "asking changes nothing"
    core.apply(cmd.AddStages(job_id="open", stages=(spec,)))
    (stage,) = core.scheduler.job("open").stages
    assert stage.spec == advice
    if not isinstance(spec.cut, cmd.TaskList):
        assert counted == msgspec.structs.replace(advice, bounds=b"", task_work=b"")
