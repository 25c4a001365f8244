"""A lease that nobody renews expires, and its task waits for its next attempt at once.

The time that the lost attempt ran is charged to the job.  The third and last attempt is lost, too:
the job fails, and its cause says which.
"""

from tests.scenarios.story import Story


def tell(story: Story) -> None:
    """Three workers take the task one after another, and none is heard of again."""
    story.submit("report", by="ada", tasks=1, work=100.0)
    first = story.poll_one("w1")
    story.at(8)
    story.renew("w1", first)
    # The lease holds until 18 now; its first timer, at 10, finds nothing to do.
    story.at(20)
    story.poll_one("w2")
    story.at(31)
    story.poll_one("w3")
    story.at(50)
    story.look("report")
