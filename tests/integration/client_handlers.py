"""Handlers that run in other processes, which must be able to import them."""

from __future__ import annotations

import os
import signal

from uwfq_client import Measurement, PermanentFailure, Task


def report_process(task: Task) -> Measurement:
    """Say where it ran."""
    if task.index == 1:
        raise PermanentFailure(f"not in process {os.getpid()}")
    return Measurement(rows=os.getpid())


def die_once(task: Task) -> None:
    """The first task takes its process down, as one that needs too much memory would."""
    if task.index == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def interrupt_itself(task: Task) -> None:
    """End as a program does at Ctrl-C."""
    raise KeyboardInterrupt("no")
