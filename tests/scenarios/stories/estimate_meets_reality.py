"""A job is charged by what it measures, whatever it declared.

While it runs beyond its declaration its charge follows (in steps of more than 10 %), and its
deadline with it; when it ends the account is settled exactly.  bo, who declares honestly, goes
first from then on.
"""

from tests.scenarios.story import Story, ok


def tell(story: Story) -> None:
    """Ada declares 1 slot-second per job and takes 8."""
    story.submit("humble", by="ada", tasks=2, work=1.0)
    story.submit("honest", by="bo", tasks=3, work=6.0)
    # V runs at half the slots while both are active.
    first = story.poll_one("w1")
    story.look("humble", "honest")
    story.at(4)
    story.renew("w1")
    story.done("w1", ok(first, ran=4.0))
    # The second task will cost as much as the first: 4 + 4.
    story.look("humble", "honest")
    story.account("ada", "bo")
    honest = story.poll_one("w1")
    story.at(5)
    # It took half of what was declared: less is charged, too.
    story.done("w1", ok(honest, ran=1.0))
    story.look("humble", "honest")
    for _ in range(2):
        honest = story.poll_one("w1")
        story.at(story.now + 1)
        story.done("w1", ok(honest, ran=1.0))
    second = story.poll_one("w1")
    story.at(11)
    story.done("w1", ok(second, ran=4.0))
    story.look("humble", "honest")
    story.account("ada", "bo")
