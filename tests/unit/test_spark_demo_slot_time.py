"""Where the slot time of a run of the bridge's experiment went."""

import json
from typing import Any

from spark_bridge.demo import slot_time


def line(event: str, **fields: Any) -> bytes:
    """One event of a log."""
    return json.dumps({"Event": f"SparkListener{event}", **fields}).encode()


def job(description: str | None, *stages: int) -> bytes:
    """A job begins."""
    properties = {} if description is None else {"spark.job.description": description}
    return line("JobStart", **{"Stage IDs": stages, "Properties": properties})


def task(stage: int, launched: int, finished: int, cpu: float) -> bytes:
    """A task has ended; milliseconds, of which a tenth of ``cpu`` is for unpacking it."""
    metrics = {
        "Executor CPU Time": round(cpu * 0.9 * 1e6),
        "Executor Deserialize CPU Time": round(cpu * 0.1 * 1e6),
    }
    info = {"Launch Time": launched, "Finish Time": finished}
    return line("TaskEnd", **{"Stage ID": stage, "Task Info": info, "Task Metrics": metrics})


LOG = (
    line("ExecutorAdded", **{"Executor Info": {"Total Cores": 2}}),
    job(None, 0),
    task(0, 0, 5_000, 4_000),
    job("fifo: scan-1", 1),
    job("fifo: ask-1", 2, 3),
    task(1, 10_000, 14_000, 3_500),
    task(2, 10_000, 11_000, 900),
    task(3, 11_500, 12_500, 600),
    job("fair: scan-1", 4),
    task(4, 20_000, 23_000, 2_000),
)


def test_slots_compute_wait_or_are_idle() -> None:
    """Two runs in one application; the rehearsal is none."""
    runs = slot_time.runs_of(LOG)
    assert set(runs) == {"fifo", "fair"}
    fifo = runs["fifo"]
    assert (fifo.span, fifo.tasks, fifo.idle, fifo.waiting) == (4.0, 5.0, 2.0, 1.0)
    assert fifo.tasks + fifo.idle + fifo.waiting == 2 * fifo.span


def test_the_table_has_means() -> None:
    """Of all runs of a scheduler, in the order of the other tables."""
    runs = [slot_time.runs_of(LOG), slot_time.runs_of(LOG[:-1])]
    found = {name: [run[name] for run in runs if name in run] for name in ("fair", "fifo")}
    assert slot_time.table(found).splitlines()[2:] == [
        "| stock FIFO | 2 | 4.0 | 5.0 | 2.0 | 1.0 |",
        "| stock FAIR, a pool per user | 1 | 3.0 | 2.0 | 3.0 | 1.0 |",
    ]
