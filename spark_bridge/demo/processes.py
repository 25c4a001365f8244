"""The service, and Spark driver programs, as processes that are gone when their block ends.

A driver runs in the environment of *its* Spark, which need not be ours: PySpark 3.5 and 4 cannot
share one.  So it is a process of its own, asked through ``wire.py``.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from uwfq_client import SyncClient, Tls, UwfqError

ROOT: Final = Path(__file__).resolve().parents[2]

#: Longest that anything here may take, seconds; a hang fails instead of blocking the run.
PATIENCE_SECONDS: Final = 120.0

#: How much of a log a failure shows, bytes.
_TAIL_BYTES: Final = 4_000


class ProcessFailed(Exception):
    """A process ended or did not do what it was asked: ``str()`` says which, and its last words."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def environment(**more: str) -> dict[str, str]:
    """Ours, without what would lead Spark or a command of ours astray."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UWFQ_", "SPARK_", "PYSPARK_", "PYTHONPATH"))
    }
    # On a machine whose name does not resolve, Spark would look for its own address in vain.
    return ours | {"SPARK_LOCAL_IP": "127.0.0.1"} | more


def spark_home_of(python: Path) -> Path:
    """The Spark that an interpreter's PySpark brings along."""
    find = "import importlib.util as u; print(*u.find_spec('pyspark').submodule_search_locations)"
    found = subprocess.run(
        [str(python), "-c", find],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    home = found.stdout.strip()
    if found.returncode or not home:
        *_, reason = ["it is no Python", *found.stderr.splitlines()]
        raise ProcessFailed(f"{python} has no PySpark: {reason}")
    return Path(home)


def tail(log: Path) -> str:
    """The last lines of a log."""
    return log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace") if log.exists() else ""


class Process:
    """A process in a group of its own, with its log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        *,
        piped: bool = False,
        cwd: Path | None = None,
    ) -> None:
        """Start it.  ``piped``: its standard input and output are pipes, else only the log."""
        self.name = name
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else file,
                stderr=file,
                start_new_session=True,
                env=dict(env) if env is not None else environment(),
                cwd=cwd,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def send(self, sign: signal.Signals) -> None:
        """Send a signal to it and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, sign)

    def kill(self) -> None:
        """End it and its children at once."""
        self.send(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def wait_for_line(self, part: str) -> str:
        """The first line of the log that holds ``part``, as soon as there is one."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            ended = not self.running
            for line in self.log.read_text(errors="replace").splitlines():
                if part in line:
                    return line
            if ended:
                break
            time.sleep(0.05)
        raise ProcessFailed(f"{self.name} never said {part!r}: {tail(self.log)}")


class Service:
    """``uwfq serve`` on a port that stays the same over restarts."""

    def __init__(self, directory: Path, *settings: str, tls: Tls | bool = False) -> None:
        """Keep its journals and its log in ``directory``; ``settings`` are ``KEY=VALUE``.

        ``tls``: how clients reach it, if ``settings`` say that it speaks TLS.
        """
        self.port = free_port()
        self.target = f"127.0.0.1:{self.port}"
        self._directory = directory
        self._tls = tls
        self._settings = [word for setting in settings for word in ("--set", setting)]
        self._generation = 0
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *, fresh: bool = False) -> None:
        """Start it and wait until it serves; ``fresh``: it has forgotten everything."""
        self._generation += fresh
        journal = self._directory / f"journal-{self._generation}"
        serve = ["serve", "--listen", self.target, "--data", str(journal), *self._settings]
        # Tied to our life: see uwfq_service.demo.processes.
        tied = [sys.executable, "-m", "uwfq_service.demo.processes", str(os.getpid())]
        self._process = Process(
            "the service", [*tied, "uwfq_service.cli", *serve], self._directory / "service.log"
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if not self._process.running or time.monotonic() > deadline:
                raise ProcessFailed(f"the service does not start: {tail(self._process.log)}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                client.list_pools(timeout=0.5)
        except UwfqError:
            return False
        return True

    def send(self, sign: signal.Signals) -> None:
        """SIGSTOP: it hangs, as behind a slow network.  SIGCONT: it goes on."""
        assert self._process is not None
        self._process.send(sign)

    def kill(self) -> None:
        """End it as a crash of the machine would."""
        if self._process is not None:
            self._process.kill()

    def client(self) -> SyncClient:
        """A connection to it; to be closed."""
        return SyncClient(self.target, tls=self._tls)


class Driver(Process):
    """A Spark driver program, started as ``python -m module`` in its Spark's environment."""

    def __init__(
        self, python: str | Path, module: str, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        # PYTHONPATH: what the program imports of ours it finds in the checkout.  Spark's Python
        # workers are of the same interpreter.
        variables = {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": str(python), **(env or {})}
        super().__init__(
            module, [str(python), "-m", module], log, environment(**variables), piped=True
        )
        self._ids = itertools.count()
        self._asked: dict[int, concurrent.futures.Future[Any]] = {}
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, do: str, **arguments: Any) -> concurrent.futures.Future[Any]:
        """Ask for an action; its value will come, or ``ProcessFailed``."""
        number = next(self._ids)
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        request = json.dumps({"id": number, "do": do, "with": arguments}) + "\n"
        with self._lock:
            self._asked[number] = future
            assert self.process.stdin is not None
            try:
                self.process.stdin.write(request.encode())
                self.process.stdin.flush()
            except OSError:
                # What was not asked is never answered.
                del self._asked[number]
                future.set_exception(ProcessFailed(f"{self.name} has ended: {tail(self.log)}"))
        return future

    def call(self, do: str, *, within: float = PATIENCE_SECONDS, **arguments: Any) -> Any:
        """Ask, and wait for the value, ``within`` seconds."""
        return self.value_of(self.ask(do, **arguments), what=do, within=within)

    def value_of(
        self,
        future: concurrent.futures.Future[Any],
        *,
        what: str = "an action",
        within: float = PATIENCE_SECONDS,
    ) -> Any:
        """What an action gave, ``within`` seconds."""
        try:
            return future.result(within)
        except TimeoutError as error:
            raise ProcessFailed(
                f"{self.name} takes over {within:g} s for {what}: {tail(self.log)}"
            ) from error

    def stop(self) -> None:
        """Close its input, which ends it, Spark, and its executors; by force after a while."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.kill()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):  # The pipe was closed under us.
            for line in self.process.stdout:
                reply = json.loads(line)
                with self._lock:
                    future = self._asked.pop(reply["id"])
                if "error" in reply:
                    future.set_exception(ProcessFailed(reply["error"]))
                else:
                    future.set_result(reply["value"])
        with self._lock:
            unanswered, self._asked = self._asked, {}
        for future in unanswered.values():
            future.set_exception(ProcessFailed(f"{self.name} has ended: {tail(self.log)}"))


@contextlib.contextmanager
def gone_after(process: Process) -> Iterator[Process]:
    """Kill the process and its children when the block ends."""
    try:
        yield process
    finally:
        process.kill()
