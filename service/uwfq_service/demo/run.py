"""The whole demo, in order: files, measuring, three phases, figures."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import time
from pathlib import Path
from typing import Any

from uwfq_service import interruption
from uwfq_service.demo import dataset, results, sizing, workload
from uwfq_service.demo.display import Display
from uwfq_service.demo.phases import DemoFailed, first_reason, run_phase
from uwfq_service.demo.processes import ChildFailed
from uwfq_service.demo.results import PHASES, PhaseOutcome


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller may choose."""

    #: Where the files are kept; ``None``: the user's cache directory.
    directory: Path | None = None
    #: How long each phase should take, seconds.
    phase_seconds: float = 22.0
    #: Smaller files and shorter phases, to see whether it works.
    quick: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What all phases found out."""

    phases: tuple[PhaseOutcome, ...]
    slots: int
    seconds: float

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return results.document(self.phases, slots=self.slots, seconds=self.seconds)


def slots_of_this_machine() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(options: Options, display: Display) -> Outcome:
    """Run the demo; raises ``DemoFailed`` with one line when it cannot.

    SIGTERM and the end of the terminal are treated like Ctrl-C: the processes are stopped, then
    ``KeyboardInterrupt`` is raised.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise DemoFailed(
            "the demo works on Parquet files and needs pyarrow: pip install 'uwfq[demo]'"
        )
    try:
        with interruption.interruptible():
            return _run(options, display)
    except (DemoFailed, ChildFailed) as error:
        raise DemoFailed(str(error)) from error
    except BaseExceptionGroup as group:
        reason = first_reason(group)
        raise DemoFailed(str(reason) or type(reason).__name__) from group
    except OSError as error:
        raise DemoFailed(f"{error.filename or 'a file'}: {error.strerror or error}") from error


def _run(options: Options, display: Display) -> Outcome:
    begun = time.monotonic()
    slots = slots_of_this_machine()
    scale = sizing.scale_for(slots, options.phase_seconds, quick=options.quick)
    try:
        directory = options.directory or dataset.cache_directory()
        files = dataset.prepare(
            directory,
            scale.shape,
            slots,
            lambda done, total: display.step("log files", done, total),
        )
    except (OSError, RuntimeError) as error:
        # Also when there is no home directory (RuntimeError).
        raise DemoFailed(f"cannot keep the log files: {error}; --data names a place") from error
    display.note(
        f"{len(files.history) + len(files.today)} Parquet files of web logs, "
        f"{files.total_bytes / 1e6:.0f} MB in {directory} "
        f"({f'{files.made} made' if files.made else 'all there'} "
        f"in {time.monotonic() - begun:.1f} s)"
    )
    display.busy("measuring how fast this machine is")
    sizes = sizing.measure(files, scale)
    jobs = workload.plan(files, scale, sizes)
    _announce(display, scale, sizes, jobs)
    outcomes = []
    for number, phase in enumerate(PHASES, start=1):
        title = f"{number} of {len(PHASES)}: {phase.name}"
        outcome = interruption.run(run_phase(phase, title, jobs, scale, display))
        outcomes.append(outcome)
        display.note(
            f"{title}: {len(outcome.jobs)} jobs, {sum(job.tasks for job in outcome.jobs)} tasks "
            f"in {outcome.makespan:.1f} s"
        )
    if wrong := results.differing(outcomes):
        raise DemoFailed(f"the answers of {', '.join(wrong)} differ between the phases")
    return Outcome(phases=tuple(outcomes), slots=slots, seconds=time.monotonic() - begun)


def _announce(
    display: Display, scale: sizing.Scale, sizes: sizing.Sizes, jobs: list[workload.JobPlan]
) -> None:
    olga, *others = workload.USERS
    huge = next(job for job in jobs if job.user == olga)
    small = next(job for job in jobs if job.user != olga)
    group = sizes.parse_seconds + sizes.huge_searches * sizes.match_seconds
    display.note(
        f"{olga}: {scale.huge_jobs} huge jobs, each searching {len(huge.files)} files "
        f"for {huge.searches} patterns (about {group * huge.groups:.1f} s a file)"
    )
    display.note(
        f"{' and '.join(others)}: {scale.small_jobs} small jobs each while she is at it, over "
        f"{len(small.files)} small files"
    )
    display.note(
        f"{scale.slots} slots, one worker process each; every phase sees the same arrivals "
        f"and takes about {scale.phase_seconds:.0f} s"
    )
