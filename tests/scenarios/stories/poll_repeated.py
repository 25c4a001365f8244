"""A poll that repeats the last id is given the same leases again, so a lost reply costs nothing.

Leases that have ended meanwhile are left out; results that ride along are answered anew.  Another
id is another poll.
"""

from tests.scenarios.story import Story, ok


def tell(story: Story) -> None:
    """The first answer is lost on its way."""
    story.submit("report", by="ada", tasks=4, work=8.0)
    story.poll("w1", slots=2, poll_id=1)
    story.at(1)
    first, second = story.poll("w1", slots=2, poll_id=1)
    story.at(2)
    story.poll("w1", slots=2, free=1, poll_id=2, done=(ok(first, ran=2.0),))
    # That answer is lost, too: the result is known, the lease is the same.
    story.poll("w1", slots=2, free=1, poll_id=2, done=(ok(first, ran=2.0),))
    story.at(3)
    story.done("w1", ok(second, ran=3.0))
    story.poll("w1", slots=2, free=1, poll_id=3)
