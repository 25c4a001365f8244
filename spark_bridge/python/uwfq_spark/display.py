"""Shows where a user's jobs stand while they run, in a notebook or a terminal.

A thread of its own asks the service once a second and replaces what it showed before: in a
notebook a cell's output, in a terminal the last lines.  Elsewhere (a log, a pipe) nothing is shown.
Whatever goes wrong with asking is shown in the same place and disturbs nothing: the cell's work
goes on.
"""

from __future__ import annotations

import contextlib
import html
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from uwfq_spark.standing import Inquiry, Whereabouts, lines

if TYPE_CHECKING:
    from rich.console import Console


#: How long the end of a block waits for the answer to the last question, seconds.
_LAST_ANSWER_SECONDS: Final = 0.5


class Screen(Protocol):
    """Where lines are shown, in the place of those before."""

    def show(self, text: Sequence[str]) -> None:
        """Replace what is shown."""

    def finish(self, text: Sequence[str]) -> None:
        """Show what stays, if anything should."""


@contextlib.contextmanager
def show_standing(
    *,
    user: str | None = None,
    target: str | None = None,
    interval_seconds: float = 1.0,
) -> Iterator[None]:
    """Show where a user's jobs in this Spark application stand, while the block runs.

    .. code-block:: python

        with uwfq_spark.user("alice"), uwfq_spark.show_standing():
            spark.table("events").groupBy("country").count().show()

    Args:
        user: whose; without it those of this thread (see ``user``).
        target: where the service listens, as seen from here; without it as the application's
            driver sees it.
        interval_seconds: from one look to the next.

    Raises:
        RuntimeError: no session is active, or it does not use the bridge.
    """
    where = Whereabouts.of_session(user=user, target=target)
    with watching(where, _screen(), interval_seconds):
        yield


@contextlib.contextmanager
def watching(where: Whereabouts, screen: Screen, interval_seconds: float) -> Iterator[None]:
    """``show_standing`` on a given screen."""
    began = time.monotonic()
    watch = _Watch(Inquiry(where), screen, interval_seconds)
    watch.start()
    try:
        yield
    finally:
        watch.stop()
        count = len(watch.inquiry.seen)
        jobs = "1 job" if count == 1 else f"{count} jobs"
        screen.finish([f"{where.user}: {jobs}, {time.monotonic() - began:.1f} s"])


class _Watch(threading.Thread):
    """Asks, shows, and asks again, until it is stopped."""

    def __init__(self, inquiry: Inquiry, screen: Screen, interval_seconds: float) -> None:
        # A daemon: should the service hang, the interpreter can still end.
        super().__init__(name="uwfq-standing", daemon=True)
        self.inquiry = inquiry
        self._screen = screen
        self._interval_seconds = interval_seconds
        self._over = threading.Event()
        #: Held while the screen changes, so that nothing is shown after the end.
        self._showing = threading.Lock()

    def run(self) -> None:
        while not self._over.is_set():
            text = self._look()
            with self._showing:
                if not self._over.is_set():
                    self._screen.show(text)
            self._over.wait(self._interval_seconds)

    def _look(self) -> Sequence[str]:
        from uwfq_client import UwfqError

        target = self.inquiry.where.target
        try:
            return lines(self.inquiry.where, self.inquiry.ask())
        except UwfqError as error:
            trouble = f"the service at {target} does not answer ({error})"
        except Exception as error:  # noqa: BLE001  # A file of the driver's that is not here, say.
            trouble = f"the service at {target} cannot be asked ({error})"
        return [f"{trouble}; Spark goes on by itself"]

    def stop(self) -> None:
        """Show nothing more.  What is being asked may still be answered, but not for long."""
        with self._showing:
            self._over.set()
        self.join(_LAST_ANSWER_SECONDS)
        self.inquiry.close()


def _screen() -> Screen:
    """The one that there is."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if hasattr(shell, "kernel"):
        return Notebook()
    return Terminal() if sys.stderr.isatty() else Nowhere()


class Notebook:
    """The output of the cell that runs."""

    def __init__(self) -> None:
        from IPython import display as ipython

        # Their module has no types.
        untyped: Any = ipython
        self._html = untyped.HTML
        # Here, on the cell's thread, which the output belongs to.
        self._handle = untyped.display(self._html(""), display_id=True)

    def show(self, text: Sequence[str]) -> None:
        """Replace the output."""
        body = "<br>".join(map(html.escape, text))
        self._handle.update(self._html(f"<div style='font-size: smaller'>{body}</div>"))

    finish = show


class Terminal:
    """The last lines of a terminal; they are gone at the end."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            console=console or Console(stderr=True, highlight=False),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, text: Sequence[str]) -> None:
        """Replace the lines."""
        from rich.text import Text

        # Text, for a user may be called "[red]".
        self._live.update(Text("\n".join(text), style="dim"), refresh=True)

    def finish(self, text: Sequence[str]) -> None:
        """Leave the terminal as it was."""
        self._live.stop()


class Nowhere:
    """Nobody watches."""

    def show(self, text: Sequence[str]) -> None:
        """Nothing."""

    finish = show
