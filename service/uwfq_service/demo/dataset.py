"""The files that the demo's users work on: web server logs in Parquet, made once and kept.

Picture the log of a shop's web servers, one text line per request, cut into files as a log
shipper would.  *History* is what has piled up; *today* is a handful of small files.  A row group
is what a scan reads at a time, and so the smallest piece that a task can be given.

The content follows from fixed seeds, so that every run of the demo asks the same questions of the
same lines.  pyarrow makes it without holding the interpreter lock: threads suffice to use all
cores, and nothing has to be cleaned up when somebody presses Ctrl-C.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

#: Raised when the content changes, so that files of an older release are not taken for ours.
VERSION: Final = 1
#: Lines in a row group: about 30 ms of parsing on the machine this was written on.
ROWS_PER_GROUP: Final = 32_768

_PAGES: Final = tuple(
    f"/{area}/{page}"
    for area in ("shop", "help", "account", "search", "api", "static", "blog", "cart")
    for page in (
        "index.html",
        "list.php",
        "view?id=17",
        "edit?id=42&tab=2",
        "q?term=fair+queue",
    )
)
_METHODS: Final = ("GET", "POST", "HEAD", "PUT")
_STATUS: Final = ("200", "304", "404", "301", "500", "403")
_AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/139.0",
    "curl/8.15.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6) Safari/604.1",
    "python-requests/2.32.5",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How many files there are, and how large."""

    history_files: int
    history_groups: int
    today_files: int
    today_groups: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """One Parquet file: where it is, and the bytes of each of its row groups on disk."""

    path: Path
    group_bytes: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Lines in the file."""
        return len(self.group_bytes) * ROWS_PER_GROUP


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Everything that the users may read."""

    history: tuple[LogFile, ...]
    today: tuple[LogFile, ...]
    #: How many of the files had to be made just now; the others were found.
    made: int

    @property
    def total_bytes(self) -> int:
        """Bytes of all row groups on disk."""
        return sum(sum(file.group_bytes) for file in (*self.history, *self.today))


def cache_directory() -> Path:
    """Where the files are kept unless the caller says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "uwfq-demo"


def prepare(
    directory: Path, shape: Shape, threads: int, advanced: Callable[[int, int], None]
) -> Dataset:
    """Find the files in ``directory``, and make those that are missing or damaged.

    ``advanced(done, total)`` is called as files become ready.  Raises ``OSError`` when the
    directory cannot be written or the disk is full.
    """
    directory.mkdir(parents=True, exist_ok=True)
    wanted = _files_of(shape)
    made = 0
    ready: dict[str, LogFile] = {}
    for name, (_, groups) in wanted.items():
        if (found := _open(directory / name, groups)) is not None:
            ready[name] = found
    advanced(len(ready), len(wanted))
    missing = [name for name in wanted if name not in ready]
    with concurrent.futures.ThreadPoolExecutor(max_workers=threads) as pool:
        running = {pool.submit(_make, directory / name, *wanted[name]): name for name in missing}
        try:
            for future in concurrent.futures.as_completed(running):
                ready[running[future]] = future.result()
                made += 1
                advanced(len(ready), len(wanted))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    files = {name: ready[name] for name in wanted}
    return Dataset(
        history=tuple(file for name, file in files.items() if name.startswith("history")),
        today=tuple(file for name, file in files.items() if name.startswith("today")),
        made=made,
    )


def _files_of(shape: Shape) -> dict[str, tuple[int, int]]:
    """Name of each file: its first seed and its number of row groups."""
    plan = {}
    for kind, count, groups, base in (
        ("history", shape.history_files, shape.history_groups, 0),
        ("today", shape.today_files, shape.today_groups, 1_000_000),
    ):
        for index in range(count):
            name = f"{kind}-v{VERSION}-{groups}x{ROWS_PER_GROUP}-{index:03}.parquet"
            plan[name] = (base + index * groups, groups)
    return plan


def _open(path: Path, groups: int) -> LogFile | None:
    """The file if it is whole: its footer, written last, tells."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return None
    if footer.num_row_groups != groups or footer.num_rows != groups * ROWS_PER_GROUP:
        return None
    return LogFile(
        path=path,
        group_bytes=tuple(
            int(footer.row_group(group).column(0).total_compressed_size) for group in range(groups)
        ),
    )


def _make(path: Path, seed: int, groups: int) -> LogFile:
    """Write one file under another name, then rename it: a half-written one never counts."""
    import pyarrow.parquet as pq

    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        first = lines(seed)
        with pq.ParquetWriter(
            part, first.schema, compression="zstd", use_dictionary=False
        ) as writer:
            for group in range(groups):
                table = first if group == 0 else lines(seed + group)
                writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    made = _open(path, groups)
    assert made is not None, f"{path} was just written and cannot be read"
    return made


def lines(seed: int) -> Any:
    """One row group of log lines, a pyarrow table with the column ``line``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def number(column: int, below: int, skew: float = 1.0) -> Any:
        # A skew above 1 favours small numbers, as traffic favours a few pages.
        uniform = pc.random(ROWS_PER_GROUP, initializer=seed * 16 + column)
        scaled = pc.multiply(pc.power(uniform, skew), float(below))
        return pc.cast(pc.floor(scaled), pa.int32())

    def text(column: int, below: int, skew: float = 1.0) -> Any:
        return pc.cast(number(column, below, skew), pa.string())

    def choice(values: tuple[str, ...], column: int, skew: float = 1.0) -> Any:
        return pa.array(values).take(number(column, len(values), skew))

    def join(separator: str, *parts: Any) -> Any:
        return pc.binary_join_element_wise(*parts, separator)

    host = join(".", "10", text(0, 8), text(1, 64), text(2, 250))
    clock = join(":", text(3, 24), text(4, 60))
    padded = pc.utf8_lpad(clock, 5, "0")
    request = join("", '"', choice(_METHODS, 5, 3.0), " ", choice(_PAGES, 6, 3.0), ' HTTP/1.1"')
    line = join(
        " ",
        host,
        join("", "- - [12/Oct/2025:", padded, ":26"),
        "+0000]",
        request,
        choice(_STATUS, 7, 4.0),
        text(8, 1_000_000, 6.0),
        join("", '"', choice(_AGENTS, 9), '"'),
    )
    return pa.table({"line": line})
