"""Each result counts once, and only from the worker that holds the lease.

Twice is *superseded*, the wrong worker or a lease that never was is *unknown*, another attempt than
was leased is *stale*.
"""

from tests.scenarios.story import Story, failed, ok


def tell(story: Story) -> None:
    """Two tasks, reported in all the wrong ways."""
    story.submit("report", by="ada", tasks=2, work=2.0)
    first, second = story.poll("w1", slots=2)
    story.at(1)
    story.done("w2", ok(first, ran=1.0))
    story.done("w1", ok(77, ran=1.0))
    story.done("w1", ok(first, ran=1.0, attempt=2))
    # Twice in one report, then again.
    story.done("w1", ok(first, ran=1.0), ok(first, ran=1.0))
    story.done("w1", ok(first, ran=1.0))
    # A failure that is reported twice fails the task once.
    story.done("w1", failed(second, "out of memory", ran=1.0))
    story.done("w1", failed(second, "out of memory", ran=1.0))
    story.at(2)
    third = story.poll_one("w1", slots=2)
    story.at(3)
    story.done("w1", ok(third, ran=1.0, attempt=2))
    story.done("w1", ok(second, ran=1.0))
    story.account("ada")
