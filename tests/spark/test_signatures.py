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
