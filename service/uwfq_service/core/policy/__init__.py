"""The policies by name.  A new one is a file here and a line in ``POLICIES``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from uwfq_service.core.policy.base import Policy
from uwfq_service.core.policy.cfq import CfqPolicy
from uwfq_service.core.policy.fair import FairPolicy
from uwfq_service.core.policy.fifo import FifoPolicy
from uwfq_service.core.policy.ujf import UjfPolicy
from uwfq_service.core.policy.uwfq import UwfqPolicy
from uwfq_service.core.policy.uwfq_paper import UwfqPaperPolicy

POLICIES: Final[Mapping[str, type[Policy]]] = {
    policy.name: policy
    for policy in (FifoPolicy, FairPolicy, UjfPolicy, CfqPolicy, UwfqPaperPolicy, UwfqPolicy)
}

__all__ = ["POLICIES", "Policy"]
