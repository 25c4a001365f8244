"""What others have called things, as text that is safe to show."""

from __future__ import annotations

from typing import Final

#: Characters that a terminal obeys instead of showing, and how they are shown.
_OBEYED: Final = {code: ascii(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}


def printable(text: str) -> str:
    """What others have called their users and jobs, as one line that no terminal obeys."""
    return text.translate(_OBEYED)
