"""A service's own record as a workload: what its users really submitted, and what it really took.

The journal of a live service tells of every job when it was submitted, how its stages depended on
each other, and how long each of its tasks ran.  That is a workload.  Reading goes on beside the
service that writes it, and changes nothing there.

What becomes of what:

* A job that **succeeded** is taken as it was.
* One that **failed or was cancelled** is taken with the tasks that it had finished: the pool has
  spent that time on it.  Without any it is left out, and counted.
* One that has **not ended** is left out, and counted: nobody knows its size yet.
* One that began before the history does is left out, and counted.
* Attempts that led to nothing (failed, expired, superseded) are no part of a job's true work.
* A task that occupies **several slots** becomes as many tasks of one slot each: the work stays, the
  wish to run at once is lost.
* A stage that was **added later** to an open job has a *delay*, from the end of the stages that it
  waits for (or the submission, if there are none) to its addition: the time that its driver needed.
  If it names no stage and all earlier ones were done by then, its driver had waited for them
  without saying so.  Stages that were known in time have no delay.
* Whether a user waited for one job's result before submitting the next cannot be told: every
  submission has an instant of its own.
* Weights are those that hold now.  A pool that is not of a fixed size has as many slots as it had
  for most of the time (the median, while there were any).

Units: seconds from the first submission; work in slot-seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from uwfq_service.core.estimation import DECLARATIONS
from uwfq_service.simulator.importers.recorder import RecordedJob, RecordedStage, Recorder
from uwfq_service.simulator.workload import (
    MAX_NAME_BYTES,
    MAX_TEXT_BYTES,
    VERSION,
    JobSpec,
    StageSpec,
    UserSpec,
    Workload,
    WorkloadError,
    check,
)
from uwfq_service.store import JournalDamaged, StoreError, read_history
from uwfq_service.store.pools import PoolRecord, read_pools

#: Told how many events have been read so far.
Progress = Callable[[int], None]

#: Events between two calls of ``progress``.
_PROGRESS_STEP: Final = 10_000
#: Digits that a clock of microseconds is good for.
_DIGITS: Final = 6


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A workload out of a journal, and what of the journal is not in it."""

    workload: Workload
    #: Jobs of the pool that have not ended.
    unfinished: int = 0
    #: Jobs of the pool that ended without having finished a task.
    without_work: int = 0
    #: Jobs, of any pool, that had begun before the history does.
    cut_off: int = 0

    @property
    def left_out(self) -> str:
        """What is missing, as part of a sentence; empty: nothing."""
        counted = (
            (self.unfinished, "not finished"),
            (self.without_work, "without any finished task"),
            (self.cut_off, "older than the history"),
        )
        return ", ".join(
            f"{count} job{'' if count == 1 else 's'} {how}" for count, how in counted if count
        )


def read_recording(
    data_dir: Path, *, pool: str = "default", progress: Progress | None = None
) -> Recording:
    """What users submitted to ``pool`` of the service whose data directory this is.

    Safe beside the running service.  Raises ``WorkloadError``, with the remedy, for a directory
    that is none, that is too new or damaged, for an unknown pool, and for one without a finished
    job.
    """
    try:
        pools = read_pools(data_dir)
        if pool not in pools:
            raise _unknown(pool, sorted(pools), data_dir)
        recorder = Recorder(pool)
        for number, event in enumerate(read_history(data_dir), start=1):
            recorder.note(event)
            if progress is not None and not number % _PROGRESS_STEP:
                progress(number)
    except StoreError as error:
        raise WorkloadError("", str(error)) from error
    except LookupError as error:
        # An event that names a stage, say, which its job has not: no service writes that.
        damaged = JournalDamaged(f"the journal of {data_dir} contradicts itself")
        raise WorkloadError("", str(damaged)) from error
    except OSError as error:
        raise WorkloadError("", f"cannot be read ({error.strerror})", str(data_dir)) from error
    return _recording(recorder, pools[pool], f"{data_dir.resolve().name}/{pool}", data_dir)


def _unknown(pool: str, known: Sequence[str], data_dir: Path) -> WorkloadError:
    have = f"it has {', '.join(known)}" if known else "it has none: no service has run there yet"
    return WorkloadError("", f"there is no pool {pool!r}; {have}", str(data_dir))


def _recording(recorder: Recorder, pool: PoolRecord, name: str, data_dir: Path) -> Recording:
    jobs = [job for job in recorder.ended if job.has_work]
    if not jobs:
        raise WorkloadError(
            "",
            f"pool {recorder.pool!r} has no finished work yet ({len(recorder.unfinished)} jobs "
            "under way); let the service finish some first",
            str(data_dir),
        )
    # They ended in another order than that of their submission.
    jobs.sort(key=lambda job: job.admitted.job)
    users = dict.fromkeys(job.admitted.user for job in jobs)
    workload = Workload(
        version=VERSION,
        name=name.encode()[:MAX_TEXT_BYTES].decode(errors="ignore"),
        slots=pool.fixed_slots or recorder.usual_slots(pool.workers),
        users=tuple(UserSpec(user=user, weight=pool.weights.get(user, 1.0)) for user in users),
        jobs=jobs_of(jobs),
    )
    try:
        check(workload)
    except WorkloadError as error:
        raise WorkloadError(error.place, error.message, str(data_dir)) from error
    return Recording(
        workload=workload,
        unfinished=len(recorder.unfinished),
        without_work=len(recorder.ended) - len(jobs),
        cut_off=recorder.cut_off,
    )


def jobs_of(recorded: Sequence[RecordedJob]) -> tuple[JobSpec, ...]:
    """Jobs that have ended, the first that was submitted first, as a workload has them."""
    begin = recorded[0].admitted.at
    names: set[str] = set()
    jobs = []
    for job in recorded:
        admitted = job.admitted
        name = _new_name(admitted.job_id, admitted.job, names)
        names.add(name)
        jobs.append(
            JobSpec(
                job=name,
                user=admitted.user,
                submit=round(admitted.at - begin, _DIGITS),
                signature=admitted.signature,
                input_bytes=_input_bytes(job),
                estimate=_declared(job),
                stages=tuple(_stages(job)),
            )
        )
    return tuple(jobs)


def _new_name(job_id: str, number: int, taken: Container[str]) -> str:
    """The job's id, or one like it: a service forgets old jobs, and then takes their ids again."""
    name, mark = job_id, f"#{number}"
    while name in taken:
        room = MAX_NAME_BYTES - len(mark)
        name = job_id.encode()[:room].decode(errors="ignore") + mark
        mark = f"#{mark}"
    return name


def _stages(job: RecordedJob) -> Iterator[StageSpec]:
    """The stages with a finished task."""
    recorded = job.stages
    for stage in recorded:
        if runtimes := stage.finished:
            after = _waited_for(recorded, stage)
            delay = stage.delay if after == set(stage.after) else _delay_after(job, stage, after)
            yield StageSpec(
                stage=stage.spec.stage,
                tasks=tuple(
                    runtime for runtime in runtimes for _ in range(stage.spec.slots_per_task)
                ),
                after=tuple(recorded[index].spec.stage for index in sorted(after)),
                delay=round(delay, _DIGITS),
            )


def _waited_for(recorded: Sequence[RecordedStage], stage: RecordedStage) -> set[int]:
    """What a stage waited for; in place of one without a finished task, what that waited for.

    Such a one was dropped: its engine went on without it.
    """
    after = set(stage.after)
    while idle := {index for index in after if not recorded[index].has_work}:
        after = (after - idle).union(*(recorded[index].after for index in idle))
    return after


def _delay_after(job: RecordedJob, stage: RecordedStage, after: Iterable[int]) -> float:
    """Seconds from the end of the stages in ``after`` to when ``stage`` could begin."""
    submitted_at = job.admitted.at

    def end_of(indices: Iterable[int]) -> float:
        ends = (job.stages[index].done_at for index in indices)
        return max((end for end in ends if end is not None), default=submitted_at)

    return max(0.0, end_of(stage.after) + stage.delay - end_of(after))


def _input_bytes(job: RecordedJob) -> int | None:
    """What the job says that it reads, else what its stages say."""
    if job.admitted.input_bytes is not None:
        return job.admitted.input_bytes
    told = [bytes_ for stage in job.stages if (bytes_ := stage.spec.input_bytes) is not None]
    return sum(told) if told else None


def _declared(job: RecordedJob) -> float | None:
    """What its submitter declared for all of it; ``None``: nothing, or for a part only."""
    admitted = job.admitted
    if admitted.declared_work is not None:
        return admitted.declared_work
    if admitted.open or any(stage.source not in DECLARATIONS for stage in admitted.stages):
        return None
    return sum(stage.work for stage in admitted.stages) / admitted.calibration or None
