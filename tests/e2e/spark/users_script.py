"""Checks inside a real Spark what ``uwfq_spark.user`` does to local properties.

A script, started by ``test_users.py``: it holds a JVM, whose state should die with it.  It runs on
every line of Spark, in that line's environment.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"

from pyspark import InheritableThread, SparkContext
from pyspark.sql import SparkSession

from uwfq_spark import current_user, user

Said = tuple[str | None, str | None]


def said(context: SparkContext) -> Said:
    """Whose this thread's jobs are, and what they weigh."""
    properties = (context.getLocalProperty(f"uwfq.{name}") for name in ("user", "weight"))
    one, other = properties
    return one, other


def in_thread(make: Callable[..., threading.Thread], context: SparkContext) -> Said:
    """The same in a new thread."""
    found: list[Said] = []
    thread = make(target=lambda: found.append(said(context)))
    thread.start()
    thread.join()
    return found[0]


def blocks_nest(context: SparkContext) -> None:
    """The inner one holds, whole, and the outer one comes back."""
    assert said(context) == (None, None)
    assert current_user() is None
    with user("alice", weight=2):
        assert said(context) == ("alice", "2")
        with user("bob"):
            assert said(context) == ("bob", "1")
            assert current_user() == "bob"
        assert said(context) == ("alice", "2")
    assert said(context) == (None, None)


def what_was_set_by_hand_comes_back(context: SparkContext) -> None:
    """Also when the block ends with an error."""
    context.setLocalProperty("uwfq.user", "carol")
    try:
        with user("alice", weight=0.5):
            assert said(context) == ("alice", "0.5")
            raise KeyError
    except KeyError:
        assert said(context) == ("carol", None)
    context._jsc.setLocalProperty("uwfq.user", None)


def threads_speak_for_themselves(context: SparkContext) -> None:
    """An InheritableThread takes along what held when it started; a plain one begins anew."""
    with user("alice", weight=3):
        assert in_thread(InheritableThread, context) == ("alice", "3")
        assert in_thread(threading.Thread, context) == (None, None)
    assert in_thread(InheritableThread, context) == (None, None)

    both_inside = threading.Barrier(2, timeout=60)
    seen: dict[str, Said] = {}

    @user("dave")
    def as_dave() -> None:
        both_inside.wait()
        seen["dave"] = said(context)
        both_inside.wait()

    def as_erin() -> None:
        with user("erin", weight=4):
            both_inside.wait()
            seen["erin"] = said(context)
            both_inside.wait()

    threads = [threading.Thread(target=each) for each in (as_dave, as_erin)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"dave": ("dave", "1"), "erin": ("erin", "4")}


def the_session_speaks_for_what_is_outside_of_blocks(spark: SparkSession) -> None:
    """And the local property of its name where the session says nothing."""
    context = spark.sparkContext
    context.setLocalProperty("spark.uwfq.user", "frank")
    assert current_user() == "frank"
    spark.conf.set("spark.uwfq.user", "grace")
    assert current_user() == "grace"
    with user("alice"):
        assert current_user() == "alice"
    spark.conf.unset("spark.uwfq.user")
    assert current_user() == "frank"


def main() -> None:
    """Check it all in one session."""
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    blocks_nest(spark.sparkContext)
    what_was_set_by_hand_comes_back(spark.sparkContext)
    threads_speak_for_themselves(spark.sparkContext)
    the_session_speaks_for_what_is_outside_of_blocks(spark)
    spark.stop()
    print("as promised")


if __name__ == "__main__":
    main()
