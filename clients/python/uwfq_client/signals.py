"""SIGTERM and SIGINT of a worker process, and what the children of its handlers have of them.

asyncio is told of a signal through a pipe, and sets a handler that does nothing.  A process that is
forked, by a handler that uses ``multiprocessing`` say, would have both: a SIGTERM to the child, by
which a pool ends its processes, would not end it, and would stop the worker.  So a child gives both
back, before a signal can reach it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Final

from uwfq_client.session import Session

log = logging.getLogger("uwfq_client")

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


class _Forking(threading.local):
    """What a thread had blocked before it began to fork; ``None``: signals are not ours to mind."""

    mask: set[signal.Signals | int] | None = None


_forking = _Forking()
_listening = False


@contextlib.contextmanager
def stopping(session: Session, grace_seconds: float | None) -> Iterator[None]:
    """SIGTERM and SIGINT stop the session; a second one makes it give up."""
    global _listening  # noqa: PLW0603  # Signals are the process's, and so is this.

    def stop() -> None:
        if session.stopping:
            session.give_up()
        else:
            session.request_stop(grace_seconds)
            if held := len(session.ledger.held()):
                # Else whoever has pressed Ctrl-C wonders whether anybody has noticed.
                log.info("stopping; tasks to finish first: %d; a second signal gives them up", held)

    for number in _STOPPING:
        session.loop.add_signal_handler(number, stop)
    _listening = True
    try:
        yield
    finally:
        _listening = False
        for number in _STOPPING:
            session.loop.remove_signal_handler(number)


def _before_fork() -> None:
    if _listening:
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)


def _after_fork() -> None:
    mask, _forking.mask = _forking.mask, None
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_fork_in_child() -> None:
    global _listening  # noqa: PLW0603  # As above.
    _listening = False
    if _forking.mask is not None:
        signal.set_wakeup_fd(-1)
        # Not SIGINT: Ctrl-C reaches every process of a terminal, and the worker decides what
        # becomes of the tasks.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=_after_fork_in_child,
    )
