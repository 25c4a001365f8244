"""What all pictures have in common: colours, names, axes.

A user has one colour in all pictures of a workload.  The colours are Paul Tol's *muted* scheme,
which people with any kind of colour blindness can tell apart; policies have those of Okabe and Ito.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from uwfq_service.printable import printable
from uwfq_service.simulator import metrics
from uwfq_service.simulator.runs import Partitioning, Run

INK: Final = "#222222"
FAINT: Final = "#6b6b6b"
OTHERS: Final = "#c4c4c4"
#: Users with a colour of their own; with more than that, the last stands for all others.
MOST_USERS: Final = 10
_USER_COLOURS: Final = (
    "#cc6677",
    "#332288",
    "#ddcc77",
    "#117733",
    "#88ccee",
    "#882255",
    "#44aa99",
    "#999933",
    "#aa4499",
    "#444444",
)
_POLICY_COLOURS: Final = {
    "uwfq": "#0072b2",
    "uwfq_paper": "#56b4e9",
    "ujf": "#d55e00",
    "fair": "#e69f00",
    "cfq": "#009e73",
    "fifo": "#555555",
}
_OTHER_POLICY: Final = "#cc79a7"
_LONGEST_NAME: Final = 24
#: Largest over smallest of times that an even axis still shows.
_WIDE: Final = 30
#: Smallest number on a logarithmic axis that is read at a glance; of hours and of days.
_LEAST_PLAIN: Final = 1e-3
_LEAST_PLAIN_OF_HOURS: Final = 0.1
#: (seconds, what people call them), for axes that run from moments to days.
_ROUND_TIMES: Final = tuple(
    (size * seconds, f"{size:,} {name}")
    for name, seconds, sizes in (
        ("µs", 1e-6, (1, 10, 100)),
        ("ms", 1e-3, (1, 10, 100)),
        ("s", 1.0, (1, 10)),
        ("min", 60.0, (1, 10)),
        ("h", 3_600.0, (1, 10)),
        ("d", 86_400.0, tuple(10**power for power in range(8))),
    )
    for size in sizes
)
#: Letters and pictures of some alphabets are joined by them, or kept apart.
_JOINERS: Final = "\u200c\u200d"

_STYLE: Final[Mapping[Any, Any]] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    # The same picture has the same bytes, today and tomorrow.
    "svg.hashsalt": "uwfq",
    # Text stays text: it can be searched and read out.
    "svg.fonttype": "none",
    "text.color": INK,
    # A user may be called "$x_1$".
    "text.parse_math": False,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw in our style, whatever the user's own configuration of matplotlib says."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        # A name in an alphabet that the font lacks: in an SVG file the reader's fonts have it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def rendered(figure: Figure, kind: str) -> bytes:
    """The file of a picture: ``svg`` or ``png``."""
    buffer = io.BytesIO()
    undated = {"Date": None} if kind == "svg" else {}
    figure.savefig(buffer, format=kind, dpi=144, metadata=undated)
    return buffer.getvalue()


# ------------------------------------------------------------------------- users


class Group(NamedTuple):
    """A user, or the many who share a colour."""

    name: str
    colour: str
    users: frozenset[str]


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """The users of a workload as they are drawn; those with the most work have their own colour."""
    work = {user.user: user.service for user in metrics.users(runs[0])}
    users = list(work)
    named = users
    if len(users) > MOST_USERS:
        largest = sorted(users, key=lambda user: -work[user])[: MOST_USERS - 1]
        # In the order of the workload, whose author may have had a reason for it.
        named = [user for user in users if user in largest]
    groups = [
        Group(shown(user), colour, frozenset({user}))
        for user, colour in zip(named, _USER_COLOURS, strict=False)
    ]
    if others := frozenset(users) - frozenset(named):
        groups.append(Group(f"{len(others)} others", OTHERS, others))
    return groups


def depth(group: Group) -> float:
    """Where lines and dots of the group are drawn: those of many below those of a single user."""
    return 1.9 if group.colour == OTHERS else 2.0


def shown(name: str) -> str:
    """A name as tables show it, but not too long, and without what XML has no place for."""
    plain = "".join(
        char if char.isprintable() or char in _JOINERS else "?" for char in printable(name)
    )
    return plain if len(plain) <= _LONGEST_NAME else plain[: _LONGEST_NAME - 1] + "…"


def user_legend(figure: Figure, groups: Sequence[Group], more: Sequence[Any] = ()) -> None:
    """Say which colour is whose, beside the picture; ``more`` are further handles with labels."""
    patches: list[Any] = [Patch(color=group.colour, label=group.name) for group in groups]
    figure.legend(handles=[*patches, *more], loc="outside right upper", handlelength=1.2)


def policy_colour(run: Run) -> str:
    """The colour of a policy, wherever it is drawn."""
    return _POLICY_COLOURS.get(run.options.policy, _OTHER_POLICY)


def policy_line(run: Run, rank: int, *, many: bool) -> str:
    """The line of a run that is the ``rank``-th, from 0, with its policy.

    Dashes are runtime partitioning, where ``many`` kinds of partitioning are side by side.
    """
    if rank:
        return (":", "-.")[rank % 2]
    return "--" if many and run.options.partitioning is Partitioning.RUNTIME else "-"


# -------------------------------------------------------------------------- axes


class Unit(NamedTuple):
    """A unit of time for an axis."""

    name: str
    seconds: float


def time_unit(span: float) -> Unit:
    """The unit in which a time of this length is told."""
    for name, seconds, below in (
        ("seconds", 1, 1e-12),
        ("microseconds", 1e-6, 1e-3),
        ("milliseconds", 1e-3, 0.2),
        ("seconds", 1, 10_001),
        ("hours", 3600, 100 * 3600),
    ):
        if span < below:
            return Unit(name, seconds)
    return Unit("days", 86400)


def panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """A picture of ``count`` panels, ``height`` inches each, on the same scales."""
    columns = count if count <= 3 else 2 if count == 4 else 3
    rows = -(-count // columns)
    figure = Figure(figsize=(9.5, height * rows + 0.5))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    flat = [axes[index // columns][index % columns] for index in range(rows * columns)]
    for unused in flat[count:]:
        unused.set_axis_off()
    for used in flat[:count]:
        plain_numbers(used.xaxis)
        plain_numbers(used.yaxis)
    return figure, flat[:count]


def plain_numbers(axis: Axis, *, percent: bool = False) -> None:
    """Label ticks with whole decimal numbers, not with powers."""
    mark = " %" if percent else ""

    def text(value: float, _: int | None) -> str:
        return f"{value:,.10g}{mark}".replace("-", "−")

    axis.set_major_formatter(FuncFormatter(text))


def figure_of(value: float) -> str:
    """A number in three digits, or more where it has more before the point."""
    return f"{value:,.3g}" if abs(value) < 1_000 else f"{value:,.0f}"


def time_axis(axes: Axes, times: Sequence[float], unit: Unit, *, most_ticks: int) -> str:
    """Make an x axis for these times, which are given in ``unit``; returns what it is called.

    It is logarithmic where times are so different that nothing else shows them all.
    """
    low, high = min(times), max(times)
    if low <= 0 or high / low <= _WIDE:
        plain_numbers(axes.xaxis)
        return f", {unit.name}"
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if low < (_LEAST_PLAIN if unit.seconds <= 1 else _LEAST_PLAIN_OF_HOURS):
        _mark_round_times(axes, low, high, unit, most_ticks)
        return " (logarithmic)"
    subs = (1.0, 2.0, 5.0) if 3 * math.log10(high / low) < most_ticks else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=most_ticks))
    plain_numbers(axes.xaxis)
    return f", {unit.name} (logarithmic)"


def _mark_round_times(axes: Axes, low: float, high: float, unit: Unit, most_ticks: int) -> None:
    """Label ticks with units of their own: nobody knows how long 0.001 hours are."""
    marks = [(seconds / unit.seconds, text) for seconds, text in _ROUND_TIMES]
    while True:
        shown = [mark for mark in marks if low <= mark[0] <= high]
        # Labels with a unit are wider than numbers.
        if 4 * len(shown) <= 3 * most_ticks:
            break
        marks = marks[::2]
    axes.set_xticks([at for at, _ in shown], [text for _, text in shown])
    axes.xaxis.set_minor_locator(NullLocator())


def whole_ticks(axis: Axis) -> None:
    """Ticks at whole numbers only."""
    # One is enough: a pool may have a single slot.
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    plain_numbers(axis)
