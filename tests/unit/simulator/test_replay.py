"""The replay of a workload: what a live service is told, and what is read off it.

Most tests run against the real core in a loop whose clock jumps (``replay_service.py``).  With no
overhead at all a replay must then come to what the simulator comes to, which knows nothing of
clients, workers and clocks.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest

from tests.unit.simulator.replay_service import (
    FakeService,
    FakeWorker,
    in_no_time,
    nearly,
    serving,
)
from uwfq_client import NotFound, Task, Unavailable
from uwfq_service.core import commands as cmd
from uwfq_service.simulator.replay import Handler, Overhead, Replay, ReplayFailed, ReplayRefused
from uwfq_service.simulator.replay.comparison import COLUMNS, side_by_side
from uwfq_service.simulator.runs import Options, Partitioning, Run
from uwfq_service.simulator.workload import JobSpec, StageSpec, UserSpec, Workload
from uwfq_service.simulator.world import simulate


def random_workload(seed: int, *, jobs: int = 14, even_stages: bool = True) -> Workload:
    """Jobs with dependent stages, some delayed, some of them one after the other.

    ``even_stages``: some stages are not cut into tasks, so that whoever does makes them equal.
    """
    chance = random.Random(seed)

    def one_stage(index: int) -> StageSpec:
        before = tuple(f"s{each}" for each in range(index) if chance.random() < 0.5)
        delay = chance.choice([0.0, 0.0, chance.uniform(0.1, 2)])
        if chance.random() < 0.3 and even_stages:
            return StageSpec(
                stage=f"s{index}", work=chance.uniform(1, 6), after=before, delay=delay
            )
        tasks = tuple(chance.uniform(0.1, 3) for _ in range(chance.randrange(1, 9)))
        return StageSpec(stage=f"s{index}", tasks=tasks, after=before, delay=delay)

    def one_job(number: int) -> JobSpec:
        follows = number > 2 and chance.random() < 0.3
        return JobSpec(
            job=f"j{number}",
            user=chance.choice(["ann", "bo", "cy"]),
            submit=chance.uniform(0.1, 2) if follows else chance.uniform(0, 20),
            after=f"j{chance.randrange(number)}" if follows else None,
            signature=chance.choice(["", "etl"]),
            stages=tuple(one_stage(index) for index in range(chance.randrange(1, 5))),
        )

    return Workload(
        version=1,
        name="made up",
        slots=5,
        users=(UserSpec(user="bo", weight=2.5), UserSpec(user="cy", weight=0.5)),
        jobs=tuple(map(one_job, range(jobs))),
    )


def one_after_the_other(*runtimes: float, weight: float = 3.0) -> Workload:
    """Jobs of a task each, all of one user who has this weight, submitted a second apart."""
    return Workload(
        version=1,
        name="in a row",
        slots=1,
        users=(UserSpec(user="ann", weight=weight),),
        jobs=tuple(
            JobSpec(
                job=f"j{number}",
                user="ann",
                submit=float(number),
                stages=(StageSpec(stage="only", tasks=(runtime,)),),
            )
            for number, runtime in enumerate(runtimes)
        ),
    )


async def replayed(
    service: FakeService, workload: Workload, options: Options, **more: Any
) -> tuple[Run, Replay]:
    """Replay to the end."""
    replay = Replay(service.client(), workload, options, service.make_worker, **more)
    return await replay.run(), replay


# ------------------------------------------------------------------- what it comes to


@pytest.mark.parametrize("speed", [1.0, 8.0])
@pytest.mark.parametrize(
    ("partitioning", "slots"),
    # Tasks of equal length end at one instant, and then it is luck what the service hears of
    # first; on a single slot they do not.
    [(Partitioning.NONE, 5), (Partitioning.RUNTIME, 1)],
)
@pytest.mark.parametrize("policy", ["uwfq", "ujf", "fifo"])
@pytest.mark.parametrize("seed", range(4))
def test_without_overhead_a_replay_is_the_simulation(
    seed: int, policy: str, partitioning: Partitioning, slots: int, speed: float
) -> None:
    """Every job's instants, its deadline, and its fluid and lone references."""
    workload = random_workload(seed, even_stages=slots == 1)
    options = Options(
        policy=policy, partitioning=partitioning, atr=0.6, slots=slots, workers=min(slots, 2)
    )

    async def drive() -> Run:
        async with serving(policy=policy) as service:
            run, _ = await replayed(service, workload, options, speed=speed)
        return run

    measured = in_no_time(drive())
    simulated = simulate(workload, options)
    assert measured.options == options
    assert measured.slots == simulated.slots
    assert measured.weights == simulated.weights
    for one, other in zip(measured.jobs, simulated.jobs, strict=True):
        assert one.job == other.job
        assert one.user == other.user
        assert one.work == other.work
        for field in ("submit", "first_start", "finish", "fluid_finish", "alone"):
            assert nearly(getattr(one, field), getattr(other, field)), (one, other)
        assert nearly(one.virtual_deadline, other.virtual_deadline), (one, other)


@pytest.mark.parametrize("estimates", ["learned", "none", "noisy:0.5", "scaled:0.25"])
def test_estimates_are_declared_as_they_are_in_the_simulation(estimates: str) -> None:
    """Under FIFO they make no difference but to the cut, which must be the same."""
    workload = random_workload(5)
    options = Options(
        policy="fifo",
        partitioning=Partitioning.RUNTIME,
        atr=0.4,
        estimates=estimates,
        slots=1,
        seed=3,
    )

    async def drive() -> Run:
        async with serving(policy="fifo") as service:
            run, _ = await replayed(service, workload, options)
        return run

    measured, simulated = in_no_time(drive()), simulate(workload, options)
    for one, other in zip(measured.jobs, simulated.jobs, strict=True):
        assert nearly(one.finish, other.finish), (one, other)


def test_what_reality_adds_to_a_task_is_told_in_the_time_of_the_workload() -> None:
    """A machine that is a quarter of a second late with every task, at twice the speed."""
    workload = one_after_the_other(1.0, 3.0)

    async def drive() -> Overhead:
        async with serving() as service:

            def make_worker(slots: int, handlers: Mapping[str, Handler]) -> FakeWorker:
                def late(handler: Handler) -> Handler:
                    async def handle(task: Task) -> None:
                        await handler(task)
                        await asyncio.sleep(0.25)

                    return handle

                kinds = {kind: late(handler) for kind, handler in handlers.items()}
                return service.make_worker(slots, kinds)

            replay = Replay(service.client(), workload, Options(), make_worker, speed=2.0)
            await replay.run()
            return replay.overhead

    overhead = in_no_time(drive())
    assert overhead.per_task == pytest.approx(0.5, abs=1e-3)
    assert overhead.runtime == 2.0


def test_jobs_of_one_instant_arrive_in_the_order_of_the_workload() -> None:
    """However many there are: FIFO shows it."""
    jobs = tuple(
        JobSpec(job=f"j{n}", user="ann", stages=(StageSpec(stage="a", tasks=(1.0,)),))
        for n in range(400)
    )
    workload = Workload(version=1, name="burst", slots=1, jobs=jobs)

    async def drive() -> Run:
        async with serving(policy="fifo") as service:
            run, _ = await replayed(service, workload, Options())
        return run

    starts = [job.first_start for job in in_no_time(drive()).jobs]
    assert starts == sorted(starts)


def test_progress_counts_the_jobs_that_have_finished() -> None:
    """For whoever watches."""
    told: list[tuple[int, int]] = []

    async def drive() -> None:
        async with serving() as service:
            workload = one_after_the_other(1.0, 1.0, 1.0)
            await replayed(
                service, workload, Options(), progress=lambda *counts: told.append(counts)
            )

    in_no_time(drive())
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


# ---------------------------------------------------------------- the service's users


def test_users_have_the_weights_of_the_workload_for_as_long_as_it_takes() -> None:
    """Also one who is listed with the default, and had another; nobody else is touched."""
    seen: list[dict[str, float]] = []

    async def drive() -> dict[str, float]:
        async with serving() as service:
            for user, weight in (("bo", 7.0), ("ann", 9.0), ("zoe", 4.0)):
                await service.engine.call(cmd.SetUser(user=user, weight=weight))
            await replayed(
                service,
                random_workload(1),
                Options(),
                progress=lambda *_: seen.append(service.weights()),
            )
            return service.weights()

    after = in_no_time(drive())
    assert seen[1] == {"ann": 1.0, "bo": 2.5, "cy": 0.5, "zoe": 4.0}
    assert after == {"ann": 9.0, "bo": 7.0, "cy": 1.0, "zoe": 4.0}


def test_ids_are_new_in_every_run_and_fit_the_service() -> None:
    """So that a replay can be repeated; the longest names of a workload are cut."""
    workload = Workload(
        version=1,
        name="long names",
        slots=1,
        jobs=tuple(
            JobSpec(job="ä" * 63 + end, user="ann", stages=(StageSpec(stage="a", tasks=(1.0,)),))
            for end in "xy"
        ),
    )

    async def drive() -> set[str]:
        async with serving() as service:
            for _ in range(2):
                await replayed(service, workload, Options())
                # A service forgets a worker that is gone; this one does so at once.
                service.scheduler.pools["default"].workers.clear()
            return set(service.scheduler.state.jobs)

    ids = in_no_time(drive())
    assert len(ids) == 4
    assert max(len(each.encode()) for each in ids) <= 128


# -------------------------------------------------------------------- what is refused

Before = Callable[[FakeService], Awaitable[object]]


def refused(before: Before, *, slots: int | None = None, **service: Any) -> str:
    """Why a pool in this state is not driven."""

    async def drive() -> None:
        async with serving(**service) as running:
            await before(running)
            await replayed(running, one_after_the_other(1.0), Options(slots=slots))

    with pytest.raises(ReplayRefused) as caught:
        in_no_time(drive())
    return str(caught.value)


async def _submit(service: FakeService, user: str = "zoe") -> None:
    stage = cmd.StageSpec(stage="a", cut=cmd.TaskList(count=1))
    await service.engine.call(cmd.SubmitJob(user=user, stages=(stage,)))


async def _poll(service: FakeService) -> None:
    await service.engine.poll(cmd.NextTask(worker_id="other", slots=3, free_slots=3))


async def _nothing(service: FakeService) -> None:
    pass


def test_a_pool_that_others_use_is_refused() -> None:
    """Neither should disturb the other."""
    assert "has 1 unfinished jobs" in refused(_submit)
    assert "--pool" in refused(_submit)
    assert "has 1 workers of its own; stop them" in refused(_poll)


def test_a_pool_of_another_fixed_size_is_refused() -> None:
    """The shares that the service owes would be those of another pool."""
    line = refused(_nothing, fixed_slots=16)
    assert "is fixed at 16 slots, the workload has 1; --slots 16 replays it" in line


def test_a_user_who_may_not_have_all_slots_is_refused() -> None:
    """A workload knows no caps, nor does its simulation; a cap that holds nobody back is none."""

    async def cap(service: FakeService) -> None:
        await service.engine.call(cmd.SetUser(user="zoe", max_running_slots=1))
        await service.engine.call(cmd.SetUser(user="ann", max_running_slots=4))

    line = refused(cap, slots=5)
    assert line.startswith("user 'ann' may have 4 of the 5 slots of pool 'default' at most; lift")

    async def drive() -> Run:
        async with serving() as service:
            await cap(service)
            run, _ = await replayed(service, one_after_the_other(1.0), Options(slots=4))
        return run

    assert len(in_no_time(drive()).jobs) == 1


def test_workers_that_have_just_left_are_waited_for() -> None:
    """As after a replay before this one: the service counts them for a while."""

    async def drive() -> float:
        async with serving(worker_timeout=30.0) as service:
            await _poll(service)
            run, _ = await replayed(service, one_after_the_other(1.0), Options())
            assert run.jobs[0].finish == pytest.approx(1.0)
            return asyncio.get_running_loop().time()

    assert 30 <= in_no_time(drive()) < 45


# --------------------------------------------------------------- what ends it before time


async def _after(seconds: float, then: Callable[[], Any]) -> None:
    await asyncio.sleep(seconds)
    result = then()
    if asyncio.isfuture(result) or asyncio.iscoroutine(result):
        await result


def ended_early(
    by: Callable[[FakeService, asyncio.Task[Any]], Any],
    error: type[BaseException],
    **more: Any,
) -> tuple[str, Replay, int, dict[str, float]]:
    """What a replay says that something ended after 2.5 s; what it left in the service.

    Its workers have taken their leave if anybody was there to hear of it.
    """

    async def drive() -> tuple[str, Replay, int, dict[str, float]]:
        async with serving() as service:
            workload = one_after_the_other(1.0, 10.0, 10.0, 10.0)
            replay = Replay(service.client(), workload, Options(), service.make_worker, **more)
            running = asyncio.create_task(replay.run())
            meanwhile = asyncio.create_task(_after(2.5, lambda: by(service, running)))
            with pytest.raises(error) as caught:
                await running
            await meanwhile
            assert service.gone or service.workers() <= {"other"}
            return str(caught.value), replay, service.unfinished(), service.weights()

    return in_no_time(drive())


def test_an_interrupted_replay_cancels_what_is_open() -> None:
    """Of four jobs one has finished, two were submitted; the weights are put back."""
    _, replay, unfinished, weights = ended_early(
        lambda _, running: running.cancel(), asyncio.CancelledError
    )
    assert (replay.cancelled, replay.left_open) == (2, 0)
    assert unfinished == 0
    assert weights == {"ann": 1.0}


def test_who_interrupts_it_twice_is_told_what_is_left() -> None:
    """The service does not answer, and nobody wants to wait for it."""

    async def drive() -> tuple[int, int]:
        async with serving() as service:
            client = service.client()
            workload = one_after_the_other(1.0, 10.0, 10.0, 10.0)
            replay = Replay(client, workload, Options(), service.make_worker)
            running = asyncio.create_task(replay.run())
            await asyncio.sleep(2.5)
            client.cancel = lambda *_: asyncio.sleep(1e6)  # type: ignore[method-assign, assignment]
            for _ in range(2):
                running.cancel()
                await asyncio.sleep(0.5)
            with pytest.raises(asyncio.CancelledError):
                await running
            return replay.cancelled, replay.left_open

    assert in_no_time(drive()) == (0, 2)


def test_a_job_that_somebody_cancels_ends_the_replay() -> None:
    """What would be measured is not the workload any more."""

    def cancel(service: FakeService, _: object) -> Any:
        (*_, last) = service.scheduler.state.jobs
        return service.engine.call(cmd.CancelJob(job_id=last, reason="too expensive"))

    line, replay, unfinished, weights = ended_early(cancel, ReplayFailed)
    assert line.startswith("job j2 (replay-")
    assert line.endswith("cancelled: too expensive")
    assert replay.cancelled >= 2
    assert unfinished == 0
    assert weights == {"ann": 1.0}


def test_a_worker_of_somebody_else_ends_the_replay() -> None:
    """It would take slots that the workload does not have."""
    line, _, unfinished, _ = ended_early(lambda service, _: _poll(service), ReplayFailed)
    assert "has 2 workers instead of the 1 of the replay" in line
    assert unfinished == 0


def test_a_job_of_somebody_else_ends_the_replay() -> None:
    """It would wait for slots that are not for it; those of the replay's own are counted."""
    line, replay, unfinished, _ = ended_early(lambda service, _: _submit(service), ReplayFailed)
    assert line.startswith("somebody else has submitted jobs to pool 'default'")
    assert replay.cancelled == 2
    # Theirs goes on.
    assert unfinished == 1


def test_a_submission_that_is_refused_ends_the_replay() -> None:
    """Also when all jobs have been submitted by then, and their ends are all that is waited for."""
    workload = one_after_the_other(1.0, 1.0)
    at_once = msgspec.structs.replace(
        workload, jobs=tuple(msgspec.structs.replace(job, submit=0.0) for job in workload.jobs)
    )

    async def drive() -> int:
        async with serving() as service:
            await service.engine.call(cmd.SetUser(user="ann", max_waiting_jobs=1))
            # The service in this process has one word for all that it refuses.
            with pytest.raises(NotFound, match="'ann' has 1 unfinished jobs, the most allowed"):
                await replayed(service, at_once, Options())
            return service.unfinished()

    assert in_no_time(drive()) == 0


def test_a_service_that_has_gone_ends_the_replay() -> None:
    """Whatever call comes upon it first."""

    def go(service: FakeService, _: object) -> None:
        service.gone = True

    line, replay, _, _ = ended_early(go, Unavailable)
    assert line == "Connection refused"
    # Two were under way, and of a third it is not known whether it has got there.
    assert (replay.cancelled, replay.left_open) == (0, 3)


def test_a_reason_from_outside_ends_the_replay() -> None:
    """As when the process of a private service has died."""

    class Died(Exception):
        pass

    looks = iter(range(100))

    def check() -> None:
        if next(looks) == 3:
            raise Died("the service process ended")

    line, _, unfinished, _ = ended_early(lambda *_: None, Died, check=check)
    assert line == "the service process ended"
    assert unfinished == 0


# ------------------------------------------------------------------------- side by side


def test_runs_stand_side_by_side() -> None:
    """The figures of all jobs, then of each user, the busiest first."""
    workload = random_workload(2)
    simulated = simulate(workload, Options())
    slower = simulate(workload, Options(task_overhead=0.25))
    between = simulate(workload, Options(task_overhead=0.1))
    rows = side_by_side(simulated, between, slower)
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert [name for name, *_ in rows[:5]] == ["mean response", "p50", "p95", "max", "makespan"]
    assert {name for name, *_ in rows[5:]} == {"mean of ann", "mean of bo", "mean of cy"}
    means = [
        sum(job.response for job in run.jobs) / len(run.jobs)
        for run in (simulated, between, slower)
    ]
    difference = f"{means[2] / means[0] - 1:+.1%}"
    assert rows[0] == ("mean response", *(f"{mean:.3f}" for mean in means), difference)
