"""An engine that places tasks itself asks for the order, and tells what it started and finished.

Starts and results ride on its polls.  It may run a second attempt beside the first (speculation):
the first to finish wins, the other is superseded, and both are charged.
"""

from tests.scenarios.story import Story, begun, ok, placed, stage


def tell(story: Story) -> None:
    """Two jobs of an engine with four slots."""
    story.submit("scan", by="ada", engine_id="spark", stages=(stage("map", 3, declared_work=9.0),))
    story.submit("look", by="bo", engine_id="spark", stages=(stage("map", 1, declared_work=2.0),))
    story.poll("spark", slots=4, ranking=True)
    # A worker that leases tasks gets none of these.
    story.poll("w1")
    scan = [placed("scan", "map", task) for task in range(3)]
    look = placed("look", "map", 0)
    story.at(1)
    # It began a quarter of a second ago, and chose its own order.
    story.poll(
        "spark",
        slots=4,
        free=1,
        ranking=True,
        started=(begun(look, running=0.25), begun(scan[2]), begun(scan[0])),
    )
    story.at(3)
    story.poll("spark", slots=4, free=2, ranking=True, done=(ok(look, ran=2.25),))
    # The third task drags on: a second attempt of it, which wins.
    again = placed("scan", "map", 2, attempt=2)
    story.poll("spark", slots=4, free=1, ranking=True, started=(begun(again),))
    story.at(4)
    story.poll("spark", slots=4, free=2, ranking=True, done=(ok(again, ran=1.0),))
    story.look("scan")
    story.at(5)
    story.poll("spark", slots=4, free=3, ranking=True, done=(ok(scan[2], ran=4.0),))
    # The start of scan[1] was never told; its result says enough.  A result that comes twice.
    story.poll("spark", slots=4, ranking=True, done=(ok(scan[0], ran=4.0), ok(scan[1], ran=2.0)))
    story.poll("spark", slots=4, ranking=True, done=(ok(scan[1], ran=2.0),))
    story.account("ada", "bo")
