"""``show_standing`` in a real kernel, as a notebook runs one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.e2e.command import PATIENCE_SECONDS, service
from uwfq_client import Stage, SyncClient

CELL = """
import threading
from uwfq_spark.display import Notebook, watching
from uwfq_spark.standing import Whereabouts

class Announced(Notebook):
    def show(self, text):
        super().show(text)
        shown.set()

shown = threading.Event()
where = Whereabouts(target={target!r}, user="alice", application="app-1")
with watching(where, Announced(), 0.05):
    assert shown.wait(60)
print("the cell's own output")
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[BlockingKernelClient]:
    """A kernel of this environment."""
    manager = KernelManager(kernel_name="python3", transport="ipc")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    manager.start_kernel(env=environment)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE_SECONDS)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(kernel: BlockingKernelClient, code: str) -> list[dict[str, Any]]:
    """Run a cell; what it sent to the notebook's page, in order."""
    messages: list[dict[str, Any]] = []
    reply = kernel.execute_interactive(code, output_hook=messages.append, timeout=PATIENCE_SECONDS)
    assert reply["content"]["status"] == "ok", reply["content"]
    return messages


def test_a_cell_shows_who_is_ahead_and_replaces_what_it_showed(
    kernel: BlockingKernelClient,
) -> None:
    """One output that is updated from another thread; the cell's own output stays apart."""
    with service() as target, SyncClient(target) as client:
        for name in ("bob <b>", "alice"):
            client.submit(
                user=name,
                stages=[Stage("scan", tasks=4, estimated_work_slot_seconds=4.0)],
                labels={"application": "app-1", "description": f"of <{name}>"},
            )
        messages = run(kernel, CELL.format(target=target))
    (first,) = (each for each in messages if each["msg_type"] == "display_data")
    updates = [each for each in messages if each["msg_type"] == "update_display_data"]
    (display,) = {each["content"]["transient"]["display_id"] for each in (first, *updates)}
    assert display
    texts = [each["content"]["data"]["text/html"] for each in updates]
    assert "of &lt;alice&gt;: 0 of 4 tasks done, 0 running; number 2 in line" in texts[0]
    assert "behind bob &lt;b&gt;" in texts[0]
    assert "alice: 1 job, " in texts[-1]
    (stream,) = (each for each in messages if each["msg_type"] == "stream")
    assert stream["content"]["text"] == "the cell's own output\n"
