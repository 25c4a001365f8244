"""The oracles' workloads as workload documents, and a document's run in the oracles' words.

The numbers of the oracles are small multiples of 1/8, which floats hold exactly.
"""

from __future__ import annotations

from fractions import Fraction

from tests.oracles import workloads as oracle
from uwfq_service.simulator.runs import Run
from uwfq_service.simulator.workload import JobSpec, StageSpec, UserSpec, Workload


def document(workload: oracle.Workload) -> Workload:
    """The document that says what ``workload`` says; its tasks need one slot each."""
    return Workload(
        version=1,
        name=workload.name,
        slots=workload.slots,
        users=tuple(
            UserSpec(user=user, weight=float(workload.weights.get(user, 1)))
            for user in workload.users
        ),
        jobs=tuple(_job(job) for job in workload.jobs),
    )


def _job(plan: oracle.JobPlan) -> JobSpec:
    assert plan.job_weight == 1, "a document knows no weights of jobs"
    assert all(stage.width == 1 for stage in plan.stages), "a document knows no wide tasks"
    return JobSpec(
        job=plan.name,
        user=plan.user,
        submit=float(plan.submit),
        estimate=None if plan.declared is None else float(plan.declared),
        stages=tuple(
            StageSpec(
                stage=f"s{number}",
                tasks=tuple(map(float, stage.tasks)),
                after=tuple(f"s{before}" for before in stage.after),
            )
            for number, stage in enumerate(plan.stages)
        ),
    )


def launches(run: Run) -> list[tuple[Fraction, str, int, int]]:
    """The launches of a run that kept them, as ``Run.order`` of the oracles' world has them."""
    return [
        (Fraction(launch.start), run.jobs[launch.job].job, launch.stage, launch.task)
        for launch in run.launches
    ]
