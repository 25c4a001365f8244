"""Being told to end, for what has something to put away first.

SIGTERM and the end of the terminal (SIGHUP) are treated like Ctrl-C: ``KeyboardInterrupt`` is
raised.  On an event loop the exception would come in the middle of whatever that is at, and be lost
if it is a finalizer.  What runs there is cancelled instead, and the exception comes once it has
ended.  ``asyncio`` does so for Ctrl-C alone, and not even for that where it is
ignored, as it is for what a script leaves in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar

T = TypeVar("T")

_SIGNS: Final = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` in the block when the process is told to end."""
    with _handled_by(signal.default_int_handler):
        yield


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], None]]:
    """Put Ctrl-C off to the next call of what is yielded, or to the end of the block.

    For code of others, in whose midst it would be lost (in a callback of the interpreter's), or
    come out as another error.  Only in the main thread, and where nobody else handles Ctrl-C.
    """
    came = False

    def note(*_: object) -> None:
        nonlocal came
        came = True

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) != signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    check()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` as ``asyncio.run`` does, inside ``interruptible``.

    ``main`` is cancelled when the process is told to end, and again each further time.
    """
    try:
        return asyncio.run(_cancelled_by_signals(main))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _cancelled_by_signals(main: Coroutine[Any, Any, T]) -> T:
    loop, ours = asyncio.get_running_loop(), asyncio.current_task()
    assert ours is not None, "a coroutine runs in a task"
    # The handler may come while the loop waits, so it has to wake it.
    with _handled_by(lambda *_: loop.call_soon_threadsafe(ours.cancel)):
        return await main


@contextlib.contextmanager
def _handled_by(handler: Callable[..., Any]) -> Iterator[None]:
    """Handle our signals in the block, but for those that are ignored: `nohup` wants it so."""
    former = {sign: signal.getsignal(sign) for sign in _SIGNS}
    heeded = [sign for sign in _SIGNS if former[sign] != signal.SIG_IGN]
    for sign in heeded:
        signal.signal(sign, handler)
    try:
        yield
    finally:
        for sign in heeded:
            signal.signal(sign, former[sign])
