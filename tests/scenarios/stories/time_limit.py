"""A task that runs over its time limit has failed: its worker is told, and it is tried again.

The limit counts from the start of the task, not from the grant of its lease.
"""

from tests.scenarios.story import Story, begun, ok


def tell(story: Story) -> None:
    """A worker of one slot has prefetched the second of two tasks."""
    story.submit("report", by="ada", tasks=2, work=4.0, task_timeout=3.0)
    first, second = story.poll("w1", prefetch=1)
    story.at(2)
    story.done("w1", ok(first, ran=2.0))
    story.renew("w1", second, started=(begun(second, running=0.0),))
    story.at(5)
    story.poll("w1", free=0, prefetch=1)
    story.done("w1", ok(second, ran=3.0))
    story.at(6)
    again = story.poll_one("w1")
    story.at(7)
    story.done("w1", ok(again, ran=1.0, attempt=2))
