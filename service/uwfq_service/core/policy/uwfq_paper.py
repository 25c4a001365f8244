"""The paper's own UWFQ, kept for comparison: deadlines chained from the start of activity.

A small job that is put ahead of a partly served one gets a deadline in the past, which credits its
user again with the share already spent: other users pay, without limit where it is done again and
again.  Estimates are trusted.
"""

from __future__ import annotations

from typing import ClassVar

from uwfq_service.core.policy.uwfq import UwfqPolicy
from uwfq_service.core.user_clock import JobClock, UserClock
from uwfq_service.core.virtual_time import Number


class PaperUserClock(UserClock):
    """The paper's chain: D_k = S + (C + L_1 + ... + L_k) / w.

    It starts from the V at which the user became active (S), over whole works; C is the work of the
    jobs that have left since.  ``_chain_at`` is S + C / w here, and the first job of the chain
    leaves it when U reaches its F.
    """

    __slots__ = ()

    def correct(self, job: JobClock, change: Number, v: Number, *, keeps_turn: bool = True) -> None:
        """Nothing: the paper trusts its estimates."""

    def set_weight(self, weight: int, v: Number) -> None:
        """As with ``UserClock``; the chain keeps its start."""
        self.sync(v)
        self._value = self.value(v)
        self._at = v
        # The chain starts where it would have, had the weight always been the new one: only then
        # does it still end where the user leaves, whose service is the old one until now.
        self._chain_at = v + (self._chain_at - v) * self.weight / weight
        self.weight = weight

    def _serve(self, v: Number) -> None:
        """No serial server: jobs leave the chain with U alone."""

    def _anchor_chain(self, v: Number) -> None:
        """The chain's start does not move with V."""

    def _departed(self, job: JobClock) -> None:
        job.present = False
        job.deadline = self.deadline(job)
        self._chain_at = job.deadline
        self._unchain(job)
        self.displaced.append(job)


class UwfqPaperPolicy(UwfqPolicy):
    """As ``UwfqPolicy``, with the paper's chain and without corrections."""

    name: ClassVar[str] = "uwfq_paper"
    corrects_estimates: ClassVar[bool] = False
    user_clock: ClassVar[type[UserClock]] = PaperUserClock
