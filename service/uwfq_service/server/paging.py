"""Pages of jobs and users: stable while things come and go, and never long on the event loop.

A page token says where the next page begins (the number of a job, the name of a user) and which
query it belongs to.  It is opaque to callers and holds no state here, so it never expires.  What is
added or removed between two pages neither repeats nor hides what was there all along.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from uwfq.v1 import types_pb2 as types
from uwfq_service.core.errors import InvalidField
from uwfq_service.core.model import Job
from uwfq_service.core.scheduler import Scheduler

Place = TypeVar("Place", int, str)

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1000

#: Jobs looked at for one page: a filter that few pass must not hold up everybody else.
MAX_SCAN: Final = 20_000

#: Stages in one page of jobs, so that jobs of many stages make shorter pages.
STAGE_BUDGET: Final = 10_000

#: What a page of jobs takes, but for one that takes more alone: clients of gRPC take in 4 MiB by
#: default.
PAGE_BYTES: Final = 7 * 512 * 1024


def page_size(asked: int) -> int:
    """How many to return: what was asked for within the limit, or the default."""
    return min(asked, MAX_PAGE) or DEFAULT_PAGE


class _Token(msgspec.Struct, array_like=True, frozen=True):
    #: Checksum of the query.
    query: int
    #: Where to go on, exclusive.
    after: int | str


def write_token(query: tuple[object, ...], after: int | str) -> str:
    """The token of the page that follows ``after``."""
    packed = msgspec.msgpack.encode(_Token(_checksum(query), after))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_token(token: str, query: tuple[object, ...], kind: type[Place]) -> Place | None:
    """Where to go on; ``None`` for the first page."""
    if not token:
        return None
    remedy = "must be the next_page_token of the same query, or empty for the first page"
    try:
        packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        parsed = msgspec.msgpack.decode(packed, type=_Token)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidField("page_token", remedy) from None
    if parsed.query != _checksum(query) or not isinstance(parsed.after, kind):
        raise InvalidField("page_token", remedy)
    return parsed.after


def _checksum(query: tuple[object, ...]) -> int:
    return zlib.crc32(repr(query).encode())


def jobs_before(scheduler: Scheduler, number: int | None) -> Iterator[tuple[int, Job | None]]:
    """Jobs below a number, newest first, with gaps where one is forgotten; but no wide ones.

    An old job may wait while millions come and go.
    """
    jobs = scheduler.state.jobs_by_number
    newest = scheduler.state.next_job if number is None else number
    oldest = next(iter(jobs), newest)
    if newest - oldest > MAX_SCAN + 2 * len(jobs):
        # They lie there in the order of their numbers.
        yield from ((other, jobs[other]) for other in reversed(jobs) if other < newest)
        return
    for candidate in range(newest - 1, oldest - 1, -1):
        yield candidate, jobs.get(candidate)


def scan(
    jobs: Iterable[tuple[int, Job | None]], *, wanted: Callable[[Job], bool], size: int
) -> tuple[list[Job], int | None]:
    """The first ``size`` wanted jobs, and the number that the next page goes on from.

    The page ends early when it has looked at ``MAX_SCAN`` numbers, or has ``STAGE_BUDGET`` stages
    in it.  ``None``: there is no next page.
    """
    page: list[Job] = []
    last: int | None = None
    stages = 0
    for looked_at, (number, job) in enumerate(jobs):
        if len(page) == size or looked_at == MAX_SCAN or stages >= STAGE_BUDGET:
            return page, last
        last = number
        if job is not None and wanted(job):
            page.append(job)
            stages += len(job.stages)
    return page, None


def fitting(jobs: Iterable[types.Job]) -> list[types.Job]:
    """As many of a page's jobs as it has room for, and the first one in any case."""
    page: list[types.Job] = []
    room = PAGE_BYTES
    for job in jobs:
        room -= job.ByteSize()
        if room < 0 and page:
            break
        page.append(job)
    return page


def names_after(names: Iterable[str], after: str | None, size: int) -> list[str]:
    """The ``size`` smallest names beyond ``after``, ascending.  O(names)."""
    candidates = names if after is None else (name for name in names if name > after)
    return heapq.nsmallest(size, candidates)
