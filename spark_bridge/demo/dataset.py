"""The tables that are scanned: Parquet files of events, made once and kept.

A row group is what a task reads at least: they are small, so that a scan *can* be cut finely.  How
finely it is cut is Spark's choice, or the bridge's.  The payload is random, so that bytes on disk
are bytes to read, and the content follows from fixed seeds: every run of every scheduler is asked
the same questions of the same rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

#: Raised when the content changes, so that files of an older release are not taken for ours.
VERSION: Final = 1
#: About 1 MB.
ROWS_PER_GROUP: Final = 12_000
#: Row groups of the table that is scanned for long, and of the one for short queries.
LONG_GROUPS: Final = 48
SHORT_GROUPS: Final = 1
_PAYLOAD_BYTES: Final = 80


def default_directory() -> Path:
    """Where the files are kept: in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "uwfq" / "spark-demo"


def prepare(directory: Path, progress: Callable[[str], None]) -> dict[str, Path]:
    """Make the files that are missing; table name → file."""
    files = {}
    for table, groups in (("history", LONG_GROUPS), ("today", SHORT_GROUPS)):
        file = directory / f"{table}-v{VERSION}-{groups}.parquet"
        if not file.exists():
            progress(f"making {file.name}")
            _make(file, groups)
        files[table] = file
    return files


def _make(file: Path, groups: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [("user_id", pa.int64()), ("amount", pa.float64()), ("payload", pa.binary(_PAYLOAD_BYTES))]
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(VERSION)
    unfinished = file.with_suffix(".unfinished")
    with pq.ParquetWriter(unfinished, schema, compression="none", use_dictionary=False) as writer:
        for _ in range(groups):
            payload = pa.py_buffer(random.bytes(ROWS_PER_GROUP * _PAYLOAD_BYTES))
            columns = [
                pa.array(random.integers(0, 1_000, ROWS_PER_GROUP)),
                pa.array(random.random(ROWS_PER_GROUP)),
                pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(_PAYLOAD_BYTES), ROWS_PER_GROUP, [None, payload]
                ),
            ]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=ROWS_PER_GROUP)
    # Whole or not there: a run that was broken off leaves nothing that looks like a table.
    unfinished.replace(file)
