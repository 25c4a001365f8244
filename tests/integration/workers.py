"""What tests of workers share."""

from __future__ import annotations

from typing import Final

from uwfq_client import RetryPolicy, Task

#: Short waits between tries: these tests are about what is tried, not about how late.
EAGER: Final = RetryPolicy(
    max_attempts=1_000_000, initial_backoff_seconds=0.001, max_backoff_seconds=0.02
)


async def nothing(task: Task) -> None:
    """A handler for tests that are not about handlers."""
