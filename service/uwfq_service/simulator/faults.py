"""Chance: which attempts fail or straggle, and when workers are lost and come back.

Everything is drawn from one seeded source in the order in which it happens, so a run is repeated
by its seed.

Units: seconds.
"""

from __future__ import annotations

import random

from uwfq_service.simulator.runs import Faults


class Chance:
    """Draws what goes wrong."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults = faults
        self._random = random.Random(f"{seed}/faults")
        #: Whether an attempt may take longer, or fail.
        self.tasks_may_suffer = bool(faults.task_failures or faults.stragglers)

    @property
    def workers_come_and_go(self) -> bool:
        """Whether workers may be lost."""
        return self._faults.worker_uptime is not None

    def attempt(self, runtime: float) -> tuple[float, bool]:
        """How long an attempt at a task of ``runtime`` runs, and whether it fails then."""
        draw, faults = self._random.random, self._faults
        if draw() < faults.stragglers:
            runtime *= faults.straggler_factor
        if draw() < faults.task_failures:
            return runtime * draw(), True
        return runtime, False

    def uptime(self) -> float | None:
        """How long a worker stays; ``None``: for ever."""
        mean = self._faults.worker_uptime
        return None if mean is None else self._random.expovariate(1 / mean)

    def downtime(self) -> float:
        """How long a lost worker is away."""
        return self._random.expovariate(1 / self._faults.worker_downtime)
