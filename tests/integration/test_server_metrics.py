"""What Prometheus scrapes."""

import asyncio
import contextlib
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from tests.integration.serving import Service, result, serving
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq_service.server import metrics
from uwfq_service.server.app import Server
from uwfq_service.server.config import ConfigError, load


async def request(service: Service, text: str) -> tuple[str, str]:
    """Send raw HTTP; the head and the body of the answer."""
    assert service.server.metrics is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", service.server.metrics.port)
    writer.write(text.encode())
    answer = (await asyncio.wait_for(reader.read(), 5)).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return head, body


async def scrape(service: Service) -> dict[tuple[str, str], float]:
    """Every sample, by its name and the value of its labels."""
    head, body = await request(service, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK")
    assert f"Content-Length: {len(body)}" in head
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


async def test_events_are_counted_and_pools_are_shown() -> None:
    """Counters follow the journal, gauges the moment."""
    async with serving(metrics__listen="127.0.0.1:0") as service:
        await service.submit(tasks=3)
        leases = (await service.poll(slots=2)).leases
        service.clock.advance(1)
        results = [result(leases[0], runtime=0.5)]
        await service.jobs.TaskDone(rpc.TaskDoneRequest(worker_id="w", results=results))
        seen = await scrape(service)
        assert seen["uwfq_events_total", "job_admitted"] == 1
        assert seen["uwfq_tasks_leased_total", ""] == 2
        assert seen["uwfq_tasks_finished_total", ""] == 1
        assert seen["uwfq_jobs_ended_total", "succeeded"] == 0
        assert seen["uwfq_pool_slots", "default"] == 2
        assert seen["uwfq_pool_running_slots", "default"] == 1
        assert seen["uwfq_pool_jobs", "default"] == 1
        assert seen["uwfq_waiting_calls", ""] == 0
        appended = seen["uwfq_journal_appended_events_total", ""]
        assert appended == seen["uwfq_journal_durable_events_total", ""] > 3
        assert seen["process_resident_memory_bytes", ""] > 0


async def test_what_a_worker_gives_back_has_not_expired() -> None:
    """An operator who is told of leases that nobody renewed looks for workers that died."""
    async with serving(metrics__listen="127.0.0.1:0") as service:
        await service.submit(tasks=2)
        await service.poll(slots=1, prefetch=1)
        await service.poll(slots=0, leaving=True)
        seen = await scrape(service)
        # One had begun, and is lost.
        assert seen["uwfq_events_total", "leases_expired"] == 2
        assert seen["uwfq_leases_expired_total", ""] == 1


async def test_a_pool_without_finished_jobs_has_no_estimate_ratio() -> None:
    """0 would say that its jobs cost nothing of what was estimated."""
    async with serving(metrics__listen="127.0.0.1:0") as service:
        assert ("uwfq_pool_estimate_ratio", "default,0.5") not in await scrape(service)
        await service.submit(estimated_work_slot_seconds=4)
        (lease,) = (await service.poll()).leases
        service.clock.advance(2)
        results = [result(lease, runtime=2)]
        await service.jobs.TaskDone(rpc.TaskDoneRequest(worker_id="w", results=results))
        assert (await scrape(service))["uwfq_pool_estimate_ratio", "default,0.5"] == 0.5


async def test_parked_polls_are_shown() -> None:
    """The first thing to look at when workers seem idle."""
    async with serving(metrics__listen="127.0.0.1:0") as service:
        poll = asyncio.ensure_future(service.poll(wait_seconds=30))
        await service.parked(1)
        assert (await scrape(service))["uwfq_parked_polls", ""] == 1
        await service.submit()
        await poll


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405"),
        ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", "HTTP/1.1 200"),
        ("nonsense\r\n\r\n", "HTTP/1.1 404"),
        ("GET /metrics HTTP/1.1\r\nX: " + "y" * 20_000 + "\r\n\r\n", ""),
    ],
)
async def test_other_requests_get_a_short_answer_or_none(sent: str, answered: str) -> None:
    """It is no web server."""
    async with serving(metrics__listen="127.0.0.1:0") as service:
        head, _ = await request(service, sent)
        assert head.startswith(answered)
        assert answered or not head
        await scrape(service)


async def test_who_does_not_take_in_the_answer_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection, and what was to be sent, would stay for as long as the other side likes."""
    monkeypatch.setattr(metrics, "_REQUEST_SECONDS", 0.1)
    page = bytes(32 * 1024 * 1024)
    endpoint = metrics.MetricsEndpoint(lambda: page)
    gave_up = asyncio.Event()
    serve = endpoint._serve

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        gave_up.set()

    monkeypatch.setattr(endpoint, "_serve", served)
    await endpoint.start("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", endpoint.port)) as scraper:
        scraper.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        await asyncio.wait_for(gave_up.wait(), 5)
        scraper.settimeout(5)
        received = await asyncio.to_thread(_all_of, scraper)
    await endpoint.stop()
    assert received < len(page)


def _all_of(connection: socket.socket) -> int:
    """Bytes that come until the other side has closed, or torn, the connection."""
    count = 0
    with contextlib.suppress(ConnectionResetError):
        while more := len(connection.recv(1 << 20)):
            count += more
    return count


async def test_a_head_request_has_no_body() -> None:
    """But says how long it would be."""
    async with serving(metrics__listen="127.0.0.1:0") as service:
        head, body = await request(service, "HEAD /metrics HTTP/1.1\r\n\r\n")
        assert "Content-Length: " in head
        assert body == ""


async def test_the_log_says_where_metrics_are() -> None:
    """Port 0 is whichever is free."""
    with capture_logs() as lines:
        async with serving(metrics__listen="127.0.0.1:0") as service:
            assert service.server.metrics is not None
            port = service.server.metrics.port
    (line,) = [line for line in lines if line["event"] == "serving"]
    assert line["metrics"] == f"127.0.0.1:{port}"


async def test_without_an_address_nothing_is_served() -> None:
    """Which is the default."""
    with capture_logs() as lines:
        async with serving() as service:
            assert service.server.metrics is None
    (line,) = [line for line in lines if line["event"] == "serving"]
    assert line["metrics"] == ""


async def test_an_address_in_use_is_an_error_that_names_the_key() -> None:
    """At start, not at the first scrape."""
    async with serving(metrics__listen="127.0.0.1:0") as service:
        assert service.server.metrics is not None
        taken = f"127.0.0.1:{service.server.metrics.port}"
        settings = {"listen": "127.0.0.1:0", "data": ":memory:", "metrics.listen": taken}
        with pytest.raises(ConfigError, match=r"metrics\.listen: cannot listen"):
            await Server(load(settings)).start()
