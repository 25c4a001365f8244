"""A stage is tried again as another one; what was left of the first try is dropped.

The charge follows: what was dropped is not paid for twice.  The attempt that runs of a dropped
stage counts.  The second query is finished half-way, and the third goes with its engine.
"""

from tests.scenarios.story import Story, begun, ok, placed, stage
from uwfq_service.core import commands as cmd


def tell(story: Story) -> None:
    """Three open jobs of one engine."""
    story.poll("spark", slots=4, ranking=True)
    for job in ("query", "limit", "late"):
        story.submit(
            job,
            by="ada",
            open=True,
            engine_id="spark",
            stages=(stage("5.0", 4, declared_work=8.0),),
        )
    first, second, third = (placed("query", "5.0", task) for task in range(3))
    starts = (begun(first), begun(second), begun(placed("limit", "5.0", 0)))
    story.poll("spark", slots=4, free=1, ranking=True, started=starts)
    story.at(2)
    story.poll("spark", slots=4, free=2, ranking=True, done=(ok(first, ran=2.0),))
    again = stage("5.1", 2, declared_work=4.0)
    story.do(cmd.AddStages(job_id="query", stages=(again,)))
    story.look("query")
    story.do(cmd.DropStages(job_id="query", stages=("5.0",)))
    story.look("query")
    # It was dropped before it began.
    story.done("spark", ok(third, ran=1.0))
    story.at(3)
    story.done("spark", ok(second, ran=3.0))
    story.done("spark", *(ok(placed("query", "5.1", task), ran=1.0) for task in range(2)))
    story.do(cmd.CloseJob(job_id="query"))
    story.do(cmd.CloseJob(job_id="limit", finished=True))
    story.restart(after=1)
    story.look("query", "limit", "late")
    story.poll("spark", slots=4, leaving=True)
    story.look("late")
    story.account("ada")
