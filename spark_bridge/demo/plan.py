"""Who asks what, and when: the arrivals that every scheduler sees.

Two users, *long*, have some scans each in the application from the beginning, so that the cores are
wanted until the end.  Two users, *short*, ask a small question every other second, one of them a
second after the other.  Arrivals are open: nobody waits for an answer before asking again.

A question is priced by how often it hashes each row, its *depth*.  Both kinds hash, scan and
aggregate, so that they differ in size alone.  How deep that has to be for the cores to be wanted
until the end depends on the machine: ``depth_for`` says it, once a scan has been timed there.
"""

from __future__ import annotations

import dataclasses
from typing import Final, Literal

Class = Literal["short", "long"]

#: Seconds that a long scan should take alone, and so each of stock Spark's tasks of it: as many as
#: there are slots.
SCAN_SECONDS: Final = 6.0
#: The depth of the scan that is timed to find out.
TIMED_DEPTH: Final = 6
#: Deeper questions make methods too large for the JVM to compile.
MAX_DEPTH: Final = 60
#: A long scan is so many times as deep as a short question.
_LONG_OVER_SHORT: Final = 3


def depth_for(seconds: float) -> int:
    """The depth of long scans on a machine where one of ``TIMED_DEPTH`` took ``seconds`` alone."""
    return max(1, min(MAX_DEPTH, round(TIMED_DEPTH * SCAN_SECONDS / seconds)))


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


def long_question(depth: int, above: float) -> str:
    """What the long users ask: ``depth`` hashes of each row with an amount (below 1) above that."""
    return question("history", depth, above)


def short_question(depth: int, above: float) -> str:
    """What the short users ask, where long scans have that ``depth``."""
    return question("today", max(1, round(depth / _LONG_OVER_SHORT)), above)


def arrivals(seconds: float, scans: int, depth: int) -> list[Arrival]:
    """The queries of one round: ``scans`` of each long user, short ones for about ``seconds``.

    ``depth``: of the long scans.
    """
    found = [
        Arrival(
            f"scan-{user}-{number}",
            f"long-{user}",
            "long",
            0.1 * number,
            long_question(depth, 0.001 * number),
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
            short_question(depth, 0.01 * number),
        )
        for user in (1, 2)
        for number in range(int(seconds / 2))
    ]
    return sorted(found, key=lambda arrival: arrival.at_seconds)


def rehearsal(depth: int) -> list[str]:
    """What each application runs before the clock starts: each question once.

    It loads Spark's classes, compiles what is hot, and, with the bridge, lets the service see what
    these questions cost.  Like those of the rounds they leave out next to no rows: what a question
    leaves out is no part of its signature, so that one which skips half of the rows would have the
    others cut half as finely as they should be.
    """
    return [
        short_question(depth, 0.002),
        long_question(depth, 0.002),
        short_question(depth, 0.003),
        short_question(depth, 0.004),
    ]
