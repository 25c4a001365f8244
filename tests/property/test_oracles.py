"""The oracles among themselves: who judges must be beyond doubt."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.deadlines import DeadlineOracle, PaperChain, RemainingWorkChain
from tests.oracles.fluid import ZERO

USERS = ["ada", "bo", "cy"]
amounts = st.integers(1, 40).map(lambda number: Fraction(number, 4))
steps = st.lists(
    st.tuples(
        st.sampled_from(["arrive", "weight", "slots", "add", "take"]),
        st.integers(0, 12).map(lambda number: Fraction(number, 4)),
        st.sampled_from(USERS),
        amounts,
        st.integers(0, 30),
    ),
    max_size=25,
)
Step = tuple[str, Fraction, str, Fraction, int]


def do(oracle: DeadlineOracle, step: Step, *, corrections: bool = True) -> None:
    """One random step, some time after the last one."""
    kind, pause, user, amount, choice = step
    now = oracle.now + pause
    if kind == "arrive":
        weight = Fraction(1 + choice % 3, 2)
        oracle.arrive(now, f"job{len(oracle.jobs)}", user, amount, weight)
    elif kind == "weight":
        oracle.set_weight(now, user, amount)
    elif kind == "slots":
        oracle.set_slots(now, choice % 5)
    elif oracle.jobs and corrections:
        name = list(oracle.jobs)[choice % len(oracle.jobs)]
        change = oracle.add_work if kind == "add" else oracle.take_work
        change(now, name, amount)


@given(steps)
def test_the_server_owes_what_the_fluid_cluster_owes(story: list[Step]) -> None:
    """Sum e = sum job weight x (F - U) = weight x (E - V), whatever happens."""
    oracle = RemainingWorkChain(2)
    before = ZERO
    for step in story:
        do(oracle, step)
        for user in oracle.users.values():
            left = sum((job.left for job in user.present), ZERO)
            assert sum((oracle.owed[job.name] for job in user.present), ZERO) == left
            assert all(oracle.owed[job.name] == 0 for job in user.jobs if job.left == 0)
            deadlines = [oracle.virtual_deadline(job.name) for job in user.chain]
            if deadlines:
                assert max(*deadlines, oracle.virtual_time) == oracle.virtual_end(user.name)
        assert oracle.virtual_time >= before
        before = oracle.virtual_time


@given(steps)
def test_without_corrections_the_server_is_done_before_the_fluid_cluster(story: list[Step]) -> None:
    """Friedman and Henderson 2003: one after another makes no job later than all at once."""
    oracle = RemainingWorkChain(2)
    for step in story:
        do(oracle, step, corrections=False)
    oracle.set_slots(oracle.now, 2)
    left_at_v: dict[str, Fraction] = {}
    while any(user.active for user in oracle.users.values()):
        oracle.advance(oracle.now + Fraction(1, 4))
        for job in oracle.jobs.values():
            if job.left == 0:
                left_at_v.setdefault(job.name, oracle.virtual_time)
    assert all(oracle.virtual_deadline(name) <= moment for name, moment in left_at_v.items())


@given(steps)
def test_the_papers_chain_ends_where_the_user_leaves(story: list[Step]) -> None:
    """E is the deadline of the last job of the chain under either chain."""
    oracle = PaperChain(2)
    for step in story:
        do(oracle, step, corrections=False)
        for user in oracle.users.values():
            if user.active:
                last = oracle.virtual_deadline(user.chain[-1].name)
                assert last == oracle.virtual_end(user.name)
