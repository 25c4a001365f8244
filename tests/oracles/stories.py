"""Random stories of what may happen to virtual time, told to an oracle and to a policy alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from tests.oracles.deadlines import DeadlineOracle
from uwfq_service.core.model import WEIGHT_SCALE, Job, Pool, User
from uwfq_service.core.policy.uwfq import UwfqPolicy

USERS = ["ada", "bo", "cy"]
#: Coarse numbers, so that things often happen at one instant.
amounts = st.integers(1, 40).map(lambda number: Fraction(number, 4))
pauses = st.integers(0, 12).map(lambda number: Fraction(number, 4))


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens ``pause`` seconds after the step before."""

    kind: str
    pause: Fraction
    user: str
    amount: Fraction
    choice: int

    def job_weight(self) -> Fraction:
        """Of the job that arrives."""
        return Fraction(1 + self.choice % 3, 2)


def stories(*kinds: str, max_size: int = 25) -> st.SearchStrategy[list[Step]]:
    """Stories of arrivals and of the other ``kinds``: weight, slots, add, take, overtake.

    The last adds to a job that loses its turn by it.
    """
    step = st.builds(
        Step,
        kind=st.sampled_from(["arrive", *kinds]),
        pause=pauses,
        user=st.sampled_from(USERS),
        amount=amounts,
        choice=st.integers(0, 30),
    )
    return st.lists(step, max_size=max_size)


def random_story(seed: int, kinds: list[str], steps: int) -> list[Step]:
    """The story of ``steps`` steps that ``seed`` gives."""
    rng = random.Random(seed)
    return [
        Step(
            kind=rng.choice(kinds),
            pause=Fraction(rng.choice([0, 0, 0, 1, 2, 5]), 4),
            user=rng.choice(USERS),
            amount=Fraction(rng.randint(1, 40), 4),
            choice=rng.randint(0, 30),
        )
        for _ in range(steps)
    ]


def tell_oracle(oracle: DeadlineOracle, step: Step) -> None:
    """Let ``step`` happen to ``oracle``."""
    now = oracle.now + step.pause
    oracle.advance(now)
    if step.kind == "arrive":
        name = f"job{len(oracle.jobs)}"
        oracle.arrive(now, name, step.user, step.amount, step.job_weight())
    elif step.kind == "weight":
        oracle.set_weight(now, step.user, step.amount)
    elif step.kind == "slots":
        oracle.set_slots(now, step.choice % 5)
    elif oracle.jobs:
        name = list(oracle.jobs)[step.choice % len(oracle.jobs)]
        if step.kind == "take":
            oracle.take_work(now, name, step.amount)
        else:
            oracle.add_work(now, name, step.amount, keeps_turn=step.kind == "add")


class PolicyAlone:
    """A policy without a scheduler around it, told the same steps."""

    def __init__(
        self, policy: type[UwfqPolicy], slots: int, number: Callable[[Any], Any] = Fraction
    ) -> None:
        self.number = number
        self.now = number(0)
        self.policy = policy(number, self.now)
        self.pool = Pool("pool", self.policy, self.now)
        self.jobs: dict[str, Job] = {}
        self.policy.set_slots(slots, self.now)

    def user(self, name: str) -> User:
        """The user of that name."""
        users = self.pool.users
        return users.setdefault(name, User(self.pool, len(users), name))

    def tell(self, step: Step) -> None:
        """Let ``step`` happen."""
        now = self.now = self.now + self.number(step.pause)
        self.policy.advance(now)
        if step.kind == "arrive":
            user, number = self.user(step.user), len(self.jobs)
            job = Job(self.pool, user, number, f"job{number}", now)
            job.work = self.number(step.amount)
            job.weight = int(step.job_weight() * WEIGHT_SCALE)
            self.jobs[job.job_id] = job
            self.policy.add_job(job, now)
        elif step.kind == "weight":
            user, weight = self.user(step.user), int(step.amount * WEIGHT_SCALE)
            self.policy.set_weight(user, weight, now)
            user.weight = weight
        elif step.kind == "slots":
            self.policy.set_slots(step.choice % 5, now)
        elif self.jobs:
            job = list(self.jobs.values())[step.choice % len(self.jobs)]
            change = self.number(-step.amount if step.kind == "take" else step.amount)
            job.guessed = step.kind == "overtake"
            self.policy.correct(job, change, now)
            job.work += change
