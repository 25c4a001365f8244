"""Runs made up for tests: small ones by hand, and busy ones from a toy scheduler.

The toy cluster knows two orders, first come first served and smallest job first, and nothing of the
core: what reads runs is tested without what makes them.
"""

import heapq
import random
from collections.abc import Sequence

from uwfq_service.simulator.runs import FinishedJob, Launch, Options, Partitioning, Run


def finished(
    job: str = "a/1",
    *,
    user: str = "alice",
    submit: float = 0.0,
    finish: float = 1.0,
    work: float = 1.0,
    fluid_finish: float = 1.0,
    alone: float = 1.0,
) -> FinishedJob:
    """One job; only what a test is about needs to be said."""
    return FinishedJob(
        job=job,
        user=user,
        submit=submit,
        first_start=submit,
        finish=finish,
        work=work,
        virtual_deadline=None,
        fluid_finish=fluid_finish,
        alone=alone,
    )


def run_of(
    jobs: Sequence[FinishedJob],
    *,
    workload: str = "made up",
    policy: str = "uwfq",
    slots: int = 4,
    options: Options | None = None,
    launches: Sequence[Launch] = (),
) -> Run:
    """A run of these jobs; users in the order in which they appear, all of weight 1."""
    return Run(
        workload=workload,
        options=options or Options(policy=policy),
        slots=slots,
        weights={job.user: 1.0 for job in jobs},
        jobs=list(jobs),
        launches=list(launches),
    )


def with_responses(responses: Sequence[float]) -> Run:
    """A run in which job after job took this long."""
    return run_of([finished(f"j{index}", finish=took) for index, took in enumerate(responses)])


def the_run_shown() -> Run:
    """The run that the README shows: 32 slots, one job of 5.75 slot-seconds, done after 0.9375 s.

    Its scan of 1.75 is cut into four tasks of 0.4375 s, its aggregation of 4 into eight of 0.5 s.
    """
    job = FinishedJob(
        job="alice/etl-1",
        user="alice",
        submit=0.0,
        first_start=0.0,
        finish=0.4375 + 0.5,
        work=5.75,
        virtual_deadline=5.75,
        fluid_finish=5.75 / 32,
        alone=0.9375,
    )
    return Run(
        workload="two users, one burst",
        options=Options(policy="uwfq", partitioning=Partitioning.RUNTIME, atr=0.5),
        slots=32,
        weights={"alice": 1.0, "bob": 1.0},
        jobs=[job],
        launches=[
            *(Launch(0.0, 0.4375, slot, 0, 0, slot) for slot in range(4)),
            *(Launch(0.4375, 0.9375, slot, 0, 1, slot) for slot in range(8)),
        ],
    )


def busy(
    policy: str = "uwfq",
    *,
    users: Sequence[str] = ("alice", "bob", "carol"),
    jobs: int = 40,
    slots: int = 8,
    task: float = 0.5,
    seed: int = 0,
    workload: str = "busy",
    options: Options | None = None,
) -> Run:
    """Jobs of very different sizes on a toy cluster; ``uwfq`` puts the smallest first, others not.

    The workload depends on everything but ``policy`` and ``options``.
    """
    rng = random.Random(seed)
    arrivals: list[tuple[float, str, int]] = []
    now = 0.0
    for _ in range(jobs):
        now += rng.expovariate(1.0)
        user = users[min(int(rng.expovariate(3.0 / len(users))), len(users) - 1)]
        arrivals.append((now, user, max(1, round(rng.lognormvariate(2.0, 1.2)))))
    launches = _played(policy, arrivals, slots, task)
    made = []
    for index, (submit, user, tasks) in enumerate(arrivals):
        own = [launch for launch in launches if launch.job == index]
        work = tasks * task
        made.append(
            FinishedJob(
                job=f"{user}/{index}",
                user=user,
                submit=submit,
                first_start=own[0].start,
                finish=max(launch.end for launch in own),
                work=work,
                virtual_deadline=submit * slots + work if policy.startswith("uwfq") else None,
                fluid_finish=submit + 3 * work / slots,
                alone=-(-tasks // slots) * task,
            )
        )
    return Run(
        workload=workload,
        options=options or Options(policy=policy),
        slots=slots,
        weights=dict.fromkeys(users, 1.0),
        jobs=made,
        launches=launches,
    )


def _played(
    policy: str, arrivals: Sequence[tuple[float, str, int]], slots: int, task: float
) -> list[Launch]:
    free = [(0.0, slot) for slot in range(slots)]
    left = {index: tasks for index, (_, _, tasks) in enumerate(arrivals)}
    launches = []
    while left:
        now, slot = heapq.heappop(free)
        known = [index for index in left if arrivals[index][0] <= now]
        if not known:
            heapq.heappush(free, (min(arrivals[index][0] for index in left), slot))
            continue
        # By submission, or by size: the total of the job, which is what the toy knows of sizes.
        job = min(known, key=lambda index: (arrivals[index][2] if policy == "uwfq" else 0, index))
        launches.append(Launch(now, now + task, slot, job, 0, left[job] - 1))
        heapq.heappush(free, (now + task, slot))
        left[job] -= 1
        if not left[job]:
            del left[job]
    return launches


def straight_shares(run: Run) -> dict[str, list[tuple[float, float]]]:
    """Something like a fluid share: all of a user's work at an even rate, from first to last."""
    curves = {}
    for user in run.weights:
        own = [job for job in run.jobs if job.user == user]
        if own:
            work = sum(job.work for job in own)
            end = max(job.fluid_finish for job in own)
            curves[user] = [(min(job.submit for job in own), 0.0), (end, work)]
    return curves
