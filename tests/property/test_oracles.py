"""The oracles among themselves: who judges must be beyond doubt."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given

from tests.oracles.deadlines import PaperChain, RemainingWorkChain
from tests.oracles.fluid import ZERO
from tests.oracles.stories import Step, stories, tell_oracle


@given(stories("weight", "slots", "add", "take"))
def test_the_server_owes_what_the_fluid_cluster_owes(story: list[Step]) -> None:
    """Sum e = sum job weight x (F - U) = weight x (E - V), whatever happens."""
    oracle = RemainingWorkChain(2)
    before = ZERO
    for step in story:
        tell_oracle(oracle, step)
        for user in oracle.users.values():
            left = sum((job.left for job in user.present), ZERO)
            # A corrected job may leave before the server is through with it.
            assert sum((oracle.owed[job.name] for job in user.jobs), ZERO) == left
            deadlines = [oracle.virtual_deadline(job.name) for job in oracle.served(user)]
            if deadlines:
                assert max(*deadlines, oracle.virtual_time) == oracle.virtual_end(user.name)
        assert oracle.virtual_time >= before
        before = oracle.virtual_time


@given(stories("weight", "slots"))
def test_without_corrections_the_server_is_done_before_the_fluid_cluster(story: list[Step]) -> None:
    """Friedman and Henderson 2003: one after another makes no job later than all at once."""
    oracle = RemainingWorkChain(2)
    for step in story:
        tell_oracle(oracle, step)
    oracle.set_slots(oracle.now, 2)
    left_at_v: dict[str, Fraction] = {}
    while any(user.active for user in oracle.users.values()):
        oracle.advance(oracle.now + Fraction(1, 4))
        for job in oracle.jobs.values():
            if job.left == 0:
                left_at_v.setdefault(job.name, oracle.virtual_time)
    assert all(oracle.virtual_deadline(name) <= moment for name, moment in left_at_v.items())


@given(stories("weight", "slots"))
def test_the_papers_chain_ends_where_the_user_leaves(story: list[Step]) -> None:
    """E is the deadline of the last job of the chain under either chain."""
    oracle = PaperChain(2)
    for step in story:
        tell_oracle(oracle, step)
        for user in oracle.users.values():
            if user.active:
                last = oracle.virtual_deadline(user.chain[-1].name)
                assert last == oracle.virtual_end(user.name)
