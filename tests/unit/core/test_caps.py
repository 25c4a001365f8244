"""Users at the cap of running slots: they wait, and nobody waits for their many jobs."""

from __future__ import annotations

from functools import partial

import pytest

from tests.oracles.counting import calls_of
from tests.oracles.driver import POOL, Driver, stage
from tests.oracles.picker import POLICIES
from uwfq_service.core import commands as cmd
from uwfq_service.core.invariants import check
from uwfq_service.core.model import Lease

WIDE = stage("s", 1.0, slots_per_task=64)


def capped(policy: str, *, slots: int | None = None) -> Driver:
    """A pool in which ada may run on one slot."""
    core = Driver(policy, slots=slots)
    core.apply(cmd.SetUser(pool=POOL, user="ada", max_running_slots=1))
    return core


def at_the_cap(policy: str) -> tuple[Driver, Lease]:
    """Such a pool, where a job of hers runs and two wait; and the lease."""
    core = capped(policy)
    for number in range(3):
        core.submit("ada", f"a{number}", stage("s", 1.0))
    (lease,) = core.poll()
    return core, lease


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("narrow", [False, True])
def test_a_cap_costs_the_same_however_much_waits(policy: str, narrow: bool) -> None:
    """Coming to it with a launch, and leaving it with a result; also in a narrow order."""
    core = capped(policy, slots=4)
    if narrow:
        core.submit("bo", "wide", WIDE, declared_work=0.01)
    costs = []
    for batch in range(2):
        for number in range(50 + 1000 * batch):
            core.submit("ada", f"{batch}-{number}", stage("s", 1.0))
        leases: list[Lease] = []
        core.poll(max_tasks=0)
        assert core.scheduler.has_launchable(POOL, 1), "makes the narrow order"
        cost = calls_of(lambda: leases.extend(core.poll()))  # noqa: B023 - called at once
        (lease,) = leases
        core.at(core.now + 1.0)
        costs.append(cost + calls_of(partial(core.done, lease, 1.0)))
    assert costs[1] < 1.5 * costs[0] < 1500


@pytest.mark.parametrize("policy", POLICIES)
def test_others_go_ahead_of_who_is_at_the_cap(policy: str) -> None:
    """And whoever was at it takes the turn again that was due all along."""
    core = capped(policy)
    for number in range(3):
        core.submit("ada", f"a{number}", stage("s", 1.0))
    core.submit("bo", "b", stage("s", 99.0))
    first, second = core.poll(slots=9)
    assert (first.stage.job.job_id, second.stage.job.job_id) == ("a0", "b")
    assert not core.poll("v")
    job = core.scheduler.job("a1")
    explanation = core.explain(job)
    assert "all of the cap" in explanation.reason
    assert (explanation.position, explanation.ahead) == (0, ())
    core.at(1.0)
    core.done(first, 1.0)
    check(core.scheduler, core.now)
    assert core.explain(job).position == 1
    assert [lease.stage.job for lease in core.poll("v")] == [job]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_narrow_order_knows_who_was_at_the_cap_when_it_was_made(policy: str) -> None:
    """What waits then goes when there is room again, and may be withdrawn before."""
    core, lease = at_the_cap(policy)
    core.submit("bo", "wide", WIDE, declared_work=0.01)
    assert not core.poll("v"), "makes the narrow order"
    core.cancel("a1")
    core.submit("ada", "a3", stage("s", 1.0))
    core.at(1.0)
    core.done(lease, 1.0)
    assert [lease.stage.job.job_id for lease in core.poll("v")] == ["a2"]
    check(core.scheduler, core.now)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_passed_over_waits_when_its_user_has_come_to_the_cap(policy: str) -> None:
    """Both within one poll: the wide task does not fit, and the narrow one fills the cap."""
    core = Driver(policy)
    core.apply(cmd.SetUser(pool=POOL, user="ada", max_running_slots=2))
    core.submit("bo", "b", stage("s", 1.0))
    core.poll(slots=3)
    core.submit("ada", "wide", stage("s", 1.0, slots_per_task=3))
    core.submit("ada", "narrow", stage("s", 2.0, 2.0))
    assert [lease.stage.job.job_id for lease in core.poll(slots=3, free_slots=2)] == ["narrow"] * 2
    check(core.scheduler, core.now)
    core.apply(cmd.SetUser(pool=POOL, user="ada", max_running_slots=5))
    check(core.scheduler, core.now)
    assert [lease.stage.job.job_id for lease in core.poll("v", slots=3)] == ["wide"]


@pytest.mark.parametrize("policy", POLICIES)
def test_what_a_cap_has_no_room_for_makes_polls_no_slower(policy: str) -> None:
    """Others go on, and so does what of the user the cap has room for."""
    core = Driver(policy)
    core.apply(cmd.SetUser(pool=POOL, user="ada", max_running_slots=3))
    core.submit("ada", "runs", stage("s", 1.0, slots_per_task=2))
    core.poll("v", slots=2)
    costs = []
    for batch in range(2):
        for number in range(100 + 1000 * batch):
            wide = stage("s", 1.0, slots_per_task=2)
            core.submit("ada", f"wide-{batch}-{number}", wide, declared_work=0.01)
        core.submit("bo", f"b{batch}", stage("s", 100.0), declared_work=100.0)
        core.poll(slots=4, max_tasks=0)
        assert [lease.stage.job.job_id for lease in core.poll(slots=4)] == [f"b{batch}"]
        costs.append(calls_of(partial(core.poll, slots=4)))
        check(core.scheduler, core.now)
    assert costs[1] < 1.5 * costs[0]
    core.submit("ada", "narrow", stage("s", 1.0, 1.0), declared_work=2.0)
    assert [lease.stage.job.job_id for lease in core.poll(slots=4)] == ["narrow"]
    assert core.user("ada").paused
    check(core.scheduler, core.now)
    core.apply(cmd.SetUser(pool=POOL, user="ada", max_running_slots=0))
    assert [lease.slots for lease in core.poll("u", slots=4)] == [2, 2]


@pytest.mark.parametrize("policy", POLICIES)
def test_many_users_without_room_make_polls_dearer_by_their_number_alone(policy: str) -> None:
    """Each is looked at once, not anew for every other one that is passed over."""

    def cost(users: int) -> int:
        core = Driver(policy)
        for number in range(users):
            core.apply(cmd.SetUser(pool=POOL, user=f"u{number}", max_running_slots=3))
            wide = stage("s", 1.0, 1.0, slots_per_task=2)
            core.submit(f"u{number}", f"j{number}", wide, declared_work=2.0)
        assert len(core.poll(slots=4 * users, free_slots=2 * users)) == users
        return calls_of(partial(core.poll, slots=4 * users, free_slots=4))

    assert cost(400) < 3 * cost(200)


@pytest.mark.parametrize("policy", POLICIES)
def test_who_is_at_the_cap_stays_so_under_another_policy_and_after_a_restart(policy: str) -> None:
    """Neither offers what may not go."""
    core, lease = at_the_cap(policy)
    for other in POLICIES:
        core.apply(cmd.ConfigurePool(pool=POOL, policy=other))
        check(core.scheduler, core.now)
        core.reload()
        check(core.scheduler, core.now)
        assert not core.poll("v")
    core.report("w", cmd.TaskRef(lease_id=lease.lease_id, attempt=1), cmd.TaskSuccess(runtime=0.0))
    assert len(core.poll("v")) == 1


def test_an_engine_is_told_of_a_cap_once() -> None:
    """The order changes when its user comes to the cap, and not while the user waits there."""
    core = capped("uwfq")
    core.submit("ada", "a", stage("s", 1.0, 1.0), engine_id="e")
    before = core.rank("e", slots=4).version
    start = cmd.TaskStart(task=cmd.TaskRef(attempt=1, job_id="a", stage="s"))
    core.renew("e", started=(start,))
    ranking = core.rank("e", slots=4)
    assert not ranking.stages
    assert ranking.version > before
    core.submit("ada", "b", stage("s", 1.0), engine_id="e")
    assert core.rank("e", slots=4).version == ranking.version


@pytest.mark.parametrize("how", ["result", "operator"])
def test_an_engine_is_told_when_a_cap_has_room_for_a_wide_task(how: str) -> None:
    """Its user was not at the cap, but a task of two slots did not fit the one that was left."""
    core = Driver("uwfq")
    core.apply(cmd.SetUser(pool=POOL, user="ada", max_running_slots=3))
    core.submit("ada", "leased", stage("s", 2.0, 2.0, slots_per_task=2))
    (lease,) = core.poll(slots=2)
    core.submit("ada", "placed", stage("s", 1.0, slots_per_task=2), engine_id="e")
    ranking = core.rank("e", slots=4)
    assert [each.launch_now for each in ranking.stages] == [0]
    if how == "result":
        core.at(1.0)
        core.done(lease, 1.0)
    else:
        core.apply(cmd.SetUser(pool=POOL, user="ada", max_running_slots=4))
    version = core.scheduler.order_version(POOL)
    assert version > ranking.version
    assert [each.launch_now for each in core.rank("e", slots=4).stages] == [1]
    assert core.scheduler.order_version(POOL) == version
