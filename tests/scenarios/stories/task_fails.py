"""A failed attempt is tried again after a backoff that doubles; the third failure is the last.

The job keeps the last cause.  A failure that says that trying again is of no use ends its job at
once.
"""

from tests.scenarios.story import Story, failed


def tell(story: Story) -> None:
    """One task fails in three ways."""
    story.submit("report", by="ada", tasks=1, work=3.0)
    first = story.poll_one("w1")
    story.at(1)
    story.done("w1", failed(first, "no route to the disk", ran=1.0))
    # Backoff: 1 s after the first failure.
    story.poll("w1")
    story.at(2)
    second = story.poll_one("w1")
    story.at(3)
    story.done("w1", failed(second, "the disk is slow", ran=1.0, attempt=2))
    # 2 s after the second.
    story.at(4.9)
    story.poll("w1")
    story.at(5)
    third = story.poll_one("w1")
    story.at(6)
    story.done("w1", failed(third, "the disk is full", ran=1.0, attempt=3))
    story.look("report")

    story.submit("typo", by="ada", tasks=2, work=2.0)
    broken, _ = story.poll("w1", slots=2)
    story.at(7)
    story.done("w1", failed(broken, "no such column", ran=0.5, retryable=False))
