"""Virtual time and deadlines of the core, to the last digit, against the oracles.

The policies are driven without a scheduler, in rational arithmetic: whatever arrives, changes its
weight or turns out to cost something else, V, every U, every F and every D are the oracle's.
"""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given

from tests.oracles.deadlines import DeadlineOracle, PaperChain, RemainingWorkChain
from tests.oracles.stories import PolicyAlone, Step, random_story, stories, tell_oracle
from uwfq_service.core.policy.uwfq import UwfqPolicy
from uwfq_service.core.policy.uwfq_paper import UwfqPaperPolicy

#: What happens in a long story, and how often.
KINDS = ["arrive", "arrive", "arrive", "weight", "slots", "add", "take", "overtake"]

approx = partial(pytest.approx, rel=1e-9, abs=1e-9)


def compare(policy: PolicyAlone, oracle: DeadlineOracle) -> None:
    """Everything that virtual time says, now."""
    now = policy.now
    policy.policy.advance(now)  # Lets a user leave whom a correction has left nothing.
    assert policy.policy.virtual_time(now) == oracle.virtual_time
    for name, user in oracle.users.items():
        assert policy.policy.user_virtual_time(policy.user(name), now) == user.virtual_time
        if oracle.slots:  # Nobody leaves a pool that has no slots.
            assert policy.policy.is_active(policy.user(name)) == user.active
    for name, job in policy.jobs.items():
        assert policy.policy.user_deadline(job) == oracle.jobs[name].user_deadline, name
        assert policy.policy.virtual_deadline(job) == oracle.virtual_deadline(name), name


def follow(policy: PolicyAlone, oracle: DeadlineOracle, story: list[Step]) -> None:
    """Tell both the story and compare them after every step."""
    for step in story:
        policy.tell(step)
        tell_oracle(oracle, step)
        compare(policy, oracle)


@given(stories("weight", "slots"))
def test_uwfq_follows_the_fluid_cluster(story: list[Step]) -> None:
    """V, U, F and the chain over remaining work."""
    follow(PolicyAlone(UwfqPolicy, 2), RemainingWorkChain(2), story)


@given(stories("weight", "slots", "add", "take", "overtake"))
def test_uwfq_corrects_its_chain_as_the_oracle_does(story: list[Step]) -> None:
    """Corrections both ways, to jobs that are there and to jobs that have left."""
    follow(PolicyAlone(UwfqPolicy, 2), RemainingWorkChain(2), story)


@pytest.mark.parametrize("seed", range(150))
def test_uwfq_corrects_its_chain_in_long_stories(seed: int) -> None:
    """As above, for stories long enough that jobs overtake each other again and again."""
    story = random_story(seed, KINDS, steps=40)
    follow(PolicyAlone(UwfqPolicy, 2), RemainingWorkChain(2), story)


@given(stories("weight", "slots"))
def test_the_papers_policy_follows_the_papers_chain(story: list[Step]) -> None:
    """The chain from the start of activity over whole works."""
    follow(PolicyAlone(UwfqPaperPolicy, 2), PaperChain(2), story)


@given(stories("weight", "slots", "add", "take", max_size=40))
def test_floats_follow_within_rounding(story: list[Step]) -> None:
    """The service computes in floats; V and U stay with the exact ones.

    Deadlines may not: two jobs that tie exactly may change places by an ulp, and their D with them.
    """
    policy, oracle = PolicyAlone(UwfqPolicy, 2, float), RemainingWorkChain(2)
    for step in story:
        policy.tell(step)
        tell_oracle(oracle, step)
        policy.policy.advance(policy.now)
        assert policy.policy.virtual_time(policy.now) == approx(float(oracle.virtual_time))
        for name, user in oracle.users.items():
            value = policy.policy.user_virtual_time(policy.user(name), policy.now)
            assert value == approx(float(user.virtual_time)), name
