"""What a simulated run is: what was asked of it, and what happened.

``world.py`` makes a ``Run``; ``metrics.py`` reads the summary off it, ``plots`` draws it.

Units: seconds from the start of the workload; work in slot-seconds.
"""

from __future__ import annotations

import enum

import msgspec


class Partitioning(enum.StrEnum):
    """Who cuts stages into tasks."""

    #: The engine, as the workload says.
    NONE = enum.auto()
    #: The splitter, near the advisory task runtime.
    RUNTIME = enum.auto()


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong, by chance; nothing, unless said."""

    #: Part of the attempts that fail, somewhere on their way.
    task_failures: float = 0.0
    #: Part of the attempts that take ``straggler_factor`` times as long as they should.
    stragglers: float = 0.0
    straggler_factor: float = 4.0
    #: Mean seconds until a worker is lost with all that it runs, and until it is back; ``None``:
    #: workers stay.
    worker_uptime: float | None = None
    worker_downtime: float = 30.0

    @property
    def any(self) -> bool:
        """Whether anything may go wrong."""
        return bool(self.task_failures or self.stragglers or self.worker_uptime is not None)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is asked for, beside the workload."""

    policy: str = "uwfq"
    partitioning: Partitioning = Partitioning.NONE
    #: Advisory task runtime, seconds.
    atr: float = 0.75
    #: ``exact``, ``declared``, ``learned``, ``none``, ``noisy:SIGMA`` or ``scaled:FACTOR``.
    estimates: str = "exact"
    #: ``None``: as the workload says.
    slots: int | None = None
    seed: int = 0
    #: Seconds that every task occupies its slot for beyond its runtime.
    task_overhead: float = 0.0
    #: Seconds of driver latency before every stage, beside the stage's own ``delay``.
    driver_gap: float = 0.0
    #: Workers that the slots belong to, as evenly as can be.
    workers: int = 1
    faults: Faults = Faults()


class Launch(msgspec.Struct, frozen=True, gc=False):
    """One attempt at one task, on one slot from ``start`` to ``end``."""

    start: float
    end: float
    #: Slot of the pool, from 0.
    slot: int
    #: Position of the job in the workload, of the stage in the job, of the task in the stage.
    job: int
    stage: int
    task: int
    #: Whether the attempt finished its task (not failed, not lost with its worker).
    done: bool = True


class FinishedJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How one job fared."""

    job: str
    user: str
    submit: float
    first_start: float
    finish: float
    #: True work, slot-seconds.
    work: float
    #: The global virtual deadline as first assigned; ``None`` under policies without one.
    virtual_deadline: float | None
    #: When the fluid cluster would finish it, with exact work.
    fluid_finish: float
    #: Its response when it is alone on the idle pool, cut in the same way.
    alone: float
    #: Seconds of driver latency before its stages, added up.
    delays: float = 0.0

    @property
    def response(self) -> float:
        """Seconds from submission to finish."""
        return self.finish - self.submit

    @property
    def slowdown(self) -> float:
        """Response over the response alone."""
        return self.response / self.alone if self.alone else 1.0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a workload under one set of options."""

    workload: str
    options: Options
    slots: int
    weights: dict[str, float]
    #: In the order of the workload.
    jobs: list[FinishedJob]
    #: In the order of their starts; empty unless they were asked for.
    launches: list[Launch] = []
    #: (instant, slots from then on), ascending, where workers come and go; else empty.
    capacity: list[tuple[float, int]] = []
