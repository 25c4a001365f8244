"""After a restart everything is as it was, and leases and workers get fresh time to report in.

Virtual time goes on, as it would have.
"""

from tests.scenarios.story import Story, ok


def tell(story: Story) -> None:
    """The service is away for 20 s, longer than the leases hold."""
    story.submit("report", by="ada", tasks=2, work=80.0)
    first = story.poll_one("w1")
    story.at(5)
    story.look("report")
    story.restart(after=20)
    story.look("report")
    story.at(30)
    story.renew("w1")
    second = story.poll_one("w1", done=(ok(first, ran=29.0),))
    story.at(39)
    story.done("w1", ok(second, ran=9.0))
    story.look("report")
