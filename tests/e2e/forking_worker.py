"""The worker of ``test_client_worker_forks``: each task forks a child, and ends it with SIGTERM."""

from __future__ import annotations

import os
import signal
import sys

from uwfq_client import PermanentFailure, Task, Worker

worker = Worker(sys.argv[1], slots=1)


@worker.handler("fork")
def fork(task: Task) -> None:
    """The first signal comes as soon as there is a child, the second when it waits for one."""
    for ready in (False, True):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(10)  # Ends it if SIGTERM does not.
            os.write(writer, b"!")
            while True:
                signal.pause()
        if ready:
            os.read(reader, 1)
        os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGTERM:
            raise PermanentFailure(f"the child ended with status {status}")


if __name__ == "__main__":
    worker.run()
