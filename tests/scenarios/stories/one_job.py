"""The plain journey: three stages, one of them waiting for the others; one worker of two slots.

The job is charged what it declares and settled at what was measured.  The largest task of a stage
goes first.
"""

from tests.scenarios.story import Story, ok, stage


def tell(story: Story) -> None:
    """A job comes, runs stage by stage and is done."""
    story.submit(
        "report",
        by="ada",
        stages=(
            stage("left", task_work=(1.0,)),
            stage("right", tasks=2, task_work=(1.0, 2.0)),
            stage("join", after=("left", "right"), task_work=(2.0,)),
        ),
    )
    left, big = story.poll("w1", slots=2)
    story.look("report")
    story.at(1)
    # Results may ride on the next poll.
    small = story.poll_one("w1", slots=2, free=1, done=(ok(left, ran=1.0),))
    story.at(2)
    story.done("w1", ok(big, ran=2.0), ok(small, ran=1.0))
    join = story.poll_one("w1", slots=2)
    story.at(4)
    story.done("w1", ok(join, ran=1.75))
    story.look("report")
    story.account("ada")
