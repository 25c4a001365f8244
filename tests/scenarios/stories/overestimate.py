"""A job that costs less than it declared gives back what the fluid cluster has not served yet.

What it has served is spent.  The jobs behind it move up.
"""

from tests.scenarios.story import Story, ok


def tell(story: Story) -> None:
    """Ada declares 10 and takes 2; her second job stands behind the first."""
    story.submit("proud", by="ada", tasks=1, work=10.0)
    story.submit("behind", by="ada", tasks=1, work=12.0)
    story.submit("other", by="bo", tasks=1, work=16.0)
    story.look("proud", "behind", "other")
    task = story.poll_one("w1")
    story.at(2)
    story.look("proud", "behind", "other")
    story.done("w1", ok(task, ran=2.0))
    story.look("proud", "behind", "other")
    story.account("ada")
    story.poll_one("w1")
