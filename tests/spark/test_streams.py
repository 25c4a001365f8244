"""Streams run beside everybody's queries, and are somebody's, too."""

from __future__ import annotations

from tests.spark.application import Application

BATCHES = 3


def test_a_stream_is_its_starters_and_one_query(local: Application) -> None:
    """Its jobs run on a thread of Spark's, and only the first micro-batch is new to the service."""
    name = local.name("streamed")
    got = local.driver.call(
        "streamed",
        user="streamer",
        name=name,
        directory=str(local.directory / name),
        batches=BATCHES,
    )
    assert got["totals"] == [7 * (batch + 1) for batch in range(BATCHES)]
    local.settled()
    jobs = [job for job in local.jobs() if job.labels.get("group") == got["runId"]]
    assert len(jobs) >= BATCHES
    assert {job.user for job in jobs} == {"streamer"}
    assert all(job.succeeded for job in jobs)
    [signature] = {job.signature for job in jobs}
    assert signature.startswith("sql1-")
