"""Stages that do not fit: what goes in their stead, and that they do not make polls slow."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest

from tests.oracles.counting import calls_of
from tests.oracles.driver import POOL, Driver, stage
from tests.oracles.observer import pool_view
from tests.oracles.picker import POLICIES
from uwfq_service.core import commands as cmd
from uwfq_service.core import dispatch
from uwfq_service.core.policy import base

WIDE = cmd.StageSpec(stage="s", cut=cmd.TaskList(count=1), slots_per_task=64)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("engine", ["", "engine"])
def test_a_poll_does_not_walk_past_what_the_worker_can_never_get(policy: str, engine: str) -> None:
    """Neither tasks that are too wide for it, nor those that an engine places."""
    core = Driver(policy)
    costs = []
    for batch in range(2):
        for number in range(400):
            spec = stage("s", 1.0) if engine else WIDE
            name = f"{batch}-{number}"
            core.submit(f"u{number % 7}", name, spec, engine_id=engine, declared_work=0.5)
        core.submit("v", f"narrow-{batch}", stage("s", 1.0, 1.0))
        assert len(core.poll(f"w{batch}", slots=2, max_tasks=1)) == 1
        costs.append(calls_of(partial(core.poll, f"w{batch}", slots=2, max_tasks=1)))
    assert len(core.scheduler.state.leases) == 4
    assert costs[1] < 1.5 * costs[0] < 3000


@pytest.mark.parametrize("policy", POLICIES)
def test_a_poll_passes_over_no_more_than_so_many(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that are wider than what is free now the rest is not looked at."""
    monkeypatch.setattr(dispatch, "MAX_PASSED_OVER", 5)
    core = Driver(policy)
    core.submit("u", "first", stage("s", 1.0))
    assert len(core.poll(slots=64)) == 1
    costs = []
    for batch in range(2):
        for number in range(300):
            core.submit("u", f"{batch}-{number}", WIDE, declared_work=0.5)
        core.submit("v", f"narrow-{batch}", stage("s", 1.0))
        assert [lease.slots for lease in core.poll(slots=64, free_slots=1)] == [1]
        costs.append(calls_of(partial(core.poll, slots=64, free_slots=1)))
    assert costs[1] < 1.5 * costs[0]


@pytest.mark.parametrize("policy", POLICIES)
def test_prefetch_does_not_widen_what_is_looked_at(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Having passed over many, a worker is still not offered what is wider than itself."""
    monkeypatch.setattr(dispatch, "MAX_PASSED_OVER", 0)
    core = Driver(policy)
    for number in range(50):
        core.submit("u", f"j{number}", stage("s", 1.0, slots_per_task=3))
    withdrawn: list[Any] = []
    monkeypatch.setattr(core.scheduler.pools[POOL].policy, "withdraw", withdrawn.append)
    assert not core.poll(slots=2, prefetch=4)
    assert not withdrawn


@pytest.mark.parametrize("policy", POLICIES)
def test_workers_of_many_sizes_make_submissions_no_dearer(policy: str) -> None:
    """Where tasks have few widths, workers get by with few orders."""
    costs = []
    for sizes in (1, 40):
        core = Driver(policy)
        for number in range(4):
            core.submit("u", f"wide-{number}", WIDE, declared_work=0.5)
        core.submit("v", "narrow", stage("s", *[1.0] * 50))
        for slots in range(2, 2 + sizes):
            assert len(core.poll(f"w{slots}", slots=slots, max_tasks=1)) == 1
        costs.append(calls_of(partial(core.submit, "u", "another", stage("s", 1.0))))
    assert costs[1] < 1.5 * costs[0]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_narrow_order_is_made_without_putting_all_jobs_in_order_first(policy: str) -> None:
    """Everybody waits for the poll that makes it."""
    core = Driver(policy)
    core.submit("v", "wide", WIDE, declared_work=0.5)
    for number in range(1000):
        core.submit("u", f"j{number}", stage("s", 1.0))
    assert calls_of(partial(core.poll, slots=1)) < 30 * 1000
    assert len(core.scheduler.state.leases) == 1


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("passed", "at_cap"), [(0, 64), (64, 64), (64, 1)])
@pytest.mark.parametrize("seed", range(2))
def test_narrow_orders_follow_whatever_happens(
    policy: str, passed: int, at_cap: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of several sizes get what the oracle picks, and so does one after a restart."""
    monkeypatch.setattr(dispatch, "MAX_PASSED_OVER", passed)
    monkeypatch.setattr(dispatch, "MAX_PASSED_AT_CAP", at_cap)
    monkeypatch.setattr(base, "OFFERS_TO_KEEP", -1000 if seed else 256)
    dice = random.Random(f"{policy} {seed}")
    core = Driver(policy, slots=12)
    core.apply(cmd.SetUser(pool=POOL, user="cy", max_running_slots=4))
    for number in range(32):
        works = [dice.randint(1, 9) / 2 for _ in range(dice.randint(1, 4))]
        widths = [dice.choice([1, 1, 2, 3, 6])] * 2
        core.submit(
            dice.choice(["ada", "bo", "cy"]),
            f"j{number}",
            *(
                stage(f"s{place}", *works, slots_per_task=width)
                for place, width in enumerate(widths)
            ),
            signature=dice.choice(["", "", f"q{number % 5}"]),
            declared_work=dice.choice([None, 3.0]),
            engine_id="engine" if dice.random() < 0.1 else "",
        )
        core.at(core.now + dice.random())
        if number % 7 == 0:
            core.apply(cmd.SetUser(pool=POOL, user="bo", weight=dice.choice([1.0, 2.0])))
        if number == 20:
            core.reload()
        for worker, slots in (("a", 1), ("b", 2), ("c", 3), ("d", 5), ("e", 6)):
            pool = core.scheduler.pools[POOL]
            core.poll(worker, slots=slots, max_tasks=0)
            free = slots - pool.workers[worker].leased_slots
            expected = pool_view(core.scheduler, pool).pick(free, slots if passed else free)
            leases = core.poll(worker, slots=slots, max_tasks=1)
            found = [(g.stage.job.job_id, g.stage.index, g.task) for g in leases]
            if pool.workers[worker].holds is None:
                task = expected and (expected[0].job, expected[0].number, expected[1])
                assert found == ([task] if task else []), (number, worker)
            held = list(pool.workers[worker].leases.values())
            if held and dice.random() < 0.6:
                core.done(dice.choice(held), dice.random() * 4, worker=worker)
