"""How long a job takes by itself: figures by hand, and the simulator with nothing else in it."""

from __future__ import annotations

import random

import pytest

from uwfq_service.simulator.alone import LoneStage, response_alone
from uwfq_service.simulator.runs import Options, Partitioning
from uwfq_service.simulator.workload import JobSpec, StageSpec, Workload
from uwfq_service.simulator.world import simulate


def stage(*durations: float, after: tuple[int, ...] = (), delay: float = 0.0) -> LoneStage:
    """A stage of tasks that take so long, in launch order."""
    return LoneStage(durations=durations, after=after, delay=delay)


@pytest.mark.parametrize(
    ("stages", "slots", "response"),
    [
        pytest.param([stage(3, 2, 1)], 3, 3, id="a slot for each task"),
        pytest.param([stage(3, 2, 1)], 2, 3, id="the slot that is free first"),
        pytest.param([stage(3, 2, 1)], 1, 6, id="one after another"),
        pytest.param([stage(2, 2, 2, delay=0.5)], 2, 4.5, id="a delay"),
        pytest.param([stage(1, 1, 1), stage(2, after=(0,))], 2, 4, id="in sequence"),
        # The second stage has what the first one leaves free.
        pytest.param([stage(4, 1), stage(1, 1, 1, 1)], 2, 5, id="side by side"),
        # The third follows both at 3, the fourth the first at 1 on the second slot until 6.
        pytest.param(
            [stage(1), stage(3), stage(2, after=(0, 1)), stage(5, after=(0,))],
            2,
            6,
            id="branches",
        ),
        pytest.param(
            [stage(1, delay=0.25), stage(1, after=(0,), delay=0.5)], 4, 2.75, id="delays add up"
        ),
        pytest.param([stage(0, 0), stage(0, after=(0,))], 1, 0, id="no work"),
        pytest.param([stage(1, after=(1,)), stage(2)], 4, 3, id="listed after what follows it"),
    ],
)
def test_a_job_alone_takes_what_it_takes_by_hand(
    stages: list[LoneStage], slots: int, response: float
) -> None:
    """Small jobs on a few slots."""
    assert response_alone(stages, slots) == response


def test_a_slot_that_is_free_goes_to_what_can_run_by_then() -> None:
    """Of two ends at one instant the first frees a slot before the second frees a lower stage."""
    job = [stage(1), stage(1), stage(2, 2, after=(0,)), stage(4, after=(1,))]
    # At 1 the first end frees the third stage, which takes the slot; the second end's slot goes
    # to that stage, too, for its number is lower.
    assert response_alone(job, 2) == 7
    # The other way round the third stage is not launchable yet at the first end.
    job = [stage(1), stage(1), stage(2, 2, after=(1,)), stage(4, after=(0,))]
    assert response_alone(job, 2) == 5


def random_job(seed: int) -> Workload:
    """One job of up to five stages on up to four slots, or on many; ends fall on one instant."""
    rng = random.Random(seed)
    stages = []
    for number in range(rng.randint(1, 5)):
        earlier = [f"s{before}" for before in range(number) if rng.random() < 0.4]
        stages.append(
            StageSpec(
                stage=f"s{number}",
                tasks=tuple(rng.randint(0, 8) / 8 for _ in range(rng.randint(1, 9))),
                after=None if rng.random() < 0.4 else tuple(earlier),
                delay=rng.choice([0.0, 0.0, 0.25, 0.5]) if seed % 2 else 0.0,
            )
        )
    job = JobSpec(job="alone", user="anybody", submit=1.0, stages=tuple(stages))
    return Workload(version=1, name=f"seed {seed}", slots=rng.choice([1, 2, 3, 4, 64]), jobs=(job,))


@pytest.mark.parametrize("partitioning", Partitioning)
@pytest.mark.parametrize("policy", ["uwfq", "fifo"])
def test_it_is_the_response_of_the_job_simulated_alone(
    policy: str, partitioning: Partitioning
) -> None:
    """Several stages, branches, delays, more tasks than slots, overheads; cut anyhow."""
    for seed in range(200):
        options = Options(
            policy=policy,
            partitioning=partitioning,
            atr=0.25,
            task_overhead=0.125 * (seed % 3),
            driver_gap=0.5 * (seed % 5 == 0),
        )
        (job,) = simulate(random_job(seed), options).jobs
        assert job.alone == pytest.approx(job.response, abs=1e-9), f"seed {seed}"
