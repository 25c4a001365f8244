"""What the core answers: values that stay true to the instant of the decision.

A reply never refers to live state that a later command could change, so the shell may hold it
back until the decision is on disk.
"""

from __future__ import annotations

import enum

from uwfq_service.core.commands import Record
from uwfq_service.core.model import Job, Lease, User
from uwfq_service.core.stage import Stage


class AckStatus(enum.IntEnum):
    """What became of a reported start or result."""

    ACCEPTED = 1
    SUPERSEDED = 2
    STALE = 3
    UNKNOWN = 4


class Ack(Record, frozen=True, kw_only=True):
    """The answer to one start or result."""

    lease_id: int
    status: AckStatus


class LeaseStatus(enum.IntEnum):
    """What a lease is when its worker asks."""

    RENEWED = 1
    REVOKED = 2
    UNKNOWN = 3


class Renewal(Record, frozen=True, kw_only=True):
    """The answer for one lease."""

    lease_id: int
    status: LeaseStatus
    expires_in: float = 0.0


class JobReply(Record, frozen=True, kw_only=True):
    """After SubmitJob, AddStages, DropStages, CloseJob and CancelJob.

    Of ``job`` and ``stages`` the shell reads what no later command changes (names, splits); what
    changes stands here by value.
    """

    job: Job
    virtual_deadline: float | None
    predicted_finish: float | None
    work: float
    #: The stages that this command named, in its order.
    stages: tuple[Stage, ...] = ()
    #: The command repeated an earlier one and decided nothing.
    duplicate: bool = False


class RankedStage(Record, frozen=True, kw_only=True):
    """One launchable stage in the order of the policy."""

    job_id: str
    stage: str
    user: str
    virtual_deadline: float | None
    waiting_tasks: int
    launch_now: int


class Ranking(Record, frozen=True, kw_only=True):
    """The launchable stages, most urgent first."""

    version: int
    stages: tuple[RankedStage, ...]


class NextTaskReply(Record, frozen=True, kw_only=True):
    """After NextTask."""

    leases: tuple[Lease, ...] = ()
    #: One per lease of ``leases``, seconds (a repeated poll gives less than the first one).
    expires_in: tuple[float, ...] = ()
    done_acks: tuple[Ack, ...] = ()
    started_acks: tuple[Ack, ...] = ()
    revoked: tuple[int, ...] = ()
    ranking: Ranking | None = None


class TaskDoneReply(Record, frozen=True, kw_only=True):
    """After TaskDone."""

    acks: tuple[Ack, ...]


class RenewReply(Record, frozen=True, kw_only=True):
    """After RenewLeases."""

    renewals: tuple[Renewal, ...]


class UserReply(Record, frozen=True, kw_only=True):
    """After SetUser."""

    user: User


class Done(Record, frozen=True, kw_only=True):
    """After a command whose answer says nothing more (ConfigurePool, Tick)."""


Reply = JobReply | NextTaskReply | TaskDoneReply | RenewReply | UserReply | Done
