"""A client's adapter: a process that is asked in lines of JSON, and answers in any order."""

from __future__ import annotations

import asyncio
import collections
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

#: A line may hold the record of some ten thousand runs.
_LINE_BYTES: Final = 64 << 20

#: How long an adapter may take to end when its input has.
_ENDING_SECONDS: Final = 20.0


class AdapterBroken(Exception):
    """The adapter does not keep to its protocol, or is gone."""


class Refused(Exception):
    """The adapter answers with an error; ``error`` is as it was sent."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message")))
        self.error = error


class Adapter:
    """One adapter process of the client ``name``."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        #: What it said last on standard error.
        self.log: collections.deque[str] = collections.deque(maxlen=40)
        self._process = process
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._broken = ""
        self._readers = (
            asyncio.create_task(self._read_answers()),
            asyncio.create_task(self._read_log()),
        )

    @classmethod
    async def start(cls, name: str, command: Sequence[str], target: str, cwd: Path) -> Self:
        """Start the program of a client.  Raises ``AdapterBroken`` when that is not possible."""
        try:
            process = await asyncio.create_subprocess_exec(
                *(*command, "--target", target),
                cwd=cwd,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE_BYTES,
            )
        except OSError as error:
            raise AdapterBroken(f"{' '.join(command)} cannot be started: {error}") from None
        return cls(name, process)

    async def ask(self, do: str, arguments: Mapping[str, Any], patience_seconds: float) -> Any:
        """Ask for one thing; what comes under ``ok``.

        Raises ``Refused`` for what comes under ``error``, ``AdapterBroken`` when nothing comes.
        """
        if self._broken:
            raise AdapterBroken(self._broken)
        number = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        assert self._process.stdin is not None, "it was started with a pipe"
        line = json.dumps({"id": number, "do": do, **arguments}) + "\n"
        self._process.stdin.write(line.encode())
        try:
            await self._process.stdin.drain()
            return await asyncio.wait_for(answer, patience_seconds)
        except TimeoutError:
            raise AdapterBroken(f"no answer within {patience_seconds:g} s") from None
        except OSError as error:
            raise AdapterBroken(f"it takes no more requests: {error}") from None

    async def close(self) -> None:
        """End its input, and wait for its end.  Raises ``AdapterBroken`` when that is not clean."""
        problem = ""
        assert self._process.stdin is not None, "it was started with a pipe"
        self._process.stdin.close()
        try:
            code = await asyncio.wait_for(self._process.wait(), _ENDING_SECONDS)
            if code != 0:
                problem = f"it ended with code {code}, not 0"
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            problem = f"it still ran {_ENDING_SECONDS:g} s after the end of its input"
        await asyncio.gather(*self._readers)
        if problem:
            raise AdapterBroken(problem)

    async def abandon(self) -> None:
        """End it at once, whatever it is doing."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await asyncio.gather(*self._readers)

    async def _read_answers(self) -> None:
        assert self._process.stdout is not None, "it was started with a pipe"
        try:
            async for line in self._process.stdout:
                self._take(line)
            self._fail(f"it ended with code {await self._process.wait()}")
        except ValueError as error:  # Not JSON, or a line without end.
            self._fail(f"its standard output is not the protocol's: {error}")

    def _take(self, line: bytes) -> None:
        document = json.loads(line)
        if not isinstance(document, dict) or ("ok" in document) == ("error" in document):
            raise ValueError(f"neither an answer nor an error: {line[:200]!r}")
        answer = self._waiting.pop(document.get("id", 0), None)
        if answer is None:
            raise ValueError(f"nothing waits for this answer: {line[:200]!r}")
        if answer.done():
            return  # The step has given up meanwhile.
        if "ok" in document:
            answer.set_result(document["ok"])
        else:
            answer.set_exception(Refused(document["error"]))

    def _fail(self, text: str) -> None:
        self._broken = text
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(AdapterBroken(text))
        self._waiting.clear()

    async def _read_log(self) -> None:
        assert self._process.stderr is not None, "it was started with a pipe"
        async for line in self._process.stderr:
            self.log.append(line.decode(errors="replace").rstrip())
