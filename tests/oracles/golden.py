"""The golden vectors as typed values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from tests.oracles.workloads import Workload, unit_tasks

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "golden.json"
#: The policies that the vectors cover.
GOLDEN_POLICIES: Final = ("uwfq", "uwfq_paper")


@dataclass(frozen=True, slots=True)
class Arrival:
    """What must hold right after one arrival."""

    job: str
    at: Fraction
    virtual_time: Fraction
    user_virtual_time: Fraction
    user_deadline: Fraction
    #: The arriving user's jobs in the virtual system, in the order of F.
    deadlines_in_order: list[tuple[str, Fraction]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One workload and what must come out under each policy."""

    workload: Workload
    fluid_finish: dict[str, Fraction]
    arrivals: dict[str, list[Arrival]]
    #: Each job's deadline as last assigned.
    deadlines: dict[str, dict[str, Fraction]]
    #: When the jobs finish as tasks of one second.
    finish: dict[str, dict[str, Fraction]]

    @property
    def name(self) -> str:
        """For the name of a test."""
        return self.workload.name


def scenarios() -> list[Scenario]:
    """All golden scenarios."""
    return [_scenario(record) for record in json.loads(GOLDEN.read_text())["scenarios"]]


def _scenario(record: dict[str, Any]) -> Scenario:
    jobs = record["jobs"]
    assert all(job["job_weight"] == "1" for job in jobs), "unit_tasks() makes such jobs"
    workload = Workload(
        record["name"],
        record["slots"],
        tuple(
            unit_tasks(job["job"], job["user"], Fraction(job["arrival"]), int(job["work"]))
            for job in jobs
        ),
        {job["user"]: Fraction(job["weight"]) for job in jobs},
    )
    return Scenario(
        workload,
        _values(record["fluid_finish"]),
        {
            name: [_arrival(each) for each in record[name]["after_each_arrival"]]
            for name in GOLDEN_POLICIES
        },
        {name: _values(record[name]["deadlines_after_all_arrivals"]) for name in GOLDEN_POLICIES},
        {name: _values(record[name]["unit_task_finish"]) for name in GOLDEN_POLICIES},
    )


def _arrival(record: dict[str, Any]) -> Arrival:
    return Arrival(
        record["arrive"],
        Fraction(record["t"]),
        Fraction(record["global_virtual_time"]),
        Fraction(record["user_virtual_time"]),
        Fraction(record["user_deadline"]),
        [(job, Fraction(value)) for job, value in record["deadlines_in_order"]],
    )


def _values(record: dict[str, str]) -> dict[str, Fraction]:
    return {job: Fraction(value) for job, value in record.items()}
