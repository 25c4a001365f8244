"""How a Spark driver program is told what to do: one JSON document a line, each way.

    → {"id": 7, "do": "query", "with": {"user": "alice"}}
    ← {"id": 7, "value": [42]}            or {"id": 7, "error": "what went wrong"}

Requests run side by side, each in a thread of its own, as the requests of a shared application's
users do.  The program ends when its input does: it never outlives whoever started it, and Spark's
JVM, which waits on the program in the same way, never outlives the program.

This module imports nothing but the standard library: it runs in whatever environment Spark has.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any


def serve(actions: Mapping[str, Callable[..., Any]]) -> None:
    """Answer requests from standard input until it ends; then leave at once."""
    # Spark's JVM inherits standard output: what it prints there must not end up in the replies.
    replies = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()

    def answer(request: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"id": request["id"]}
        try:
            reply["value"] = actions[request["do"]](**request["with"])
        except Exception as error:  # noqa: BLE001 - It goes to whoever asked.
            traceback.print_exc()
            reply["error"] = f"{type(error).__name__}: {error}"
        with lock:
            print(json.dumps(reply), file=replies)

    for line in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
    os._exit(0)
