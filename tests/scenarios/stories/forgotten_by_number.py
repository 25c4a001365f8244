"""Of finished jobs at most so many are remembered; the one that ended first goes first."""

from tests.scenarios.story import Story
from uwfq_service.core.commands import CancelJob


def tell(story: Story) -> None:
    """Two are remembered; the third end of a job forgets one."""
    story.settings(retention_jobs=2)
    for job in ("a", "b", "c", "d"):
        story.submit(job, by="ada", work=1.0)
    for job in ("b", "a", "c"):
        story.at(story.now + 1)
        story.do(CancelJob(job_id=job))
    story.do(CancelJob(job_id="b"))
    story.do(CancelJob(job_id="a"))
