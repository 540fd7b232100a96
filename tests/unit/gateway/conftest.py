"""A namespace in memory and what streams from it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.stream import Yard


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    yard = Yard()
    await yard.bus.admin.apply_namespace()
    yield yard
    await yard.backplane.close()
    await yard.bus.link.close()
