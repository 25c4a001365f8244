"""What compressed files begin with, whatever they are called.

The framings are those of Spark's codecs; gzip is what people use by hand.
"""

from __future__ import annotations

from typing import Final

MAGIC: Final = {
    "zstd": b"\x28\xb5\x2f\xfd",
    "lz4": b"LZ4Block",
    "snappy": b"\x82SNAPPY\0",
    "lzf": b"ZV",
    "gzip": b"\x1f\x8b",
}
#: Bytes from the beginning of a file that tell what it is.
MAGIC_BYTES: Final = max(map(len, MAGIC.values()))


def codec_of(beginning: bytes) -> str | None:
    """What a file with this beginning is compressed with; ``None``: nothing that is known."""
    return next((codec for codec, magic in MAGIC.items() if beginning.startswith(magic)), None)
