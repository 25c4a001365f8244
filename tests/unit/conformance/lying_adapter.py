"""An adapter that has no client behind it: it tells what it is told to, true or not."""

from __future__ import annotations

import json
import sys
from typing import Any

TRUTH = {"job": {"jobId": "j-1", "state": "JOB_STATE_SUCCEEDED"}}
RUN = {"job_id": "j-1", "stage": "s", "task_index": 0, "attempt": 1, "outcome": "succeeded"}
ERROR: dict[str, Any] = {
    "code": "NOT_FOUND",
    "message": "no job j-1",
    "field_violations": [],
    "retry_after_seconds": None,
    "reason": None,
    "resource": None,
}

#: What is answered to whatever is asked, by the lie's name.
ANSWERS: dict[str, Any] = {
    "truth": {"ok": TRUTH},
    "bad_end": {"ok": TRUTH},
    "other_state": {"ok": {"job": {"jobId": "j-1", "state": "JOB_STATE_FAILED"}}},
    "invented_field": {"ok": {"job": TRUTH["job"] | {"done": True}}},
    "nothing": {"ok": {}},
    "error": {"error": ERROR},
    "bare_error": {"error": {"code": "NOT_FOUND", "message": "no job j-1"}},
    "neither": {"answer": TRUTH},
    "one_run": {"ok": {"runs": [RUN]}},
    "two_runs": {"ok": {"runs": [RUN, RUN]}},
    "half_a_run": {"ok": {"runs": [{"job_id": "j-1"}]}},
}


def main(lie: str) -> None:
    """Answer every request in the same way."""
    sys.stderr.write(f"I tell {lie}\n")
    sys.stderr.flush()
    for line in sys.stdin:
        if lie == "silence":
            continue
        if lie == "death":
            sys.exit(9)
        if lie == "noise":
            sys.stdout.write("hello\n")
        else:
            answer = {"id": json.loads(line)["id"], **ANSWERS.get(lie, ANSWERS["truth"])}
            # Twice when it stammers.
            sys.stdout.write((json.dumps(answer) + "\n") * (1 + (lie == "stammer")))
        sys.stdout.flush()
    sys.exit(3 if lie == "bad_end" else 0)


if __name__ == "__main__":
    main(sys.argv[1])
