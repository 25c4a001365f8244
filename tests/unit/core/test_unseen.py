"""Jobs about which nothing is known: guesses, and what becomes of them."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.oracles.driver import POOL, Driver, ref, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core import state
from uwfq_service.core.estimation import Estimator, Source
from uwfq_service.core.events import JobReestimated
from uwfq_service.core.invariants import check
from uwfq_service.core.model import Lease
from uwfq_service.core.settings import Settings


def tasks(count: int) -> cmd.StageSpec:
    """A stage of ``count`` tasks that says nothing about their work."""
    return cmd.StageSpec(stage="s", cut=cmd.TaskList(count=count))


def seen(core: Driver, signature: str, *, runtime: float) -> None:
    """Let one job of a signature have run for ``runtime`` seconds."""
    core.submit("first", f"first-{signature}", tasks(1), signature=signature)
    lease = next(each for each in core.poll("w0") if each.stage.job.signature == signature)
    core.at(core.now + runtime)
    core.done(lease, runtime, worker="w0")


def test_stages_and_jobs_have_histories_of_their_own() -> None:
    """A stage of a second says nothing about a job of a hundred."""
    estimator = Estimator(prior_work=5.0)
    estimator.observe("q", "alice", None, 1.0, predicted=None, stage="scan")
    assert estimator.predict("q", "alice", None).source == Source.PRIOR
    estimator.observe("q", "alice", None, 100.0, predicted=None)
    assert estimator.predict("q", "alice", None).work == pytest.approx(100.0)
    scan = estimator.predict("q", "alice", None, stage="scan")
    assert scan.work == pytest.approx(1.0)
    assert scan.source == Source.SIGNATURE_USER
    other = estimator.predict("new", "alice", None, stage="scan")
    assert other.work == pytest.approx(1.0)
    assert other.source == Source.USER
    assert estimator.predict("new", "alice", None, stage="sum").source == Source.PRIOR


def test_a_guess_is_rather_too_high() -> None:
    """Most of what the user has run took less than what an unknown job is taken for."""
    estimator = Estimator(prior_work=5.0)
    for work in (3, 8, 1, 10, 5, 2, 9, 4, 7, 6):
        estimator.observe("q", "alice", None, float(work), predicted=None)
    assert estimator.predict("new", "alice", None).work == pytest.approx(8.0)
    assert estimator.predict("new", "bob", None).work == pytest.approx(9.0)
    assert estimator.predict("q", "bob", None).work == pytest.approx(5.5, rel=0.02)


def test_a_guess_grows_with_the_size_as_the_history_does() -> None:
    """Twice the bytes, twice the work, if that is how it was before."""
    estimator = Estimator(prior_work=5.0)
    for megabytes in (1, 2, 4, 8):
        estimator.observe("q", "alice", megabytes << 20, megabytes * 2.0, predicted=None)
    assert estimator.predict("new", "alice", 16 << 20).work == pytest.approx(32.0)


@pytest.mark.parametrize(
    ("slots", "fields", "expected"),
    [
        (8, {}, 8),
        (8, {"max_tasks": 3}, 3),
        (8, {"min_tasks": 12}, 12),
        (8, {"cut": cmd.InputDescriptor(unit_sizes=(10, 10, 10))}, 3),
    ],
)
def test_an_unknown_stage_is_cut_for_all_slots(
    slots: int, fields: dict[str, object], expected: int
) -> None:
    """As far as that is allowed and possible: a single task might run for an hour."""
    core = Driver(slots=slots)
    job = core.submit("alice", "j", cmd.StageSpec(stage="s", **fields))  # type: ignore[arg-type]
    assert job.stages[0].task_count == expected


def test_a_guess_of_much_work_is_cut_as_that_asks_for() -> None:
    """Other work of the user took 24 slot-seconds: at 0.75 s a task that is 32 tasks."""
    core = Driver(slots=4)
    seen(core, "old", runtime=24.0)
    job = core.submit("first", "j", cmd.StageSpec(stage="s"), signature="new")
    assert job.stages[0].task_count == 32


def test_waiting_jobs_are_charged_anew_when_the_first_of_their_kind_has_ended() -> None:
    """From then on something is known of them; a job that had an estimate keeps it."""
    core = Driver(slots=1, settings=Settings(prior_work=50.0))
    waiting = [core.submit("alice", f"a{n}", tasks(2), signature="q") for n in range(2)]
    other = core.submit("bob", "other", tasks(2), signature="r")
    declared = core.submit("bob", "sure", stage("s", 7.0), signature="q")
    assert [job.work for job in waiting] == [50.0, 50.0]
    assert declared.work == 7.0
    (lease,) = core.poll("w")
    assert lease.stage.job is declared, "the only one that is known"
    core.at(4.0)
    core.done(lease, 4.0)
    assert [job.work for job in waiting] == [pytest.approx(4.0)] * 2
    assert other.work == 50.0
    assert len(core.events_of(JobReestimated)) == 2


@pytest.mark.parametrize("restart", [False, True])
def test_no_end_of_a_job_charges_more_than_so_many_anew(
    restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that came first; the others at the next ends of jobs of that signature."""
    monkeypatch.setattr(state, "RECOGNISED_AT_ONCE", 3)
    core = Driver(slots=1, settings=Settings(prior_work=50.0))
    waiting = [f"a{number}" for number in range(7)]
    for name in waiting:
        core.submit("alice", name, tasks(1), signature="q")
    charged = []
    for number in range(4):
        core.submit("bob", f"b{number}", stage("s", 1.0), signature="q")
        (lease,) = core.poll("w")
        core.now += 4.0
        if restart:
            core.reload()
        core.report("w", ref(lease), cmd.TaskSuccess(runtime=4.0))
        check(core.scheduler, core.now)
        charged.append([name for name in waiting if core.scheduler.job(name).work < 50.0])
    assert charged == [waiting[:3], waiting[:6], waiting, waiting]
    assert not core.scheduler.state.unseen


def test_a_restart_knows_who_is_unseen() -> None:
    """From a snapshot as well as from the journal: the next end of a job charges them anew."""
    core = Driver(slots=1, settings=Settings(prior_work=50.0))
    core.submit("alice", "a", tasks(2), signature="q")
    core.submit("bob", "b", stage("s", 7.0), signature="q")
    (lease,) = core.poll("w")
    core.reload()
    core.at(4.0)
    core.report("w", cmd.TaskRef(lease_id=lease.lease_id), cmd.TaskSuccess(runtime=4.0))
    assert core.scheduler.job("a").work == pytest.approx(4.0)


def test_a_job_whose_stages_say_what_they_take_is_no_guess() -> None:
    """Nor one that says it as a whole; an open one that says nothing is, though its stages do."""
    core = Driver(slots=1)
    assert not core.submit("a", "stages", stage("s", 7.0), signature="q").guessed
    whole = core.submit("a", "whole", tasks(1), signature="q", declared_work=3.0)
    assert not whole.guessed
    assert core.submit("a", "open", stage("s", 7.0), signature="q", open=True).guessed
    core.apply(cmd.CloseJob(job_id="open"))
    core.reload()
    guessed = {job.job_id for job in core.scheduler.jobs() if job.guessed}
    assert guessed == {"open"}


def test_a_job_that_fails_teaches_nothing() -> None:
    """What is unseen stays so, and a cancelled job is forgotten as one of them."""
    core = Driver(slots=1, settings=Settings(prior_work=50.0))
    core.submit("alice", "a", tasks(1), signature="q")
    core.submit("alice", "b", tasks(1), signature="q")
    core.cancel("a")
    assert core.scheduler.job("b").work == 50.0
    core.cancel("b")
    assert not core.scheduler.state.unseen


@pytest.mark.parametrize("signatures", [("never seen", "nor this"), ("", "")])
def test_unseen_jobs_share_the_slots_as_their_users_do(signatures: tuple[str, str]) -> None:
    """A long job of one user leaves the others' first jobs their share of the slots."""
    core = Driver(slots=8)
    core.submit("big", "big", tasks(100), signature=signatures[0])
    core.submit("small", "small", tasks(4), signature=signatures[1])
    leases = core.poll("w", slots=8)
    assert Counter(lease.stage.job.user.name for lease in leases) == {"big": 4, "small": 4}


def test_an_unseen_job_takes_what_nobody_else_wants() -> None:
    """No slot stays idle for the sake of fairness."""
    core = Driver(slots=8)
    core.submit("big", "big", tasks(100), signature="never seen")
    core.submit("small", "small", tasks(2), signature="nor this")
    leases = core.poll("w", slots=8)
    assert Counter(lease.stage.job.user.name for lease in leases) == {"big": 6, "small": 2}


def test_weights_count_for_unseen_jobs_too() -> None:
    """Three times the weight, three times the slots."""
    core = Driver(slots=8)
    core.apply(cmd.SetUser(pool=POOL, user="heavy", weight=3.0))
    for user in ("heavy", "light"):
        core.submit(user, user, tasks(100), signature=user)
    leases = core.poll("w", slots=8)
    assert Counter(lease.stage.job.user.name for lease in leases) == {"heavy": 6, "light": 2}


def unseen(core: Driver) -> set[str]:
    """Jobs whose deadlines rest on nothing; the core's own account of them is in order."""
    check(core.scheduler, core.now)
    return {job.job_id for job in core.scheduler.jobs() if job.unseen and not job.ended}


@pytest.mark.parametrize("restart", [False, True])
def test_without_a_signature_a_job_is_seen_when_one_of_its_user_has_ended(restart: bool) -> None:
    """It stays a guess, and what comes later is not unseen: the pool has a history."""
    core = Driver(slots=4)
    core.submit("ann", "first", tasks(1))
    core.submit("ann", "second", tasks(100))
    core.submit("bob", "other", tasks(100))
    (lease,) = core.poll("w")
    assert unseen(core) == {"first", "second", "other"}
    if restart:
        core.reload()
    core.at(1.0)
    core.report("w", ref(lease), cmd.TaskSuccess(runtime=1.0))
    assert core.scheduler.job("second").guessed
    assert unseen(core) == {"other"}
    core.submit("eve", "third", tasks(100))
    assert unseen(core) == {"other"}
    if restart:
        core.reload()
    core.cancel("other")
    assert not core.scheduler.state.unseen


def test_without_a_signature_a_job_is_seen_when_its_charge_is_overtaken() -> None:
    """It has used more than was guessed, so it is one of the large ones, and has a turn as such."""
    core = Driver(slots=2, settings=Settings(prior_work=4.0))
    for user in ("ann", "bob"):
        core.submit(user, user, tasks(4))
    lease, _ = core.poll("w", slots=2)
    core.at(9.0)
    core.done(lease, 9.0)
    assert unseen(core) == set()


def names(leases: tuple[Lease, ...]) -> list[str]:
    """The jobs that tasks were leased of."""
    return [lease.stage.job.job_id for lease in leases]


def probing(*, signature: str = "never seen") -> tuple[Driver, Lease]:
    """A large job of which nothing is known, its probe, and a job that is declared to be larger.

    By their deadlines the unknown one would go first.
    """
    core = Driver(slots=4)
    core.submit("ann", "unknown", tasks(100), signature=signature)
    (probe,) = core.poll("probe")
    core.submit("bob", "known", stage("s", *[100.0] * 10))
    return core, probe


@pytest.mark.parametrize("signature", ["", "never seen"])
def test_an_unknown_job_lets_others_go_ahead_while_its_first_task_runs(signature: str) -> None:
    """And takes its turn by what that task took: 99 seconds are left, the other has a thousand."""
    core, probe = probing(signature=signature)
    assert names(core.poll("w", slots=2)) == ["known", "known"]
    core.at(1.0)
    core.done(probe, 1.0, worker="probe")
    assert names(core.poll("x", slots=1)) == ["unknown"]
    check(core.scheduler, core.now)


def test_of_the_same_user_too() -> None:
    """Whoever asks for two things at once is not kept from the one that is known."""
    core = Driver(slots=4)
    core.submit("ann", "unknown", tasks(100))
    core.poll("probe")
    core.submit("ann", "known", stage("s", *[100.0] * 3))
    assert names(core.poll("w", slots=3)) == ["known"] * 3


def test_slots_that_nobody_wants_a_probed_job_gets() -> None:
    """The others have one task between them."""
    core = Driver(slots=4)
    core.submit("ann", "unknown", tasks(100))
    core.poll("probe")
    core.submit("bob", "known", stage("s", 100.0))
    assert names(core.poll("w", slots=3)) == ["known", "unknown", "unknown"]


def test_a_probe_that_fails_says_nothing_and_holds_nothing_up() -> None:
    """The next task is the probe then."""
    core, probe = probing()
    core.fail(probe, 1.0)
    assert names(core.poll("w", slots=2)) == ["unknown", "known"]
    check(core.scheduler, core.now)


def test_a_restart_knows_who_waits_for_a_probe() -> None:
    """Its lease goes on, and so does the wait."""
    core, _ = probing()
    core.reload()
    assert names(core.poll("w", slots=2)) == ["known", "known"]
    check(core.scheduler, core.now)


def test_an_engine_that_tells_of_a_task_when_it_is_over_ends_the_wait() -> None:
    """Another task of the job still runs, which was told of before."""
    core = Driver(slots=4)
    core.rank("spark", slots=4)
    core.submit("ann", "unknown", tasks(100), engine_id="spark")
    core.submit("bob", "known", stage("s", *[100.0] * 10), engine_id="spark")
    first, second = (cmd.TaskRef(job_id="unknown", stage="s", task_index=n) for n in range(2))
    core.ask("spark", slots=4, free_slots=3, started=(cmd.TaskStart(task=first),), ranking=True)
    assert core.rank("spark", slots=4).stages[0].job_id == "known"
    core.at(1.0)
    core.report("spark", second, cmd.TaskSuccess(runtime=1.0))
    assert core.rank("spark", slots=4).stages[0].job_id == "unknown"
    check(core.scheduler, core.now)


def test_a_weight_counts_at_once_also_for_who_has_left_virtual_time() -> None:
    """What the fluid cluster has served may wait for slots yet: fewest per unit of weight first."""
    core = Driver(slots=8, settings=Settings(prior_work=4.0))
    for user in ("ann", "bob"):
        core.submit(user, user, tasks(9), signature=user)
    probes = core.poll("w", slots=2)
    core.at(0.5)
    for probe in probes:
        core.done(probe, 4 / 9)
    assert names(core.poll("w", slots=3)) == ["ann", "bob", "ann"]
    core.at(1.5)
    policy = core.scheduler.pools[POOL].policy
    assert policy.first() is core.scheduler.job("bob").stages[0]
    core.apply(cmd.SetUser(pool=POOL, user="ann", weight=4.0))
    assert not policy.active_users()
    assert policy.first() is core.scheduler.job("ann").stages[0]
    check(core.scheduler, core.now)
