"""Cancelling: waiting tasks go at once; who runs a task learns of it when it next asks.

A result that comes late is stale and changes nothing.  What ran until the end is what the job is
charged for.
"""

from tests.scenarios.story import Story, ok
from uwfq_service.core.commands import CancelJob


def tell(story: Story) -> None:
    """Two of four tasks run, on two workers, when the job is cancelled."""
    story.submit("report", by="ada", tasks=4, work=20.0)
    on_w1 = story.poll_one("w1")
    story.at(1)
    story.poll_one("w2")
    story.at(3)
    story.do(CancelJob(job_id="report", reason="asked for the wrong month"))
    story.account("ada")
    story.renew("w1", on_w1)
    story.poll("w2", free=0)
    # Once told is enough.
    story.poll("w2")
    story.done("w1", ok(on_w1, ran=3.0))
    story.do(CancelJob(job_id="report", reason="again"))
    story.look("report")
