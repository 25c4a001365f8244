"""Tables of the simulator's RESULTS.md: the published figures next to ours, and wrong estimates.

    .venv/bin/python -m tests.bench.published [--atr 0.75] [--task-overhead 0] [--driver-gap 0]
    .venv/bin/python -m tests.bench.published --kept

Prints tables in Markdown.  A cell holds what was published, then what is simulated with the
estimates that the authors' oracle declared, then with exact ones; a figure that is more than 15 %
off the published one is bold.  The published UWFQ is ``uwfq_paper``; ``uwfq``, the service's own,
stands beside the same published figures.  Rows that end in -P have runtime partitioning.

With ``--kept``: which part of the gain over ``ujf`` is left with each kind of estimates, both with
exact ones to begin with.  Behind it stands the mean response over that of ``ujf`` with the same
estimates, as far as they cut its stages, too; bold where that is more than 5 % worse.

The workloads are read in place, beside the repository; the published figures are from the README
that lies with them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from uwfq_service.simulator.metrics import banded, makespan, mean, size_bands
from uwfq_service.simulator.runs import FinishedJob, Options, Partitioning, Run
from uwfq_service.simulator.scenarios import SCENARIOS, scenario
from uwfq_service.simulator.workload import load
from uwfq_service.simulator.world import simulate

DIRECTORY = Path(__file__).resolve().parents[2].parent / "shared" / "workloads"
ESTIMATES = ("declared", "exact")
#: A figure further off than this is marked.
MUCH = 0.15

#: What is tried with ``--kept``, and the seeds of noise that the mean is taken over.
KINDS = (
    "learned",
    "noisy:0.25",
    "noisy:0.5",
    "noisy:1",
    "scaled:0.5",
    "scaled:0.25",
    "none",
    "declared",
)
NOISE_SEEDS = 3
#: How a built-in workload is told from one of the same name beside the repository.
BUILT_IN = "built-in "
#: Mean response over that of ``ujf`` that is marked.
WORSE = 1.05

#: A table's figures, by row.
Figures = dict[str, tuple[float, ...]]


class Table(NamedTuple):
    """One published table, or our own view of the same runs."""

    title: str
    columns: tuple[str, ...]
    read: Callable[[Run], tuple[float, ...]]
    published: Figures


def _responses(jobs: Sequence[FinishedJob]) -> tuple[float, ...]:
    responses = sorted(job.response for job in jobs)
    worst = responses[len(responses) * 9 // 10 :]
    return (mean(responses), mean(worst), *banded(responses))


def as_published(run: Run) -> tuple[float, ...]:
    """Users 10 and up count twice, as the published script has it: 174 jobs of 97."""
    twice = [job for job in run.jobs if re.search(r"_\d\d$", job.user)]
    return (*_responses([*run.jobs, *twice]), makespan(run))


def each_once(run: Run) -> tuple[float, ...]:
    """The same, and every job counts once."""
    return (*_responses(run.jobs), makespan(run))


def by_user(run: Run) -> tuple[float, ...]:
    """Mean response of all jobs, then of each of the four users'."""
    names = list(run.weights)
    parts = [[job.response for job in run.jobs if job.user == name] for name in names]
    return (mean([job.response for job in run.jobs]), *(mean(part) for part in parts))


def by_kind(run: Run) -> tuple[float, ...]:
    """Mean response of all jobs, of the short ones, of the long ones; makespan."""
    short = [job.response for job in run.jobs if job.user.endswith("_small")]
    long = [job.response for job in run.jobs if not job.user.endswith("_small")]
    return (mean(short + long), mean(short), mean(long), makespan(run))


BANDS = ("mean", "worst 10 %", "0-80 %", "80-95 %", "95-100 %", "makespan")
TABLES: dict[str, tuple[Table, ...]] = {
    "google-homogeneous": (
        Table(
            "bands by response, users 10 and up twice",
            BANDS,
            as_published,
            {
                "fair": (46.12, 141.62, 28.29, 100.50, 164.47, 563.1),
                "ujf": (54.12, 190.85, 27.43, 140.95, 215.52, 565.7),
                "cfq": (37.05, 214.09, 11.05, 85.67, 298.19, 621.0),
                "uwfq": (41.42, 249.99, 12.33, 92.36, 343.58, 624.3),
                "fair-P": (49.66, 167.98, 27.94, 112.74, 202.72, 563.9),
                "ujf-P": (50.44, 189.03, 23.02, 140.29, 214.43, 562.8),
                "cfq-P": (28.64, 198.64, 5.51, 63.78, 284.27, 592.5),
                "uwfq-P": (31.19, 218.18, 6.05, 67.44, 314.64, 591.8),
            },
        ),
        Table("bands by response, every job once", BANDS, each_once, {}),
        Table(
            "bands by true size, every job once", ("0-80 %", "80-95 %", "95-100 %"), size_bands, {}
        ),
    ),
    "infrequent-users": (
        Table(
            "mean response",
            ("all", "frequent 1", "frequent 2", "infrequent 1", "infrequent 2"),
            by_user,
            {
                "fair": (44.08, 42.2, 46.9, 40.0, 41.7),
                "ujf": (43.11, 48.7, 48.9, 3.8, 6.5),
                "fifo": (29.36, 21.3, 36.9, 32.9, 29.4),
                "cfq": (32.59, 29.5, 35.2, 34.9, 33.7),
                "uwfq": (29.44, 32.9, 33.5, 3.2, 5.8),
                "uwfq-P": (29.27, 32.8, 33.4, 2.6, 4.7),
            },
        ),
    ),
    "mixed-sizes": (
        Table(
            "mean response",
            ("all", "short", "long", "makespan"),
            by_kind,
            {
                "fair": (7.75, 4.66, 12.38, 50.6),
                "ujf": (7.72, 4.93, 11.91, 48.3),
                "cfq": (7.50, 4.00, 12.74, 54.1),
                "uwfq": (7.25, 3.88, 12.30, 50.6),
                "fair-P": (6.20, 4.30, 9.04, 37.7),
                "ujf-P": (7.07, 5.80, 8.96, 38.1),
                "cfq-P": (5.22, 2.70, 9.01, 37.9),
                "uwfq-P": (5.36, 2.83, 9.15, 38.6),
            },
        ),
    ),
}


class Play(NamedTuple):
    """One run to be made."""

    workload: str
    #: Of the table: as the published ones name it, or ``ours``.
    row: str
    options: Options

    def run(self) -> Run:
        """Make it."""
        if self.workload.startswith(BUILT_IN):
            workload = scenario(self.workload.removeprefix(BUILT_IN), 0)
        else:
            workload = load(DIRECTORY / f"{self.workload}.json")
        return simulate(workload, self.options)


def _run(play: Play) -> Run:
    return play.run()


def plays(name: str, base: dict[str, float]) -> list[Play]:
    """Every run that the tables of one workload need."""
    found = []
    rows = [*TABLES[name][0].published]
    for row in [*rows, "ours", "ours-P"]:
        policy, _, cut = row.partition("-")
        policy = {"uwfq": "uwfq_paper", "ours": "uwfq"}.get(policy, policy)
        partitioning = Partitioning.RUNTIME if cut else Partitioning.NONE
        for estimates in ESTIMATES:
            options = Options(
                policy=policy,
                partitioning=partitioning,
                estimates=estimates,
                atr=base["atr"],
                task_overhead=base["task_overhead"],
                driver_gap=base["driver_gap"],
            )
            found.append(Play(name, row, options))
    return found


def cell(published: float | None, simulated: Sequence[float]) -> str:
    """What was published and what is simulated, marked where it is far off."""
    digits = 1 if max(simulated) >= 100 else 2
    texts = [] if published is None else [f"{published:g}"]
    for figure in simulated:
        text = f"{figure:.{digits}f}"
        far = published is not None and abs(figure - published) > MUCH * published
        texts.append(f"**{text}**" if far else text)
    return " · ".join(texts)


def show(table: Table, runs: dict[str, list[Run]]) -> None:
    """Print a table: a row of cells for every row of runs."""
    what = "published · declared · exact" if table.published else "declared · exact"
    print(f"\n{table.title} ({what})\n")
    print("| | " + " | ".join(table.columns) + " |")
    print("|---" * (len(table.columns) + 1) + "|")
    for row, pair in runs.items():
        known = table.published.get(row.replace("ours", "uwfq"))
        figures = list(zip(*(table.read(run) for run in pair), strict=True))
        cells = [
            cell(None if known is None else known[place], simulated)
            for place, simulated in enumerate(figures)
        ]
        print(f"| {row} | " + " | ".join(cells) + " |")


def _mean_response(play: Play) -> float:
    return mean([job.response for job in play.run().jobs])


def kept_plays(name: str, partitioning: Partitioning, atr: float) -> list[Play]:
    """Every run that a row of ``--kept`` needs; the row of a play says policy and estimates."""
    options = Options(policy="ujf", partitioning=partitioning, atr=atr)
    found = [
        Play(name, "ujf exact", options),
        Play(name, "uwfq exact", structs.replace(options, policy="uwfq")),
    ]
    for kind in KINDS:
        for seed in range(NOISE_SEEDS if kind.startswith("noisy") else 1):
            for policy in ("uwfq", "ujf") if partitioning is Partitioning.RUNTIME else ("uwfq",):
                each = structs.replace(options, policy=policy, estimates=kind, seed=seed)
                found.append(Play(name, f"{policy} {kind}", each))
    return found


def show_kept(names: Sequence[str], partitioning: Partitioning, atr: float, pool: Executor) -> None:
    """Print what is kept of the gain, a row for every workload."""
    print(f"\npartitioning {partitioning}: part of the gain that is kept, response / ujf's\n")
    print("| | ujf | exact | " + " | ".join(KINDS) + " |")
    print("|---" * (len(KINDS) + 3) + "|")
    for name in names:
        wanted = kept_plays(name, partitioning, atr)
        means: dict[str, list[float]] = {}
        for play, figure in zip(wanted, pool.map(_mean_response, wanted), strict=True):
            means.setdefault(play.row, []).append(figure)
        found = {row: mean(figures) for row, figures in means.items()}
        without, best = found["ujf exact"], found["uwfq exact"]
        cells = [f"{without:.2f}", f"{best:.2f}"]
        for kind in KINDS:
            figure = found[f"uwfq {kind}"]
            ratio = figure / found.get(f"ujf {kind}", without)
            text = f"{ratio:.2f}"
            kept = (without - figure) / (without - best)
            cells.append(f"{kept:.0%} · " + (f"**{text}**" if ratio > WORSE else text))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--atr", type=float, default=0.75)
    parser.add_argument("--task-overhead", type=float, default=0.0)
    parser.add_argument("--driver-gap", type=float, default=0.0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--workload", choices=list(TABLES), action="append")
    parser.add_argument("--kept", action="store_true", help="What wrong estimates leave.")
    args = parser.parse_args()
    names = args.workload or list(TABLES)
    if absent := [name for name in names if not (DIRECTORY / f"{name}.json").is_file()]:
        sys.exit(f"needs ../shared/workloads/{absent[0]}.json, which is not part of the repository")
    if args.kept:
        every = [*names, *(BUILT_IN + name for name in SCENARIOS)]
        with ProcessPoolExecutor(args.processes) as pool:
            for partitioning in Partitioning:
                show_kept(every, partitioning, args.atr, pool)
        return
    print(f"atr {args.atr:g}, task overhead {args.task_overhead:g} s, ", end="")
    print(f"driver gap {args.driver_gap:g} s")
    with ProcessPoolExecutor(args.processes) as pool:
        for name in names:
            wanted = plays(name, vars(args))
            runs: dict[str, list[Run]] = {}
            for play, run in zip(wanted, pool.map(_run, wanted), strict=True):
                runs.setdefault(play.row, []).append(run)
            print(f"\n### {name}")
            for table in TABLES[name]:
                show(table, runs)


if __name__ == "__main__":
    main()
