"""What others have called things, as text that is safe to show."""

from __future__ import annotations

from typing import Final

#: Characters that a terminal obeys instead of showing: controls, ends of lines and paragraphs, and
#: those that reverse what comes after them.
_CODES: Final = (
    *range(32),
    *range(127, 160),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
)
#: How they are shown.
_OBEYED: Final = {code: ascii(chr(code))[1:-1] for code in _CODES}


def printable(text: str) -> str:
    """What others have called their users and jobs, as one line that no terminal obeys."""
    return text.translate(_OBEYED)
