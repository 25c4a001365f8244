"""A table for a terminal that may be too narrow for it.

Half of a number is another number, and half of a job's id finds no job.  So a number is whole, and
a name takes as many lines as it needs in its column, down to a width where that would read like a
ladder.  A table that does not fit even so has lines as long as they need to be, for the terminal to
wrap.

Where all of it fits there is nothing to find out, and it is written as it is: Rich takes
milliseconds for a row, which are minutes for all users of a large pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
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
        #: Of each column: how wide its texts are, and on which side of it they stand.
        self._widths: list[int] = []
        self._pad: list[Callable[[str, int], str]] = []

    def add(self, head: str, cells: Iterable[str], *, name: bool) -> None:
        """Add a column of names or of numbers; ``cells`` are the texts that will stand in it."""
        width = max(map(cell_len, (head, *cells)))
        least = min(width, _LEAST_NAME) if name else width
        self._least += least + _GAP
        self._widths.append(width)
        self._pad.append(_left if name else _right)
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
        if sum(self._widths) + _GAP * (len(self._widths) - 1) <= options.max_width:
            yield from self._whole(console)
        else:
            yield from super().__rich_console__(console, options)

    def _whole(self, console: Console) -> Iterator[Segment]:
        """Every column as wide as its texts."""
        styles = {"": None, self.header_style: console.get_style(self.header_style)}
        gap, end = Segment(" " * _GAP), Segment.line()
        columns = [
            [Text(str(column.header), style=self.header_style), *column.cells]
            for column in self.columns
        ]
        for row in zip(*columns, strict=True):
            for position, cell in enumerate(row):
                if position:
                    yield gap
                if cell.style not in styles:
                    styles[cell.style] = console.get_style(cell.style)
                text = self._pad[position](cell.plain, self._widths[position])
                yield Segment(text, styles[cell.style])
            yield end


def _left(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _right(text: str, width: int) -> str:
    return " " * (width - cell_len(text)) + text
