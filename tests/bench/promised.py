"""The tables of what the simulator shows: the bound, infrequent users, weights.

    .venv/bin/python -m tests.bench.promised [--workloads 345]

Prints tables in Markdown, for the simulator's RESULTS.md.  What they show is asserted by
``tests/property/test_simulated_bounds.py``, ``tests/property/test_simulated_weights.py`` and
``tests/e2e/test_cli_simulate.py``; the workloads are theirs.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from typing import Final

from tests.e2e.test_cli_simulate import built_in, infrequent, recorded
from tests.oracles.adversaries import ADVERSARIES
from tests.oracles.bounds import Form, form_1, form_3, form_4
from tests.oracles.documents import document
from tests.oracles.workloads import FAMILIES, Workload
from tests.property.test_simulated_bounds import FEW, workloads
from tests.property.test_simulated_weights import HORIZON, SLOTS, WEIGHTS, exact_run, service
from uwfq_service.simulator.runs import Options, Partitioning
from uwfq_service.simulator.world import simulate

OTHERS: Final = ("ujf", "cfq", "fair", "fifo")


def row(*cells: object) -> None:
    """Print a row."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def head(*cells: object) -> None:
    """Print the head of a table."""
    print()
    row(*cells)
    print("|---" * len(cells) + "|")


def largest_part(policy: str, found: Iterable[Workload], form: Form) -> float:
    """The largest lag of any job, as a part of the bound."""
    largest = -math.inf
    for workload in found:
        bound = form(workload)
        limits = {job.name: float(bound(job)) for job in workload.jobs}
        for job in simulate(document(workload), Options(policy=policy)).jobs:
            largest = max(largest, (job.finish - job.fluid_finish) / limits[job.job])
    return largest


def bounds(count: int) -> None:
    """How much of the bound is used, and by how much the others exceed it."""
    head(
        "workloads", "form", f"`uwfq`, {count} each", *(f"`{each}`, {len(FEW)}" for each in OTHERS)
    )
    for family in FAMILIES:
        ours = largest_part("uwfq", workloads(range(count), family), form_1)
        theirs = [largest_part(each, workloads(FEW, family), form_1) for each in OTHERS]
        row(family, 1, f"{ours:.2f}", *(f"{part:.2f}" for part in theirs))
    for family in FAMILIES:
        some = workloads(range(count // 10), family, stages=3)
        row(
            f"{family}, stages", 4, f"{largest_part('uwfq', some, form_4):.2f}", *[""] * len(OTHERS)
        )
    ours = largest_part("uwfq", ADVERSARIES, form_3)
    theirs = [largest_part(each, ADVERSARIES, form_3) for each in OTHERS]
    row(f"{len(ADVERSARIES)} adversaries", 3, f"{ours:.2f}", *(f"{part:.2f}" for part in theirs))


def infrequent_users() -> None:
    """Mean response of infrequent users over what it is alone, and under the other policies."""
    head(
        "workload", "alone", "`uwfq` / alone", "re-cut", *(f"`{each}` / `uwfq`" for each in OTHERS)
    )
    for name, found in (("of the authors", recorded()), ("built-in, 4 seeds", built_in())):

        def means(options: Options) -> tuple[float, float]:
            jobs = [
                job
                for workload in found  # noqa: B023 - called in the same turn.
                for job in simulate(workload, options).jobs
                if job.user in infrequent(workload)
            ]
            return (
                math.fsum(job.response for job in jobs) / len(jobs),
                math.fsum(job.alone for job in jobs) / len(jobs),
            )

        ours, alone = means(Options())
        cut, cut_alone = means(Options(partitioning=Partitioning.RUNTIME))
        theirs = [means(Options(policy=each))[0] / ours for each in OTHERS]
        row(
            *(name, f"{alone:.2f} s", f"{ours / alone:.2f}", f"{cut / cut_alone:.2f}"),
            *(f"{each:.1f}" for each in theirs),
        )


def weights() -> None:
    """Service of backlogged users over ten minutes against what their weights entitle them to."""
    head("jobs come", *(f"weight {weight:g}" for weight in WEIGHTS.values()))
    for ever_new, name in ((False, "all at once"), (True, "one after another")):
        served = service(exact_run(ever_new=ever_new), HORIZON)
        owed = {
            user: SLOTS * HORIZON * weight / sum(WEIGHTS.values())
            for user, weight in WEIGHTS.items()
        }
        row(name, *(f"{served[user] / owed[user] - 1:+.2%}" for user in WEIGHTS))


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workloads", type=int, default=345, help="Of each family, for `uwfq`.")
    args = parser.parse_args()
    weights()
    infrequent_users()
    bounds(args.workloads)


if __name__ == "__main__":
    main()
