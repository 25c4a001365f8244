"""Numbers as options take them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Number(click.FloatRange):
    """A finite number in a range: ``nan`` compares with nothing and so would pass any."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or a refusal that names the option."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number to count with.", param, ctx)
        return number


#: A number above 0.
POSITIVE = Number(min=0, min_open=True)


def seed_option(what: str) -> Callable[[F], F]:
    """``--seed``; ``what`` is drawn from it."""
    return click.option(
        "--seed", metavar="N", type=click.IntRange(min=0), default=0, show_default=True, help=what
    )
