"""Stories told to the core, and their logs, line by line."""

from __future__ import annotations

import pytest

from tests.scenarios.recording import EXPECTED, STORIES, expected_file, tell


@pytest.mark.parametrize("name", STORIES)
def test_a_story_leads_to_its_recorded_log(name: str) -> None:
    """A changed log is reviewed, not just re-recorded: README.md says how."""
    assert tell(name) == expected_file(name).read_text(encoding="utf-8")


def test_every_log_has_a_story() -> None:
    """A story that goes takes its log with it."""
    assert {file.stem for file in EXPECTED.iterdir()} == set(STORIES)
