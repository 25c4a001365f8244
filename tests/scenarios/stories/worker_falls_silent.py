"""A worker that is not heard of for 30 s is forgotten, and the pool shrinks by its slots.

A worker in a long poll is alive until the poll ends, one with a lease until that expires: it need
say nothing before a third of it is over, which may be long.  V runs with the slots that are there.
"""

from tests.scenarios.story import Story


def tell(story: Story) -> None:
    """Three workers: one falls silent with a lease, one without, one waits in a long poll."""
    story.settings(lease_seconds=40.0)
    story.submit("report", by="ada", tasks=1, work=500.0)
    story.poll_one("w1", slots=4)
    story.at(5)
    story.poll("w2", slots=2)
    story.poll("w3", slots=1, wait=40.0)
    story.at(20)
    story.look("report")
    story.at(35)
    story.look("report")
    story.at(40)
    story.look("report")
    # The shell gives w3's poll another try, for there is something to run now.
    story.poll_one("w3", slots=1)
    story.look("report")
    # w1 is back and is told of nothing that it does not know; the lease is not its own any more.
    story.renew("w1", 1)
