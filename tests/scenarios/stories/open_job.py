"""An open job shows its stages one by one; none of them restarts its clock.

It is charged for what it declares until it is known to cost more.  It is over when it is closed and
everything is done, in whichever order.
"""

from tests.scenarios.story import Story, ok, stage
from uwfq_service.core.commands import AddStages, CloseJob


def tell(story: Story) -> None:
    """Three stages, of which the last one is a surprise."""
    story.submit("query", by="ada", work=4.0, open=True, stages=(stage("scan", task_work=(2.0,)),))
    story.submit("other", by="bo", tasks=1, work=6.0)
    scan = story.poll_one("w1")
    story.at(2)
    story.done("w1", ok(scan, ran=2.0))
    story.look("query", "other")
    # Nothing to run, but not over: a shuffle comes.
    shuffle = stage("shuffle", after=("scan",), task_work=(2.0,))
    story.do(AddStages(job_id="query", stages=(shuffle,)))
    # Asked twice, it is there once.
    story.do(AddStages(job_id="query", stages=(shuffle,)))
    story.do(AddStages(job_id="query", stages=(stage("shuffle", tasks=3),)))
    # It goes before the other job, whose deadline is later.
    second = story.poll_one("w1")
    story.at(4)
    story.done("w1", ok(second, ran=2.0))
    sort = stage("sort", after=("shuffle",), task_work=(3.0,))
    story.do(AddStages(job_id="query", stages=(sort,), close=True))
    story.look("query", "other")
    story.do(CloseJob(job_id="query"))
    last = story.poll_one("w1", slots=1)
    story.at(7)
    story.done("w1", ok(last, ran=3.0))
    story.do(AddStages(job_id="query", stages=(stage("more"),)))
    story.look("query", "other")
