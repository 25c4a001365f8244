"""A table for a terminal that may be too narrow for it.

Half of a number is another number, and half of a job's id finds no job.  So a number is whole, and
a name takes as many lines as it needs in its column, down to a width where that would read like a
ladder.  A table that does not fit even so has lines as long as they need to be, for the terminal to
wrap.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

#: Columns of the terminal that a name gets at least.
_LEAST_NAME: Final = 16
#: Columns of the terminal between two of the table.
_GAP: Final = 2
_AS_WIDE_AS_NEEDED: Final = 10_000


class NarrowTable(Table):
    """A table without lines, whose columns ``add`` has added.

    With ``one_line`` a name that is too long ends early, and a table that does not fit at the edge
    of the terminal: what is painted in place must not take more lines than were counted.
    """

    def __init__(self, header_style: str, *, one_line: bool = False) -> None:
        super().__init__(
            box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style=header_style
        )
        self._one_line = one_line
        self._least = 0

    def add(self, head: str, cells: Iterable[str], *, name: bool) -> None:
        """Add a column of names or of numbers; ``cells`` are the texts that will stand in it."""
        width = max(map(cell_len, (head, *cells)))
        least = min(width, _LEAST_NAME) if name else width
        self._least += least + _GAP
        self.add_column(
            Text(head),
            justify="left" if name else "right",
            no_wrap=not name,
            overflow="ellipsis" if self._one_line else "fold",
            min_width=least,
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width < self._least:
            # Rich would leave out columns.
            options = options.update(width=self._least if self._one_line else _AS_WIDE_AS_NEEDED)
        yield from super().__rich_console__(console, options)
