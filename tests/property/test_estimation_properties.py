"""What the estimator must keep, whatever it is told."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwfq_service.core.estimation import (
    LEAST_DECLARATIONS,
    MAX_WORK,
    MIN_WORK,
    NEWCOMERS,
    Estimator,
    Source,
)
from uwfq_service.core.history_card import BLOCK, KEPT

Note = tuple[str, str, int | None, float]

sizes = st.none() | st.integers(0, 2**60)
notes = st.tuples(
    st.sampled_from(["", "a", "b", "c"]),
    st.sampled_from(["alice", "bob"]),
    sizes,
    st.floats(allow_nan=True, allow_infinity=True),
)
questions = st.tuples(
    st.sampled_from(["", "a", "b", "z"]), st.sampled_from(["alice", "zoe"]), sizes
)


def taught(history: list[Note], capacity: int = 10_000) -> Estimator:
    """An estimator that has seen ``history``."""
    estimator = Estimator(prior_work=1.0, capacity=capacity)
    for note in history:
        estimator.observe(*note, predicted=1.0)
    return estimator


@given(history=st.lists(notes, max_size=60), question=questions)
def test_every_estimate_can_be_used(
    history: list[Note], question: tuple[str, str, int | None]
) -> None:
    """No estimate is 0, infinite or not a number, however odd the measurements."""
    estimator = taught(history)
    assert MIN_WORK <= estimator.predict(*question).work <= MAX_WORK
    error = estimator.error
    assert error.jobs == len(history)
    assert 0 <= error.p10 <= error.p50 <= error.p90 < math.inf


@given(history=st.lists(notes, max_size=60), question=questions)
def test_the_source_is_the_most_specific_history(
    history: list[Note], question: tuple[str, str, int | None]
) -> None:
    """It says what the estimate rests on."""
    signature, user, _ = question
    if signature and any(note[:2] == (signature, user) for note in history):
        expected = Source.SIGNATURE_USER
    elif signature and any(note[0] == signature for note in history):
        expected = Source.SIGNATURE
    elif any(note[1] == user for note in history):
        expected = Source.USER
    else:
        expected = Source.POOL if history else Source.PRIOR
    assert taught(history).predict(*question).source == expected


@given(
    history=st.lists(notes, max_size=60),
    asked=st.lists(st.tuples(st.integers(0, 59), questions), max_size=20),
    capacity=st.integers(4, 12),
    cut=st.integers(0, 60),
)
def test_asking_and_restarting_change_nothing(
    history: list[Note],
    asked: list[tuple[int, tuple[str, str, int | None]]],
    capacity: int,
    cut: int,
) -> None:
    """The same notes give the same answers: what was asked in between leaves no trace."""
    quiet = taught(history, capacity)
    busy = Estimator(prior_work=1.0, capacity=capacity)
    for number, note in enumerate(history):
        if number == cut:
            busy = Estimator.load(busy.dump())
        for when, question in asked:
            if when == number:
                busy.predict(*question)
        busy.observe(*note, predicted=1.0)
    assert busy.dump() == quiet.dump()
    for _, question in asked:
        assert busy.predict(*question) == quiet.predict(*question)


@given(history=st.lists(notes, max_size=200), capacity=st.integers(4, 12))
def test_memory_is_bounded(history: list[Note], capacity: int) -> None:
    """No more cards than allowed, and no more notes on one than it holds."""
    image = taught(history, capacity).dump()
    assert len(image["cards"]) <= capacity
    assert all(len(card[3]) < KEPT + BLOCK for card in image["cards"])


@given(
    history=st.lists(
        st.tuples(st.sampled_from(["", *"abcdefgh"]), st.sampled_from(["alice", "bob"])),
        max_size=60,
    ),
    capacity=st.integers(4, 24),
)
def test_the_cards_are_those_of_a_slow_reckoning(
    history: list[tuple[str, str]], capacity: int
) -> None:
    """Least recently noted first; before all others those noted once, if they are many."""
    kept: dict[tuple[str, str], int] = {}
    for signature, user in history:
        for subject in dict.fromkeys([signature, ""]):
            for whose in (user, ""):
                if (subject, whose) not in kept and len(kept) == capacity:
                    once = [key for key, notes in kept.items() if notes == 1]
                    del kept[(once if len(once) > NEWCOMERS * capacity else list(kept))[0]]
                kept[subject, whose] = kept.pop((subject, whose), 0) + 1
    image = taught([(*note, None, 1.0) for note in history], capacity).dump()
    assert [(subject, user) for subject, user, *_ in image["cards"]] == list(kept)


@given(works=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=KEPT))
def test_without_sizes_it_stays_within_what_was_measured(works: list[float]) -> None:
    """And of a handful it is the median."""
    estimator = taught([("q", "alice", None, work) for work in works])
    work = estimator.predict("q", "alice", None).work
    assert min(works) * 0.999 <= work <= max(works) * 1.001
    if len(works) <= 5:
        middle = math.exp(statistics.median(map(math.log, works)))
        assert work == pytest.approx(middle)


@given(
    level=st.floats(10, 1e3),
    exponent=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1.25]),
    jitter=st.lists(st.floats(0.5, 2.0), min_size=8, max_size=KEPT - 1),
    wild=st.none()
    | st.tuples(st.integers(0, 7), st.integers(0, 30), st.sampled_from([1e-5, 1e11])),
    size=st.integers(2**7, 2**45),
)
def test_a_power_law_is_found_in_spite_of_an_outlier(
    level: float,
    exponent: float,
    jitter: list[float],
    wild: tuple[int, int, float] | None,
    size: int,
) -> None:
    """Sizes far apart show how work grows; one wild value does not hide it."""

    def work(input_bytes: int) -> float:
        law: float = level * (input_bytes / 2**25) ** exponent
        return law

    # From 1 KiB to 1 TiB, one after another far apart.
    spread = [int(2 ** (10 + n * 7 % 31) * factor) for n, factor in enumerate(jitter)]
    told: list[Note] = [("q", "alice", input_bytes, work(input_bytes)) for input_bytes in spread]
    if wild is not None:
        place, power, value = wild
        told.insert(place, ("q", "alice", 2 ** (10 + power), value))
    predicted = taught(told).predict("q", "alice", size).work
    assert predicted == pytest.approx(max(work(size), MIN_WORK), rel=0.01)


@given(ratios=st.lists(st.floats(1e-3, 1e3), max_size=60))
def test_a_calibration_is_what_three_in_four_agree_upon(ratios: list[float]) -> None:
    """At least so many of the notes on the card were off by that much or more, to that side."""
    estimator = Estimator(prior_work=1.0)
    for ratio in ratios:
        estimator.observe_declared("alice", 1.0, ratio)
    factor = estimator.calibration("alice")
    count = len(ratios)
    # The card drops its oldest notes by the block.
    kept = ratios if count < KEPT + BLOCK else ratios[-(KEPT + (count - KEPT) % BLOCK) :]
    beyond = [
        ratio >= factor * (1 - 1e-9) if factor > 1 else ratio <= factor * (1 + 1e-9)
        for ratio in kept
    ]
    assert 0.0099 < factor < 101
    assert factor == 1 or (count >= LEAST_DECLARATIONS and sum(beyond) >= 0.75 * len(kept))
