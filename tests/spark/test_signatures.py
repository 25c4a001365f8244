"""Queries are learned apart by what they do, on the releases of Spark that are installed."""

from __future__ import annotations

from tests.spark.application import Application


def test_saved_tables_are_learned_by_their_queries(local: Application) -> None:
    """Spark 4.3 runs each ``saveAsTable`` within a command of its own, which shows no query."""

    def saved(aggregate: str, least: int) -> str:
        query = f"SELECT {aggregate}(id) AS x FROM range(0, 100, 1, 2) WHERE id > {least}"
        name = local.name("saved")
        local.driver.call("saved", user="writer", name=name, query=query)
        local.settled()
        return local.named()[name].signature

    signature = saved("max", 3)
    assert signature.startswith("sql1-")
    assert saved("max", 4) == signature
    assert saved("sum", 3) != signature


def test_tables_of_a_database_are_learned_apart(local: Application) -> None:
    """All are read through one class of Spark's; what tells them apart is among its options."""

    def counted(rows: int, **source: str) -> str:
        name = local.name("counted")
        assert local.driver.call("counted", user="reader", name=name, source=source) == rows
        local.settled()
        return local.named()[name].signature

    signature = counted(10, dbtable="one")
    assert signature.startswith("sql1-")
    assert counted(10, dbtable="one") == signature
    assert counted(10, dbtable="two") != signature
    # Spark numbers what it is given as a query.
    query = counted(5, query='SELECT * FROM two WHERE "id" < 5')
    assert counted(7, query='SELECT * FROM two WHERE "id" < 7') == query
    assert counted(7, query='SELECT * FROM one WHERE "id" < 7') != query
