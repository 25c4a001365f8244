"""The ranking that an engine gets, which places tasks itself."""

from __future__ import annotations

from tests.oracles.driver import POOL, Driver, stage
from uwfq_service.core import commands as cmd


def test_launch_now_respects_a_users_cap() -> None:
    """What the policy would launch now is no more than the user's cap allows, over all stages."""
    core = Driver()
    core.apply(cmd.SetUser(pool=POOL, user="ada", max_running_slots=3))
    core.submit("ada", "a1", stage("s", 1.0, 1.0), engine_id="e")
    core.submit("ada", "a2", stage("s", 1.0, 1.0, 1.0), engine_id="e")
    core.submit("bo", "b1", stage("s", 9.0, 9.0, 9.0), engine_id="e")
    ranking = core.rank("e", slots=5)
    launches = {ranked.job_id: ranked.launch_now for ranked in ranking.stages}
    assert launches == {"a1": 2, "a2": 1, "b1": 2}


def test_stages_of_other_engines_and_of_workers_are_left_out() -> None:
    """An engine is told of its own jobs only."""
    core = Driver()
    core.submit("ada", "mine", stage("s", 1.0), engine_id="e")
    core.submit("ada", "theirs", stage("s", 1.0), engine_id="f")
    core.submit("ada", "leased", stage("s", 1.0))
    assert [ranked.job_id for ranked in core.rank("e", slots=9).stages] == ["mine"]


def test_the_version_rises_when_the_order_changes() -> None:
    """An engine that has the version need not ask again."""
    core = Driver()
    core.submit("ada", "a", stage("s", 5.0, 5.0), engine_id="e")
    first = core.rank("e", slots=1).version
    assert core.rank("e", slots=1).version == first
    core.submit("bo", "b", stage("s", 1.0), engine_id="e")
    assert core.rank("e", slots=1).version > first
