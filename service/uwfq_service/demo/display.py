"""What the demo shows while it works: a live table on a terminal, lines elsewhere, or nothing.

The runs tell a ``Display`` what happens; which kind it is they need not know.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

#: Seconds between two plain lines of a phase.
_PLAIN_INTERVAL: Final = 5.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UserView:
    """One user, as the service and the submitter see them now."""

    user: str
    #: Jobs of the phase, those that have arrived, and those that are answered.
    jobs: int
    arrived: int
    answered: int
    #: Tasks that run, and tasks that could if a slot were free.
    running: int
    waiting: int
    #: Mean response time so far, seconds; ``None`` before the first answer.
    mean_response: float | None


class Display(Protocol):
    """What the demo tells whoever watches."""

    def note(self, text: str) -> None:
        """Something worth a line happened."""

    def busy(self, text: str) -> None:
        """Something takes a moment."""

    def step(self, text: str, done: int, total: int) -> None:
        """A preparation goes on: ``done`` of ``total``."""

    def phase(self, title: str, elapsed: float, users: Sequence[UserView]) -> None:
        """How a phase stands after ``elapsed`` seconds."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Silent:
    """Shows nothing: for ``--output json``."""

    def note(self, text: str) -> None:
        """Nothing."""

    def busy(self, text: str) -> None:
        """Nothing."""

    def step(self, text: str, done: int, total: int) -> None:
        """Nothing."""

    def phase(self, title: str, elapsed: float, users: Sequence[UserView]) -> None:
        """Nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


class Plain(Silent):
    """One line at a time, for files and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0
        self._title = ""

    def note(self, text: str) -> None:
        """A line."""
        self._console.print(text, soft_wrap=True, highlight=False)

    def step(self, text: str, done: int, total: int) -> None:
        """A line at the end of the step."""
        if done == total:
            self.note(f"{text}: {done} of {total}")

    def phase(self, title: str, elapsed: float, users: Sequence[UserView]) -> None:
        """A line every few seconds."""
        if title != self._title:
            self._title, self._next = title, _PLAIN_INTERVAL
        if elapsed < self._next:
            return
        self._next = elapsed + _PLAIN_INTERVAL
        parts = ", ".join(
            f"{view.user} {view.answered}/{view.jobs} answered, {view.running} running, "
            f"{view.waiting} waiting"
            for view in users
        )
        self.note(f"{title}  {elapsed:5.1f} s  {parts}")


class OnTerminal:
    """A table that changes in place; what is over stays above it as lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def note(self, text: str) -> None:
        """A line above the live part, which is emptied."""
        self._live.update(Text(""))
        self._console.print(text, highlight=False)

    def busy(self, text: str) -> None:
        """A spinner."""
        self._live.update(Spinner("dots", Text(text)))

    def step(self, text: str, done: int, total: int) -> None:
        """A progress bar."""
        row = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=total, completed=done, width=30)
        row.add_row(text, bar, f"{done} of {total}")
        self._live.update(row)

    def phase(self, title: str, elapsed: float, users: Sequence[UserView]) -> None:
        """The users, their progress, and what they have running and waiting."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("user")
        table.add_column("answered", width=22)
        for name in ("jobs", "running", "waiting", "mean response"):
            table.add_column(name, justify="right")
        for view in users:
            slow = view.mean_response
            table.add_row(
                view.user,
                ProgressBar(total=view.jobs, completed=view.answered, width=20),
                f"{view.answered}/{view.jobs}",
                _blocks(view.running),
                str(view.waiting),
                "" if slow is None else f"{slow:.2f} s",
            )
        heading = Text.assemble((title, "bold"), f"   {elapsed:.0f} s")
        self._live.update(Group(heading, table))

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.update(Text(""))
        self._live.stop()


def _blocks(running: int) -> str:
    """A block for each running task, as long as they fit."""
    return f"{'■' * running} {running}" if 0 < running <= 8 else str(running)
