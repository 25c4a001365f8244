"""What several tests of the client share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.fake_service import FakeService, serving


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    """A service that misbehaves on demand."""
    async with serving() as fake:
        yield fake
