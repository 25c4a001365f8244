"""The paper's own UWFQ, kept for comparison: deadlines chained from the start of activity.

A small job that is put ahead of a partly served one gets a deadline in the past, which credits its
user again with the share already spent: other users pay (``bound.md`` has the figures).  Estimates
are trusted.
"""

from __future__ import annotations

from typing import ClassVar

from uwfq_service.core.policy.uwfq import UwfqPolicy
from uwfq_service.core.user_clock import PaperUserClock, UserClock


class UwfqPaperPolicy(UwfqPolicy):
    """As ``UwfqPolicy``, with the paper's chain and without corrections."""

    name: ClassVar[str] = "uwfq_paper"
    corrects_estimates: ClassVar[bool] = False
    user_clock: ClassVar[type[UserClock]] = PaperUserClock
