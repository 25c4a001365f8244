"""A pool that is full of users makes room for new ones by forgetting idle ones."""

from __future__ import annotations

import msgspec
import pytest

from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd
from uwfq_service.core import events as ev
from uwfq_service.core import views
from uwfq_service.core.errors import SchedulerError, UsersFull
from uwfq_service.core.invariants import check
from uwfq_service.core.policy import POLICIES
from uwfq_service.core.replies import UserReply
from uwfq_service.core.room import LOOK_PAUSE
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.core.settings import Limits, Settings

TWO_USERS = Settings(limits=Limits(max_users_per_pool=2), retention_seconds=5.0)


def full_pool(policy: str = "uwfq") -> Driver:
    """Two users, the most allowed: bo has a job that waits, ada's has ended."""
    driver = Driver(policy, slots=2, settings=TWO_USERS)
    driver.submit("ada", "a1", stage("s", 4.0))
    (lease,) = driver.poll()
    driver.submit("bo", "b1", stage("s", 100.0))
    driver.at(4.0)
    driver.done(lease, 4.0)
    return driver


def is_refused(driver: Driver, command: cmd.Command) -> bool:
    """Whether there is no room for the user of a command."""
    try:
        driver.apply(command)
    except UsersFull:
        return True
    return False


def users(driver: Driver) -> list[str]:
    """Who is known."""
    return list(driver.scheduler.pools[POOL].users)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_one_whose_jobs_are_forgotten_gives_way(policy: str) -> None:
    """And comes back as somebody new; with work in between, under each policy."""
    driver = full_pool(policy)
    driver.at(20.0)
    driver.submit("cy", "c1", stage("s", 1.0))
    assert users(driver) == ["bo", "cy"]
    (forgotten,) = driver.events_of(ev.UsersForgotten)
    assert forgotten.users == ("ada",)
    check(driver.scheduler, driver.now)
    driver.cancel("c1")
    driver.at(100.0)
    driver.submit("ada", "a2", stage("s", 1.0))
    assert users(driver) == ["bo", "ada"]
    assert driver.user("ada").charged == 1.0
    while leases := driver.poll(slots=2):
        driver.at(driver.now + 1.0)
        for lease in leases:
            driver.done(lease, 1.0)
    assert not driver.scheduler.pools[POOL].unfinished_jobs
    check(driver.scheduler, driver.now)


def test_one_who_has_anything_left_stays() -> None:
    """A job that waits, one that is remembered, or something left in virtual time."""
    driver = full_pool()
    newcomer = cmd.SubmitJob(pool=POOL, user="cy", job_id="c1", stages=(stage("s", 1.0),))
    driver.at(8.0)
    assert driver.scheduler.state.finished, "ada's job is remembered"
    assert is_refused(driver, newcomer)
    driver.at(8.0 + LOOK_PAUSE)
    driver.submit("ada", "a2", stage("s", 1000.0))
    driver.cancel("a2")
    driver.at(30.0)
    assert not driver.scheduler.state.finished
    assert not is_refused(driver, newcomer)


def test_virtual_time_keeps_whom_it_serves() -> None:
    """The fluid cluster has not done yet what was done sooner by half a pool."""
    driver = Driver(slots=2, settings=TWO_USERS)
    driver.submit("bo", "b1", stage("s", *[100.0] * 9))
    driver.submit("ada", "a1", stage("s", *[20.0] * 2))
    ada = [lease for lease in driver.poll(slots=2) if lease.stage.job.user.name == "ada"]
    driver.at(20.0)
    for lease in ada:
        driver.done(lease, 20.0)
    driver.at(30.0)
    assert len(ada) == 2
    assert not driver.scheduler.state.finished
    assert driver.scheduler.pools[POOL].policy.is_active(driver.user("ada"))
    newcomer = cmd.SubmitJob(pool=POOL, user="cy", job_id="c1", stages=(stage("s", 1.0),))
    assert is_refused(driver, newcomer)
    driver.at(45.0)
    assert not is_refused(driver, newcomer)


def test_what_an_operator_has_set_is_kept() -> None:
    """A weight or a cap, until it is the default again."""
    for setting in ({"weight": 2.0}, {"max_running_slots": 1}, {"max_waiting_jobs": 7}):
        driver = full_pool()
        driver.apply(cmd.SetUser(pool=POOL, user="ada", **setting))
        driver.at(100.0)
        newcomer = cmd.SetUser(pool=POOL, user="cy", weight=3.0)
        assert is_refused(driver, newcomer)
        plain = cmd.SetUser(
            pool=POOL, user="ada", weight=1.0, max_running_slots=0, max_waiting_jobs=0
        )
        driver.apply(plain)
        driver.at(100.0 + LOOK_PAUSE)
        assert not is_refused(driver, newcomer)
        assert users(driver) == ["bo", "cy"]


def test_whoever_set_a_user_can_be_told_of_one_who_is_forgotten_by_then() -> None:
    """Others may come between the decision and the answer."""
    driver = Driver(slots=2, settings=TWO_USERS)
    driver.submit("bo", "b1", stage("s", 100.0))
    reply = driver.apply(cmd.SetUser(pool=POOL, user="ada"))
    assert isinstance(reply, UserReply)
    driver.apply(cmd.SetUser(pool=POOL, user="cy"))
    assert users(driver) == ["bo", "cy"]
    assert views.user_status(reply.user, driver.now).user == "ada"


def test_idle_users_are_not_looked_for_all_the_time() -> None:
    """Looking takes a while, and whoever is refused may ask again and again."""
    driver = full_pool()
    newcomer = cmd.SubmitJob(pool=POOL, user="cy", job_id="c1", stages=(stage("s", 1.0),))
    assert is_refused(driver, newcomer)
    driver.at(4.0 + LOOK_PAUSE - 0.5)
    assert not driver.scheduler.state.finished, "ada could be forgotten"
    assert is_refused(driver, newcomer)
    driver.at(4.0 + LOOK_PAUSE)
    assert not is_refused(driver, newcomer)


def test_many_may_come_at_once_where_many_are_idle() -> None:
    """The next look is due when all who were found have been replaced."""
    driver = full_pool()
    driver.at(20.0)
    for number in range(20):
        driver.apply(cmd.SetUser(pool=POOL, user=f"user-{number}"))
    assert users(driver) == ["bo", "user-19"]


def test_a_refused_job_costs_nobody_their_place() -> None:
    """There would be room, but something else is wrong with it."""
    driver = full_pool()
    driver.at(20.0)
    cut = cmd.InputDescriptor(unit_sizes=(1,) * 60_000)
    wrong = cmd.SubmitJob(pool=POOL, user="cy", stages=(cmd.StageSpec(stage="s", cut=cut),))
    with pytest.raises(SchedulerError):
        driver.apply(wrong)
    assert users(driver) == ["ada", "bo"]


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_nobody_gets_the_number_of_one_who_was_forgotten(policy: str) -> None:
    """Numbers break ties, so whoever replays the journal must come to the same ones.

    Also from a snapshot that was made when the latest was forgotten and the next had not come.
    """
    driver = Driver(policy, slots=2, settings=TWO_USERS)
    driver.submit("ada", "a1", stage("s", 100.0))
    driver.submit("bo", "b1", stage("s", 4.0))
    driver.cancel("b1")
    driver.at(200.0)
    driver.submit("cy", "c1", stage("s", 1.0))
    assert users(driver) == ["ada", "cy"]
    assert driver.user("cy").number == 2
    replica = Scheduler(TWO_USERS)
    for event in driver.events:
        replica.replay(event)
        image = msgspec.msgpack.encode(replica.dump())
        replica = Scheduler.load(msgspec.msgpack.decode(image), TWO_USERS)
    assert replica.dump(driver.now) == driver.scheduler.dump(driver.now)


def test_a_snapshot_of_before_does_not_say_which_number_is_next() -> None:
    """Nobody was forgotten then, so it is the one after the latest."""
    driver = full_pool()
    image = msgspec.msgpack.decode(msgspec.msgpack.encode(driver.scheduler.dump()))
    for pool in image["pools"]:
        del pool["next_user"]
    assert Scheduler.load(image, TWO_USERS).pools[POOL].next_user == 2
