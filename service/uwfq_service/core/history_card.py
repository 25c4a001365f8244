"""One card: what the latest notes on one subject say of the next job.

A note is what a job read and what it took; ``estimation.py`` says whose cards there are.

A card is read in logarithms, where noise is symmetric and "twice as much" is one step anywhere:

    ln work = level + exponent x ln bytes

The *exponent* says how work grows with size: 0 not at all, 1 in proportion, above 1 faster.  It is
the one of ``EXPONENTS`` that leaves the least absolute error; a user's own card borrows it from the
signature's, which has seen more sizes.  The *level* is the median of what remains, so wild values
move it no further than mild ones.  When the latest five all lie on one side of it, the world has
changed and the level follows them.

Units: ln of work in slot-seconds, ln of sizes in bytes.

Source: medians against outliers, Huber 1964.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

#: How work may grow with size.
EXPONENTS: Final = (1.0, 0.75, 0.5, 0.25, 0.0, 1.25)
#: What a step of 1 away from proportional growth counts for, in units of ln: where two notes fit
#: everything, work is taken to grow with size.
EXPONENT_DOUBT: Final = 0.3
#: A card drops its oldest notes by the block, and has ``KEPT`` or a few more.
BLOCK: Final = 8
KEPT: Final = 16
#: So many latest notes on one side of the level move it.
SHIFT: Final = 5
#: Sizes below the smallest seen by more than this factor (its ln) are not extrapolated to: what is
#: small has overhead, and a low estimate does more harm than a high one.
BELOW_SEEN: Final = math.log(16)
#: Nor to those above the largest by more than this: of a job that read next to nothing the work is
#: overhead, which does not grow.  A charge that is too low is corrected by the first tasks, but one
#: a million times too high keeps a job from starting any.
ABOVE_SEEN: Final = math.log(256)
#: Part of the notes on declarations that must agree that these were too low, or too high.
AGREED: Final = 0.75
#: ln bytes of a note without a size.
NO_SIZE: Final = -1.0


class Card:
    """The latest notes on one subject.  What is derived from them is made when it is asked for."""

    __slots__ = (
        "_agreed",
        "_exponent",
        "_largest",
        "_level",
        "_level_exponent",
        "_reach",
        "_smallest",
        "_unsized",
        "sizes",
        "works",
    )

    def __init__(self) -> None:
        #: ln bytes (``NO_SIZE``: unknown) and ln work of each note, oldest first.
        self.sizes = array("d")
        self.works = array("d")

        #: The ln bytes up to which a note leaves the exponent as it is until a block is full.
        self._reach = NO_SIZE
        #: Derived; ``None``: stale.  The exponent, the level under ``_level_exponent``, the
        #: smallest ln bytes (with it the largest), and the level of all notes regardless of size.
        self._exponent: float | None = None
        self._level: float | None = None
        self._level_exponent = 0.0
        self._smallest: float | None = None
        self._largest = 0.0
        self._unsized: float | None = None
        self._agreed: float | None = None

    def note(self, size: float, work: float) -> None:
        """Add a note."""
        works = self.works
        self.sizes.append(size)
        works.append(work)
        count = len(works)
        if count <= BLOCK or not count % BLOCK or size > self._reach:
            self._exponent = None
            if count == KEPT + BLOCK:
                del self.sizes[:BLOCK]
                del works[:BLOCK]
                self._smallest = None
        if self._smallest is not None and size >= 0:
            self._smallest = min(size, self._smallest)
            self._largest = max(size, self._largest)
        self._level = self._unsized = self._agreed = None

    @property
    def exponent(self) -> float:
        """How work grows with size.  Chosen anew when a block is full, as it seldom changes."""
        if self._exponent is None:
            count = len(self.works)
            whole = count if count < BLOCK else count - count % BLOCK
            sizes, works = _sized(self.sizes[:whole], self.works[:whole])
            self._reach = max(sizes) + ABOVE_SEEN if sizes else NO_SIZE
            if max(self.sizes[whole:], default=NO_SIZE) > self._reach:
                # What small jobs show of growth is not extrapolated to one that is far larger.
                sizes, works = _sized(self.sizes, self.works)
                self._reach = -math.inf
            self._exponent = _best_exponent(sizes, works) if sizes else EXPONENTS[0]
        return self._exponent

    def level_at(self, size: float, exponent: float) -> float | None:
        """The ln of the work to expect at ln bytes ``size``; ``None``: no note says its size."""
        if self._level is None or self._level_exponent != exponent:
            if self._smallest is None:
                known = [size for size in self.sizes if size >= 0]
                if not known:
                    return None
                self._smallest, self._largest = min(known), max(known)
            sizes, works = _sized(self.sizes, self.works)
            self._level = _level([w - exponent * s for s, w in zip(sizes, works, strict=True)])
            self._level_exponent = exponent
        assert self._smallest is not None, "made together with the level"
        return self._level + exponent * _near(size, self._smallest, self._largest)

    def level(self) -> float:
        """The ln of the work to expect of a job whose size is unknown."""
        if self._unsized is None:
            self._unsized = _level(self.works)
        return self._unsized

    def quantile(self, size: float, part: float) -> float:
        """The ln of a work that ``part`` of the notes do not exceed.  Some 10 us."""
        sizes, works = _sized(self.sizes, self.works)
        if size < 0 or not sizes:
            return nearest_rank(sorted(self.works), part)
        exponent = self.exponent
        rest = sorted(w - exponent * s for s, w in zip(sizes, works, strict=True))
        return nearest_rank(rest, part) + exponent * _near(size, min(sizes), max(sizes))

    def agreed(self) -> float:
        """The value nearest to 0 that ``AGREED`` of the notes lie beyond; 0: they disagree."""
        if self._agreed is None:
            ordered = sorted(self.works)
            low, high = nearest_rank(ordered, 1 - AGREED), nearest_rank(ordered, AGREED)
            self._agreed = max(low, 0.0) + min(high, 0.0)
        return self._agreed

    def expect(self, size: float, exponent: float) -> float:
        """The ln of the work to expect, of a known size or not."""
        if size >= 0:
            expected = self.level_at(size, exponent)
            if expected is not None:
                return expected
        return self.level()


# ---------------------------------------------------------------------- arithmetic


def _near(size: float, smallest: float, largest: float) -> float:
    """The ln of a size, not too far from what has been seen."""
    return min(max(size, smallest - BELOW_SEEN), largest + ABOVE_SEEN)


def _sized(
    sizes: Sequence[float], works: Sequence[float]
) -> tuple[Sequence[float], Sequence[float]]:
    """The notes that say their size."""
    if NO_SIZE not in sizes:
        return sizes, works
    kept = [(s, w) for s, w in zip(sizes, works, strict=True) if s >= 0]
    return [s for s, _ in kept], [w for _, w in kept]


def _best_exponent(sizes: Sequence[float], works: Sequence[float]) -> float:
    """The exponent with the least sum of absolute residuals; the first of those that are equal."""
    if max(sizes) == min(sizes):
        return EXPONENTS[0]
    best, least = EXPONENTS[0], math.inf
    for exponent in EXPONENTS:
        rest = sorted(w - exponent * s for s, w in zip(sizes, works, strict=True))
        # The sum of distances from the median: the upper half less the lower.
        half = len(rest) // 2
        loss = sum(rest[-half:]) - sum(rest[:half]) if half else 0.0
        loss += EXPONENT_DOUBT * abs(exponent - 1)
        if loss < least - 1e-9:
            best, least = exponent, loss
    return best


def _level(values: Sequence[float]) -> float:
    """The median, or that of the latest ``SHIFT`` values if all of them lie on one side of it."""
    median = _median(values)
    if len(values) > SHIFT:
        latest = values[-SHIFT:]
        if min(latest) > median or max(latest) < median:
            return _median(latest)
    return median


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def nearest_rank(ordered: Sequence[float], part: float) -> float:
    """The least of the values, in order, that ``part`` of them do not exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]
