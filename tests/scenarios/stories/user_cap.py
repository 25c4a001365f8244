"""A cap on a user's running slots holds across workers, and gives way slot by slot.

Others are not held up: what the capped user leaves goes to them.  0 lifts the cap.
"""

from tests.scenarios.story import Story, ok
from uwfq_service.core.commands import SetUser


def tell(story: Story) -> None:
    """Ada comes first, but may use two slots only."""
    story.do(SetUser(user="ada", max_running_slots=2))
    story.submit("large", by="ada", tasks=6, work=6.0)
    story.submit("small", by="bo", tasks=2, work=9.0)
    first, second, *_ = story.poll("w1", slots=3)
    story.poll("w2", slots=2)
    story.at(1)
    # One of ada's is through: one more of hers, no matter on which worker.
    story.done("w1", ok(first, ran=1.0))
    story.poll("w2", slots=2, free=1)
    story.do(SetUser(user="ada", max_running_slots=0))
    story.poll("w1", slots=3, free=1)
    story.done("w1", ok(second, ran=1.0))
