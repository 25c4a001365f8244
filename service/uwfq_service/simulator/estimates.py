"""What a submission says about the work that it brings.

``exact``         the true work of every stage and task
``declared``      the job's ``estimate``, shared among its stages as their true works are; without
                  one, what the service has learned
``learned``       nothing; the service predicts from signature and size, and learns
``none``          nothing at all: neither signature nor size, so that only users and the pool have a
                  history
``noisy:SIGMA``   the true work times a lognormal factor, one for each job
``scaled:FACTOR`` the true work times FACTOR, for every job

Units: slot-seconds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import Final

import msgspec

from uwfq_service.simulator.workload import MAX_AMOUNT, JobSpec

#: The kinds, and whether a number follows.
KINDS: Final = {
    "exact": False,
    "declared": False,
    "learned": False,
    "none": False,
    "noisy": True,
    "scaled": True,
}
#: Largest number behind the colon; a sigma of 10 is a factor of e^30 now and then.
MAX_NUMBER: Final = 1000.0
#: No exponent beyond this one: any work would be the most that the core takes, anyway.
MAX_EXPONENT: Final = 100.0
#: Work in a declaration, slot-seconds: the core wants a positive number, and no larger one.
LEAST_WORK: Final = 1e-9
MOST_WORK: Final = MAX_AMOUNT


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """What one submission says."""

    #: Work of the whole job and of each stage; ``None``: not said.
    job: float | None = None
    stages: tuple[float | None, ...]
    #: Whether the work of every task is known, too.
    tasks: bool = False
    signature: str = ""
    input_bytes: int | None = None
    #: Whether any submission of the workload says what it reads.
    sizes_said: bool = False


class Estimates:
    """One way to declare the work of ``jobs``, as ``--estimates`` names it.

    Raises ``ValueError`` for a text that names none.
    """

    def __init__(self, text: str, seed: int, jobs: Iterable[JobSpec] = ()) -> None:
        kind, colon, number = text.partition(":")
        if KINDS.get(kind) is not bool(colon):
            known = [name + (":NUMBER" if follows else "") for name, follows in KINDS.items()]
            raise ValueError(f"{text!r} is no kind of estimates; use {', '.join(known)}")
        self.kind = kind
        self._seed = seed
        self._number = _number(text, number, kind) if colon else 1.0
        self._sizes_said = any(job.input_bytes is not None for job in jobs)

    @property
    def learns(self) -> bool:
        """Whether every estimate is the service's own."""
        return self.kind in ("learned", "none")

    def declare(self, job: JobSpec) -> Declaration:
        """What the submission of ``job`` says."""
        truth = tuple(stage.total_work for stage in job.stages)
        match self.kind:
            case "none":
                return Declaration(stages=(None,) * len(truth))
            case "exact":
                factor = 1.0
            case "noisy":
                noise = random.Random(f"{self._seed}/estimates/{job.job}")
                factor = math.exp(min(noise.gauss(0.0, self._number), MAX_EXPONENT))
            case "scaled":
                factor = self._number
            case "declared" if job.estimate is not None and (total := math.fsum(truth)):
                factor = job.estimate / total
            case _:
                return Declaration(
                    stages=(None,) * len(truth),
                    signature=job.signature,
                    input_bytes=job.input_bytes,
                    sizes_said=self._sizes_said,
                )
        stages = tuple(_sayable(work * factor) for work in truth)
        return Declaration(
            job=_sayable(math.fsum(stages)),
            stages=stages,
            tasks=self.kind == "exact",
            signature=job.signature,
            input_bytes=job.input_bytes,
            sizes_said=self._sizes_said,
        )


def _sayable(work: float) -> float:
    return min(max(work, LEAST_WORK), MOST_WORK)


def _number(text: str, number: str, kind: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    least_is_zero = kind == "noisy"
    if not (0 <= value <= MAX_NUMBER) or (value == 0 and not least_is_zero):
        least = "0" if least_is_zero else "more than 0"
        raise ValueError(f"{text!r}: {number!r} must be a number, {least} to {MAX_NUMBER:g}")
    return value
