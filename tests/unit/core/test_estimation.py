"""The estimator, case by case."""

from __future__ import annotations

import json
import math
import random

import pytest

from uwfq_service.core.estimation import (
    MAX_WORK,
    MIN_WORK,
    RECENT_JOBS,
    Error,
    Estimator,
    Source,
)
from uwfq_service.core.history_card import KEPT, SHIFT


def taught(*notes: tuple[str, str, int | None, float]) -> Estimator:
    """An estimator that has seen these (signature, user, bytes, work)."""
    estimator = Estimator(prior_work=5.0)
    for signature, user, input_bytes, work in notes:
        estimator.observe(signature, user, input_bytes, work, predicted=None)
    return estimator


class TestTheChain:
    def test_nothing_known_gives_the_prior(self) -> None:
        """One guess for all, and it says that it is one."""
        prediction = taught().predict("q", "alice", 1000)
        assert (prediction.work, prediction.source) == (5.0, Source.PRIOR)
        assert prediction.observations == 0

    def test_the_most_specific_history_is_used(self) -> None:
        """Signature and user, then signature, then user, then pool."""
        estimator = taught(("q", "alice", None, 3.0), ("r", "bob", None, 100.0))
        assert estimator.predict("q", "alice", None).source == Source.SIGNATURE_USER
        assert estimator.predict("q", "bob", None).source == Source.SIGNATURE
        assert estimator.predict("new", "bob", None).source == Source.USER
        assert estimator.predict("new", "carol", None).source == Source.POOL
        assert estimator.predict("q", "bob", None).work == pytest.approx(3.0)
        assert estimator.predict("new", "bob", None).work == pytest.approx(100.0)

    def test_an_empty_signature_has_no_history(self) -> None:
        """Jobs that say nothing of themselves are not taken for one another."""
        estimator = taught(("", "alice", None, 3.0))
        assert estimator.predict("", "alice", None).source == Source.USER
        assert estimator.predict("", "bob", None).source == Source.POOL

    def test_ones_own_history_outweighs_the_others_as_it_grows(self) -> None:
        """One odd run is not yet a habit; a dozen are."""
        others = [("q", "bob", None, 1.0)] * 30
        once = taught(*others, ("q", "alice", None, 100.0))
        assert 1.0 < once.predict("q", "alice", None).work < 10.0
        often = taught(*others, *[("q", "alice", None, 100.0)] * 12)
        assert often.predict("q", "alice", None).work > 50.0

    def test_observations_say_how_much_it_rests_on(self) -> None:
        """One note is little to go by."""
        estimator = taught(("q", "alice", None, 3.0), ("q", "bob", None, 3.0))
        assert estimator.predict("q", "alice", None).observations == 1
        assert estimator.predict("q", "carol", None).observations == 2


class TestSize:
    @pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
    def test_growth_is_learnt(self, exponent: float) -> None:
        """Work that does not depend on the size, or grows with its root, or in proportion."""
        sizes = [10**6 * 2 ** (n % 6) for n in range(16)]
        estimator = taught(*(("q", "alice", size, 1e-3 * size**exponent) for size in sizes))
        expected = 1e-3 * (10**9) ** exponent
        assert estimator.predict("q", "alice", 10**9).work == pytest.approx(expected)

    def test_one_observation_is_taken_to_be_in_proportion(self) -> None:
        """Twice the bytes, twice the work, until something else is known."""
        estimator = taught(("q", "alice", 1000, 3.0))
        assert estimator.predict("q", "alice", 1000).work == pytest.approx(3.0)
        assert estimator.predict("q", "alice", 2000).work == pytest.approx(6.0)

    def test_an_unknown_size_gives_the_usual_work(self) -> None:
        """Of all notes, with a size or without."""
        estimator = taught(
            ("q", "alice", 1000, 3.0), ("q", "alice", None, 5.0), ("q", "alice", 9000, 7.0)
        )
        assert estimator.predict("q", "alice", None).work == pytest.approx(5.0)

    def test_notes_without_a_size_serve_where_there_are_no_others(self) -> None:
        """A size that nothing can be made of is not held against the job."""
        estimator = taught(("q", "alice", None, 3.0))
        assert estimator.predict("q", "alice", 10**12).work == pytest.approx(3.0)

    def test_a_tiny_input_is_not_extrapolated_to_nothing(self) -> None:
        """What is small has overhead: nothing below a sixteenth of the smallest size seen."""
        estimator = taught(("q", "alice", 16_000, 8.0))
        assert estimator.predict("q", "alice", 1000).work == pytest.approx(0.5)
        assert estimator.predict("q", "alice", 0).work == pytest.approx(0.5)

    def test_next_to_nothing_is_not_extrapolated_to_the_stars(self) -> None:
        """What an empty partition took is overhead; a full one is no million times dearer."""
        empty = taught(("q", "alice", 1_000, 0.5))
        assert empty.predict("q", "alice", 256_000).work == pytest.approx(128.0)
        assert empty.predict("q", "alice", 10**9).work == pytest.approx(128.0)
        empty.observe("q", "alice", 10**9, 60.0, predicted=None)
        assert 20.0 < empty.predict("q", "alice", 10**9).work < 80.0

    @pytest.mark.parametrize("before", [1, 7, 8, 12])
    @pytest.mark.parametrize("size", [118, None])
    def test_a_first_full_one_counts_however_many_were_empty(
        self, before: int, size: int | None
    ) -> None:
        """What grew with size, or did not, among a user's small jobs is not held against it."""
        estimator = taught(*[("q", "alice", size, 0.04)] * before, ("r", "alice", 22_000_000, 2.3))
        assert 0.2 < estimator.predict("s", "alice", 22_000_000).work < 20.0
        copy = Estimator.load(json.loads(json.dumps(estimator.dump())), prior_work=5.0)
        for each in (estimator, copy):
            each.observe("t", "alice", 1_000_000, 0.5, predicted=None)
        assert copy.predict("s", "alice", 500) == estimator.predict("s", "alice", 500)

    def test_zero_bytes_may_be_all_there_is(self) -> None:
        """A size like any other."""
        estimator = taught(*[("q", "alice", 0, 2.0)] * 3)
        assert estimator.predict("q", "alice", 0).work == pytest.approx(2.0)


class TestRobustness:
    def test_outliers_do_not_move_it(self) -> None:
        """However wild, they count as one note each."""
        rng = random.Random(1)
        works = [math.exp(rng.gauss(0, 0.1)) for _ in range(KEPT)]
        works[3] = works[8] = 1e9
        works[12] = 0.0
        estimator = taught(*(("q", "alice", None, work) for work in works))
        assert estimator.predict("q", "alice", None).work == pytest.approx(1.0, rel=0.15)

    def test_a_changed_world_is_followed_soon(self) -> None:
        """After a few runs on one side, the past does not count."""
        notes = [("q", "alice", None, 1.0)] * KEPT + [("q", "alice", None, 3.0)] * SHIFT
        assert taught(*notes).predict("q", "alice", None).work == pytest.approx(3.0)
        assert taught(*notes[:-2]).predict("q", "alice", None).work == pytest.approx(1.0)

    @pytest.mark.parametrize("work", [0.0, -1.0, math.nan, math.inf, -math.inf, 1e-300, 1e300])
    def test_no_estimate_is_zero_or_infinite(self, work: float) -> None:
        """Whatever was measured."""
        for size in (None, 0, 1, 10**18):
            predicted = taught(("q", "alice", 1000, work)).predict("q", "alice", size).work
            assert MIN_WORK <= predicted <= MAX_WORK
            prior = Estimator(prior_work=work).predict("q", "alice", size).work
            assert MIN_WORK <= prior <= MAX_WORK


def test_being_asked_changes_nothing() -> None:
    """What a card works out for one answer is put right by the notes that come and go after it."""
    asked, quiet = taught(), taught()
    for size in [2**10] * 8 + [2**30] * 24:
        for estimator in (asked, quiet):
            estimator.observe("q", "alice", size, size / 2**20, predicted=None)
        asked.predict("q", "alice", size)
    for size in (1, 2**10, 2**20, 2**30, 2**40):
        assert asked.predict("q", "alice", size) == quiet.predict("q", "alice", size)


class TestError:
    def test_it_is_the_ratio_of_measured_to_predicted(self) -> None:
        """Above 1: predicted too low."""
        estimator = taught()
        for work in range(1, 11):
            estimator.observe("q", "alice", None, float(work), predicted=2.0)
        assert estimator.error == Error(jobs=10, p10=0.5, p50=2.5, p90=4.5)

    def test_jobs_without_a_prediction_do_not_count(self) -> None:
        """There is nothing to compare."""
        assert taught(("q", "alice", None, 3.0)).error == Error()

    def test_only_recent_jobs_count(self) -> None:
        """An old mistake is forgotten."""
        estimator = taught()
        for predicted in [1.0] * 10 + [4.0] * RECENT_JOBS:
            estimator.observe("q", "alice", None, 4.0, predicted=predicted)
        assert estimator.error == Error(jobs=RECENT_JOBS, p10=1.0, p50=1.0, p90=1.0)


class TestMemory:
    def test_what_was_not_noted_for_longest_is_forgotten(self) -> None:
        """The number of cards is bounded; the pool's own is noted with every job, so it stays."""
        estimator = Estimator(prior_work=5.0, capacity=6)
        for signature in ("a", "b", "a", "c"):
            estimator.observe(signature, "alice", None, 3.0, predicted=None)
        assert estimator.predict("b", "alice", None).source == Source.USER
        assert estimator.predict("a", "alice", None).source == Source.SIGNATURE_USER
        assert estimator.predict("c", "alice", None).source == Source.SIGNATURE_USER
        assert estimator.predict("d", "bob", None).source == Source.POOL

    def test_what_is_run_once_does_not_drive_out_what_recurs(self) -> None:
        """A notebook's thousand one-off queries, and the dashboard that comes back in between."""
        estimator = Estimator(prior_work=5.0, capacity=40)
        for _ in range(2):
            estimator.observe("dashboard", "olga", None, 3.0, predicted=None)
        for n in range(1000):
            estimator.observe(f"once-{n}", "alice", None, 1.0, predicted=None)
        assert estimator.predict("dashboard", "olga", None).source == Source.SIGNATURE_USER
        assert estimator.predict("once-999", "alice", None).source == Source.SIGNATURE_USER
        assert estimator.predict("once-900", "alice", None).source == Source.USER

    def test_what_recurred_once_makes_room_for_what_recurs_now(self) -> None:
        """Having been seen twice is no right to stay for ever; a newcomer has time to come back."""
        estimator = Estimator(prior_work=5.0, capacity=40)
        for n in range(100):
            for _ in range(2):
                estimator.observe(f"q{n}", "alice", None, 1.0, predicted=None)
                estimator.observe(f"once-{n}", "alice", None, 1.0, predicted=None)
        assert estimator.predict("q99", "alice", None).source == Source.SIGNATURE_USER
        assert estimator.predict("q0", "alice", None).source == Source.USER

    def test_a_dump_is_plain_and_gives_the_same_estimator(self) -> None:
        """Predictions, error and what is forgotten next."""
        estimator = Estimator(prior_work=5.0, capacity=8)
        for n in range(20):
            estimator.observe(f"q{n % 3}", "alice", 10 * n, n / 7, predicted=n / 5)
        loaded = Estimator.load(json.loads(json.dumps(estimator.dump())))
        assert loaded.error == estimator.error
        for one in (estimator, loaded):
            one.observe("new", "bob", None, 1.0, predicted=None)
        assert loaded.dump() == estimator.dump()
        for signature in ("q0", "q1", "q2", "new", "other"):
            for size in (None, 55):
                expected = estimator.predict(signature, "alice", size)
                assert loaded.predict(signature, "alice", size) == expected
