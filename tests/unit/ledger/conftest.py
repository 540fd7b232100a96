"""A world in memory with one Job; everybody is connected for long enough to judge absence."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jetmill.bus.memory import MemoryClock, MemoryWorld
from support.bench import LEASE_SECONDS, Hand, MemoryBench


@pytest.fixture
async def bench() -> AsyncIterator[MemoryBench]:
    bench = MemoryBench(MemoryWorld(clock=MemoryClock(frozen=True)))
    await bench.prepare()
    yield bench
    await bench.bus.link.close()


@pytest.fixture
async def one(bench: MemoryBench) -> Hand:
    return await bench.hand("worker-1")


@pytest.fixture
async def two(bench: MemoryBench, one: Hand) -> Hand:
    hand = await bench.hand("worker-2")
    bench.pass_time(LEASE_SECONDS)
    return hand
