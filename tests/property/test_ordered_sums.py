"""The order structure against a plain sorted list, in floats and in exact fractions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from uwfq_service.core import ordered_sums
from uwfq_service.core.ordered_sums import OrderedSums

Key = tuple[float, int, object]


class NeverCompared:
    """Stands for the job in a key: looking at it means that the unique part was not enough."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise AssertionError("keys are told apart by their first two items")

    __lt__ = __gt__ = __le__ = __ge__ = __eq__


class AgainstAList(RuleBasedStateMachine):
    """Whatever is done to the structure, a sorted list of items says the same of it."""

    number: Callable[[int], Any] = Fraction
    packed = False

    @initialize()
    def start(self) -> None:
        self.sums: OrderedSums[Key, Any] = OrderedSums(packed=self.packed)
        self.items: list[tuple[Key, Any]] = []
        self.seq = 0

    def some_item(self, draw: float) -> tuple[int, Key]:
        at = int(draw * len(self.items))
        return at, self.items[at][0]

    @rule(
        finishes=st.lists(st.integers(0, 9), min_size=1, max_size=12),
        value=st.integers(0, 2**40),
    )
    def add(self, finishes: list[int], value: int) -> None:
        for finish in finishes:
            self.seq += 1
            key = (float(finish), self.seq, NeverCompared())
            self.sums.add(key, self.number(value))
            self.items.append((key, self.number(value)))
            self.items.sort(key=lambda item: item[0][:2])

    @precondition(lambda self: self.items)
    @rule(draws=st.lists(st.floats(0, 1, exclude_max=True), max_size=6))
    def remove(self, draws: list[float]) -> None:
        for draw in draws:
            if self.items:
                at, key = self.some_item(draw)
                assert self.sums.remove(key) == self.items.pop(at)[1]
                assert key not in self.sums
                with pytest.raises(KeyError):
                    self.sums.remove(key)

    @precondition(lambda self: self.items)
    @rule(count=st.integers(1, 12))
    def pop_first(self, count: int) -> None:
        for _ in range(min(count, len(self.items))):
            key, value = self.sums.pop_first()
            expected_key, expected_value = self.items.pop(0)
            assert key is expected_key
            assert value == expected_value

    @precondition(lambda self: self.items)
    @rule(draw=st.floats(0, 1, exclude_max=True), value=st.integers(0, 2**40))
    def set_value(self, draw: float, value: int) -> None:
        at, key = self.some_item(draw)
        self.sums.set_value(key, self.number(value))
        self.items[at] = (key, self.number(value))

    @precondition(lambda self: self.items)
    @rule(draw=st.floats(0, 1, exclude_max=True), amount=st.integers(0, 2**40))
    def increase(self, draw: float, amount: int) -> None:
        at, key = self.some_item(draw)
        self.sums.increase(key, self.number(amount))
        self.items[at] = (key, self.items[at][1] + self.number(amount))

    @rule()
    def ask_for_the_total(self) -> None:
        """Not an invariant: sums that nobody asked for must survive further changes."""
        self.compare(self.sums.total, sum(value for _, value in self.items))

    @precondition(lambda self: self.items)
    @rule(draw=st.floats(0, 1, exclude_max=True))
    def ask_about_a_key(self, draw: float) -> None:
        at, key = self.some_item(draw)
        self.compare(self.sums.prefix_sum(key), sum(v for _, v in self.items[: at + 1]))
        assert self.sums.value(key) == self.items[at][1]
        assert key in self.sums
        behind = self.items[at + 1] if at + 1 < len(self.items) else None
        assert self.sums.next_after(key) == behind

    @rule(finish=st.integers(-1, 10), seq=st.integers(0, 500))
    def ask_about_any_key(self, finish: int, seq: int) -> None:
        key = (finish + 0.5, seq, NeverCompared())
        up_to = [item for item in self.items if item[0][:2] <= key[:2]]
        self.compare(self.sums.prefix_sum(key), sum(value for _, value in up_to))
        behind = self.items[len(up_to)] if len(up_to) < len(self.items) else None
        assert self.sums.next_after(key) == behind
        assert key not in self.sums

    @rule()
    def dump_and_load(self) -> None:
        """A copy made from a dump agrees bit for bit, and is what we go on with."""
        jobs = {key[1]: key for key, _ in self.items}
        dumped = self.sums.dump(lambda key: key[1])
        copy: OrderedSums[Key, Any] = OrderedSums.load(dumped, jobs.__getitem__, packed=self.packed)
        assert copy.total == self.sums.total
        assert [copy.prefix_sum(k) for k, _ in copy] == [self.sums.prefix_sum(k) for k, _ in copy]
        self.sums = copy

    @invariant()
    def same_items(self) -> None:
        self.sums._check()
        assert list(self.sums) == self.items
        assert len(self.sums) == len(self.items)
        assert bool(self.sums) == bool(self.items)
        if self.items:
            assert self.sums.first() == self.items[0]

    def compare(self, got: Any, expected: Any) -> None:
        assert got == expected


class AgainstAListInFloats(AgainstAList):
    """The same in floats: within rounding, and with the ranks of the keys packed."""

    number = float
    packed = True

    def compare(self, got: Any, expected: Any) -> None:
        assert got == pytest.approx(expected, rel=1e-12)


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    """Borders move often when chunks and groups are short."""
    patch = pytest.MonkeyPatch()
    patch.setattr(ordered_sums, "SPLIT_ABOVE", 6)
    patch.setattr(ordered_sums, "JOIN_BELOW", 2)
    patch.setattr(ordered_sums, "GROUP", 3)
    yield
    patch.undo()


TestExact = AgainstAList.TestCase
TestFloats = AgainstAListInFloats.TestCase
for case in (TestExact, TestFloats):
    case.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def made(values: list[float]) -> OrderedSums[Key, float]:
    """A sequence of these values, in this order."""
    sums: OrderedSums[Key, float] = OrderedSums()
    for seq, value in enumerate(values):
        sums.add((0.0, seq, NeverCompared()), value)
    return sums


def test_what_comes_and_goes_leaves_no_rounding_error_behind() -> None:
    """Sums are made anew, never adjusted: after huge values have gone, small ones are exact."""
    sums = made([0.1] * 20)
    before = sums.total
    keys = [(1.0, 100 + seq, NeverCompared()) for seq in range(20)]
    for key in keys:
        sums.add(key, 1e17)
        assert sums.total > before
    for key in keys:
        sums.remove(key)
    assert sums.total == pytest.approx(before, rel=1e-15)


def test_zeros_sum_to_exactly_zero() -> None:
    """A chain of jobs that the fluid cluster has served has nothing left, to the last bit."""
    sums = made([0.1 * n for n in range(100)])
    for key, _ in list(sums):
        sums.set_value(key, 0.0)
    assert sums.total == 0.0
    assert all(sums.prefix_sum(key) == 0.0 for key, _ in sums)


def test_an_empty_sequence_says_so() -> None:
    """Nothing sums to 0; there is no first item to take."""
    sums = made([])
    assert sums.total == 0
    assert sums.prefix_sum((1.0, 1, None)) == 0
    assert sums.next_after((1.0, 1, None)) is None
    assert sums.dump(lambda key: key) == []
    with pytest.raises(IndexError):
        sums.first()
    with pytest.raises(IndexError):
        sums.pop_first()
