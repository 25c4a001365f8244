"""What a Spark job is called for the estimator: the same today and tomorrow, with other literals.

A query is its physical plan, as it was before it ran: per node the operator, the columns by name,
the functions and the comparisons, in order.  What changes from run to run is left out: literals,
expression ids (``country#17``), ids of plans and subqueries, sizes.  String literals stand in plans
without quotes, so what is kept is not "all but literals" but only what is sure to be none.  Where
a scan reads from is kept without digits, for tomorrow's directory has another date; of files that
Spark has written, the directory, for a stream reads others in each micro-batch.

A job of the RDD interface is its call sites.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

from uwfq_service.simulator.importers.spark_events import Plan
from uwfq_service.simulator.workload import MAX_TEXT_BYTES

#: Columns, functions and comparisons.
_KEPT: Final = re.compile(
    r"""  [^\W\d][\w.]*(?=\#\d)      # country#17
        | [^\W\d]\w*(?=\()         # isnotnull(
        | [<>=!]+
        | \b(?:AND|OR|NOT|IN|LIKE|ASC|DESC)\b
    """,
    re.VERBOSE,
)
_DIGITS: Final = re.compile(r"\d+")
_QUOTED: Final = re.compile(r"'[^']*'")
#: A file that Spark has written: ``part-00000-18e8b38a-6674-4fdf-b926-f938a2c0de11-c000.json``.
_PART_FILE: Final = re.compile(r"/part-\d+-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}.*")
_SEPARATOR: Final = " > "
_HASH_DIGITS: Final = 16


def plan_signature(plan: Plan) -> str:
    """The signature of a query.  O(text of the plan)."""
    return "sql-" + _hash("\n".join(_kept(plan)))


def call_site_signature(sites: Iterable[str]) -> str:
    """The signature of a job whose stages were called for at these sites."""
    whole = _SEPARATOR.join(dict.fromkeys(sites))
    if len(whole.encode()) <= MAX_TEXT_BYTES:
        return whole
    room = MAX_TEXT_BYTES - _HASH_DIGITS - 1
    return f"{whole.encode()[:room].decode(errors='ignore')}-{_hash(whole)}"


def _kept(plan: Plan) -> Iterator[str]:
    """A line per node, with its depth; a walk without recursion, for plans may be deep."""
    waiting = [(0, plan)]
    while waiting:
        depth, node = waiting.pop()
        name = _DIGITS.sub("?", _QUOTED.sub("?", node.node))
        location = _lasting(node.metadata.get("Location", ""))
        yield " ".join((str(depth), name, *_KEPT.findall(node.text), location))
        waiting += [(depth + 1, child) for child in reversed(node.children)]


def _lasting(location: str) -> str:
    """What stays of ``InMemoryFileIndex(2 paths)[file:/a/1, file:/a/2, ...]`` from run to run."""
    kind, _, listed = location.removesuffix("]").partition("[")
    paths = dict.fromkeys(
        _DIGITS.sub("?", _PART_FILE.sub("", path)) for path in listed.split(", ") if path != "..."
    )
    return f"{_DIGITS.sub('?', kind)}[{', '.join(paths)}]"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_HASH_DIGITS]
