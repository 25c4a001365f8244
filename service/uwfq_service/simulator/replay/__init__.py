"""Drives a live service with a workload: the reality to hold a simulation against.

The jobs are submitted through the public client at their instants, workers of our own sleep for as
long as each task truly takes, and what the service says of its jobs becomes a ``Run``, as the
simulator makes one.  All times are divided by the *speed* on the way in, and multiplied by it on
the way out.

``jobs.py`` is one job of the workload, ``pool.py`` the pool that is borrowed, ``driver.py`` the
drive, ``results.py`` what came of it, ``private.py`` a service of our own to drive,
``comparison.py`` the run beside a simulated one.

Units: seconds and slot-seconds of the workload; what is real says so.
"""

from __future__ import annotations

from uwfq_service.simulator.replay.driver import Handler, Replay
from uwfq_service.simulator.replay.pool import ReplayFailed, ReplayRefused
from uwfq_service.simulator.replay.private import PrivateService, private_service
from uwfq_service.simulator.replay.results import Overhead

__all__ = [
    "Handler",
    "Overhead",
    "PrivateService",
    "Replay",
    "ReplayFailed",
    "ReplayRefused",
    "private_service",
]
