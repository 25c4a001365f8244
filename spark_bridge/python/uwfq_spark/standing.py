"""Where a user's jobs stand: who is ahead of them, and when they will be done.

Spark's own progress bar counts tasks.  It cannot tell why they do not move: somebody else's turn is
first.  That is known to the service, so it is asked here, directly from Python.  The answers are
about the jobs of one user in one Spark application.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from uwfq_client import Explanation, SyncClient

#: The label by which the plugin says which application a job belongs to: its ``spark.app.id``.
APPLICATION_LABEL: Final = "application"
DESCRIPTION_LABEL: Final = "description"

#: Jobs of one user that are asked about each time; the rest is counted.
MOST_EXPLAINED: Final = 8
_MOST_AHEAD: Final = 100

#: The rest of a description is left out of a line.
_TITLE_CHARACTERS: Final = 60


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one unfinished job stands.

    Attributes:
        job_id: its name in the service (``uwfq explain JOB`` tells more).
        description: what Spark calls it.
        position: place among all jobs with a task to launch, from 1; 0: it has none to launch.
        ahead: the users that are ahead of it, each with the number of their jobs, first in line
            first.
        done_tasks: tasks that are done, of the stages that Spark has shown so far.
        running_tasks: tasks that run.
        task_count: tasks in all.
        predicted_finish_seconds: from now, if nobody comes or leaves; ``None``: nothing can be
            said.
        reason: what it waits for, in a sentence.
    """

    job_id: str
    description: str
    position: int
    ahead: tuple[tuple[str, int], ...]
    done_tasks: int
    running_tasks: int
    task_count: int
    predicted_finish_seconds: float | None
    reason: str

    def __str__(self) -> str:
        """All of it in one line."""
        parts = [f"{self.done_tasks} of {self.task_count} tasks done, {self.running_tasks} running"]
        if self.position:
            parts.append(f"number {self.position} in line{self._behind()}")
        if self.predicted_finish_seconds is not None:
            parts.append(f"done in about {_roughly(self.predicted_finish_seconds)}")
        return f"{_title(self.description) or self.job_id}: " + "; ".join(parts)

    def _behind(self) -> str:
        if not self.ahead:
            return ""
        return ", behind " + ", ".join(
            user if jobs == 1 else f"{user} ({jobs} jobs)" for user, jobs in self.ahead
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Whose jobs are meant, and who knows about them.

    Attributes:
        target: where the service listens, ``"host:port"``.
        user: whose jobs, as the service knows the user.
        application: the ``spark.app.id`` that they run in; empty: any.
        ca: file with the authorities to trust, PEM; ``None``: no TLS.
        certificate: file with this client's certificate chain, PEM.
        key: file with its key, PEM.
    """

    target: str
    user: str
    application: str
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def of_session(cls, *, user: str | None = None, target: str | None = None) -> Self:
        """Those of this thread in the active Spark session.

        Raises:
            RuntimeError: no session is active, or it does not use the bridge.
        """
        from uwfq_spark.users import active_session, counted_as, current_user

        session = active_session()

        def setting(key: str) -> str | None:
            value: str | None = session.conf.get(key, None)
            return value

        target = target or setting("spark.uwfq.target")
        if target is None:
            raise RuntimeError(
                "this Spark application does not use UWFQ (spark.uwfq.target is not set): see "
                "uwfq_spark.configure"
            )
        return cls(
            target=target,
            user=counted_as(user)
            or counted_as(current_user())
            or counted_as(setting("spark.uwfq.defaultUser"))
            or "default",
            application=setting("spark.app.id") or "",
            ca=setting("spark.uwfq.tls.ca") or None,
            certificate=setting("spark.uwfq.tls.certificate") or None,
            key=setting("spark.uwfq.tls.key") or None,
        )


def standings(*, user: str | None = None, target: str | None = None) -> list[Standing]:
    """Where the unfinished jobs of a user stand in this Spark application; the oldest first.

    At most ``MOST_EXPLAINED`` of them.  It costs two round trips to the service, and one more for
    each further job.

    Args:
        user: whose; without it those of this thread (see ``user``).
        target: where the service listens, as seen from here; without it as the application's
            driver sees it.

    Raises:
        RuntimeError: no session is active, or it does not use the bridge.
        OSError: a file of the driver's for TLS cannot be read here.
        uwfq_client.UwfqError: the service does not answer, or refuses to.
    """
    where = Whereabouts.of_session(user=user, target=target)
    with contextlib.closing(Inquiry(where)) as inquiry:
        return inquiry.ask()


class Inquiry:
    """A line to the service, to ask the same again and again; opened when it is first asked."""

    def __init__(self, where: Whereabouts, client: SyncClient | None = None) -> None:
        self.where = where
        #: Every job that was seen unfinished.
        self.seen: set[str] = set()
        self._client = client

    def ask(self) -> list[Standing]:
        """Where the jobs stand now; see ``standings``."""
        from uwfq_client import JobState, NotFound

        if self._client is None:
            self._client = _connect(self.where)
        client = self._client
        found = client.list_jobs(
            pool="", user=self.where.user, states=[JobState.WAITING, JobState.RUNNING]
        )
        mine = [job.job_id for job in found if self._belongs(job.labels)]
        self.seen.update(mine)
        answers: list[Standing] = []
        # The service lists the newest first; the oldest one is the next to be done.
        for job_id in mine[: -MOST_EXPLAINED - 1 : -1]:
            # It may end between the two questions.
            with contextlib.suppress(NotFound):
                explained = client.explain(job_id, max_ahead=_MOST_AHEAD)
                if not explained.job.ended:
                    answers.append(_standing(explained))
        return answers

    def close(self) -> None:
        """Hang up; what is being asked is given up."""
        if self._client is not None:
            self._client.close()

    def _belongs(self, labels: dict[str, str]) -> bool:
        wanted = self.where.application
        return not wanted or labels.get(APPLICATION_LABEL) == wanted


def _connect(where: Whereabouts) -> SyncClient:
    from uwfq_client import RetryPolicy, SyncClient, Tls

    tls = Tls(ca=where.ca, certificate=where.certificate, key=where.key) if where.ca else False
    # A person waits: rather say at once that nobody answers.
    return SyncClient(where.target, tls=tls, timeout=5.0, retry=RetryPolicy(max_attempts=1))


def _standing(explained: Explanation) -> Standing:
    job = explained.job
    ahead = collections.Counter(other.user for other in explained.ahead)
    return Standing(
        job_id=job.job_id,
        description=job.labels.get(DESCRIPTION_LABEL, ""),
        position=explained.position,
        ahead=tuple(ahead.items()),
        done_tasks=job.done_tasks,
        running_tasks=job.running_tasks,
        task_count=job.task_count,
        predicted_finish_seconds=explained.predicted_finish_seconds,
        reason=explained.reason,
    )


def _title(description: str) -> str:
    """What fits a line: Spark describes streams, and what Connect runs, in several."""
    text = " ".join(description.split())
    return text if len(text) <= _TITLE_CHARACTERS else text[: _TITLE_CHARACTERS - 1] + "…"


def _roughly(seconds: float) -> str:
    """A prediction is not exact, so do not show it as if it were."""
    if seconds < 1:
        return "a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def lines(where: Whereabouts, found: Sequence[Standing]) -> list[str]:
    """What a person is shown: a line for each job, or one that says that there is none."""
    return list(map(str, found)) or [f"{where.user}: nothing waits or runs"]
