"""A sequence ordered by key that knows the sum of the values up to any key.

Picture a user's queue written on cards, in the order in which the jobs will be served.  "How much
work is there up to and including this job?" must not be answered by walking through the queue: it
is asked at every decision.  So the cards lie in *chunks* of about a hundred, each chunk with its
sum pencilled on it, and every 64 chunks form a *group* with its own sum.  A prefix sum is three
short sums, each one call into C: the groups before, the chunks before, the cards before.

Pencilled sums are never adjusted by differences.  A change makes the chunk's sum stale, and the
next question adds the chunk up anew.  So rounding errors do not pile up, zeros sum to exactly
zero, and every sum depends on nothing but the chunks' contents.  ``dump`` keeps the chunk borders,
hence sums after a restart equal those before it, bit for bit (under the same Python: 3.12 made
``sum`` more exact).

Most users have a handful of jobs: up to ``SPLIT_ABOVE`` items live in one chunk, two plain rows,
and the index over chunks does not exist.  Floats lie side by side in arrays: as objects of a list
they would be scattered over the memory, and adding up a chunk would wait for it a hundred times.

For the same reason a chunk keeps the *ranks* of its keys, their first items, in a row of their own:
a search looks at ranks, and at keys only where ranks are equal.

Units: those of the values (work in slot-seconds, in the scheduler).

Source: the lists of lists of ``sortedcontainers`` (Grant Jenks), which has no sums.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from fractions import Fraction
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

K = TypeVar("K", bound=tuple[Any, ...])
V = TypeVar("V", float, Fraction)

#: What values lie in: an array of floats, or a list of anything else.
Row = MutableSequence[V]

if TYPE_CHECKING:

    def _sum(values: Row[V]) -> V:
        """``sum`` of one kind of number; nothing sums to the 0 that every kind takes."""

else:
    _sum = sum

#: A chunk that grows beyond this is cut in two.  Longer ones gain nothing at any size, and at a
#: million items adding one up costs more: its values lie scattered in memory.
SPLIT_ABOVE: Final = 128
#: A chunk that shrinks below this joins a neighbour, unless it is the first: that one is usually
#: being emptied from its front, and joining would copy for nothing.
JOIN_BELOW: Final = 24
#: Chunks per group.
GROUP: Final = 64


class OrderedSums(Generic[K, V]):
    """Items ``(key, value)`` in ascending order of key, with prefix sums of the values.

    Keys are tuples, unique, and never change while inside: remove, change, add.  If an early part
    of each key is unique, the parts behind it are never compared and may be anything (the job
    itself, say).  Values are >= 0, all floats or all fractions; the sum of nothing is 0.

    ``packed``: the first item of every key is a float.

    Costs O(log n) plus C-speed work on one chunk, per call, unless a method says otherwise.  An
    absent key raises ``KeyError``, except where a method takes any key.
    """

    __slots__ = ("_index", "_packed", "_ranks", "_total", "front_keys", "front_values")

    def __init__(self, *, packed: bool = False) -> None:
        self._packed = packed
        #: The first chunk, and the only one while there is no index.  Others may look at its front,
        #: which is asked for so often that a call would tell.
        self.front_keys: list[K] = []
        self.front_values: Row[V] = []
        #: The first item of each key of the first chunk.
        self._ranks: Row[Any] = _ranks((), packed)
        #: Sum of the only chunk; ``None``: stale.
        self._total: V | None = None
        #: Exists while one chunk is not enough.
        self._index: _Index[K, V] | None = None

    # ------------------------------------------------------------------ change

    def add(self, key: K, value: V) -> None:
        """Put ``key`` in its place.  It must not be inside yet."""
        if self._index is not None:
            self._index.add(key, value)
            return
        keys, ranks = self.front_keys, self._ranks
        self._total = None
        at = bisect_left(ranks, key[0])
        if at < len(keys) and ranks[at] == key[0]:
            at = _place(ranks, keys, key)
            assert at == len(keys) or keys[at] != key, "a key may be inside only once"
        ranks.insert(at, key[0])
        keys.insert(at, key)
        if len(keys) == 1:
            self.front_values = _row([value])
            return
        self.front_values.insert(at, value)
        if len(keys) > SPLIT_ABOVE:
            self._index = _Index([keys], [self.front_values], [ranks], packed=self._packed)
            self._index.split(0)

    def remove(self, key: K) -> V:
        """Take ``key`` out; gives the value that it had."""
        if self._index is not None:
            value = self._index.remove(key)
            self._front_changed()
            return value
        at = _position(self._ranks, self.front_keys, key)
        del self.front_keys[at]
        del self._ranks[at]
        self._total = None
        return self.front_values.pop(at)

    def pop_first(self) -> tuple[K, V]:
        """Take the smallest key out; ``IndexError`` if there is none."""
        if self._index is not None:
            item = self._index.pop_first()
            self._front_changed()
            return item
        self._total = None
        item = self.front_keys.pop(0), self.front_values.pop(0)
        del self._ranks[0]
        return item

    def set_value(self, key: K, value: V) -> None:
        """Give ``key`` another value; its place stays."""
        if self._index is not None:
            self._index.set_value(key, value)
            return
        self.front_values[_position(self._ranks, self.front_keys, key)] = value
        self._total = None

    def increase(self, key: K, amount: V) -> None:
        """Add ``amount`` to the value of ``key``."""
        if self._index is not None:
            self._index.increase(key, amount)
            return
        self.front_values[_position(self._ranks, self.front_keys, key)] += amount
        self._total = None

    def set_first(self, value: V) -> None:
        """Give the smallest key another value, O(1); ``IndexError`` if there is none."""
        self.front_values[0] = value
        if self._index is not None:
            self._index.changed(0)
        else:
            self._total = None

    def _front_changed(self) -> None:
        """Follow the index to its first chunk, and do without it when no other is left."""
        index = self._index
        assert index is not None, "called after a change of the index"
        self.front_keys, self.front_values = index.keys[0], index.values[0]
        self._ranks = index.ranks[0]
        if len(index.keys) == 1:
            self._total = None
            self._index = None

    # ------------------------------------------------------------------ ask

    @property
    def total(self) -> V:
        """Sum of all values; remembered until the next change."""
        if self._index is not None:
            return self._index.total()
        total = self._total
        if total is None:
            total = self._total = _sum(self.front_values)
        return total

    def prefix_sum(self, key: K) -> V:
        """Sum of the values of all keys up to and including ``key``, which may be any key."""
        if self._index is not None:
            return self._index.prefix_sum(key)
        return _sum(self.front_values[: _place_behind(self._ranks, self.front_keys, key)])

    def value(self, key: K) -> V:
        """The value of ``key``."""
        if self._index is not None:
            chunk, at = self._index.find(key)
            return self._index.values[chunk][at]
        return self.front_values[_position(self._ranks, self.front_keys, key)]

    def first(self) -> tuple[K, V]:
        """The smallest key and its value, O(1); ``IndexError`` if there is none."""
        return self.front_keys[0], self.front_values[0]

    def next_after(self, key: K) -> tuple[K, V] | None:
        """The item behind ``key``, which may be any key; ``None`` at the end."""
        if self._index is not None:
            return self._index.next_after(key)
        at = _place_behind(self._ranks, self.front_keys, key)
        return (self.front_keys[at], self.front_values[at]) if at < len(self.front_keys) else None

    def __len__(self) -> int:
        """Number of items; O(1) in one chunk, else O(number of chunks)."""
        if self._index is not None:
            return sum(map(len, self._index.keys))
        return len(self.front_keys)

    def __bool__(self) -> bool:
        """Whether there is any item; O(1)."""
        return bool(self.front_keys)

    def __contains__(self, key: K) -> bool:
        try:
            self.value(key)
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[tuple[K, V]]:
        """All items in order; the sequence must not change meanwhile."""
        if self._index is not None:
            return zip(chain(*self._index.keys), chain(*self._index.values), strict=True)
        return zip(self.front_keys, self.front_values, strict=True)

    # ------------------------------------------------------------------ keep

    def dump(self, dump_key: Callable[[K], Any]) -> list[tuple[list[Any], list[V]]]:
        """The chunks as they lie, (keys, values) each, every key as ``dump_key`` puts it; O(n)."""
        if self._index is not None:
            chunks = zip(self._index.keys, self._index.values, strict=True)
        else:
            chunks = zip([self.front_keys], [self.front_values], strict=True)
        return [(list(map(dump_key, keys)), list(values)) for keys, values in chunks if keys]

    @classmethod
    def load(
        cls,
        chunks: Iterable[tuple[list[Any], list[V]]],
        load_key: Callable[[Any], K],
        *,
        packed: bool = False,
    ) -> OrderedSums[K, V]:
        """What ``dump`` was called on, with the same sums to the last bit; O(n).

        ``load_key`` turns a dumped key into the key.
        """
        loaded = cls(packed=packed)
        keys: list[list[K]] = []
        values: list[Row[V]] = []
        for chunk_keys, chunk_values in chunks:
            keys.append([load_key(key) for key in chunk_keys])
            # A copy: the snapshot stays what it was, so that it can be loaded again.
            values.append(_row(list(chunk_values)))
        ranks = [_ranks(chunk, packed) for chunk in keys]
        if keys:
            loaded.front_keys, loaded.front_values, loaded._ranks = keys[0], values[0], ranks[0]
        if len(keys) > 1:
            loaded._index = _Index(keys, values, ranks, packed=packed)
        return loaded

    def _check(self) -> None:
        """Assert that the parts agree; O(n).  For tests."""
        assert list(self._ranks) == [key[0] for key in self.front_keys], "ranks are true"
        if self._index is not None:
            assert self._ranks is self._index.ranks[0], "the first chunk is at hand"
            assert self.front_keys is self._index.keys[0], "the first chunk is at hand"
            assert self.front_values is self._index.values[0], "the first chunk is at hand"
            self._index.check()
            return
        assert len(self.front_keys) == len(self.front_values), "each key has a value"
        assert len(self.front_keys) <= SPLIT_ABOVE, "a chunk is cut when it is too long"
        assert all(a < b for a, b in pairwise(self.front_keys)), "sorted"
        assert self._total is None or self._total == sum(self.front_values), (
            "a sum that is kept is true"
        )


class _Index(Generic[K, V]):
    """Many chunks, with the sums over them.  Always at least one chunk, none of them empty."""

    __slots__ = (
        "groups",
        "keys",
        "last_keys",
        "last_ranks",
        "ranks",
        "stale",
        "sums",
        "values",
        "whole",
    )

    def __init__(
        self, keys: list[list[K]], values: list[Row[V]], ranks: list[Row[Any]], *, packed: bool
    ) -> None:
        self.keys: list[list[K]] = keys
        self.values: list[Row[V]] = values
        self.ranks: list[Row[Any]] = ranks
        #: Last key of each chunk: where a key belongs is found by bisection here, then there.
        self.last_keys = [chunk[-1] for chunk in keys]
        self.last_ranks: Row[Any] = _ranks(self.last_keys, packed)
        #: Sum of each chunk; not to be read while the chunk's number is in ``stale``.
        self.sums: Row[V] = _row([_sum(chunk) for chunk in values])
        self.stale: set[int] = set()
        #: Sum of each group of chunks; ``None``: to be made anew, as chunk numbers have shifted.
        self.groups: Row[V] | None = None
        #: Sum of everything; ``None``: stale.
        self.whole: V | None = None

    def find(self, key: K) -> tuple[int, int]:
        """The chunk that holds ``key``, and its position there."""
        chunk = _place(self.last_ranks, self.last_keys, key)
        if chunk == len(self.keys):
            raise KeyError(key)
        return chunk, _position(self.ranks[chunk], self.keys[chunk], key)

    def add(self, key: K, value: V) -> None:
        chunk = _place(self.last_ranks, self.last_keys, key)
        if chunk == len(self.keys):
            chunk -= 1
            keys = self.keys[chunk]
            at = len(keys)
            self.last_keys[chunk] = key
            self.last_ranks[chunk] = key[0]
        else:
            keys = self.keys[chunk]
            ranks = self.ranks[chunk]
            at = _place(ranks, keys, key)
            assert ranks[at] != key[0] or keys[at] != key, "a key may be inside only once"
        keys.insert(at, key)
        self.ranks[chunk].insert(at, key[0])
        self.values[chunk].insert(at, value)
        self.stale.add(chunk)
        self.whole = None
        if len(keys) > SPLIT_ABOVE:
            self.split(chunk)

    def remove(self, key: K) -> V:
        chunk, at = self.find(key)
        keys = self.keys[chunk]
        del keys[at]
        del self.ranks[chunk][at]
        value = self.values[chunk].pop(at)
        self.stale.add(chunk)
        self.whole = None
        if len(keys) < JOIN_BELOW and (chunk or not keys):
            self._shrink(chunk)
        elif at == len(keys):
            self.last_keys[chunk] = keys[-1]
            self.last_ranks[chunk] = keys[-1][0]
        return value

    def pop_first(self) -> tuple[K, V]:
        keys = self.keys[0]
        item = keys.pop(0), self.values[0].pop(0)
        del self.ranks[0][0]
        self.stale.add(0)
        self.whole = None
        if not keys:
            self._shrink(0)
        return item

    def set_value(self, key: K, value: V) -> None:
        chunk, at = self.find(key)
        self.values[chunk][at] = value
        self.changed(chunk)

    def increase(self, key: K, amount: V) -> None:
        chunk, at = self.find(key)
        self.values[chunk][at] += amount
        self.changed(chunk)

    def changed(self, chunk: int) -> None:
        """A value of ``chunk`` is another one."""
        self.stale.add(chunk)
        self.whole = None

    def prefix_sum(self, key: K) -> V:
        chunk = _place(self.last_ranks, self.last_keys, key)
        if chunk == len(self.keys):
            return self.total()
        behind = _place_behind(self.ranks[chunk], self.keys[chunk], key)
        inside = _sum(self.values[chunk][:behind])
        if not chunk:
            # The front of the queue, which is asked most: nothing before it has to be known.
            return inside
        group = chunk // GROUP
        groups = self._fresh_groups()
        # In this order the sum up to the last key is the total, to the last bit where `sum` adds
        # plainly from left to right (up to Python 3.11; later ones compensate, which is as good).
        return _sum(groups[:group]) + (_sum(self.sums[group * GROUP : chunk]) + inside)

    def total(self) -> V:
        whole = self.whole
        if whole is None:
            whole = self.whole = _sum(self._fresh_groups())
        return whole

    def next_after(self, key: K) -> tuple[K, V] | None:
        chunk = _place_behind(self.last_ranks, self.last_keys, key)
        if chunk == len(self.keys):
            return None
        at = _place_behind(self.ranks[chunk], self.keys[chunk], key)
        return self.keys[chunk][at], self.values[chunk][at]

    # ------------------------------------------------------------------ sums

    def _fresh_groups(self) -> Row[V]:
        """Add up what is stale; each change is paid for once, however many questions follow."""
        groups = self.groups
        stale = self.stale
        if stale:
            for chunk in stale:
                self.sums[chunk] = _sum(self.values[chunk])
            if groups is not None:
                for group in {chunk // GROUP for chunk in stale}:
                    groups[group] = _sum(self.sums[group * GROUP : (group + 1) * GROUP])
            stale.clear()
        if groups is None:
            sums = self.sums
            groups = _row([_sum(sums[at : at + GROUP]) for at in range(0, len(sums), GROUP)])
            self.groups = groups
        return groups

    # ------------------------------------------------------------------ borders

    def split(self, chunk: int) -> None:
        """Cut a chunk in the middle."""
        self._settle()
        keys, values, ranks = self.keys[chunk], self.values[chunk], self.ranks[chunk]
        middle = len(keys) // 2
        self.ranks.insert(chunk + 1, ranks[middle:])
        del ranks[middle:]
        self.keys.insert(chunk + 1, keys[middle:])
        self.values.insert(chunk + 1, values[middle:])
        del keys[middle:]
        del values[middle:]
        self.last_keys.insert(chunk, keys[-1])
        self.last_ranks.insert(chunk, keys[-1][0])
        self.sums[chunk] = _sum(values)
        self.sums.insert(chunk + 1, _sum(self.values[chunk + 1]))

    def _shrink(self, chunk: int) -> None:
        """Let a short chunk join its neighbour before it, or an empty one go."""
        self._settle()
        keys, values = self.keys.pop(chunk), self.values.pop(chunk)
        ranks = self.ranks.pop(chunk)
        del self.last_keys[chunk]
        del self.last_ranks[chunk]
        del self.sums[chunk]
        if not keys:
            return
        before = chunk - 1
        self.keys[before] += keys
        self.values[before] += values
        self.ranks[before] += ranks
        self.last_keys[before] = keys[-1]
        self.last_ranks[before] = keys[-1][0]
        if len(self.keys[before]) > SPLIT_ABOVE:
            self.split(before)
        else:
            self.sums[before] = _sum(self.values[before])

    def _settle(self) -> None:
        """Note that chunk numbers are about to shift: what is kept by number ends here."""
        for chunk in self.stale:
            self.sums[chunk] = _sum(self.values[chunk])
        self.stale.clear()
        self.groups = None

    def check(self) -> None:
        assert len(self.keys) == len(self.values) == len(self.last_keys) == len(self.sums) > 1
        for number, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
            assert len(keys) == len(values) <= SPLIT_ABOVE, "a chunk is cut when it is too long"
            assert len(keys) >= (JOIN_BELOW if number else 1), "a short chunk joins another"
            assert self.last_keys[number] == keys[-1], "the index knows where chunks end"
            assert self.last_ranks[number] == keys[-1][0], "the index knows where chunks end"
            assert list(self.ranks[number]) == [key[0] for key in keys], "ranks are true"
            assert number in self.stale or self.sums[number] == sum(values), "sums are true"
        keys = list(chain(*self.keys))
        assert all(a < b for a, b in pairwise(keys)), "sorted, each key once"
        groups = self._fresh_groups()
        assert list(groups) == [
            sum(self.sums[at : at + GROUP]) for at in range(0, len(self.sums), GROUP)
        ], "group sums are true"
        assert self.whole is None or self.whole == sum(groups), "the total is true"


def _row(values: list[V]) -> Row[V]:
    """A row for values of one kind."""
    if type(values[0]) is float:
        return cast("Row[V]", array("d", values))
    return values


def _ranks(keys: Iterable[tuple[Any, ...]], packed: bool) -> Row[Any]:
    """The first items of ``keys``."""
    ranks = [key[0] for key in keys]
    return array("d", ranks) if packed else ranks


def _place(ranks: Row[Any], keys: list[K], key: K) -> int:
    """Where ``key`` is, or would have to be put in."""
    rank = key[0]
    at = bisect_left(ranks, rank)
    # To look at a key of the list is to wait for the memory; to compare identities is not.
    if at < len(keys) and keys[at] is not key and ranks[at] == rank:
        at = bisect_left(keys, key, at, bisect_right(ranks, rank, at))
    return at


def _place_behind(ranks: Row[Any], keys: list[K], key: K) -> int:
    """Where what follows ``key`` is."""
    at = bisect_left(ranks, key[0])
    if at < len(keys) and keys[at] is key:
        return at + 1
    return bisect_right(keys, key, at, bisect_right(ranks, key[0], at))


def _position(ranks: Row[Any], keys: list[K], key: K) -> int:
    """Where ``key`` is; ``KeyError`` if it is not."""
    at = bisect_left(ranks, key[0])
    if at < len(keys) and keys[at] is key:
        return at
    at = _place(ranks, keys, key)
    if at == len(keys) or keys[at] != key:
        raise KeyError(key)
    return at
