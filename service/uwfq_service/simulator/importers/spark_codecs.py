"""The text of a Spark event log, whatever it was compressed with, a piece at a time.

Spark compresses its logs as it writes them (``spark.eventLog.compression.codec``), with framings
that are those of its Java libraries and not of the command line tools of the same names:

    zstd    Zstandard frames, one after another: a new one begins at every flush
    lz4     lz4-java's ``LZ4BlockOutputStream``: a header of 21 bytes, then a block
    snappy  xerial's ``SnappyOutputStream``: a header of 16 bytes, then length and block in turn
    lzf     compress-lzf: chunks of at most 64 KiB, each with its header

and an administrator may have used gzip by hand.  What a file is, its first bytes say: a name can
have changed.

A log ends in the middle when its application was killed.  What came before is then handed out all
the same, followed by ``CutShort``.  Memory is bounded by the codec's block or window, not by the
log.
"""

from __future__ import annotations

import gzip
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Callable, Generator
from types import ModuleType
from typing import BinaryIO, Final

from uwfq_service.simulator.compression import MAGIC, MAGIC_BYTES, codec_of
from uwfq_service.simulator.workload import WorkloadError

#: Bytes that are read at once where the format does not say how many.
_PIECE_BYTES: Final = 1 << 18
#: Larger blocks than any that Spark's codecs write are damage, not data.
_MAX_BLOCK_BYTES: Final = 1 << 26


class CutShort(Exception):
    """The file ends in the middle of something; all before that has been handed out."""


def decompressed(source: BinaryIO) -> Generator[bytes]:
    """The text of a log that is open at its beginning, in pieces of any size.

    ``source.tell()`` says meanwhile how far it has been read.  Raises ``CutShort`` at the end of a
    log that is not whole, and ``WorkloadError`` for a damaged one or without the package that
    decompresses it.  Close it before the file: a thread may still be reading.
    """
    codec = codec_of(source.read(MAGIC_BYTES))
    source.seek(0)
    return _READERS[codec](source)


def _plain(source: BinaryIO) -> Generator[bytes]:
    while piece := source.read(_PIECE_BYTES):
        yield piece


def _gzip(source: BinaryIO) -> Generator[bytes]:
    with gzip.GzipFile(fileobj=source, mode="rb") as text:
        try:
            # Unlike `read`, this returns what it has before it comes upon the early end.
            while piece := text.read1(_PIECE_BYTES):
                yield piece
        except EOFError:
            raise CutShort from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise _damaged("gzip", error) from error


# ------------------------------------------------------------------------ zstd


def _zstd(source: BinaryIO) -> Generator[bytes]:
    """A frame may hold any amount, so it must not be decompressed into memory as a whole.

    cramjam does that, but into a file only.  So the file is a pipe: a thread lets cramjam work, and
    this one reads the other end.
    """
    cramjam = _cramjam("zstd")
    text, out = os.pipe()
    errors: list[Exception] = []
    worker = threading.Thread(
        target=_unpack_zstd, args=(cramjam, source, out, errors), name="zstd", daemon=True
    )
    worker.start()
    try:
        with os.fdopen(text, "rb", buffering=0) as pieces:
            while piece := pieces.read(_PIECE_BYTES):
                yield piece
    finally:
        # With this end closed the worker gets a broken pipe, should it not be through.
        worker.join()
    for error in errors:
        if isinstance(error, OSError):
            raise error
        if "incomplete frame" in str(error):
            raise CutShort
        raise _damaged("zstd", error)


def _unpack_zstd(cramjam: ModuleType, source: BinaryIO, out: int, errors: list[Exception]) -> None:
    try:
        try:
            # A descriptor of its own, closed with the last reference.
            sink = cramjam.File(f"/dev/fd/{out}", read=False, write=True, truncate=False)
        finally:
            os.close(out)
        with (
            mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as packed,
        ):
            begin = 0
            while begin < len(packed):
                end = _end_of_frames(packed, begin)
                with packed[begin:end] as frames:
                    cramjam.zstd.decompress_into(frames, sink)
                source.seek(end)
                begin = end
    except (OSError, cramjam.DecompressionError) as error:
        # The traceback is a reference to the sink.
        errors.append(error.with_traceback(None))


_ZSTD_MAGIC: Final = MAGIC["zstd"]
#: Bytes of the fields of a frame's header, by the flags in its descriptor.
_ZSTD_DICTIONARY_BYTES: Final = (0, 1, 2, 4)
_ZSTD_LENGTH_BYTES: Final = (0, 2, 4, 8)
_ZSTD_RUN: Final = 1


def _end_of_frames(packed: memoryview, begin: int) -> int:
    """Where the first frame ends that fills a piece; the end of the file, if that comes first.

    Frames and their blocks say how long they are (RFC 8878, section 3.1.1); what makes no sense
    here makes none to the decompressor, which says so.
    """
    at = begin
    while at - begin < _PIECE_BYTES and bytes(packed[at : at + 4]) == _ZSTD_MAGIC:
        try:
            descriptor = packed[at + 4]
            single = descriptor >> 5 & 1
            length_bytes = _ZSTD_LENGTH_BYTES[descriptor >> 6] or single
            at += 5 + (not single) + _ZSTD_DICTIONARY_BYTES[descriptor & 3] + length_bytes
            last = False
            while not last:
                block = packed[at] | packed[at + 1] << 8 | packed[at + 2] << 16
                last = bool(block & 1)
                at += 3 + (1 if block >> 1 & 3 == _ZSTD_RUN else block >> 3)
            at += 4 * (descriptor >> 2 & 1)
        except IndexError:
            break
    return at if begin < at < len(packed) else len(packed)


# ----------------------------------------------------------- blocks with headers


_LZ4_MAGIC: Final = MAGIC["lz4"]
#: Method and level in one byte, compressed length, length, checksum of the text.
_LZ4_HEADER: Final = struct.Struct("<8sBiiI")
_LZ4_RAW: Final = 0x10


def _lz4(source: BinaryIO) -> Generator[bytes]:
    decompress_block = _cramjam("lz4").lz4.decompress_block
    while header := source.read(_LZ4_HEADER.size):
        if len(header) < _LZ4_HEADER.size:
            raise CutShort
        magic, token, packed_bytes, text_bytes, _checksum = _LZ4_HEADER.unpack(header)
        if magic != _LZ4_MAGIC:
            raise _damaged("lz4", f"no block begins at byte {source.tell() - _LZ4_HEADER.size}")
        block = _exactly(source, packed_bytes, "lz4")
        if not text_bytes:
            continue  # The end of a stream; Spark may have appended another.
        if token & 0xF0 == _LZ4_RAW:
            yield block
        else:
            yield _unpacked(decompress_block, block, _bounded(text_bytes, "lz4"), "lz4")


_SNAPPY_MAGIC: Final = MAGIC["snappy"]
_SNAPPY_HEADER_BYTES: Final = 16
_LENGTH: Final = struct.Struct(">I")


def _snappy(source: BinaryIO) -> Generator[bytes]:
    decompress_raw = _cramjam("snappy").snappy.decompress_raw
    while length := source.read(_LENGTH.size):
        if len(length) < _LENGTH.size:
            raise CutShort
        if length == _SNAPPY_MAGIC[: _LENGTH.size]:
            # A header: at the beginning, and wherever a stream was appended.
            _exactly(source, _SNAPPY_HEADER_BYTES - _LENGTH.size, "snappy")
            continue
        block = _exactly(source, _LENGTH.unpack(length)[0], "snappy")
        yield _unpacked(decompress_raw, block, None, "snappy")


_LZF_MAGIC: Final = MAGIC["lzf"]
#: ``ZV``, whether it is compressed, length in the file; then, if so, the length of the text.
_LZF_HEADER: Final = struct.Struct(">2sBH")


def _lzf(source: BinaryIO) -> Generator[bytes]:
    while header := source.read(_LZF_HEADER.size):
        if len(header) < _LZF_HEADER.size:
            raise CutShort
        magic, compressed, packed_bytes = _LZF_HEADER.unpack(header)
        if magic != _LZF_MAGIC:
            raise _damaged("lzf", f"no chunk begins at byte {source.tell() - _LZF_HEADER.size}")
        if not compressed:
            yield _exactly(source, packed_bytes, "lzf")
            continue
        text_bytes = int.from_bytes(_exactly(source, 2, "lzf"), "big")
        yield _lzf_text(_exactly(source, packed_bytes, "lzf"), text_bytes)


def _lzf_text(packed: bytes, text_bytes: int) -> bytes:
    """One chunk of LZF: runs of literals, and references to what stands up to 8 KiB before."""
    text = bytearray()
    at = 0
    try:
        while at < len(packed):
            control = packed[at]
            at += 1
            if control < 32:
                text += packed[at : at + control + 1]
                at += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += packed[at]
                at += 1
            length += 2
            start = len(text) - ((control & 31) << 8 | packed[at]) - 1
            at += 1
            if start < 0:
                raise _damaged("lzf", "a reference points before the beginning of its chunk")
            if start + length <= len(text):
                text += text[start : start + length]
            else:
                # It reaches into what it makes, and so repeats.
                period = text[start:]
                text += (period * (length // len(period) + 1))[:length]
    except IndexError:
        raise _damaged("lzf", "a chunk ends too early") from None
    if len(text) != text_bytes:
        raise _damaged("lzf", f"a chunk has {len(text)} bytes instead of {text_bytes}")
    return bytes(text)


# --------------------------------------------------------------------- helpers


def _cramjam(codec: str) -> ModuleType:
    try:
        import cramjam  # noqa: PLC0415 - it comes with the extra `simulate`.
    except ImportError:
        raise WorkloadError(
            "",
            f"is compressed with {codec}, which takes the package cramjam to read: "
            "pip install 'uwfq[simulate]'",
        ) from None
    return cramjam


def _exactly(source: BinaryIO, count: int, codec: str) -> bytes:
    read = source.read(_bounded(count, codec))
    if len(read) < count:
        raise CutShort
    return read


def _bounded(count: int, codec: str) -> int:
    if not 0 <= count <= _MAX_BLOCK_BYTES:
        raise _damaged(codec, f"a block of {count} bytes")
    return count


def _unpacked(
    decompress: Callable[..., object], block: bytes, text_bytes: int | None, codec: str
) -> bytes:
    try:
        return bytes(decompress(block, text_bytes))  # type: ignore[call-overload, no-any-return]
    except Exception as error:
        # Which class depends on the codec; all of them are cramjam's.
        raise _damaged(codec, error) from error


def _damaged(codec: str, what: object) -> WorkloadError:
    return WorkloadError(
        "", f"is a damaged {codec} file ({what}); take it from Spark's log directory once more"
    )


_READERS: Final[dict[str | None, Callable[[BinaryIO], Generator[bytes]]]] = {
    None: _plain,
    "zstd": _zstd,
    "lz4": _lz4,
    "snappy": _snappy,
    "lzf": _lzf,
    "gzip": _gzip,
}
