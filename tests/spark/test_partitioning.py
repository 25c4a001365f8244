"""What is cut and what is not, on the releases of Spark that are installed."""

from __future__ import annotations

from tests.spark.application import Application


def test_aggregates_that_depend_on_the_tasks_are_not_cut(local: Application) -> None:
    """They go by their names, some of which the release that the plugin is built for has not."""
    table = str(local.directory / "table")

    def splits(function: str, of: str) -> int | None:
        name = local.name("aggregated")
        found: int | None = local.driver.call(
            "aggregated", user="reader", name=name, directory=table, function=function, of=of
        )
        return found

    assert splits("percentile", "id, 0.5D")
    assert splits("percentile_approx", "id, 0.5D") == 0
    assert not splits("approx_top_k", "id, 5, 100")
    assert not splits("approx_top_k_accumulate", "id")
    local.settled()
