"""What the tests of the server share."""

from __future__ import annotations

import pytest

from tests.unit.server.world import World


@pytest.fixture
async def world() -> World:
    """An engine among fakes, on the running loop."""
    return World()
