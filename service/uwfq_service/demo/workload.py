"""Who asks what, and when: the same jobs at the same instants in every phase.

*olga* hunts for attack patterns through the whole history: a few huge jobs, one soon after the
other.  *alice* and *bob* look at today's files while she does: small jobs, one every few seconds,
that somebody waits for.  Every job has two stages: ``scan`` its files, then ``merge`` what the
scans found.

Only the cut differs between phases.  Without runtime partitioning the caller cuts ``scan`` by
file, as an engine would by itself; with it, the caller describes the row groups and leaves the cut
to the service.  Nobody declares any work: the service learns from a warm-up what a byte costs.
"""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Final

from uwfq_client import Input, InputRange, Stage
from uwfq_service.demo import query
from uwfq_service.demo.dataset import Dataset, LogFile
from uwfq_service.demo.sizing import Scale, Sizes

#: The user with the huge jobs, then those with the small ones.
USERS: Final = ("olga", "alice", "bob")
KIND: Final = "search-logs"
SCAN: Final = "scan"
MERGE: Final = "merge"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """One job: what it reads, and when it arrives."""

    name: str
    user: str
    #: Seconds after the start of the phase.
    arrives: float
    files: tuple[LogFile, ...]
    #: Row groups that are read of each file, from its beginning.
    groups: int
    searches: int

    @property
    def signature(self) -> str:
        """What is asked, without the files: jobs with one signature cost alike per byte."""
        return f"{KIND} searches={self.searches}"

    def stages(self, results: Path, *, partitioned: bool, runtime: float) -> list[Stage]:
        """The job as the service is told; ``runtime`` is how long its tasks should run, seconds."""
        payload = json.dumps(
            {
                "directory": str(self.files[0].path.parent),
                "files": [file.path.name for file in self.files],
                "groups": self.groups,
                "searches": self.searches,
                "results": str(results / self.name),
            }
        ).encode()
        sizes = [file.group_bytes[: self.groups] for file in self.files]
        if partitioned:
            scan = Stage(
                SCAN,
                input=Input([size for file in sizes for size in file]),
                payload=payload,
                advisory_task_runtime_seconds=runtime,
            )
        else:
            scan = Stage(
                SCAN,
                tasks=len(sizes),
                task_bytes=[sum(file) for file in sizes],
                payload=payload,
            )
        return [scan, Stage(MERGE, after=[SCAN], tasks=1, payload=payload)]


def plan(dataset: Dataset, scale: Scale, sizes: Sizes) -> list[JobPlan]:
    """All jobs of a phase, in the order of their arrival."""
    # A fixed seed: the arrivals are part of the experiment, not of its noise.
    random_number = random.Random(20_251_015)
    olga, *others = USERS
    jobs = [
        JobPlan(
            name=f"{olga}-{number + 1}",
            user=olga,
            arrives=number * 0.2 * scale.phase_seconds / scale.huge_jobs,
            files=dataset.history,
            groups=sizes.history_groups,
            searches=sizes.huge_searches,
        )
        for number in range(scale.huge_jobs)
    ]
    # They stop early enough that olga still has work when the last of them arrives.
    first, last = 0.06 * scale.phase_seconds, 0.68 * scale.phase_seconds
    gap = (last - first) / scale.small_jobs
    for user in others:
        jobs.extend(
            JobPlan(
                name=f"{user}-{number + 1}",
                user=user,
                arrives=first + (number + random_number.random()) * gap,
                files=dataset.today,
                groups=scale.shape.today_groups,
                searches=sizes.small_searches,
            )
            for number in range(scale.small_jobs)
        )
    return sorted(jobs, key=lambda job: job.arrives)


def warm_up(jobs: list[JobPlan]) -> list[JobPlan]:
    """A few tiny jobs of each user and signature, so that the service knows what a byte costs.

    They also bring the numbers of the stages to two digits.  ``fair`` breaks ties by the *text* of
    that number, as Spark does, and in a long-running application all numbers are equally long.
    """
    first_of = {job.user: job for job in reversed(jobs)}
    return [
        dataclasses.replace(
            job,
            name=f"warm-up-{job.user}-{number + 1}",
            arrives=0.0,
            files=job.files[number % len(job.files) :][:1],
            groups=1,
        )
        for number in range(2)
        for job in first_of.values()
    ]


def units_of(payload: bytes, index: int, covered: InputRange | None) -> list[query.Unit]:
    """The row groups that one scan task reads: those of its range, or those of its file."""
    told = json.loads(payload)
    groups: int = told["groups"]
    if covered is None:
        wanted = range(index * groups, (index + 1) * groups)
    else:
        wanted = range(covered.begin_unit, covered.end_unit)
    directory = Path(told["directory"])
    return [
        query.Unit(path=directory / told["files"][unit // groups], group=unit % groups)
        for unit in wanted
    ]
