"""What submissions say about their work, and which ways to say it are refused."""

from __future__ import annotations

import math
import re
import statistics

import pytest

from uwfq_service.simulator.estimates import LEAST_WORK, MOST_WORK, Declaration, Estimates
from uwfq_service.simulator.runs import Options
from uwfq_service.simulator.workload import JobSpec, StageSpec, Workload
from uwfq_service.simulator.world import simulate


def job(name: str = "job", *, estimate: float | None = 12.0, work: float = 4.0) -> JobSpec:
    """A job of 2 and ``work`` slot-seconds."""
    return JobSpec(
        job=name,
        user="user",
        signature="query",
        input_bytes=1000,
        estimate=estimate,
        stages=(
            StageSpec(stage="read", tasks=(0.5, 1.5)),
            StageSpec(stage="sum", work=work),
        ),
    )


def declared(kind: str, spec: JobSpec, seed: int = 0) -> Declaration:
    """What is said of a job."""
    return Estimates(kind, seed).declare(spec)


def said(*stages: float, tasks: bool = False) -> Declaration:
    """A declaration of these stages' works and of their sum."""
    return Declaration(
        job=math.fsum(stages), stages=stages, tasks=tasks, signature="query", input_bytes=1000
    )


def test_exact_is_the_truth_task_by_task() -> None:
    """Whatever the submitter would have said."""
    assert declared("exact", job()) == said(2.0, 4.0, tasks=True)


def test_declared_is_the_files_estimate_shared_like_the_true_work() -> None:
    """12 for the 6 that it really is: twice as much for each stage."""
    assert declared("declared", job()) == said(4.0, 8.0)


@pytest.mark.parametrize("kind", ["declared", "learned"])
def test_what_is_not_said_is_left_to_the_service(kind: str) -> None:
    """It has the signature and the size to go by."""
    spec = job(estimate=None) if kind == "declared" else job()
    expected = Declaration(stages=(None, None), signature="query", input_bytes=1000)
    assert declared(kind, spec) == expected


def test_none_says_nothing_at_all() -> None:
    """Not even what the job is like."""
    assert declared("none", job()) == Declaration(stages=(None, None))


def test_an_estimate_of_a_job_without_work_is_no_share_of_anything() -> None:
    """There is nothing to share it by."""
    spec = JobSpec(job="idle", user="u", estimate=3.0, stages=(StageSpec(stage="s", tasks=(0.0,)),))
    assert declared("declared", spec) == Declaration(stages=(None,))


def test_scaled_is_the_truth_times_a_factor() -> None:
    """The same for every job and stage."""
    assert declared("scaled:0.25", job()) == said(0.5, 1.0)
    assert declared("scaled:4.3", job()) == said(8.6, 17.2)


def test_noise_is_drawn_once_a_job_by_the_seed() -> None:
    """The same for all its stages, and for all policies; other jobs and seeds have other noise."""
    one = declared("noisy:0.5", job("a"))
    assert one.job is not None
    factor = one.job / 6
    assert one.stages == pytest.approx((2 * factor, 4 * factor))
    assert not one.tasks
    assert declared("noisy:0.5", job("a")) == one
    assert declared("noisy:0.5", job("b")) != one
    assert declared("noisy:0.5", job("a"), seed=1) != one
    assert declared("noisy:0", job("a")) == said(2.0, 4.0)


def test_noise_is_lognormal() -> None:
    """Half of the jobs are over-estimated, and the logarithm deviates by sigma."""
    logs = []
    for number in range(2000):
        work = declared("noisy:0.5", job(str(number))).job
        assert work is not None
        logs.append(math.log(work / 6))
    assert statistics.fmean(logs) == pytest.approx(0, abs=0.04)
    assert statistics.stdev(logs) == pytest.approx(0.5, rel=0.06)


@pytest.mark.parametrize("kind", ["noisy:1000", "scaled:1000", "scaled:1e-300", "exact"])
def test_no_declaration_is_more_or_less_than_the_core_takes(kind: str) -> None:
    """However wild the noise, and however large or small the work."""
    for spec in (job("large", work=1e12), job("small", work=1e-12), job("z")):
        for seed in range(5):
            found = declared(kind, spec, seed)
            assert found.job is not None
            assert all(
                work is not None and LEAST_WORK <= work <= MOST_WORK
                for work in (found.job, *found.stages)
            )
    workload = Workload(version=1, name="wild", slots=2, jobs=(job("large", work=1e12), job("z")))
    assert len(simulate(workload, Options(estimates=kind)).jobs) == 2


@pytest.mark.parametrize(
    ("kind", "learns"),
    [
        ("exact", False),
        ("declared", False),
        ("learned", True),
        ("none", True),
        ("noisy:1", False),
        ("scaled:2", False),
    ],
)
def test_it_is_known_which_estimates_are_the_services_own(kind: str, learns: bool) -> None:
    """Declared ones are the submitters', where there are any."""
    assert Estimates(kind, 0).learns is learns


@pytest.mark.parametrize(
    "text", ["", "perfect", "Exact", "exact:", "exact:1", "none:0", "noisy", "scaled", ":1"]
)
def test_what_is_no_kind_is_refused_with_the_kinds(text: str) -> None:
    """The line lists what there is."""
    line = f"{text!r} is no kind of estimates; use exact, declared, learned, none, noisy:NUMBER, "
    with pytest.raises(ValueError, match=re.escape(line + "scaled:NUMBER")):
        Estimates(text, 0)


@pytest.mark.parametrize("number", ["", "x", "-1", "nan", "inf", "1e4"])
@pytest.mark.parametrize("kind", ["noisy", "scaled"])
def test_a_number_out_of_range_is_refused_with_the_range(kind: str, number: str) -> None:
    """By its text, as it was given."""
    least = {"noisy": "0", "scaled": "more than 0"}[kind]
    line = f"'{kind}:{number}': '{number}' must be a number, {least} to 1000"
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        Estimates(f"{kind}:{number}", 0)


def test_a_factor_of_nothing_is_refused() -> None:
    """A sigma of 0 is fine: no noise."""
    with pytest.raises(ValueError, match="more than 0"):
        Estimates("scaled:0", 0)
