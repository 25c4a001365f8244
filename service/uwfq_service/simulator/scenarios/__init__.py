"""Built-in workloads, made from a name and a seed.

Each is a caricature of one situation that a shared engine gets into.  A scenario is drawn anew from
its seed, and the same seed draws the same document, byte for byte: a result that names scenario and
seed can be repeated by anybody.

A seventh scenario is one function from a seed to a workload, and one line below.  The first line of
its docstring is what `uwfq workload --list` shows.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from uwfq_service.simulator.scenarios.extremes import all_large, all_tiny
from uwfq_service.simulator.scenarios.mixture import random_mixture
from uwfq_service.simulator.scenarios.recurring import recurring
from uwfq_service.simulator.scenarios.two_kinds import infrequent_users, mixed_sizes
from uwfq_service.simulator.workload import Workload

__all__ = ["SCENARIOS", "UnknownScenario", "about", "scenario"]

#: From the seed to the workload, by name.
SCENARIOS: Final[Mapping[str, Callable[[int], Workload]]] = MappingProxyType(
    {
        "infrequent-users": infrequent_users,
        "mixed-sizes": mixed_sizes,
        "all-large": all_large,
        "all-tiny": all_tiny,
        "recurring": recurring,
        "random": random_mixture,
    }
)


class UnknownScenario(ValueError):
    """There is no scenario of that name; the message says which there are."""

    def __init__(self, name: str) -> None:
        close = difflib.get_close_matches(name, SCENARIOS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(SCENARIOS)}"
        super().__init__(f"no scenario is called {name!r}; {hint}")


def scenario(name: str, seed: int = 0) -> Workload:
    """The scenario of that name; raises ``UnknownScenario``.  Takes well under a second."""
    if name not in SCENARIOS:
        raise UnknownScenario(name)
    return SCENARIOS[name](seed)


def about(name: str) -> str:
    """What happens in the scenario of that name, in a line; raises ``UnknownScenario``."""
    if name not in SCENARIOS:
        raise UnknownScenario(name)
    return (SCENARIOS[name].__doc__ or "").partition("\n")[0].rstrip(".")
