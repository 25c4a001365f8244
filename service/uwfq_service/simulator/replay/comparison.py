"""A simulated run and a measured one, side by side, to tell how far the simulator can be trusted.

Units: seconds of the workload.
"""

from __future__ import annotations

from typing import Final

from uwfq_service.simulator import metrics
from uwfq_service.simulator.runs import Run

COLUMNS: Final = ("seconds", "simulated", "with overhead", "measured", "difference")
#: Users with a row of their own: those with the most work.
_MOST_USERS: Final = 20


def side_by_side(simulated: Run, with_overhead: Run, measured: Run) -> list[tuple[str, ...]]:
    """Rows for ``COLUMNS``: response times of all jobs, the makespan, then the mean of each user.

    The runs are of one workload; in the second one tasks take as much longer as they do in reality.
    The difference is that of what was measured to what was simulated.
    """
    runs = (simulated, with_overhead, measured)
    summaries = [metrics.summary(run) for run in runs]
    figures = [
        ("mean response", [each.mean_response for each in summaries]),
        ("p50", [each.p50 for each in summaries]),
        ("p95", [each.p95 for each in summaries]),
        ("max", [each.max for each in summaries]),
        ("makespan", [each.makespan for each in summaries]),
    ]
    means = [{user.user: user.mean_response for user in metrics.users(run)} for run in runs]
    users = sorted(metrics.users(simulated), key=lambda user: -user.service)[:_MOST_USERS]
    figures += [(f"mean of {user.user}", [each[user.user] for each in means]) for user in users]
    return [
        (name, *(f"{value:,.3f}" for value in values), _difference(values[0], values[-1]))
        for name, values in figures
    ]


def _difference(one: float, other: float) -> str:
    return f"{(other - one) / one:+.1%}" if one else "-"
