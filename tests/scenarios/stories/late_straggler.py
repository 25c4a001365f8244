"""A charge that came down is watched as closely as one that never did.

The first task of two is through so soon that the job is charged next to nothing; the second runs
and runs.  The charge follows it from the moment that it is overtaken, not from where the first
declaration would have been.
"""

from tests.scenarios.story import Story, ok


def tell(story: Story) -> None:
    """100 declared, 1 measured, and then a straggler."""
    story.submit("report", by="ada", tasks=2, work=100.0)
    quick, slow = story.poll("w1", slots=2)
    story.at(1)
    story.done("w1", ok(quick, ran=1.0))
    story.look("report")
    story.at(2)
    story.look("report")
    story.done("w1", ok(slow, ran=2.0))
    story.look("report")
