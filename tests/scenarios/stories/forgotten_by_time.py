"""A finished job is remembered for a while: a submission that is repeated gets the first answer.

Afterwards it is forgotten, and so is its place in the idempotency window.
"""

from tests.scenarios.story import Story, ok, stage
from uwfq_service.core.commands import CancelJob, SubmitJob


def tell(story: Story) -> None:
    """One submission, repeated while its job is remembered and after that."""
    story.settings(retention_seconds=100.0)
    submission = SubmitJob(user="ada", request_id="r-17", declared_work=2.0, stages=(stage("run"),))
    story.do(submission)
    first = story.poll_one("w1")
    story.at(2)
    story.done("w1", ok(first, ran=2.0))
    story.at(101)
    story.do(submission)
    other = SubmitJob(user="ada", request_id="r-17", declared_work=3.0, stages=(stage("run"),))
    story.do(other)
    story.at(102)
    story.do(CancelJob(job_id="job-1"))
    story.do(submission)
    # Its lease is older than anything that is remembered.
    story.done("w1", ok(first, ran=2.0))
