"""Predicts work from what similar jobs took before.

Picture a drawer of index cards.  Every finished job leaves a note (bytes read, work measured) on
four cards: that of its signature under its user, of its signature, of its user, and of the pool.  A
card holds the latest two dozen notes.  To predict, take the most specific card there is; with none,
say the configured prior.  The stages of a job of several have cards of their own, by their names: a
stage says nothing about a whole job.

A stage that says what it runs has its cards in a second drawer: that of its signature under its
user, of its signature, and of all such stages of its user and of the pool.  The two drawers hold
signatures of their own kind each, and one of a stage is never taken for one of a job.

The cards of a signature are read for what to expect.  Those of a user and of the pool are about
other work, and what they give is a *guess*.  A guess that is too low does much harm, one that is
too high hardly any (the simulator's README has figures), so of those cards not the middle is read
but a value that most notes lie below.  How a card is read says ``history_card.py``.  A user's own
level is drawn towards the signature's, as if ``PULL`` notes said what that says: one odd run is not
yet a habit.

What a user declares is not predicted, but some are wrong in the same way each time.  A third drawer
has a card for each user, of how that turned out, measured / declared.  What three quarters of its
notes agree upon is the *calibration*, by which the user's next declaration is multiplied: noise has
its notes on either side of 1 and leaves declarations alone, a habit has them on one.  There is no
card for all users: nobody's declarations are to suffer from another's.

What is predicted depends on the notes alone, not on when it was asked for.  The numbers here and of
the cards were chosen by ``tests/bench/bench_estimator.py``, those of the third drawer by what
``tests/bench/published.py`` shows with ``--kept``.

Units: work in slot-seconds, sizes in bytes.

Source: pulling small samples to their group, James and Stein 1961.  The paper assumes that runtimes
are known (arXiv:2510.15485, section 4).
"""

from __future__ import annotations

import enum
import math
from collections import OrderedDict, deque
from typing import Any, Final

import msgspec

from uwfq_service.core.history_card import NO_SIZE, Card, nearest_rank

#: What a card is found by: drawer, subject, user.
_Key = tuple[str, str, str]

#: What is predicted lies in this range, whatever was measured.
MIN_WORK: Final = 1e-6
MAX_WORK: Final = 1e12
#: Notes that the signature's level counts for against a user's own.
PULL: Final = 2.0
#: Part of the notes that a guess is not below, from a user's card and from the pool's.
USER_QUANTILE: Final = 0.8
POOL_QUANTILE: Final = 0.9
#: How many declarations there must be before what they agree on counts; the least factor (its ln)
#: worth the trouble, and the largest, beyond which it is no habit but another unit.
LEAST_DECLARATIONS: Final = 2
LEAST_CALIBRATION: Final = math.log(1.1)
LARGEST_CALIBRATION: Final = math.log(100)
#: Part of the cards that those with a single note may keep from older ones.  It is the time that a
#: new signature has to come back in.
NEWCOMERS: Final = 0.25
#: Jobs that the error is taken over.
RECENT_JOBS: Final = 512


class Source(enum.StrEnum):
    """Where an estimate comes from, most specific first."""

    #: The caller said so; never the estimator's own answer.
    DECLARED = enum.auto()
    #: The caller said so, times what such declarations were off by before (``calibration``).
    CALIBRATED = enum.auto()
    #: History of this signature (the stage's, else the job's) under this user.
    SIGNATURE_USER = enum.auto()
    #: History of this signature (the stage's, else the job's), whoever ran it.
    SIGNATURE = enum.auto()
    #: History of this user.
    USER = enum.auto()
    #: History of the pool.
    POOL = enum.auto()
    #: The configured prior: nothing is known yet.
    PRIOR = enum.auto()


#: Sources that the caller is behind.
DECLARATIONS: Final = frozenset({Source.DECLARED, Source.CALIBRATED})
#: Sources that know nothing of what is run.
GUESSES: Final = frozenset({Source.USER, Source.POOL, Source.PRIOR})


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """Predicted work, and what it rests on."""

    #: Slot-seconds; never 0, never infinite.
    work: float
    source: Source
    #: Notes that it rests on, up to the card's size; 0 for the prior.
    observations: int = 0


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of measured work / predicted work over recent jobs: above 1, it was too low."""

    #: Jobs that they are taken over; the quantiles are 0 when there are none.
    jobs: int = 0
    p10: float = 0.0
    p50: float = 0.0
    p90: float = 0.0


#: The drawers.
_JOBS: Final = "jobs"
_STAGES: Final = "stages"


class Estimator:
    """Predicts work in one pool, and learns from what was measured there.

    ``prior_work`` (slot-seconds) is the answer while nothing is known.  At most ``capacity`` cards
    are kept, and as many of declarations.  When there is no room, the least recently noted one
    goes, but those with a single note before all others as long as they are many: what is run
    once and never again does not drive out what recurs.
    """

    def __init__(self, *, prior_work: float, capacity: int = 10_000) -> None:
        assert capacity >= 4, "one job's notes go on four cards"
        self._prior_work = prior_work
        self._capacity = capacity
        #: By (drawer, subject, user), the least recently noted first.  A subject is a signature or
        #: "" for any, among jobs with "/name" behind it for a stage.  User "": whoever.
        self._cards: OrderedDict[_Key, Card] = OrderedDict()
        #: Of those the ones with a single note, the oldest first.
        self._noted_once: OrderedDict[_Key, None] = OrderedDict()
        #: Of declarations, by user.  Apart, so that no number of signatures drives them out.
        self._declared: OrderedDict[str, Card] = OrderedDict()
        #: Measured / predicted, latest last.
        self._ratios: deque[float] = deque(maxlen=RECENT_JOBS)

    def predict(
        self,
        signature: str,
        user: str,
        input_bytes: int | None,
        *,
        stage: str = "",
        stage_signature: str = "",
    ) -> Prediction:
        """The work to expect of a job, or of one ``stage`` of a job of several.

        ``signature`` is the job's.  An empty one has no history; ``None`` bytes: unknown.  About 2
        us; after a new note on the cards in question some 10 us more.
        """
        size = _ln_bytes(input_bytes)
        any_job = f"/{stage}" if stage else ""
        if stage_signature and (known := self._recall(_STAGES, stage_signature, user, size)):
            return known
        if signature and (known := self._recall(_JOBS, signature + any_job, user, size)):
            return known
        cards = self._cards
        for whose, source, part in (
            (user, Source.USER, USER_QUANTILE),
            ("", Source.POOL, POOL_QUANTILE),
        ):
            card = cards.get((_JOBS, any_job, whose))
            if card is None and stage_signature:
                card = cards.get((_STAGES, "", whose))
            if card is not None:
                return _prediction(card.quantile(size, part), source, card)
        return Prediction(work=_within_range(self._prior_work), source=Source.PRIOR)

    def _recall(self, drawer: str, subject: str, user: str, size: float) -> Prediction | None:
        """What the cards of a signature say; ``None``: there are none."""
        general = self._cards.get((drawer, subject, ""))
        if general is None:
            return None
        exponent = general.exponent
        expected = general.expect(size, exponent)
        own = self._cards.get((drawer, subject, user))
        if own is None:
            return _prediction(expected, Source.SIGNATURE, general)
        count = len(own.works)
        expected = (count * own.expect(size, exponent) + PULL * expected) / (count + PULL)
        return _prediction(expected, Source.SIGNATURE_USER, own)

    def knows(self, signature: str, user: str = "") -> bool:
        """Whether whole jobs of a signature (empty: any) have been seen, under a user if given."""
        return (_JOBS, signature, user) in self._cards

    def observe(
        self,
        signature: str,
        user: str,
        input_bytes: int | None,
        work_measured: float,
        *,
        predicted: float | None,
        stage: str = "",
    ) -> None:
        """Learn what a job, or one ``stage`` of a job of several, took.  O(1).

        ``predicted`` (slot-seconds) counts towards the error.
        """
        work = _within_range(work_measured)
        if predicted is not None:
            self._ratios.append(work / _within_range(predicted))
        any_job = f"/{stage}" if stage else ""
        subjects = (signature + any_job, any_job) if signature else (any_job,)
        self._note(_JOBS, subjects, user, input_bytes, work)

    def calibration(self, user: str) -> float:
        """What to multiply by what ``user`` declares; 1 unless that is habitually off.

        About 1 us; after a new note 4 us more.
        """
        card = self._declared.get(user)
        if card is None or len(card.works) < LEAST_DECLARATIONS:
            return 1.0
        agreed = card.agreed()
        if abs(agreed) < LEAST_CALIBRATION:
            return 1.0
        return math.exp(max(-LARGEST_CALIBRATION, min(agreed, LARGEST_CALIBRATION)))

    def observe_declared(self, user: str, declared: float, work_measured: float) -> None:
        """Learn what a job took whose work was declared.  O(1)."""
        ratio = _within_range(work_measured) / _within_range(declared)
        card = self._declared.get(user)
        if card is None:
            if len(self._declared) == self._capacity:
                self._declared.popitem(last=False)
            card = self._declared[user] = Card()
        else:
            self._declared.move_to_end(user)
        card.note(NO_SIZE, math.log(ratio))

    def observe_stage(
        self, signature: str, user: str, input_bytes: int | None, work_measured: float
    ) -> None:
        """Learn what a stage took that says what it runs.  O(1)."""
        assert signature, "a stage that says nothing is observed by its name"
        self._note(_STAGES, (signature, ""), user, input_bytes, _within_range(work_measured))

    def _note(
        self,
        drawer: str,
        subjects: tuple[str, ...],
        user: str,
        input_bytes: int | None,
        work: float,
    ) -> None:
        """Add a note to the cards of the subjects, the most general last: it is forgotten last."""
        size, ln_work = _ln_bytes(input_bytes), math.log(work)
        for subject in subjects:
            for whose in (user, ""):
                self._card((drawer, subject, whose)).note(size, ln_work)

    def _card(self, key: _Key) -> Card:
        """The card that is to be noted on; for a new one another may have to go."""
        card = self._cards.get(key)
        if card is None:
            if len(self._cards) == self._capacity:
                self._forget_one()
            card = self._cards[key] = Card()
            self._noted_once[key] = None
        else:
            self._cards.move_to_end(key)
            self._noted_once.pop(key, None)
        return card

    def _forget_one(self) -> None:
        if len(self._noted_once) > NEWCOMERS * self._capacity:
            key, _ = self._noted_once.popitem(last=False)
            del self._cards[key]
        else:
            key, _ = self._cards.popitem(last=False)
            self._noted_once.pop(key, None)

    @property
    def error(self) -> Error:
        """How far the predictions of recent jobs were off; O(n log n) in their number."""
        ratios = sorted(self._ratios)
        if not ratios:
            return Error()
        p10, p50, p90 = (nearest_rank(ratios, part) for part in (0.1, 0.5, 0.9))
        return Error(jobs=len(ratios), p10=p10, p50=p50, p90=p90)

    def dump(self) -> dict[str, Any]:
        """All that is known, in plain values; O(n)."""
        return {
            "prior_work": self._prior_work,
            "capacity": self._capacity,
            # Those of jobs do not name their drawer: there was one only.
            "cards": [
                [subject, user, card.sizes.tolist(), card.works.tolist()]
                + ([] if drawer == _JOBS else [drawer])
                for (drawer, subject, user), card in self._cards.items()
            ],
            "declared": [[user, card.works.tolist()] for user, card in self._declared.items()],
            "ratios": list(self._ratios),
        }

    @classmethod
    def load(cls, image: dict[str, Any], *, prior_work: float | None = None) -> Estimator:
        """The estimator that ``dump`` was called on: the same predictions to the last bit; O(n).

        With ``prior_work``, that is the answer while nothing is known, whatever it was then.
        """
        if prior_work is None:
            prior_work = image["prior_work"]
        loaded = cls(prior_work=prior_work, capacity=image["capacity"])
        for subject, user, sizes, works, *named in image["cards"]:
            (drawer,) = named or (_JOBS,)
            card = loaded._cards[drawer, subject, user] = Card()
            card.sizes.extend(sizes)
            card.works.extend(works)
            if len(works) == 1:
                loaded._noted_once[drawer, subject, user] = None
        # Older images have none.
        for user, ratios in image.get("declared", ()):
            card = loaded._declared[user] = Card()
            card.sizes.extend([NO_SIZE] * len(ratios))
            card.works.extend(ratios)
        loaded._ratios.extend(image["ratios"])
        return loaded


# ---------------------------------------------------------------------- arithmetic


def _within_range(work: float) -> float:
    """``work``, or the nearest that an estimate may be; the least for what is not a number."""
    if work > MIN_WORK:
        return work if work < MAX_WORK else MAX_WORK
    return MIN_WORK


def _ln_bytes(input_bytes: int | None) -> float:
    """The ln of a size, of 0 as of 1 byte."""
    return NO_SIZE if input_bytes is None else math.log(max(input_bytes, 1))


def _prediction(ln_work: float, source: Source, card: Card) -> Prediction:
    # A steep extrapolation may leave the range of floats.
    work = _within_range(math.exp(min(ln_work, 700.0)))
    return Prediction(work=work, source=source, observations=len(card.works))
