"""``uwfq_spark.user`` in real sessions."""

from pathlib import Path

import pytest

from tests.e2e.spark.lines import every_line, run

pytestmark = [pytest.mark.needs("java"), pytest.mark.slow]


@every_line
def test_a_block_speaks_for_its_thread_and_gives_back_what_it_found(line: str) -> None:
    """The script says what it checks: nesting, errors, and threads of both kinds."""
    assert "as promised" in run(line, Path(__file__).with_name("users_script.py"))
