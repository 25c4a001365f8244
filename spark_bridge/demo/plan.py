"""Who asks what, and when: the arrivals that every scheduler sees.

Two users, *long*, have some scans each in the application from the beginning, so that the cores are
wanted until the end.  Two users, *short*, ask a small question every other second, one of them a
second after the other.  Arrivals are open: nobody waits for an answer before asking again.

A question is priced by how often it hashes each row.  Both kinds hash, scan and aggregate, so that
they differ in size alone.
"""

from __future__ import annotations

import dataclasses
from typing import Final, Literal

Class = Literal["short", "long"]

#: Hashes per row: a row of a long scan costs about 14 µs on the machine this was written on, and a
#: task of stock Spark's, which reads half the table, five seconds.
_LONG_DEPTH: Final = 3
_SHORT_DEPTH: Final = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Arrival:
    """One query."""

    name: str
    user: str
    kind: Class
    #: Seconds after the first.
    at_seconds: float
    sql: str


def question(table: str, depth: int, above: float) -> str:
    """A scan that hashes each row ``depth`` times, and aggregates."""
    hashed = "payload"
    for _ in range(depth):
        hashed = f"sha2({hashed}, 512)"
    return (
        f"SELECT user_id % 10 AS bucket, count(*) AS rows, sum(crc32({hashed})) AS checksum "  # noqa: S608
        f"FROM {table} WHERE amount > {above} GROUP BY user_id % 10"
    )


def arrivals(seconds: float, scans: int) -> list[Arrival]:
    """The queries of one round: ``scans`` of each long user, short ones for about ``seconds``."""
    found = [
        Arrival(
            f"scan-{user}-{number}",
            f"long-{user}",
            "long",
            0.1 * number,
            question("history", _LONG_DEPTH, 0.001 * number),
        )
        for number in range(scans)
        for user in (1, 2)
    ]
    found += [
        Arrival(
            f"ask-{user}-{number}",
            f"short-{user}",
            "short",
            float(user) + 2 * number,
            question("today", _SHORT_DEPTH, 0.01 * number),
        )
        for user in (1, 2)
        for number in range(int(seconds / 2))
    ]
    return sorted(found, key=lambda arrival: arrival.at_seconds)


def rehearsal() -> list[str]:
    """What each application runs before the clock starts: each question once.

    It loads Spark's classes, compiles what is hot, and, with the bridge, lets the service see what
    these questions cost.
    """
    return [
        question("today", _SHORT_DEPTH, 0.5),
        question("history", _LONG_DEPTH, 0.5),
        question("today", _SHORT_DEPTH, 0.6),
        question("today", _SHORT_DEPTH, 0.4),
    ]
