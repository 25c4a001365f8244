"""What ends a command that has something to put away first."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from uwfq_service import interruption

SIGNS = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def in_the_background() -> Iterator[None]:
    """A shell has Ctrl-C ignored for what a script leaves there; nothing else is, be it `nohup`."""
    before = {sign: signal.signal(sign, signal.SIG_DFL) for sign in (signal.SIGINT, *SIGNS)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    for sign, handler in before.items():
        signal.signal(sign, handler)


@pytest.mark.parametrize("sign", SIGNS)
def test_an_interruption_in_a_finalizer_is_not_lost(sign: signal.Signals) -> None:
    """Python reports what a finalizer raises, and goes on."""
    put_away = False

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(sign)

    async def main() -> None:
        nonlocal put_away
        asyncio.get_running_loop().call_soon(Finalized)
        try:
            async with asyncio.timeout(10):
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            # There is time for that.
            await asyncio.sleep(0)
            put_away = True
            raise

    with pytest.raises(KeyboardInterrupt), interruption.interruptible():
        interruption.run(main())
    assert put_away


def test_the_second_one_ends_the_putting_away() -> None:
    """Whoever sends it does not want to wait."""

    async def main() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            signal.raise_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt), interruption.interruptible():
        interruption.run(main())


@pytest.mark.parametrize("sign", SIGNS)
def test_without_a_loop_it_is_raised_where_it_comes(sign: signal.Signals) -> None:
    """Also when a loop has run before."""
    with interruption.interruptible():
        assert interruption.run(asyncio.sleep(0, "done")) == "done"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(sign)


def test_handlers_are_put_back_and_what_is_ignored_stays_ignored() -> None:
    """`nohup` has the end of the terminal ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def main() -> None:
        signal.raise_signal(signal.SIGHUP)

    with interruption.interruptible():
        signal.raise_signal(signal.SIGHUP)
        interruption.run(main())
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_ctrl_c_in_the_code_of_others_comes_when_it_is_through() -> None:
    """In a finalizer it would be lost, and the rest of the code of others would be run."""
    steps: list[str] = []

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), interruption.deferred() as check:  # noqa: PT012
        check()
        Finalized()
        steps.append("through")
        check()
        steps.append("never")
    with pytest.raises(KeyboardInterrupt), interruption.deferred():  # noqa: PT012
        Finalized()
        steps.append("at the end")
    assert steps == ["through", "at the end"]
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_where_ctrl_c_is_ignored_it_stays_so() -> None:
    """Nobody may be interrupted by what was not meant for them."""
    with interruption.deferred() as check:
        signal.raise_signal(signal.SIGINT)
        check()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
