"""What a worker holds and owes: attempts pass through their rooms once, whatever happens."""

from __future__ import annotations

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from uwfq.v1 import types_pb2
from uwfq_client.execution import Outcome
from uwfq_client.ledger import Attempt, Ledger, Room
from uwfq_client.types import Measurement

LEASE_SECONDS = 30.0


def lease(lease_id: int, slots: int = 1) -> types_pb2.TaskLease:
    """A lease as the service grants it."""
    return types_pb2.TaskLease(
        lease_id=lease_id, slots=slots, attempt=1, expires_in_seconds=LEASE_SECONDS
    )


def acks(results: list[types_pb2.TaskResult]) -> list[types_pb2.TaskResultAck]:
    """The service's answer to results."""
    return [
        types_pb2.TaskResultAck(
            lease_id=result.lease_id, status=types_pb2.TASK_RESULT_STATUS_ACCEPTED
        )
        for result in results
    ]


def started(ledger: Ledger, now: float = 0.0) -> list[Attempt]:
    """All that start now."""
    return list(iter(lambda: ledger.start(now), None))


def test_attempts_start_in_order_as_slots_allow() -> None:
    """A large task that waits for slots is not overtaken by small ones."""
    ledger = Ledger(slots=4, prefetch=8)
    ledger.grant([lease(1, 2), lease(2, 3), lease(3, 1)], now=0.0)
    assert [attempt.task.lease_id for attempt in started(ledger)] == [1]
    assert ledger.free_slots == 2
    ledger.finish(ledger.held()[0], Outcome(1.0))
    assert [attempt.task.lease_id for attempt in started(ledger)] == [2, 3]


def test_a_task_larger_than_the_worker_runs_alone() -> None:
    """It should never be leased; if it is, it must not block the worker for ever."""
    ledger = Ledger(slots=2, prefetch=4)
    ledger.grant([lease(1), lease(2, 5)], now=0.0)
    (small,) = started(ledger)
    ledger.finish(small, Outcome(1.0))
    (large,) = started(ledger)
    assert large.task.slots == 5


def test_a_lease_that_is_told_twice_is_held_once() -> None:
    """The answer to a repeated poll may bring what is here already."""
    ledger = Ledger(slots=2, prefetch=0)
    ledger.grant([lease(1)], now=0.0)
    ledger.grant([lease(1), lease(2)], now=1.0)
    assert ledger.held_slots == 2
    assert len(started(ledger)) == 2


def test_work_is_wanted_when_a_slot_is_free_or_half_the_queue_is_gone() -> None:
    """With prefetch, polls bring batches while the rest of the queue bridges their round trip."""
    ledger = Ledger(slots=1, prefetch=0)
    ledger.grant([lease(1)], now=0.0)
    assert not ledger.wants_work

    ledger = Ledger(slots=1, prefetch=9)
    ledger.grant(map(lease, range(1, 11)), now=0.0)
    wanted = []
    for _ in range(10):
        wanted.append(ledger.wants_work)
        attempt = ledger.start(0.0)
        assert attempt is not None
        ledger.finish(attempt, Outcome(0.0))
    assert wanted == [False] * 5 + [True] * 5


def test_a_result_is_owed_until_it_is_acknowledged() -> None:
    """A lost message puts its results back, in front and in order."""
    ledger = Ledger(slots=3, prefetch=0)
    ledger.grant(map(lease, (1, 2, 3)), now=0.0)
    for attempt in started(ledger):
        ledger.finish(attempt, Outcome(1.0))
    taken = ledger.take_results()
    assert ledger.take_results() == []
    ledger.put_back(taken)
    again = ledger.take_results()
    assert [result.lease_id for result in again] == [1, 2, 3]
    ledger.acknowledged(again, acks(again[:2]))
    last = ledger.take_results()
    assert [result.lease_id for result in last] == [3]
    assert not ledger.settled
    ledger.acknowledged(last, acks(last))
    assert ledger.settled


def test_long_messages_are_spread_over_several_reports() -> None:
    """A message stays below what the service takes, however much the handlers had to say."""
    ledger = Ledger(slots=1000, prefetch=0)
    ledger.grant(map(lease, range(1, 1001)), now=0.0)
    for attempt in started(ledger):
        ledger.finish(attempt, Outcome(1.0, failure="x" * 100_000))
    sizes = []
    while ledger.owes:
        taken = ledger.take_results()
        sizes.append(sum(result.ByteSize() for result in taken))
        ledger.acknowledged(taken, acks(taken))
    assert ledger.settled
    assert max(sizes) < 1.2 * 2**20


def test_what_is_revoked_in_the_queue_is_answered_and_never_runs() -> None:
    """Its result says that it did not run."""
    ledger = Ledger(slots=1, prefetch=1)
    ledger.grant([lease(1), lease(2)], now=0.0)
    (running,) = started(ledger)
    assert ledger.revoke([1, 2, 99], "cancelled") == [running]
    assert ledger.revoke([1], "cancelled") == [], "asked to stop once"
    (result,) = ledger.take_results()
    assert (result.lease_id, result.failure.message) == (2, "cancelled")
    assert running.stop_reason == "cancelled"
    assert running.room is Room.RUNNING


def test_an_attempt_that_was_given_up_does_not_count_twice() -> None:
    """Its handler may come to an end all the same."""
    ledger = Ledger(slots=1, prefetch=0)
    ledger.grant([lease(1)], now=0.0)
    (attempt,) = started(ledger)
    assert ledger.finish(attempt, Outcome(1.0, failure="given up"))
    assert not ledger.finish(attempt, Outcome(2.0))
    assert len(ledger.take_results()) == 1
    assert ledger.free_slots == 1


def test_what_queues_is_let_go() -> None:
    """It was not begun, so nothing is owed for it."""
    ledger = Ledger(slots=1, prefetch=2)
    ledger.grant([lease(1), lease(2), lease(3)], now=0.0)
    (running,) = started(ledger)
    ledger.abandon_queue()
    assert ledger.held() == [running]
    ledger.finish(running, Outcome(0.0, failure="given up"))
    assert not ledger.busy
    assert not started(ledger)
    results = ledger.take_results()
    assert [result.lease_id for result in results] == [1]
    ledger.acknowledged(results, acks(results))
    assert ledger.settled


def test_an_outcome_that_cannot_be_told_leaves_the_attempt_running() -> None:
    """Ended and owing nothing, it would be renewed for ever and never answered."""
    ledger = Ledger(slots=1, prefetch=0)
    ledger.grant([lease(1)], now=0.0)
    (attempt,) = started(ledger)
    with pytest.raises(ValueError, match="range"):
        ledger.finish(attempt, Outcome(1.0, Measurement(rows=-1)))
    assert attempt.room is Room.RUNNING
    assert ledger.running_slots == 1
    assert ledger.finish(attempt, Outcome(1.0, failure="given up"))
    assert len(ledger.take_results()) == 1


def test_leases_are_renewed_at_a_third_of_their_time() -> None:
    """Together with those that are at least half-way to theirs."""
    ledger = Ledger(slots=3, prefetch=0)
    for number, granted_at in ((1, 0.0), (2, 4.0), (3, 9.0)):
        ledger.grant([lease(number)], now=granted_at)
    assert ledger.next_renewal() == 10.0
    assert ledger.due_for_renewal(10.0) == [1, 2]
    ledger.renewed(1, LEASE_SECONDS, now=10.0)
    ledger.void(2)
    assert ledger.next_renewal() == 19.0
    ledger.void(1)
    ledger.void(3)
    assert ledger.next_renewal() == math.inf


def test_only_late_starts_are_told() -> None:
    """The service knows that what fits the free slots starts at once."""
    ledger = Ledger(slots=1, prefetch=1)
    ledger.grant([lease(1), lease(2)], now=0.0)
    (first,) = started(ledger, now=0.0)
    assert ledger.unannounced() == []
    ledger.finish(first, Outcome(3.0))
    (second,) = started(ledger, now=3.0)
    assert ledger.unannounced() == [second]


def test_starts_are_told_in_messages_that_the_service_takes() -> None:
    """However many wait in the queue and start together: more than it takes would be refused."""
    ledger = Ledger(slots=6000, prefetch=6000)
    ledger.grant([lease(number) for number in range(1, 6001)], now=0.0)
    assert len(started(ledger, now=1.0)) == 6000
    told = ledger.unannounced()
    assert len(told) == 5000
    for attempt in told:
        attempt.announced = True
    assert len(ledger.unannounced()) == 1000


class LedgerMachine(RuleBasedStateMachine):
    """Any order of grants, starts, endings, revocations and lost messages."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(slots=4, prefetch=3)
        self.granted = 0
        self.running: list[Attempt] = []
        self.under_way: list[types_pb2.TaskResult] = []
        self.answered: list[int] = []

    @rule(sizes=st.lists(st.integers(1, 4), max_size=3))
    def grant(self, sizes: list[int]) -> None:
        for size in sizes:
            if self.ledger.held_slots + size <= 7:
                self.granted += 1
                self.ledger.grant([lease(self.granted, size)], now=0.0)

    @rule()
    def start(self) -> None:
        if (attempt := self.ledger.start(0.0)) is not None:
            self.running.append(attempt)

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(0), fails=st.booleans())
    def finish(self, choice: int, fails: bool) -> None:  # Hypothesis draws it.
        attempt = self.running.pop(choice % len(self.running))
        self.ledger.finish(attempt, Outcome(1.0, failure="no" if fails else None))

    @precondition(lambda self: self.granted)
    @rule(choice=st.integers(0))
    def revoke(self, choice: int) -> None:
        self.ledger.revoke([choice % self.granted + 1], "revoked")

    @precondition(lambda self: not self.under_way)
    @rule()
    def send(self) -> None:
        self.under_way = self.ledger.take_results()

    @rule(lost=st.booleans(), arrived=st.integers(0, 10))
    def answer(self, lost: bool, arrived: int) -> None:  # Hypothesis draws it.
        if lost:
            self.ledger.put_back(self.under_way)
        else:
            self.ledger.acknowledged(self.under_way, acks(self.under_way[:arrived]))
            self.answered += [result.lease_id for result in self.under_way[:arrived]]
        self.under_way = []

    @invariant()
    def slots_are_counted(self) -> None:
        held = self.ledger.held()
        running = [attempt for attempt in held if attempt.room is Room.RUNNING]
        assert self.ledger.held_slots == sum(attempt.task.slots for attempt in held)
        assert self.ledger.running_slots == sum(attempt.task.slots for attempt in running)
        assert self.ledger.running_slots <= 4
        assert self.ledger.running == len(running)
        assert self.ledger.queued == len(held) - len(running)

    def teardown(self) -> None:
        """Whatever happened, in the end every lease has been answered exactly once."""
        self.ledger.put_back(self.under_way)
        while not self.ledger.settled:
            while (attempt := self.ledger.start(0.0)) is not None:
                self.running.append(attempt)
            while self.running:
                self.ledger.finish(self.running.pop(), Outcome(1.0))
            results = self.ledger.take_results()
            self.ledger.acknowledged(results, acks(results))
            self.answered += [result.lease_id for result in results]
        assert sorted(self.answered) == list(range(1, self.granted + 1))


TestLedgerMachine = LedgerMachine.TestCase
