"""Finds the stories, tells them, and compares their logs with what was recorded."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Final

from tests.scenarios import stories
from tests.scenarios.story import Story

EXPECTED: Final = Path(__file__).parent / "expected"
STORIES: Final = tuple(sorted(module.name for module in pkgutil.iter_modules(stories.__path__)))


def tell(name: str) -> str:
    """The log of one story."""
    module = importlib.import_module(f"{stories.__name__}.{name}")
    story = Story()
    module.tell(story)
    return "\n".join(story.end()) + "\n"


def expected_file(name: str) -> Path:
    """Where the log of a story is recorded."""
    return EXPECTED / f"{name}.txt"
