"""What the order structure costs per operation, at sizes from one user's few jobs to a million.

Run it with ``python -m tests.bench.bench_ordered_sums``.  Each figure is the median of five rounds
(one at a million), in microseconds per operation.  ``add+sum`` asks for the prefix sum after each
add, which is what a submission does; ``pop+sum`` asks for the new head's after each pop.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from time import perf_counter

from uwfq_service.core.ordered_sums import OrderedSums

SIZES = (10, 50, 1_000, 100_000, 1_000_000)
OPERATIONS = 20_000
Key = tuple[float, int, None]
Sums = OrderedSums[Key, float]


def filled(size: int, rng: random.Random) -> tuple[Sums, list[Key]]:
    """A structure of ``size`` items in random order, and its keys in the order of their adding."""
    sums: Sums = OrderedSums()
    keys: list[Key] = [(rng.random() * 1e6, seq, None) for seq in range(size)]
    for key in keys:
        sums.add(key, rng.random())
    return sums, keys


def measure(action: Callable[[int], object], count: int) -> float:
    """Microseconds per call."""
    start = perf_counter()
    for i in range(count):
        action(i)
    return (perf_counter() - start) / count * 1e6


def row(size: int) -> dict[str, float]:
    """One round at one size: each operation on a random key, the size staying what it is."""
    rng = random.Random(size)
    sums, keys = filled(size, rng)
    fresh: list[Key] = [(rng.random() * 1e6, size + i, None) for i in range(size)]
    rng.shuffle(keys)
    count = min(OPERATIONS, size)
    rounds = OPERATIONS // count if size < OPERATIONS else 1
    out: dict[str, list[float]] = {}

    def note(name: str, action: Callable[[int], object]) -> None:
        out.setdefault(name, []).append(measure(action, count))

    def add_and_sum(i: int) -> None:
        sums.add(fresh[i], 1.0)
        sums.prefix_sum(fresh[i])

    def set_and_total(i: int) -> None:
        sums.set_value(keys[i], 3.0)
        assert sums.total > 0

    def pop_and_sum(_: int) -> None:
        key, _value = sums.pop_first()
        popped.append(key)
        if sums:
            sums.prefix_sum(sums.first()[0])

    for _ in range(rounds):
        popped: list[Key] = []
        note("add", lambda i: sums.add(fresh[i], 1.0))
        note("remove", lambda i: sums.remove(fresh[i]))
        note("add+sum", add_and_sum)
        for key in fresh[:count]:
            sums.remove(key)
        note("prefix_sum", lambda i: sums.prefix_sum(keys[i]))
        note("set_value", lambda i: sums.set_value(keys[i], 2.0))
        note("set+total", set_and_total)
        note("next_after", lambda i: sums.next_after(keys[i]))
        note("pop+sum", pop_and_sum)
        for key in popped:
            sums.add(key, 1.0)
    return {name: statistics.median(values) for name, values in out.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    sizes = parser.parse_args().sizes
    empty = measure(lambda _: None, OPERATIONS)
    print(f"us per operation, median of rounds (an empty call, included: {empty:.2f})")
    names: list[str] = []
    for size in sizes:
        rounds = [row(size) for _ in range(1 if size >= 1_000_000 else 5)]
        if not names:
            names = list(rounds[0])
            print(f"{'size':>9}" + "".join(f"{name:>12}" for name in names))
        medians = [statistics.median(r[name] for r in rounds) for name in names]
        print(f"{size:>9}" + "".join(f"{median:>12.2f}" for median in medians))


if __name__ == "__main__":
    main()
