"""One worker process of the demo: a single slot that scans and merges.

Run as ``python -m uwfq_service.demo.worker TARGET TRACE``.  A line of JSON per task goes to the
file TRACE: which task, and when it ran on the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TextIO

from uwfq_client import Measurement, PermanentFailure, Task, Worker
from uwfq_service.demo import query
from uwfq_service.demo.dataset import ROWS_PER_GROUP
from uwfq_service.demo.workload import KIND, MERGE, SCAN, units_of


def run(task: Task) -> Measurement:
    """Do one task, and say how much it read."""
    told = json.loads(task.payload)
    results = Path(told["results"])
    if task.stage == SCAN:
        units = units_of(task.payload, task.index, task.range)
        table = query.scan(units, query.patterns(told["searches"]))
        query.write_partial(results, task.index, table)
        return Measurement(rows=len(units) * ROWS_PER_GROUP)
    if task.stage == MERGE:
        return Measurement(rows=query.merge(results).rows)
    raise PermanentFailure(f"stage {task.stage!r} is not known here")


def work(target: str, trace: TextIO) -> None:
    """Serve tasks until told to stop."""
    import pyarrow as pa

    # A task occupies one slot, so it must not use more than one core.
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    query.rehearse()
    worker = Worker(target, slots=1)

    @worker.handler(KIND)
    def handle(task: Task) -> Measurement:
        begun = time.monotonic()
        try:
            return run(task)
        finally:
            line = {"job": task.job_id, "stage": task.stage, "begun": begun}
            trace.write(json.dumps({**line, "ended": time.monotonic()}) + "\n")
            trace.flush()

    worker.run(grace_seconds=2.0)


if __name__ == "__main__":
    with Path(sys.argv[2]).open("a", encoding="utf-8") as trace_file:
        work(sys.argv[1], trace_file)
