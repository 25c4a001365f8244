"""An engine that is not heard of for 60 s has its jobs cancelled: nobody else will finish them.

Its slots go with it.  When it reports later, it is told that nothing of it counts.
"""

from tests.scenarios.story import Story, begun, ok, placed, stage


def tell(story: Story) -> None:
    """One open job, one task running, then silence."""
    story.poll("spark", slots=4, ranking=True)
    story.submit(
        "query",
        by="ada",
        open=True,
        engine_id="spark",
        stages=(stage("map", 2, declared_work=9.0),),
    )
    first = placed("query", "map", 0)
    story.at(5)
    story.poll("spark", slots=4, free=3, ranking=True, started=(begun(first),))
    story.at(64)
    story.look("query")
    story.at(70)
    story.look("query")
    story.poll("spark", slots=4, free=3, ranking=True, done=(ok(first, ran=60.0),))
