"""A debt is not forgiven by absence.

A job that has left the virtual system (the fluid cluster is through with what it was charged for)
and turns out to cost more comes back with the difference, and its user with it.  What was taken too
much, in contrast, lapses: absence earns no credit.
"""

from tests.scenarios.story import Story, ok


def tell(story: Story) -> None:
    """Ada is out of virtual time after one second, and her task runs on."""
    story.submit("humble", by="ada", tasks=1, work=1.0)
    task = story.poll_one("w1")
    story.at(1)
    story.look("humble")
    # 10 % over its charge: the job comes back, again and again.
    story.at(2)
    story.look("humble")
    story.submit("next", by="ada", tasks=1, work=2.0)
    story.submit("fresh", by="bo", tasks=1, work=2.0)
    story.look("humble", "next", "fresh")
    story.at(4)
    story.done("w1", ok(task, ran=4.0))
    story.look("humble", "next", "fresh")
    # bo first: ada's debt stands before her next job.
    story.poll_one("w1")
