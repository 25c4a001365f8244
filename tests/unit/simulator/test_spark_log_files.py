"""How Spark's event logs lie on disk: their framings, their names, and what is no log at all."""

import gzip
import os
import random
import struct
import sys
import threading
from collections.abc import Callable, Generator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.simulator import spark_log_lines as log
from uwfq_service.simulator.importers import spark_files
from uwfq_service.simulator.importers.spark_codecs import decompressed
from uwfq_service.simulator.importers.spark_files import Lines
from uwfq_service.simulator.importers.spark_log import (
    SparkRecording,
    read_spark_recording,
)
from uwfq_service.simulator.workload import Workload, WorkloadError

# -------------------------------------------------------------------- framings


def zstd(text: bytes) -> bytes:
    """A frame for every flush, as Spark has it."""
    lines = text.splitlines(keepends=True)
    return b"".join(
        bytes(cramjam.zstd.compress(b"".join(lines[at : at + 2]))) for at in range(0, len(lines), 2)
    )


def lz4(text: bytes, block_bytes: int = 300) -> bytes:
    """lz4-java's `LZ4BlockOutputStream`: two streams, some blocks compressed, some not."""
    framed = b""
    end = struct.pack("<8sBiiI", b"LZ4Block", 0x15, 0, 0, 0)
    for number, at in enumerate(range(0, len(text), block_bytes)):
        block = text[at : at + block_bytes]
        packed = bytes(cramjam.lz4.compress_block(block, store_size=False)) if number % 2 else block
        token = 0x25 if number % 2 else 0x15
        framed += struct.pack("<8sBiiI", b"LZ4Block", token, len(packed), len(block), 0) + packed
        if number == 2:
            framed += end
    return framed + end


def snappy(text: bytes, block_bytes: int = 300) -> bytes:
    """The `SnappyOutputStream` of xerial: two streams, each with a header."""
    header = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)
    framed = b""
    for at in range(0, len(text), block_bytes):
        packed = bytes(cramjam.snappy.compress_raw(text[at : at + block_bytes]))
        if at in {0, 2 * block_bytes}:
            framed += header
        framed += struct.pack(">I", len(packed)) + packed
    return framed


def lzf(text: bytes, chunk_bytes: int = 300) -> bytes:
    """compress-lzf's chunks, by a slow search for what stands there already."""
    framed = b""
    for number, at in enumerate(range(0, len(text), chunk_bytes)):
        chunk = text[at : at + chunk_bytes]
        if number % 3 == 2:
            framed += struct.pack(">2sBH", b"ZV", 0, len(chunk)) + chunk
        else:
            packed = lzf_packed(chunk)
            framed += struct.pack(">2sBHH", b"ZV", 1, len(packed), len(chunk)) + packed
    return framed


def lzf_packed(chunk: bytes) -> bytes:
    """The longest reference wherever one of three bytes is possible, literals elsewhere."""
    packed, at = b"", 0
    while at < len(chunk):
        length, start = 0, 0
        for candidate in range(at):
            same = 0
            while at + same < len(chunk) and chunk[candidate + same] == chunk[at + same]:
                same += 1
            if same > length:
                length, start = min(same, 264), candidate
        if length < 3:
            packed += b"\0" + chunk[at : at + 1]
            at += 1
            continue
        offset = at - start - 1
        short = min(length - 2, 7)
        packed += bytes((short << 5 | offset >> 8,))
        packed += bytes((length - 9,)) if short == 7 else b""
        packed += bytes((offset & 255,))
        at += length
    return packed


FRAMINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".zstd": zstd,
    ".lz4": lz4,
    ".snappy": snappy,
    ".lzf": lzf,
    ".gz": gzip.compress,
}

JOBS = [event for job in range(8) for event in log.simple_job(job, 100 * job, 40, 2, job)]


def plain(tmp_path: Path) -> tuple[bytes, Workload]:
    """The text of a log, and what becomes of it."""
    path = log.written(tmp_path / "plain", *JOBS)
    return path.read_bytes(), read_spark_recording([path]).workload


@pytest.mark.parametrize("suffix", FRAMINGS)
def test_a_log_is_read_whatever_it_is_compressed_with(tmp_path: Path, suffix: str) -> None:
    """And whatever it is called: its bytes say what it is."""
    text, expected = plain(tmp_path)
    for name in (f"app{suffix}", f"app{suffix}.inprogress", "app"):
        path = tmp_path / name
        path.write_bytes(FRAMINGS[suffix](text))
        recording = read_spark_recording([path])
        assert recording.workload == expected
        assert not str(recording.left_out)


@pytest.mark.parametrize("suffix", FRAMINGS)
def test_a_log_may_end_anywhere(tmp_path: Path, suffix: str) -> None:
    """An application that is killed leaves half a line, half a block, half a header."""
    text, expected = plain(tmp_path)
    whole = FRAMINGS[suffix](text)
    rng = random.Random(5)
    path = tmp_path / "cut"
    cuts = sorted({*range(len(whole) - 20, len(whole)), *rng.sample(range(1, len(whole)), 40)})
    finished, cut_files = [], 0
    for cut in cuts:
        path.write_bytes(whole[:cut])
        try:
            recording = read_spark_recording([path], slots=4)
        except WorkloadError as error:
            if "holds no finished job" not in str(error):
                raise
            finished.append(0)
        else:
            jobs = recording.workload.jobs
            assert jobs == expected.jobs[: len(jobs)], cut
            finished.append(len(jobs))
            cut_files += recording.left_out.cut_files
    assert finished == sorted(finished)
    # What is missing is at most what did not fit into a block.
    assert finished[-1] >= len(expected.jobs) - 1
    # Few cuts lie between two lines by chance.
    assert cut_files >= len([jobs for jobs in finished if jobs]) - 10


def damaged(path: Path) -> str:
    """The refusal."""
    with pytest.raises(WorkloadError) as caught:
        read_spark_recording([path])
    return str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "at", "noise", "what"),
    [
        (".zstd", -200, b"\xff" * 60, "zstd"),
        (".lz4", 0x15 + 300, b"LZ4Clock", "lz4 file (no block begins at byte 321)"),
        (".lz4", 9, b"\xff\xff\xff\x7f", "lz4 file (a block of 2147483647 bytes)"),
        (".snappy", 16, b"\xff" * 9, "snappy file (a block of 4294967295 bytes)"),
        (".snappy", 20, b"\xff" * 9, "snappy file ("),
        (".lzf", 0, b"ZV\1\0\4\0\4\x20\0\0\0", "lzf file (a reference points before"),
        (".lzf", 0, b"ZV\1\0\3\0\2\0{\x20", "lzf file (a chunk ends too early"),
        (".lzf", 0, b"ZV\1\0\2\0\2\0{", "lzf file (a chunk has 1 bytes instead of 2"),
        (".gz", 40, b"\xff" * 9, "gzip"),
    ],
)
def test_damage_is_told_from_an_early_end(
    tmp_path: Path, suffix: str, at: int, noise: bytes, what: str
) -> None:
    """A file that was not copied as it was is refused, with the remedy."""
    text, _ = plain(tmp_path)
    framed = bytearray(FRAMINGS[suffix](text))
    begin = at % len(framed)
    framed[begin : begin + len(noise)] = noise
    path = tmp_path / f"app{suffix}"
    path.write_bytes(framed)
    line = damaged(path)
    assert line.startswith(f"{path}: is a damaged {what}")
    assert line.endswith("take it from Spark's log directory once more")


@pytest.mark.parametrize("suffix", [".zstd", ".lz4", ".snappy"])
def test_without_cramjam_the_remedy_is_named(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes with an extra; plain logs, gzip and lzf do without."""
    text, expected = plain(tmp_path)
    path = tmp_path / "app"
    path.write_bytes(FRAMINGS[suffix](text))
    monkeypatch.setitem(sys.modules, "cramjam", None)
    assert damaged(path) == (
        f"{path}: is compressed with {suffix[1:]}, which takes the package cramjam to read: "
        "pip install 'uwfq[simulate]'"
    )
    for other in ("", ".gz", ".lzf"):
        path.write_bytes(FRAMINGS[other](text))
        assert read_spark_recording([path]).workload == expected


class Piece(bytes):
    """A part of a text that is not put behind another one by one."""

    def __radd__(self, before: bytes) -> bytes:
        raise AssertionError(f"{len(before)} bytes are copied for {len(self)} more")


@given(st.lists(st.integers(0, 900), max_size=30))
def test_a_line_is_put_together_once(marks: list[int]) -> None:
    """Not anew with every piece of it: a plan may take a hundred megabytes, and a piece 32 KiB."""
    text = b'{"Event":"a"}\n\n{"Event":"%s"}\n{"Event":"c"' % (b"b" * 850)
    cuts = sorted({0, *marks, len(text)})
    pieces = [Piece(text[begin:end]) for begin, end in pairwise(cuts)]

    def in_pieces(source: BinaryIO) -> Generator[bytes]:
        yield from pieces

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spark_files, "decompressed", in_pieces)
        lines = Lines(Path(os.devnull))
        assert list(lines) == text.split(b"\n")[:-1]
    assert lines.cut


@settings(max_examples=30)
@given(
    frames=st.lists(st.binary(max_size=200) | st.integers(200, 400_000), min_size=1, max_size=5),
)
def test_zstd_frames_of_any_size_follow_each_other(
    tmp_path_factory: pytest.TempPathFactory, frames: list[bytes | int]
) -> None:
    """Tiny ones, empty ones, and ones that fill many pieces and hardly shrink, in one pass."""
    noise = random.Random(7)
    texts = [noise.randbytes(frame) if isinstance(frame, int) else frame for frame in frames]
    path = tmp_path_factory.mktemp("zstd") / "frames"
    path.write_bytes(b"".join(bytes(cramjam.zstd.compress(text, 1)) for text in texts))
    with path.open("rb") as source:
        assert b"".join(decompressed(source)) == b"".join(texts)
        assert source.tell() == path.stat().st_size


def test_a_reader_that_gives_up_leaves_no_thread_behind(tmp_path: Path) -> None:
    """More text than a pipe holds, in a single frame, of which the first line is no event."""
    path = tmp_path / "app.zstd"
    path.write_bytes(bytes(cramjam.zstd.compress(b"{}\n" * 1_000_000)))
    assert "is no Spark event log" in damaged(path)
    assert not [thread for thread in threading.enumerate() if thread.name == "zstd"]


# ----------------------------------------------------------------- directories


def rolling(directory: Path, names: dict[str, int]) -> Path:
    """A rolling log whose files hold so many of the lines each, in the order given."""
    directory.mkdir(parents=True)
    lines = log.text(*log.BEGINNING, *JOBS).splitlines(keepends=True)
    for name, count in names.items():
        (directory / name).write_bytes(b"".join(lines[:count]))
        del lines[:count]
    return directory


def test_rolling_logs_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Ten comes after nine, and a line never spans two files."""
    _, expected = plain(tmp_path)
    names = {f"events_{number}_app-1": 4 for number in range(1, 12)} | {"events_12_app-1": 999}
    directory = rolling(tmp_path / "eventlog_v2_app-1", names)
    (directory / "appstatus_app-1").touch()
    (directory / ".events_1_app-1.crc").write_bytes(b"crc")
    assert read_spark_recording([directory]).workload == expected


def test_a_compacted_log_begins_with_what_the_cleaner_left(tmp_path: Path) -> None:
    """What it was made of may still lie there; that it is not the whole is told."""
    directory = rolling(
        tmp_path / "eventlog_v2_app-1", {"events_3_app-1.compact": 20, "events_4_app-1": 999}
    )
    for name in ("events_2_app-1", "events_3_app-1"):
        (directory / name).write_bytes(b"replaced")
    recording = read_spark_recording([directory])
    assert len(recording.workload.jobs) == 8
    assert str(recording.left_out) == "1 log compacted by Spark"


def test_a_rolling_log_with_a_gap_is_refused(tmp_path: Path) -> None:
    """Its jobs would be wrong, not few."""
    gap = rolling(tmp_path / "eventlog_v2_a", {"events_1_a": 9, "events_3_a": 9})
    assert damaged(gap) == f"{gap}: lacks its file events_2_*; copy the whole directory"
    headless = rolling(tmp_path / "eventlog_v2_b", {"events_2_b.zstd": 9})
    assert "lacks its file events_1_*" in damaged(headless)
    empty = rolling(tmp_path / "eventlog_v2_c", {})
    assert damaged(empty) == f"{empty}: is a rolling log without events_* files"


def app(path: Path, name: str, attempt: str | None = None) -> Path:
    """The log of an application with one job."""
    beginning = [log.executor_added("1", 2), log.app_start("erin", name, attempt)]
    return log.written(path, *log.simple_job(0, 0, 10), beginning=beginning)


def names(recording: SparkRecording) -> list[str]:
    """Of the jobs."""
    return [job.job for job in recording.workload.jobs]


def test_a_directory_of_logs_is_all_its_applications(tmp_path: Path) -> None:
    """Plain files, rolling logs, directories by day; attempts of one application; empty files."""
    logs = tmp_path / "logs"
    (logs / "yesterday").mkdir(parents=True)
    app(logs / "a", "app-a", "1")
    app(logs / "b.inprogress", "app-a", "2")
    app(logs / "yesterday" / "c", "app-c")
    rolling(logs / "eventlog_v2_app-1", {"events_1_app-1": 999})
    (logs / "just-started.inprogress").touch()
    (logs / ".a.crc").write_bytes(b"crc")
    recording = read_spark_recording([logs])
    assert names(recording)[:4] == [
        "app-a_1/job-0",
        "app-a_2/job-0",
        "app-1/job-0",
        "app-c/job-0",
    ]
    assert recording.left_out.empty_files == 1
    assert (recording.workload.slots, recording.workload.name) == (10, "4 Spark applications")


def test_an_application_without_an_id_is_called_as_its_file(tmp_path: Path) -> None:
    """Old logs, and the later files of rolling ones when they are given alone."""
    beginning = [log.executor_added("1", 2)]
    path = log.written(tmp_path / "events_2_x", *log.simple_job(0, 0, 10), beginning=beginning)
    assert names(read_spark_recording([path])) == ["events_2_x/job-0"]


def test_a_log_counts_once(tmp_path: Path) -> None:
    """The same file twice, or a copy of it, would double its users' work."""
    path = app(tmp_path / "a", "app-a")
    with pytest.raises(WorkloadError, match="a: was given twice; name each log once"):
        read_spark_recording([tmp_path, path])
    app(tmp_path / "copy", "app-a")
    with pytest.raises(WorkloadError, match=r"copy: is of application app-a, as is .*a; give one"):
        read_spark_recording([tmp_path])


# -------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n",
        b'{\n  "version": 1\n}\n',
        b'{"version":1}',
        b'{"Event":7}\n',
        b"PAR1\0\0\0\0" + bytes(range(256)) * 20,
        b"\x1f\x8b",
    ],
)
def test_what_is_no_event_log_is_refused(tmp_path: Path, content: bytes) -> None:
    """In one line, with what to give instead."""
    path = tmp_path / "thing"
    path.write_bytes(gzip.compress(b"hello") if content == b"\x1f\x8b" else content)
    assert damaged(path) == (
        f"{path}: is no Spark event log: its first line is no event; give files of the directory "
        "that spark.eventLog.dir names"
    )


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    """And so is a directory with nothing in it."""
    assert damaged(tmp_path / "no") == f"{tmp_path}/no: cannot be read (No such file or directory)"
    assert damaged(tmp_path).startswith(f"{tmp_path}: holds no event log; give files of")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """A shell makes one of ``<(hdfs dfs -cat ...)``; a log is looked at more than once."""
    os.mkfifo(tmp_path / "pipe")
    assert damaged(tmp_path / "pipe") == f"{tmp_path}/pipe: is no file; write the log to one first"


def test_a_broken_line_in_the_middle_is_refused_by_its_number(tmp_path: Path) -> None:
    """Only the last line may be half a line."""
    path = log.written(tmp_path / "log", *JOBS)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:6], lines[6][:50] + b"\n", *lines[7:]]))
    assert damaged(path).startswith(f"{path}: line 7: is no event of Spark (")
    lines[4] = lines[4].replace(b'"Job ID":0', b'"Job ID":"x"')
    path.write_bytes(b"".join(lines))
    assert damaged(path).startswith(
        f"{path}: line 5: is no event of Spark (Expected `int`, got `str` - at `$.Job ID`)"
    )


def test_a_name_that_is_too_long_is_refused_with_its_place(tmp_path: Path) -> None:
    """What the format of workloads allows, holds for imported ones."""
    beginning = [log.executor_added("1", 1), log.app_start("erin", "a" * 129)]
    path = log.written(tmp_path / "log", *log.simple_job(0, 0, 9), beginning=beginning)
    assert damaged(path).startswith(f"{path}: jobs[0].job: is longer than 128 bytes")


def test_progress_is_told_in_bytes_of_the_files(tmp_path: Path) -> None:
    """It never falls, and ends at the whole."""
    first = app(tmp_path / "a", "app-a")
    second = tmp_path / "b.zstd"
    second.write_bytes(zstd(app(tmp_path / "b", "app-b").read_bytes()))
    told: list[tuple[int, int]] = []
    read_spark_recording([first, second], progress=lambda done, total: told.append((done, total)))
    whole = first.stat().st_size + second.stat().st_size
    assert {total for _, total in told} == {whole}
    done = [read for read, _ in told]
    assert done == sorted(done)
    assert done[-1] == whole
