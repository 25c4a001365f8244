"""A task that needs more slots than are free is passed over, and after 5 s a worker is held for it.

The held worker gets nothing else until enough of its slots have run free; the other worker goes on
as before.
"""

from tests.scenarios.story import Story, ok


def tell(story: Story) -> None:
    """Every slot is busy with narrow tasks when a wide one comes."""
    story.submit("narrow", by="ada", tasks=20, work=40.0)
    one, two = story.poll("w1", slots=2)
    three, four = story.poll("w2", slots=2)
    story.at(1)
    story.submit("wide", by="bo", tasks=1, work=2.0, slots_per_task=2)
    # wide is the more urgent, but one slot is not enough: it is passed over since 2.
    story.at(2)
    five = story.poll_one("w1", slots=2, free=1, done=(ok(one, ran=2.0),))
    story.at(4)
    six = story.poll_one("w2", slots=2, free=1, done=(ok(three, ran=4.0),))
    # At 7 it has been passed over for 5 s: w1 is held, and its free slot stays free.
    story.at(7)
    story.poll("w1", slots=2, free=1, done=(ok(two, ran=7.0),))
    story.at(8)
    # w2 goes on with the narrow ones.
    seven = story.poll_one("w2", slots=2, free=1, done=(ok(four, ran=8.0),))
    story.at(9)
    wide = story.poll_one("w1", slots=2, done=(ok(five, ran=7.0),))
    story.at(10)
    story.done("w2", ok(six, ran=6.0), ok(seven, ran=2.0))
    # Nobody is held any more.
    story.poll("w1", slots=2, done=(ok(wide, ran=1.0),))
