"""How much work to hand out: measured on this machine, so that a phase takes as long as wished.

A row group costs ``parse + searches x match`` seconds.  Both are measured in a second or so, with
all slots busy at once, as they will be.  Then the number of search patterns is chosen such that
the work of all jobs fills the slots for the time wished.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import time
from typing import Final

from uwfq_service.demo import query
from uwfq_service.demo.dataset import Dataset, LogFile, Shape

#: Part of the slots' time that is planned for: the rest goes to merges, start and end of a phase.
_PLANNED: Final = 0.90
#: Part of the work that the two small users bring.
_SMALL_SHARE: Final = 0.22


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The outline of a run, before the machine is measured."""

    #: Slots of the machine: as many tasks run at once.
    slots: int
    #: How long a phase should take, seconds.
    phase_seconds: float
    #: Jobs of the user with the huge jobs; more than slots, so that her tasks could fill them.
    huge_jobs: int
    #: Jobs of each user with small jobs.
    small_jobs: int
    shape: Shape
    #: How long the tasks should run that the service cuts, seconds.
    advisory_task_runtime: float
    #: How long to measure, seconds.
    measure_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What every job reads and searches for; the same in all phases."""

    #: Row groups that the huge jobs read of each file of history.
    history_groups: int
    huge_searches: int
    small_searches: int
    #: Seconds that a row group was measured to take, parsing alone and per search pattern.
    parse_seconds: float
    match_seconds: float


def scale_for(slots: int, phase_seconds: float, *, quick: bool) -> Scale:
    """The outline for a machine of ``slots`` slots."""
    if quick:
        shape = Shape(history_files=3, history_groups=8, today_files=max(2, slots), today_groups=2)
        small_jobs, measure = 5, 0.3
    else:
        shape = Shape(history_files=6, history_groups=16, today_files=max(2, slots), today_groups=2)
        small_jobs, measure = 10, 1.0
    huge_jobs = slots + 1
    huge_file = (1 - _SMALL_SHARE) * _PLANNED * phase_seconds * slots
    huge_file /= huge_jobs * shape.history_files
    return Scale(
        slots=slots,
        phase_seconds=phase_seconds,
        huge_jobs=huge_jobs,
        small_jobs=small_jobs,
        shape=shape,
        # An eighth of what a file takes: small against the files that an engine would cut by.
        advisory_task_runtime=round(huge_file / 8, 3),
        measure_seconds=measure,
    )


def measure(dataset: Dataset, scale: Scale) -> Sizes:
    """Measure the machine with all slots busy, and size the jobs."""
    few, many = 2, 12
    with concurrent.futures.ThreadPoolExecutor(max_workers=scale.slots) as pool:

        def seconds(searches: int) -> float:
            budget = scale.measure_seconds / 2
            file = dataset.today[0]
            each = [
                pool.submit(_seconds_per_group, file, searches, budget) for _ in range(scale.slots)
            ]
            return sum(future.result() for future in each) / len(each)

        seconds_few, seconds_many = seconds(few), seconds(many)
    # On a disturbed machine the second measurement may come out below the first.
    match = max((seconds_many - seconds_few) / (many - few), seconds_few / 50)
    parse = max(seconds_few - few * match, match)
    return _sizes(scale, parse, match)


def _seconds_per_group(file: LogFile, searches: int, budget: float) -> float:
    """Median time to scan one row group, seconds; measured for about ``budget`` seconds."""
    patterns = query.patterns(searches)
    units = [query.Unit(path=file.path, group=group) for group in range(len(file.group_bytes))]
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begun < budget:
        start, start_cpu = time.perf_counter(), time.thread_time()
        query.scan([units[len(times) % len(units)]], patterns)
        elapsed, cpu = time.perf_counter() - start, time.thread_time() - start_cpu
        # What else runs now may be over in a minute: it counts, but only up to half the machine.
        times.append(min(elapsed, 2 * cpu))
    return sorted(times)[len(times) // 2]


def _sizes(scale: Scale, parse: float, match: float) -> Sizes:
    """Spread the planned work over the jobs."""
    work = _PLANNED * scale.phase_seconds * scale.slots
    shape = scale.shape
    huge_file = (1 - _SMALL_SHARE) * work / (scale.huge_jobs * shape.history_files)
    groups = shape.history_groups
    # A slow machine reads less of each file rather than search for nothing.
    while groups > 1 and (huge_file / groups - parse) / match < 2:
        groups -= 1
    small_group = _SMALL_SHARE * work / (2 * scale.small_jobs)
    small_group /= shape.today_files * shape.today_groups
    return Sizes(
        history_groups=groups,
        huge_searches=_searches((huge_file / groups - parse) / match),
        small_searches=_searches((small_group - parse) / match),
        parse_seconds=parse,
        match_seconds=match,
    )


def _searches(wished: float) -> int:
    # Beyond that the patterns repeat so often that a very fast machine better gets short phases.
    return min(max(round(wished), 1), 2_000)
