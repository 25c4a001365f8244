"""The caller's mistakes, by name.  Raised before anything changes; the shell maps them to statuses.

What is *ours* to get right is an ``assert``; what is the world's (disk, network) is the shell's.
"""

from __future__ import annotations


class SchedulerError(Exception):
    """A command that the core refuses.  ``str()`` says why and what to do about it."""


class InvalidField(SchedulerError):
    """A value is out of its range.  Names the field as the API does, e.g. ``stages[2].after``."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def within(self, path: str) -> InvalidField:
        """The same of a value that is a part of what ``path`` names."""
        return InvalidField(f"{path}.{self.field}", self.problem)


class NotFound(SchedulerError):
    """Something that was named does not exist (any more)."""

    def __init__(self, kind: str, name: str, remedy: str = "") -> None:
        super().__init__(f"{kind} {name!r} does not exist" + (f"; {remedy}" if remedy else ""))
        self.kind = kind
        self.name = name


class UnknownPool(NotFound):
    """No such pool; pools are the operator's to configure."""

    def __init__(self, pool: str) -> None:
        super().__init__("pool", pool, "pools are named in the service's configuration")


class UnknownJob(NotFound):
    """No such job: never submitted, or finished so long ago that it is forgotten."""

    def __init__(self, job_id: str) -> None:
        super().__init__("job", job_id, "it was never submitted, or is forgotten by now")


class JobConflict(SchedulerError):
    """A job or stage of that name exists with other content."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} exists with other content; choose another name")
        self.kind = kind
        self.name = name


class JobNotOpen(SchedulerError):
    """Stages were added to a job that is closed or over."""

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"job {job_id!r} takes no more stages: it is {state}")
        self.job_id = job_id


class TasksAreLeased(SchedulerError):
    """Only whoever places a job's tasks can say that they will not run."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"the tasks of job {job_id!r} are leased to workers, not placed by an engine; "
            "to end it before its time use CancelJob"
        )
        self.job_id = job_id


class NoRanking(SchedulerError):
    """A ranking was asked of a policy whose order does not follow deadlines."""

    def __init__(self, pool: str, policy: str) -> None:
        super().__init__(
            f"pool {pool!r} runs policy {policy!r}, whose order changes with every launch; "
            "a ranking needs uwfq, uwfq_paper or cfq"
        )
        self.pool = pool
        self.policy = policy


class UsersFull(SchedulerError):
    """A pool has as many users as it may, and none that was idle when they were looked through."""

    def __init__(self, pool: str, limit: int) -> None:
        super().__init__(
            f"pool {pool!r} has {limit} users, the most allowed, and none of them is idle: "
            "raise limits.max_users_per_pool, or name fewer users"
        )
        self.pool = pool
        self.limit = limit


class BacklogFull(SchedulerError):
    """A limit on what is kept is reached; try again when something has finished."""

    def __init__(self, scope: str, name: str, limit: int, what: str = "unfinished jobs") -> None:
        super().__init__(f"{scope} {name!r} has {limit} {what}, the most allowed")
        self.scope = scope
        self.name = name
        self.limit = limit
