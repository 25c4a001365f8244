"""A result that comes after its lease has expired does not count.

While the task is not done it is *stale*; once another attempt has finished the task it is
*superseded*.  Either way nothing changes.
"""

from tests.scenarios.story import Story, ok


def tell(story: Story) -> None:
    """w1 is cut off, w2 takes over."""
    story.submit("report", by="ada", tasks=2, work=20.0)
    late = story.poll_one("w1")
    story.at(10)
    second, other = story.poll("w2", slots=2)
    story.done("w1", ok(late, ran=9.0))
    story.at(14)
    story.done("w2", ok(second, ran=4.0, attempt=2))
    story.done("w1", ok(late, ran=9.0))
    story.at(15)
    story.done("w2", ok(other, ran=5.0))
    # The job is over and remembered.
    story.done("w1", ok(late, ran=9.0))
    story.look("report")
