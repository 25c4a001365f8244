"""What a person is told about jobs that wait, and how a screen is kept up to date."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import pytest
from rich.console import Console

from uwfq_client import Explanation, Job, JobAhead, JobState, NotFound, StageStatus, Unavailable
from uwfq_spark import Standing, display, standing
from uwfq_spark.display import Terminal, watching
from uwfq_spark.standing import Inquiry, Whereabouts, lines

ALICE = Whereabouts(target="scheduler:7170", user="alice", application="app-1")
NOW = dt.datetime(2025, 10, 17, tzinfo=dt.UTC)


def standing_of(**fields: Any) -> Standing:
    """A job in the middle of its life."""
    usual: dict[str, Any] = {
        "job_id": "app-1/q7",
        "description": "count events",
        "position": 1,
        "ahead": (),
        "done_tasks": 40,
        "running_tasks": 8,
        "task_count": 200,
        "predicted_finish_seconds": 12.4,
        "reason": "it runs",
    }
    return Standing(**usual | fields)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {},
            "count events: 40 of 200 tasks done, 8 running; number 1 in line; done in about 12 s",
        ),
        (
            {"description": "", "position": 0, "predicted_finish_seconds": None},
            "app-1/q7: 40 of 200 tasks done, 8 running",
        ),
        (
            {
                "description": f"clicks\nid = {'4' * 36}\nrunId = {'7' * 36}\nbatch = 3",
                "position": 0,
                "predicted_finish_seconds": None,
            },
            f"clicks id = {'4' * 36} runId = 77…: 40 of 200 tasks done, 8 running",
        ),
        (
            {"position": 3, "ahead": (("bob", 2),), "predicted_finish_seconds": 0.2},
            "count events: 40 of 200 tasks done, 8 running; "  # noqa: ISC004 - One sentence.
            "number 3 in line, behind bob (2 jobs); done in about a second",
        ),
        (
            {"position": 3, "ahead": (("bob", 1), ("eve", 1)), "predicted_finish_seconds": None},
            "count events: 40 of 200 tasks done, 8 running; number 3 in line, behind bob, eve",
        ),
        (
            {"predicted_finish_seconds": 600.0},
            "count events: 40 of 200 tasks done, 8 running; number 1 in line; done in about 10 min",
        ),
        (
            {"predicted_finish_seconds": 9_000.0},
            "count events: 40 of 200 tasks done, 8 running; number 1 in line; done in about 2 h",
        ),
    ],
)
def test_a_standing_reads_as_a_sentence(fields: dict[str, Any], text: str) -> None:
    """Only what is known is said."""
    assert str(standing_of(**fields)) == text


def test_nothing_to_do_is_said_as_well() -> None:
    """An empty place would look like a defect."""
    assert lines(ALICE, []) == ["alice: nothing waits or runs"]


def job(job_id: str, *, application: str = "app-1", user: str = "alice", **more: Any) -> Job:
    """A job as the service tells of it."""
    stage = StageStatus(
        stage="0.0",
        task_count=10,
        waiting=5,
        running=3,
        done=2,
        estimated_work_slot_seconds=10.0,
        measured_work_slot_seconds=2.0,
        ready=True,
        signature="",
        estimate_source=None,
    )
    usual: dict[str, Any] = {
        "pool": "default",
        "job_id": job_id,
        "user": user,
        "kind": "",
        "signature": "",
        "labels": {"application": application, "description": f"query {job_id}"},
        "job_weight": 1.0,
        "state": JobState.RUNNING,
        "open": True,
        "submitted_at": NOW,
        "started_at": None,
        "finished_at": None,
        "virtual_deadline": 1.0,
        "estimated_work_slot_seconds": 10.0,
        "measured_work_slot_seconds": 2.0,
        "stages": (stage, dataclasses.replace(stage, stage="1.0")),
        "failed_attempts": 0,
        "cause": "",
    }
    return Job(**usual | more)


class FakeService:
    """Answers as the service would, from a list of jobs, newest first."""

    def __init__(self, *jobs: Job, ended: Iterable[str] = ()) -> None:
        self.jobs = list(jobs)
        self.ended = set(ended)
        self.failure: Exception | None = None

    def list_jobs(self, *, pool: str, user: str, states: Iterable[JobState]) -> Iterator[Job]:
        if self.failure:
            raise self.failure
        assert (pool, list(states)) == ("", [JobState.WAITING, JobState.RUNNING])
        return iter([job for job in self.jobs if job.user == user])

    def explain(self, job_id: str, *, max_ahead: int) -> Explanation:
        if job_id in self.ended:
            raise NotFound("gone")
        (found,) = (job for job in self.jobs if job.job_id == job_id)
        other = JobAhead(
            job_id="x",
            user="bob",
            virtual_deadline=0.5,
            launchable_tasks=1,
            remaining_work_slot_seconds=1.0,
        )
        return Explanation(
            job=found,
            reason="others are first",
            position=4,
            ahead=(other, dataclasses.replace(other, user="carol"), other),
            virtual_time=0.0,
            predicted_start_seconds=1.0,
            predicted_finish_seconds=5.0,
        )

    def close(self) -> None:
        self.jobs.clear()


def inquiry(service: FakeService) -> Inquiry:
    """An open line to it."""
    return Inquiry(ALICE, cast(Any, service))


def test_only_the_users_jobs_of_this_application_are_asked_about() -> None:
    """One service may serve several applications, and the user may have jobs in all of them."""
    service = FakeService(
        job("app-1/q8"), job("app-2/q1", application="app-2"), job("b", user="bob"), job("app-1/q7")
    )
    asked = inquiry(service)
    assert [each.job_id for each in asked.ask()] == ["app-1/q7", "app-1/q8"]
    assert asked.seen == {"app-1/q7", "app-1/q8"}


def test_tasks_are_those_of_all_stages_and_users_ahead_are_counted() -> None:
    """The first in line comes first."""
    (found,) = inquiry(FakeService(job("app-1/q7"))).ask()
    assert found == standing_of(
        description="query app-1/q7",
        position=4,
        ahead=(("bob", 2), ("carol", 1)),
        done_tasks=4,
        running_tasks=6,
        task_count=20,
        predicted_finish_seconds=5.0,
        reason="others are first",
    )


def test_a_job_that_ends_between_two_questions_is_left_out() -> None:
    """Whether the service has forgotten it already or not."""
    service = FakeService(
        job("app-1/q9", state=JobState.SUCCEEDED),
        job("app-1/q8"),
        job("app-1/q7"),
        ended=["app-1/q7"],
    )
    assert [each.job_id for each in inquiry(service).ask()] == ["app-1/q8"]


def test_of_many_jobs_the_oldest_are_explained() -> None:
    """Each costs a round trip, and the oldest are the next to be done."""
    jobs = [job(f"app-1/q{number}") for number in reversed(range(20))]
    asked = inquiry(FakeService(*jobs))
    assert [each.job_id for each in asked.ask()] == [f"app-1/q{number}" for number in range(8)]
    assert len(asked.seen) == 20


class Wall:
    """A screen that remembers everything, and says when something new is shown."""

    def __init__(self) -> None:
        self.shown: list[Sequence[str]] = []
        self.finished: Sequence[str] = ()
        self.changed = threading.Semaphore(0)

    def show(self, text: Sequence[str]) -> None:
        self.shown.append(text)
        self.changed.release()

    def finish(self, text: Sequence[str]) -> None:
        self.finished = text


def test_the_screen_follows_and_a_silent_service_disturbs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The block's own work goes on, and so does asking."""
    service = FakeService(job("app-1/q7"))
    monkeypatch.setattr(standing, "_connect", lambda _: service)
    wall = Wall()
    with watching(ALICE, wall, 0.001):
        assert wall.changed.acquire(timeout=30)
        service.failure = Unavailable("connection refused")
        while "does not answer" not in wall.shown[-1][0]:
            assert wall.changed.acquire(timeout=30)
        service.failure = None
        while "query" not in wall.shown[-1][0]:
            assert wall.changed.acquire(timeout=30)
    assert wall.shown[0] == [str(each) for each in inquiry(FakeService(job("app-1/q7"))).ask()]
    assert any(
        text[0].startswith("the service at scheduler:7170 does not answer") for text in wall.shown
    )
    assert wall.finished[0].startswith("alice: 1 job, ")


def test_what_keeps_from_asking_is_shown_and_disturbs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The driver's files for TLS need not be readable where the screen is."""
    where = dataclasses.replace(ALICE, ca="/no/such/ca.pem")
    wall = Wall()
    with watching(where, wall, 0.001):
        assert wall.changed.acquire(timeout=30)
        monkeypatch.setattr(standing, "_connect", lambda _: FakeService(job("app-1/q7")))
        while "query" not in wall.shown[-1][0]:
            assert wall.changed.acquire(timeout=30)
    assert wall.shown[0][0].startswith("the service at scheduler:7170 cannot be asked (")
    assert "/no/such/ca.pem" in wall.shown[0][0]
    assert wall.finished[0].startswith("alice: 1 job, ")


def test_a_service_that_hangs_does_not_keep_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends, the line is closed, and what comes after that is not shown any more."""
    asked, hangs, closed = threading.Event(), threading.Event(), threading.Event()

    class Hanging(FakeService):
        def list_jobs(self, **_: Any) -> Iterator[Job]:
            asked.set()
            assert hangs.wait(timeout=30)
            return iter([])

        def close(self) -> None:
            closed.set()

    monkeypatch.setattr(standing, "_connect", lambda _: Hanging())
    monkeypatch.setattr(display, "_LAST_ANSWER_SECONDS", 0.01)
    wall = Wall()
    with watching(ALICE, wall, 0.001):
        assert asked.wait(timeout=30)
    assert closed.is_set()
    (thread,) = (each for each in threading.enumerate() if each.name == "uwfq-standing")
    hangs.set()
    thread.join(timeout=30)
    assert wall.shown == []
    assert wall.finished[0].startswith("alice: 0 jobs, ")


def test_a_terminal_shows_lines_and_is_clean_again() -> None:
    """The last thing that is written erases them."""
    file = io.StringIO()
    terminal = Terminal(Console(file=file, force_terminal=True, width=80))
    terminal.show(["first [red]line[/]", "second"])
    terminal.finish(["never shown"])
    written = file.getvalue()
    assert "first [red]line[/]" in written
    assert "never shown" not in written
    erase_line = "\x1b[2K"
    assert erase_line in written.partition("second")[2]
