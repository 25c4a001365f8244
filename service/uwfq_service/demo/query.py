"""What the demo's users ask of the logs: a scan that searches text, a merge that adds up.

A *scan* reads row groups, parses each line with a regular expression, tries a number of search
patterns on it, and counts requests and bytes by (pattern, page, status).  Its result is a small
*partial* file.  The *merge* adds up the partials of all scans of the job.

Every number is a count, an integer sum or a maximum, so the answer does not depend on how the scan
was cut.  That lets the demo check that all its phases computed the same, byte for byte.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from uwfq_service.demo.dataset import lines

_LINE: Final = (
    r'^(?P<host>\S+) \S+ \S+ \[[^:]+:(?P<hour>\d+)[^\]]+\] "\S+ (?P<page>/[a-z]+)[^"]*" '
    r'(?P<status>\d+) (?P<bytes>\d+) "(?P<agent>[^"]*)"$'
)
#: Stands for "every line" beside the numbers of the patterns.
_EVERY_LINE: Final = -1
_SUMS: Final = (("bytes", "count"), ("bytes", "sum"), ("bytes", "max"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One row group: the piece that a task is made of."""

    path: Path
    group: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a job found out, in short."""

    #: Lines that were read.
    rows: int
    #: Lines of the answer: combinations of pattern, page and status that occur.
    groups: int
    #: Digest of the whole answer; equal answers have equal digests.
    digest: str


def patterns(count: int) -> list[str]:
    """The first ``count`` search patterns: each differs, all cost about the same."""
    shapes = (
        r"^10\.{0}\.\d+\.{1}[0-9] ",
        r"(?i)select.+from.+id={1}",
        r"/(edit|view)\?id=\d+(&|%26)\w+={0}",
        r'"POST /(cart|account)[^"]*" (403|50{0})',
        r"(curl|wget|python-requests)/[{0}.]+\d",
        r"Firefox/1{0}[0-9]",
    )
    return [
        shapes[index % len(shapes)].format(index // len(shapes) % 8, index % 10)
        for index in range(count)
    ]


def rehearse() -> None:
    """Scan some lines for nothing: what is slow only the first time must not look like work."""
    import pyarrow.parquet  # noqa: F401 - the first scan would import it
    from pyarrow import feather  # noqa: F401 - as above

    for _ in range(2):
        _search(lines(0)["line"].combine_chunks(), patterns(2))


def scan(units: Iterable[Unit], searches: Sequence[str]) -> Any:
    """Search the units; returns the counts as a pyarrow table, one line per combination."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: list[Any] = []
    for unit in units:
        with pq.ParquetFile(unit.path) as file:
            table = file.read_row_group(unit.group, columns=["line"], use_threads=False)
        found.extend(_search(table["line"].combine_chunks(), searches))
    return _add_up(pa.concat_tables(found))


def _search(text: Any, searches: Sequence[str]) -> list[Any]:
    """The counts of one row group: for every line, and for the hits of each pattern."""
    import pyarrow as pa
    import pyarrow.compute as pc

    fields = pa.Table.from_struct_array(pc.extract_regex(text, _LINE))
    parsed = pa.table(
        {
            "page": fields["page"],
            "status": fields["status"],
            "bytes": pc.cast(fields["bytes"], pa.int64()),
        }
    )
    counts = [_count(_EVERY_LINE, parsed)]
    for number, pattern in enumerate(searches):
        hits = parsed.filter(pc.match_substring_regex(text, pattern))
        if hits.num_rows:
            counts.append(_count(number, hits))
    return counts


def _count(pattern: int, rows: Any) -> Any:
    import pyarrow as pa

    grouped = rows.group_by(["page", "status"], use_threads=False).aggregate(list(_SUMS))
    return pa.table(
        {
            "pattern": pa.array([pattern] * grouped.num_rows, pa.int32()),
            "page": grouped["page"],
            "status": grouped["status"],
            "hits": grouped["bytes_count"],
            "bytes": grouped["bytes_sum"],
            "largest": grouped["bytes_max"],
        }
    )


def _add_up(partials: Any) -> Any:
    keys = ["pattern", "page", "status"]
    summed = partials.group_by(keys, use_threads=False).aggregate(
        [("hits", "sum"), ("bytes", "sum"), ("largest", "max")]
    )
    return summed.select([*keys, "hits_sum", "bytes_sum", "largest_max"]).rename_columns(
        [*keys, "hits", "bytes", "largest"]
    )


def write_partial(directory: Path, task_index: int, table: Any) -> None:
    """Keep a scan's result; a second attempt at the task replaces the first one's."""
    from pyarrow import feather

    directory.mkdir(parents=True, exist_ok=True)
    part = directory / f"scan-{task_index:06}.{os.getpid()}.part"
    feather.write_feather(table, part, compression="uncompressed")
    part.replace(directory / f"scan-{task_index:06}.arrow")


def merge(directory: Path) -> Answer:
    """Add up the partials of ``directory``, and write ``answer.json`` beside them."""
    import pyarrow as pa
    from pyarrow import feather

    partials = sorted(directory.glob("scan-*.arrow"))
    if not partials:
        raise FileNotFoundError(f"no scan has left a result in {directory}")
    tables = [feather.read_table(path, memory_map=False) for path in partials]
    total = _add_up(pa.concat_tables(tables)).sort_by(
        [("pattern", "ascending"), ("page", "ascending"), ("status", "ascending")]
    )
    counts = total.to_pylist()
    answer = Answer(
        rows=sum(count["hits"] for count in counts if count["pattern"] == _EVERY_LINE),
        groups=len(counts),
        digest=hashlib.sha256(json.dumps(counts).encode()).hexdigest(),
    )
    part = directory / "answer.part"
    part.write_text(json.dumps(dataclasses.asdict(answer)), encoding="utf-8")
    part.replace(directory / "answer.json")
    return answer


def read_answer(directory: Path) -> Answer:
    """What ``merge`` has written."""
    return Answer(**json.loads((directory / "answer.json").read_text(encoding="utf-8")))
