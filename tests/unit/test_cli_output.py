"""How numbers look in tables."""

import pytest

from uwfq_service.cli.output import number


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0.0, "0"),
        (-2.0, "-2"),
        (1234.5, "1,234.50"),
        (-0.006, "-0.01"),
        (-1e-13, "0.00"),
        (1e-13, "0.00"),
    ],
)
def test_a_number_is_shown_as_people_read_it(value: float | None, shown: str) -> None:
    """Nothing has no sign, however little rounding has left of it."""
    assert number(value) == shown
