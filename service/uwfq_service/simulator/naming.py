"""What runs are called when they stand side by side: in tables, in legends, in file names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from uwfq_service.simulator.runs import Partitioning, Run


def by_workload(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each workload, in the order in which they come."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.workload, []).append(run)
    return groups


def labels(runs: Sequence[Run]) -> list[str]:
    """A name for each of these runs: its policy, and the options in which they differ.

    ``-P`` after a policy is runtime partitioning, as in the paper.  Names are never the same.
    """
    many = len({run.options.partitioning for run in runs}) > 1
    parts = [[_policy(run, many)] for run in runs]
    for texts in (
        [f"{run.options.atr:g} s" for run in runs],
        [run.options.estimates for run in runs],
        [f"{run.slots} slots" for run in runs],
        [f"seed {run.options.seed}" for run in runs],
    ):
        if len(set(texts)) > 1:
            for part, text in zip(parts, texts, strict=True):
                part.append(text)
    return _distinct([" ".join(part) for part in parts])


def slugs(texts: Sequence[str]) -> list[str]:
    """The texts as parts of file names, no two of them the same."""
    made: dict[str, None] = {}
    for text in texts:
        wanted = name = slug(text)
        number = 1
        while name in made:
            number += 1
            name = f"{wanted}-{number}"
        made[name] = None
    return list(made)


def slug(text: str) -> str:
    """The text as part of a file name: lower case letters, digits, ``_`` and single dashes."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:80] or "unnamed"


def _policy(run: Run, many: bool) -> str:
    partitioned = run.options.partitioning is Partitioning.RUNTIME
    return run.options.policy + ("-P" if many and partitioned else "")


def _distinct(names: Sequence[str]) -> list[str]:
    seen: Counter[str] = Counter()
    made = []
    for name in names:
        seen[name] += 1
        made.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return made
